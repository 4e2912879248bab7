"""What a running job works with: its parameters, its pages, and how it learns that it should stop."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from time import monotonic
from typing import Any, Protocol, TypeVar

from daemon.clock import boot_time
from daemon.database.pool import Connection, Database
from daemon.ids import JobId, RunToken
from daemon.jobs import failures, pace, pauses, store
from daemon.jobs.events import JobNotifier
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters, Job
from daemon.jobs.steps import Steps

P = TypeVar("P")

WAIT_REPORTED_AFTER = 5.0  # seconds without a page after which, and then each time, a job says what it waits for
WAIT_LOOK = 0.5  # seconds between two looks at what it waits for: a rate limit is reported at once
# How long a look at the job proves that it is this run's: well below the 15 s after which the queue gives the job of a
# worker without a heartbeat to another.
OWNERSHIP_LASTS = 2.0  # seconds
RATE_WINDOW = 15.0  # seconds over which the shown rate is measured
PAGES_AHEAD = 8  # pages fetched while others are stored: enough to keep the disk busy, and a few MB of memory


class StopReason(Enum):
    """Why a run ends before its job does."""

    SHUTDOWN = "the daemon stops"
    CANCELLED = "cancelling was asked for"
    DATABASE_LOST = "the database connection was lost"
    TAKEN_OVER = "another run has taken the job over"


class Meter(Protocol):
    """What the calls of a run cost, and what they wait for."""

    @property
    def waits_for(self) -> str:
        """What is waited for at this moment, in words."""

    @property
    def limited_since(self) -> datetime | None:
        """Since when they wait for the source's rate limit; None where they hardly do."""

    def costs(self) -> Mapping[str, float]:
        """Figures to show with the job, which add up over its runs."""


class RunStopped(Exception):
    """Ends a run at a checkpoint; tasks let it pass."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class ApprovalNeeded(Exception):
    """Ends a run with a question to a person; the changes that it is about are in `dongbo.approval_drafts`.

    Args:
        reason: what the run would do, and what to look at before approving it, in plain sentences.
        facts: what the reason is made of, to say it in other languages; JSON.
        metadata: figures to show with it.
    """

    def __init__(self, reason: str, facts: Mapping[str, Any] | None = None, **metadata: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts or {}
        self.metadata = metadata


class StepAsks(Exception):
    """Ends a run until a person has decided about a step of its job, which waits for approval.

    Args:
        step_id: the step.
        reason: what is asked, and by which step.
    """

    def __init__(self, step_id: JobId, reason: str) -> None:
        super().__init__(reason)
        self.step_id = step_id
        self.reason = reason


class PageTransaction:
    """The transaction in which a page's rows, the job's counters and its checkpoint are committed together."""

    def __init__(self, connection: Connection, checkpoint: object) -> None:
        self.connection = connection
        self.checkpoint = checkpoint  # may be replaced by what only the page's own statements tell
        self.counted = Counters()
        self.dead_letters: list[DeadLetter] = []
        self.metadata: dict[str, Any] = {}

    def count(self, counters: Counters) -> None:
        """Count rows that were written or left unchanged."""
        self.counted += counters

    def reject(self, letters: list[DeadLetter]) -> None:
        """Count rows that can't be stored as failed and keep them as dead letters."""
        self.dead_letters += letters
        self.counted += Counters(failed=len(letters))


