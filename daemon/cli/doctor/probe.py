"""Follows a job that does nothing through all stations that a real one passes, and times each of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from daemon.api.findings import Finding, failed, ok, warning
from daemon.api.jobs import JobSnapshot
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.sse import ServerEvent
from daemon.errors import DongboError, LiveJobExists
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs.events import CHANNEL
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType

EVENT_TIMEOUT = 8.0  # seconds: twice the interval at which the hub catches up by itself
COMPLETION_TIMEOUT = 30.0  # seconds

VISIBLE = "SELECT status FROM dongbo.background_jobs WHERE id = $1"


@dataclass
class Sightings:
    """When a job was first seen somewhere, and when it was seen to have ended; on the monotonic clock."""

    first: dict[str, float] = field(default_factory=dict)
    ended: dict[str, Job] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, job_id: str, job: Job | None = None) -> None:
        """Note that a job was seen, in this state if it is known."""
        self.first.setdefault(job_id, time.monotonic())
        if job is not None and not job.status.is_live:
            self.ended[job_id] = job
        self.changed.set()

    async def wait(self, is_there: Callable[[], bool], timeout: float) -> bool:
        """Whether it comes true within this many seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not is_there():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True


async def follow_a_job(client: DaemonClient, store: str, connection: asyncpg.Connection | None) -> list[Finding]:
    """Where the job was seen, station by station. `connection` is one of our own to the daemon's database, if any.

    The milliseconds are counted from the request.
    """
    heard = Sightings()
    async with _listening(connection, heard), _streaming(client, Sightings()) as streamed:
        began = time.monotonic()
        findings: list[Finding] = []
        try:
            job_id = (await client.submit(JobType.NOOP, store, {})).id
            findings.append(
                ok(
                    "job submitted",
                    _("{job_id}, of store {store}").format(job_id=job_id, store=store),
                    milliseconds=_since(began),
                )
            )
        except LiveJobExists as live:
            job_id = live.job_id
            findings.append(
                ok("job submitted", _("{job_id} already existed: following that one").format(job_id=job_id))
            )
        except DongboError as error:
            return [failed("job submitted", str(error), _("this is why no job appears: fix it first"))]
        if connection is not None:
            findings.append(await _seen_in_database(connection, job_id, began))
        findings.append(await _seen_in_endpoint(client, job_id, began))
        findings.append(await _seen_in_stream(streamed, str(job_id), began))
        if connection is not None:
            findings.append(await _heard_by_listener(heard, str(job_id), began))
        findings.append(await _completed(client, streamed, job_id, began))
    return findings


async def _seen_in_database(connection: asyncpg.Connection, job_id: JobId, began: float) -> Finding:
    status = await connection.fetchval(VISIBLE, job_id)
    if status is None:
        return failed(
            "seen in database",
            _("another connection does not see the job"),
            _(
                "the daemon works on a different database than this configuration names: name its own file with "
                "--config"
            ),
        )
    return ok(
        "seen in database", _("another connection sees it, {status}").format(status=status), milliseconds=_since(began)
    )


async def _seen_in_endpoint(client: DaemonClient, job_id: JobId, began: float) -> Finding:
    try:
        job = await client.job(job_id)
    except DongboError as error:
        return failed("seen in endpoint", str(error), _("look in the daemon's log for request_failed"))
    return ok(
        "seen in endpoint",
        _("GET /api/jobs/… shows it, {status}").format(status=job.status),
        milliseconds=_since(began),
    )


async def _seen_in_stream(streamed: Sightings, job_id: str, began: float) -> Finding:
    if await streamed.wait(lambda: job_id in streamed.first, EVENT_TIMEOUT):
        took = (streamed.first[job_id] - began) * 1000
        return ok("seen in event stream", _("GET /api/events reports it"), milliseconds=took)
    return failed(
        "seen in event stream",
        _("GET /api/events did not report the job within {n:g} s").format(n=EVENT_TIMEOUT),
        _(
            "the job page is frozen for the same reason: a proxy in between must not buffer (proxy_buffering "
            "off); otherwise look in the daemon's log for hub_listener_failed"
        ),
    )


async def _heard_by_listener(heard: Sightings, job_id: str, began: float) -> Finding:
    if await heard.wait(lambda: job_id in heard.first, EVENT_TIMEOUT):
        took = (heard.first[job_id] - began) * 1000
        return ok("heard by listener", f"LISTEN {CHANNEL} hears of it", milliseconds=took)
    return warning(
        "heard by listener",
        f"LISTEN {CHANNEL} heard nothing within {EVENT_TIMEOUT:g} s: jobs show only with a few seconds' delay",
        _(
            "a connection pooler between daemon and PostgreSQL must work in session mode: name the server itself "
            "in [database] url"
        ),
    )


async def _completed(client: DaemonClient, streamed: Sightings, job_id: JobId, began: float) -> Finding:
    has_ended = await streamed.wait(lambda: str(job_id) in streamed.ended, COMPLETION_TIMEOUT)
    took = _since(began)
    try:
        job = streamed.ended[str(job_id)] if has_ended else await client.job(job_id)
    except DongboError as error:
        return failed("completed", str(error))
    match job.status:
        case JobStatus.COMPLETED:
            return ok("completed", f"by {job.worker}", milliseconds=took)
        case JobStatus.PENDING:
            return failed(
                "completed",
                _("no worker has taken it for {n:.0f} s").format(n=took / 1000),
                _("look for queue_cycle_failed in the daemon's log; GET /readyz?verbose says whether its worker runs"),
            )
        case JobStatus.RUNNING:
            return failed(
                "completed",
                _("{worker} has not finished it in {n:.0f} s").format(worker=job.worker, n=took / 1000),
                _("the machine is overloaded or the database slow: look at the load of both"),
            )
        case _:
            return failed(
                "completed",
                _("it ended {status}: {error}").format(
                    status=job.status, error=job.error or _("somebody cancelled it")
                ),
            )


@asynccontextmanager
async def _listening(connection: asyncpg.Connection | None, heard: Sightings) -> AsyncIterator[None]:
    def hear(_connection: object, _pid: object, _channel: object, payload: object) -> None:
        heard.see(str(payload))

    if connection is None:
        yield
        return
    await connection.add_listener(CHANNEL, hear)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.remove_listener(CHANNEL, hear)


@asynccontextmanager
async def _streaming(client: DaemonClient, sightings: Sightings) -> AsyncIterator[Sightings]:
    """Reads the event stream meanwhile; a stream that can't be opened is noticed by what is not seen in it."""
    is_open = asyncio.Event()

    async def read() -> None:
        try:
            async with client.events() as events:
                async for event in events:
                    for job in _jobs(client, event):
                        sightings.see(str(job.id), job)
                    is_open.set()
        except DongboError:
            is_open.set()

    reader = asyncio.create_task(read(), name="doctor-event-stream")
    try:
        try:
            async with asyncio.timeout(EVENT_TIMEOUT):
                await is_open.wait()
        except TimeoutError:
            pass
        yield sightings
    finally:
        reader.cancel()
        await asyncio.wait([reader])
        if not reader.cancelled():
            reader.result()


def _jobs(client: DaemonClient, event: ServerEvent) -> Sequence[Job]:
    match event.name:
        case "snapshot":
            return client.read(JobSnapshot, event.data).jobs
        case "job":
            return [client.read(Job, event.data)]
        case _:
            return []


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000
