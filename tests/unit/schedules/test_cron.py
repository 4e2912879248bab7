"""Cron expressions: Unix semantics and Debian's way with clock changes, held against a walk through every minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from daemon.errors import ConfigError, InvalidCronExpression
from daemon.schedules import cron

MINUTE = timedelta(minutes=1)
DAYS = 4  # length of the walk

HO_CHI_MINH = ZoneInfo("Asia/Ho_Chi_Minh")
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
SANTIAGO = ZoneInfo("America/Santiago")  # its clocks change at midnight

# A day or two before clocks change, and days on which they don't.
WALKS = [
    (HO_CHI_MINH, datetime(2026, 2, 26, tzinfo=UTC)),
    (HO_CHI_MINH, datetime(2027, 12, 30, tzinfo=UTC)),
    (BERLIN, datetime(2026, 3, 27, 12, tzinfo=UTC)),
    (BERLIN, datetime(2026, 10, 23, 12, tzinfo=UTC)),
    (BERLIN, datetime(2028, 2, 27, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 3, 7, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 10, 31, tzinfo=UTC)),
    (LORD_HOWE, datetime(2026, 4, 3, tzinfo=UTC)),
    (LORD_HOWE, datetime(2026, 10, 2, tzinfo=UTC)),
    (SANTIAGO, datetime(2026, 4, 4, tzinfo=UTC)),
    (SANTIAGO, datetime(2026, 9, 5, tzinfo=UTC)),
]


def next_fires(expression: str, after: datetime, zone: ZoneInfo, count: int) -> list[datetime]:
    """The first `count` fires later than `after`, in order."""
    fires: list[datetime] = []
    for _ in range(count):
        after = cron.next_fire(expression, after, zone)
        fires.append(after)
    return fires


# -- the oracle: knows no calendar arithmetic, looks at the clock on the wall once a minute


@cache
def clock_on_the_wall(zone: ZoneInfo, start: datetime) -> list[tuple[datetime, datetime]]:
    """Each minute of a walk with what the zone's clocks show then, from three hours before it (to see a whole fold)."""
    minutes = range(-3 * 60, DAYS * 24 * 60)
    instants = [start + minute * MINUTE for minute in minutes]
    return [(instant, instant.astimezone(zone).replace(tzinfo=None, fold=0)) for instant in instants]


def field_values(text: str, lowest: int, highest: int) -> set[int]:
    values: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        if first == "*":
            first, last = str(lowest), str(highest)
        elif not last:
            last = str(highest) if step else first
        values.update(value for value in range(int(first), int(last) + 1) if (value - int(first)) % int(step or 1) == 0)
    return values