class JobContext:
    """One run of a job. All its writes carry the run's token: after a take-over they have no effect and end the run."""

    def __init__(self, job: Job, token: RunToken, database: Database, notifier: JobNotifier, steps: Steps) -> None:
        self.job = job
        self.steps = steps  # runs other jobs as steps of this one
        self._token = token
        self._database = database
        self._notifier = notifier
        self._stop_reason: StopReason | None = None
        self._stop = asyncio.Event()
        self._meter: Meter | None = None
        self._processed = job.processed
        self._pages: int = job.metadata.get("pages", 0)
        self.has_progressed = False  # whether this run has stored a page
        self.has_only_planned = False  # whether it was kept from carrying out what it has planned
        self._started = monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._started, job.processed)])
        self._active_before: float = job.metadata.get("active_seconds", 0.0)  # seconds, of earlier runs
        self._next_point = self._started + pace.SHORTEST_INTERVAL  # of the job's pace
        self.total = job.total

    @property
    def database(self) -> Database:
        """The process's pool, for reads that no page transaction is open for."""
        return self._database

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters, in the canonical form that submitting gave them."""
        return self.job.params

    @property
    def run_token(self) -> RunToken:
        """Names this run: a write that it has begun is under way as long as the job is RUNNING under this token."""
        return self._token

    @property
    def is_approved(self) -> bool:
        """Whether a person has approved what an earlier run of this job asked about."""
        return self.job.metadata.get("approved_at") is not None

    @property
    def processed(self) -> int:
        """Rows seen by all runs of this job so far."""
        return self._processed

    def stop(self, reason: StopReason) -> None:
        """Ask the run to end at its next checkpoint, or at once while it waits for a page; the first reason counts."""
        if self._stop_reason is None:
            self._stop_reason = reason
            self._stop.set()

    def count_costs(self, meter: Meter) -> None:
        """Name what this run has cost so far (calls, waits), which is added to the costs of the job's earlier runs, and
        what it waits for when no page comes."""
        self._meter = meter

    async def describe(self, *, total: int | None, checkpoint: object | None = None, **metadata: Any) -> None:
        """Say how many rows to expect and how the rows are chosen; shown at once."""
        self.total = total
        async with self._database.acquire_for_work() as connection:
            owned = await store.describe(connection, self.job.id, self._token, total, metadata, checkpoint)
        if not owned:
            raise RunStopped(StopReason.TAKEN_OVER)
        self._notifier.changed(self.job.id)

    async def check_before_write(self) -> None:
        """Make sure, right before something is sent that changes the shop, that this run may still send it.

        An answer that comes too late proves nothing, such as to a process that was suspended while it waited for it:
        then the database is asked again.

        Raises:
            RunStopped: another run has taken the job over.
            StorePaused: a person has paused the store since it was noted what is to be written.
        """
        asked_at = -math.inf
        while boot_time() - asked_at > OWNERSHIP_LASTS:
            async with self._database.acquire_for_work() as connection:
                asked_at = boot_time()
                owned = await store.owns(connection, self.job.id, self._token)
                await pauses.refuse_paused(connection, self.job.store)
            if not owned:
                self.stop(StopReason.TAKEN_OVER)
                raise RunStopped(StopReason.TAKEN_OVER)

    async def unless_stopped(self, call: Awaitable[P]) -> P:
        """The result of a call to the source; raises RunStopped at once when the run is to stop, answer or not."""
        stop = asyncio.create_task(self._stop.wait(), name=f"job-stop-{self.job.id}")
        answer = asyncio.ensure_future(call)
        try:
            was_reported = await self._first_of(answer, stop, are_pages=False)
            self._raise_if_stopped()
            if was_reported:
                await self.describe(total=self.total, waiting=None)
            return answer.result()
        finally:
            for task in (stop, answer):
                task.cancel()
            await asyncio.gather(stop, answer, return_exceptions=True)

    async def pages(self, source: AsyncGenerator[P, None], ahead: int = PAGES_AHEAD) -> AsyncGenerator[list[P], None]:
        """The pages of `source` in groups: all that have come while the last group was stored, to be committed at once.

        So a source that is slower than the database commits page by page, and a faster one does not wait for the disk.
        `ahead`: how many may be fetched while others are stored.
        Ends at once when the run is to stop. Use it within `contextlib.aclosing`, so that a fetch under way ends with
        the loop.
        """
        ready: deque[P] = deque()
        room = asyncio.Semaphore(ahead)
        news = asyncio.Event()

        async def fetch_ahead() -> None:
            async for page in source:
                await room.acquire()
                ready.append(page)
                news.set()

        fetch = asyncio.create_task(fetch_ahead(), name=f"job-fetch-{self.job.id}")
        stop = asyncio.create_task(self._stop.wait(), name=f"job-stop-{self.job.id}")
        try:
            while True:
                if not (ready or fetch.done() or stop.done()):
                    news.clear()
                    arrival = asyncio.create_task(news.wait(), name=f"job-page-{self.job.id}")
                    try:
                        await self._first_of(arrival, fetch, stop, are_pages=True)
                    finally:
                        arrival.cancel()
                self._raise_if_stopped()
                if not ready:
                    fetch.result()  # raises what the source raised
                    return
                group = list(ready)
                ready.clear()
                for _ in group:
                    room.release()
                yield group
        finally:
            for task in (fetch, stop):
                task.cancel()
            await asyncio.gather(fetch, stop, return_exceptions=True)
            await source.aclose()

    async def _first_of(self, *tasks: asyncio.Future[Any], are_pages: bool) -> bool:
        """Wait until one of them is done, and say meanwhile why nothing moves: a person must not have to guess.

        A wait for the rate limit is reported as soon as it is one; any other after a while, if it is for pages. Returns
        whether one was reported.
        """
        since, reported_at = datetime.now(UTC), monotonic()
        reported: dict[str, str] | None = None
        while True:
            done, _ = await asyncio.wait(tasks, timeout=WAIT_LOOK, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return reported is not None
            limited = self._limited_wait()
            is_news = limited is not None and (reported is None or reported["for"] != limited["for"])
            if is_news or ((are_pages or limited) and monotonic() - reported_at >= WAIT_REPORTED_AFTER):
                other = self._meter.waits_for if self._meter is not None else "the source"
                reported, reported_at = limited or {"for": other, "since": since.isoformat()}, monotonic()
                await self.describe(total=self.total, waiting=reported, rows_per_second=0.0, **self.costs())

    def _limited_wait(self) -> dict[str, str] | None:
        """What is said of a wait for the rate limit; None where there is none that is worth saying."""
        since = self._meter.limited_since if self._meter is not None else None
        return {"for": "the rate limit", "since": since.isoformat()} if since is not None else None

    @asynccontextmanager
    async def page(
        self, checkpoint: object, *, pages: int = 1, is_progress: bool | None = None
    ) -> AsyncIterator[PageTransaction]:
        """Store one page: what happens within commits together with the counters and the checkpoint, or not at all.

        `pages` is how many pages of the source that is; 0 for a step that opens or closes the job, and for one that is
        none of a page. `is_progress` says whether a run that has done it has got somewhere; by default, with a page.
        Raises RunStopped before the commit where the job was taken over, and after the commit of a page where the run
        is to stop.
        """
        is_progress = pages > 0 if is_progress is None else is_progress
        async with self._database.acquire_for_work() as connection, connection.transaction():
            page = PageTransaction(connection, checkpoint)
            yield page
            if page.dead_letters:
                await failures.insert(connection, self.job.id, page.dead_letters)
            progress = self._progress(page.counted.processed, pages) | page.metadata
            is_point = is_progress and monotonic() >= self._next_point
            cancelling = await store.store_page(
                connection,
                self.job.id,
                self._token,
                page.counted,
                page.checkpoint,
                progress,
                is_progress=is_progress,
                waited=_waited(progress) if is_point else None,
            )
            if cancelling is None:
                raise RunStopped(StopReason.TAKEN_OVER)
        self._processed += page.counted.processed
        self._notifier.changed(self.job.id)
        if not is_progress:  # such a step is not worth doing again
            return
        self._pages += pages
        self.has_progressed = True
        if is_point:
            self._next_point = monotonic() + pace.interval(self._active())
        if cancelling:
            self.stop(StopReason.CANCELLED)
        self._raise_if_stopped()

    def costs(self) -> dict[str, Any]:
        """What this job has cost, over all its runs."""
        counted = self._meter.costs() if self._meter is not None else {}
        costs = {name: round(value + self.job.metadata.get(name, 0), 3) for name, value in counted.items()}
        return costs | {"active_seconds": round(self._active(), 3)}

    def overall_rate(self) -> dict[str, Any]:
        """Rows per second over all runs, for a job that ends."""
        active = self._active()
        return {"waiting": None, "rows_per_second": round(self._processed / active, 1) if active > 0 else 0.0}

    def _active(self) -> float:
        """Seconds that all runs of this job have taken so far."""
        return monotonic() - self._started + self._active_before

    def _progress(self, rows: int, pages: int) -> dict[str, Any]:
        now, processed = monotonic(), self._processed + rows
        self._samples.append((now, processed))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW:
            self._samples.popleft()
        since, base = self._samples[0]
        rate = (processed - base) / (now - since) if now > since else 0.0
        # A page that came in the middle of a wait does not end it.
        waiting = self._limited_wait()
        return self.costs() | {"waiting": waiting, "pages": self._pages + pages, "rows_per_second": round(rate, 1)}

    def _raise_if_stopped(self) -> None:
        if self._stop_reason is not None:
            raise RunStopped(self._stop_reason)


def _waited(costs: Mapping[str, Any]) -> float:
    return float(costs.get("rate_limit_wait_seconds", 0.0) + costs.get("retry_wait_seconds", 0.0))
