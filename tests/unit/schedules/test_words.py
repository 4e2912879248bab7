"""Timetables in words: brief, exact, and the bare expression where they can't be both."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.i18n import Language, spoken
from daemon.schedules.cron import calendar_of
from daemon.schedules.interval import make_timetable
from daemon.schedules.words import in_words

START = datetime(2026, 1, 1, tzinfo=UTC)

# Fields as people write them, of which many say the same in other ways.
MINUTE_FIELDS = [
    "*",
    "*/1",
    "0",
    "30",
    "0,30",
    "*/30",
    "*/15",
    "0-59/15",
    "5,35",
    "*/20",
    "7/10",
    "*/7",
    "*/45",
    "0-30",
]
HOUR_FIELDS = [
    "*",
    "*/1",
    "0",
    "2",
    "2,14",
    "*/2",
    "0-23/2",
    "1/2",
    "8-20",
    "8-20/2",
    "8,9,10",
    "22-23",
    "*/5",
    "8-22/7",
]
DAY_FIELDS = ["*", "*/1", "1", "1,15", "1-31", "1-7", "*/2", "28", "1-31/2", "2-8"]
MONTH_FIELDS = ["*", "1", "1-3", "JAN,FEB,MAR", "2,4", "*/2", "1-12"]
WEEKDAY_FIELDS = ["*", "1", "MON", "0", "7", "1-5", "MON-FRI", "0-7", "*/2", "0,6", "FRI-SUN", "1,3,5"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 min"),
        ("@hourly", "every hour, on the hour"),
        ("30 * * * *", "every hour, at minute 30"),
        ("5,35 * * * *", "every hour, at minutes 5 and 35"),
        ("*/45 * * * *", "every hour, at minutes 0 and 45"),
        ("0 2 * * *", "at 02:00, every day"),
        ("0 8,12,20 * * *", "at 08:00, 12:00 and 20:00, every day"),
        ("15 1/2 * * *", "every 2 h from 01:15"),
        ("0 */5 * * *", "every 5 h from 00:00 to 20:00"),
        ("20 7-22 * * *", "every hour from 07:20 to 22:20"),
        ("40 8-18/2 * * MON-SAT", "every 2 h from 08:40 to 18:40, Monday to Saturday"),
        ("*/15 8-22 * * *", "every 15 min from 08:00 to 22:45"),
        ("30 2 * * 1-5", "at 02:30, Monday to Friday"),
        ("0 9 * * 0,6", "at 09:00, on Saturday and Sunday"),
        ("0 9 * * FRI-SUN", "at 09:00, Friday to Sunday"),
        ("0 0 1 * *", "at 00:00, on day 1 of the month"),
        ("0 0 1-7 * *", "at 00:00, on days 1 to 7 of the month"),
        ("0 0 1,15 * MON", "at 00:00, on days 1 and 15 of the month, and on Monday too"),
        ("0 3 * 1 *", "at 03:00, every day, in January"),
        ("0 3 1 1-3 *", "at 03:00, on day 1 of the month, from January to March"),
        ("every 15 min", "every 15 min"),
        ("every 60 min", "every hour"),
        ("every 1 min", "every minute"),
        ("every 120 min", "every 2 h"),
        ("every 7 min", "every 7 min, counted anew from midnight UTC"),
        ("", "when a person starts it"),
    ],
)
def test_common_shapes(expression: str, words: str) -> None:
    """What most schedules say."""
    assert in_words(expression) == words


@pytest.mark.parametrize(
    "expression",
    [
        "*/7 * * * *",  # not every seven minutes: it starts afresh with the hour
        "0 0 */2 * 1",  # Mondays that are odd days, for a field begins with an asterisk
        "0 0 1-31/2 * *",
        "0,20 1,5,9,13 * * *",
    ],
)
def test_other_shapes_stand_for_themselves(expression: str) -> None:
    """Nothing is said that is only nearly so."""
    assert in_words(expression) == expression


@cache
def expressions_of() -> dict[str, str]:
    """The first expression for which each of the words was found."""
    return {}


@given(
    st.tuples(
        *(st.sampled_from(fields) for fields in (MINUTE_FIELDS, HOUR_FIELDS, DAY_FIELDS, MONTH_FIELDS, WEEKDAY_FIELDS))
    ).map(" ".join)
)
@settings(max_examples=2_000, deadline=None)
def test_the_same_words_mean_the_same_times(expression: str) -> None:
    """Two expressions that are put into the same words fire at the same times."""
    first = expressions_of().setdefault(in_words(expression), expression)
    assert _fires_on(first) == _fires_on(expression)


@given(st.integers(1, 1440))
def test_an_interval_in_words_keeps_its_distance(minutes: int) -> None:
    """What is called every so many minutes or hours is so from any fire to the next, at midnight, too."""
    words = in_words(f"every {minutes} min")
    timetable = make_timetable(f"every {minutes} min", ZoneInfo("UTC"))
    last_of_day = timetable.previous_fire(START - timedelta(seconds=1))
    assert last_of_day is not None
    assert ("anew" in words) == (START - last_of_day != timedelta(minutes=minutes))


def _fires_on(expression: str) -> tuple[frozenset[int], frozenset[int], frozenset[tuple[int, int, int]]]:
    """The minutes, the hours and the days of four years on which an expression fires, with a leap day."""
    calendar = calendar_of(expression)
    days = frozenset(
        (day.year, day.month, day.day)
        for day in (START + timedelta(days=number) for number in range(4 * 365 + 1))
        if day.month in calendar.months
        and (all if calendar.needs_both else any)((day.day in calendar.days, day.isoweekday() % 7 in calendar.weekdays))
    )
    return calendar.minutes, calendar.hours, days


def test_the_words_are_in_the_language_of_whoever_asks() -> None:
    """Also where somebody else has asked for the same expression before."""
    english = in_words("0 2 * * *")
    with spoken(Language.VIETNAMESE):
        assert in_words("0 2 * * *") != english
    assert in_words("0 2 * * *") == english
