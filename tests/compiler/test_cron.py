"""Cron expressions as sets: held against a calendar of 28 years, in which every date has met every weekday."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from pipec.compiler import cron

DAYS = [date(1973, 1, 1) + timedelta(days=day) for day in range(28 * 366)]
OPEN = ("*/2 * */2 * 1", "0 3 */2 * 1", "0 0 1 * */2")
KNOWN = [
    "*/30 * * * *", "0 3 * * 1", "0 3 * * mon-fri", "5 0,23 * * *", "50,10 * * * *", "0 0 31 * *", "0 0 29 2 *",
    "0 0 1,15 * *", "0 12 28-31 1,2 *", "0 0 13 * fri", "0 0 * jan,dec sun", "59 23 * * 0,6", "0 22 * * 7",
    "15 5/6 * * *", "0 0 */10 * *", "0 0 1 1 *", "0 0 31 12 *", "0 0 1 1,12 *", "30 1 * * 1/3", "0 0 30 2 1",
    "0 0 29 2 1", "0 0 * * 0/2", "0 */23 * * *", "*/59 * * * *",
]  # fmt: skip


def moments(expression: str) -> list[int]:
    """Return the minutes, from the first of the days, at which an expression comes; read anew, from the fields."""
    minute, hour, day, month, weekday = expression.split()
    times = sorted(60 * h + m for h in range(24) for m in range(60) if has(hour, h, 23) and has(minute, m, 59))
    found = []
    for at, one in enumerate(DAYS):
        is_day, is_weekday = has(day, one.day, 31), any(has(weekday, n, 6) for n in sevens(one))
        is_both = is_day and is_weekday if "*" in (day[0], weekday[0]) else is_day or is_weekday
        if is_both and has(month, one.month, 12):
            found += [at * cron.MINUTES_OF_DAY + time for time in times]
    return found


def sevens(one: date) -> tuple[int, ...]:
    return (0, 7) if one.isoweekday() == 7 else (one.isoweekday(),)


def has(field: str, number: int, top: int) -> bool:
    names = {"sun": 0, "mon": 1, "fri": 5, "jan": 1, "feb": 2, "dec": 12}
    for item in field.split(","):
        span, _, every = item.partition("/")
        first, _, last = span.partition("-")
        low = (0 if top in (59, 23, 6) else 1) if first == "*" else names.get(first)
        low = int(first) if low is None else low
        high = names.get(last) if last in names else int(last) if last else (top if every or first == "*" else low)
        if number in range(low, high + 1, int(every or 1)):
            return True
    return False


@pytest.mark.parametrize("expression", KNOWN)
def test_the_shortest_gap_is_that_of_a_calendar(expression: str) -> None:
    found = moments(expression)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    parsed = cron.parsed(expression)
    # In 28 years 29 February comes every fourth; told is the gap of one year, which is shorter than any timeout.
    assert cron.problem(expression) is None
    expected = 366 * cron.MINUTES_OF_DAY if expression == "0 0 29 2 *" else min(gaps)
    assert (parsed.shortest_gap(), parsed.is_due) == (expected, True)


@pytest.mark.parametrize("expression", OPEN)
def test_over_night_nothing_is_told_where_engines_differ(expression: str) -> None:
    gap = {"*/2 * */2 * 1": 2}.get(expression)  # within a day they do not
    assert cron.parsed(expression).shortest_gap() == gap


@pytest.mark.parametrize(
    "expression", ["0 0 31 2 *", "0 0 30,31 2 *", "0 0 31 4,6,9,11 *", "0 0 30 feb *", "* * 31/1 2 *"]
)
def test_a_day_that_no_month_has_never_comes(expression: str) -> None:
    assert cron.problem(expression) is None
    assert (cron.parsed(expression).is_due, moments(expression)) == (False, [])


@pytest.mark.parametrize(
    "expression", ["0 0 31 2 1", "0 0 31 2 */2", "0 0 31 2 0-6", "0 0 29 2 *", "0 0 */31 2 *", "0 0 31 2,3 *"]
)
def test_what_may_come_on_some_engine_is_not_called_never(expression: str) -> None:
    assert cron.parsed(expression).is_due


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * *", "it has 4 fields, not five"), ("60 * * * *", "`60` is no minute (0-59)"),
        ("* * 0 * *", "`0` is no day of the month (1-31)"), ("* * * foo *", "`foo` is no month (1-12)"),
        ("* * * * 8", "`8` is no weekday (0-7)"), ("5-3 * * * *", "`5-3` is no minute (0-59)"),
        ("*/0 * * * *", "`*/0` is no minute (0-59)"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_told_by_its_field(text: str, words: str) -> None:
    assert cron.problem(text) == words


@pytest.mark.parametrize(
    ("number", "name"),
    list(enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)),
)
def test_a_month_has_a_name(number: int, name: str) -> None:
    assert cron.parsed(f"0 0 1 {name} *") == cron.parsed(f"0 0 1 {number} *") == cron.parsed(f"0 0 1 {name.upper()} *")
    assert cron.parsed(f"0 0 1 {name} *").months == {number}
    assert cron.problem(f"0 0 1 {name} *") is None


@pytest.mark.parametrize(("number", "name"), list(enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])))
def test_a_weekday_has_a_name(number: int, name: str) -> None:
    assert cron.parsed(f"0 0 * * {name}").weekdays == {number}
    assert cron.problem(f"0 0 * * {name}") is None
