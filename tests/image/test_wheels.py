"""Wheels for a base: from a folder, by what the base is; and what is told where there are none."""

from __future__ import annotations

from pathlib import Path

import made
import pytest
from needs import ROOT

from pipec.image import base, wheels
from pipec.image.fault import ImageFault
from pipec.image.wheels import Sources

MARKERS = {
    "implementation_name": "cpython", "implementation_version": "3.12.1", "os_name": "posix",
    "platform_machine": "x86_64", "platform_python_implementation": "CPython", "platform_release": "",
    "platform_system": "Linux", "platform_version": "", "python_full_version": "3.12.1", "python_version": "3.12",
    "sys_platform": "linux",
}  # fmt: skip
BASE = base.read("b:1", "glibc 2.28", MARKERS)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """A folder of wheels in the place of an index, and constraints that say nothing."""
    held = tmp_path / "constraints.txt"
    held.write_text("")
    (tmp_path / "index").mkdir()
    return Sources(held, tmp_path / "index")


def fetch(sources: Sources, *roots: str, **more) -> list[str]:
    folder = sources.constraints.parent / "fetched"
    folder.mkdir()
    return [each.path.name for each in wheels.fetched(roots, BASE, folder, sources, **more).wheels]


def test_wheels_are_those_of_the_base_and_not_of_the_python_that_runs_here(sources: Sources) -> None:
    assert sources.folder
    made.wheel(sources.folder, "a", requires=['old; python_version < "3.12"', 'new; python_version >= "3.12"'])
    made.wheel(sources.folder, "old")
    made.wheel(sources.folder, "new", tag="cp312-cp312-manylinux_2_28_x86_64")
    made.wheel(sources.folder, "new", tag="cp311-cp311-manylinux_2_28_x86_64")
    made.wheel(sources.folder, "new", "2.0", tag="cp312-cp312-manylinux_2_34_x86_64")  # of a newer C library
    assert fetch(sources, "a") == ["a-1.0-py3-none-any.whl", "new-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"]


def test_the_constraints_hold_a_version(sources: Sources) -> None:
    assert sources.folder
    made.wheel(sources.folder, "a", "1.0")
    made.wheel(sources.folder, "a", "2.0")
    sources.constraints.write_text("a==1.0\n")
    assert fetch(sources, "a") == ["a-1.0-py3-none-any.whl"]


def test_a_package_without_a_wheel_is_told_and_never_built(sources: Sources) -> None:
    assert sources.folder
    (sources.folder / "a-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(
        ImageFault, match=r"the packages for Python 3.12 on x86_64 cannot be fetched: there is no wheel of a"
    ):
        fetch(sources, "a")


def test_a_conflict_with_what_the_image_has_is_told_with_both_sides(sources: Sources) -> None:
    assert sources.folder
    made.wheel(sources.folder, "a", requires=["numpy<2"])
    made.wheel(sources.folder, "numpy", "1.0")
    made.wheel(sources.folder, "numpy", "2.4")
    sources.constraints.write_text("numpy==2.4\n")
    with pytest.raises(
        ImageFault, match=r"a 1\.0 needs numpy<2 and held is numpy==2\.4: take versions that go together"
    ):
        fetch(sources, "a", there={"numpy": "2.4"})


def test_another_wheel_in_the_place_of_ours_is_refused(tmp_path: Path) -> None:
    path = made.wheel(tmp_path, "numpy")
    with pytest.raises(ImageFault, match=r"is a wheel of numpy, not of pipec: name another with --wheel"):
        wheels.of_pipec(path, tmp_path)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("/usr/bin/python3: No module named pip", "`pip` is not installed beside pipec"),
        (
            "WARNING: x\nERROR: No matching distribution found for a==9.",
            "No matching distribution found for a==9: mend",
        ),
        ("", "no word of why"),
    ],
)
def test_what_pip_says_becomes_one_line(said: str, meant: str) -> None:
    assert wheels.explained(said).startswith(meant)


def test_our_own_wheel_has_the_same_bytes_twice_and_holds_what_a_build_needs(tmp_path: Path) -> None:
    one, two = (wheels.of_pipec(None, folder) for folder in (tmp_path / "1", tmp_path / "2"))
    assert one.digest == two.digest
    import zipfile

    held = set(zipfile.ZipFile(one.path).namelist())
    container = "pipec/steps/container"
    assert {"pipec/image/constraints.txt", f"{container}/Dockerfile", f"{container}/Dockerfile.team",
            f"{container}/prepare.py"} <= held  # fmt: skip


def test_the_constraints_of_a_checkout_are_those_at_its_root() -> None:
    assert wheels.constraints() == ROOT / "constraints.txt"


@pytest.mark.parametrize(
    ("libc", "markers", "told"),
    [
        ("", {}, "`b:1` has no glibc"),
        ("glibc 2.36", {"python_version": "3.10"}, "has CPython 3.10, and pipec needs CPython 3.11 or newer"),
        ("glibc 2.36", {"implementation_name": "pypy", "platform_python_implementation": "PyPy"}, "has PyPy 3.12"),
    ],
)
def test_a_base_that_no_wheel_is_meant_for_is_told(libc: str, markers: dict[str, str], told: str) -> None:
    with pytest.raises(ImageFault, match=told):
        base.read("b:1", libc, {**MARKERS, **markers})
