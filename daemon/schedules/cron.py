"""Cron expressions in a shop's time zone: when one fires next, and when it should have fired last.

Five fields with the meaning that Unix gives them (`man 5 crontab`): weekdays 0-7 with both ends Sunday, names of months
and weekdays, and *or* between day of month and day of week when neither begins with `*`. cronsim walks the calendar on
plain wall-clock time; what a change of the clocks does to it is decided here, as Debian's cron does (`man 8 cron`):

- An expression whose minute or hour begins with `*` follows real time: nothing at times that don't exist, twice at
  those that come twice.
- Any other names fixed times of the day: one that the clocks jump over fires at the jump, one that comes twice fires
  once, the first time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from daemon.errors import InvalidCronExpression

EXAMPLE = 'write "minute hour day-of-month month weekday", for example "30 2 * * MON-FRI" for 02:30 on working days'
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST = 200  # characters: no honest expression is longer

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
TERM = re.compile(r"(?P<first>\*|[0-9A-Z]+)(?:-(?P<last>[0-9A-Z]+))?(?:/(?P<step>[0-9]+))?", re.ASCII)

SECOND = timedelta(seconds=1)
PROBE = timedelta(days=7)  # shorter than any period between two changes of a zone's offset in our time


@dataclass(frozen=True, slots=True)
class CronExpression:
    """An expression that has been checked. `fields` is what cronsim reads: five fields, numbers only."""

    fields: str
    follows_real_time: bool


@dataclass(frozen=True, slots=True)
class CronCalendar:
    """What an expression names, as numbers; weekdays from 0 for Sunday.

    `needs_both`: whether a day must be one of `days` and of `weekdays`, or need only be one of either.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    needs_both: bool


@dataclass(frozen=True, slots=True)
class CronTimetable:
    """The fire times of one expression in one zone."""

    expression: str
    zone: ZoneInfo

    def next_fire(self, after: datetime) -> datetime | None:
        """See `next_fire`."""
        return next_fire(self.expression, after, self.zone)

    def previous_fire(self, at_or_before: datetime) -> datetime | None:
        """See `previous_fire`."""
        return previous_fire(self.expression, at_or_before, self.zone)


@lru_cache(maxsize=1024)
def parse(expression: str) -> CronExpression:
    """Check an expression, and that it fires at all.

    Raises `InvalidCronExpression` (a `ValueError` too) with the field that is wrong and an example that is right.
    """
    if len(expression) > LONGEST:
        raise InvalidCronExpression(f"a cron expression of {len(expression)} characters is too long; {EXAMPLE}")
    text = " ".join(expression.split())
    if text.startswith("@") and text.lower() not in MACROS:
        raise InvalidCronExpression(f'"{text}" is not one of {", ".join(MACROS)}; or {EXAMPLE}')
    parts = MACROS.get(text.lower(), text).upper().split()
    if len(parts) != len(FIELDS):
        raise InvalidCronExpression(f'"{text}" has {len(parts)} fields instead of 5; {EXAMPLE}')
    fields = [field.normalise(part, text) for field, part in zip(FIELDS, parts, strict=True)]
    parsed = CronExpression(" ".join(fields), fields[0].startswith("*") or fields[1].startswith("*"))
    try:
        next(CronSim(parsed.fields, datetime(2000, 1, 1)))  # noqa: DTZ001 - wall-clock time, of no zone
    except (CronSimError, StopIteration):
        raise InvalidCronExpression(
            f'"{text}" never fires: no such day exists in those months (as the 30th of February); {EXAMPLE}'
        ) from None
    return parsed


def calendar_of(expression: str) -> CronCalendar:
    """What an expression names. Raises `InvalidCronExpression` as `parse` does."""
    walk = CronSim(parse(expression).fields, datetime(2000, 1, 1))  # noqa: DTZ001 - wall-clock time, of no zone
    weekdays = frozenset(day % 7 for day in walk.weekdays if isinstance(day, int))
    return CronCalendar(
        minutes=frozenset(walk.minutes),
        hours=frozenset(walk.hours),
        days=frozenset(walk.days),
        months=frozenset(walk.months),
        weekdays=weekdays,
        needs_both=walk.day_and,
    )


