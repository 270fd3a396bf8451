"""What a run did, in the order in which it did it: lines that are only ever added, each sealed to the one before.

A line is the canonical JSON of `{"hash", "prev", "record", "seq"}`; `hash` covers the other three, so no byte can
change unseen. A process that dies while writing leaves a piece of a line at the end, which is dropped; anything else
that is not as written stops with its place. Knows no plan: records mean something to `replay.py` only.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import NamedTuple

from pipec import digest
from pipec.engine.outcome import EngineError, Record

START = "sha256:" + "0" * 64  # what the first line is sealed to


class Content(NamedTuple):
    """The whole records at the start of a journal, the bytes they take, and the hash of the last."""

    records: list[Record]
    n_bytes: int
    last: str


def read(path: Path) -> list[Record]:
    """Return the records of the journal at `path`, none if there is no file. Raises EngineError at a damaged one."""
    return _read(path).records


class Journal:
    """A journal to add to. Whoever opens it must hold the run's lock; several threads may add."""

    def __init__(self, path: Path) -> None:
        """Open or begin the journal at `path`, dropping a torn end. Raises EngineError if it is damaged."""
        content = _read(path)
        self.path = path
        self.records = content.records
        self._last = content.last
        self._size = content.n_bytes
        self._lock = threading.Lock()
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if content.records and os.pread(self._handle, 1, content.n_bytes - 1) != b"\n":
                os.pwrite(self._handle, b"\n", content.n_bytes)  # the death came between a line and its end
                self._size += 1
            os.ftruncate(self._handle, self._size)
            os.fsync(self._handle)
        except OSError as fault:
            raise EngineError(f"the journal {path} cannot be written: {fault.strerror}") from fault

    def append(self, record: Record) -> Record:
        """Add `record` and return it; when this returns, it survives a loss of power.

        Raises EngineError, and then nothing was added.
        """
        with self._lock:
            sealed = {"prev": self._last, "record": record, "seq": len(self.records)}
            own = digest.of_value(sealed)
            line = (digest.canonical({"hash": own, **sealed}) + "\n").encode()
            try:
                self._write(line)
            except OSError as fault:
                raise EngineError(
                    f"the journal {self.path} cannot be written: {fault.strerror}; mend that and resume the run"
                ) from fault
            self._size += len(line)
            self._last = own
            self.records.append(record)
            return record

    def _write(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._handle, line[written:], self._size + written)
            os.fsync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._size)
            raise

    def close(self) -> None:
        os.close(self._handle)


def _read(path: Path) -> Content:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Content([], 0, START)
    except OSError as fault:
        raise EngineError(f"the journal {path} cannot be read: {fault.strerror}") from fault
    content = Content([], 0, START)
    while content.n_bytes < len(data):
        end = data.find(b"\n", content.n_bytes)
        line = data[content.n_bytes :] if end < 0 else data[content.n_bytes : end]
        entry = _unseal(line, content)
        if entry is None and end < 0 and not _is_whole(line):
            break  # torn: the beginning of a line whose writing never ended
        if entry is None:
            raise EngineError(
                f"the journal {path} is damaged at byte {content.n_bytes} (record {len(content.records)}): "
                "bring it back from a copy, or begin a new run"
            )
        content.records.append(entry["record"])
        content = Content(content.records, content.n_bytes + len(line) + (end >= 0), entry["hash"])
    return content


def _unseal(line: bytes, before: Content) -> Record | None:
    """Return the entry that `line` is, if it is the one that follows `before`."""
    try:
        entry: Record = json.loads(line)
        sealed = {"prev": before.last, "record": entry["record"], "seq": len(before.records)}
        own = digest.of_value(sealed)
        return entry if line == digest.canonical({"hash": own, **sealed}).encode() else None
    except (ValueError, KeyError, TypeError):
        return None


def _is_whole(line: bytes) -> bool:
    """Say whether a last line without its end is more than a beginning: then it was changed, not torn."""
    try:
        _, end = json.JSONDecoder().raw_decode(line.decode("utf-8", "replace"))
    except ValueError:
        return False
    return end > 0
