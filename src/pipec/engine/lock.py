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

from pipec.engine.outcome import EngineError

HANDOVER_S = 5.0  # far longer than a process takes from fork to exec, on a machine that is swapping too


@contextlib.contextmanager
def hold(path: Path, run_id: str) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block. Raises EngineError naming the process that has it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as fault:
        raise EngineError(f"{path} cannot be written: {fault.strerror}") from fault
    try:
        if not _take(handle):
            raise EngineError(f"run {run_id} is already going on in process {_read(handle).get('pid', '?')}")
        try:
            _write(handle, json.dumps(identity(os.getpid())))
        except OSError as fault:
            raise EngineError(f"{path} cannot be written: {fault.strerror}") from fault
        yield
        _write(handle, "")
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    """Take the lock, unless a live process has it.

    An engine that was killed while it started a step leaves a copy of itself that holds the lock until that has become
    the step: a moment later it is free. So the kernel's no is believed at once only with a live holder's name to it.
    """
    deadline = time.monotonic() + HANDOVER_S
    while not _lock(handle):
        if _is_other(_read(handle)) or _read(handle).get("pid") == os.getpid() or time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return not _is_other(_read(handle))


def is_held(path: Path) -> bool:
    """Say whether a live engine holds the lock at `path`."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(handle, shared=True) or _is_other(_read(handle))
    finally:
        os.close(handle)


def identity(pid: int) -> dict[str, str | int]:
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


def _is_other(holder: dict[str, str | int]) -> bool:
    """Say whether `holder` is a live process other than this one."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid == os.getpid() or not _is_alive(pid):
        return False
    return identity(pid) == holder


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


def _read(handle: int) -> dict[str, str | int]:
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
