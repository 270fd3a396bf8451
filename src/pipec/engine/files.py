"""Writing so that a reader sees the old file or the new one, and a machine that loses power keeps what was promised.

Everything durable in the engine goes through here. Knows no run and no plan.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o444, 0o555  # set outright: a umask of 077 or 000 must not show in the store


def make_folder(path: Path) -> None:
    """Make `path` and what is missing above it, durably."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, text: str) -> None:
    """Put `text` at `path`, replacing what was there in one step."""
    with _prepared(path, text) as temporary:
        temporary.replace(path)
    sync(path.parent)


def write_new(path: Path, text: str) -> bool:
    """Put `text` at `path` unless something is there already; say whether it was put. Of two writers one wins."""
    with _prepared(path, text) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
    sync(path.parent)
    return True


@contextlib.contextmanager
def _prepared(path: Path, text: str) -> Iterator[Path]:
    """Lend a whole, synced file beside `path` that holds `text`; it is gone afterwards unless it was renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def walk(path: Path) -> Iterator[Path]:
    """Yield everything below `path` without following links, a folder after what it holds, then `path`."""
    if path.is_dir() and not path.is_symlink():
        for below in sorted(path.iterdir()):
            yield from walk(below)
    yield path


def seal(path: Path) -> None:
    """Make an artifact durable and read-only, but for the folder at its top: renaming a folder needs to write it."""
    for each in walk(path):
        if each.is_symlink():
            continue
        if each != path or each.is_file():
            each.chmod(FOLDER_MODE if each.is_dir() else FILE_MODE)
        if each.is_file() or each.is_dir():
            sync(each)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, read-only folders too; nothing there is no fault."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for each in walk(path):
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o700)
    shutil.rmtree(path)


def signature(path: Path) -> tuple[tuple[str, int, int, int, int], ...]:
    """Return what changes when anything below `path` is written: names, inodes, sizes and times. Raises OSError."""
    found = []
    for each in walk(path):
        stat = each.lstat()
        found.append((str(each), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)
