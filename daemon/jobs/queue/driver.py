"""PgQueuer on the process's one pool: its names in the database, its tables, its driver, its log."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Self

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver, NotifyCallback

from daemon.database.pool import Connection, Database, is_connection_error

CHANNEL = Channel("dongbo_queue")
RETRY_DELAYS = (0.05, 0.2)  # seconds between attempts at a statement whose connection broke


def queries(driver: Driver) -> Queries:
    """PgQueuer's statements, on our names."""
    settings = _settings()
    return Queries(
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
    if await installer.schema_is_installed():
        for statement in (await installer.plan_upgrade()).statements:
            await connection.execute(statement)
    else:
        await installer.install(create_schema=False)


def _settings() -> DBSettings:
    """Names everything: for what is not named, PgQueuer would read bare environment variables such as CHANNEL."""
    return DBSettings(
        prefix="",
        db_schema="dongbo",
        channel=CHANNEL,
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


def _soften(record: logging.LogRecord) -> bool:
    """An outage of the database is not a fault in the program: PgQueuer's log entry for it becomes a warning."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and is_connection_error(error):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error}", (), None
    return True


logging.getLogger("pgqueuer").addFilter(_soften)
