"""Building an image: the folder it is built from, and the one call of the builder. No step before it touches an image.

A build is whole or not at all: the tag is given by the builder at its end.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from pipec import __version__, contents, docker
from pipec.contents import Contents
from pipec.image import base, inspect, requirement, sbom, team, variant, wheels
from pipec.image.closure import Closure
from pipec.image.fault import ImageFault
from pipec.image.wheel import Wheel
from pipec.image.wheels import Sources
from pipec.record import frozen

NAME = "pipec-steps"
_FILES = "pipec.steps.container"  # where the Dockerfiles are
_SBOM, _CONTENTS = Path(contents.SBOM).name, Path(contents.FILE).name
# What our own part of the build says of its end. BuildKit puts a number and a time before it, the classic builder red.
_OURS = re.compile(r"^(?:#\d+ [\d.]+ |\x1b\[\d+m)?pipec: ([^\x1b\n]+)", re.MULTILINE)


@frozen(kw_only=True)
class Order:
    """What is to be built. torch: `cuda` or `cpu`. is_fresh: nothing of an earlier build is used."""

    tag: str
    sources: Sources
    variant: str = variant.DEFAULT
    base: str = ""
    torch: str = "cuda"
    wheel: Path | None = None
    is_fresh: bool = False


@frozen
class Built:
    """A built image. bill: its bill of materials."""

    image: inspect.Image
    bill: Mapping[str, Any]


Say = Callable[[str], None]


def library(order: Order, say: Say) -> Built:
    """Build an image of the step library. Raises ImageFault, DockerFault."""
    found = base.of(order.base)
    with _folder() as folder:
        say(f"fetching wheels for Python {found.python} on {found.machine}")
        own = wheels.of_pipec(order.wheel, _made(folder / "own"))
        extras = ",".join(variant.EXTRAS[order.variant])
        closed = wheels.fetched(
            [f"pipec[{extras}]=={own.version}"], found, _made(folder / "fetched"), order.sources, own=[own]
        )
        check_torch(order.torch, closed)
        bill = sbom.of(order.variant, own.version, order.base, closed.wheels, closed.edges)
        packages = [each for each in closed.wheels if each.name != "pipec"]
        context = _context(folder, "Dockerfile")
        _layer(context / "packages", found.python, packages, is_lowest=True)
        _layer(context / "ours", found.python, [own], has_scripts=True, variant=order.variant)
        _write(context / "ours" / "files" / _SBOM, sbom.text(bill).encode())
        say(f"building `{order.tag}` of {len(closed.wheels)} wheels")
        _build(order, context, {"BASE": order.base, "VARIANT": order.variant, "VERSION": own.version})
    return Built(inspect.of(order.tag), bill)


def layer(order: Order, below: str, code: Path | None, requirements: Path | None, say: Say) -> Built:
    """Build an image of a team: their code and packages on an image of ours. Raises ImageFault, DockerFault."""
    held, before = _below(below)
    found = base.of(below)
    theirs = team.of(code) if code is not None else team.Team({}, {})
    with _folder() as folder:
        closed = _packages(requirements, found, folder, order.sources, sbom.versions(before), say)
        bill = sbom.extended(before, "team", closed.wheels, closed.edges)
        context = _context(folder, "Dockerfile.team")
        _layer(context / "team", found.python, closed.wheels, has_scripts=True)
        files = context / "team" / "files"
        told = replace(held, files=theirs.files, functions=theirs.functions)
        _write(files / _CONTENTS, told.text().encode())
        _write(files / _SBOM, sbom.text(bill).encode())
        for path, content in theirs.contents.items():
            _write(files / "team" / path, content)
        say(f"building `{order.tag}` of {len(theirs.contents)} files and {len(closed.wheels)} wheels on `{below}`")
        _build(order, context, {"FROM": below})
    return Built(inspect.of(order.tag), bill)


def _below(reference: str) -> tuple[Contents, Mapping[str, Any]]:
    held = inspect.contents_of(reference)
    if held is None:
        raise ImageFault(f"`{reference}` is not an image of pipec: build one with `pipec image build`, and name that")
    if held.files:
        raise ImageFault(f"`{reference}` holds a team's files already: name the image that it was built on with --from")
    bill: Mapping[str, Any] = inspect.sbom_of(reference)
    return held, bill


def _packages(
    requirements: Path | None, found: base.Base, folder: Path, sources: Sources, there: Mapping[str, str], say: Say
) -> Closure:
    """Return the wheels that a team asks for, without those that the image has: what it has, stays as it is."""
    if requirements is None:
        return Closure((), (), {})
    text, asked = requirement.of(requirements, there)
    given, held = folder / "requirements.txt", folder / "held.txt"
    _write(given, text.encode())
    _write(held, "".join(f"{name}=={version}\n" for name, version in sorted(there.items())).encode())
    say(f"fetching wheels for Python {found.python} on {found.machine}")
    closed = wheels.fetched(
        asked, found, _made(folder / "fetched"), replace(sources, constraints=held), there=there, given=given
    )
    return replace(closed, wheels=tuple(each for each in closed.wheels if each.name not in there))


def check_torch(wanted: str, closed: Closure) -> None:
    """Say when torch is not the build that was asked for: which one an index has, its name does not tell."""
    found = next((each for each in closed.wheels if each.name == "torch"), None)
    if found is None:
        return
    is_cuda = any(name.startswith(("nvidia-", "cuda-")) for name in closed.edges.get("torch", ()))
    if is_cuda and wanted == "cpu":
        raise ImageFault(f"torch {found.version} comes with CUDA: name an index of CPU builds with --index")
    if not is_cuda and wanted == "cuda":
        raise ImageFault(
            f"torch {found.version} comes without CUDA: say `--torch cpu`, or name an index of CUDA builds"
        )


def _context(folder: Path, dockerfile: str) -> Path:
    """Return the folder that an image is built from, its layers still to be put in."""
    context = _made(folder / "context")
    for source, name in ((dockerfile, "Dockerfile"), ("prepare.py", "prepare.py")):
        _write(context / name, resources.files(_FILES).joinpath(source).read_bytes())
    return context


def _layer(
    folder: Path, python: str, held: Sequence[Wheel], *, has_scripts: bool = False, is_lowest: bool = False,
    variant: str = "",
) -> None:  # fmt: skip
    """Write what a layer is made of, in a folder of its own: one that is as before is not made again."""
    recipe = {
        "python": python, "wheels": [each.path.name for each in held], "has_scripts": has_scripts,
        "is_lowest": is_lowest, "variant": variant,
    }  # fmt: skip
    _write(folder / "recipe.json", json.dumps(recipe, indent=1).encode())
    wheels.copied(held, folder / "wheels")


def _build(order: Order, context: Path, arguments: Mapping[str, str]) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or wheels.EPOCH
    if not epoch.isdigit():
        raise ImageFault(f"SOURCE_DATE_EPOCH is `{epoch}`, and no number of seconds: set it to one, or to nothing")
    created = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    given = {**arguments, "CREATED": created, "SOURCE_DATE_EPOCH": epoch}
    words = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    fresh = ["--no-cache"] if order.is_fresh else []
    command = [docker.command(), "build", "--network=none", "--force-rm", *fresh, "--tag", order.tag, *words,
               str(context)]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise ImageFault(f"`{order.tag}` cannot be built: {explained(done.stdout)}")
    if order.is_fresh:
        _forget(done.stdout)


def _forget(said: str) -> None:
    """Remove what a build without a cache leaves of its first stage.

    The classic builder would look there alone the next time, and not find what builds before it have made.
    """
    first_stage = said.partition(" : FROM ")[2].partition(" : FROM ")[0]
    if steps := re.findall(r"^ ---> ([0-9a-f]{12,64})$", first_stage, re.MULTILINE):
        with suppress(docker.DockerFault):
            docker.ask("image", "rm", steps[-1], wanted="the first stage of a build cannot be removed")


def explained(said: str) -> str:
    """Return why a build ended, as one line: what our own part of it said, or what the engine's words mean."""
    ours = _OURS.search(said)
    return ours[1] if ours else docker.explained(said)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pipec-image-") as folder:
        yield Path(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: Path, content: bytes) -> None:
    _made(path.parent)
    path.write_bytes(content)


def default_tag(name: str) -> str:
    """Return the tag of a variant's image, where none is said."""
    return f"{NAME}:{__version__}-{name}"
