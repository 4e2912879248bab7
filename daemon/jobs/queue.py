"""The queue: hands each pending job to exactly one worker. The only module that knows PgQueuer.

A job's row in `background_jobs` is the truth; its row in PgQueuer's table is only its place in the queue, written in
the same transaction. Where the two part (PgQueuer deletes its row when a task is cancelled, for example), `sweep` puts
the place back.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NewType, Self
from uuid import UUID, uuid5

import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job as QueueRow
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel, QueueManagerId
from pgqueuer.ports.driver import Driver, NotifyCallback
from pgqueuer.qm import QueueManager

from daemon.database.pool import Connection, Database, is_connection_error
from daemon.ids import JobId, WorkerName
from daemon.jobs import store

log = structlog.get_logger()

Lane = NewType("Lane", str)
"""The queue's entry point of a job: jobs of one lane share a concurrency limit over all workers."""

HEARTBEAT_TIMEOUT = timedelta(seconds=15)  # a dead worker's job is taken over after this and a poll: under 30 s
# An UPDATE of the queue notifies nobody: a job put back for a retry waits for the next poll.
POLL_INTERVAL = timedelta(seconds=4)
# While jobs wait for a busy lane. A lane that gets free is announced, so this is only for what slips through.
BUSY_POLL_INTERVAL = timedelta(seconds=1)
SWEEP_INTERVAL = 5.0  # seconds
RETRY_DELAYS = (0.05, 0.2)  # seconds between attempts at a statement whose connection broke
RECONNECT_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds; the last one repeats
LOCK_SPACE = 0x646F6E67  # "dong": the first key of our advisory locks

RELEASE_PLACES = """
UPDATE dongbo.pgqueuer SET status = 'queued', queue_manager_id = NULL, slot = NULL, execute_after = now()
WHERE status = 'picked' AND (queue_manager_id = $1 OR payload = ANY ($2))
"""

# Only the given jobs, and those that have not changed for a while: a job that is just being submitted or put back finds
# its own place.
LIST_WITHOUT_PLACE = """
SELECT id, lane, greatest(not_before - clock_timestamp(), interval '0') AS delay
FROM dongbo.background_jobs AS job
WHERE status IN ('PENDING', 'RUNNING')
  AND (updated_at < clock_timestamp() - interval '10 seconds' OR id = ANY ($1))
  AND NOT EXISTS (SELECT FROM dongbo.pgqueuer WHERE payload = convert_to(job.id::text, 'UTF8'))
ORDER BY id  -- as they were asked for
FOR UPDATE SKIP LOCKED
"""

IS_ATTENDED = """
SELECT EXISTS (
    SELECT FROM dongbo.pgqueuer
    WHERE payload = $1 AND status = 'picked' AND heartbeat > clock_timestamp() - $2::interval
)
"""

FORGET_PLACE = "DELETE FROM dongbo.pgqueuer WHERE payload = $1 AND status = 'queued'"

PRUNE_LOG = "DELETE FROM dongbo.pgqueuer_log WHERE created < clock_timestamp() - $1::interval"

TRY_LOCK = "SELECT pg_try_advisory_lock($1, hashtext($2))"


@dataclass(frozen=True, slots=True)
class Requeue:
    """What a run answers when its job is to run again."""

    delay: timedelta
    reason: str


RunJob = Callable[[JobId, WorkerName], Awaitable[Requeue | None]]


def _settings() -> DBSettings:
    """Every name is given: PgQueuer would read bare environment variables such as CHANNEL for those that are not."""
    return DBSettings(
        prefix="",
        db_schema="dongbo",
        channel=Channel("dongbo_queue"),
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.durable,
        widen_id=True,
    )


def _queries(driver: Driver) -> Queries:
    settings = _settings()
    return Queries(
        driver,
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )


async def install(connection: Connection) -> None:
    """Create or upgrade the queue's own tables in schema `dongbo`; call it under the migrations' lock."""
    queries = _queries(AsyncpgDriver(connection))
    if await queries.schema_is_installed():
        for statement in (await queries.plan_upgrade()).statements:
            await connection.execute(statement)
    else:
        await queries.install(create_schema=False)


async def enqueue(
    connection: Connection, job_id: JobId, lane: Lane, delay: timedelta = timedelta(0), *, priority: int = 0
) -> None:
    """Give a job its place in the queue, in the caller's transaction."""
    await _queries(AsyncpgDriver(connection)).enqueue(lane, _payload(job_id), priority, execute_after=delay)


async def forget(connection: Connection, job_id: JobId) -> None:
    """Take a job that was cancelled before it ran out of the queue."""
    await connection.execute(FORGET_PLACE, _payload(job_id))


async def is_attended(connection: Connection, job_id: JobId) -> bool:
    """Whether a living worker has the job."""
    attended: bool = await connection.fetchval(IS_ATTENDED, _payload(job_id), 2 * HEARTBEAT_TIMEOUT)
    return attended


