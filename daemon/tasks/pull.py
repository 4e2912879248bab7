"""What all pulls have in common: where to start, page after page, what is gone, and until when it is complete."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast

import asyncpg
import orjson
import structlog

from daemon.database.pool import Connection
from daemon.errors import DongboError
from daemon.ids import StoreName
from daemon.jobs import store as job_store
from daemon.jobs.context import JobContext, PageTransaction
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.mirror import deletions, watermarks
from daemon.mirror.table import MirrorTable
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, Page, SourceRow
from daemon.tasks.params import scope
from daemon.tasks.registry import JobPolicy

log = structlog.get_logger()

T = TypeVar("T")

# Clocks differ, and Nhanh's documentation contradicts itself on what moves a time: ask again for the last minutes.
WATERMARK_OVERLAP = timedelta(minutes=15)
UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.CheckViolationError, ValueError)


class ImplausibleDeletions(DongboError):
    """A full pull found so much gone that a person must decide."""


@dataclass(frozen=True)
class Stream(Generic[T]):
    """What one pull reads and where it goes.

    `fetch` gives the pages behind a cursor of those rows that have changed since a time (None: all of them), in the
    order of their ids; `count` says how many rows that is (None: the source can't tell); `details` are the tables
    whose rows belong to the table's rows, with the column that refers to them.
    """

    table: MirrorTable[Any]
    details: tuple[tuple[str, str], ...]
    fetch: Callable[[object | None, datetime | None, CallMeter], AsyncGenerator[Page[T], None]]
    fetch_by_ids: Callable[[Sequence[int], CallMeter], Awaitable[Page[T]]]
    count: Callable[[datetime | None, CallMeter], Awaitable[int | None]]
    store: Callable[[Connection, StoreName, Sequence[SourceRow[T]]], Awaitable[Counters]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """From where a pull goes on; kept as JSON with the job."""

    started_at: str  # ISO 8601: until when the stream is complete once this pull has ended
    since: str | None  # ISO 8601: the pull is of rows changed since then; None: of all rows
    finds_deletions: bool
    after: Any = None  # the source's cursor
    last_id: int = 0  # the greatest id up to there
    rows: int = 0  # seen up to there, by all jobs that took part
    at_end: bool = False
    continues: str | None = None  # the job whose interrupted pull this one goes on with
    version: int = field(default=1)

    @property
    def since_time(self) -> datetime | None:
        """`since` as a time."""
        return datetime.fromisoformat(self.since) if self.since else None


async def run_pull(job: JobContext, policy: JobPolicy, stream: Stream[T]) -> None:
    """Pull a stream's pages into its table, from where the job, or the interrupted one before it, stopped.

    Raises ImplausibleDeletions, RunStopped, and what the source raises.
    """
    meter = CallMeter()
    job.count_costs(lambda: _costs(meter))
    if "retry_of" in job.params:
        # Imported here, because retries need this module's page storing.
        from daemon.tasks.retry_rows import retry_rows

        await retry_rows(job, stream, meter)
        return
    pull = _Pull(job, policy, stream, meter)
    checkpoint = await pull.start()
    checkpoint = await pull.read_pages(checkpoint)
    await pull.complete(checkpoint)


class _Pull(Generic[T]):
    def __init__(self, job: JobContext, policy: JobPolicy, stream: Stream[T], meter: CallMeter) -> None:
        self._job = job
        self._policy = policy
        self._stream = stream
        self._meter = meter
        self._store = job.job.store
        self._stream_key = _stream_key(stream.table, scope(job.params))
        self._is_filtered = bool(job.params.get("filters") or job.params.get("query"))

    async def start(self) -> Checkpoint:
        """Where to begin, said in the job's metadata along with the number of rows to expect."""
        if self._job.job.checkpoint is not None:
            return Checkpoint(**self._job.job.checkpoint)
        async with self._job.database.acquire_for_work() as connection:
            earlier = await job_store.latest_before(connection, self._job.job)
            known = await watermarks.get(connection, self._store, self._stream_key)
        checkpoint = self._interrupted(earlier) or await self._afresh(known)
        await self._describe(checkpoint, known)
        return checkpoint

    def _interrupted(self, earlier: Job | None) -> Checkpoint | None:
        """The checkpoint of an earlier pull of the same scope that did not get to its end."""
        if earlier is None or self._job.params.get("restart") or earlier.checkpoint is None:
            return None
        if earlier.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            return None
        if scope(earlier.params) != scope(self._job.params) or earlier.completed_at is None:
            return None
        age = (datetime.now(UTC) - earlier.completed_at).total_seconds()
        if age > self._policy.checkpoint_max_age:
            return None
        log.info("pull_continued", continues=str(earlier.id))
        return replace(Checkpoint(**earlier.checkpoint), continues=str(earlier.id))

    async def _afresh(self, known: watermarks.Watermark | None) -> Checkpoint:
        since = None if known is None or self._job.params.get("full") else known.complete_to - WATERMARK_OVERLAP
        checkpoint = Checkpoint(
            started_at=datetime.now(UTC).isoformat(),
            since=since.isoformat() if since else None,
            finds_deletions=since is None and not self._is_filtered,
        )
        if checkpoint.finds_deletions:
            async with self._job.database.acquire_for_work() as connection:
                await deletions.clear(connection, self._store, self._stream.table)
                # Into an empty table a pull brings nothing but new rows: nothing can be gone.
                present = await self._stream.table.count_present(connection, self._store)
            checkpoint = replace(checkpoint, finds_deletions=present > 0)
        return checkpoint

    async def _describe(self, checkpoint: Checkpoint, known: watermarks.Watermark | None) -> None:
        total = await self._stream.count(checkpoint.since_time, self._meter)
        is_estimate = total is None and checkpoint.since is None and known is not None
        if is_estimate and known is not None:
            total = known.rows_at_last_full_pull
        if total is not None:
            total = max(total - checkpoint.rows, 0)
        chosen = {name: self._job.params[name] for name in ("filters", "query") if name in self._job.params}
        await self._job.describe(
            total=total,
            checkpoint=asdict(checkpoint),
            mode="full" if checkpoint.since is None else "incremental",
            since=checkpoint.since,
            total_is_estimate=is_estimate and total is not None,
            continues=checkpoint.continues,
            deleted=0,
            **chosen,
        )

    async def read_pages(self, checkpoint: Checkpoint) -> Checkpoint:
        """Store page after page; the checkpoint behind the last one."""
        if checkpoint.at_end:
            return checkpoint
        source = self._stream.fetch(checkpoint.after, checkpoint.since_time, self._meter)
        async with aclosing(self._job.pages(source)) as groups:
            async for group in groups:
                page = _joined(group)
                behind = _advance(checkpoint, page)
                await self._store_page(checkpoint, behind, page, len(group))
                checkpoint = behind
        return checkpoint

    async def _store_page(self, checkpoint: Checkpoint, behind: Checkpoint, page: Page[T], pages: int) -> None:
        try:
            async with self._job.page(checkpoint=asdict(behind), pages=pages) as transaction:
                counted = await self._stream.store(transaction.connection, self._store, page.rows)
                transaction.count(counted)
                await self._finish_page(transaction, checkpoint, behind, page)
        except UNSTORABLE as error:
            log.warning("page_refused", error=str(error)[:300], next_step="storing its rows one by one")
            async with self._job.page(checkpoint=asdict(behind), pages=pages) as transaction:
                await store_one_by_one(transaction, self._stream, self._store, page.rows)
                await self._finish_page(transaction, checkpoint, behind, page)

    async def _finish_page(
        self, transaction: PageTransaction, checkpoint: Checkpoint, behind: Checkpoint, page: Page[T]
    ) -> None:
        transaction.reject([dead_letter(bad) for bad in page.bad])
        if checkpoint.finds_deletions and behind.finds_deletions:
            up_to = None if behind.at_end else behind.last_id
            present = _known_ids(page)
            await deletions.note(
                transaction.connection, self._store, self._stream.table, checkpoint.last_id, up_to, present
            )

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Mark what is gone and move the watermark, in one transaction; done again after a crash it changes nothing."""
        is_full = checkpoint.since is None
        async with self._job.page(
            checkpoint=asdict(replace(checkpoint, finds_deletions=False)), pages=0
        ) as transaction:
            connection = transaction.connection
            if checkpoint.finds_deletions:
                await self._check_plausible(connection)
                transaction.metadata["deleted"] = await deletions.mark(
                    connection, self._store, self._stream.table, self._stream.details
                )
            await watermarks.advance(
                connection,
                self._store,
                self._stream_key,
                datetime.fromisoformat(checkpoint.started_at),
                checkpoint.rows if is_full else None,
            )
        await self._job.describe(total=self._job.processed, total_is_estimate=False)

    async def _check_plausible(self, connection: Connection) -> None:
        gone = await deletions.count(connection, self._store, self._stream.table)
        present = await self._stream.table.count_present(connection, self._store)
        if self._job.params.get("allow_deletions") or gone < self._policy.implausible_deletion_minimum:
            return
        if gone > present * self._policy.implausible_deletion_share:
            raise ImplausibleDeletions(
                f"{gone:,} of {present:,} rows in {self._stream.table.name} are no longer at the source, which is "
                f"more than the {self._policy.implausible_deletion_share:.0%} taken as plausible. Nothing was marked "
                "as deleted. If it is right, pull again with --allow-deletions; else look at the permissions there."
            )


def dead_letter(bad: BadRow) -> DeadLetter:
    """A row that the source client could not read."""
    return DeadLetter(bad.source_id, bad.reason, bad.payload)


async def store_one_by_one(
    transaction: PageTransaction, stream: Stream[T], store: StoreName, rows: Sequence[SourceRow[T]]
) -> None:
    """Store rows singly: those that the database refuses become dead letters."""
    for row in rows:
        try:
            async with transaction.connection.transaction():
                counted = await stream.store(transaction.connection, store, [row])
        except UNSTORABLE as error:
            source_id = str(_ids([row])[0])
            transaction.reject([DeadLetter(source_id, f"The database refused the row: {error}"[:1000], row.document)])
        else:
            transaction.count(counted)


def _joined(pages: Sequence[Page[T]]) -> Page[T]:
    """Pages that follow each other as one."""
    if len(pages) == 1:
        return pages[0]
    rows = [row for page in pages for row in page.rows]
    return Page(rows, [bad for page in pages for bad in page.bad], pages[-1].next)


def _advance(checkpoint: Checkpoint, page: Page[T]) -> Checkpoint:
    """The checkpoint behind a page.

    Deletions are found by the gaps between ids. Where a page breaks their order, or holds a row whose id can't be read,
    the gaps mean nothing, and the rest of the pull looks for none.
    """
    known_ids = _known_ids(page)
    has_nameless = len(known_ids) < len(page.rows) + len(page.bad)
    in_order = all(number > checkpoint.last_id for number in known_ids)
    return replace(
        checkpoint,
        after=page.next,
        last_id=max([checkpoint.last_id, *known_ids]),
        rows=checkpoint.rows + len(page.rows) + len(page.bad),
        at_end=page.next is None,
        finds_deletions=checkpoint.finds_deletions and in_order and not has_nameless,
    )


def _ids(rows: Sequence[SourceRow[T]]) -> list[int]:
    return [cast("Any", row.value).id for row in rows]


def _known_ids(page: Page[T]) -> list[int]:
    """The ids on a page, those of bad rows included where they can be read."""
    readable = (bad.source_id for bad in page.bad if bad.source_id is not None)
    return [*_ids(page.rows), *(int(text) for text in readable if is_id(text))]


def is_id(text: str) -> bool:
    """Whether a text is an id that a source can be asked for."""
    return text.isascii() and text.isdigit() and 0 < int(text) < 2**63


def _stream_key(table: MirrorTable[Any], pull_scope: dict[str, Any]) -> str:
    """The watermark's name: filtered pulls are streams of their own."""
    chosen = {name: pull_scope[name] for name in ("filters", "query") if name in pull_scope}
    return f"{table.name}?{orjson.dumps(chosen, option=orjson.OPT_SORT_KEYS).decode()}" if chosen else table.name


def _costs(meter: CallMeter) -> dict[str, float]:
    return {
        "api_calls": meter.api_calls,
        "retries": meter.retries,
        "rate_limit_wait_seconds": meter.rate_limit_wait_seconds,
        "retry_wait_seconds": meter.retry_wait_seconds,
        "rate_limited": meter.rate_limited,
        "bytes_received": meter.bytes_received,
    }
