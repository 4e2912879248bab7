"""Pulls of lists of which it can be asked cheaply what has changed."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from daemon.jobs.context import JobContext
from daemon.mirror.shopify import list_whole
from daemon.mirror.table import MirrorTable
from daemon.sources.meter import CallMeter
from daemon.sources.page import Page

T = TypeVar("T")


def all_or_changed(
    context: JobContext,
    table: MirrorTable[Any],
    query: Callable[[datetime | None], str | None],
    read_all: Callable[..., AsyncGenerator[Page[T], None]],
    read_changes: Callable[..., AsyncGenerator[Page[T], None]],
) -> Callable[[object | None, datetime | None, CallMeter], AsyncGenerator[Page[T], None]]:
    """A stream's `fetch` where what has changed can be asked for cheaply: whole is read what the mirror has otherwise.

    `query` makes the source's search query, of what has changed since a time.
    """

    async def known(ids: Sequence[int]) -> Mapping[int, datetime | None]:
        async with context.database.acquire_for_work() as connection:
            return await list_whole(connection, table, context.job.store, ids)

    def fetch(after: object | None, since: datetime | None, meter: CallMeter) -> AsyncGenerator[Page[T], None]:
        if since is None:
            return read_all(query(since), after=after, meter=meter)
        return read_changes(query(since), after=after, known=known, meter=meter)

    return fetch
