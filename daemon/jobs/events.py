"""Job changes on their way to people: notifications out of this process, and a hub that fans the rows out to readers.

A notification is only a hint that carries a job's id. The hub reads the row itself, and every few seconds catches up
by version, so that the loss of every notification costs latency and never truth.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
from asyncpg import PostgresError

from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import DatabaseError
from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.model import Job

log = structlog.get_logger()

CHANNEL = "dongbo_jobs"
PROBE_PREFIX = "probe:"
CATCH_UP_INTERVAL = 4.0  # seconds
PROBE_INTERVAL = 20.0  # seconds between measurements of the notification lag
PROBE_TIMEOUT = 5.0  # seconds after which a notification counts as lost
# Numbers of a sequence become visible out of order: a change that took its version earlier may be committed later. A
# version is taken in the last statement before its commit, so this many later ones leave ample time.
VERSION_OVERLAP = 5_000
RECONNECT_DELAYS = (0.1, 0.5, 1.0, 2.0)  # seconds; the last one repeats

NOTIFY = f"SELECT pg_notify('{CHANNEL}', payload) FROM unnest($1::text[]) AS payload"


class JobNotifier:
    """Announces changed jobs: at once when nothing was said of a job lately, else at the end of the interval.

    The last state of a job is thus always announced, and terminal ones do not wait (`at_once`).
    """

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval  # seconds
        self._due: dict[JobId, float] = {}  # when to announce, on the monotonic clock
        self._announced: dict[JobId, float] = {}
        self._wakeup = asyncio.Event()

    def changed(self, job_id: JobId, *, at_once: bool = False) -> None:
        """Announce a job whose change has been committed."""
        now = monotonic()
        due = now if at_once else max(now, self._announced.get(job_id, 0.0) + self._interval)
        self._due[job_id] = min(due, self._due.get(job_id, due))
        self._wakeup.set()

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            await self._until_due()
            now = monotonic()
            ready = [job_id for job_id, due in self._due.items() if due <= now]
            for job_id in ready:
                del self._due[job_id]
                self._announced[job_id] = now
            self._forget_old(now)
            if ready:
                await self._send(ready)

    async def _until_due(self) -> None:
        while True:
            self._wakeup.clear()
            delay = min(self._due.values()) - monotonic() if self._due else None
            if delay is not None and delay <= 0:
                return
            try:
                async with asyncio.timeout(delay):
                    await self._wakeup.wait()
            except TimeoutError:
                return

    async def _send(self, job_ids: list[JobId]) -> None:
        try:
            async with self._database.acquire() as connection:
                await connection.execute(NOTIFY, [str(job_id) for job_id in job_ids])
        except (DatabaseError, PostgresError, OSError, TimeoutError) as error:
            log.warning("notification_lost", error=str(error), next_step="readers catch up by version")
        except Exception as error:
            if not is_connection_error(error):
                raise
            log.warning("notification_lost", error=str(error), next_step="readers catch up by version")

    def _forget_old(self, now: float) -> None:
        if len(self._announced) > 1_000:
            self._announced = {job: at for job, at in self._announced.items() if now - at < self._interval}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job's row at one version, encoded once for all readers."""

    job: Job
    data: bytes  # JSON of the job as the endpoint shows it


class Subscription:
    """One reader's mailbox: holds the latest state of each job, so that a slow reader misses steps but no state."""

    def __init__(self) -> None:
        self._latest: dict[JobId, JobEvent] = {}
        self._wakeup = asyncio.Event()

    def put(self, event: JobEvent) -> None:
        """Leave an event; an older one of the same job is replaced."""
        self._latest.pop(event.job.id, None)
        self._latest[event.job.id] = event
        self._wakeup.set()

    async def take(self) -> list[JobEvent]:
        """Wait for events and take all that there are, oldest first."""
        await self._wakeup.wait()
        self._wakeup.clear()
        events = list(self._latest.values())
        self._latest.clear()
        return events


