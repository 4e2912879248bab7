"""A full pull of which Shopify gives all rows in one file: the steps up to where they are read like pages.

The rows of the file are as old as its operation, whenever they are stored: what is known as of a later time stays. The
mirror is not touched before the whole file is here, and agrees with what Shopify has counted. Each step is noted with
the read (`daemon.mirror.bulk_reads`), so that after a crash the next run goes on where this one was.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import asyncpg
import structlog

from daemon.clock import boot_time
from daemon.errors import AskedTooMuch, CredentialRefused, CursorRefused, DongboError, SourceError, SourceRefused
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.jobs.context import JobContext, RunStopped, StopReason
from daemon.jobs.model import Job
from daemon.jobs.types import PullMethod
from daemon.mirror import bulk_reads
from daemon.mirror.bulk_reads import BulkRead, LineCounts, NewRead, StagedLine
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, Page
from daemon.sources.shopify.bulk_file import BulkPortion
from daemon.sources.shopify.bulk_lines import AROUND, sorted_line
from daemon.sources.shopify.bulk_state import BulkBusy, BulkState, NotReadInBulk
from daemon.sources.shopify.whole_list import WholeList
from daemon.tasks.checkpoint import Checkpoint, row_ids
from daemon.tasks.circumstances import Circumstances
from daemon.tasks.params import method_of
from daemon.tasks.registry import JobPolicy
from daemon.tasks.stream import Stream

log = structlog.get_logger()

T = TypeVar("T")

# Seconds by pages from which on the file is taken. An operation takes some seconds to be begun, and seconds to minutes
# to gather: Shopify documents no speed. Where pages take a minute, it is hardly slower, and it leaves the points to
# others; where they take an hour, it is many times faster.
WORTHWHILE_SECONDS = 60.0
# Seconds after which an operation that takes longer than pages would is left. People tell of 460 objects a second, and
# of a hundred times as many.
FAIR_TRIAL = 120.0
# Seconds to wait for operations of others to end: of another app's there is no saying how long they take.
PATIENCE: Mapping[PullMethod, float] = {PullMethod.AUTO: 300.0, PullMethod.BULK: 3600.0}
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0  # seconds between attempts to begin
# Of the rows that Shopify counts for a search, the share, and of a small list the number, that its file may lack: a few
# go meanwhile. More would be marked as deleted.
MAY_LACK, MAY_LACK_OF_FEW = 0.01, 10
MOST_UNREADABLE = 200  # lines: more are no mishap of a few rows
MOST_READ_AGAIN = 500  # rows, one by one, by a run: by their ids they cost many times what they cost in the file
# For how long pages are read without another trial, once an operation was slower: each trial takes FAIR_TRIAL or more.
SLOW_FOR = timedelta(days=7)
CANCEL_SECONDS = 5.0  # that a job which is cancelled gives to cancelling its operation
DOWNLOADS = 3  # of one file by a run, where PostgreSQL crashes and loses it
LINES_AT_ONCE = 250  # that make a page, as a rule: up to 16 pages are in memory, and take some 4 KB a line
MOST_LINES_AT_ONCE = 20_000
MOST_ROOTS_AT_ONCE = 500

NO_ROOM = (asyncpg.DiskFullError, asyncpg.ConfigurationLimitExceededError)  # on the disk, or by temp_file_limit

OPERATION_AWAITED = mark("a bulk operation")
OTHERS_AWAITED = mark("bulk operations of others")


def _depth(kind: str) -> int:
    return bulk_reads.ROOT if AROUND[kind] == "" else _depth(AROUND[kind]) + 1


DEPTHS = {kind: _depth(kind) for kind in AROUND}  # of a root, of what belongs to it, of what belongs to that
DEEPEST = max(DEPTHS.values())


class NotPulledInBulk(DongboError):
    """A pull that was to be in bulk can't be."""


