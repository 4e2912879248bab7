"""By when a stream is expected to be complete again, and from when on it is late: arithmetic on times alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from daemon.schedules.model import ScheduleSpec

UNKNOWN_DURATION: Final = timedelta(minutes=30)  # of a stream that has never been complete: a first pull is a long one
SHORTEST_GRACE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Expectation:
    """When a schedule lets a stream be expected.

    Args:
        by: the fire that comes first and the usual duration after it; or when the data becomes too old.
        late_from: when it counts as late. Half of all runs take longer than usual, so that is later than `by`: by the
            usual duration once more, a minute at least.
    """

    schedule: ScheduleSpec
    by: datetime
    late_from: datetime


def expect(
    schedule: ScheduleSpec,
    next_fire: Callable[[datetime], datetime | None],
    *,
    completed_at: datetime | None,
    known_since: datetime,
    usual: timedelta | None,
) -> Expectation | None:
    """When a stream is to be complete again; None where the schedule does not fire any more.

    Args:
        next_fire: the schedule's first fire after a time.
        completed_at: the end of its last complete run; None: there was none.
        known_since: when the schedule got its timetable, or was resumed: what lies before is not missed.
        usual: how long a run takes, from its fire to its end; None: not known.
    """
    from_when = max(known_since, completed_at) if completed_at is not None else known_since
    if schedule.fresh_within is not None:
        too_old = from_when + schedule.fresh_within
        return Expectation(schedule, too_old, too_old)
    fire = next_fire(from_when)
    if fire is None:
        return None
    takes = usual if usual is not None else UNKNOWN_DURATION
    by = fire + takes
    return Expectation(schedule, by, by + max(takes, SHORTEST_GRACE))


def earliest(expectations: Iterable[Expectation | None]) -> Expectation | None:
    """The one that a stream with several schedules is held to."""
    known = [each for each in expectations if each is not None]
    return min(known, key=lambda each: each.late_from, default=None)
