"""A cron expression of five fields at another offset from UTC: the same moments, or nothing.

Only what is exact is given: a day that moves over the end of a month, or times that no single expression has, are left
to whoever asked. Knows of no time zone by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from pipec.compiler.cron import MINUTES_OF_DAY, Cron, parsed

_EVERY_MONTH = frozenset(range(1, 13))
_SAFE_DAYS = frozenset(range(2, 28))  # with a neighbour on either side in every month


def shifted(text: str, minutes: int) -> str | None:
    """Return the expression that comes `minutes` later than `text` does, or None where no expression does.

    text: one about which `cron.problem` found nothing.
    """
    if minutes == 0:
        return text
    cron, fields = parsed(text), text.split()
    moved = [60 * hour + minute + minutes for hour, minute in product(cron.hours, cron.minutes)]
    days = {time // MINUTES_OF_DAY for time in moved}
    every_day = cron.days is None and cron.weekdays is None and cron.months == _EVERY_MONTH
    if not every_day and (len(days) > 1 or (days != {0} and not _may_move(cron))):
        return None
    times = {divmod(time % MINUTES_OF_DAY, 60) for time in moved}
    hours, rest = {hour for hour, _ in times}, {minute for _, minute in times}
    if len(times) != len(hours) * len(rest):
        return None  # half an hour makes of 9:15 and 9:45 two hours with a minute of their own each
    day = 0 if every_day else days.pop()
    return " ".join(
        (
            _listed(rest, 60),
            _listed(hours, 24),
            fields[2] if day == 0 or cron.days is None else _listed({n + day for n in cron.days}),
            fields[3],
            fields[4] if day == 0 or cron.weekdays is None else _listed({(n + day) % 7 for n in cron.weekdays}),
        )
    )


def _may_move(cron: Cron) -> bool:
    """Say whether all days of an expression have the same neighbours in every month and year."""
    if cron.is_open:
        return False
    by_weekday = cron.weekdays is not None
    if by_weekday and cron.months != _EVERY_MONTH:
        return False
    return (cron.days is None and by_weekday) or (cron.days is not None and cron.days <= _SAFE_DAYS)


def _listed(numbers: Iterable[int], whole: int = 0) -> str:
    found = sorted(numbers)
    return "*" if len(found) == whole else ",".join(map(str, found))
