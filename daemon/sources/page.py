"""What every list of a source is delivered as: pages of good rows and bad ones, and where to continue."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from daemon.clock import boot_time

T = TypeVar("T")


class SourceRow(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A row that fits: typed and validated, along with its own JSON. A struct, for there are very many."""

    value: T
    document: bytes  # JSON; see the method that delivers it for what it holds


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that doesn't fit: a dead letter for the job, never an exception."""

    source_id: str | None  # None where not even the id could be read
    reason: str  # a plain sentence that names the field
    payload: bytes  # the row's JSON, which may be huge


class UnreadRow(msgspec.Struct, gc=False):
    """A row of which nothing is read but what tells which one it is, and when it changed: the rest may be known."""

    id: int
    updated_at: datetime | None = None
    document: bytes = b""  # JSON, as of a `SourceRow`


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    A list may leave rows unread: whoever stores the page reads those that differ from what is stored, by `read`.
    """

    rows: list[SourceRow[T]]
    bad: list[BadRow]
    next: object | None  # opaque JSON value to pass as `after` to continue after this page; None: this was the last
    notices: frozenset[str] = frozenset()  # sentences for a person about the whole list, each once
    asked: float = field(default_factory=boot_time)  # not later than it was asked for, by `boot_time`
    unchanged: int = 0  # rows that were listed but not read, because their present state is known
    unread: list[UnreadRow] = field(default_factory=list)
    read: Callable[[Iterable[bytes]], tuple[list[SourceRow[T]], list[BadRow]]] | None = None  # the unread documents
    same: list[int] = field(default_factory=list)  # ids of rows that are stored just as they came

    @property
    def size(self) -> int:
        """How many rows were listed."""
        return len(self.rows) + len(self.bad) + len(self.unread) + len(self.same) + self.unchanged

    def whole(self) -> "Page[T]":
        """The page with all of its rows read."""
        if not self.unread or self.read is None:
            return self
        good, bad = self.read(row.document for row in self.unread)
        return replace(self, rows=[*self.rows, *good], bad=[*self.bad, *bad], unread=[])
