"""Following jobs over the daemon's event stream, through restarts of the daemon."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from daemon.api.jobs import JobSnapshot, JobsPruned
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.sse import ServerEvent
from daemon.cli.jobs.wording import is_live
from daemon.errors import DaemonUnreachable, JobNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs.model import Job

RECONNECT_DELAYS = (0.2, 0.5, 1.0, 2.0)  # seconds; the last one repeats


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a job that was shown."""

    version: int
    completed_at: datetime | None
    is_live: bool


@dataclass(frozen=True, slots=True)
class _Batch:
    """What came at once."""

    jobs: Sequence[Job] = ()
    is_snapshot: bool = False  # or the beginning of a connection
    is_whole: bool = False  # all live jobs are in it, up to a hundred of a status
    pruning: JobsPruned | None = None


class View(Protocol):
    """What shows jobs to a person or a program."""

    interval: float  # seconds between ticks

    def update(self, job: Job) -> None:
        """A job has changed."""

    def forget(self, job_id: JobId) -> None:
        """A job that was last seen live is gone."""

    def tick(self) -> None:
        """Time has passed: show what is due."""

    def remark(self, text: str) -> None:
        """Something about the stream itself, such as that the daemon is away."""


async def watch(client: DaemonClient, view: View, *, remark: Callable[[str], None] | None = None) -> None:
    """Show the live jobs and every change of any job, until cancelled.

    `remark` takes remarks about the stream itself; the view by default. Raises DaemonUnreachable at the start
    only.
    """
    known: dict[JobId, _Known] = {}

    def take(job: Job, *, is_snapshot: bool) -> None:
        before = known.get(job.id)
        # What ended before anybody was watching is history, for `jobs list`.
        is_news = is_live(job) if is_snapshot and before is None else job.version > (before.version if before else 0)
        if before is None or job.version > before.version:
            known[job.id] = _Known(job.version, job.completed_at, is_live(job))
        if is_news:
            view.update(job)

    async with _ticking(view), aclosing(_batches(client, remark or view.remark)) as batches:
        async for batch in batches:
            for job in batch.jobs:
                take(job, is_snapshot=batch.is_snapshot)
            if batch.is_whole:
                reported = {job.id for job in batch.jobs}
                for job_id in [job_id for job_id, one in known.items() if one.is_live and job_id not in reported]:
                    try:  # it has ended unseen, so long ago that it is not among the newest
                        take(await client.job(job_id), is_snapshot=False)
                    except DaemonUnreachable:  # it has gone again, and will send another snapshot
                        break
                    except JobNotFound:
                        del known[job_id]
                        view.forget(job_id)
            if batch.pruning is not None:
                for job_id in [job_id for job_id, one in known.items() if _is_gone(job_id, one, batch.pruning)]:
                    del known[job_id]


async def follow_until_ended(client: DaemonClient, job_ids: Sequence[JobId], view: View) -> list[Job]:
    """Show these jobs until all have ended; their last states.

    Raises JobNotFound, and DaemonUnreachable at the start only.
    """
    states: dict[JobId, Job] = {}

    def take(job: Job) -> None:
        known = states.get(job.id)
        if known is None or job.version > known.version:
            states[job.id] = job
            view.update(job)

    for job_id in job_ids:
        take(await client.job(job_id))
    async with _ticking(view), aclosing(_batches(client, view.remark)) as batches:
        while any(is_live(job) for job in states.values()):
            batch = await anext(batches)
            for job in batch.jobs:
                if job.id in states:
                    take(job)
            # A snapshot has the latest jobs only, and a job may have ended while nobody listened.
            if batch.is_snapshot or batch.pruning is not None:
                with suppress(DaemonUnreachable):  # it has gone again: the stream says so, too
                    for job_id in job_ids:
                        take(await client.job(job_id))
    return [states[job_id] for job_id in job_ids]


async def _batches(client: DaemonClient, remark: Callable[[str], None]) -> AsyncGenerator[_Batch, None]:
    """Everything the stream reports, forever.

    A lost connection is made again. Raises DaemonUnreachable when the first one can't be had.
    """
    last_id: str | None = None
    has_connected = False
    failures = 0
    while True:
        try:
            async with client.events(last_id) as events:
                if failures:
                    remark(_("the daemon answers again"))
                has_connected, failures = True, 0
                yield _Batch(is_snapshot=True)
                async for event in events:
                    last_id = event.id or last_id
                    yield _batch(client, event)
        except DaemonUnreachable:
            if not has_connected:
                raise
        if failures == 0:
            remark(_("the daemon is gone; waiting for it to come back (Ctrl-C to stop)"))
        await asyncio.sleep(RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)])
        failures += 1


def _batch(client: DaemonClient, event: ServerEvent) -> _Batch:
    match event.name:
        case "snapshot":
            return _Batch(client.read(JobSnapshot, event.data).jobs, is_snapshot=True, is_whole=True)
        case "job":
            return _Batch([client.read(Job, event.data)])
        case "pruned":
            return _Batch(pruning=client.read(JobsPruned, event.data))
        case _:  # of a newer daemon
            return _Batch()


def _is_gone(job_id: JobId, job: _Known, pruning: JobsPruned) -> bool:
    has_ended = job.completed_at is not None and job.completed_at <= pruning.ended_until
    return has_ended and job_id not in pruning.kept


@asynccontextmanager
async def _ticking(view: View) -> AsyncIterator[None]:
    """Ticks the view. Not a TaskGroup: that would wrap whatever the body raises into an ExceptionGroup."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(view.interval)
            view.tick()

    ticker = asyncio.create_task(tick(), name="view-ticker")
    try:
        yield
    finally:
        ticker.cancel()
        await asyncio.wait([ticker])
        view.tick()
        if not ticker.cancelled():
            ticker.result()
