"""Filters of pulls: what values each accepts, as a JSON Schema, and how these are read into one canonical form."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from daemon.errors import InvalidFilter
from daemon.i18n import gettext as _
from daemon.i18n import mark

Reader = Callable[[str, object], object]
Schema = Mapping[str, Any]

MAX_IDS = 100  # Nhanh documentation: `ids` holds at most 100
LARGEST_NUMBER = 10**18 - 1  # so that PostgreSQL's bigint and orjson hold it
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
POSITIVE = "[1-9][0-9]{0,17}"
UNIX_START = -62_135_596_800  # seconds: the first one of the year 1, as far back as Python goes
UNIX_END = 253_402_300_799  # seconds: the last one of the year 9999


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter.

    Args:
        about: what it narrows a pull to, for a person.
        read: makes its value canonical JSON, or raises InvalidFilter with a plain sentence.
        forms: JSON Schemas of what it reads, the canonical form first.
    """

    about: str
    read: Reader
    forms: tuple[Schema, ...]

    @property
    def schema(self) -> Schema:
        """What may be given; null is the same as nothing."""
        return {"description": self.about, "anyOf": [*self.forms, {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one kind of rows.

    Args:
        of: the rows, for a person.
        known: the filters by name, in canonical order.
        spans: pairs of names; the first must not be later than the second.
    """

    of: str
    known: Mapping[str, Filter]
    spans: tuple[tuple[str, str], ...] = ()

    def normalise(self, given: Mapping[str, object]) -> dict[str, object]:
        """Filters in canonical JSON form: equal pulls have equal filters. Those whose value is None are left out.

        Raises:
            InvalidFilter: an unknown filter or an invalid value, in a plain sentence.
        """
        if given.keys() - self.known.keys():
            raise InvalidFilter(
                _("Unknown filter for {of}; the filters are {known}.").format(
                    of=_(self.of), known=", ".join(self.known)
                )
            )
        values = {name: given.get(name) for name in self.known}
        found = {name: self.known[name].read(name, value) for name, value in values.items() if value is not None}
        for start, end in self.spans:
            if start in found and end in found and str(found[start]) > str(found[end]):
                raise InvalidFilter(_("The filter {start} is later than {end}.").format(start=start, end=end))
        return found

    @property
    def schema(self) -> Schema:
        """What may be given, as `normalise` reads it."""
        return {
            "type": "object",
            "description": mark("Which rows to pull; all if empty."),
            "additionalProperties": False,
            "properties": {name: one.schema for name, one in self.known.items()},
        }


def whole_number(name: str, value: object) -> int:
    """An int, or a string of digits; at most 18 of them."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER:
        return value
    if isinstance(value, str) and WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value.strip())
    raise InvalidFilter(_("The filter {name} must be a whole number of at most 18 digits.").format(name=name))


def choice(about: str, allowed: range) -> Filter:
    """One of a range of digits."""

    def read(name: str, value: object) -> int:
        number = whole_number(name, value)
        if number not in allowed:
            raise InvalidFilter(
                _("The filter {name} must be one of {allowed}.").format(name=name, allowed=", ".join(map(str, allowed)))
            )
        return number

    return Filter(about, read, ({"type": "integer", **_bounds(allowed)}, _string_of(_digits(allowed))))


def numbers(about: str, allowed: range | None = None, *, most: int | None = None) -> Filter:
    """A list of distinct positive numbers in ascending order; one alone and a comma-separated string count as lists.

    Args:
        allowed: a range of digits; None: all numbers.
        most: the maximum number of values.
    """

    def read(name: str, value: object) -> list[int]:
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, list | tuple | set | frozenset) else [items]
        if most is not None and len(items) > most:
            raise InvalidFilter(
                _("The filter {name} takes at most {most} values, not {n}.").format(name=name, most=most, n=len(items))
            )
        found = sorted({whole_number(name, item) for item in items})
        if not found:
            raise InvalidFilter(_("The filter {name} is empty; leave it out to get everything.").format(name=name))
        if allowed is not None and not set(found) <= set(allowed):
            raise InvalidFilter(
                _("The filter {name} takes only {allowed}.").format(name=name, allowed=", ".join(map(str, allowed)))
            )
        if found[0] < 1:
            raise InvalidFilter(_("The filter {name} takes only positive numbers.").format(name=name))
        return found

    number = {"type": "integer", **(_bounds(allowed) if allowed else {"minimum": 1, "maximum": LARGEST_NUMBER})}
    digits = _digits(allowed) if allowed else POSITIVE
    items = {"type": "array", "minItems": 1, "items": {"anyOf": [number, _string_of(digits)]}}
    if most is not None:
        items["maxItems"] = most
    return Filter(about, read, (items, number, _list_of(digits, most)))


def words(about: str, allowed: tuple[str, ...]) -> Filter:
    """A list of distinct words in alphabetical order; a comma-separated string counts as one."""

    def read(name: str, value: object) -> list[str]:
        items = value.split(",") if isinstance(value, str) else value
        found = (
            {str(item).strip().lower() for item in items}
            if isinstance(items, list | tuple | set | frozenset)
            else set()
        )
        if not found or not found <= set(allowed):
            raise InvalidFilter(
                _("The filter {name} must be one of {allowed}.").format(name=name, allowed=", ".join(allowed))
            )
        return sorted(found)

    items = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(allowed)}}
    return Filter(about, read, (items, _list_of(f"({'|'.join(allowed)})", None)))


