"""Processes that outlive their parents: become the one they fall to, see them, and end them. Linux; elsewhere nobody.

Knows process numbers only.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # prctl(2): PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG


def adopt() -> None:
    """Let what our children leave behind become ours, as it does of itself for the first process of a container."""
    if os.getpid() != 1:
        _control(_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Let this process be asked to end when `parent` is gone, however that ended."""
    _control(_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def _control(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    with suppress(ImportError, OSError, AttributeError):
        import ctypes  # 10 ms of every start that does not need it

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def is_alone() -> bool:
    """Say whether this process has no child, running or ended."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def children() -> dict[int, str]:
    """Return the running children of this process, with the names of their programs."""
    own, found = os.getpid(), {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = place.read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:
            continue  # gone
        state, parent, *_ = rest.split()
        if int(parent) == own and state not in "ZX":
            found[int(place.parent.name)] = head.partition("(")[2]
    return found


def kill(pids: dict[int, str]) -> None:
    """Kill these processes; what they leave behind becomes ours, and is seen by `children`."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
