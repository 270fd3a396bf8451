"""Cron expressions of five fields as sets of numbers: what is wrong with one, whether it ever comes, and how often.

What engines do not agree on is left open: a day that is restricted by `*/n` beside a restricted weekday is a union for
one and an intersection for another, so no shortest gap is told for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pipec.record import frozen

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {"month": _MONTHS, "weekday": _DAYS}
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of the months of a leap year
MINUTES_OF_DAY = 24 * 60


@frozen
class Cron:
    """When a schedule comes. days: of the month, None for any; weekdays: Sunday is 0, None for any.

    is_open: engines differ about how days and weekdays go together.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    is_open: bool

    @property
    def is_due(self) -> bool:
        """Whether there is a day on which it comes: a weekday comes in every month, February has 29 days at most."""
        return self.weekdays is not None or any(self._dates(leap=True))

    def shortest_gap(self) -> int | None:
        """Return the least number of minutes between two of its moments, or None where it is not known.

        Clocks that are set forward or back are left out of account.
        """
        times = sorted(60 * hour + minute for hour in self.hours for minute in self.minutes)
        inside = [later - earlier for earlier, later in pairwise(times)]
        days = self._days_between()
        over_night = [times[0] + days * MINUTES_OF_DAY - times[-1]] if days else []
        return min(inside + over_night, default=None)

    def _days_between(self) -> int | None:
        """Return the least number of days from one day on which it comes to the next, or None if it is not known."""
        if self.is_open:
            return None
        has_dates = any(self._dates(leap=True))
        if self.days is not None and self.weekdays is not None and has_dates:
            return 1  # either counts: in some year a weekday of the list is next to a day of the list
        if self.weekdays is not None:
            ordered = sorted(self.weekdays)
            return min(
                (later - earlier for earlier, later in zip(ordered, [*ordered[1:], ordered[0] + 7], strict=True))
            )
        return min((gap for leap in (True, False) for gap in self._gaps(leap=leap)), default=None)

    def _gaps(self, *, leap: bool) -> Iterator[int]:
        """Yield the days between neighbouring dates of a year, and from its last to the first of the next."""
        dates = list(self._dates(leap=leap))
        yield from (later - earlier for earlier, later in pairwise(dates))
        if dates:
            yield dates[0] + (366 if leap else 365) - dates[-1]

    def _dates(self, *, leap: bool) -> Iterator[int]:
        """Yield the days of a year on which it comes by month and day alone, counted from its first."""
        before = 0
        for month, longest in enumerate(_LENGTHS, 1):
            length = longest - (month == 2 and not leap)
            if month in self.months:
                yield from (before + day for day in range(1, length + 1) if self.days is None or day in self.days)
            before += length


def problem(text: str) -> str | None:
    """Return what keeps a text from being a cron expression of five fields, or None."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields, not five"
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        if not all(_is_item(item, low, high, _NAMES.get(name, ())) for item in field.split(",")):
            return f"`{field}` is no {name} ({low}-{high})"
    return None


def parsed(text: str) -> Cron:
    """Return when a text about which `problem` found nothing comes."""
    fields = text.split()
    minutes, hours, days, months, weekdays = (
        frozenset(number for item in field.split(",") for number in _numbers(item, low, high, _NAMES.get(name, ())))
        for field, (name, low, high) in zip(fields, _FIELDS, strict=True)
    )
    any_day, any_weekday = _is_any(fields[2]), _is_any(fields[4])
    is_open = not any_day and not any_weekday and (fields[2].startswith("*") or fields[4].startswith("*"))
    return Cron(
        minutes=minutes, hours=hours, days=None if any_day else days, months=months,
        weekdays=None if any_weekday else frozenset(day % 7 for day in weekdays), is_open=is_open,
    )  # fmt: skip


def _is_any(field: str) -> bool:
    return field in ("*", "*/1")


def _numbers(item: str, low: int, high: int, names: tuple[str, ...]) -> range:
    """Return what an item of a field stands for; `5/10` goes on to the end, as on all targets."""
    span, slash, every = item.partition("/")
    first, dash, last = span.partition("-")
    top = 6 if names is _DAYS else high  # Sunday is counted once by `*`, and by `1/2` never
    start = low if span == "*" else _number(first, low, names)
    end = _number(last, low, names) if dash else top if slash or span == "*" else start
    assert start is not None and end is not None, f"cron.parsed got an item that is none: {item}"
    return range(start, max(start, end) + 1, int(every) if slash else 1)


def _is_item(item: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    span, slash, every = item.partition("/")
    if slash and not (every.isascii() and every.isdigit() and 0 < int(every[:4]) <= high):
        return False
    if span == "*":
        return True
    first, dash, last = span.partition("-")
    ends = [_number(end, low, names) for end in ((first, last) if dash else (first,))]
    return all(end is not None and low <= end <= high for end in ends) and ends == sorted(ends, key=lambda e: e or 0)


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.lower() in names:
        return names.index(text.lower()) + low
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else None