def text(about: str) -> Filter:
    """A string that is not blank."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise InvalidFilter(_("The filter {name} must be text that is not blank.").format(name=name))
        return value.strip()

    return Filter(about, read, ({"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"},))


def day(about: str) -> Filter:
    """A date, as `yyyy-mm-dd`."""

    def read(name: str, value: object) -> str:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, str):
            try:
                return datetime.strptime(value.strip(), "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
            except ValueError:
                pass
        raise InvalidFilter(_("The filter {name} must be a date such as 2026-10-01.").format(name=name))

    return Filter(about, read, ({"type": "string", "format": "date"},))


def moment(about: str) -> Filter:
    """A time as `2026-10-01T00:00:00Z`: from an aware datetime, ISO 8601 with a zone, or Unix seconds."""

    def read(name: str, value: object) -> str:
        try:
            match value:
                case datetime():
                    found = value
                case bool():
                    raise ValueError
                case int() | float():
                    found = datetime.fromtimestamp(value, UTC)
                case str() if value.strip().isdigit():
                    found = datetime.fromtimestamp(int(value), UTC)
                case str():
                    found = datetime.fromisoformat(value.strip())
                case _:
                    raise ValueError
            if found.tzinfo is None:
                raise ValueError
            return found.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidFilter(
                _("The filter {name} must be a time with a zone such as 2026-10-01T00:00:00Z.").format(name=name)
            ) from error

    seconds = {"type": "number", "minimum": UNIX_START, "maximum": UNIX_END, "description": mark("Unix seconds")}
    return Filter(about, read, ({"type": "string", "format": "date-time"}, seconds, _string_of("[0-9]{1,11}")))


def unix_seconds(canonical: str) -> int:
    """The canonical form of `moment` as Unix seconds."""
    return int(datetime.fromisoformat(canonical).timestamp())


def _bounds(allowed: range) -> Schema:
    return {"minimum": allowed[0], "maximum": allowed[-1]}


def _digits(allowed: range) -> str:
    return f"[{allowed[0]}-{allowed[-1]}]"


def _string_of(pattern: str) -> Schema:
    return {"type": "string", "pattern": rf"^\s*{pattern}\s*$"}


def _list_of(pattern: str, most: int | None) -> Schema:
    """A comma-separated string."""
    further = "" if most is None else most - 1
    return {"type": "string", "pattern": rf"^\s*{pattern}\s*(,\s*{pattern}\s*){{0,{further}}}$"}
