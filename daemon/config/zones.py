"""Time zones by their IANA names."""

from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def to_zone(value: object) -> ZoneInfo:
    """The zone of an IANA name. Raises `ValueError` with the nearest name that exists."""
    if isinstance(value, ZoneInfo):
        return value
    if not isinstance(value, str):
        raise ValueError('must be the name of a time zone in quotes, such as "Asia/Ho_Chi_Minh"')
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Asia" is a directory
        raise ValueError(f'"{value}" is not a time zone: {_suggestion(value)}') from None


def _suggestion(name: str) -> str:
    by_lower_case = {zone.lower(): zone for zone in available_timezones()}
    by_lower_case |= {zone.rpartition("/")[2]: name for zone, name in by_lower_case.items()}
    close = get_close_matches(name.strip().lower().replace(" ", "_"), by_lower_case, n=1, cutoff=0.7)
    if close:
        return f'did you mean "{by_lower_case[close[0]]}"?'
    return 'write an IANA name such as "Asia/Ho_Chi_Minh"'
