"""Times as a person gives them to a command: `22:00`, `2026-11-28`, `2026-11-28 22:00`, `90m`, `2h`, `3d`.

Ages and times of day are of the past, or of what is to come: the command knows which it asks for.
"""

import re
from datetime import datetime, time, timedelta, tzinfo

import typer

AGES = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
AGE = re.compile(r"(\d{1,6})([mhd])")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})")


def read_moment(text: str, now: datetime) -> datetime:
    """The time that the text means, aware: of a time of day the last that there was, of an age that long ago.

    Args:
        now: in the shop's zone, in which the text is read.

    Raises:
        typer.BadParameter: it means none.
    """
    return _read(text, now, -1, "how long ago")


def read_end(text: str, now: datetime) -> datetime:
    """As `read_moment`, of what is to come: of a time of day the next that there is, of a length of time its end."""
    return _read(text, now, 1, "for how long")


def _read(text: str, now: datetime, direction: int, by_age: str) -> datetime:
    text = text.strip()
    try:
        if age := AGE.fullmatch(text):
            return now + direction * int(age[1]) * AGES[age[2]]
        if clock := CLOCK.fullmatch(text):
            return _nearest(time(int(clock[1]), int(clock[2])), now, direction)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f'{text!r} is no time: say "22:00", "2026-11-28", "2026-11-28 22:00", or {by_age}: 90m, 2h, 3d'
        ) from None
    return moment if moment.tzinfo is not None else _in_zone(moment, now.tzinfo)


def _nearest(clock: time, now: datetime, direction: int) -> datetime:
    today = _in_zone(datetime.combine(now.date(), clock), now.tzinfo)
    if (today - now) * direction >= timedelta(0):
        return today
    return _in_zone(datetime.combine(now.date() + direction * timedelta(days=1), clock), now.tzinfo)


def _in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment.replace(tzinfo=zone)
