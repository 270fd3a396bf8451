"""Wheels for an image, got outside of its build: pipec's own, and those of the packages that it needs.

Through pip, for the base's Python and machine, held by the constraints that were tested together; never a source build,
which would run what a stranger wrote.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from packaging.requirements import Requirement

import pipec
from pipec.image import closure, wheel
from pipec.image.base import Base
from pipec.image.closure import Closure
from pipec.image.fault import ImageFault
from pipec.image.wheel import Wheel
from pipec.record import frozen

# Bytes of our wheel must not depend on the clock; the value is what hatchling takes by itself.
EPOCH = "1580601600"


@frozen
class Sources:
    """Where wheels come from. folder: nowhere but from there. index: one more to look in. constraints: a file."""

    constraints: Path
    folder: Path | None = None
    index: str = ""


def constraints() -> Path:
    """Return the file of the versions that were tested together: in a checkout, or in an installed pipec."""
    inside = Path(str(resources.files("pipec.image"))) / "constraints.txt"
    return inside if inside.is_file() else _checkout() / "constraints.txt"


def of_pipec(given: Path | None, folder: Path) -> Wheel:
    """Return pipec's own wheel: the one given, one built from this checkout, or this version from the index."""
    if given is not None:
        return _named_pipec(given)
    if (_checkout() / "pyproject.toml").is_file():
        _run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            wanted="pipec's own wheel cannot be built", folder=_checkout(), env={"SOURCE_DATE_EPOCH": EPOCH},
        )  # fmt: skip
    else:
        _pip(["--no-deps", "--dest", str(folder), f"pipec=={pipec.__version__}"], "pipec's own wheel cannot be fetched")
    return _named_pipec(next(folder.glob("pipec-*.whl")))


def fetched(
    roots: Sequence[str], base: Base, folder: Path, sources: Sources, *, own: Iterable[Wheel] = (),
    there: Mapping[str, str] | None = None, given: Path | None = None,
) -> Closure:  # fmt: skip
    """Return the wheels that `roots` need on the base, put into `folder`. own: wheels that are here already.

    there: versions of what the image has, which stays. given: the file that the roots stand in, with their hashes.
    """
    own = tuple(own)
    paths = {each.name: str(each.path) for each in own}
    asked = [Requirement(root) for root in roots]
    words = ["--requirement", str(given)] if given else [_word(each, paths) for each in asked]
    _download(words, base, folder, sources)
    found = _closed(asked, folder, base, there or {}, own)
    while found.lacking:
        names = [str(Requirement(str(each).partition(";")[0])) for each in found.lacking]
        before = set(folder.iterdir())
        _download(["--no-deps", *names], base, folder, sources)
        if set(folder.iterdir()) == before:
            raise ImageFault(f"there is no wheel of {', '.join(names)} for {_shown(base)}: choose another version")
        found = _closed(asked, folder, base, there or {}, own)
    return found


def _closed(
    asked: Sequence[Requirement], folder: Path, base: Base, there: Mapping[str, str], own: tuple[Wheel, ...]
) -> Closure:
    ours = {each.name for each in own}
    read = [wheel.read(path) for path in sorted(folder.glob("*.whl"))]
    return closure.of(asked, [*own, *(each for each in read if each.name not in ours)], base.markers, there)


def _word(requirement: Requirement, paths: Mapping[str, str]) -> str:
    """Return a requirement as pip is told it: a wheel that is here by its path."""
    path = paths.get(requirement.name)
    return f"{path}[{','.join(sorted(requirement.extras))}]" if path else str(requirement)


def _download(words: Sequence[str], base: Base, folder: Path, sources: Sources) -> None:
    abi = f"cp{base.python.replace('.', '')}"
    platforms = [word for tag in base.platforms for word in ("--platform", tag)]
    places = ["--extra-index-url", sources.index] if sources.index else []
    if sources.folder is not None:
        places = ["--no-index", "--find-links", str(sources.folder.absolute())]
    _pip(
        [
            "--dest", str(folder), "--only-binary", ":all:", "--python-version", base.python, "--implementation", "cp",
            "--abi", abi, "--abi", "abi3", "--abi", "none", *platforms, "--constraint", str(sources.constraints),
            *places, *words,
        ],
        f"the packages for {_shown(base)} cannot be fetched",
    )  # fmt: skip


def _pip(words: Sequence[str], wanted: str) -> None:
    # Not quiet: the sides of a conflict are among what it tells by the way.
    own = ["--no-input", "--disable-pip-version-check", "download", "--progress-bar", "off"]
    _run([sys.executable, "-m", "pip", *own, *words], wanted=wanted)


def _run(
    command: Sequence[str], *, wanted: str, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ImageFault(f"{wanted}: {explained(done.stdout)}")


def explained(said: str) -> str:
    """Return what pip or hatchling said, as one line: cause and next action."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No module named" in line for line in lines):
        module = lines[-1].rpartition(" ")[2].strip("'")
        return f"`{module}` is not installed beside pipec: install it there"
    if start := next((n for n, line in enumerate(lines) if "conflict is caused by" in line), 0):
        sides = [line for line in lines[start + 1 :] if " requested " in f" {line} " or " depends on " in line]
        return f"{' and '.join(_side(line) for line in sides)}: take versions that go together"
    errors = [line.partition("ERROR: ")[2] for line in lines if "ERROR: " in line]
    none = next((line for line in errors if "satisfies the requirement" in line), "")
    if none:
        name = none.partition("the requirement ")[2].partition(" (from")[0]
        return f"there is no wheel of {name} for it: choose another version, or name an index that has one with --index"
    return f"{(errors or lines or ['no word of why'])[0].rstrip('.')}: mend that and build again"


def _side(line: str) -> str:
    line = line.replace("The user requested (constraint) ", "held is ").replace("The user requested ", "asked for is ")
    return line.replace(" depends on ", " needs ")


def _named_pipec(path: Path) -> Wheel:
    found = wheel.read(path)
    if found.name != "pipec":
        raise ImageFault(f"`{path.name}` is a wheel of {found.name}, not of pipec: name another with --wheel")
    return found


def _shown(base: Base) -> str:
    return f"Python {base.python} on {base.machine}"


def _checkout() -> Path:
    return Path(pipec.__file__).parents[2]


def copied(wheels: Iterable[Wheel], folder: Path) -> None:
    """Put wheels into a folder, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in wheels:
        shutil.copyfile(each.path, folder / each.path.name)