class EventHub:
    """Listens on one connection and hands every change of a job to all subscriptions of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscriptions: set[Subscription] = set()
        self._hinted: set[JobId] = set()
        self._wakeup = asyncio.Event()
        self._versions: dict[JobId, int] = {}
        self._latest_version = 0
        self._probes: dict[str, float] = {}
        self._listening = asyncio.Event()
        self.notification_lag: float | None = (
            None  # seconds from NOTIFY to here, as last measured; None: not yet, or lost
        )

    @property
    def is_listening(self) -> bool:
        """Whether changes of jobs are heard of at once."""
        return self._listening.is_set()

    async def wait_listening(self) -> None:
        """Wait until that is so."""
        await self._listening.wait()

    @property
    def subscriber_count(self) -> int:
        """How many readers there are."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """A mailbox that receives every change from now on."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def run(self) -> None:
        """Listen until cancelled, through any loss of the connection."""
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
            except (DatabaseError, PostgresError, OSError, TimeoutError) as error:
                log.warning("hub_listener_failed", error=str(error), next_step="reconnecting")
            except Exception as error:
                if not is_connection_error(error):
                    raise
                log.warning("hub_listener_failed", error=str(error), next_step="reconnecting")
            finally:
                self._listening.clear()
                self.notification_lag = None
            await asyncio.sleep(RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)])
            failures += 1

    async def changes_since(self, version: int) -> list[JobEvent]:
        """Jobs changed since `version`, with the overlap that makes this complete; for a reader that comes back."""
        async with self._database.acquire() as connection:
            jobs = await store.list_changed_since(connection, version - VERSION_OVERLAP)
        return [_event(job) for job in jobs]

    async def _listen(self) -> None:
        async with self._database.dedicated() as connection:
            lost = asyncio.Event()

            def terminated(_connection: object) -> None:
                lost.set()
                self._wakeup.set()

            connection.add_termination_listener(terminated)
            await connection.add_listener(CHANNEL, self._hear)
            await self._start_from_now(connection)
            self._listening.set()
            await self._follow(lost)
        log.warning("hub_listener_lost", next_step="reconnecting")

    async def _start_from_now(self, connection: Connection) -> None:
        if self._latest_version == 0:
            self._latest_version = await store.latest_version(connection)

    async def _follow(self, lost: asyncio.Event) -> None:
        caught_up = probed = 0.0
        while not lost.is_set():
            if monotonic() - probed >= PROBE_INTERVAL:
                probed = monotonic()
                await self._probe()
            if monotonic() - caught_up >= CATCH_UP_INTERVAL:
                await self._catch_up()
                caught_up = monotonic()
            await self._read_hinted()
            try:
                async with asyncio.timeout(CATCH_UP_INTERVAL):
                    await self._wakeup.wait()
            except TimeoutError:
                pass
            self._wakeup.clear()

    def _hear(self, _connection: object, _pid: object, _channel: object, payload: Any) -> None:
        if payload.startswith(PROBE_PREFIX):
            sent = self._probes.pop(payload, None)
            if sent is not None:
                self.notification_lag = monotonic() - sent
            return
        try:
            self._hinted.add(JobId(UUID(payload)))
        except ValueError:
            log.warning("notification_ignored", payload=payload[:100])
            return
        self._wakeup.set()

    async def _probe(self) -> None:
        now = monotonic()
        if any(now - sent > PROBE_TIMEOUT for sent in self._probes.values()):
            self.notification_lag = None
            self._probes.clear()
            log.warning("notification_probe_lost", next_step="jobs are shown by the catch-up every few seconds")
        payload = f"{PROBE_PREFIX}{uuid4()}"
        self._probes[payload] = now
        async with self._database.acquire() as connection:
            await connection.execute(NOTIFY, [payload])

    async def _read_hinted(self) -> None:
        if not self._hinted:
            return
        hinted, self._hinted = list(self._hinted), set()
        async with self._database.acquire() as connection:
            jobs = await store.get_many(connection, hinted)
        self._publish(jobs)

    async def _catch_up(self) -> None:
        async with self._database.acquire() as connection:
            present = await store.list_versions_since(connection, self._latest_version - VERSION_OVERLAP)
            missed = [job_id for job_id, version in present.items() if version > self._versions.get(job_id, 0)]
            jobs = await store.get_many(connection, missed) if missed else []
        self._publish(jobs)
        floor = self._latest_version - 2 * VERSION_OVERLAP
        self._versions = {job_id: version for job_id, version in self._versions.items() if version > floor}

    def _publish(self, jobs: list[Job]) -> None:
        for job in sorted(jobs, key=lambda job: job.version):
            if job.version <= self._versions.get(job.id, 0):
                continue
            self._versions[job.id] = job.version
            self._latest_version = max(self._latest_version, job.version)
            if self._subscriptions:
                event = _event(job)
                for subscription in self._subscriptions:
                    subscription.put(event)


def _event(job: Job) -> JobEvent:
    return JobEvent(job, orjson.dumps(job.to_json()))