def next_fire(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    """The first fire later than `after`, as aware UTC to the second.

    Args:
        expression: as `parse` takes it.
        after: an aware time.
        zone: whose wall clock the expression is about.

    Raises `InvalidCronExpression` as `parse` does.
    """
    after = _utc(after)
    parsed = parse(expression)
    if parsed.follows_real_time:
        return _next_in_real_time(parsed, after, zone)
    return next(fire for wall in _walls_after(parsed, _wall(after, zone)) if (fire := instant_of(wall, zone)) > after)


def previous_fire(expression: str, at_or_before: datetime, zone: ZoneInfo) -> datetime | None:
    """The latest fire that is not later than `at_or_before`; None if there was none in the 50 years before it.

    Arguments, result and errors as for `next_fire`.
    """
    instant = _utc(at_or_before)
    parsed = parse(expression)
    if parsed.follows_real_time:
        return _previous_in_real_time(parsed, instant, zone)
    local = instant.astimezone(zone)
    wall = _wall(instant, zone)
    if local.fold:  # the first pass through this hour reached later wall-clock times than the present one
        wall += _offset(local.replace(fold=0)) - _offset(local)
    fires = (instant_of(match, zone) for match in _walls_until(parsed, wall))
    return next((fire for fire in fires if fire <= instant), None)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def normalise(self, text: str, expression: str) -> str:
        """The field with numbers for names and lists for ranges; raises when a term is not understood."""
        try:
            return ",".join(self._term(term) for term in text.split(","))
        except ValueError as error:
            raise InvalidCronExpression(f'"{expression}": {error}; {EXAMPLE}') from None

    def _term(self, text: str) -> str:
        match = TERM.fullmatch(text)
        if match is None or (match["first"] == "*" and match["last"]):
            raise ValueError(f'the {self.name} "{text}" is not understood')
        step = int(match["step"] or 1)
        if not 1 <= step <= self.highest:
            raise ValueError(f'the step of the {self.name} "{text}" must be from 1 to {self.highest}')
        if match["first"] == "*":
            return f"*/{step}"
        first = self._number(match["first"])
        last = self.highest if match["step"] else first
        if match["last"]:
            # SUN-TUE begins the week, FRI-SUN ends it
            last = 7 if match["last"] == "SUN" and first > 0 else self._number(match["last"])
        if last < first:
            raise ValueError(f'the {self.name} range "{text}" runs backwards, split it in two with a comma')
        return ",".join(str(value) for value in range(first, last + 1, step))

    def _number(self, text: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.lowest
        if not text.isdigit() or not self.lowest <= int(text) <= self.highest:
            names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(f'the {self.name} must be {self.lowest} to {self.highest}{names}, not "{text}"')
        return int(text)


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("weekday", 0, 7, WEEKDAYS),
)


def _next_in_real_time(parsed: CronExpression, after: datetime, zone: ZoneInfo) -> datetime:
    wall = _wall(after, zone)
    while True:
        offset = _offset(after.astimezone(zone))
        fire = next(_walls_after(parsed, wall)).replace(tzinfo=UTC) - offset
        change = _first_change(zone, after, fire)
        if change is None:
            return fire
        after, wall = change, _wall(change, zone) - SECOND


def _previous_in_real_time(parsed: CronExpression, instant: datetime, zone: ZoneInfo) -> datetime | None:
    while True:
        offset = _offset(instant.astimezone(zone))
        wall = next(_walls_until(parsed, _wall(instant, zone)), None)
        if wall is None:
            return None
        fire = wall.replace(tzinfo=UTC) - offset
        change = _last_change(zone, fire, instant)
        if change is None:
            return fire
        instant = change - SECOND


def _walls_after(parsed: CronExpression, wall: datetime) -> Iterator[datetime]:
    return CronSim(parsed.fields, wall)


def _walls_until(parsed: CronExpression, wall: datetime) -> Iterator[datetime]:
    return CronSim(parsed.fields, wall.replace(microsecond=0) + SECOND, reverse=True)


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first time at which the zone's clocks show `wall`, or jump over it."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall(instant, zone) == wall:
        return instant
    # PEP 495: in a gap, fold=0 counts with the offset before it and so lands after it, fold=1 the other way round
    wall = wall.replace(microsecond=0)  # the jump itself is at a whole second
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    return _change_between(zone, wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant)


def _first_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """When the zone's offset changes first in (after, until]; None if it doesn't."""
    lower = after.replace(microsecond=0)
    while lower < until:
        upper = min(lower + PROBE, until)
        if _offset(lower.astimezone(zone)) != _offset(upper.astimezone(zone)):
            return _change_between(zone, lower, upper)
        lower = upper
    return None


def _last_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """When the zone's offset changed last in (after, until]; None if it didn't."""
    upper = until.replace(microsecond=0)
    while after < upper:
        lower = max(upper - PROBE, after)
        if _offset(lower.astimezone(zone)) != _offset(upper.astimezone(zone)):
            return _change_between(zone, lower, upper)
        upper = lower
    return None


def _change_between(zone: ZoneInfo, lower: datetime, upper: datetime) -> datetime:
    """The second at which the offset changes from that of `lower` to that of `upper`."""
    before = _offset(lower.astimezone(zone))
    while upper - lower > SECOND:
        middle = lower + (upper - lower) // (2 * SECOND) * SECOND
        if _offset(middle.astimezone(zone)) == before:
            lower = middle
        else:
            upper = middle
    return upper


def _offset(local: datetime) -> timedelta:
    offset = local.utcoffset()
    assert offset is not None  # noqa: S101 - only aware times come here
    return offset


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC)
