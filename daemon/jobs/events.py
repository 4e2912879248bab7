"""Job changes on their way to people: notifications out of this process, and a hub that fans the rows out to readers.

A notification is only a hint that carries a job's id. The hub reads the row itself, and every few seconds catches up
by version, so that the loss of every notification costs latency and never truth.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import structlog

from daemon.database.connection_errors import is_notify_queue_full, is_of_database, noted, reason
from daemon.database.migrate import lineage
from daemon.database.pool import Connection, Database
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.changes import LATE, JobEvent, Pruning, RecentChanges, Subscription
from daemon.jobs.model import Job
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault

log = structlog.get_logger()

CHANNEL = "dongbo_jobs"
PROBE_PREFIX = "probe:"
PRUNED = "pruned"  # payload that says that jobs were deleted
CATCH_UP_INTERVAL = 4.0  # seconds
PROBE_INTERVAL = 5.0  # seconds between two looks whether notifications come, and how fast
DEAF_AFTER = 4.0  # seconds without one that was sent: by now something is wrong
PROBE_TIMEOUT = 15.0  # seconds: something is not just slow, and a new connection is worth a try
# Numbers of a sequence become visible out of order: a change that took its version earlier may be committed later. A
# version is taken in the last statement before its commit, so this many later ones leave ample time.
VERSION_OVERLAP = 5_000
AT_ONCE = 50  # jobs that are encoded and handed out between two turns of the loop: a few milliseconds
MOST_VERSIONS = 4 * VERSION_OVERLAP  # jobs of which it is known which version was published
PORTION = 500  # jobs that are read at once
MOST_KEPT = 1_000  # jobs that an event names as not pruned; more of them cost readers a snapshot
RECONNECT_DELAYS = (0.1, 0.5, 1.0, 2.0)  # seconds; the last one repeats

NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


@dataclass(frozen=True, slots=True)
class Probe:
    """A notification to ourselves."""

    payload: str
    sent_at: float  # on the monotonic clock
    heard: asyncio.Event


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
        self._others: set[str] = set()  # channels on which something is to be said
        self._wakeup = asyncio.Event()
        self._failing = Fault(log, "job_notification_lost", next_step="readers catch up by version")

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

    def call(self, channel: str) -> None:
        """Let all daemons that hear another channel look, after the commit of what they are to see."""
        self._others.add(channel)
        self._wakeup.set()

    async def _run(self) -> None:
        while True:
            await self._until_due()
            if self._has_pruned:
                self._has_pruned = False
                await self._send([PRUNED])
            while self._others:
                await self._send([""], self._others.pop())
            now = monotonic()
            ready = [job_id for job_id, due in self._due.items() if due <= now]
            for job_id in ready:
                del self._due[job_id]
                self._announced[job_id] = now
            self._forget_old(now)
            if ready:
                await self._send([str(job_id) for job_id in ready])

    async def _until_due(self) -> None:
        while not (self._has_pruned or self._others):
            self._wakeup.clear()
            delay = min(self._due.values()) - monotonic() if self._due else None
            if delay is not None and delay <= 0:
                return
            try:
                async with asyncio.timeout(delay):
                    await self._wakeup.wait()
            except TimeoutError:
                return

    async def _send(self, payloads: list[str], channel: str = CHANNEL) -> None:
        with noted(self._failing):
            async with self._database.acquire() as connection:
                await connection.execute(NOTIFY, channel, payloads)

    def _forget_old(self, now: float) -> None:
        if len(self._announced) > 1_000:
            self._announced = {job: at for job, at in self._announced.items() if now - at < self._interval}


class EventHub(Part):
    """Listens on one connection and hands every change of a job to all subscriptions of this process."""

    name = "event-hub"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscriptions: set[Subscription] = set()
        self._other_channels: dict[str, Callable[[str], None]] = {}
        self._hinted: set[JobId] = set()
        self._is_pruning_hinted = False
        self._wakeup = asyncio.Event()
        self._versions: dict[JobId, int] = {}
        self._latest_version = 0
        self._caught_up_at: datetime | None = None  # by the database's clock
        self._pruned_version = 0
        self.lineage = ""  # of the database; versions of another one mean nothing here
        self.recent = RecentChanges()
        self._probe: Probe | None = None  # the one that has not come back
        self._is_queue_full = False
        self._listening = asyncio.Event()
        self._failing = Fault(log, "hub_listener_failed", over="hub_listener_recovered", next_step="reconnecting")
        self._mute = Fault(log, "hub_deaf", over="hub_hears", next_step="changes of jobs show some seconds late")
        # Seconds from NOTIFY to here, as last measured; None: not yet, or nothing is heard now.
        self.notification_lag: float | None = None

    @property
    def is_listening(self) -> bool:
        """Whether changes of jobs are heard of at once."""
        return self._listening.is_set() and self.deafness is None

    @property
    def deafness(self) -> str | None:
        """Why nothing is heard although there is a connection that listens, a clause; None: notifications come."""
        if self._is_queue_full:
            return _(
                "PostgreSQL's queue of notifications is full, since a session that listens has kept a transaction open"
            )
        if self._probe is not None and (age := monotonic() - self._probe.sent_at) > DEAF_AFTER:
            return _("no notification has come for {n} s").format(n=round(age))
        return None

    @property
    def health(self) -> Health:
        """Whether changes of jobs are heard of at once; if not, the catch-up brings them, once it can connect."""
        if not self._listening.is_set():
            if (why := self._failing.error) is not None:
                return Health(
                    False, _("does not hear of changed jobs, and tries again by itself: {why}").format(why=why)
                )
            return Health(False, _("does not hear of changed jobs: connects to the database again by itself"))
        if (why := self.deafness) is not None:
            return Health(False, _("does not hear of changed jobs at once: {why}").format(why=why))
        return Health(True, _("hears of changed jobs"))

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

    def hear(self, channel: str, tell: Callable[[str], None]) -> None:
        """Hear what comes by another channel, too, over the same connection: `tell` gets each payload, from the next
        connection on. As with jobs that is a hint, which may be lost."""
        self._other_channels[channel] = tell

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
            except Exception as error:
                if not is_of_database(error):
                    raise
                self._failing.happened(reason(error))
            finally:
                self._listening.clear()
                self._probe, self.notification_lag = None, None
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
            for channel in self._other_channels:
                await connection.add_listener(channel, self._hear_other)
            self._listening.set()
            self._failing.passed()
            async with asyncio.TaskGroup() as tasks:
                probing = tasks.create_task(self._probe_for_ever(connection), name="hub-probes")
                await self._follow(lost)
                probing.cancel()
        self._failing.happened(_("the connection was lost"))

    async def _start_from_now(self, connection: Connection) -> None:
        if self._caught_up_at is None:
            self._latest_version = await store.latest_version(connection)
            self.lineage = await lineage(connection)
            pruning = await store.last_pruning(connection)
            self._pruned_version = pruning.version if pruning else 0

    async def _follow(self, lost: asyncio.Event) -> None:
        caught_up = 0.0
        while not lost.is_set():
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
            if self._probe is not None and payload == self._probe.payload:
                self.notification_lag = monotonic() - self._probe.sent_at
                self._probe.heard.set()
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

    def _hear_other(self, _connection: object, _pid: object, channel: str, payload: Any) -> None:
        self._other_channels[channel](payload)

    async def _probe_for_ever(self, connection: Connection) -> None:
        """Look again and again whether what is sent is heard.

        Over the connection that listens, which is otherwise idle, so that one whose other end has gone is noticed.

        Raises TimeoutError where it is not, after PROBE_TIMEOUT, and what the database raises.
        """
        while True:
            try:
                await self._probe_once(connection)
            except asyncpg.ProgramLimitExceededError as error:
                if not is_notify_queue_full(error):
                    raise
                self._probe, self.notification_lag, self._is_queue_full = None, None, True
                self._mute.happened(reason(error))
            else:
                self._is_queue_full = False
                self._mute.passed()
            await asyncio.sleep(PROBE_INTERVAL)

    async def _probe_once(self, connection: Connection) -> None:
        probe = self._probe = Probe(f"{PROBE_PREFIX}{uuid4()}", monotonic(), asyncio.Event())
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await connection.execute(NOTIFY, CHANNEL, [probe.payload])
        except TimeoutError:
            # The server is silent, and whatever else waits for it would wait for as long as it takes.
            await self._database.cut()
            raise
        async with asyncio.timeout(PROBE_TIMEOUT):
            await probe.heard.wait()
        self._probe = None

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