async def prune_log(connection: Connection, older_than: timedelta) -> None:
    """PgQueuer never deletes from its log."""
    await connection.execute(PRUNE_LOG, older_than)


class QueueDriver:
    """PgQueuer's database driver on the process's one pool, with a LISTEN connection that we own and close safely."""

    def __init__(self, database: Database, listener: Connection) -> None:
        self._database = database
        self._listener = listener
        self._listening = asyncio.Event()
        self.shutdown = asyncio.Event()
        self.tm = TaskManager()
        self.on_failure: Callable[[], None] = lambda: None

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Run a statement of PgQueuer's loop on any connection of the pool.

        When one fails, PgQueuer leaves its loop and waits for all running jobs, however long they take, while nobody
        serves the queue: so `on_failure` is called, to end the cycle.
        """
        try:
            async with self._database.acquire() as connection:
                return [dict(row) for row in await connection.fetch(query, *args)]
        except Exception:
            self.on_failure()
            raise

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement on any connection of the pool, again over another one where that breaks.

        PgQueuer tries only once to put a job back, and deletes its place when that fails. All statements that come here
        may run twice.
        """
        for delay in (*RETRY_DELAYS, None):
            try:
                async with self._database.acquire() as connection:
                    tag: str = await connection.execute(query, *args)
                    return tag
            except Exception as error:
                if delay is None or self._database.is_closed or not is_connection_error(error):
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def notify(self, channel: str, payload: str) -> None:
        """Send a notification, once there is a listener to hear it.

        PgQueuer probes its listener before it has begun to LISTEN, and takes the lost probe for a listener that fails.
        """
        await self._listening.wait()
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """LISTEN on the connection that this driver was given."""

        def relay(_connection: object, _pid: object, _channel: object, payload: Any) -> None:
            callback(payload)

        await self._listener.add_listener(channel, relay)
        self._listening.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class JobQueue:
    """Takes jobs of the given lanes and hands them to `run_job`; survives the loss of the database.

    `run` is supervised in cycles, because PgQueuer does not reconnect: each cycle has a new LISTEN connection, which
    also holds the advisory lock on this worker's name, and starts by putting back whatever this worker left running.
    """

    def __init__(
        self,
        database: Database,
        run_job: RunJob,
        interrupt_runs: Callable[[], None],
        worker_base: str,
        lanes: Mapping[Lane, int],
    ) -> None:
        self._database = database
        self._run_job = run_job
        self._interrupt_runs = interrupt_runs
        self._worker_base = worker_base
        self._lanes = dict(lanes)
        self._manager: QueueManager | None = None
        self._stopping = asyncio.Event()
        self._running = asyncio.Event()
        self._has_run = False  # then orphans are of this process, which lives: the database was away
        self.worker: WorkerName | None = None  # None while there is no cycle

    @property
    def is_running(self) -> bool:
        """Whether a cycle is up: connected, listening, taking jobs."""
        return self.worker is not None

    async def wait_running(self, seconds: float) -> bool:
        """Wait until jobs are taken; False if that is not so after `seconds`."""
        return await _wait(self._running, seconds)

    def set_lanes(self, lanes: Mapping[Lane, int]) -> None:
        """Replace the lanes (name → concurrency limit, 0 for none) that this worker takes jobs from."""
        gone = self._lanes.keys() - lanes.keys()
        new = {name: limit for name, limit in lanes.items() if name not in self._lanes}
        self._lanes = dict(lanes)
        if self._manager is not None:
            for name in gone:
                self._manager.entrypoint_registry.pop(name, None)  # type: ignore[call-overload]
            self._register(self._manager, new)

    def stop(self) -> None:
        """Take no more jobs and end `run` when the running ones have stopped; safe to call at any time."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    async def run(self) -> None:
        """Take and run jobs until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._cycle()
                failures = 0
            except Exception as error:  # whatever it is, the next cycle must come
                if is_connection_error(error) or _is_listener_failure(error):
                    log.warning("queue_cycle_failed", error=str(error), next_step="reconnecting")
                else:
                    log.exception("queue_cycle_crashed", next_step="starting anew")
            delay = RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311
            failures += 1
            await _wait(self._stopping, delay)

    async def _cycle(self) -> None:
        async with self._database.dedicated() as listener:
            worker = await claim_worker_name(listener, self._worker_base)
            driver = QueueDriver(self._database, listener)
            manager = QueueManager(_queries(driver), Channel("dongbo_queue"))
            manager.min_dequeue_poll_interval = BUSY_POLL_INTERVAL
            driver.on_failure = manager.shutdown.set
            manager.queue_manager_id = QueueManagerId(uuid5(UUID(int=0), worker))
            self._register(manager, self._lanes)
            self._watch(listener, manager)
            await self._recover(worker, manager.queue_manager_id)
            self._manager, self.worker = manager, worker
            self._running.set()
            if self._stopping.is_set():
                manager.shutdown.set()
            log.info("queue_started", worker=worker, lanes=len(self._lanes))
            try:
                async with asyncio.TaskGroup() as tasks:
                    sweeper = tasks.create_task(self._sweep(), name="queue-sweep")
                    watcher = tasks.create_task(self._interrupt_on_loss(manager), name="queue-loss")
                    await manager.run(
                        dequeue_timeout=POLL_INTERVAL,
                        heartbeat_timeout=HEARTBEAT_TIMEOUT,
                        shutdown_on_listener_failure=True,
                        log_aggregation_interval=timedelta(0),
                    )
                    sweeper.cancel()
                    watcher.cancel()
            finally:
                self._manager = self.worker = None
                self._running.clear()
        log.info("queue_stopped", worker=worker)

    def _register(self, manager: QueueManager, lanes: Mapping[Lane, int]) -> None:
        for name, limit in lanes.items():
            manager.entrypoint(name, concurrency_limit=limit, accepts_context=False)(self._handle)

    async def _handle(self, row: QueueRow) -> None:
        if row.payload is None or self.worker is None:
            return
        requeue = await self._run_job(JobId(UUID(row.payload.decode())), self.worker)
        if requeue is not None:
            raise RetryRequested(delay=requeue.delay, reason=requeue.reason)

    def _watch(self, listener: Connection, manager: QueueManager) -> None:
        """End the cycle at once when the LISTEN connection is lost."""

        def lost(_connection: object) -> None:
            if not manager.shutdown.is_set():
                log.warning("queue_listener_lost", next_step="reconnecting")
                manager.shutdown.set()

        listener.add_termination_listener(lost)

    async def _interrupt_on_loss(self, manager: QueueManager) -> None:
        """End the runs of a cycle that ends by itself: PgQueuer waits for them, and takes no other job meanwhile."""
        await manager.shutdown.wait()
        if not self._stopping.is_set():
            self._interrupt_runs()

    async def _recover(self, worker: WorkerName, manager_id: QueueManagerId) -> None:
        """Put back what this worker ran when it died: it holds the name's lock now, so nobody else runs under it."""
        async with self._database.acquire() as connection, connection.transaction():
            orphans = await store.release_orphans(connection, worker, at_no_cost=self._has_run)
            await connection.execute(RELEASE_PLACES, manager_id, [_payload(job_id) for job_id in orphans])
            await _restore_places(connection, orphans)
        self._has_run = True
        if orphans:
            log.info("orphans_released", worker=worker, jobs=[str(job_id) for job_id in orphans])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            try:
                restored = await self.restore_places()
            except Exception as error:  # whatever it is, the next sweep must come
                if is_connection_error(error):
                    log.warning("queue_sweep_failed", error=str(error))
                else:
                    log.exception("queue_sweep_failed")
            else:
                if restored:
                    log.warning("queue_places_restored", jobs=[str(job_id) for job_id in restored])

    async def restore_places(self) -> list[JobId]:
        """Give every live job that has no place in the queue one again; the ids of those jobs."""
        async with self._database.acquire() as connection, connection.transaction():
            return await _restore_places(connection, [])


