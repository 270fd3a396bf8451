"""Schedules of time zones whose clocks never change, at the same moments in UTC: by exhaustion, not by example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from pipec.compiler import zone
from pipec.compiler.cron import parsed
from pipec.compiler.plan import Schedule
from pipec.compiler.shift import shifted


def moments(text: str, start: datetime, days: int) -> set[datetime]:
    """Return when an expression comes in so many days, as cron's manual has it: days and weekdays are a union."""
    cron, found = parsed(text), set()
    for n in range(days):
        day = start + timedelta(days=n)
        asked = [day.day in cron.days] if cron.days is not None else []
        asked += [(day.weekday() + 1) % 7 in cron.weekdays] if cron.weekdays is not None else []
        if day.month in cron.months and (any(asked) or not asked):
            found |= {day + timedelta(hours=h, minutes=m) for h, m in product(cron.hours, cron.minutes)}
    return found


CRONS = [
    *("0 3 * * *", "0 3 * * 1", "30 23 * * 0,6", "0 * * * *", "*/15 * * * *", "0 */6 * * *", "0 0 15 * *"),
    *("0 0 1 * *", "0 22 31 * *", "0 12 1 1 *", "0 0 2-27 * 1", "0 3 * 6 *", "15,45 9 * * *", "15 9-17 * * 1-5"),
    *("0 0 28 2 *", "5 0 27 2 *", "0 0 */2 * 1", "59 23 2 3,4 *", "0 1,22 * * 3", "0 3 * 2 5"),
]


@pytest.mark.parametrize("minutes", [-330, 330, 60, -720, 840, -345, 1, -1439])
@pytest.mark.parametrize("cron", CRONS)
def test_a_shifted_schedule_comes_at_the_same_moments_or_is_none(cron: str, minutes: int) -> None:
    text = shifted(cron, minutes)
    if text is None:
        return
    start = datetime(2023, 12, 1)  # four years have a leap day among them
    ours, theirs = moments(cron, start, 1500), moments(text, start, 1500)
    inside = {m for m in ours if start + timedelta(days=3) <= m < start + timedelta(days=1490)}
    shown = {m - timedelta(minutes=minutes) for m in theirs}
    assert inside <= shown
    assert {m for m in shown if start + timedelta(days=3) <= m < start + timedelta(days=1490)} == inside


@pytest.mark.parametrize(
    ("cron", "minutes", "expected"),
    [
        ("0 3 * * 1", -330, "30 21 * * 0"),
        ("0 3 * * *", -60, "0 2 * * *"),
        ("0 * * * *", -330, "30 * * * *"),
        ("15 9-17 * * 1-5", -540, "15 0,1,2,3,4,5,6,7,8 * * 1-5"),
        ("0 0 15 * *", -60, "0 23 14 * *"),
        pytest.param("0 0 1 * *", -60, None, id="over the end of a month"),
        pytest.param("0 12 1 1 *", -60, "0 11 1 1 *", id="within its day"),
        pytest.param("0 3 * 6 *", -330, None, id="the month's first day becomes one of another month"),
        pytest.param("15,45 9 * * *", -330, None, id="two hours with a minute each"),
        pytest.param("0 1,22 * * 3", -180, None, id="two days"),
    ],
)
def test_a_schedule_is_written_as_people_would(cron: str, minutes: int, expected: str | None) -> None:
    assert shifted(cron, minutes) == expected


@pytest.mark.parametrize(
    ("name", "minutes"),
    [("Asia/Kolkata", 330), ("Asia/Tokyo", 540), ("Etc/GMT+5", -300), ("Asia/Kathmandu", 345), ("UTC", 0),
     ("America/Phoenix", -420), ("Europe/Vienna", None), ("Africa/Casablanca", None), ("Nowhere/Land", None)],
)  # fmt: skip
def test_a_zone_has_an_offset_only_if_its_clocks_stay(name: str, minutes: int | None) -> None:
    assert zone.fixed_offset(name) == minutes


def test_every_zone_that_stays_is_where_the_standard_library_has_it() -> None:
    fixed = {name: offset for name in sorted(zone.names()) if (offset := zone.fixed_offset(name)) is not None}
    assert len(fixed) > 200
    for name, offset in fixed.items():
        told = {ZoneInfo(name).utcoffset(datetime(2030, month, 1, tzinfo=UTC)) for month in range(1, 13)}
        assert told == {timedelta(minutes=offset)}, name


def test_a_schedule_knows_its_moments_in_utc() -> None:
    assert Schedule(cron="0 3 * * 1", timezone="Asia/Kolkata").in_utc == "30 21 * * 0"
    assert Schedule(cron="0 3 * * 1").in_utc == "0 3 * * 1"
    assert Schedule(cron="0 3 * * 1", timezone="Europe/Vienna").in_utc is None
