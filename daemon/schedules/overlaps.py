"""Schedules that ask for the very same work at the same minute: one of them is pointless."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, NamedTuple

from daemon.schedules.interval import make_timetable
from daemon.schedules.model import ScheduleSpec, Timetable

AHEAD = timedelta(days=7)
MINUTE = timedelta(minutes=1)


class Overlap(NamedTuple):
    """Two schedules of the same work, and the first minute at which both fire; aware, in the zone of the first."""

    first: ScheduleSpec
    second: ScheduleSpec
    minute: datetime


def find_overlaps(works: Sequence[tuple[ScheduleSpec, Mapping[str, Any]]], after: datetime) -> Iterator[Overlap]:
    """The overlaps within a week.

    Args:
        works: each schedule with the canonical params of its job: what is equal is the same work.
        after: aware UTC.
    """
    for (first, params), (second, others) in combinations(works, 2):
        if (first.store, first.job_type, params) != (second.store, second.job_type, others):
            continue
        one, other = (make_timetable(spec.expression, spec.zone) for spec in (first, second))
        minute = _first_common_minute(one, other, after)
        if minute is not None:
            yield Overlap(first, second, minute.astimezone(first.zone))


def _first_common_minute(one: Timetable, other: Timetable, after: datetime) -> datetime | None:
    moment, end = after, after + AHEAD
    while True:
        fire = one.next_fire(moment)
        if fire is None or fire > end:
            return None
        minute = fire.replace(second=0, microsecond=0)
        met = other.next_fire(max(minute - timedelta(seconds=1), after))
        if met is None:
            return None
        if met < minute + MINUTE:
            return minute
        # Nothing of the other one happens before it: continue just there.
        moment = max(fire, met.replace(second=0, microsecond=0) - timedelta(seconds=1))
