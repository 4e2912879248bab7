"""The stream of job changes as server-sent events.

What is sent, each event with an id "<version>-<database>" of which the reader gives the last one back
(`Last-Event-ID`; a bare version is taken for one of this database):

- `snapshot`: {"version", "jobs"}: the newest jobs and those that have not ended, newest first, each as at its own
  address. What a reader shows besides is no longer to be shown. The first event, or at any time again: to one that was
  away, or too slow, for so long that single changes would be too many.
- `job`: the job, at its start, after each change that has come through, and at its end.
- `pruned`: {"version", "ended_until", "kept"}: jobs were deleted. Of those whose `completed_at` is `ended_until` or
  before, only those with an id in `kept` are still there.

Where many read, each is told less often, so that to tell them costs what they follow no time: its mailbox holds the
latest state of each job meanwhile. What comes after a silence is told at once.

A reader that comes back gets the changes since its last id out of memory, or, where these are not all at hand, the
snapshot that all who come at that moment share. Neither costs more the longer it was away.

Few lines of our own instead of aiohttp-sse: its `send` formats an event anew for every client and gives every client a
task for its pings, while here an event is formatted once for all clients, and the pause between events is the ping.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import structlog
from aiohttp import hdrs, web
from asyncpg import PostgresError

from daemon.database.pool import is_connection_error
from daemon.errors import DatabaseError
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs.changes import MOST_CHANGES, JobEvent, News, Pruning, Subscription
from daemon.jobs.model import Job
from daemon.status.background import Background
from daemon.status.parts import StatusParts
from daemon.status.problems import Problem, database_away
from daemon.status.snapshots import Snapshot, Snapshots, sliced

log = structlog.get_logger()

MOST_STREAMS = 1_000
AT_ONCE = 250  # readers who are told of each change as it comes
TELLINGS = 1_000  # a second, to more readers than that together: each costs some 60 µs
KEEP_ALIVE = 15.0  # seconds of silence after which a comment is sent, so that proxies and readers see a live connection
WRITE_TIMEOUT = 30.0  # seconds after which a reader that takes nothing is given up
RECONNECT = b"retry: 1000\n\n"  # milliseconds that a reader waits before it comes back
SILENCE = b": still here\n\n"
EVENT_ID = re.compile(r"([0-9]{1,18})(?:-([0-9a-f]{8}))?", re.ASCII)
HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class EventStreams:
    """All open streams of this endpoint."""

    def __init__(self, parts: StatusParts, background: Background) -> None:
        self._parts = parts
        self._snapshots = Snapshots(parts, background)
        self._places: set[object] = set()  # one for each reader
        self._writers: dict[asyncio.Task[None], _Stream] = {}
        self._stopping = False

    def __len__(self) -> int:
        """How many readers are connected."""
        return len(self._places)

    @property
    def pause(self) -> float:
        """Seconds that a reader is told nothing after it has been told something."""
        return len(self) / TELLINGS if len(self) > AT_ONCE else 0.0

    def stop(self) -> None:
        """End all streams and begin no new ones."""
        self._stopping = True
        for writer in self._writers:
            writer.cancel()

    async def serve(
        self, request: web.Request, last_event_id: str | None, may_go_on: Callable[[], bool]
    ) -> web.StreamResponse:
        """Send jobs until the reader goes or `stop`: after a snapshot, or after what has changed since `last_event_id`.

        It ends within seconds after `may_go_on` no longer holds.

        Raises Problem 503 where there are too many readers or the endpoint stops, and what the database raises.
        """
        if len(self._places) >= MOST_STREAMS:
            self._drop_gone()
        if self._stopping or len(self._places) >= MOST_STREAMS:
            reason = (
                _("The endpoint is stopping")
                if self._stopping
                else _("{n} readers are already connected").format(n=MOST_STREAMS)
            )
            kind = None if self._stopping else "too-many-readers"
            raise Problem(503, reason, kind=kind, headers={hdrs.RETRY_AFTER: "5"})
        place = object()
        self._places.add(place)
        try:
            with self._parts.hub.subscribe(MOST_CHANGES) as subscription:
                beginning = self._go_on(subscription, last_event_id) or await self.begin(subscription)
                response = web.StreamResponse(headers=HEADERS)
                await response.prepare(request)
                await self._run(_Stream(self, place, request, response, subscription, beginning, may_go_on))
        finally:
            self._places.discard(place)
        return response

    def frame(self, event: JobEvent) -> bytes:
        """A change on the wire."""
        return _format(b"job", event.job.version, self._lineage, event.data)

    def frame_pruning(self, pruning: Pruning) -> bytes:
        """A pruning on the wire."""
        return _format(b"pruned", pruning.version, self._lineage, pruning.data)

    @property
    def _lineage(self) -> bytes:
        return self._parts.hub.lineage.encode()

    async def _run(self, stream: "_Stream") -> None:
        # A task of its own, so that `stop` ends the stream without cancelling the request that owns it.
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(stream.write(), name="event-stream")
            self._writers[writer] = stream
            writer.add_done_callback(self._writers.pop)
            if self._stopping:
                writer.cancel()
        if self._stopping:
            stream.cut_off_if_stuck()

    def _drop_gone(self) -> None:
        """End the streams of readers that have gone, which shows at the next write only."""
        for writer, stream in self._writers.items():
            if stream.is_gone:
                writer.cancel()
                self._places.discard(stream.place)

    def _go_on(self, subscription: Subscription, last_event_id: str | None) -> "_Beginning | None":
        version = self._version(last_event_id)
        changes = None if version is None else self._parts.hub.recent.since(version)
        if changes is None:
            return None
        subscription.clear()  # what it holds is among the changes
        return _Beginning(map(self.frame, changes))

    async def begin(self, subscription: Subscription) -> "_Beginning":
        """The present state, for a reader that is new or has missed too much.

        Raises Problem 503 where the snapshot takes too long, and what the database raises.
        """
        recent = self._parts.hub.recent
        while True:
            try:
                snapshot = await self._snapshots.get()
            except TimeoutError:
                raise database_away(_("The database took too long")) from None
            later = recent.after(snapshot.position)
            if later is not None:
                subscription.clear()  # what it holds is among the later ones
                news = (event for event in later if event.job.version > snapshot.versions.get(event.job.id, 0))
                return _Beginning(self._frames(snapshot, news), snapshot.versions)
            if snapshot.position >= subscription.position:  # what came later is in the mailbox, or has overrun it
                return _Beginning(self._frames(snapshot, ()), snapshot.versions)

    def _frames(self, snapshot: Snapshot, later: Iterable[JobEvent]) -> Iterator[bytes]:
        yield b"id: %b\nevent: snapshot\ndata: " % _event_id(snapshot.version, self._lineage)
        yield from snapshot.slices
        yield b"\n\n"
        yield from map(self.frame, later)

    def _version(self, last_event_id: str | None) -> int | None:
        """The version that a reader has got; None for rubbish and for another database, which begin with a snapshot."""
        found = EVENT_ID.fullmatch(last_event_id or "")
        if found is None or found[2] not in (None, self._parts.hub.lineage):
            return None
        return int(found[1])


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What a reader gets first, and the version of each job in its snapshot."""

    frames: Iterable[bytes]
    versions: Mapping[JobId, int] = field(default_factory=dict)


