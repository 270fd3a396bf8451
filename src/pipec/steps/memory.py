"""What the kernel says of this container's memory: how much it may use, and whom it killed for using more.

Linux control groups, versions 1 and 2. Apart from who asks, because their files are found in several places.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipec.record import frozen

MOUNT = Path("/sys/fs/cgroup")
_GROUPS = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60  # bytes: version 1 writes a number of this size where there is none


@frozen
class Memory:
    """n_kills: processes killed for memory so far, in this group. limit_mib: what it may use; None without a limit."""

    n_kills: int
    limit_mib: int | None


def measured(mount: Path = MOUNT, groups: Path = _GROUPS) -> Memory | None:
    """Return what is known now, or None on a machine that does not tell."""
    for folder, events, limit in _places(mount, groups):
        n_kills = _counter(folder / events)
        if n_kills is not None:
            return Memory(n_kills, _limit(folder / limit))
    return None


def _places(mount: Path, groups: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield where the files may be: a container sees its own group at the mount, a plain process at its path below."""
    try:
        listed = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        listed = []
    paths = {names: path.lstrip("/") for _, names, path in (entry for entry in listed if len(entry) == 3)}
    below = next((path for names, path in paths.items() if "memory" in names.split(",")), "")
    for folder in (mount / "memory" / below, mount / "memory"):
        yield folder, "memory.oom_control", "memory.limit_in_bytes"
    for folder in (mount / paths.get("", ""), mount):
        yield folder, "memory.events", "memory.max"


def _counter(path: Path) -> int | None:
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    return next((int(line[1]) for line in lines if len(line) == 2 and line[0] == "oom_kill"), None)


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) >> 20 if text.isdecimal() and int(text) < _NO_LIMIT else None
