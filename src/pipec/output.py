"""Writing files whole or not at all: temporary sibling, fsync, rename. A reader never sees half of one.

Several files take their places one after another, each at once. Whoever is killed between two of them leaves the old
and the new beside each other, all of them whole; `pipec compile --check` tells which are not current.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipec.targets.base import File

_TEMPORARY = re.compile(r"\..+\.(?P<pid>[0-9]+)\.tmp")


class OutputError(Exception):
    """Not everything is written; the message is one line: cause, what was changed, and next action."""


def write(folder: Path, files: Iterable[File]) -> tuple[Path, ...]:
    """Write all files below `folder`, and return where they are. Raises OutputError.

    Every file is complete on disk under a temporary name before the first one takes its place.
    """
    staged: list[tuple[Path, Path]] = []
    placed: list[Path] = []
    try:
        for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _clean(path.parent)
            staged.append((_staged(path, file.text), path))
        for temporary, path in staged:
            temporary.replace(path)
            placed.append(path)
        for parent in {path.parent for _, path in staged}:
            _sync(parent)
    except OSError as fault:
        for temporary, _ in staged:
            with suppress(OSError):
                temporary.unlink()
        where = fault.filename2 or fault.filename or str(folder)
        cause = (fault.strerror or str(fault)).lower()
        new = ", ".join(f"`{path}`" for path in placed)
        left = f"{new} {'is' if len(placed) == 1 else 'are'} new already" if placed else "nothing is changed"
        advice = "mend that and compile again, or choose another folder with -o"
        raise OutputError(f"cannot write `{where}`: {cause}; {left}: {advice}") from None
    return tuple(placed)


def stale(folder: Path, files: Iterable[File]) -> tuple[str, ...]:
    """Return the paths of the files that are missing below `folder` or differ there."""
    return tuple(file.path for file in files if _content(folder / file.path) != file.text)


def _content(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _staged(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(text.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _clean(folder: Path) -> None:
    """Remove what processes of this machine that were killed have left in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found and not _is_alive(int(found["pid"])):
                with suppress(OSError):
                    Path(entry.path).unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
