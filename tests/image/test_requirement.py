"""A team's requirements: names and versions, held against what the image has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec.image import requirement
from pipec.image.fault import ImageFault

THERE = {"numpy": "2.4.6", "scikit-learn": "1.9.1"}


def read(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "requirements.txt"
    path.write_text(text, encoding="utf-8")
    return requirement.of(path, THERE)[1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lightgbm>=4.5\n\n# a comment\ntoolz  # another\n", ["lightgbm>=4.5", "toolz"]),
        ("numpy>=2\n", ["numpy>=2"]),
        ("a==1 \\\n    --hash=sha256:ab \\\n    --hash=sha256:cd\nb==2 --hash sha256:ef\n", ["a==1", "b==2"]),
        ("a[x]>=1; python_version < '3.12'", ['a[x]>=1; python_version < "3.12"']),
        ("", []),
    ],
)
def test_names_and_versions_are_read(tmp_path: Path, text: str, found: list[str]) -> None:
    assert read(tmp_path, text) == found


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("-e .", r"requirements.txt:2: `-e` is an option"),
        ("--index-url https://user:secret@r.example", r":2: `--index-url` is an option"),
        ("./local", r":2: `./local` is no name with a version"),
        ("git+https://r.example/x.git", r":2: `git\+https://r.example/x.git` is no name"),
        ("x @ https://r.example/x.tar.gz", r":2: `x @ https://r.example/x.tar.gz` comes from an address"),
        ("numpy<2", r":2: `numpy<2` is asked for, but the image has numpy 2.4.6"),
        ("scikit_learn==1.0", r":2: `scikit_learn==1.0` is asked for, but the image has scikit_learn 1.9.1"),
    ],
)
def test_what_is_none_or_contradicts_the_image_is_told_at_its_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(ImageFault, match=told) as fault:
        read(tmp_path, f"toolz\n{line}\n")
    assert "secret" not in str(fault.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageFault, match="cannot be read: no such file or directory"):
        requirement.of(tmp_path / "none.txt", {})
    (tmp_path / "r.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ImageFault, match="is no text of at most 1 MiB"):
        requirement.of(tmp_path / "r.txt", {})
