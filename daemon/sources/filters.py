"""Reading the values of filters: each reader returns a canonical JSON value, or raises with a plain sentence."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from daemon.errors import InvalidFilter

Reader = Callable[[str, object], object]

MAX_IDS = 100  # Nhanh documentation: `ids` holds at most 100


def normalise(filters: Mapping[str, object], readers: Mapping[str, Reader], *, of: str) -> dict[str, object]:
    """The filters in canonical form, in a fixed order; those whose value is None are left out.

    Raises:
        InvalidFilter: an unknown filter or an unfit value.
    """
    if unknown := sorted(map(str, filters.keys() - readers.keys())):
        raise InvalidFilter(f"There is no filter {', '.join(unknown)} for {of}; there are {', '.join(readers)}.")
    given = {name: filters.get(name) for name in readers}
    return {name: readers[name](name, value) for name, value in given.items() if value is not None}


def whole_number(name: str, value: object) -> int:
    """An int, or a string of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().isascii() and value.strip().removeprefix("-").isdigit():
        return int(value)
    raise InvalidFilter(f"The filter {name} must be a whole number, not {value!r}.")


def choice(allowed: range) -> Reader:
    """One of a range of numbers."""

    def read(name: str, value: object) -> int:
        number = whole_number(name, value)
        if number not in allowed:
            raise InvalidFilter(f"The filter {name} must be one of {', '.join(map(str, allowed))}, not {number}.")
        return number

    return read


def numbers(allowed: range | None = None, *, most: int | None = None) -> Reader:
    """A list of distinct positive numbers in ascending order; one alone and a comma-separated string count as lists."""

    def read(name: str, value: object) -> list[int]:
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, list | tuple | set | frozenset) else [items]
        found = sorted({whole_number(name, item) for item in items})
        if not found:
            raise InvalidFilter(f"The filter {name} is empty; leave it out to get everything.")
        if most is not None and len(found) > most:
            raise InvalidFilter(f"The filter {name} takes at most {most} values, not {len(found)}.")
        if allowed is not None and not set(found) <= set(allowed):
            raise InvalidFilter(f"The filter {name} takes only {', '.join(map(str, allowed))}.")
        if found[0] < 1:
            raise InvalidFilter(f"The filter {name} takes only positive numbers, not {found[0]}.")
        return found

    return read


def text(name: str, value: object) -> str:
    """A string that is not blank."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise InvalidFilter(f"The filter {name} must be a text, not {value!r}.")
    return value.strip()


def day(name: str, value: object) -> str:
    """A date, as `yyyy-mm-dd`."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        try:
            return datetime.strptime(value.strip(), "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
        except ValueError:
            pass
    raise InvalidFilter(f"The filter {name} must be a date such as 2026-10-01, not {value!r}.")


def moment(name: str, value: object) -> str:
    """A time as `2026-10-01T00:00:00Z`: from an aware datetime, ISO 8601 with a zone, or Unix seconds."""
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
        return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidFilter(
            f"The filter {name} must be a time with a zone such as 2026-10-01T00:00:00Z, not {value!r}."
        ) from error


def unix_seconds(canonical: str) -> int:
    """The canonical form of `moment` as Unix seconds."""
    return int(datetime.fromisoformat(canonical).timestamp())
