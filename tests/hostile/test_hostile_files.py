"""Files that are not what they seem, wherever a document may name one: refused in one finding, and never read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cage import Cage
from corpus import GOOD, HEAD

FOUND = re.compile(r"^[a-z.]+:[0-9]+:[0-9]+: error: .*\[(PIPE[0-9]{3}) ", re.MULTILINE)
SECRET = "the-content-of-a-file-outside"  # whoever prints it has read what it must not
PLACES: dict[str, tuple[str, str]] = {
    "the pipeline itself": ("p.yaml", ""),
    "a file that a step uses": ("inner.yaml", HEAD + "steps: {s: {uses: ./inner.yaml}}\n"),
    "a file of expectations": (
        "rows.yaml",
        HEAD + "steps: {v: {uses: validate-data, with: {data: s3://a, expectations: rows.yaml}}}\n",
    ),
    "the project": ("pipec.yaml", GOOD),
}


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


def _device(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root makes devices, and this is no root")
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero


TRAPS: dict[str, Callable[[Path], None]] = {
    "a link to a file outside": _link("../outside.yaml"),
    "a link to a file of the system": _link("/etc/passwd"),
    "a link to endless zeroes": _link("/dev/zero"),
    "a link to the environment": _link("/proc/self/environ"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": _link("nothing.yaml"),
    "a link within the project": _link("other.yaml"),
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a device": _device,
}
# What a name may try instead of a file.
NAMES = (
    "../outside.yaml", "../../../../../../etc/passwd", "/etc/passwd", "./a/../../outside.yaml", "linked/outside.yaml",
    "file:///etc/passwd", "./inner.yaml/../../outside.yaml", "nothing.yaml", "~/.ssh/id_rsa", "./\\..\\outside.yaml",
)  # fmt: skip


@pytest.fixture(scope="module")
def cage() -> Iterator[Cage]:
    made = Cage()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.yaml").write_text(f"{SECRET}: &a [")
    made = tmp_path / "project"
    made.mkdir()
    (made / "pipec.yaml").write_text("apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\n")
    (made / "other.yaml").write_text(GOOD)
    (made / "linked").symlink_to("..")
    return made


def refused(cage: Cage, folder: Path) -> list[str]:
    """Return the codes that the pipeline of a folder is refused with, the same by every command."""
    told = set()
    for command in (("check",), ("compile", "-t", "kubeflow", "-o", "out"), ("compile", "-t", "airflow", "-o", "out")):
        outcome = cage.call(folder, *command, "p.yaml")
        assert outcome.broken((1,)) == []
        assert SECRET not in outcome.out + outcome.err
        assert "root:" not in outcome.out + outcome.err
        told.add(
            tuple(re.findall(r"^[a-z.]+:[0-9]+:[0-9]+: error: .*\[(PIPE[0-9]{3}) ", outcome.out + outcome.err, re.M))
        )
    assert not (folder / "out").exists()
    (codes,) = told
    return list(codes)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_is_none_is_refused_in_one_finding(place: str, trap: str, cage: Cage, folder: Path) -> None:
    name, text = PLACES[place]
    (folder / "p.yaml").write_text(text)
    (folder / name).unlink(missing_ok=True)
    TRAPS[trap](folder / name)
    assert refused(cage, folder) == ["PIPE002"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["a file that a step uses", "a file of expectations"])
def test_a_name_that_leads_out_is_refused_in_one_finding(place: str, name: str, cage: Cage, folder: Path) -> None:
    inner, text = PLACES[place]
    written = name if inner != "inner.yaml" or name.startswith(".") else f"./{name}"
    (folder / "p.yaml").write_text(text.replace(f"./{inner}" if inner == "inner.yaml" else inner, f"'{written}'"))
    (code,) = refused(cage, folder)
    assert code in ("PIPE002", "PIPE104", "PIPE201")


def test_a_file_that_grows_too_large_is_refused(cage: Cage, folder: Path) -> None:
    (folder / "p.yaml").write_text(PLACES["a file of expectations"][1])
    (folder / "rows.yaml").write_text("#" * (65 << 10))
    assert refused(cage, folder) == ["PIPE002"]
    (folder / "p.yaml").write_text(PLACES["a file that a step uses"][1])
    (folder / "inner.yaml").write_text("#" * (2 << 20))
    assert refused(cage, folder) == ["PIPE002"]
