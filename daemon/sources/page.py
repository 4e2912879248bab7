"""What every list of a source is delivered as: pages of good rows and bad ones, and where to continue."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from daemon.clock import boot_time

T = TypeVar("T")


class SourceRow(msgspec.Struct, Generic[T], frozen=True):
    """A row that fits: typed and validated, along with its own JSON. A struct, for there are very many."""

    value: T
    document: bytes  # JSON; see the method that delivers it for what it holds


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that doesn't fit: a dead letter for the job, never an exception."""

    source_id: str | None  # None where not even the id could be read
    reason: str  # a plain sentence that names the field
    payload: bytes  # the row's JSON, which may be huge


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list."""

    rows: list[SourceRow[T]]
    bad: list[BadRow]
    next: object | None  # opaque JSON value to pass as `after` to continue after this page; None: this was the last
    notices: frozenset[str] = frozenset()  # sentences for a person about the whole list, each once
    asked: float = field(default_factory=boot_time)  # not later than it was asked for, by `boot_time`
    unchanged: int = 0  # rows that were listed but not read, because their present state is known
