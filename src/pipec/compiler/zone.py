"""Time zones, as the IANA's list has them, whatever the machine has. The only door to tzdata.

Sources: the Python package of that name, its file `zones` and its data; their form: RFC 9636.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from pathlib import Path

_HEADER = struct.Struct(">4sc15x6l")
# How a zone goes on after its last listed change, if that is one offset for ever (POSIX; its sign is that of the west).
_FIXED = re.compile(r"(?:<[^>]+>|[A-Za-z]{3,})([+-]?)(\d{1,3})(?::(\d{2}))?")


def is_known(name: str) -> bool:
    """Say whether a time zone has a name, letter by letter."""
    return name == "UTC" or name in names()


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """Return all names, those of old among them."""
    return frozenset(_folder().with_name("zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=64)
def fixed_offset(name: str) -> int | None:
    """Return the minutes by which a zone is east of UTC, or None where its clocks change, or lately did.

    A zone counts as one that stays as it is if nothing changed since the year before that of the list: no clock is
    asked, so the answer is that of the installed list.
    """
    if name == "UTC":
        return 0
    if name not in names():
        return None
    import tzdata

    data = _folder().joinpath(*name.split("/")).read_bytes()
    changes, rule = _read(data)
    found = _FIXED.fullmatch(rule)
    year = int(str(tzdata.IANA_VERSION)[:4]) - 1
    if found is None or any(change >= _seconds(year) for change in changes):
        return None
    minutes = 60 * int(found[2]) + int(found[3] or 0)
    return minutes if found[1] == "-" else -minutes


def _folder() -> Path:
    import tzdata  # lazily: most schedules are in UTC

    return Path(str(tzdata.__file__)).with_name("zoneinfo")


def _seconds(year: int) -> int:
    """Return when a year begins, in seconds since 1970: near enough to tell one year from another."""
    return int((year - 1970) * 365.2425 * 86400)


def _read(data: bytes) -> tuple[tuple[int, ...], str]:
    """Return when a zone's clocks change, in seconds since 1970, and the rule that holds afterwards."""
    at = _HEADER.size + _size(data, 0, 4)
    *_, n_changes, _, _ = _HEADER.unpack_from(data, at)
    changes = struct.unpack_from(f">{n_changes}q", data, at + _HEADER.size)
    rule = data[at + _HEADER.size + _size(data, at, 8) :]
    return changes, rule.decode("ascii").strip("\n")


def _size(data: bytes, at: int, width: int) -> int:
    """Return the length of the block behind the header at `at`. width: of a time, in bytes."""
    _, _, n_ut, n_std, n_leap, n_changes, n_types, n_chars = _HEADER.unpack_from(data, at)
    size: int = n_changes * (width + 1) + n_types * 6 + n_chars + n_leap * (width + 4) + n_std + n_ut
    return size
