"""The lines of a bulk operation's file, put back together into rows.

Each row of a connection is a line, and names the row around it by `__parentId`. Children may come before their parents,
and far from them. A file says nowhere that it is complete, so it must hold exactly what was counted.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API".
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

from daemon.i18n import gettext as _
from daemon.sources.decode import read_json

PARENT = "__parentId"

# Where a row of this kind has the connection whose rows come as lines of their own.
CONNECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"Product": ("variants",), "ProductVariant": ("inventoryItem", "inventoryLevels")}
)

_KIND = re.compile(r"gid://shopify/(\w+)/")
_NOTHING_BEHIND = {"hasNextPage": False, "endCursor": None}


class HalfReadError(Exception):
    """What came is not the whole file, or not the one asked for; the text is a plain sentence."""


async def lines_of(chunks: AsyncIterator[bytes], *, limit: int) -> AsyncGenerator[bytes, None]:
    """The lines of a file that comes in chunks, without those that are empty; the last one may be cut off.

    Raises:
        HalfReadError: there are more than `limit` bytes.
    """
    size, rest = 0, b""
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise HalfReadError(_("The file is larger than {limit} MiB.").format(limit=limit // 2**20))
        *whole, rest = (rest + chunk).split(b"\n")
        for line in filter(None, whole):
            yield line
    if rest:
        yield rest


class Assembly:
    """Puts lines together. `is_wanted` says whether a row is one of those asked for."""

    def __init__(self, is_wanted: Callable[[Any], bool] = lambda _: True) -> None:
        self._is_wanted = is_wanted
        self.lines = 0
        self._roots: list[Any] = []
        self._seen: set[str] = set()  # global ids
        self._children: dict[str, list[Any]] = {}  # by the global id of the row around them

    def add(self, line: bytes) -> None:
        """Take the next line.

        Raises:
            HalfReadError: it is cut off, or does not belong in this file.
        """
        row = read_json(line)
        if not isinstance(row, dict):
            raise HalfReadError(_("A line is cut off, or is not a row."))
        self.lines += 1
        self._put(row, row.pop(PARENT, None))
        identifier = row.get("id")
        if not isinstance(identifier, str):
            return
        if identifier in self._seen:
            raise HalfReadError(_("A row comes twice: {identifier}.").format(identifier=identifier[:100]))
        self._seen.add(identifier)
        kind = _KIND.match(identifier)
        if kind is not None and kind[1] in CONNECTIONS:
            self._connect(row, identifier, CONNECTIONS[kind[1]])

    def rows(self, *, objects: int, roots: int) -> list[Any]:
        """The rows with all that belongs to them, connections in the shape of pages with nothing after them.

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
        return self._roots

    def _put(self, row: dict[str, Any], parent: Any) -> None:
        if parent is None:
            if not self._is_wanted(row):
                raise HalfReadError(_("A row was not asked for: the search was ignored."))
            self._roots.append(row)
        elif isinstance(parent, str):
            self._children.setdefault(parent, []).append(row)
        else:
            raise HalfReadError(_("A row does not name its parent."))

    def _connect(self, row: dict[str, Any], identifier: str, path: tuple[str, ...]) -> None:
        """Give a row its children: those that have come, and those that will come."""
        *around, last = path
        holder: Any = row
        for step in around:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if not isinstance(holder, dict):
            raise HalfReadError(
                _("A row lacks its {around}: {identifier}.").format(
                    around=".".join(around), identifier=identifier[:100]
                )
            )
        holder[last] = {"pageInfo": _NOTHING_BEHIND, "nodes": self._children.setdefault(identifier, [])}
