"""Pages of ordered lists behind opaque cursors, as Relay connections have them."""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson
from graphql import GraphQLError

T = TypeVar("T")
Position = tuple[int | str, int]
"""Where a row stands in an ordered list: its sort value, then its id."""

MAX_PAGE_SIZE = 250  # Shopify: "The maximum page size is 250"


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Rows in order, ascending or `descending` by position."""

    rows: Sequence[T]
    positions: Sequence[Position]
    descending: bool = False

    def after(self, position: Position) -> int:
        """The index of the first row after `position`, whether or not there is a row there."""
        if self.descending:
            return len(self.rows) - bisect_left(self._comparable(position), position)
        return bisect_right(self._comparable(position), position)

    def before(self, position: Position) -> int:
        """The index after the last row before `position`."""
        if self.descending:
            return len(self.rows) - bisect_right(self._comparable(position), position)
        return bisect_left(self._comparable(position), position)

    def _comparable(self, position: Position) -> Sequence[Position]:
        """The positions in ascending order; raises GraphQLError if `position` comes from a list in another order."""
        if self.positions and type(self.positions[0][0]) is not type(position[0]):
            raise invalid_cursor()
        return self.positions[::-1] if self.descending else self.positions


@dataclass(frozen=True, slots=True)
class ConnectionEdge(Generic[T]):
    """A row with its cursor."""

    node: T
    cursor: str


@dataclass(frozen=True, slots=True)
class ConnectionPage(Generic[T]):
    """One page of a list, and its own page information."""

    nodes: Sequence[T]
    cursors: Callable[[int], str]  # index in the page -> cursor
    has_next_page: bool
    has_previous_page: bool

    @property
    def edges(self) -> list[ConnectionEdge[T]]:
        """The rows with their cursors."""
        return [ConnectionEdge(node, self.cursors(index)) for index, node in enumerate(self.nodes)]

    @property
    def page_info(self) -> "ConnectionPage[T]":
        """The page itself: it knows its bounds."""
        return self

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the first row."""
        return self.cursors(0) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last row."""
        return self.cursors(len(self.nodes) - 1) if self.nodes else None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The paging arguments of a connection, checked."""

    first: int | None
    last: int | None
    after: Position | None
    before: Position | None

    @classmethod
    def parse(
        cls, field: str, *, first: int | None, last: int | None, after: str | None, before: str | None
    ) -> "PageRequest":
        """Check the arguments of `field`; raises GraphQLError as Shopify words it."""
        if first is None and last is None:
            raise bad_request("you must provide one of first or last")
        if first is not None and last is not None:
            raise bad_request("providing both first and last is not supported")
        for name, size in (("first", first), ("last", last)):
            if size is not None and not 0 <= size <= MAX_PAGE_SIZE:
                raise bad_request(
                    f"Argument '{name}' on Field '{field}' has an invalid value ({size}). "
                    f"Expected a page size from 0 to {MAX_PAGE_SIZE}."
                )
        return cls(first, last, decode_cursor(after), decode_cursor(before))


EVERYTHING = PageRequest(None, None, None, None)


@dataclass(slots=True)
class BulkWindow:
    """How far a query that is run in bulk has come: some rows of the list at its top are taken at a time, and whole."""

    size: int
    after: Position | None = None
    has_more: bool = False

    def take(self, listing: Listing[T], shape: int) -> ConnectionPage[T]:
        """The next rows of the list."""
        page = take_page(listing, PageRequest(self.size, None, self.after, None), shape)
        self.after, self.has_more = decode_cursor(page.end_cursor), page.has_next_page
        return page


def take_page(listing: Listing[T], request: PageRequest, shape: int) -> ConnectionPage[T]:
    """Cut a page out of `listing`; `shape` chooses how its cursors look."""
    low = 0 if request.after is None else listing.after(request.after)
    high = len(listing.rows) if request.before is None else max(low, listing.before(request.before))
    if request.first is not None:
        high = min(high, low + request.first)
    if request.last is not None:
        low = max(low, high - request.last)
    return ConnectionPage(
        nodes=listing.rows[low:high],
        cursors=lambda index: encode_cursor(listing.positions[low + index], shape),
        has_next_page=high < len(listing.rows),
        has_previous_page=low > 0,
    )


def encode_cursor(position: Position, shape: int) -> str:
    """A cursor for `position`: base64 of JSON, as Shopify's are; `shape` varies what is in it, and how it is padded."""
    value, row_id = position
    match shape % 3:
        case 0:
            return base64.b64encode(orjson.dumps({"last_id": row_id, "last_value": value})).decode()
        case 1:
            content = orjson.dumps({"last_value": value, "direction": "next", "last_id": row_id})
            return base64.urlsafe_b64encode(content).decode().rstrip("=")
        case _:
            return base64.b64encode(orjson.dumps([value, row_id])).decode()


def decode_cursor(cursor: str | None) -> Position | None:
    """The position that `cursor` stands for; raises GraphQLError for an invalid one."""
    if cursor is None:
        return None
    try:
        padded = cursor.replace("-", "+").replace("_", "/") + "=" * (-len(cursor) % 4)
        content = orjson.loads(base64.b64decode(padded, validate=True))
        value, row_id = content if isinstance(content, list) else (content["last_value"], content["last_id"])
        if not isinstance(row_id, int) or not isinstance(value, int | str):
            raise invalid_cursor()
    except (binascii.Error, UnicodeError, ValueError, TypeError, KeyError):
        raise invalid_cursor() from None
    return value, row_id


def invalid_cursor() -> GraphQLError:
    """Shopify's answer to a cursor that it did not make, or made for another order."""
    return bad_request("Invalid cursor for current pagination sort.")


def bad_request(message: str) -> GraphQLError:
    """An error in a field's arguments."""
    return GraphQLError(message, extensions={"code": "BAD_REQUEST"})
