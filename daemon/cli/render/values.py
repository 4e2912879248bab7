"""Values as people read them: numbers, times, what was pushed to Shopify and with what result."""

from datetime import UTC, datetime, tzinfo

from daemon.cli.render.output import plain
from daemon.i18n import gettext as _
from daemon.i18n import number_text
from daemon.tone import Tone

TONE_STYLES = {
    Tone.OK: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "red",
    Tone.RUN: "blue",
    Tone.ASK: "magenta",
    Tone.OFF: "dim",
}
RESULT_STYLES = {"applied": "green", "intended": "cyan", "stale": "yellow", "refused": "red", "unknown": "red"}


def number(value: float) -> str:
    """1,234,567"""
    return number_text(round(value))


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3:05, 2:03:05"""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return _("{n} days").format(n=hours // 24)


def moment(text: str | datetime | None, zone: tzinfo) -> str:
    """A time in the given zone, to the second; a dash for none."""
    if text is None:
        return "-"
    return _time(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def ago(text: str | datetime | None) -> str:
    """How long ago, or in how long: `3:05 ago`, `in 12 s`."""
    if text is None:
        return "-"
    seconds = (datetime.now(UTC) - _time(text)).total_seconds()
    if seconds >= 0:
        return _("{duration} ago").format(duration=duration(seconds))
    return _("in {duration}").format(duration=duration(-seconds))


def lasting(since: str | datetime) -> str:
    """For how long by now: `3:05`, `12 s`."""
    return duration(max((datetime.now(UTC) - _time(since)).total_seconds(), 0.0))


def value(text: str | None) -> str:
    """A pushed value; a dash where there is none."""
    return "–" if text is None else plain(text)


def _time(text: str | datetime) -> datetime:
    """What a record has as a time, and JSON within it as text."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text
