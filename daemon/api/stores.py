"""What is asked of a store, or of something within it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from daemon.api.fields import LENIENT, STORE_PATTERN, STRICT, Moment, Text


@dataclass(frozen=True, slots=True)
class StoreQuery:
    """Of which store."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})


@dataclass(frozen=True, slots=True)
class PauseBody:
    """How long nothing is to be written to a store, and why."""

    __pydantic_config__: ClassVar[Any] = STRICT

    until: Moment | None = field(
        default=None, metadata={"description": "When writing goes on by itself; null: when somebody resumes it."}
    )
    reason: Text | None = None


@dataclass(frozen=True, slots=True)
class StorePausing:
    """Whether anything is written to a store.

    Args:
        since: since when nothing is.
        until: when writing goes on by itself; null: when somebody resumes it.
        who: the name under which whoever paused it is known.
    """

    store: str
    paused: bool
    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None
    who: str | None = None
