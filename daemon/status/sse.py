"""The stream of job changes as server-sent events.

Few lines of our own instead of aiohttp-sse: its `send` formats an event anew for every client and gives every client a
task for its pings, while here an event is formatted once for all clients, and the pause between events is the ping.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import orjson
import structlog
from aiohttp import hdrs, web

from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.events import JobEvent, Subscription
from daemon.jobs.model import Job, JobStatus
from daemon.status.parts import StatusParts
from daemon.status.problems import Problem

log = structlog.get_logger()

SNAPSHOT_JOBS = 100  # the newest ones; those that are live or wait for approval come on top
MOST_CHANGES = 500  # a reader that has missed more than this gets a snapshot instead
MOST_STREAMS = 1_000
KEEP_ALIVE = 15.0  # seconds of silence after which a comment is sent, so that proxies and readers see a live connection
WRITE_TIMEOUT = 30.0  # seconds after which a reader that takes nothing is given up
CONCURRENT_READINGS = 2  # connections that readers who all come at once may take from the pool
RECONNECT = b"retry: 1000\n\n"  # milliseconds that a reader waits before it comes back
SILENCE = b": still here\n\n"
VERSION = re.compile(r"[0-9]{1,18}", re.ASCII)
HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class EventStreams:
    """All open streams of this endpoint."""

    def __init__(self, parts: StatusParts) -> None:
        self._parts = parts
        self._count = 0
        self._writers: set[asyncio.Task[None]] = set()
        self._readings = asyncio.Semaphore(CONCURRENT_READINGS)
        self._stopping = False

    def __len__(self) -> int:
        """How many readers are connected."""
        return self._count

    def stop(self) -> None:
        """End all streams and begin no new ones."""
        self._stopping = True
        for writer in self._writers:
            writer.cancel()

    async def serve(self, request: web.Request, last_event_id: str | None) -> web.StreamResponse:
        """Send jobs until the reader goes or `stop`: after a snapshot, or after what has changed since `last_event_id`.

        Raises Problem 503 where there are too many readers or the endpoint stops, and what the database raises.
        """
        if self._stopping or self._count >= MOST_STREAMS:
            reason = "The endpoint stops" if self._stopping else f"{MOST_STREAMS} readers are connected already"
            raise Problem(503, reason, headers={hdrs.RETRY_AFTER: "5"})
        self._count += 1
        try:
            # The subscription comes first: what changes while the beginning is read waits in the mailbox.
            with self._parts.hub.subscribe() as subscription:
                async with self._readings:
                    beginning = await self._begin(_version(last_event_id))
                response = web.StreamResponse(headers=HEADERS)
                await response.prepare(request)
                await self._run(_Stream(request, response, subscription, beginning))
        finally:
            self._count -= 1
        return response

    async def _run(self, stream: "_Stream") -> None:
        # A task of its own, so that `stop` ends the stream without cancelling the request that owns it.
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(stream.write(), name="event-stream")
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
            if self._stopping:
                writer.cancel()
        if self._stopping:
            stream.cut_off_if_stuck()

    async def _begin(self, version: int | None) -> "_Beginning":
        async with self._parts.database.acquire() as connection:
            latest = await store.latest_version(connection)
        # A version that is not there yet is that of another database, such as one from before a restore.
        if version is not None and version <= latest:
            changes = await self._parts.hub.changes_since(version)
            if len(changes) <= MOST_CHANGES:
                return _Beginning(b"".join(map(_frame, changes)), _versions(event.job for event in changes))
        jobs = await self._newest_and_unended()
        data = orjson.dumps({"version": latest, "jobs": [job.to_json() for job in jobs]})
        return _Beginning(b"id: %d\nevent: snapshot\ndata: %b\n\n" % (latest, data), _versions(jobs))

    async def _newest_and_unended(self) -> list[Job]:
        """Newest first."""
        async with self._parts.database.acquire() as connection:
            jobs = [
                *await store.list_jobs(connection, limit=SNAPSHOT_JOBS),
                *await store.list_jobs(connection, status=JobStatus.RUNNING, limit=SNAPSHOT_JOBS),
                *await store.list_jobs(connection, status=JobStatus.PENDING, limit=SNAPSHOT_JOBS),
                *await store.list_jobs(connection, status=JobStatus.AWAITING_APPROVAL, limit=SNAPSHOT_JOBS),
            ]
        latest: dict[JobId, Job] = {}
        for job in jobs:
            if job.id not in latest or latest[job.id].version < job.version:
                latest[job.id] = job
        return sorted(latest.values(), key=lambda job: job.id, reverse=True)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What a reader gets first, and the version of each job in it."""

    frames: bytes
    versions: dict[JobId, int]


class _Stream:
    """One reader."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, subscription: Subscription, beginning: _Beginning
    ) -> None:
        self._request = request
        self._response = response
        self._subscription = subscription
        self._beginning = beginning

    async def write(self) -> None:
        """Send the beginning and then every change, until the reader goes."""
        try:
            await self._send(RECONNECT + self._beginning.frames)
            while True:
                frames = await self._next_frames()
                if frames:
                    await self._send(frames)
        except ConnectionError:
            log.debug("event_reader_left")
        except TimeoutError:
            log.info("event_reader_dropped", reason=f"took nothing for {WRITE_TIMEOUT:g} s")
            self.cut_off_if_stuck()

    def cut_off_if_stuck(self) -> None:
        """Close the connection of a reader that does not take what was sent: to end it in order would wait for it."""
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size() > 0:
            transport.abort()

    async def _send(self, frames: bytes) -> None:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await self._response.write(frames)

    async def _next_frames(self) -> bytes:
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                events = await self._subscription.take()
        except TimeoutError:
            return SILENCE
        return b"".join(_frame(event) for event in events if self._is_news(event.job))

    def _is_news(self, job: Job) -> bool:
        """Whether the change is later than the beginning: the hub may have read an older state of the job before it."""
        known = self._beginning.versions.get(job.id)
        if known is not None and job.version <= known:
            return False
        self._beginning.versions.pop(job.id, None)
        return True


def _version(last_event_id: str | None) -> int | None:
    """The version that a reader has got; None for rubbish, which begins with a snapshot."""
    if last_event_id is None or not VERSION.fullmatch(last_event_id):
        return None
    return int(last_event_id)


def _versions(jobs: Iterable[Job]) -> dict[JobId, int]:
    return {job.id: job.version for job in jobs}


def _frame(event: JobEvent) -> bytes:
    return _format(event.job.version, event.data)


@lru_cache(maxsize=256)
def _format(version: int, data: bytes) -> bytes:
    """The event on the wire; readers of one event share it."""
    return b"id: %d\nevent: job\ndata: %b\n\n" % (version, data)
