"""What members of requests may be, said once for the server, which checks them, and for whoever sends them.

The limits are those of `annotated_types`, and `field(metadata=…)` holds what further there is to say: pydantic reads
both, and nobody else has to. A class that is sent as a body has `__pydantic_config__`, how strictly it is read.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

from annotated_types import Ge, Le, Len, MaxLen

J = TypeVar("J")  # JSON

DEEPEST: Final = 32  # levels of nesting in a body
LARGEST_ID: Final = 2**63 - 1  # bigint
INT64: Final = range(-(2**63), 2**63)  # what orjson and PostgreSQL take
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
STORE_PATTERN: Final = r"^[A-Za-z0-9_-]{1,63}$"
NUMBER_CURSOR_PATTERN: Final = r"^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"  # 8 bytes, of a number not negative

STRICT: Final[Mapping[str, Any]] = {"extra": "forbid", "strict": True}
LENIENT: Final[Mapping[str, Any]] = {"extra": "forbid"}  # text may stand for a number, as in a query


def require_storable(value: J, depth: int = 0) -> J:
    """The JSON value; raises ValueError for what PostgreSQL or orjson could not hold."""
    match value:
        case _ if depth > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} levels deep")
        case str() if "\0" in value:
            raise ValueError("holds a NUL character")
        case bool():
            pass
        case int() if value not in INT64:
            raise ValueError("holds a number that is too large")
        case float() if not math.isfinite(value):
            raise ValueError("holds a number that is not finite")
        case list():
            for item in value:
                require_storable(item, depth + 1)
        case dict():
            for key, item in value.items():
                require_storable(key)
                require_storable(item, depth + 1)
        case _:
            pass
    return value


class Storable:
    """Marks a member that must be storable, as `pydantic.AfterValidator(require_storable)` would."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Mapping[str, Any]:
        """How pydantic checks it: its own schema, by the form of https://docs.pydantic.dev/latest/api/pydantic_core_schema/"""
        checked = {"type": "no-info", "function": require_storable}
        return {"type": "function-after", "schema": handler(source), "function": checked}


STORABLE: Final = Storable()


def read_moment(value: object) -> datetime:
    """A time of RFC 3339 as text. Raises ValueError for any other form: without a zone it would mean anything.

    One that lies beyond all that can be stored is the first or last moment that can be.
    """
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise ValueError("must be a time with its zone, such as 2026-11-29T07:00:00+07:00")
    return min(max(datetime.fromisoformat(value), EARLIEST), LATEST)


class Aware:
    """Marks a time that must have a zone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Mapping[str, Any]:
        """How pydantic reads it, as for `Storable`."""
        read = {"type": "no-info", "function": read_moment}
        return {"type": "function-before", "schema": handler(source), "function": read}


AWARE: Final = Aware()

Id: TypeAlias = Annotated[int, Ge(1), Le(LARGEST_ID)]
Limit: TypeAlias = Annotated[int, Ge(1), Le(500)]
Days: TypeAlias = Annotated[float, Ge(0), Le(36_500)]
StoreText: TypeAlias = Annotated[str, MaxLen(63), STORABLE]
Moment: TypeAlias = Annotated[datetime, AWARE]
Text: TypeAlias = Annotated[str, Len(1, 300), STORABLE]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of a list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )
