"""Times as a person gives them to a command: `22:00`, `2026-11-28`, `2026-11-28 22:00`, `90m`, `2h`, `3d`."""

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
    text = text.strip()
    try:
        if age := AGE.fullmatch(text):
            return now - int(age[1]) * AGES[age[2]]
        if clock := CLOCK.fullmatch(text):
            return _last(time(int(clock[1]), int(clock[2])), now)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f'{text!r} is no time: say "22:00", "2026-11-28", "2026-11-28 22:00", or how long ago: 90m, 2h, 3d'
        ) from None
    return moment if moment.tzinfo is not None else _in_zone(moment, now.tzinfo)


def _last(clock: time, now: datetime) -> datetime:
    today = _in_zone(datetime.combine(now.date(), clock), now.tzinfo)
    return today if today <= now else _in_zone(datetime.combine(now.date() - timedelta(days=1), clock), now.tzinfo)


def _in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment.replace(tzinfo=zone)
