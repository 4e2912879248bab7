"""Time zones by their IANA names."""

import re
import unicodedata
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

VIETNAM = "Asia/Ho_Chi_Minh"
# What people write for the zone of Vietnam, without accents and blanks: the IANA database knows one of its cities only.
VIETNAMESE = ("vietnam", "hanoi", "hochiminh", "hcm", "saigon", "danang", "haiphong", "cantho", "indochina")
OF_VIETNAM = 7  # hours ahead of UTC, all year round
VIETNAMESE_CODES = ("vn", "vnm", "ict", "seasiastandardtime")

_OFFSET = re.compile(r"(?:utc|gmt|etc/gmt|z)?([+-]?)(\d{1,2})(?::?(\d{2}))?")
_FARTHEST = {"-": 12, "+": 14, "": 14}  # hours; there are no zones beyond
_BACKWARDS = re.compile(r"Etc/GMT([+-])([1-9]\d?)")


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
    ahead = _hours_ahead(name)
    if ahead == OF_VIETNAM or _is_of_vietnam(name):
        return f'did you mean "{VIETNAM}"?'
    if ahead is not None:
        fixed = f"Etc/GMT{-ahead:+d}"
        return f'write the name of a place, or "{fixed}", whose sign is the other way round, for UTC{ahead:+d}'
    offset = _offset(name)
    if offset is not None and int(offset[2] + (offset[3] or "")):  # whose nearest name is that of another time
        return f'write the name of a place, such as "{VIETNAM}"'
    by_lower_case = {zone.lower(): zone for zone in available_timezones()}
    by_lower_case |= {zone.rpartition("/")[2]: name for zone, name in by_lower_case.items()}
    close = get_close_matches(name.strip().lower().replace(" ", "_"), by_lower_case, n=1, cutoff=0.7)
    if close:
        return f'did you mean "{by_lower_case[close[0]]}"?'
    return 'write an IANA name such as "Asia/Ho_Chi_Minh"'


def _is_of_vietnam(name: str) -> bool:
    """Whether a name that is none stands for Vietnam: this is where the shops are."""
    unaccented = unicodedata.normalize("NFD", name.lower().replace("đ", "d"))
    plain = "".join(letter for letter in unaccented if letter.isascii() and letter not in " _-.")
    return any(word in plain for word in VIETNAMESE) or plain in VIETNAMESE_CODES


def _hours_ahead(name: str) -> int | None:
    """How far ahead of UTC an offset such as GMT+7 or +07:00 is; None if it is not an offset in whole hours."""
    offset = _offset(name)
    if offset is None or int(offset[3] or 0) or not 0 < int(offset[2]) <= _FARTHEST[offset[1]]:
        return None
    return -int(offset[2]) if offset[1] == "-" else int(offset[2])


def _offset(name: str) -> re.Match[str] | None:
    plain = unicodedata.normalize("NFKC", name).lower().replace(" ", "").replace("−", "-")
    return _OFFSET.fullmatch(plain.strip("()"))


def doubt(zone: ZoneInfo) -> str | None:
    """What a person should know of a zone that may not be the one that they mean; None where there is nothing."""
    backwards = _BACKWARDS.fullmatch(str(zone))
    if backwards is None:
        return None
    sign, hours = backwards[1], backwards[2]
    side, other = ("behind", "-") if sign == "+" else ("ahead of", "+")
    meant = VIETNAM if (sign, hours) == ("+", "7") else f"Etc/GMT{other}{hours}"
    return (
        f'the sign of "{zone}" is the other way round: it is {hours} hours {side} UTC. If you mean UTC{sign}{hours}, '
        f'write "{meant}"'
    )
