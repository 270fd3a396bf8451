"""Where files lie, for the runtime: paths of this machine, and any fsspec URL.

Local paths need no package; a URL's driver is met in `data/remote.py`. Faults become a step's ends, told without the
user name, password or query of a URL.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pipec.steps.data import answer, transfer
from pipec.steps.data.remote import is_remote, shown, system_of
from pipec.steps.declare import CallerError, StepError, TryAgain

__all__ = [
    "copy", "fetch", "is_remote", "local", "push", "read_text", "replace_text", "shown", "tags", "write_text",
]  # fmt: skip


PROGRESS_S = 5.0  # between two lines about one transfer


def _to_nobody(line: str) -> None:
    """Take a line of progress where nobody wants one."""


class Meter:
    """Says how far a transfer is, at most every few seconds; a short one is passed over."""

    def __init__(self, log: Callable[[str], None], what: str, total: int) -> None:
        self._log, self._what, self._total, self._done = log, what, total, 0
        self._told_at = time.monotonic()

    def add(self, n: int) -> None:
        """Note that `n` more bytes have come or gone; those of a second try do not count above the whole."""
        self._done = min(self._done + n, self._total) if self._total else self._done + n
        if time.monotonic() - self._told_at >= PROGRESS_S:
            self._told_at = time.monotonic()
            of = f" of {_mib(self._total)}" if self._total else ""
            self._log(f"{self._what}: {_mib(self._done)}{of}")


def local(location: str, base: str | None) -> Path:
    """Return the path that a local location means; it need not exist.

    base: the folder that relative locations start from and must stay below, over no link. Raises CallerError.
    """
    if not location or "\0" in location:
        raise CallerError("a location is empty: give a path or a URL")
    path = Path(unquote(urlsplit(location).path)) if location.startswith("file://") else Path(location)
    if path.is_absolute():
        return path
    if base is None:
        raise CallerError(f"`{location}` is relative, and here is no project folder: give a full path or a URL")
    return _below(Path(base), location)


def _below(base: Path, location: str) -> Path:
    path = base
    for part in PurePosixPath(location).parts:
        if part == "..":
            raise CallerError(f"`{location}` may leave the project folder: name a path below it, without `..`")
        path = path / part
        if path.is_symlink():
            raise CallerError(f"`{location}` leads over a link, `{part}`: put the files themselves into the project")
    return path


def fetch(location: str, into: Path, log: Callable[[str], None] = _to_nobody) -> Path:
    """Download the file or folder at a URL into the folder `into`; return where it is now. Raises StepError.

    log: takes a line of progress now and then.
    """
    target = into / (PurePosixPath(urlsplit(location).path).name or "data")
    with _told(location, "read"):
        system, path = _system(location)
        found = transfer.listing(system, path)
        files = [found] if isinstance(found, transfer.Entry) else found
        meter = Meter(log, f"`{shown(location)}`", sum(entry.size or 0 for entry in files))
        if isinstance(found, transfer.Entry):
            transfer.download(system, found, target, meter.add)
            return target
        # File by file: drivers disagree about what a recursive copy of a folder is called at the other end.
        target.mkdir()
        top = path.strip("/")
        for entry in files:
            place = target / entry.path.strip("/").removeprefix(top).lstrip("/")
            if not place.resolve().is_relative_to(target.resolve()):
                raise CallerError(f"`{shown(location)}` holds a file that would leave its folder: rename it")
            place.parent.mkdir(parents=True, exist_ok=True)
            transfer.download(system, entry, place, meter.add)
    return target


def push(path: Path, location: str, log: Callable[[str], None] = _to_nobody) -> None:
    """Upload a file or folder to a URL, in place of what is there. Raises StepError.

    Each file appears whole; a folder appears file by file, so nobody may read it before a result names it.
    """
    with _told(location, "written"):
        system, target = _system(location)
        before = _files_at(system, target)
        if path.is_dir():
            pairs = {f"{target}/{f.relative_to(path).as_posix()}": f for f in sorted(path.rglob("*")) if f.is_file()}
        else:
            pairs = {target: path}
        if before is not None and path.is_dir() != isinstance(before, list):
            transfer.remove(system, target)
        meter = Meter(log, f"`{shown(location)}`", sum(file.stat().st_size for file in pairs.values()))
        for place, file in pairs.items():
            system.makedirs(place.rpartition("/")[0] or "/", exist_ok=True)
            transfer.upload(system, file, place, meter.add)
        if isinstance(before, list):
            kept = {place.strip("/") for place in pairs}
            for entry in before if path.is_dir() else ():
                if entry.path.strip("/") not in kept:
                    transfer.remove(system, entry.path)


def tags(location: str) -> dict[str, str]:
    """Return what a store calls each file of an artifact, by path below it; nothing if it has no word for one."""
    with _told(location, "read"):
        system, path = _system(location)
        return _tags(transfer.listing(system, path), path)


def _tags(found: list[transfer.Entry] | transfer.Entry, path: str) -> dict[str, str]:
    files = [found] if isinstance(found, transfer.Entry) else found
    named = {entry.path.strip("/").removeprefix(path.strip("/")).lstrip("/"): entry.tag for entry in files}
    return named if all(named.values()) else {}


def copy(source: str, target: str, expected: Mapping[str, str]) -> bool:
    """Copy an artifact inside of one store, if its files are those of `expected` tags; say whether that was done."""
    system, start = _system(source)
    _, end = _system(target)
    try:
        if _tags(transfer.listing(system, start), start) != dict(expected):
            return False
        if start == end:
            return True
        if _files_at(system, end) is not None:
            transfer.remove(system, end)
        for name in sorted(expected):
            below = f"/{name}" if name else ""
            transfer.patiently(partial(system.cp_file, start + below, end + below))
        return set(_tags(transfer.listing(system, end), end)) == set(expected)
    except Exception:  # larger than one request may copy, another bucket: it is carried instead
        return False


def _files_at(system: Any, path: str) -> list[transfer.Entry] | transfer.Entry | None:
    try:
        return transfer.listing(system, path)
    except Exception as fault:
        if answer.is_absent(fault):
            return None
        raise


def read_text(location: str, base: str | None = None) -> str | None:
    """Return the text at a location, or None if nothing is there. Raises StepError where it cannot be known."""
    if not is_remote(location):
        try:
            return local(location, base).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
    with _told(location, "read"):
        system, path = _system(location)
        try:
            found: bytes = transfer.patiently(lambda: system.cat_file(path))
        except Exception as fault:
            if answer.is_absent(fault):
                return None
            raise
        return found.decode("utf-8")


def write_text(location: str, text: str, base: str | None = None) -> None:
    """Write a text to a location, whole or not at all; missing folders are made. Raises StepError or OSError."""
    if not is_remote(location):
        replace_text(local(location, base), text)
        return
    with _told(location, "written"):
        system, path = _system(location)
        system.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
        transfer.patiently(lambda: system.pipe_file(path, text.encode()))


def replace_text(path: Path, text: str) -> None:
    """Put a text at a local path in one move: a reader sees the old file or the new one, after a crash too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".pipec-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide it from the user whom an orchestrator reads as
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _system(location: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it."""
    scheme = location.partition("://")[0]
    try:
        return system_of(location)
    except ValueError as fault:
        raise CallerError(f"`{scheme}://` is no kind of location that is known here: {_first_line(fault)}") from fault
    except ImportError as fault:
        if fault.name == "fsspec":
            raise CallerError(f"`{shown(location)}` needs fsspec: use an image with `pipec[steps]`") from fault
        raise CallerError(f"this image cannot reach `{scheme}://` locations: {_first_line(fault)}") from fault


@contextmanager
def _told(location: str, verb: str) -> Iterator[None]:
    """Turn what a driver raises into a step's end: what cannot heal is the caller's, all else is worth another try."""
    place = shown(location)
    try:
        yield
    except StepError:
        raise
    except transfer.NoRoom as fault:
        raise StepError(
            f"`{place}` does not fit here: it needs {_mib(fault.needed)} and {_mib(fault.free)} are free: "
            "make room where temporary files go (TMPDIR)"
        ) from fault
    except Exception as fault:
        if answer.is_absent(fault):
            raise CallerError(f"nothing is at `{place}`: check the location") from fault
        if answer.is_stale(fault):
            raise CallerError(
                f"`{place}` could not be {verb}: the credentials are missing, unknown or have expired "
                f"({_why(fault, location)}): give the step new ones"
            ) from fault
        if answer.is_denied(fault):
            raise CallerError(f"`{place}` may not be {verb} with this step's rights: check its account") from fault
        if answer.is_full(fault):
            raise StepError(f"`{place}` could not be {verb}: the disk is full: make room") from fault
        if (answer.status(fault) or 500) < 500 and not answer.heals(fault):
            raise CallerError(f"`{place}` could not be {verb} ({_why(fault, location)}): check the location") from fault
        raise TryAgain(
            f"`{place}` could not be {verb} ({_why(fault, location)}): check the connection and try again"
        ) from fault


def _why(fault: Exception, location: str) -> str:
    return answer.reason(fault).replace(location, shown(location))


def _mib(size: int) -> str:
    return f"{-(-size >> 20)} MiB"


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip() or type(fault).__name__).split("\n", 1)[0].rstrip(".")