class Oracle:
    def __init__(self, expression: str) -> None:
        self.fields = expression.split()
        bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
        limits = [field_values(field, *bound) for field, bound in zip(self.fields, bounds, strict=True)]
        self.minutes, self.hours, self.days, self.months, self.weekdays = limits

    def matches(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        day = wall.day in self.days
        weekday = wall.isoweekday() in self.weekdays or wall.isoweekday() % 7 in self.weekdays
        if self.fields[2].startswith("*") or self.fields[4].startswith("*"):
            return day and weekday
        return day or weekday

    def fires(self, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
        follows_real_time = self.fields[0].startswith("*") or self.fields[1].startswith("*")
        seen: datetime | None = None
        for instant, wall in clock_on_the_wall(zone, start):
            if follows_real_time:
                due = self.matches(wall)
            else:  # every time of the day has its turn once, also one that the clocks jumped over or show again
                turn = minutes_until(wall, seen or wall - MINUTE)
                due = any(self.matches(minute) for minute in turn)
                seen = max(seen or wall, wall)
            if due and instant >= start:
                yield instant


def minutes_until(wall: datetime, after: datetime) -> Iterator[datetime]:
    while (after := after + MINUTE) <= wall:
        yield after


# -- strategies


def fields(lowest: int, highest: int) -> st.SearchStrategy[str]:
    value = st.integers(lowest, highest)
    span = st.tuples(value, value).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    step = st.integers(1, highest)
    term = st.one_of(
        value.map(str),
        span,
        st.tuples(st.one_of(st.just("*"), value.map(str), span), step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(term, min_size=1, max_size=3).map(",".join))


any_day = st.just("*")
expressions = st.tuples(
    fields(0, 59),
    st.one_of(fields(0, 23), st.sampled_from(["1", "2", "3", "0-4", "1-3/2", "*/2"])),  # hours at which clocks change
    st.one_of(any_day, fields(1, 31)),
    st.one_of(any_day, any_day, fields(1, 12)),
    st.one_of(any_day, fields(0, 7)),
).map(" ".join)


def valid(expression: str) -> bool:
    try:
        cron.parse(expression)
    except InvalidCronExpression:
        return False
    return True


moments = st.tuples(st.sampled_from(WALKS), st.integers(0, DAYS * 24 * 60 * 60 - 1))


# -- properties


@settings(deadline=None)
@given(expressions, moments)
@example("30 2 * * *", ((BERLIN, datetime(2026, 3, 28, tzinfo=UTC)), 3600))
@example("*/5 3 * * *", ((LORD_HOWE, datetime(2026, 10, 2, tzinfo=UTC)), 86400))
@example("0-59 2 * * *", ((BERLIN, datetime(2026, 10, 24, tzinfo=UTC)), 86400 + 30 * 60 + 1))
@example("5-5/2 0 * * *", ((HO_CHI_MINH, datetime(2026, 2, 26, tzinfo=UTC)), 0))
def test_agrees_with_a_walk_through_every_minute(expression, moment):
    """The next and the previous fire are those that somebody finds who looks at the clock on the wall once a minute."""
    assume(valid(expression))
    (zone, start), seconds = moment
    now = start + timedelta(seconds=seconds)
    end = start + timedelta(days=DAYS)
    fires = list(Oracle(expression).fires(zone, start))

    following = cron.next_fire(expression, now, zone)
    expected = next((fire for fire in fires if fire > now), None)
    assert following == expected if expected else following >= end

    previous = cron.previous_fire(expression, now, zone)
    expected = next((fire for fire in reversed(fires) if fire <= now), None)
    assert previous == expected if expected else previous is None or previous < start


@settings(deadline=None)
@given(expressions, moments)
def test_fires_are_strictly_increasing_whole_minutes_in_utc(expression, moment):
    """Each fire is later than the one before, at second 0, in UTC."""
    assume(valid(expression))
    (zone, start), seconds = moment
    now = start + timedelta(seconds=seconds)
    fires = next_fires(expression, now, zone, 5)
    assert all(earlier < later for earlier, later in pairwise([now, *fires]))
    assert all(fire.tzinfo is UTC and fire.second == fire.microsecond == 0 for fire in fires)


@settings(deadline=None)
@given(expressions, moments, st.integers(1, 10**6 - 1))
def test_previous_and_next_are_each_others_inverse(expression, moment, microseconds):
    """From a fire the previous one is the fire itself; just before it, what lies before; no fire lies between."""
    assume(valid(expression))
    (zone, start), seconds = moment
    now = start + timedelta(seconds=seconds, microseconds=microseconds)
    fire = cron.next_fire(expression, now, zone)
    assert cron.previous_fire(expression, fire, zone) == fire
    before = cron.previous_fire(expression, fire - timedelta(microseconds=1), zone)
    assert before is None or (before <= now and cron.next_fire(expression, before, zone) == fire)


@settings(deadline=None)
@given(st.text(max_size=40) | st.lists(st.text("0123456789*/-,LW#?SUNMO ", max_size=6), max_size=7).map(" ".join))
def test_rubbish_is_refused_in_one_plain_line(text):
    """Whatever is written in the place of an expression, it is accepted and fires, or refused with an example."""
    if valid(text):
        cron.next_fire(text, datetime(2026, 1, 1, tzinfo=UTC), HO_CHI_MINH)
        return
    with pytest.raises(InvalidCronExpression, match=r"30 2 \* \* MON-FRI") as refused:
        cron.parse(text)
    assert len(str(refused.value).splitlines()) == 1


# -- examples


def local_fires(expression: str, after: str, zone: ZoneInfo, count: int) -> list[str]:
    start = datetime.fromisoformat(after).replace(tzinfo=zone)
    fires = next_fires(expression, start, zone, count)
    return [fire.astimezone(zone).strftime("%a %d %b %H:%M %z") for fire in fires]


@pytest.mark.parametrize("weekday", ["0", "7", "SUN", "sun"])
def test_sunday_is_0_and_7(weekday):
    """Weekdays are numbered as Unix does, from Sunday = 0 to Sunday = 7."""
    assert local_fires(f"0 9 * * {weekday}", "2026-10-01", HO_CHI_MINH, 1) == ["Sun 04 Oct 09:00 +0700"]


def test_weekday_names_and_ranges():
    """A week may end with Sunday and begin with it."""
    assert [day[:3] for day in local_fires("0 0 * * FRI-SUN", "2026-09-30T12:00", HO_CHI_MINH, 4)] == [
        "Fri", "Sat", "Sun", "Fri",
    ]  # fmt: skip
    assert [day[:3] for day in local_fires("0 0 * * SUN-MON", "2026-09-30T12:00", HO_CHI_MINH, 3)] == [
        "Sun", "Mon", "Sun",
    ]  # fmt: skip


def test_day_of_month_or_weekday_when_both_are_restricted():
    """`0 0 13 * FRI` is every 13th and every Friday."""
    assert local_fires("0 0 13 * FRI", "2026-10-08", HO_CHI_MINH, 3) == [
        "Fri 09 Oct 00:00 +0700",
        "Tue 13 Oct 00:00 +0700",
        "Fri 16 Oct 00:00 +0700",
    ]


@pytest.mark.parametrize("macro", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@Daily"])
def test_macros(macro):
    """The usual macros mean what crontab(5) says."""
    spelt_out = cron.MACROS[macro.lower()]
    now = datetime(2026, 10, 1, 3, 4, 5, tzinfo=UTC)
    assert next_fires(macro, now, BERLIN, 3) == next_fires(spelt_out, now, BERLIN, 3)


def test_a_fixed_time_in_the_gap_fires_once_right_after_it():
    """02:30 does not exist on the day the clocks go forward: the fire comes at 03:00, and only once."""
    assert local_fires("30 2 * * *", "2026-03-28T12:00", BERLIN, 2) == [
        "Sun 29 Mar 03:00 +0200",
        "Mon 30 Mar 02:30 +0200",
    ]
    assert local_fires("0,30 2 * * *", "2026-03-28T12:00", BERLIN, 2) == [
        "Sun 29 Mar 03:00 +0200",
        "Mon 30 Mar 02:00 +0200",
    ]
    assert local_fires("15 2 * * *", "2026-10-03T12:00", LORD_HOWE, 1) == ["Sun 04 Oct 02:30 +1100"]
    assert local_fires("0 0 * * *", "2026-09-05T12:00", SANTIAGO, 1) == ["Sun 06 Sep 01:00 -0300"]


def test_a_fixed_time_in_the_fold_fires_once():
    """02:30 comes twice on the day the clocks go back: the fire comes at the first."""
    assert local_fires("30 2 * * *", "2026-10-24T12:00", BERLIN, 2) == [
        "Sun 25 Oct 02:30 +0200",
        "Mon 26 Oct 02:30 +0100",
    ]


def test_every_quarter_of_an_hour_follows_real_time():
    """`*/15 * * * *` fires four times in every real hour, whatever the clocks show."""
    spring = next_fires("*/15 * * * *", datetime(2026, 3, 28, 23, tzinfo=UTC), BERLIN, 24)
    autumn = next_fires("*/15 * * * *", datetime(2026, 10, 24, 23, tzinfo=UTC), BERLIN, 24)
    for fires in (spring, autumn):
        assert {later - earlier for earlier, later in pairwise(fires)} == {timedelta(minutes=15)}


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 2 */2"])
def test_what_never_fires_is_refused(expression):
    """A day that does not exist is an error, not an endless search."""
    with pytest.raises(InvalidCronExpression, match="never fires"):
        cron.parse(expression)


def test_leap_day_fires():
    """The 29th of February is rare but real, also across 2100, which is no leap year."""
    zone = HO_CHI_MINH
    assert local_fires("0 0 29 2 *", "2026-01-01", zone, 1) == ["Tue 29 Feb 00:00 +0700"]
    assert cron.next_fire("0 0 29 2 *", datetime(2097, 1, 1, tzinfo=UTC), zone).year == 2104


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("61 * * * *", 'the minute must be 0 to 59, not "61"'),
        ("* 24 * * *", 'the hour must be 0 to 23, not "24"'),
        ("* * * JANUARY *", 'the month must be 1 to 12 or JAN to DEC, not "JANUARY"'),
        ("* * * * 8", 'the weekday must be 0 to 7 or SUN to SAT, not "8"'),
        ("* * * *", "has 4 fields instead of 5"),
        ("0 0 0 * * *", "has 6 fields instead of 5"),
        ("", "has 0 fields instead of 5"),
        ("@reboot", "is not one of @hourly"),
        ("*/0 * * * *", "must be from 1 to 59"),
        ("*/90 * * * *", "must be from 1 to 59"),
        ("30-10 * * * *", "runs backwards"),
        ("1,,2 * * * *", "is not understood"),
        ("* * * * MON#2", "is not understood"),
        ("* " * 5000, "too long"),
    ],
)
def test_errors_name_the_field_and_show_an_example(expression, reason):
    """An error says which field is wrong and why, with an example; a settings model collects it as a ValueError."""
    with pytest.raises(InvalidCronExpression) as caught:
        cron.parse(expression)
    assert reason in str(caught.value)
    assert "30 2 * * MON-FRI" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ConfigError)


def test_times_without_a_zone_are_refused():
    """A naive time is a mistake of the caller."""
    with pytest.raises(ValueError, match="no time zone"):
        cron.next_fire("* * * * *", datetime(2026, 1, 1), HO_CHI_MINH)  # noqa: DTZ001 - that is the mistake
