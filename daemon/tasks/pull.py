"""What all pulls have in common: where to start, page after page, what is gone, and until when it is complete."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import orjson
import structlog

from daemon.database.pool import Connection
from daemon.errors import CursorRefused, DongboError
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.jobs import store as job_store
from daemon.jobs.context import JobContext, PageTransaction
from daemon.jobs.model import Counters, Job
from daemon.jobs.types import CUSTOMERS_FIRST, ITEMS_FIRST, JOB_TYPES, SALES_FIRST, PullMethod
from daemon.mirror import deletions, watermarks
from daemon.mirror.bulk_reads import BulkRead
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.mirror.table import MirrorTable
from daemon.sources.horizon import Horizon
from daemon.sources.meter import CallMeter, Rank
from daemon.sources.page import Page
from daemon.tasks.bulk_pull import NO_ROOM, BulkPull, OneMoment
from daemon.tasks.checkpoint import Checkpoint, continued, known_ids, resumed, row_ids
from daemon.tasks.circumstances import Circumstances
from daemon.tasks.mending import Mending
from daemon.tasks.params import method_of, scope
from daemon.tasks.pull_by_ids import pull_by_ids
from daemon.tasks.registry import JobPolicy
from daemon.tasks.retry_rows import retry_rows
from daemon.tasks.stream import UNSTORABLE, SnapshotClock, Stream, dead_letter, store_one_by_one

log = structlog.get_logger()

T = TypeVar("T")

# A watermark of before pulls went by the source's time: by a clock that may have differed by up to a day.
OLD_OVERLAP = timedelta(days=1)
# How far the clock of a source may go back, and its `Date` differ from the time of its rows, before it is said to have
# been set back.
CLOCK_TOLERANCE = timedelta(seconds=10)
OTHER_SHOP = mark(
    "What was pulled before is of {before}, and the configuration now names {now}: everything is pulled anew, and "
    "what is left of the other is marked as deleted. Nothing is pushed before that is done."
)
ONLY_CHANGES = mark("Only what has changed was read, which is never in bulk: pull with full to read everything.")
CLOCK_WAS_AHEAD = mark("The last pull went by a clock that was ahead: what it says of the time is worth nothing.")


class ImplausibleDeletions(DongboError):
    """A full pull found so much gone that a person must decide."""


async def run_pull(context: JobContext, policy: JobPolicy, stream: Stream[T], meter: CallMeter | None = None) -> bool:
    """Pull a stream's pages into its table, from where the job, or the interrupted one before it, stopped.

    `meter` is given by a task that has made calls before; see `counted_calls`. Returns whether all rows that the source
    has were read, and not only what has changed, some that were asked for, or some that had failed.

    Raises ImplausibleDeletions, RunStopped, and what the source raises.
    """
    meter = meter or counted_calls(context)
    if "retry_of" in context.params:
        await retry_rows(context, stream, meter)
        return False
    if "ids" in context.params:
        await pull_by_ids(context, stream, meter)
        return False
    pull = _Pull(context, policy, stream, meter)
    checkpoint = await pull.start()
    try:
        checkpoint = await pull.read_pages(checkpoint)
    except CursorRefused as error:
        checkpoint = await pull.read_pages(await pull.start_afresh(error))
    await pull.complete(checkpoint)
    await pull.release(replace(checkpoint, finds_deletions=False))
    return pull.reads_all(checkpoint)


def counted_calls(context: JobContext) -> CallMeter:
    """A meter for the job's calls, whose figures are shown with the job; they have the rank of the job.

    None that changes anything is sent once another run has taken the job over, or somebody has paused the store.
    """
    meter = CallMeter(rank=_rank(context.job), before_write=context.check_before_write)
    context.count_costs(meter)
    return meter


def _rank(job: Job) -> Rank:
    spec = JOB_TYPES[job.type]
    if spec.priority >= SALES_FIRST:
        return Rank.SALE
    if spec.priority >= ITEMS_FIRST or spec.is_of_items(job.params):
        return Rank.ITEMS
    return Rank.CUSTOMERS if spec.priority >= CUSTOMERS_FIRST else Rank.OTHER


class _Pull(Generic[T]):
    def __init__(self, context: JobContext, policy: JobPolicy, stream: Stream[T], meter: CallMeter) -> None:
        self._context = context
        self._policy = policy
        self._stream = stream
        self._meter = meter
        self._store = context.job.store
        self._stream_key = stream_key(stream.name, scope(context.params))
        self._reported: frozenset[str] = frozenset()
        self._is_filtered = bool(context.params.get("filters") or context.params.get("query"))
        self._circumstances = Circumstances()
        self._why_full: str | None = None
        self._mending = Mending(context.job, ())
        self._counted: int | None = None  # rows, by the source
        self._questions: SnapshotClock | OneMoment
        self._in_bulk: BulkPull[T] | None = None
        self._known_of_bulk: dict[str, Any] = {}
        if stream.whole is not None:
            self._in_bulk = BulkPull(context, policy, stream, stream.whole, meter)
        self._begins_empty = False  # the table, so that there is nothing to compare with, and none that was noted

    async def start(self) -> Checkpoint:
        """Where to begin, said in the job's metadata along with the number of rows to expect."""
        horizon = await self._context.unless_stopped(self._stream.horizon(self._meter))
        async with self._context.database.acquire_for_work() as connection:
            newest = await job_store.newest_other(connection, self._context.job)
            earlier = await job_store.latest_before(connection, self._context.job)
            known = await watermarks.get(connection, self._store, self._stream_key)
            self._mending = await Mending.begin(connection, self._context.job)
            self._questions = await SnapshotClock.begin(connection, self._store, self._stream.clock)
        if self._in_bulk is not None:
            self._known_of_bulk = self._in_bulk.recall(earlier)
        own = resumed(self._context.job, newest, self._policy.checkpoint_max_age)
        if own is not None and self._go_on(self._context.job, horizon):
            return own
        checkpoint = continued(self._context.job, earlier, newest, self._policy.checkpoint_max_age)
        if checkpoint is None or earlier is None or not self._go_on(earlier, horizon):
            checkpoint = await self._start_over(known, horizon)
        await self._describe(checkpoint, known)
        return checkpoint

    async def start_afresh(self, refusal: CursorRefused) -> Checkpoint:
        """Start again where the source no longer accepts the cursor: what is lost is the cursor, not the pull."""
        horizon = await self._context.unless_stopped(self._stream.horizon(self._meter))
        async with self._context.database.acquire_for_work() as connection:
            known = await watermarks.get(connection, self._store, self._stream_key)
        log.warning("pull_begun_afresh", reason=str(refusal))
        checkpoint = await self._start_over(known, horizon)
        await self._describe(
            checkpoint, known, begun_afresh=_("The list could not be continued: {refusal}").format(refusal=refusal)
        )
        return checkpoint

    async def _start_over(self, known: watermarks.Watermark | None, horizon: Horizon) -> Checkpoint:
        self._circumstances = Circumstances.of(horizon, known)
        return await self._begin(self._fresh(known, horizon))

    def _go_on(self, job: Job, horizon: Horizon) -> bool:
        """Take over under which circumstances a pull began; False where that was at another shop."""
        circumstances = Circumstances.from_json(job.metadata)
        if circumstances.identity not in (None, horizon.identity):
            return False
        self._circumstances = circumstances
        return True

    def _fresh(self, known: watermarks.Watermark | None, horizon: Horizon) -> Checkpoint:
        since, self._why_full = self._since(known, horizon)
        if self._why_full is not None:
            log.warning("pull_made_full", reason=self._why_full)
        return Checkpoint(
            started_at=datetime.now(UTC).isoformat(),
            since=since.isoformat() if since else None,
            finds_deletions=since is None and not self._is_filtered and self._stream.table is not None,
        )

    def _since(self, known: watermarks.Watermark | None, horizon: Horizon) -> tuple[datetime | None, str | None]:
        """From when on changes are asked for; None: everything is, and why where nobody has asked for that."""
        if known is None:
            return None, None
        if known.identity not in (None, horizon.identity):
            return None, _(OTHER_SHOP).format(before=known.identity, now=horizon.identity)
        if (
            self._context.params.get("full")
            or self._stream.must_be_full
            or "updated_to" in self._context.params.get("filters", {})  # nothing new ever comes into a bounded time
        ):
            return None, None
        if known.source_complete_to is None:
            if known.complete_to > datetime.now(UTC):
                return None, _(CLOCK_WAS_AHEAD)
            return known.complete_to + timedelta(seconds=self._stream.clock.offset or 0) - OLD_OVERLAP, None
        if horizon.time is not None and known.source_complete_to > horizon.time + CLOCK_TOLERANCE:
            return None, _(CLOCK_WAS_AHEAD)
        return known.source_complete_to - self._stream.overlap, None

    async def _begin(self, checkpoint: Checkpoint) -> Checkpoint:
        """Forget what an earlier pull noted as gone."""
        if not checkpoint.finds_deletions or self._stream.table is None:
            return checkpoint
        async with self._context.database.acquire_for_work() as connection:
            present = await self._stream.table.count_present(connection, self._store)
        # Into an empty table a pull brings nothing but new rows: nothing can be gone.
        self._begins_empty = present == 0
        checkpoint = replace(checkpoint, finds_deletions=present > 0)
        async with self._context.page(checkpoint=asdict(checkpoint), pages=0) as transaction:
            await deletions.clear(transaction.connection, self._store, self._stream.table)
        return checkpoint

    async def _describe(self, checkpoint: Checkpoint, known: watermarks.Watermark | None, **besides: str) -> None:
        total = await self._context.unless_stopped(self._stream.count(checkpoint.since_time, self._meter))
        self._counted = total
        is_estimate = total is None and checkpoint.since is None and known is not None
        if is_estimate and known is not None:
            total = known.rows_at_last_full_pull
        if total is not None:
            # What this job has read before it began afresh is read, and counted, once more.
            total = max(total - checkpoint.rows, 0) + (self._context.processed if checkpoint.rows == 0 else 0)
        chosen = {name: self._context.params[name] for name in ("filters", "query") if name in self._context.params}
        if self._in_bulk is not None and checkpoint.since is None:
            chosen["method"] = PullMethod.PAGES  # unless it is found out otherwise
        await self._context.describe(
            total=total,
            checkpoint=asdict(checkpoint),
            mode="full" if checkpoint.since is None else "incremental",
            since=checkpoint.since,
            total_is_estimate=is_estimate and total is not None,
            continues=checkpoint.continues,
            deleted=0,
            why_full=self._why_full,
            **self._circumstances.to_json(),
            **self._known_of_bulk,
            **chosen,
            **besides,
        )

    async def read_pages(self, checkpoint: Checkpoint) -> Checkpoint:
        """Store page after page; the checkpoint after the last one."""
        if checkpoint.at_end:
            return checkpoint
        checkpoint, source = await self._open(checkpoint)
        try:
            async with aclosing(self._context.pages(self._ahead(source), self._stream.pages_ahead)) as groups:
                async for group in groups:
                    page = _joined(group)
                    following = checkpoint.past(page)
                    await self._store_page(checkpoint, following, page, len(group))
                    checkpoint = following
        except NO_ROOM as error:
            if self._in_bulk is None or not self._in_bulk.is_read:
                raise
            raise await self._in_bulk.make_room(error, checkpoint) from error
        return checkpoint

    async def _open(self, checkpoint: Checkpoint) -> tuple[Checkpoint, AsyncGenerator[Page[T], None]]:
        """The pages that follow a checkpoint, which for a file is dated as that is."""
        if self._in_bulk is not None and checkpoint.since is None:
            if self._in_bulk.is_wanted(checkpoint, self._counted):
                read = await self._in_bulk.gather(checkpoint, self._circumstances)
                if read is not None:
                    return self._as_of(read, checkpoint), self._in_bulk.pages(read, checkpoint.after)
                self._reported |= self._in_bulk.notices
        elif method_of(self._context.params) is PullMethod.BULK:
            self._reported |= {_(ONLY_CHANGES)}
        return checkpoint, self._stream.fetch(checkpoint.after, checkpoint.since_time, self._meter)

    def _as_of(self, read: BulkRead, checkpoint: Checkpoint) -> Checkpoint:
        """Go by when the file was asked for: that may have been by a run, or a job, before this one."""
        self._questions = OneMoment(SnapshotTime(read.asked_at, source_time=read.source_time))
        if checkpoint.after is not None:
            return checkpoint
        self._circumstances = Circumstances.from_json(read.beginning)
        return replace(checkpoint, started_at=read.beginning["started_at"])

    async def _ahead(self, source: AsyncGenerator[Page[T], None]) -> AsyncGenerator[Page[T], None]:
        """The pages; with all rows read, while others are stored, where nothing is stored that they might be like."""
        async with aclosing(source):
            async for page in source:
                yield page.whole() if self._begins_empty else page

    async def _store_page(self, checkpoint: Checkpoint, following: Checkpoint, page: Page[T], pages: int) -> None:
        self._circumstances = self._circumstances.after(page)
        try:
            async with self._context.page(checkpoint=asdict(following), pages=pages) as transaction:
                read = await self._sift(transaction.connection, page)
                if read.rows:
                    counted = await self._stream.store(
                        transaction.connection, self._store, read.rows, self._questions.asked(page)
                    )
                    transaction.count(counted)
                await self._mending.mend(transaction, read, [*row_ids(read.rows), *read.same])
                await self._finish_page(transaction, checkpoint, following, read)
        except UNSTORABLE as error:
            log.warning("page_refused", error=str(error)[:300], next_step="storing its rows one by one")
            read = page.whole()
            async with self._context.page(checkpoint=asdict(following), pages=pages) as transaction:
                asked = self._questions.asked(page)
                stored = await store_one_by_one(transaction, self._stream, self._store, read.rows, asked)
                await self._mending.mend(transaction, read, stored)
                await self._finish_page(transaction, checkpoint, following, read)

    async def _sift(self, connection: Connection, page: Page[T]) -> Page[T]:
        """The page with its rows read, as far as they are not known to be stored just so."""
        if not page.unread or self._stream.sift is None:
            return page.whole()
        return await self._stream.sift(connection, self._store, page)

    async def _finish_page(
        self, transaction: PageTransaction, checkpoint: Checkpoint, following: Checkpoint, page: Page[T]
    ) -> None:
        transaction.reject([dead_letter(bad) for bad in page.bad])
        self._tell(transaction, page)
        if self._stream.table is not None and not self._begins_empty:
            await deletions.take_back(transaction.connection, self._store, self._stream.table, known_ids(page))
        transaction.count(Counters(skipped=page.unchanged + len(page.same)))
        transaction.metadata |= self._circumstances.to_json()
        if checkpoint.finds_deletions and not following.finds_deletions:
            reason = _("a page had a row without a readable id, or ids out of order")
            transaction.metadata["deletions_not_sought"] = reason
            log.warning("deletions_not_sought", reason=reason, next_step="fix the failed rows, then pull with full")
        elif checkpoint.finds_deletions and self._stream.table is not None:
            up_to = None if following.at_end else following.last_id
            present, asked_at = known_ids(page), self._questions.asked(page).at
            await deletions.note(
                transaction.connection, self._store, self._stream.table, checkpoint.last_id, up_to, present, asked_at
            )

    def _tell(self, transaction: PageTransaction, page: Page[T]) -> None:
        """What the source wants a person to know, once for the whole run."""
        if news := page.notices - self._reported:
            self._reported |= news
            for sentence in sorted(news):
                log.warning("source_notice", notice=sentence)
        if self._reported:
            transaction.metadata["notices"] = sorted(self._reported)

    def reads_all(self, checkpoint: Checkpoint) -> bool:
        """Whether a pull of this checkpoint leaves out nothing that the source has."""
        return checkpoint.since is None and not self._is_filtered

    async def release(self, checkpoint: Checkpoint) -> None:
        """Let go of what was gathered for the pull. `checkpoint` is the job's."""
        if self._in_bulk is not None and checkpoint.since is None:
            await self._in_bulk.release(checkpoint)

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Mark what is gone and move the watermark, in one transaction; done again after a crash it changes nothing."""
        try:
            await self._close(checkpoint)
        except ImplausibleDeletions:
            # Whoever tries again shall look again: what was missing may be back.
            afresh = checkpoint.from_the_start()
            await self._context.describe(total=self._context.total, checkpoint=asdict(afresh))
            await self.release(afresh)
            raise
        await self._context.describe(total=self._context.processed, total_is_estimate=False)

    async def _close(self, checkpoint: Checkpoint) -> None:
        is_full = checkpoint.since is None
        async with self._context.page(
            checkpoint=asdict(replace(checkpoint, finds_deletions=False)), pages=0
        ) as transaction:
            connection = transaction.connection
            if checkpoint.finds_deletions and self._stream.table is not None:
                await self._check_plausible(connection, self._stream.table)
                transaction.metadata["deleted"] = await deletions.mark(
                    connection, self._store, self._stream.table, self._stream.details
                )
            await watermarks.advance(
                connection,
                self._store,
                self._stream_key,
                datetime.fromisoformat(checkpoint.started_at),
                checkpoint.rows if is_full else None,
                source_complete_to=self._circumstances.complete_to(self._stream.doubt),
                identity=self._circumstances.identity,
            )

    async def _check_plausible(self, connection: Connection, table: MirrorTable[Any]) -> None:
        if self._circumstances.replaces is not None:
            return  # the rows are those of another shop, and certainly not of this one
        gone = await deletions.count(connection, self._store, table)
        present = await table.count_present(connection, self._store)
        few = gone < min(self._policy.implausible_deletion_minimum, present)  # an emptied table is never a trifle
        if few or self._context.params.get("allow_deletions"):
            return
        if gone > present * self._policy.implausible_deletion_share:
            raise ImplausibleDeletions(
                _(
                    "{gone} of {present} rows in {table} are no longer at the source, which is more than the "
                    "{share:.0%} taken as plausible. Nothing was marked as deleted. If it is "
                    "right, pull again with --allow-deletions; else look at the permissions there."
                ).format(
                    gone=number_text(gone),
                    present=number_text(present),
                    table=table.name,
                    share=self._policy.implausible_deletion_share,
                )
            )


def _joined(pages: Sequence[Page[T]]) -> Page[T]:
    """Pages that follow each other as one."""
    if len(pages) == 1:
        return pages[0]
    rows = [row for page in pages for row in page.rows]
    bad = [row for page in pages for row in page.bad]
    notices = frozenset(sentence for page in pages for sentence in page.notices)
    unchanged = sum(page.unchanged for page in pages)
    unread = [row for page in pages for row in page.unread]
    read = next((page.read for page in pages if page.read is not None), None)
    return Page(rows, bad, pages[-1].next, notices, pages[0].asked, unchanged, unread, read)


def stream_key(name: str, pull_scope: dict[str, Any]) -> str:
    """The watermark's name: filtered pulls are streams of their own."""
    chosen = {name: pull_scope[name] for name in ("filters", "query") if name in pull_scope}
    return f"{name}?{orjson.dumps(chosen, option=orjson.OPT_SORT_KEYS).decode()}" if chosen else name
