"""What a wheel says of itself, and what is told of one that says nothing."""

from __future__ import annotations

from pathlib import Path

import made
import pytest

from pipec import digest
from pipec.image import wheel
from pipec.image.fault import ImageFault


def test_a_wheel_says_its_name_in_the_normal_form_and_its_bytes_have_a_digest(tmp_path: Path) -> None:
    path = made.wheel(tmp_path, "Some.Name", "2.1", requires=["x>=1"])
    found = wheel.read(path)
    assert (found.name, found.version, [str(each) for each in found.requires]) == ("some-name", "2.1", ["x>=1"])
    assert found.digest == digest.of_path(path)


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: x\n", "MIT OR Apache-2.0"),
        ("License: BSD\n", "BSD"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        (f"License: {'words ' * 20}\nClassifier: License :: OSI Approved :: BSD License\n", "BSD License"),
        ("", ""),
    ],
)
def test_a_licence_is_an_expression_a_name_or_nothing(tmp_path: Path, head: str, licence: str) -> None:
    assert wheel.read(made.wheel(tmp_path, "a", head=head)).licence == licence


def test_what_is_no_wheel_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a-1.0-py3-none-any.whl"
    path.write_bytes(b"half of it")
    with pytest.raises(ImageFault, match=r"`a-1.0-py3-none-any.whl` is no wheel that can be read"):
        wheel.read(path)
