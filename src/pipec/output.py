"""Writing files whole or not at all: temporary sibling, fsync, rename. A reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipec.targets.base import File


class OutputError(Exception):
    """Nothing was changed; the message is one line: cause and next action."""


def write(folder: Path, files: Iterable[File]) -> tuple[Path, ...]:
    """Write all files below `folder`, and return where they are. Raises OutputError.

    Every file is complete on disk under a temporary name before the first one takes its place.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.append((_staged(path, file.text), path))
        for temporary, path in staged:
            temporary.replace(path)
        for parent in {path.parent for _, path in staged}:
            _sync(parent)
    except OSError as fault:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        where = fault.filename or str(folder)
        cause = (fault.strerror or str(fault)).lower()
        raise OutputError(f"cannot write `{where}`: {cause}; choose another folder with -o") from None
    return tuple(path for _, path in staged)


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
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
