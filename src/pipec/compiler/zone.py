"""Names of time zones, as the IANA's list has them, whatever the machine has. The only door to tzdata.

Source: the file `zones` of the Python package of that name.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path


def is_known(name: str) -> bool:
    """Say whether a time zone has a name, letter by letter."""
    return name == "UTC" or name in names()


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """Return all names, those of old among them."""
    import tzdata  # lazily: most schedules are in UTC

    return frozenset(Path(str(tzdata.__file__)).with_name("zones").read_text(encoding="utf-8").split())
