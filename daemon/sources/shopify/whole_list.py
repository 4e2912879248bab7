"""Lists that one bulk operation reads whole, however many rows they have, in steps that a crash does not undo.

`begin` starts the operation, `wait` waits for it, `portions` reads its file from any byte on. What each line of it is,
`sorted_line` tells; once all lines are there, those of some roots and of all that belongs to them make rows: `read`.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify.bulk import LINES_AT_ONCE, STALLS_AFTER, BulkReader, Tell
from daemon.sources.shopify.bulk_file import BulkPortion
from daemon.sources.shopify.bulk_lines import Assembly, HalfReadError, root_number
from daemon.sources.shopify.bulk_state import BulkState
from daemon.sources.shopify.models import gid_number

T = TypeVar("T")

ReadRows = Callable[[list[Any], CallMeter], Awaitable[tuple[list[SourceRow[T]], list[BadRow]]]]
Allow = Callable[[CallMeter], Awaitable[None]]


class WholeList(Generic[T]):
    """All rows of one list of a shop that a search finds.

    Args:
        text: the query as it is sent; its digest tells whether what an earlier operation found is of the same list.
        read: makes rows of nodes in the shape of pages.
        page_rows: how many rows a page of this list has.
        page_points: what such a page is charged in the end.
        allow: asked before an operation is begun; it raises NotReadInBulk where the list must not be read in bulk.
    """

    def __init__(
        self,
        bulk: BulkReader,
        text: str,
        read: ReadRows[T],
        *,
        page_rows: int,
        page_points: float,
        allow: Allow | None = None,
    ) -> None:
        self.text = text
        self._bulk = bulk
        self._read = read
        self._page_rows = page_rows
        self._page_points = page_points
        self._allow = allow

    def seconds_by_pages(self, count: int) -> float:
        """How long the points for this many rows by pages take to be restored, about."""
        return math.ceil(count / self._page_rows) * self._page_points / self._bulk.restore_rate

    async def begin(
        self, meter: CallMeter, *, since: datetime | None = None, not_these: Collection[str] = ()
    ) -> BulkState:
        """The operation of this list that was begun since a moment of Shopify's time, else a new one.

        Args:
            since: None, if none can have been begun before: then there is nothing to look for.
            not_these: global ids of operations that are left out, such as one whose file is of no use.

        Raises:
            BulkBusy: as many operations as may run at once are under way.
            NotReadInBulk: it was refused, or the list must not be read in bulk.
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        if self._allow is not None:
            await self._allow(meter)
        if since is not None:
            begun = await self._bulk.begun(self.text, since, meter, not_these=not_these)
            if begun is not None:
                return begun
        return await self._bulk.start(self.text, meter)

    async def state(self, operation: str, meter: CallMeter) -> BulkState | None:
        """See `BulkReader.state`."""
        return await self._bulk.state(operation, meter)

    async def wait(
        self, state: BulkState, meter: CallMeter, tell: Tell, stalls_after: float = STALLS_AFTER
    ) -> BulkState:
        """See `BulkReader.wait`."""
        return await self._bulk.wait(state, meter, tell, stalls_after)

    def portions(self, state: BulkState, offset: int, meter: CallMeter) -> AsyncGenerator[BulkPortion, None]:
        """See `BulkReader.portions`."""
        return self._bulk.portions(state, offset, meter)

    async def cancel(self, operation: str, meter: CallMeter) -> None:
        """See `BulkReader.cancel`."""
        await self._bulk.cancel(operation, meter)

    async def read(
        self, lines: Sequence[bytes], meter: CallMeter
    ) -> tuple[list[SourceRow[T]], list[BadRow], list[int]]:
        """Rows of some roots, out of the lines of these and of all that belongs to them, in any order.

        Returns:
            The rows, those that don't fit, and the ids of the roots that lack something by their own count or have a
            line that can't be read: these must be read in another way. A line that can't be read and belongs to none
            of the roots is a row that doesn't fit.
        """
        assembly = Assembly()
        refused: list[tuple[bytes, str]] = []
        for place, line in enumerate(lines):
            if place % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                assembly.add(line)
            except HalfReadError as error:
                refused.append((line, str(error)))
        incomplete = assembly.short_of_something()
        unread: list[BadRow] = []
        for line, reason in refused:
            root = assembly.root_around(line)
            if root is not None:
                incomplete.add(root)
            else:
                number = root_number(line)
                unread.append(BadRow(str(number) if number is not None else None, reason, line))
        rows, bad = await self._read(assembly.whole_rows(incomplete), meter)
        numbers = (gid_number(identifier) for identifier in incomplete)
        return rows, [*unread, *bad], sorted(number for number in numbers if number is not None)
