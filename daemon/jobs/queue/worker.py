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

from daemon.database.connection_errors import may_pass, reason
from daemon.database.pool import Connection, Database
from daemon.errors import leaves
from daemon.i18n import gettext as _
from daemon.ids import JobId, Lane, WorkerName
from daemon.jobs.context import StopReason
from daemon.jobs.queue.driver import CHANNEL, LaneManager, QueueDriver, queries
from daemon.jobs.queue.places import HEARTBEAT_TIMEOUT
from daemon.jobs.queue.recovery import claim_worker_name, release_orphans, restore_places
from daemon.jobs.runner import JobRunner
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault

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
        self._manager: LaneManager | None = None
        self._stopping = asyncio.Event()
        self._taking = asyncio.Event()
        self._has_run = False  # if so, orphans belong to this process, which is alive: the database was away
        self.worker: WorkerName | None = None  # None between two cycles
        self._failing = Fault(log, "queue_cycle_failed", over="queue_recovered", next_step="reconnecting")
        self._crashing = Fault(log, "queue_cycle_crashed", over="queue_recovered", next_step="starting anew")
        self._sweeping = Fault(log, "queue_sweep_failed", over="queue_sweep_recovered")

    @property
    def health(self) -> Health:
        """Whether a cycle is up: connected, listening, taking jobs."""
        if self.worker is not None:
            return Health(True, _("takes jobs as {worker}").format(worker=self.worker))
        if (why := self._failing.error or self._crashing.error) is not None:
            return Health(False, _("takes no jobs, and tries again by itself: {why}").format(why=why))
        return Health(False, _("takes no jobs: connects to the queue again by itself, or the daemon stops"))

    async def wait_taking(self, seconds: float) -> bool:
        """Wait until jobs are taken; False if they still are not after `seconds`."""
        return await _wait(self._taking, seconds)

    def set_lanes(self, lanes: Mapping[Lane, int]) -> None:
        """Replace the lanes that this worker takes jobs from."""
        self._lanes = dict(lanes)
        if self._manager is not None:
            self._manager.set_lanes(lanes, self._handle)

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
            except Exception as error:  # noqa: BLE001 - whatever it is, the next cycle must come
                if _is_listener_failure(error):
                    self._failing.happened(_("nothing is heard over the connection that listens"))
                elif may_pass(error):
                    self._failing.happened(reason(error))
                else:
                    self._crashing.happened(reason(error), exc_info=error)
            delay = RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311
            failures += 1
            await _wait(self._stopping, delay)

    async def _cycle(self) -> None:
        async with self._database.dedicated() as listener:
            worker = await claim_worker_name(listener, self._worker_base)
            manager = self._make_manager(listener, worker)
            try:
                await self._recover(worker, manager.queue_manager_id)
                self._manager, self.worker = manager, worker
                self._taking.set()
                if self._stopping.is_set():
                    manager.shutdown.set()
                self._failing.passed(worker=worker)
                self._crashing.passed(worker=worker)
                log.debug("queue_started", worker=worker, lanes=len(self._lanes))
                await self._serve(manager)
            finally:
                manager.shutdown.set()  # from here on, that the connection ends is no loss
                self._manager = self.worker = None
                self._taking.clear()
        log.debug("queue_stopped", worker=worker)

    def _make_manager(self, listener: Connection, worker: WorkerName) -> LaneManager:
        driver = QueueDriver(self._database, listener)
        manager = LaneManager(queries(driver), CHANNEL)
        manager.min_dequeue_poll_interval = BUSY_POLL_INTERVAL
        manager.queue_manager_id = QueueManagerId(uuid5(UUID(int=0), worker))
        driver.on_failure = manager.shutdown.set
        manager.set_lanes(self._lanes, self._handle)
        self._end_on_loss(listener, manager)
        return manager

    async def _serve(self, manager: LaneManager) -> None:
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

    async def _handle(self, row: QueueRow) -> None:
        if row.payload is None or self.worker is None:
            return
        requeue = await self._runner.run(JobId(UUID(row.payload.decode())), self.worker)
        if requeue is not None:
            raise RetryRequested(delay=requeue.delay, reason=requeue.reason)

    async def _interrupt_on_loss(self, manager: LaneManager) -> None:
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

    def _end_on_loss(self, listener: Connection, manager: LaneManager) -> None:
        """End the cycle at once when its LISTEN connection is lost."""

        def lost(_connection: object) -> None:
            if not manager.shutdown.is_set():
                self._failing.happened(_("the connection that listens was lost"))
                manager.shutdown.set()

        listener.add_termination_listener(lost)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            try:
                async with self._database.acquire() as connection, connection.transaction():
                    restored = await restore_places(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next sweep must come
                self._sweeping.happened(reason(error), exc_info=not may_pass(error))
            else:
                self._sweeping.passed()
                if restored:
                    log.warning("queue_places_restored", jobs=[str(job_id) for job_id in restored])


def _is_listener_failure(error: BaseException) -> bool:
    return all(isinstance(leaf, FailingListenerError) for leaf in leaves(error))


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
