"""Files between this machine and any fsspec file system: patient, in bounded memory, and checked at the other end.

Every request is made again a few times where that may help. Large objects come in ranges, so that a connection that
breaks costs one range, not the file. Plain code that knows nothing of pipec.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipec import digest
from pipec.steps.data import answer
from pipec.steps.data.remote import is_object_store, put_parts

TRIES = 5
FIRST_WAIT_S = 0.5  # doubles, to 8 s: some ten seconds in all, beside the few that obstore tries by itself
RANGE = 8 << 20  # bytes of one request: large enough to be quick, small enough for any machine
PART = 5 << 20  # bytes: the smallest part that S3 takes of a larger object, and what obstore cuts them to
REREAD = 64 << 20  # bytes: what is uploaded is read again up to here, where its checksum says nothing
_PLAIN = re.compile(r'"?([0-9a-f]{32}(-\d+)?)"?')

T = TypeVar("T")
Moved = Callable[[int], None]  # is told how many more bytes have come or gone


class Short(Exception):
    """What came or went is not what it should be: cut off, changed on the way, or changed meanwhile."""


class NoRoom(Exception):
    """A disk of this machine cannot take it. Sizes in bytes."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"needs {needed} bytes, {free} are free")
        self.needed, self.free = needed, free


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at the other end. size: None where it is not told. tag: changes when its content does; may be empty."""

    path: str
    size: int | None
    tag: str


def patiently(work: Callable[[], T]) -> T:
    """Return what `work` returns, trying again where its fault may heal. Raises its last fault."""
    for number in range(TRIES - 1):
        try:
            return work()
        except Exception as fault:
            if not (isinstance(fault, Short) or answer.heals(fault)) or isinstance(fault, NoRoom):
                raise
        time.sleep(min(FIRST_WAIT_S * 2**number, 8.0) * random.uniform(0.5, 1.0))
    return work()


def listing(system: Any, path: str) -> list[Entry] | Entry:
    """Return the file at `path`, or the files below it if it is a folder. Raises the driver's faults."""
    found = patiently(lambda: _info(system, path))
    if found["type"] != "directory":
        return _entry(path, found)
    below = patiently(lambda: system.find(path, detail=True))
    return [_entry(str(name), below[name]) for name in sorted(below)]


def _info(system: Any, path: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = system.info(path)
    except Exception as fault:
        if answer.status(fault) in (400, 403) and is_object_store(system):
            system.cat_file(path, start=0, end=1)  # HEAD has no body: only an answer to GET says what is wrong
        raise
    return found


def _entry(path: str, found: dict[str, Any]) -> Entry:
    size = found.get("size")
    return Entry(path, size if isinstance(size, int) else None, str(found.get("e_tag") or found.get("ETag") or ""))


def download(system: Any, entry: Entry, target: Path, moved: Moved) -> None:
    """Write a file of a file system to `target`. Raises NoRoom, or the driver's faults."""
    free = shutil.disk_usage(target.parent).free
    if entry.size is not None and entry.size > free:
        raise NoRoom(entry.size, free)
    try:
        patiently(lambda: _download(system, entry, target, moved))
    except OSError as fault:
        if answer.is_full(fault):
            raise NoRoom(entry.size or 0, shutil.disk_usage(target.parent).free) from fault
        raise


def _download(system: Any, entry: Entry, target: Path, moved: Moved) -> None:
    if is_object_store(system) and entry.size is not None:
        _in_ranges(system, entry, entry.size, target, moved)
    else:
        system.get_file(entry.path, str(target))
        moved(target.stat().st_size)
    size = target.stat().st_size
    if entry.size not in (None, size):
        raise Short(f"{size} of {entry.size} bytes came")


def _in_ranges(system: Any, entry: Entry, size: int, target: Path, moved: Moved) -> None:
    with target.open("wb") as stream:
        for data in _ranges(system, entry.path, size):
            stream.write(data)
            moved(len(data))
    if size > RANGE and entry.tag != _entry(entry.path, patiently(lambda: _info(system, entry.path))).tag:
        raise Short("it was changed while it was read")


def _ranges(system: Any, path: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, RANGE):
        end = min(start + RANGE, size)
        yield patiently(partial(_range, system, path, start, end, ranged=size > RANGE))


def _range(system: Any, path: str, start: int, end: int, *, ranged: bool) -> bytes:
    data: bytes = system.cat_file(path, start=start, end=end) if ranged else system.cat_file(path)
    if len(data) != end - start:
        raise Short(f"{len(data)} of {end - start} bytes came")
    return data


def upload(system: Any, source: Path, path: str, moved: Moved) -> None:
    """Write the file `source` to a file system, and see that it arrived whole. Raises the driver's faults, or Short.

    An object store shows an object once it is whole. Where its tag is a plain checksum, that is compared; where it is
    not, or says something else (encrypted objects have other tags), what is there is read again up to a bound.
    """
    patiently(lambda: _upload(system, source, path, moved))


def _upload(system: Any, source: Path, path: str, moved: Moved) -> None:
    size = source.stat().st_size
    sums: list[bytes] = []
    if is_object_store(system):
        put_parts(system, path, _parts(source, sums, moved), PART, is_small=size <= PART)
    else:
        system.put_file(str(source), path)
        moved(size)
    there = _entry(path, patiently(lambda: _info(system, path)))
    if there.size not in (None, size):
        raise Short(f"{there.size} of {size} bytes arrived")
    tag = _PLAIN.fullmatch(there.tag)
    if tag and sums and tag[1] == _checksum(sums):
        return
    if size <= REREAD and _digest_there(system, there, size) != digest.of_path(source):
        raise Short("what arrived is not what was sent")


def _parts(source: Path, sums: list[bytes], moved: Moved) -> Iterator[bytes]:
    with source.open("rb") as stream:
        while True:
            part = stream.read(PART)
            if not part and sums:
                return
            sums.append(hashlib.md5(part, usedforsecurity=False).digest())
            yield part
            moved(len(part))


def _checksum(sums: list[bytes]) -> str:
    """Return the tag that S3 gives an object of these parts, where it is a checksum at all."""
    if len(sums) == 1:
        return sums[0].hex()
    return f"{hashlib.md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"


def _digest_there(system: Any, entry: Entry, size: int) -> str:
    found = hashlib.sha256()
    for data in _ranges(system, entry.path, size):
        found.update(data)
    return f"sha256:{found.hexdigest()}"


def remove(system: Any, path: str) -> None:
    """Remove a file or folder, if it is there."""
    with suppress(FileNotFoundError):
        patiently(lambda: system.rm(path, recursive=True))
