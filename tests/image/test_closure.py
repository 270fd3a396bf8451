"""Which wheels an image needs: by the base's answers to markers, not by those of the Python that runs here."""

from __future__ import annotations

from pathlib import Path

import made
import pytest
from packaging.requirements import Requirement

from pipec.image import closure, wheel
from pipec.image.fault import ImageFault

BASE = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64"}


def closed(folder: Path, *roots: str, markers: dict[str, str] | None = None, there: dict[str, str] | None = None):
    wheels = [wheel.read(path) for path in sorted(folder.glob("*.whl"))]
    return closure.of([Requirement(root) for root in roots], wheels, {**BASE, **(markers or {})}, there or {})


def names(found: closure.Closure) -> list[str]:
    return [each.name for each in found.wheels]


def test_what_nobody_needs_is_left_out(tmp_path: Path) -> None:
    made.wheel(tmp_path, "a", requires=["B>=0.5"])
    made.wheel(tmp_path, "b")
    made.wheel(tmp_path, "c")
    found = closed(tmp_path, "a")
    assert (names(found), found.edges, found.lacking) == (["a", "b"], {"a": ("b",)}, ())


@pytest.mark.parametrize(("python", "needed"), [("3.11", ["a", "old"]), ("3.12", ["a"])])
def test_a_marker_is_answered_by_the_base(tmp_path: Path, python: str, needed: list[str]) -> None:
    made.wheel(tmp_path, "a", requires=['old; python_version < "3.12"'])
    made.wheel(tmp_path, "old")
    assert names(closed(tmp_path, "a", markers={"python_version": python})) == needed


def test_an_extra_counts_only_where_it_is_asked_for_also_below_itself(tmp_path: Path) -> None:
    made.wheel(tmp_path, "a", extras=["x", "y"], requires=['a[y]; extra == "x"', 'b; extra == "y"', 'c; extra == "z"'])
    made.wheel(tmp_path, "b")
    assert names(closed(tmp_path, "a")) == ["a"]
    assert names(closed(tmp_path, "a[x]")) == ["a", "b"]


def test_what_pip_did_not_bring_is_lacking(tmp_path: Path) -> None:
    made.wheel(tmp_path, "a", requires=['b>=2; sys_platform == "linux"'])
    assert [str(each) for each in closed(tmp_path, "a").lacking] == ['b>=2; sys_platform == "linux"']


def test_what_the_image_has_is_needed_and_not_brought_again(tmp_path: Path) -> None:
    made.wheel(tmp_path, "a", requires=["numpy>=2"])
    found = closed(tmp_path, "a", there={"numpy": "2.4"})
    assert (names(found), found.lacking) == (["a"], ())


def test_a_version_that_does_not_do_is_told_with_both_sides(tmp_path: Path) -> None:
    made.wheel(tmp_path, "a", requires=["numpy<2"])
    with pytest.raises(
        ImageFault, match=r"`a` needs `numpy<2`, but there is numpy 2.4: take versions that go together"
    ):
        closed(tmp_path, "a", there={"numpy": "2.4"})
