"""`pipec image lock`: what the images of a project are, written down for everybody who compiles it.

The container engine of this machine is asked what it has, and no registry: what was tested here is what is locked.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pipec import output
from pipec.api import UsageError
from pipec.contents import Contents
from pipec.diagnostics import Source, guess, has_error
from pipec.digest import shortened
from pipec.docker import DockerFault
from pipec.image.inspect import contents_of, digest_of
from pipec.record import frozen
from pipec.schema import check, tree
from pipec.schema import lock as locks
from pipec.schema.files import PROJECT_FILE, UnreadableError, has_project_file, project_root, read_below
from pipec.schema.lock import LOCK_FILE, Lock, Locked
from pipec.targets.base import File


@frozen
class Engine:
    """What is asked of the container engine, by an image's name. digest_of: empty for one that no registry has.

    contents_of: None for an image that is not pipec's. Both raise DockerFault.
    """

    digest_of: Callable[[str], str]
    contents_of: Callable[[str], Contents | None]


def lock(options: argparse.Namespace) -> int:
    """Write `pipec.lock`, or with `--check` say whether it is current."""
    return locked(Path().absolute(), options.images, Engine(digest_of, contents_of), is_asked=options.check)


def locked(folder: Path, images: Iterable[str], engine: Engine, *, is_asked: bool) -> int:
    """Lock these images of the project around a folder, or all of it; return the exit code.

    is_asked: write nothing, and say whether the file is current. Raises UsageError, DockerFault, OutputError.
    """
    root = project_root(folder)
    if not has_project_file(root):
        raise UsageError(f"there is no {PROJECT_FILE} here or above, and {LOCK_FILE} stands beside it")
    known = sorted(set(_named(root)))
    wanted = _known(dict.fromkeys(images), known)
    before, fault = _before(root)
    if not (known or before.exists or fault):
        raise UsageError("no document of this project names an image, so there is nothing to lock")
    if fault and wanted and not is_asked:
        raise UsageError(f"{fault}: `pipec image lock` without names writes it anew")
    found = {image: _look(image, before, engine, is_asked=is_asked) for image in wanted or known}
    kept = {name: each for name, each in before.images.items() if name in known and name not in found}
    new = {name: each for name, each in found.items() if each}
    after = Lock({**(kept if wanted else {}), **new}, exists=True)
    missing = [name for name, each in found.items() if each is None]
    return _told(before, after, fault, missing) if is_asked else _written(root, before, after)


def _known(wanted: Mapping[str, None], known: list[str]) -> list[str]:
    """Return the images that were asked for. Raises UsageError at one that no document names."""
    for image in wanted:
        if image not in known:
            close = guess(image, known)
            hint = f"did you mean `{close}`?" if close else f"named are {', '.join(known) or 'none'}"
            raise UsageError(f"no document of this project names the image `{image}`: {hint}")
    return list(wanted)


def _named(root: Path) -> Iterator[str]:
    """Yield the images that the documents of a project name. Raises UsageError at one that cannot be read."""
    for path in _documents(root):
        try:
            source = Source(path, read_below(root, "", path, tree.MAX_BYTES))
        except UnreadableError as fault:
            if path == PROJECT_FILE:
                raise UsageError(str(fault)) from None
            continue  # such as a link, or data that is called as documents are
        if check.API_VERSION not in source.text:
            continue
        documents, found = tree.read(source)
        if has_error(found):
            raise UsageError(f"`{path}` cannot be read, and may name an image: `pipec check {path}` says why")
        for document in documents:
            version = document.get("apiVersion") if isinstance(document, tree.Mapping) else None
            if isinstance(version, tree.Scalar) and version.value == check.API_VERSION:
                yield from _sound(path, locks.named(document))


def _sound(path: str, images: Iterable[str]) -> Iterator[str]:
    """Yield what can be the name of an image: it becomes an argument of the container engine's command."""
    for image in images:
        if not locks.IMAGE.fullmatch(image):
            raise UsageError(
                f"`{path}` names an image `{image}`, which is no such name: `pipec check {path}` says more"
            )
        yield image


def _documents(root: Path) -> Iterator[str]:
    """Yield the paths of what may be documents below the root; a folder with a project of its own is not of this one.

    Hidden folders hold what tools keep, not what people review.
    """
    for folder, below, names in os.walk(root):
        here = Path(folder)
        below[:] = sorted(name for name in below if not (name.startswith(".") or has_project_file(here / name)))
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")):
                yield (here / name).relative_to(root).as_posix()


def _before(root: Path) -> tuple[Lock, str]:
    """Return what is locked, and why that cannot be read."""
    if not os.path.lexists(root / LOCK_FILE):
        return Lock(), ""
    try:
        lock, found = locks.read(Source(LOCK_FILE, read_below(root, "", LOCK_FILE, tree.MAX_BYTES)))
    except UnreadableError as fault:
        return Lock(), str(fault)
    if has_error(found):
        return Lock(), f"{LOCK_FILE}:{found[0].loc.span.line}: {found[0].message}"
    return lock, ""


def _look(image: str, before: Lock, engine: Engine, *, is_asked: bool) -> Locked | None:
    """Return what an image is. is_asked: what is locked of it, or None, counts where the engine has no such image."""
    known, digest = before.images.get(image), locks.pin(image)
    if known and known.digest == digest:
        return known  # the text pins it, so that it cannot have changed
    try:
        digest = digest or engine.digest_of(image)
        if not digest:
            raise UsageError(
                f"`{image}` has no digest in a registry, because it was neither pushed nor pulled: push it "
                f"(`docker push {image}`), or name the images to lock"
            )
        return Locked(digest, engine.contents_of(image))
    except DockerFault as fault:
        if not is_asked:
            raise
        _say(f"only the name was compared: {fault}")
        return known


def _written(root: Path, before: Lock, after: Lock) -> int:
    if before.exists and before.text() == after.text():
        _say(f"{root / LOCK_FILE} is current")
        return 0
    for line in _changes(before, after):
        _say(line)
    (path,) = output.write(root, [File(LOCK_FILE, after.text())], again="lock again")
    _say(f"wrote {path}")
    return 0


def _told(before: Lock, after: Lock, fault: str, missing: list[str]) -> int:
    """Say whether the file is current; return the exit code."""
    why = [fault] if fault else [f"`{name}` is not locked" for name in missing]
    why += [] if fault else list(_changes(before, after))
    for line in why:
        _say(line)
    if not before.exists and not fault:
        why.append(f"there is no {LOCK_FILE}")
    _say(f"{LOCK_FILE} is not current: run `pipec image lock`, and commit it" if why else f"{LOCK_FILE} is current")
    return 1 if why else 0


def _changes(before: Lock, after: Lock) -> Iterator[str]:
    """Yield what differs between two locks, an image a line."""
    for name in sorted({*before.images, *after.images}):
        old, new = before.images.get(name), after.images.get(name)
        if new is None:
            yield f"`{name}` is named no more"
        elif old is None:
            yield f"`{name}` is {shortened(new.digest)}, {_held(new.contents)}"
        elif old.digest != new.digest:
            yield f"`{name}` is {shortened(new.digest)}, {_held(new.contents)}; it was {shortened(old.digest)}"
        elif old != new:
            yield f"`{name}` holds something else than is written down: {_held(new.contents)}"


def _held(contents: Contents | None) -> str:
    if contents is None:
        return "not an image of pipec"
    counted = ((len(contents.steps), "step"), (len(contents.files), "file"))
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counted)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
