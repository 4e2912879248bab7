"""Following jobs over the daemon's event stream, through restarts of the daemon."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Protocol

import orjson

from daemon.cli.client import DaemonClient
from daemon.cli.documents import JobDocument
from daemon.cli.sse import ServerEvent
from daemon.cli.wording import is_live
from daemon.errors import DaemonUnreachable
from daemon.ids import JobId

RECONNECT_DELAYS = (0.2, 0.5, 1.0, 2.0)  # seconds; the last one repeats


class View(Protocol):
    """What shows jobs to a person or a program."""

    interval: float  # seconds between ticks

    def update(self, job: JobDocument) -> None:
        """A job has changed."""

    def tick(self) -> None:
        """Time has passed: show what is due."""

    def remark(self, text: str) -> None:
        """Something about the stream itself, such as that the daemon is away."""


async def watch(client: DaemonClient, view: View, *, remark: Callable[[str], None] | None = None) -> None:
    """Show the live jobs and every change of any job, until cancelled.

    `remark` takes what is to be said of the stream itself; the view by default. Raises DaemonUnreachable at the start
    only.
    """
    versions: dict[str, int] = {}
    async with _ticking(view), aclosing(_batches(client, remark or view.remark)) as batches:
        async for is_snapshot, jobs in batches:
            for job in jobs:
                known = versions.get(job["id"])
                # What ended before anybody looked is history, for `jobs list`.
                is_news = is_live(job) if is_snapshot and known is None else job["version"] > (known or 0)
                versions[job["id"]] = max(job["version"], known or 0)
                if is_news:
                    view.update(job)


async def follow_until_ended(client: DaemonClient, job_ids: Sequence[JobId], view: View) -> list[JobDocument]:
    """Show these jobs until all have ended; their last states.

    Raises JobNotFound, and DaemonUnreachable at the start only.
    """
    states: dict[str, JobDocument] = {}

    def take(job: JobDocument) -> None:
        known = states.get(job["id"])
        if known is None or job["version"] > known["version"]:
            states[job["id"]] = job
            view.update(job)

    for job_id in job_ids:
        take(await client.job(job_id))
    async with _ticking(view), aclosing(_batches(client, view.remark)) as batches:
        while any(is_live(job) for job in states.values()):
            is_snapshot, jobs = await anext(batches)
            for job in jobs:
                if job["id"] in states:
                    take(job)
            if is_snapshot:  # it tells of the latest jobs only, and an end may have come while nobody listened
                with suppress(DaemonUnreachable):  # it has gone again: the stream says so, too
                    for job_id in job_ids:
                        take(await client.job(job_id))
    return [states[str(job_id)] for job_id in job_ids]


async def _batches(
    client: DaemonClient, remark: Callable[[str], None]
) -> AsyncGenerator[tuple[bool, list[JobDocument]], None]:
    """What the stream tells of, for ever: whether it is the beginning of a connection, and the jobs.

    A lost connection is made again. Raises DaemonUnreachable when the first one can't be had.
    """
    last_id: str | None = None
    has_connected = False
    failures = 0
    while True:
        try:
            async with client.events(last_id) as events:
                if failures:
                    remark("the daemon answers again")
                has_connected, failures = True, 0
                yield True, []
                async for event in events:
                    last_id = event.id or last_id
                    yield _batch(event)
        except DaemonUnreachable:
            if not has_connected:
                raise
        if failures == 0:
            remark("the daemon has gone; waiting for it to come back (Ctrl-C to stop)")
        await asyncio.sleep(RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)])
        failures += 1


def _batch(event: ServerEvent) -> tuple[bool, list[JobDocument]]:
    match event.name:
        case "snapshot":
            return True, orjson.loads(event.data)["jobs"]
        case "job":
            return False, [orjson.loads(event.data)]
        case _:  # of a newer daemon
            return False, []


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
