"""A pull of rows that somebody has named: read by their ids, beside whatever else is pulled, and no watermark moves."""

from collections.abc import Collection, Sequence
from typing import Generic, TypeGuard, TypeVar

from daemon.database.pool import Connection
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs.context import JobContext, PageTransaction
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters
from daemon.mirror import deletions, watermarks
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sources.meter import CallMeter
from daemon.sources.page import Page
from daemon.tasks.checkpoint import is_id, row_ids
from daemon.tasks.mending import Mending
from daemon.tasks.stream import UNSTORABLE, SnapshotClock, Stream, store_one_by_one

T = TypeVar("T")

BATCH = 100  # rows: what Nhanh takes in one call

NAMELESS = mark("The answer has a row without a readable id, which may be this one: fix that row at the source.")


class OtherShopMirrored(DongboError):
    """The rows in the mirror are those of another shop."""


async def pull_by_ids(context: JobContext, stream: Stream[T], meter: CallMeter) -> None:
    """Read the rows named by `ids` and store them as a pull does; those that the source no longer has are marked.

    A row of the counters is an id: created, updated (or marked as deleted just now), skipped where nothing has changed
    or the row was never known, or failed. Raises OtherShopMirrored, RunStopped, and what the source raises.
    """
    ids: Sequence[int] = context.params["ids"]
    done: int = context.job.checkpoint or 0  # of `ids`
    deleted: int = context.job.metadata.get("deleted", 0)
    await _check_identity(context, stream, meter)
    await context.describe(total=len(ids), mode="ids")
    async with context.database.acquire_for_work() as connection:
        mending = await Mending.begin(connection, context.job)
    while done < len(ids):
        batch = ids[done : done + BATCH]
        done += len(batch)
        async with context.database.acquire_for_work() as connection:
            questions = await SnapshotClock.begin(connection, context.job.store, stream.clock)
        page = await context.unless_stopped(stream.fetch_by_ids(batch, meter))
        async with context.page(checkpoint=done) as transaction:
            answered = _Batch(context.job.store, stream, batch, page, questions.asked(page))
            deleted += await answered.store(transaction, mending)
            transaction.metadata["deleted"] = deleted


async def _check_identity(context: JobContext, stream: Stream[T], meter: CallMeter) -> None:
    """Rows of two shops never stand in one mirror: a full pull changes them all at once."""
    horizon = await context.unless_stopped(stream.horizon(meter))
    async with context.database.acquire_for_work() as connection:
        known = await watermarks.get(connection, context.job.store, stream.name)
    if known is not None and known.identity not in (None, horizon.identity):
        raise OtherShopMirrored(
            _(
                "What was pulled before is of {before}, and the configuration now names {now}: pull all of it first "
                "(the same command without --id), or correct the configuration."
            ).format(before=known.identity, now=horizon.identity)
        )


class _Batch(Generic[T]):
    """Some ids with what the source has said to them."""

    def __init__(
        self, store: StoreName, stream: Stream[T], ids: Sequence[int], page: Page[T], asked: SnapshotTime
    ) -> None:
        self._store = store
        self._stream = stream
        self._page = page
        self._asked = asked
        # A list that ignores its filter gives others, too.
        self._rows = {number: row for row, number in zip(page.rows, row_ids(page.rows), strict=True) if number in ids}
        self._bad = {int(bad.source_id): bad for bad in page.bad if _is_among(bad.source_id, ids)}
        self._nameless = next((bad for bad in page.bad if bad.source_id is None or not is_id(bad.source_id)), None)
        self._missing = [number for number in ids if number not in self._rows and number not in self._bad]

    async def store(self, transaction: PageTransaction, mending: Mending) -> int:
        """Bring the mirror up to date, and count each id once; how many rows are marked as deleted now."""
        lost: Collection[int] = ()
        stored = await self._store_rows(transaction)
        await mending.mend(transaction, self._page, stored)
        transaction.reject([DeadLetter(str(number), bad.reason, bad.payload) for number, bad in self._bad.items()])
        if self._nameless is not None:
            payload = self._nameless.payload
            transaction.reject([DeadLetter(str(number), _(NAMELESS), payload) for number in self._missing])
        elif self._missing:
            lost = await self._lose(transaction.connection)
            transaction.count(Counters(updated=len(lost), skipped=len(self._missing) - len(lost)))
        if self._page.notices:
            transaction.metadata["notices"] = sorted(self._page.notices)
        return len(lost) if self._stream.table is not None else 0

    async def _store_rows(self, transaction: PageTransaction) -> Collection[int]:
        """Those that are stored now; the database may refuse some."""
        connection, rows = transaction.connection, list(self._rows.values())
        stored: Collection[int] = self._rows.keys()
        try:
            async with connection.transaction():
                counted = await self._stream.store(connection, self._store, rows, self._asked)
            transaction.count(counted)
        except UNSTORABLE:
            stored = await store_one_by_one(transaction, self._stream, self._store, rows, self._asked)
        if self._stream.table is not None:
            present = [*self._rows, *self._bad]
            await deletions.see(connection, self._store, self._stream.table, present, self._asked.at)
        return stored

    async def _lose(self, connection: Connection) -> frozenset[int]:
        """Note the rows that are not there; those of which that was not known."""
        table, lose, gone = self._stream.table, self._stream.lose, self._missing
        if table is not None:
            details, asked_at = self._stream.details, self._asked.at
            return await deletions.mark_rows(connection, self._store, table, details, gone, asked_at)
        return await lose(connection, self._store, gone, self._asked) if lose is not None else frozenset()


def _is_among(source_id: str | None, ids: Sequence[int]) -> TypeGuard[str]:
    return source_id is not None and is_id(source_id) and int(source_id) in ids
