"""By when a stream is expected, and from when on it is late."""

from datetime import UTC, datetime, timedelta
from functools import partial

from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.conditions.expectation import SHORTEST_GRACE, UNKNOWN_DURATION, Expectation, earliest, expect
from daemon.jobs.types import JobType
from daemon.schedules.interval import IntervalTimetable
from tests.support.scenes import NOW, minutes, schedule

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SPANS = st.timedeltas(timedelta(0), timedelta(days=3))
EVERY = st.integers(1, 1440)
SPEC = schedule("customers", JobType.PULL_SHOPIFY_CUSTOMERS)


def expected(every: int, completed_at: datetime | None, known_since: datetime, usual: timedelta | None) -> Expectation:
    found = expect(
        SPEC,
        IntervalTimetable(every).next_fire,
        completed_at=completed_at,
        known_since=known_since,
        usual=usual,
    )
    assert found is not None
    return found


@given(EVERY, MOMENTS, SPANS, SPANS)
def test_a_stream_is_never_late_before_its_next_fire_and_usual_duration(
    every: int, completed_at: datetime, known_before: timedelta, usual: timedelta
) -> None:
    """However often it fires and however long it takes: half of all runs are slower than usual, and late is more."""
    found = expected(every, completed_at, completed_at - known_before, usual)
    fire = IntervalTimetable(every).next_fire(completed_at)
    assert fire is not None
    assert found.by == fire + usual
    assert found.late_from - found.by == max(usual, SHORTEST_GRACE)


@given(EVERY, MOMENTS, SPANS, SPANS)
def test_a_later_run_never_makes_a_stream_late_earlier(
    every: int, completed_at: datetime, later: timedelta, usual: timedelta
) -> None:
    """The more recent the data, the longer it lasts."""
    known_since = completed_at - timedelta(days=30)
    first = expected(every, completed_at, known_since, usual)
    second = expected(every, completed_at + later, known_since, usual)
    assert second.by >= first.by


@given(EVERY, MOMENTS, SPANS)
def test_what_lies_before_a_schedule_was_known_is_not_missed(
    every: int, completed_at: datetime, before: timedelta
) -> None:
    """A schedule that is new, changed or resumed counts from then on, whatever the age of the data."""
    assume(before > timedelta(0))
    known_since = completed_at + before
    assert expected(every, completed_at, known_since, None).by > known_since
    assert expected(every, None, known_since, None) == expected(every, completed_at, known_since, None)


@given(MOMENTS, st.integers(1, 10_000))
def test_a_given_age_holds_instead_of_the_fires(completed_at: datetime, within: int) -> None:
    """`fresh_within_minutes` is exact: nothing is added."""
    spec = schedule("customers", JobType.PULL_SHOPIFY_CUSTOMERS, fresh_within=minutes(within))
    found = expect(
        spec, lambda _: None, completed_at=completed_at, known_since=completed_at - minutes(1), usual=minutes(3)
    )
    assert found is not None
    assert found.by == found.late_from == completed_at + minutes(within)


def test_a_stream_of_several_schedules_is_held_to_the_first() -> None:
    """An hourly pull beside a nightly one of everything; what fires no more says nothing."""
    hourly, daily = (expected(every, NOW, NOW, minutes(1)) for every in (60, 1440))
    never = expect(SPEC, lambda _: None, completed_at=NOW, known_since=NOW, usual=None)
    assert never is None
    assert earliest([daily, never, hourly]) == hourly
    assert earliest([never]) is None


def test_a_first_run_may_take_its_time() -> None:
    """Nothing is known of how long it takes."""
    found = expect(SPEC, partial(lambda after: after), completed_at=None, known_since=NOW, usual=None)
    assert found is not None
    assert found.by == NOW + UNKNOWN_DURATION
