"""Takes jobs from the queue and hands them to the runner, through any loss of the database."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid5

import structlog
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job as QueueRow
from pgqueuer.domain.types import QueueManagerId
from pgqueuer.qm import QueueManager

from daemon.database.pool import Connection, Database, is_connection_error
from daemon.i18n import gettext as _
from daemon.ids import JobId, Lane, WorkerName
from daemon.jobs.context import StopReason
from daemon.jobs.queue.driver import CHANNEL, QueueDriver, queries
from daemon.jobs.queue.places import HEARTBEAT_TIMEOUT
from daemon.jobs.queue.recovery import claim_worker_name, release_orphans, restore_places
from daemon.jobs.runner import JobRunner
from daemon.lifecycle import Health, Part

log = structlog.get_logger()

# An UPDATE of the queue notifies nobody: a job put back for a retry waits for the next poll.
POLL_INTERVAL = timedelta(seconds=4)
# While jobs wait for a busy lane. A lane that becomes free is announced, so this is only for what slips through.
BUSY_POLL_INTERVAL = timedelta(seconds=1)
SWEEP_INTERVAL = 5.0  # seconds
RECONNECT_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds; the last one repeats


class JobQueue(Part):
    """The worker of this process: takes jobs of the given lanes (name → concurrency limit, 0 for none).

    It works in cycles, because PgQueuer does not reconnect: each cycle has a LISTEN connection of its own, which also
    holds the advisory lock on this worker's name, and starts by putting back whatever this worker left running.
    """

    name = "job-queue"

    def __init__(self, database: Database, runner: JobRunner, worker_base: str, lanes: Mapping[Lane, int]) -> None:
        self._database = database
        self._runner = runner
        self._worker_base = worker_base
        self._lanes = dict(lanes)
        self._manager: QueueManager | None = None
        self._stopping = asyncio.Event()
        self._taking = asyncio.Event()
        self._has_run = False  # if so, orphans belong to this process, which is alive: the database was away
        self.worker: WorkerName | None = None  # None between two cycles

    @property
    def health(self) -> Health:
        """Whether a cycle is up: connected, listening, taking jobs."""
        if self.worker is not None:
            return Health(True, _("takes jobs as {worker}").format(worker=self.worker))
        return Health(False, _("takes no jobs: connects to the queue again by itself, or the daemon stops"))

    async def wait_taking(self, seconds: float) -> bool:
        """Wait until jobs are taken; False if they still are not after `seconds`."""
        return await _wait(self._taking, seconds)

    def set_lanes(self, lanes: Mapping[Lane, int]) -> None:
        """Replace the lanes that this worker takes jobs from."""
        gone = self._lanes.keys() - lanes.keys()
        new = {name: limit for name, limit in lanes.items() if name not in self._lanes}
        self._lanes = dict(lanes)
        if self._manager is not None:
            for name in gone:
                self._manager.entrypoint_registry.pop(name, None)  # type: ignore[call-overload]
            self._register(self._manager, new)

    def stop(self) -> None:
        """Take no more jobs, and end once the running ones have stopped at their next checkpoint."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()
        self._runner.stop_all(StopReason.SHUTDOWN)

    async def _run(self) -> None:
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
            manager = self._make_manager(listener, worker)
            await self._recover(worker, manager.queue_manager_id)
            self._manager, self.worker = manager, worker
            self._taking.set()
            if self._stopping.is_set():
                manager.shutdown.set()
            log.info("queue_started", worker=worker, lanes=len(self._lanes))
            try:
                await self._serve(manager)
            finally:
                self._manager = self.worker = None
                self._taking.clear()
        log.info("queue_stopped", worker=worker)

    def _make_manager(self, listener: Connection, worker: WorkerName) -> QueueManager:
        driver = QueueDriver(self._database, listener)
        manager = QueueManager(queries(driver), CHANNEL)
        manager.min_dequeue_poll_interval = BUSY_POLL_INTERVAL
        manager.queue_manager_id = QueueManagerId(uuid5(UUID(int=0), worker))
        driver.on_failure = manager.shutdown.set
        self._register(manager, self._lanes)
        _end_on_loss(listener, manager)
        return manager

    async def _serve(self, manager: QueueManager) -> None:
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

    def _register(self, manager: QueueManager, lanes: Mapping[Lane, int]) -> None:
        for name, limit in lanes.items():
            manager.entrypoint(name, concurrency_limit=limit, accepts_context=False)(self._handle)

    async def _handle(self, row: QueueRow) -> None:
        if row.payload is None or self.worker is None:
            return
        requeue = await self._runner.run(JobId(UUID(row.payload.decode())), self.worker)
        if requeue is not None:
            raise RetryRequested(delay=requeue.delay, reason=requeue.reason)

    async def _interrupt_on_loss(self, manager: QueueManager) -> None:
        """End the runs of a cycle that ends by itself: PgQueuer waits for them, and takes no other job meanwhile."""
        await manager.shutdown.wait()
        if not self._stopping.is_set():
            self._runner.stop_all(StopReason.DATABASE_LOST)

    async def _recover(self, worker: WorkerName, manager_id: QueueManagerId) -> None:
        async with self._database.acquire() as connection, connection.transaction():
            orphans = await release_orphans(connection, worker, manager_id, at_no_cost=self._has_run)
        self._has_run = True
        if orphans:
            log.info("orphans_released", worker=worker, jobs=[str(job_id) for job_id in orphans])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            try:
                async with self._database.acquire() as connection, connection.transaction():
                    restored = await restore_places(connection)
            except Exception as error:  # whatever it is, the next sweep must come
                if is_connection_error(error):
                    log.warning("queue_sweep_failed", error=str(error))
                else:
                    log.exception("queue_sweep_failed")
            else:
                if restored:
                    log.warning("queue_places_restored", jobs=[str(job_id) for job_id in restored])


def _end_on_loss(listener: Connection, manager: QueueManager) -> None:
    """End the cycle at once when its LISTEN connection is lost."""

    def lost(_connection: object) -> None:
        if not manager.shutdown.is_set():
            log.warning("queue_listener_lost", next_step="reconnecting")
            manager.shutdown.set()

    listener.add_termination_listener(lost)


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
