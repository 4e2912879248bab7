"""Fires at multiples of an interval, counted from midnight UTC: the same on every daemon, whenever it was started."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from daemon.schedules.cron import CronTimetable
from daemon.schedules.model import Timetable

_EVERY = re.compile(r"every ([0-9]{1,4}) min")
MINUTES_OF_DAY = 1440


@dataclass(frozen=True, slots=True)
class IntervalTimetable:
    """Every so many minutes of each UTC day; the last interval of a day is shorter where they do not divide it."""

    minutes: int  # from 1 to 1440

    def next_fire(self, after: datetime) -> datetime:
        """The first fire later than `after`, aware UTC."""
        midnight = _midnight(after)
        number = (after.astimezone(UTC) - midnight) // timedelta(minutes=self.minutes) + 1
        fire = midnight + number * timedelta(minutes=self.minutes)
        return min(fire, midnight + timedelta(days=1))

    def previous_fire(self, at_or_before: datetime) -> datetime:
        """The latest fire not later than `at_or_before`."""
        midnight = _midnight(at_or_before)
        number = (at_or_before.astimezone(UTC) - midnight) // timedelta(minutes=self.minutes)
        return midnight + number * timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class NoTimetable:
    """Of a preset, which a person starts."""

    def next_fire(self, after: datetime) -> None:
        """There is none."""

    def previous_fire(self, at_or_before: datetime) -> None:
        """There was none."""


def make_timetable(expression: str, zone: ZoneInfo) -> Timetable:
    """The fire times of an interval, "every 15 min", of a cron expression in a zone, or of "", which never fires."""
    if not expression:
        return NoTimetable()
    minutes = interval_of(expression)
    return CronTimetable(expression, zone) if minutes is None else IntervalTimetable(minutes)


def interval_of(expression: str) -> int | None:
    """The minutes between two fires of an interval; None of any other expression."""
    interval = _EVERY.fullmatch(expression)
    return int(interval[1]) if interval is not None else None


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
