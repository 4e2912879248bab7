"""PgQueuer on the process's one pool: its names in the database, its tables, its driver, its log."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.models import Job as QueueRow
from pgqueuer.domain.schema.notify import notify_function_body
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import Driver, NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter

from daemon.database.connection_errors import is_connection_error, is_notify_queue_full, may_pass, reason
from daemon.database.pool import Connection, Database
from daemon.ids import Lane
from daemon.logging.faults import Fault

log = structlog.get_logger()

CHANNEL = Channel("dongbo_queue")
FUNCTION = "fn_pgqueuer_changed"  # what its trigger calls
NOTIFIES = "IF to_emit THEN"  # where it notifies
GUARD = "pg_notification_queue_usage() < 0.9"
IS_GUARDED = f"SELECT position('{GUARD}' IN prosrc) > 0 FROM pg_proc WHERE oid = to_regproc('dongbo.{FUNCTION}')"
FEW_LANES = 100  # among so many it costs less to look into each of them than to ask first which are in use
USED_LANES = "SELECT DISTINCT entrypoint FROM dongbo.pgqueuer"
RETRY_DELAYS = (0.05, 0.2)  # seconds between attempts at a statement whose connection broke


class LaneQueries(Queries):
    """PgQueuer's statements, of which those that look for jobs look only into lanes in which there is one.

    PgQueuer looks into every lane that it knows, each time: a thousand stores have ten thousand.
    """

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[QueueRow]:
        """The next jobs, now taken by this worker."""
        used = {lane: entrypoints[lane] for lane in await self._used(entrypoints)}
        if not used:
            return []
        return await super().dequeue(batch_size, used, queue_manager_id, global_concurrency_limit, heartbeat_timeout)

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        """How soon the first of the jobs that wait for their time can be taken; None where none does."""
        used = await self._used(entrypoints)
        return await super().next_deferred_eta(used) if used else None

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """How many jobs wait."""
        used = await self._used(entrypoints)
        return await super().queued_work(used) if used else 0

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """How many jobs can be taken."""
        used = await self._used(entrypoints)
        return await super().eligible_queued_work(used) if used else 0

    async def _used(self, lanes: Collection[QueueEntrypoint]) -> list[QueueEntrypoint]:
        """Those of the lanes in which there are jobs; all of a few."""
        if len(lanes) <= FEW_LANES:
            return list(lanes)
        used = {QueueEntrypoint(str(row["entrypoint"])) for row in await self.driver.fetch(USED_LANES)}
        return [lane for lane in lanes if lane in used] if used else []


@dataclass
class LaneManager(QueueManager):
    """PgQueuer's worker, which would gather the limits of all its lanes anew at each look."""

    limits: dict[QueueEntrypoint, EntrypointExecutionParameter] = field(init=False, default_factory=dict)

    def set_lanes(self, lanes: Mapping[Lane, int], handle: Callable[[QueueRow], Awaitable[None]]) -> None:
        """Take jobs from these lanes alone, each with its concurrency limit, 0 for none."""
        limits = {QueueEntrypoint(lane): EntrypointExecutionParameter(limit) for lane, limit in lanes.items()}
        for lane in self.entrypoint_registry.keys() - limits.keys():
            del self.entrypoint_registry[lane]
        for lane in limits.keys() - self.entrypoint_registry.keys():
            self.entrypoint(lane, concurrency_limit=limits[lane].concurrency_limit, accepts_context=False)(handle)
        self.limits = limits

    async def fetch_jobs(
        self, batch_size: int, global_concurrency_limit: int | None, heartbeat_timeout: timedelta
    ) -> AsyncGenerator[QueueRow, None]:
        """The jobs that can be taken, until there are no more."""
        while not self.shutdown.is_set():
            jobs = await self.queries.dequeue(
                batch_size, self.limits, self.queue_manager_id, global_concurrency_limit, heartbeat_timeout
            )
            if not jobs:
                return
            for job in jobs:
                yield job


def queries(driver: Driver) -> Queries:
    """PgQueuer's statements, on our names."""
    settings = _settings()
    return LaneQueries(
        driver,
        qbe=QueryBuilderEnvironment(settings),
        qbq=QueryQueueBuilder(settings),
        qbs=QuerySchedulerBuilder(settings),
    )


def queries_on(connection: Connection) -> Queries:
    """PgQueuer's statements on one connection, such as one with an open transaction."""
    return queries(AsyncpgDriver(connection))


async def install(connection: Connection) -> None:
    """Create or upgrade the queue's own tables in schema `dongbo`; call it under the migrations' lock."""
    installer = queries_on(connection)
    if not await installer.schema_is_installed():
        await installer.install(create_schema=False)
    is_guarded = await connection.fetchval(IS_GUARDED)
    for statement in (await installer.plan_upgrade()).statements:
        if not (is_guarded and FUNCTION in statement):
            await connection.execute(statement)
    if not is_guarded:
        await connection.execute(guarded_function())


def guarded_function() -> str:
    """PgQueuer's trigger function, but one that says nothing while the queue of notifications is about to be full.

    PostgreSQL refuses a full one at the commit, and with it what the transaction has written; a worker that hears
    nothing looks for jobs every POLL_INTERVAL all the same.
    """
    body = notify_function_body(CHANNEL).replace(NOTIFIES, f"{NOTIFIES[:-5]} AND {GUARD} THEN")
    return f"CREATE OR REPLACE FUNCTION dongbo.{FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $body$ {body} $body$"


def _settings() -> DBSettings:
    """Names everything: for what is not named, PgQueuer would read bare environment variables such as CHANNEL."""
    return DBSettings(
        prefix="",
        db_schema="dongbo",
        channel=CHANNEL,
        function=FUNCTION,
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.durable,
        widen_id=True,
    )


class QueueDriver:
    """PgQueuer's database driver on the process's one pool, with a LISTEN connection that we own and close safely."""

    def __init__(self, database: Database, listener: Connection) -> None:
        self._database = database
        self._listener = listener
        self._listening = asyncio.Event()
        self._heard: Callable[[str], None] = lambda _payload: None
        self._unsent = Fault(log, "queue_notification_lost", next_step="jobs are looked for every few seconds")
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
        """Run a statement on any connection of the pool; if that breaks, run it again on another one.

        PgQueuer tries only once to put a job back, and deletes its place when that fails. Every statement that comes
        here may run twice.
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

        PgQueuer probes its listener before it has begun to LISTEN, and takes the lost probe for a broken listener.
        """
        await self._listening.wait()
        try:
            await self.execute("SELECT pg_notify($1, $2)", channel, payload)
        except asyncpg.ProgramLimitExceededError as error:
            if not is_notify_queue_full(error):
                raise
            # No reason to take no more jobs: this worker hears it all the same, and others look for jobs again and
            # again.
            self._unsent.happened(reason(error))
            self._heard(payload)
        else:
            self._unsent.passed()

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """LISTEN on the connection that this driver was given."""

        def relay(_connection: object, _pid: object, _channel: object, payload: Any) -> None:
            callback(payload)

        await self._listener.add_listener(channel, relay)
        self._heard = callback
        self._listening.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class _Outages:
    """An outage of the database is no bug: what PgQueuer logs for it becomes a bounded number of warnings, without
    stacks."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}  # by the text, of which PgQueuer has few

    def __call__(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not may_pass(error):
            return True
        fault = self._faults.setdefault(str(record.msg), Fault(log, "queue_troubled", next_step="tried again"))
        fault.happened(reason(error), detail=record.getMessage())
        return False


logging.getLogger("pgqueuer").addFilter(_Outages())