async def claim_worker_name(connection: Connection, base: str) -> WorkerName:
    """Take the first of `base`, `base-2`, `base-3` … that no live process holds, for as long as `connection` lives.

    After `kill -9` the server needs a moment to notice that the old process is gone, so the first name is tried for a
    while: a daemon that is restarted gets its own name, and with it its jobs, back.
    """
    for pause in (0, 0.05, 0.1, 0.2, 0.4, 0.8):
        await asyncio.sleep(pause)
        if await connection.fetchval(TRY_LOCK, LOCK_SPACE, base):
            return WorkerName(base)
    number = 2
    while not await connection.fetchval(TRY_LOCK, LOCK_SPACE, f"{base}-{number}"):
        number += 1
    return WorkerName(f"{base}-{number}")


async def _restore_places(connection: Connection, urgent: Sequence[JobId]) -> list[JobId]:
    rows = await connection.fetch(LIST_WITHOUT_PLACE, urgent)
    for row in rows:
        await enqueue(connection, JobId(row["id"]), Lane(row["lane"]), row["delay"] or timedelta(0))
    return [JobId(row["id"]) for row in rows]


def _payload(job_id: JobId) -> bytes:
    return str(job_id).encode()


def _soften(record: logging.LogRecord) -> bool:
    """An outage of the database is no fault of the program: PgQueuer's log entry of it becomes a warning."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and is_connection_error(error):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error}", (), None
    return True


logging.getLogger("pgqueuer").addFilter(_soften)


def _is_listener_failure(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_listener_failure(inner) for inner in error.exceptions)
    return isinstance(error, FailingListenerError)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
