"""Fires of an interval: the same for every daemon, whenever it was started."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.schedules.cron import CronTimetable
from daemon.schedules.interval import IntervalTimetable, make_timetable

YEARS = datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2035-01-01")
MOMENTS = st.datetimes(*YEARS, timezones=st.just(UTC))
MINUTES = st.integers(1, 1440)


@given(MINUTES, MOMENTS)
def test_fires_enclose_a_moment(minutes: int, moment: datetime) -> None:
    """The previous fire is not later, the next one is later, and no further away than the interval."""
    timetable = IntervalTimetable(minutes)
    before, after = timetable.previous_fire(moment), timetable.next_fire(moment)
    assert before <= moment < after
    assert after - before <= timedelta(minutes=minutes)


@given(MINUTES, MOMENTS)
def test_fires_follow_from_each_other(minutes: int, moment: datetime) -> None:
    """Whoever starts to count at whatever moment comes to the same fires."""
    timetable = IntervalTimetable(minutes)
    fire = timetable.next_fire(moment)
    assert timetable.previous_fire(fire) == fire
    assert timetable.next_fire(fire - timedelta(microseconds=1)) == fire


@pytest.mark.parametrize(
    ("minutes", "after", "expected"),
    [
        (15, "2026-11-23T10:07:00+00:00", "2026-11-23T10:15:00+00:00"),
        (15, "2026-11-23T10:15:00+00:00", "2026-11-23T10:30:00+00:00"),
        (7, "2026-11-23T23:57:00+00:00", "2026-11-24T00:00:00+00:00"),
        (1440, "2026-11-23T00:00:00+00:00", "2026-11-24T00:00:00+00:00"),
        (60, "2026-11-23T17:30:00+07:00", "2026-11-23T11:00:00+00:00"),
    ],
)
def test_next_fire(minutes: int, after: str, expected: str) -> None:
    """Multiples of the interval since midnight UTC; each day begins anew."""
    fire = IntervalTimetable(minutes).next_fire(datetime.fromisoformat(after))
    assert fire == datetime.fromisoformat(expected)


def test_an_expression_is_an_interval_or_cron() -> None:
    """Both kinds of timetable come from the text that a schedule shows."""
    zone = ZoneInfo("Asia/Ho_Chi_Minh")
    assert make_timetable("every 15 min", zone) == IntervalTimetable(15)
    assert make_timetable("5 * * * *", zone) == CronTimetable("5 * * * *", zone)
