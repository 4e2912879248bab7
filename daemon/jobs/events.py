"""Job changes on their way to people: notifications out of this process, and a hub that fans the rows out to readers.

A notification is only a hint that carries a job's id. The hub reads the row itself, and every few seconds catches up
by version, so that the loss of every notification costs latency and never truth.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
from asyncpg import PostgresError

from daemon.database.migrate import lineage
from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import DatabaseError
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.changes import LATE, JobEvent, Pruning, RecentChanges, Subscription
from daemon.jobs.model import Job
from daemon.lifecycle import Health, Part

log = structlog.get_logger()

CHANNEL = "dongbo_jobs"
PROBE_PREFIX = "probe:"
PRUNED = "pruned"  # payload that says that jobs were deleted
CATCH_UP_INTERVAL = 4.0  # seconds
PROBE_INTERVAL = 20.0  # seconds between measurements of the notification lag
PROBE_TIMEOUT = 5.0  # seconds after which a notification counts as lost
# Numbers of a sequence become visible out of order: a change that took its version earlier may be committed later. A
# version is taken in the last statement before its commit, so this many later ones leave ample time.
VERSION_OVERLAP = 5_000
AT_ONCE = 50  # jobs that are encoded and handed out between two turns of the loop: a few milliseconds
MOST_VERSIONS = 4 * VERSION_OVERLAP  # jobs of which it is known which version was published
PORTION = 500  # jobs that are read at once
MOST_KEPT = 1_000  # jobs that an event names as not pruned; more of them cost readers a snapshot
RECONNECT_DELAYS = (0.1, 0.5, 1.0, 2.0)  # seconds; the last one repeats

NOTIFY = f"SELECT pg_notify('{CHANNEL}', payload) FROM unnest($1::text[]) AS payload"


class JobNotifier(Part):
    """Announces changed jobs: at once when nothing was said of a job lately, else at the end of the interval.

    The last state of a job is thus always announced, and terminal ones do not wait (`at_once`).
    """

    name = "job-notifier"

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval  # seconds
        self._due: dict[JobId, float] = {}  # when to announce, on the monotonic clock
        self._announced: dict[JobId, float] = {}
        self._has_pruned = False
        self._wakeup = asyncio.Event()

    def changed(self, job_id: JobId, *, at_once: bool = False) -> None:
        """Announce a job whose change has been committed."""
        now = monotonic()
        due = now if at_once else max(now, self._announced.get(job_id, 0.0) + self._interval)
        self._due[job_id] = min(due, self._due.get(job_id, due))
        self._wakeup.set()

    def pruned(self) -> None:
        """Announce that jobs were deleted, after the commit."""
        self._has_pruned = True
        self._wakeup.set()

    async def _run(self) -> None:
        while True:
            await self._until_due()
            if self._has_pruned:
                self._has_pruned = False
                await self._send([PRUNED])
            now = monotonic()
            ready = [job_id for job_id, due in self._due.items() if due <= now]
            for job_id in ready:
                del self._due[job_id]
                self._announced[job_id] = now
            self._forget_old(now)
            if ready:
                await self._send([str(job_id) for job_id in ready])

    async def _until_due(self) -> None:
        while not self._has_pruned:
            self._wakeup.clear()
            delay = min(self._due.values()) - monotonic() if self._due else None
            if delay is not None and delay <= 0:
                return
            try:
                async with asyncio.timeout(delay):
                    await self._wakeup.wait()
            except TimeoutError:
                return

    async def _send(self, payloads: list[str]) -> None:
        try:
            async with self._database.acquire() as connection:
                await connection.execute(NOTIFY, payloads)
        except (DatabaseError, PostgresError, OSError, TimeoutError) as error:
            log.warning("notification_lost", error=str(error), next_step="readers catch up by version")
        except Exception as error:
            if not is_connection_error(error):
                raise
            log.warning("notification_lost", error=str(error), next_step="readers catch up by version")

    def _forget_old(self, now: float) -> None:
        if len(self._announced) > 1_000:
            self._announced = {job: at for job, at in self._announced.items() if now - at < self._interval}


class EventHub(Part):
    """Listens on one connection and hands every change of a job to all subscriptions of this process."""

    name = "event-hub"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscriptions: set[Subscription] = set()
        self._hinted: set[JobId] = set()
        self._is_pruning_hinted = False
        self._wakeup = asyncio.Event()
        self._versions: dict[JobId, int] = {}
        self._latest_version = 0
        self._caught_up_at: datetime | None = None  # by the database's clock
        self._pruned_version = 0
        self.lineage = ""  # of the database; versions of another one mean nothing here
        self.recent = RecentChanges()
        self._probes: dict[str, float] = {}
        self._listening = asyncio.Event()
        self.notification_lag: float | None = (
            None  # seconds from NOTIFY to here, as last measured; None: not yet, or lost
        )

    @property
    def is_listening(self) -> bool:
        """Whether changes of jobs are heard of at once."""
        return self._listening.is_set()

    @property
    def health(self) -> Health:
        """Whether changes of jobs are heard of at once; if not, the catch-up brings them, once it can connect."""
        if self.is_listening:
            return Health(True, _("hears of changed jobs"))
        return Health(False, _("does not hear of changed jobs: connects to the database again by itself"))

    async def wait_listening(self) -> None:
        """Wait until that is so."""
        await self._listening.wait()

    @contextmanager
    def subscribe(self, most: int | None = None) -> Iterator[Subscription]:
        """A mailbox that receives every change from now on; `most` as of `Subscription`."""
        subscription = Subscription(most, self.recent.position)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _run(self) -> None:
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

    async def _listen(self) -> None:
        async with self._database.dedicated() as connection:
            lost = asyncio.Event()

            def terminated(_connection: object) -> None:
                lost.set()
                self._wakeup.set()

            connection.add_termination_listener(terminated)
            await self._start_from_now(connection)  # before: what comes between is caught up on
            await connection.add_listener(CHANNEL, self._hear)
            self._listening.set()
            await self._follow(lost)
        log.warning("hub_listener_lost", next_step="reconnecting")

    async def _start_from_now(self, connection: Connection) -> None:
        if self._caught_up_at is None:
            self._latest_version = await store.latest_version(connection)
            self.lineage = await lineage(connection)
            pruning = await store.last_pruning(connection)
            self._pruned_version = pruning.version if pruning else 0

    async def _follow(self, lost: asyncio.Event) -> None:
        caught_up = probed = 0.0
        while not lost.is_set():
            if monotonic() - probed >= PROBE_INTERVAL:
                probed = monotonic()
                await self._probe()
            if monotonic() - caught_up >= CATCH_UP_INTERVAL:
                await self._catch_up()
                caught_up = monotonic()
            if self._hinted or self._is_pruning_hinted:
                async with self._database.acquire() as connection:
                    await self._read_hinted(connection)
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
        if payload == PRUNED:
            self._is_pruning_hinted = True
            self._wakeup.set()
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

    async def _read_hinted(self, connection: Connection) -> None:
        while self._hinted:
            hinted = list(islice(self._hinted, PORTION))
            self._hinted.difference_update(hinted)
            await self._publish(await store.get_many(connection, hinted))
        if self._is_pruning_hinted:
            self._is_pruning_hinted = False
            await self._look_for_pruning(connection)

    async def _catch_up(self) -> None:
        """Read all that has changed, a portion at a time, however much that is."""
        latest = self._latest_version
        floor = max(latest - VERSION_OVERLAP, 0)
        async with self._database.acquire() as connection, connection.transaction():
            now = await store.now(connection)
            late_since = self._caught_up_at - LATE if self._caught_up_at else None
            changes = await store.open_changes(connection, floor, latest, late_since)
            while versions := await changes(PORTION):
                missed = [job_id for job_id, version in versions.items() if version > self._versions.get(job_id, 0)]
                await self._publish(await store.get_many(connection, missed) if missed else [])
                await self._read_hinted(connection)  # what happens now need not wait for what has happened
            await self._look_for_pruning(connection)
        if self._caught_up_at is None:
            self.recent.start(floor, latest, now)
        self._caught_up_at = now

    async def _look_for_pruning(self, connection: Connection) -> None:
        pruning = await store.last_pruning(connection)
        if pruning is None or pruning.version <= self._pruned_version:
            return
        kept = await store.list_ended_until(connection, pruning.ended_until, MOST_KEPT + 1)
        self._pruned_version = pruning.version
        event = Pruning.of(pruning.version, pruning.ended_until, kept)
        self.recent.prune(event)
        for subscription in self._subscriptions:
            if len(kept) > MOST_KEPT:
                subscription.overrun()
            else:
                subscription.put_pruning(event)

    async def _publish(self, jobs: list[Job]) -> None:
        for number, job in enumerate(sorted(jobs, key=lambda job: job.version), 1):
            if job.version > self._versions.get(job.id, 0):
                self._versions[job.id] = job.version
                self._latest_version = max(self._latest_version, job.version)
                event = JobEvent(job, orjson.dumps(job))
                self.recent.put(event)
                for subscription in self._subscriptions:
                    subscription.put(event)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(self._versions) > MOST_VERSIONS:
            floor = self._latest_version - 2 * VERSION_OVERLAP
            self._versions = {job_id: version for job_id, version in self._versions.items() if version > floor}
