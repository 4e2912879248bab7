"""The snapshot with which a reader of the event stream begins, read and encoded once for all who come at that time."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import orjson

from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.model import Job
from daemon.status.background import Background, SharedReading
from daemon.status.parts import StatusParts

SNAPSHOT_JOBS = 100  # the newest ones; those that are live or wait for approval come on top
FRESH = 0.25  # seconds for which a snapshot serves whoever comes
TIMEOUT = 15.0  # seconds
AT_ONCE = 50  # jobs that are encoded between two turns of the loop: a few milliseconds
SLICE = 64 * 1024  # bytes, about, that are handed to a connection at once: so much waits for a slow reader


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest and the unended jobs. All readers share it."""

    position: int  # in the hub's recent changes, from before it was read: what comes later may not be in it
    version: int  # the greatest that was given out before it was read
    slices: Sequence[bytes]  # of its JSON, {"version", "jobs"}
    versions: Mapping[JobId, int]


class Snapshots:
    """Takes snapshots, one at a time."""

    def __init__(self, parts: StatusParts, background: Background) -> None:
        self._parts = parts
        self._reading = SharedReading(background, "event-snapshot", self._read, TIMEOUT)
        self._last: Snapshot | None = None
        self._read_at = 0.0

    async def get(self) -> Snapshot:
        """A snapshot of some moments ago at most, to be completed with the changes after its position.

        Raises what the database raises, and TimeoutError.
        """
        last = self._last
        if last is not None and monotonic() - self._read_at < FRESH and self._parts.hub.recent.reaches(last.position):
            return last
        return await self._reading.get()

    async def _read(self) -> Snapshot:
        position = self._parts.hub.recent.position
        async with self._parts.database.acquire() as connection:
            version = await store.latest_version(connection)
            jobs = await store.list_newest_and_unended(connection, SNAPSHOT_JOBS)
        slices = list(sliced(await _encode(version, jobs)))
        self._last = Snapshot(position, version, slices, {job.id: job.version for job in jobs})
        self._read_at = monotonic()
        return self._last


def sliced(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces joined to slices of about SLICE bytes."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= SLICE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


async def _encode(version: int, jobs: Sequence[Job]) -> list[bytes]:
    pieces = [b'{"version":%d,"jobs":[' % version]
    for number, job in enumerate(jobs):
        if number:
            pieces.append(b",")
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        pieces.append(orjson.dumps(job))
    pieces.append(b"]}")
    return pieces