@dataclass(frozen=True, slots=True)
class OneMoment:
    """Tells of all pages that they were asked for at one moment."""

    snapshot: SnapshotTime

    def asked(self, _page: Page[Any]) -> SnapshotTime:
        """The circumstances of a page."""
        return self.snapshot


class _SlowerThanPages(NotReadInBulk):
    """An operation that would take longer than pages do."""


class _LinesLost(Exception):
    """PostgreSQL has lost lines that were noted as stored: it has crashed."""


class BulkPull(Generic[T]):
    """One run's way through the file of a list."""

    def __init__(
        self, context: JobContext, policy: JobPolicy, stream: Stream[T], whole: WholeList[T], meter: CallMeter
    ) -> None:
        self._context = context
        self._policy = policy
        self._stream = stream
        self._whole = whole
        self._meter = meter
        self._method = method_of(context.params)
        self.notices: frozenset[str] = frozenset()  # why it is read in another way
        self._slow_at: datetime | None = None
        self._has_failed = context.job.metadata.get("not_in_bulk") is not None
        self._read: BulkRead | None = None
        self._checkpoint: Mapping[str, Any] = {}
        self._counted: int | None = None
        self._may_run_already = False  # an operation of an earlier run, of which only Shopify knows
        self._roots_at_once = 100
        self._read_again = 0

    def recall(self, earlier: Job | None) -> dict[str, Any]:
        """Learn from the pull before whether operations are slow here; what the job is to keep of that for the next."""
        kept = earlier.metadata.get("slow_in_bulk_at") if earlier is not None else None
        at = datetime.fromisoformat(kept) if kept is not None else None
        self._slow_at = at if at is not None and datetime.now(UTC) - at < SLOW_FOR else None
        return {"slow_in_bulk_at": self._slow_at.isoformat()} if self._slow_at is not None else {}

    def is_wanted(self, checkpoint: Checkpoint, count: int | None) -> bool:
        """Whether what follows a checkpoint is to be read in this way. `count`: how many rows Shopify has, if known.

        Raises:
            CursorRefused: it was begun in this way, and is to be read by pages now.
        """
        self._counted = count
        if _is_of_bulk(checkpoint.after):
            if self._method is PullMethod.PAGES:
                raise CursorRefused(_("It was being read in bulk, and is to be read by pages now."))
            return True
        if checkpoint.after is not None or self._has_failed or self._method is PullMethod.PAGES:
            return False
        if self._method is PullMethod.BULK:
            return True
        if count is None or self._whole.seconds_by_pages(count) < WORTHWHILE_SECONDS:
            return False
        if self._slow_at is not None:
            log.info("pull_not_in_bulk", reason="operations were slower here", since=self._slow_at.isoformat())
            return False
        return True

    @property
    def is_read(self) -> bool:
        """Whether the rows come out of the file."""
        return self._read is not None

    async def gather(self, checkpoint: Checkpoint, circumstances: Circumstances) -> BulkRead | None:
        """Bring the whole file here, or what a run before has left to do of that; None where that can't be.

        Raises:
            CursorRefused: what is left of it can't be had.
            NotPulledInBulk: it can't be, and it was to be read in no other way.
            RunStopped, and what else the source raises.
        """
        self._checkpoint = asdict(checkpoint)
        try:
            self._read = await self._noted(checkpoint, circumstances)
            await self._context.describe(total=self._context.total, method=PullMethod.BULK)
            self._read = await self._gathered(self._read)
        except RunStopped as stopped:
            if stopped.reason is StopReason.CANCELLED:
                await self._cancel(checkpoint)
            raise
        except NO_ROOM as error:
            await self._give_up(_no_room(error), checkpoint)
            return None
        except (NotReadInBulk, SourceRefused, AskedTooMuch) as error:
            if isinstance(error, CredentialRefused | CursorRefused):
                raise
            await self._give_up(error, checkpoint)
            return None
        await self._context.describe(total=self._context.total, waiting=None, bulk={"state": "storing"})
        return self._read

    async def pages(self, read: BulkRead, cursor: object | None) -> AsyncGenerator[Page[T], None]:
        """The rows of the file in the order of their ids, as pages that follow each other; behind a cursor.

        Raises:
            CursorRefused: they are no longer there.
            What the source raises, where some of them are read again.
        """
        after: int = cursor["after"] if isinstance(cursor, dict) else 0
        bad = await self._nameless(read) if cursor is None else []
        while True:
            roots, lines = await self._lines_after(read, after)
            is_last = len(roots) < self._roots_at_once
            after = max(roots, default=after)
            page = await self._page(roots, lines)
            self._roots_at_once = _fitting(len(roots), len(lines))
            following = None if is_last else {"bulk": read.id, "after": after}
            yield Page(page.rows, [*bad, *page.bad], following, page.notices, page.asked)
            if is_last:
                return
            bad = []

    async def make_room(self, error: Exception, checkpoint: Checkpoint) -> CursorRefused:
        """Drop the file, beside which PostgreSQL has no room for the rows; why they are to be read anew, by pages.

        Raises NotPulledInBulk, RunStopped.
        """
        reason = _no_room(error)
        await self._give_up(reason, checkpoint)
        return CursorRefused(str(reason))

    async def release(self, checkpoint: Checkpoint) -> None:
        """Drop what the job has gathered: it has no more use for it. `checkpoint` is the job's.

        Raises RunStopped where it is another run's by now.
        """
        with suppress(asyncpg.LockNotAvailableError):  # somebody reads the table: the pruner will drop it
            async with self._context.page(checkpoint=asdict(checkpoint), pages=0) as transaction:
                await bulk_reads.drop_of_job(transaction.connection, self._context.job.id)

    async def _noted(self, checkpoint: Checkpoint, circumstances: Circumstances) -> BulkRead:
        """The read of which the checkpoint tells, or one that may be continued, or a new one."""
        job = self._context.job
        new = NewRead(
            job_id=job.id,
            store=job.store,
            stream=self._stream.name,
            digest=blake2b(self._whole.text.encode(), digest_size=16).digest(),
            identity=circumstances.identity or "",
            source_time=self._stream.clock.now(),
            beginning={"started_at": checkpoint.started_at, **circumstances.to_json()},
        )
        oldest = timedelta(seconds=self._policy.checkpoint_max_age)
        async with self._context.page(checkpoint=self._checkpoint, pages=0) as transaction:
            connection = transaction.connection
            if _is_of_bulk(checkpoint.after):
                read = await bulk_reads.get(connection, checkpoint.after["bulk"])
                if read is None or read.digest != new.digest or not await bulk_reads.take(connection, read, job.id):
                    raise CursorRefused(_("What had been read in bulk is no longer there."))
                return read
            may_continue = not self._context.params.get("restart")
            read = await bulk_reads.find(connection, new, oldest, of_others=may_continue)
            if read is not None and await bulk_reads.take(connection, read, job.id):
                log.info("bulk_read_continued", operation=read.operation, bytes=read.next_byte)
                self._may_run_already = read.operation is None
                return read
            return await bulk_reads.begin(connection, new)

    async def _gathered(self, read: BulkRead) -> BulkRead:
        for _attempt in range(DOWNLOADS):
            try:
                if await self._has_lost_lines(read):
                    raise _LinesLost
                if read.is_sorted:
                    return read
                state = await self._completed(read)
                await self._download(read, state)
                return await self._context.unless_stopped(self._sorted(read, state))
            except _LinesLost:
                log.warning("bulk_lines_lost", next_step="the file is downloaded again")
                read = await self._emptied(read)
        raise NotReadInBulk(_("PostgreSQL has lost what was downloaded, again and again: look into its log."))

    async def _completed(self, read: BulkRead) -> BulkState:
        """The operation once its file is there."""
        state = await self._operation(read)
        since, began = datetime.now(UTC).isoformat(), boot_time()

        async def tell(seen: BulkState) -> None:
            if self._is_slower_than_pages(seen, boot_time() - began):
                raise _SlowerThanPages(_("Shopify gathers the rows more slowly than pages of them can be read."))
            waiting = {"for": OPERATION_AWAITED, "since": since}
            await self._context.describe(
                total=self._context.total,
                waiting=waiting,
                bulk=_progress(str(seen.status), seen),
                **self._context.costs(),
            )

        await tell(state)
        return await self._context.unless_stopped(self._whole.wait(state, self._meter, tell))

    def _is_slower_than_pages(self, state: BulkState, seconds: float) -> bool:
        """Whether all that is left would better be read by pages, after so many seconds of this operation."""
        if self._method is not PullMethod.AUTO or self._counted is None or seconds < FAIR_TRIAL or state.roots == 0:
            return False
        left = max(self._counted - state.roots, 0)
        return left * seconds / state.roots > self._whole.seconds_by_pages(self._counted)

    async def _operation(self, read: BulkRead) -> BulkState:
        """The operation as it is now; begun, unless it was."""
        if read.operation is None:
            state = await self._begun(read)
            async with self._context.page(checkpoint=self._checkpoint, pages=0) as transaction:
                await bulk_reads.note_operation(transaction.connection, read, state.id)
            self._read = await self._again(read)
            return state
        seen = await self._context.unless_stopped(self._whole.state(read.operation, self._meter))
        if seen is None:
            raise NotReadInBulk(_("Shopify no longer knows the bulk operation that it had begun."))
        return seen

    async def _begun(self, read: BulkRead) -> BulkState:
        since = read.source_time if self._may_run_already else None
        waits_since, pause = datetime.now(UTC).isoformat(), FIRST_PAUSE
        gives_up_at = boot_time() + PATIENCE[self._method]
        while True:
            try:
                return await self._context.unless_stopped(self._whole.begin(self._meter, since=since))
            except BulkBusy:
                if boot_time() + pause > gives_up_at:
                    raise
            waiting = {"for": OTHERS_AWAITED, "since": waits_since}
            await self._context.describe(total=self._context.total, waiting=waiting, **self._context.costs())
            with self._meter.waiting_for(OTHERS_AWAITED):
                await self._context.unless_stopped(asyncio.sleep(pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _download(self, read: BulkRead, state: BulkState) -> None:
        """Bring the file into the table, from the byte on up to which it is there."""
        if state.objects == 0:
            return  # there is no file
        portions = self._whole.portions(state, read.next_byte, self._meter)
        async with aclosing(self._context.pages(portions)) as groups:
            async for group in groups:
                async with self._context.page(checkpoint=self._checkpoint, pages=0, is_progress=True) as transaction:
                    for portion in group:
                        await bulk_reads.add(transaction.connection, read, _staged(portion), portion.end)
                    transaction.metadata["bulk"] = _progress("downloading", state, group[-1].end)

    async def _sorted(self, read: BulkRead, state: BulkState) -> BulkRead:
        """Make sure that all of the file is there, and make it readable in order.

        Raises:
            NotReadInBulk: it is not the whole list.
        """
        read = await self._again(read)
        await self._context.describe(total=self._context.total, waiting=None, bulk=_progress("sorting", state))
        async with self._context.database.acquire_for_work() as connection, connection.transaction():
            counts = await bulk_reads.count_lines(connection, read)
            if counts.lines != read.lines:
                raise _LinesLost
            _check_counts(counts, state)
            if self._counted is not None and self._counted - counts.roots > _may_lack(self._counted):
                raise NotReadInBulk(
                    _("The bulk operation found {n} rows, and Shopify has {all}.").format(
                        n=number_text(counts.roots), all=number_text(self._counted)
                    )
                )
            missing, *deeper = [
                await bulk_reads.list_missing(connection, read, kind, MOST_UNREADABLE + 1)
                for kind in range(bulk_reads.ROOT + 1, DEEPEST + 1)
            ]
        # Each may be a row the line of which can't be read.
        if len(missing) + sum(map(len, deeper)) > counts.unreadable:
            raise NotReadInBulk(_("The file of the bulk operation lacks rows to which others belong."))
        try:
            async with self._context.page(checkpoint=self._checkpoint, pages=0, is_progress=True) as transaction:
                # What other lines can't be read belongs to rows that know how much they should have.
                nameless = max(state.roots - counts.roots - len(missing), 0)
                await bulk_reads.sort(transaction.connection, read, missing, nameless)
        except asyncpg.UniqueViolationError as error:
            raise NotReadInBulk(_("The file of the bulk operation has a row twice.")) from error
        return await self._again(read)

    async def _again(self, read: BulkRead) -> BulkRead:
        """The read as it is noted now."""
        async with self._context.database.acquire_for_work() as connection:
            noted = await bulk_reads.get(connection, read.id)
        if noted is None or noted.job_id != self._context.job.id:
            raise RunStopped(StopReason.TAKEN_OVER)
        return noted

    async def _has_lost_lines(self, read: BulkRead) -> bool:
        async with self._context.database.acquire_for_work() as connection:
            return await bulk_reads.has_lost_lines(connection, read)

    async def _emptied(self, read: BulkRead) -> BulkRead:
        async with self._context.page(checkpoint=self._checkpoint, pages=0) as transaction:
            await bulk_reads.empty(transaction.connection, read)
        return await self._again(read)

    async def _cancel(self, checkpoint: Checkpoint) -> None:
        """A person has cancelled the job: neither the operation nor its file is of any more use."""
        await self._cancel_operation()
        await self.release(checkpoint)

    async def _cancel_operation(self) -> None:
        """Let Shopify gather no more; of an operation that has ended, nothing comes of it."""
        if self._read is None or self._read.operation is None or self._read.is_sorted:
            return
        with suppress(SourceError, NotReadInBulk, TimeoutError):  # it ends by itself, later
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._whole.cancel(self._read.operation, self._meter)

    async def _give_up(self, error: Exception, checkpoint: Checkpoint) -> None:
        """Let the job read by pages, or end it where it must not."""
        reason, notice = str(error), getattr(error, "notice", None)
        log.warning(
            "pull_not_in_bulk",
            reason=reason,
            next_step="read by pages" if self._method is PullMethod.AUTO else "the job ends",
        )
        await self._cancel_operation()
        await self.release(checkpoint)
        self._read, self._has_failed = None, self._method is PullMethod.AUTO
        if checkpoint.after is not None:
            raise CursorRefused(reason) from error
        if self._method is PullMethod.BULK:
            raise NotPulledInBulk(
                _("{reason} Nothing was changed. Pull again, or without method = bulk: then by pages.").format(
                    reason=notice or reason
                )
            ) from error
        self.notices = frozenset({_("It was read by pages, not in bulk. {reason}").format(reason=notice or reason)})
        is_slow = isinstance(error, _SlowerThanPages)
        await self._context.describe(
            total=self._context.total,
            waiting=None,
            method=PullMethod.PAGES,
            bulk=None,
            not_in_bulk=reason,
            **({"slow_in_bulk_at": datetime.now(UTC).isoformat()} if is_slow else {}),
        )

    async def _nameless(self, read: BulkRead) -> list[BadRow]:
        async with self._context.database.acquire_for_work() as connection:
            lines = await bulk_reads.list_nameless(connection, read)
        reason = _("A line of the file of the bulk operation can't be read, and does not say which row it is.")
        return [BadRow(None, reason, line) for line in lines]

    async def _lines_after(self, read: BulkRead, after: int) -> tuple[dict[int, bytes | None], list[bytes]]:
        """The next roots, and the lines of what belongs to them."""
        async with self._context.database.acquire_for_work() as connection:
            while True:
                roots = await bulk_reads.list_roots(connection, read, after, self._roots_at_once)
                limit = MOST_LINES_AT_ONCE if len(roots) > 1 else None
                lines = await bulk_reads.list_below(connection, read, list(roots), DEEPEST, limit)
                if lines is not None:
                    break
                self._roots_at_once = max(len(roots) // 2, 1)
            if not roots and await bulk_reads.has_lost_lines(connection, read):
                raise CursorRefused(_("What had been read in bulk is no longer there."))
        return roots, [*(line for line in roots.values() if line is not None), *lines]

    async def _page(self, roots: Mapping[int, bytes | None], lines: Sequence[bytes]) -> Page[T]:
        """The rows of these roots; those of which something is missing are asked for again."""
        rows, bad, incomplete = await self._whole.read(lines, self._meter)
        lacking = sorted({*incomplete, *(number for number, line in roots.items() if line is None)})
        asked, left = lacking[: MOST_READ_AGAIN - self._read_again], lacking[MOST_READ_AGAIN - self._read_again :]
        self._read_again += len(asked)
        if asked:
            log.info("incomplete_rows_read_again", rows=len(asked))
        found: Page[T] = await self._stream.fetch_by_ids(asked, self._meter) if asked else Page([], [], None)
        reason = _("The file of the bulk operation lacks a part of it, and too many rows do: retry the failed rows.")
        unread = [BadRow(str(number), reason, roots.get(number) or b"null") for number in left]
        ordered = sorted([*rows, *found.rows], key=lambda row: row_ids([row])[0])
        return Page(ordered, [*bad, *found.bad, *unread], None, found.notices)


def _is_of_bulk(cursor: object) -> bool:
    return isinstance(cursor, dict) and "bulk" in cursor


def _staged(portion: BulkPortion) -> list[StagedLine]:
    return [_staged_line(line) for line in portion.lines]


def _staged_line(line: bytes) -> StagedLine:
    kind, number, parent, _line = sorted_line(line)
    depth = DEPTHS.get(kind, bulk_reads.UNREADABLE)
    if depth == bulk_reads.ROOT or (depth == bulk_reads.UNREADABLE and number is not None):
        # A row that can't be read is known by its id: it is a row that fails.
        return StagedLine(bulk_reads.ROOT, number, bulk_reads.NO_PARENT, line)
    return StagedLine(depth, number, parent, line)


def _check_counts(counts: LineCounts, state: BulkState) -> None:
    """Raises NotReadInBulk where there is more or less in the table than Shopify has counted."""
    if counts.unreadable > MOST_UNREADABLE:
        raise NotReadInBulk(
            _("{n} lines of the file of the bulk operation can't be read.").format(n=number_text(counts.unreadable))
        )
    has_all_roots = counts.roots <= state.roots <= counts.roots + counts.nameless
    if counts.lines != state.objects or not has_all_roots:
        raise NotReadInBulk(
            _("The file of the bulk operation has {lines} lines and {roots} rows, of {objects} and {all}.").format(
                lines=number_text(counts.lines),
                roots=number_text(counts.roots),
                objects=number_text(state.objects),
                all=number_text(state.roots),
            )
        )


def _no_room(error: Exception) -> NotReadInBulk:
    """What is staged makes room at once: until then, nothing else can be stored either."""
    return NotReadInBulk(_("PostgreSQL has no room for the file of the bulk operation: {error}.").format(error=error))


def _may_lack(count: int) -> int:
    """How many of so many rows may be gone since they were counted."""
    return max(int(count * MAY_LACK), min(count // 10, MAY_LACK_OF_FEW))


def _progress(step: str, state: BulkState, done: int = 0) -> dict[str, Any]:
    """What the job shows of it: a status of the operation, or the step after that."""
    return {
        "state": step,
        "objects": state.objects,
        "roots": state.roots,
        "bytes": done,
        "file_bytes": state.file_bytes,
    }


def _fitting(roots: int, lines: int) -> int:
    """How many roots make a page next, where so many had so many lines."""
    return max(1, min(MOST_ROOTS_AT_ONCE, LINES_AT_ONCE * roots // max(lines, 1)))
