"""The lines of a bulk operation's file, put back together into rows.

Each row of a connection is a line, and names the row around it by `__parentId`. Children may come before their parents,
and far from them. A file says nowhere that it is complete, so it must hold exactly what was counted: by the operation
over all of it, and by each row of what belongs to it.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API".
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from daemon.i18n import gettext as _
from daemon.sources.decode import mend, read_json
from daemon.sources.shopify.models import gid_number

PARENT = "__parentId"

# Where a row of this kind has the connection whose rows come as lines of their own, and how many they are.
CONNECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"Product": ("variants",), "ProductVariant": ("inventoryItem", "inventoryLevels")}
)
COUNTS: Mapping[str, str] = MappingProxyType({"Product": "variantsCount", "ProductVariant": "locationsCount"})

# The kinds of lines, and what is around each. A level has no id of its own in them.
LEVEL = "InventoryLevel"
AROUND: Mapping[str, str] = MappingProxyType(
    {"Customer": "", "Product": "", "ProductVariant": "Product", LEVEL: "ProductVariant"}
)

_KIND = re.compile(r"gid://shopify/(\w+)/")
_ROOT_IN = re.compile(rb'"id":\s*"(gid://shopify/(?:Product|Customer)/[0-9]{1,19})"')
_PARENT_IN = re.compile(rb'"__parentId":\s*"(gid://shopify/\w+/[0-9]{1,19})"')
_NOTHING_BEHIND = {"hasNextPage": False, "endCursor": None}


class HalfReadError(Exception):
    """What came is not the whole file, or not the one asked for; the text is a plain sentence."""


class BulkLine(NamedTuple):
    """What a line is, told without reading all of it.

    Args:
        kind: a key of `AROUND`; empty where the line can't be read, or is none of them.
        id: the number of its global id; None for a level. Of one that can't be read: that of the root that it is.
        parent: the number of the global id of the row around it, a product's or a variant's.
        line: as it came.
    """

    kind: str
    id: int | None
    parent: int | None
    line: bytes


class _Head(msgspec.Struct):
    id: str | None = None
    parent: str | None = msgspec.field(name=PARENT, default=None)


_decode_head = msgspec.json.Decoder(_Head).decode


def sorted_line(line: bytes) -> BulkLine:
    """What a line of a whole list is."""
    head = _head(line) or _head(mend(line))
    if head is None:
        return _unreadable(line)
    own, around = _kind_of(head.id), _kind_of(head.parent)
    kind = LEVEL if head.id is None and around else own
    number, parent = gid_number(head.id), gid_number(head.parent)
    if kind not in AROUND or around != AROUND[kind]:
        return _unreadable(line)
    if (number is None and kind != LEVEL) or (parent is None and around):
        return _unreadable(line)
    return BulkLine(kind, number, parent, line)


class Assembly:
    """Puts lines together. `is_wanted` says whether a row is one of those asked for."""

    def __init__(self, is_wanted: Callable[[Any], bool] = lambda _: True) -> None:
        self._is_wanted = is_wanted
        self.lines = 0
        self._roots: list[Any] = []
        self._seen: set[str] = set()  # global ids
        self._children: dict[str, list[Any]] = {}  # by the global id of the row around them
        self._around: dict[str, str] = {}  # global ids of rows, by those of their children
        self._counted: dict[str, Any] = {}  # by global id, how many children there are by Shopify's own account

    def add(self, line: bytes) -> None:
        """Take the next line.

        Raises:
            HalfReadError: it is cut off, or does not belong in this file.
        """
        row = read_json(line)
        if not isinstance(row, dict):
            raise HalfReadError(_("A line is cut off, or is not a row."))
        self.lines += 1
        parent, identifier = row.pop(PARENT, None), row.get("id")
        if isinstance(identifier, str) and identifier in self._seen:
            raise HalfReadError(_("A row comes twice: {identifier}.").format(identifier=identifier[:100]))
        self._put(row, parent)
        if not isinstance(identifier, str):
            return
        self._seen.add(identifier)
        if parent is not None:
            self._around[identifier] = parent
        kind = _kind_of(identifier)
        if kind in CONNECTIONS:
            self._connect(row, identifier, kind)

    def rows(self, *, objects: int, roots: int) -> list[Any]:
        """The rows that are whole, with all that belongs to them, connections in the shape of pages with nothing after
        them.

        `objects` and `roots` are how many lines there must be, and how many of them without a parent.

        Raises:
            HalfReadError: the counts are wrong, or some rows lack their parent.
        """
        if (self.lines, len(self._roots)) != (objects, roots):
            raise HalfReadError(
                _("{n} of {objects} rows are there, and {m} of {roots} roots.").format(
                    n=self.lines, objects=objects, m=len(self._roots), roots=roots
                )
            )
        orphans = self._children.keys() - self._seen
        if orphans:
            raise HalfReadError(_("Rows lack their parent, such as {orphans}.").format(orphans=min(orphans)[:100]))
        return self.whole_rows(self.short_of_something())

    def whole_rows(self, left_out: Collection[str]) -> list[Any]:
        """As `rows`, whatever has come, but without those of these global ids."""
        return [row for row in self._roots if row.get("id") not in left_out]

    def short_of_something(self) -> set[str]:
        """The global ids of the roots that have, at some depth, more or less than they should have by their own count.

        What does not say how many they are has all of them. Whether the places where an item is stocked no longer are
        among those that Shopify counts is not documented: it is taken to be as for most of what has come.
        """
        sizes = {identifier: _sizes(self._children[identifier]) for identifier in self._counted}
        differing = [each for each, (whole, active) in sizes.items() if whole != active]
        as_whole, as_active = (
            sum(_agrees(self._counted[each], sizes[each][place]) for each in differing) for place in (0, 1)
        )
        place = 0 if as_whole > as_active else 1
        short = (
            self._root(identifier)
            for identifier, count in self._counted.items()
            if not _agrees(count, sizes[identifier][place])
        )
        return {root for root in short if root in self._seen}

    def root_around(self, line: bytes) -> str | None:
        """The global id of the root to which a line belongs that could not be taken, once all others were; None: it is
        of none of them."""
        own, parent = _names_in(line)
        root = self._root(parent or own or "")
        return root if root in self._seen else None

    def _root(self, identifier: str) -> str:
        while identifier in self._around:
            identifier = self._around[identifier]
        return identifier

    def _put(self, row: dict[str, Any], parent: Any) -> None:
        if parent is None:
            if not self._is_wanted(row):
                raise HalfReadError(_("A row was not asked for: the search was ignored."))
            self._roots.append(row)
        elif isinstance(parent, str):
            self._children.setdefault(parent, []).append(row)
        else:
            raise HalfReadError(_("A row does not name its parent."))

    def _connect(self, row: dict[str, Any], identifier: str, kind: str) -> None:
        """Give a row its children: those that have come, and those that will come."""
        *around, last = CONNECTIONS[kind]
        holder: Any = row
        for step in around:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if not isinstance(holder, dict):
            raise HalfReadError(
                _("A row lacks its {around}: {identifier}.").format(
                    around=".".join(around), identifier=identifier[:100]
                )
            )
        self._counted[identifier] = holder.pop(COUNTS[kind], None)
        holder[last] = {"pageInfo": _NOTHING_BEHIND, "nodes": self._children.setdefault(identifier, [])}


def root_number(line: bytes) -> int | None:
    """The number of the root that a line is which can't be read, as far as that can be found in it."""
    return gid_number(_names_in(line)[0])


def _sizes(rows: Sequence[Any]) -> tuple[int, int]:
    """How many there are of what belongs to a row, and how many of them but for inactive levels."""
    return len(rows), sum(row.get("isActive") is not False for row in rows)


def _agrees(count: Any, found: int) -> bool:
    """Whether as many were found as a `Count` of Shopify's says."""
    number = count.get("count") if isinstance(count, dict) else None
    if not isinstance(number, int):
        return True
    return found >= number if count.get("precision") == "AT_LEAST" else found == number


def _head(line: bytes) -> _Head | None:
    try:
        return _decode_head(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _kind_of(identifier: str | None) -> str:
    """The kind that a global id names; empty where there is none."""
    match = _KIND.match(identifier) if identifier is not None else None
    return match[1] if match is not None else ""


def _unreadable(line: bytes) -> BulkLine:
    own, parent = _names_in(line)
    return BulkLine("", gid_number(own), gid_number(parent), line)


def _names_in(line: bytes) -> tuple[str | None, str | None]:
    """The global id of a root, and that of the row around it, as far as a line that can't be read shows them."""
    own, parent = _ROOT_IN.search(line), _PARENT_IN.search(line)
    return (own[1].decode() if own else None), (parent[1].decode() if parent else None)