class _Stream:
    """One reader."""

    def __init__(
        self,
        streams: EventStreams,
        place: object,
        request: web.Request,
        response: web.StreamResponse,
        subscription: Subscription,
        beginning: _Beginning,
        may_go_on: Callable[[], bool],
    ) -> None:
        self._streams = streams
        self.place = place
        self._request = request
        self._response = response
        self._subscription = subscription
        self._beginning = beginning
        self._may_go_on = may_go_on
        self._looked = time.monotonic()

    async def write(self) -> None:
        """Send the beginning and then every change, until the reader goes."""
        try:
            await self._send([RECONNECT])
            await self._send(self._beginning.frames)
            while self._is_allowed():
                await self._send(await self._next_frames())
                if (pause := self._streams.pause) > 0:
                    await asyncio.sleep(pause)
        except ConnectionError:
            log.debug("event_reader_left")
        except TimeoutError:
            log.info("event_reader_dropped", reason=f"took nothing for {WRITE_TIMEOUT:g} s")
            self.cut_off_if_stuck()

    @property
    def is_gone(self) -> bool:
        """Whether the reader has closed the connection."""
        return self._request.transport is None or self._request.transport.is_closing()

    def cut_off_if_stuck(self) -> None:
        """Close the connection of a reader that does not take what was sent: to end it in order would wait for it."""
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size() > 0:
            transport.abort()

    def _is_allowed(self) -> bool:
        """Whether whoever asked may still read; looked at no more often than a silent stream says something."""
        now = time.monotonic()
        if now - self._looked < KEEP_ALIVE:
            return True
        self._looked = now
        return self._may_go_on()

    async def _send(self, frames: Iterable[bytes]) -> None:
        for part in sliced(frames):
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self._response.write(part)

    async def _next_frames(self) -> Iterable[bytes]:
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                news = await self._subscription.take_news()
        except TimeoutError:
            return [SILENCE]
        if news.is_overrun:
            return await self._begin_anew()
        return self._frames(news)

    def _frames(self, news: News) -> Iterator[bytes]:
        """Made as they are sent: of what waits for a slow reader there is one copy for all."""
        yield from (self._streams.frame(event) for event in news.events if self._is_news(event.job))
        if news.pruning is not None:
            yield self._streams.frame_pruning(news.pruning)

    async def _begin_anew(self) -> Iterable[bytes]:
        """A snapshot in the midst of the stream. Without the database the stream ends, and the reader comes back."""
        try:
            self._beginning = await self._streams.begin(self._subscription)
        except (Problem, DatabaseError, PostgresError) as error:
            raise ConnectionResetError("no snapshot can be taken") from error
        except Exception as error:
            if not is_connection_error(error):
                raise
            raise ConnectionResetError("no snapshot can be taken") from error
        return self._beginning.frames

    def _is_news(self, job: Job) -> bool:
        """Whether the change is later than the snapshot: the hub may have read an older state of the job before it."""
        return job.version > self._beginning.versions.get(job.id, 0)


def _event_id(version: int, lineage: bytes) -> bytes:
    return b"%d-%b" % (version, lineage) if lineage else b"%d" % version


@lru_cache(maxsize=64)
def _format(name: bytes, version: int, lineage: bytes, data: bytes) -> bytes:
    """The event on the wire; readers of one event share it."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (_event_id(version, lineage), name, data)
