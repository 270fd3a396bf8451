"""One engine per run: who holds it is written down with what tells a process from a later one of the same number.

The kernel's file lock decides between two that come at once and lets go when its holder dies; the written identity
names the holder in messages, and guards file systems whose locks do nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from pipec.engine.outcome import EngineError

Identity: TypeAlias = "dict[str, str | int]"
HANDOVER_S = 5.0  # far longer than a process takes from fork to exec, on a machine that is swapping too


@contextlib.contextmanager
def hold(path: Path, run_id: str) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block. Raises EngineError naming the process that has it."""
    handle = grab(path, run_id)
    if handle is None:
        raise EngineError(f"run {run_id} is already going on in process {(holder(path) or {}).get('pid', '?')}")
    try:
        yield
    finally:
        release(handle)


def grab(path: Path, run_id: str) -> int | None:
    """Take the lock at `path` and return its handle, or None if a live process has it. Raises EngineError.

    The lock is held until the handle is closed, or the process ends. run_id: what others are told, with the process.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _take(handle):
            write_identity(handle, run_id)
            return handle
        os.close(handle)
    except OSError as fault:
        raise EngineError(f"{path} cannot be written: {fault.strerror}") from fault
    return None


def write_identity(handle: int, run_id: str) -> None:
    """Write down who holds a lock that `grab` took, for which run, and since when."""
    before = _read(handle)
    since = before.get("since") if before.get("pid") == os.getpid() else None
    _write(handle, json.dumps({**identity(os.getpid()), "run": run_id, "since": since or f"{time.time_ns():020}"}))


def release(handle: int) -> None:
    """Give a lock back that `grab` took, and take the holder's name away: its process may go on."""
    with contextlib.suppress(OSError):
        _write(handle, "")
    os.close(handle)


def holder(path: Path) -> Identity | None:
    """Return who holds the lock at `path`, as far as it is written down, or None if nobody alive does."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        found = _read(handle)
        is_free = _taken(handle, shared=True)
        return found if not is_free or _is_other(found) else None
    finally:
        os.close(handle)


def lives(holder: Identity) -> bool:
    """Say whether `holder` is a live process other than this one."""
    return _is_other(holder)


def _take(handle: int) -> bool:
    """Take the lock, unless a live process has it."""
    return _taken(handle) and not _is_other(_read(handle))


def _taken(handle: int, *, shared: bool = False) -> bool:
    """Take the kernel's lock, unless it says that somebody has it.

    An engine that was killed while it started a step leaves a copy of itself that holds the lock until that has become
    the step: a moment later it is free. So the kernel's no is believed at once only with a live holder's name to it.
    """
    deadline = time.monotonic() + HANDOVER_S
    while not _lock(handle, shared=shared):
        if _is_other(_read(handle)) or _read(handle).get("pid") == os.getpid() or time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_held(path: Path) -> bool:
    """Say whether a live engine holds the lock at `path`."""
    return holder(path) is not None


def identity(pid: int) -> Identity:
    """Return what tells process `pid` from every other one, before and after: start time and boot (Linux), or less."""
    boot = _text("/proc/sys/kernel/random/boot_id").strip()
    # proc(5): field 22 of stat is the start time; the second field is a name in brackets that may hold spaces.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return {"pid": pid, "start": fields[19] if len(fields) > 19 else "", "boot": boot}


def _lock(handle: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: the identity alone must do
    return True


def _is_other(holder: Identity) -> bool:
    """Say whether `holder` is a live process other than this one."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid == os.getpid() or not _is_alive(pid):
        return False
    return identity(pid).items() <= holder.items()


def _is_alive(pid: int) -> bool:
    """Say whether the process runs; one that is dead and waits to be asked for its exit code does not."""
    if _text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["Z"]:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(handle: int) -> Identity:
    try:
        holder = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:
        return {}  # its writer died while writing it: it never began
    return holder if isinstance(holder, dict) else {}


def _write(handle: int, text: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
    os.fsync(handle)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
