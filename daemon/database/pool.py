"""The one pool of connections of the process; where there is a replica to read from, beside it a small one to that."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from daemon.database.connection_errors import SCHEMES, describe, is_connection_error, next_step, reason
from daemon.database.direct import CONNECT_TIMEOUT, DirectConnections
from daemon.database.replica import MOST_CONNECTIONS as MOST_TO_REPLICA
from daemon.database.replica import Replica
from daemon.database.returning import Returning
from daemon.database.sessions import (
    SessionSetup,
    check_sessions,
    check_suitable,
    is_refused_setting,
    is_same_database,
    lacks_settings,
    misunderstood,
    refused_settings,
    session_settings,
    unreadable,
)
from daemon.database.usage import PoolUsage, RefusedSpace
from daemon.errors import ConfigError, DatabaseReadOnly, DatabaseUnavailable, DatabaseUnsuitable
from daemon.i18n import gettext as _

__all__ = ["Connection", "Database", "is_connection_error", "open_database", "unopened_database"]

log = structlog.get_logger()

Connection: TypeAlias = PoolConnectionProxy  # what the pool lends; has every method of asyncpg.Connection

MOST_CONNECTIONS = 16
STATEMENT_TIMEOUT = 30.0  # seconds
ACQUIRE_TIMEOUT = 10.0  # seconds that control work waits for a connection; the heartbeat allows three times that
CLOSE_TIMEOUT = 2.0
IDLE_LIFETIME = 300.0  # seconds after which a connection that nobody uses is closed
REFUSAL_COUNTS = timedelta(minutes=10)  # for so long nobody knows better: little is written in a quiet hour
SPACE_IS_BACK = timedelta(
    seconds=10
)  # after the last refusal; on a full disk, too, some pages find room in their tables

# The budget of `max_connections`. Everything that talks to the database borrows from the pool:
LISTENERS = 2  # the event hub and the queue, each for the life of the process
CONTROL = 4  # endpoint, scheduler, heartbeats, the queue's own statements: short, and they must not wait for pages
# The rest is for the page transactions of jobs.
FEWEST_CONNECTIONS = LISTENERS + 2


class Database:
    """Lends connections. `pool` itself is for the queue's driver only."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        dsn: str,
        setup: SessionSetup,
        max_connections: int,
        direct: DirectConnections | None = None,
    ) -> None:
        self.pool = pool
        # With its password: for programs of PostgreSQL, which connect by themselves.
        self.dsn = direct.dsn if direct is not None else dsn
        self._where = setup.where
        self._setup = setup
        self._direct = direct
        self._max_connections = max_connections
        self._refused: RefusedSpace | None = None
        self._work = asyncio.Semaphore(max(max_connections - LISTENERS - CONTROL, 1))
        self._lent: set[Connection] = set()
        self._returning = Returning(pool, setup.where)
        self.replica: Replica | None = None

    def __repr__(self) -> str:
        return f"<Database {self._where} {self.usage()}>"

    @property
    def is_closed(self) -> bool:
        """Whether it has stopped lending connections."""
        closing: bool = self.pool.is_closing()
        return closing

    @property
    def refused_space(self) -> RefusedSpace | None:
        """That the server has lately refused to write for want of space."""
        refused = self._refused
        return refused if refused is not None and datetime.now(UTC) - refused.last_at < REFUSAL_COUNTS else None

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lends a connection for control work: a few short statements.

        Raises:
            DatabaseUnavailable: no connection within ACQUIRE_TIMEOUT. Errors of the statements pass through unchanged.
        """
        connection = await self._borrow()
        try:
            yield connection
        except Exception as error:
            await self._learn_from(error)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # To roll back over a connection that breaks fails: that must not hide that the task is to end.
                raise asyncio.CancelledError from error
            raise
        finally:
            await self._give_back(connection)

    @asynccontextmanager
    async def acquire_for_work(self) -> AsyncIterator[Connection]:
        """Lends a connection for a page of a job; jobs together never take those that listeners and control work need.

        Waits for its turn without a deadline: a busy machine is not an error.

        Raises:
            DatabaseUnavailable: as `acquire`.
        """
        async with self._work, self.acquire() as connection:
            yield connection
        if self._refused is not None and datetime.now(UTC) - self._refused.last_at >= SPACE_IS_BACK:
            self._refused = None

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """Lends a connection for long and with a state of its own, such as LISTEN. It is closed after that.

        It leads past a pooler where there is an address for that; at most LISTENERS of these are lent at once.

        Raises:
            DatabaseUnavailable: as `acquire`; the address leads elsewhere, as during a failover.
        """
        if self._direct is not None:
            async with self._direct.lend() as direct:
                if not await self._is_same(direct):
                    raise DatabaseUnavailable(_another_database(self._direct.where, self._where))
                yield direct
            return
        connection = await self._borrow()
        try:
            yield connection
        finally:
            # To reset it would warn of every listener that is still there.
            with suppress(asyncpg.InterfaceError):  # it broke, and the pool has taken it back already
                connection.terminate()
            await self._give_back(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Lends a connection for statements that only read, and sees all that is committed by now: one to the replica,
        where there is one that keeps up, else as `acquire`.

        Raises:
            DatabaseUnavailable: as `acquire`.
            ReplicaFailed: the replica broke off. The same may begin again at once, and goes to the primary then.
        """
        connection = await self.replica.borrow() if self.replica is not None else None
        if self.replica is None or connection is None:
            async with self.acquire() as own:
                yield own
            return
        try:
            yield connection
        except Exception as error:
            if (failed := self.replica.failure(error)) is not None:
                raise failed from error
            raise
        finally:
            await self.replica.give_back(connection)

    async def reach(self) -> None:
        """Make a connection, and see whether the server suits.

        Raises:
            ConfigError: the dsn can't be understood.
            DatabaseUnavailable: the server can't be reached, or refuses.
            DatabaseUnsuitable: it is too old, read-only or not UTF-8, a pooler shares its sessions, or the address for
                those who listen leads elsewhere.
        """
        try:
            await self._connect()
            async with self.acquire() as connection:
                await check_suitable(connection, self._where)
                lacks = await lacks_settings(connection)
            async with self.acquire() as one, self.acquire() as other:
                await check_sessions(one, other, self._where)
            if lacks:  # and from here on the sessions are known to be ours
                self._setup.set_by_statements()
                await self.renew()
            await self._reach_directly()
        except DatabaseReadOnly:
            await self.renew()
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise self._unavailable(error) from None

    async def renew(self) -> None:
        """Lend none of the present connections any more: they may lead to what was the primary before a failover, or
        be read-only for as long as they live."""
        await self.pool.expire_connections()

    async def cut(self) -> None:
        """End all connections at once and without a word to the server, which does not answer: whatever waits for it
        fails, and may try again over new ones."""
        await self.renew()
        for connection in list(self._lent):
            with suppress(asyncpg.InterfaceError):  # it comes back at this moment
                connection.terminate()
        if self._direct is not None:
            self._direct.terminate()

    def terminate(self) -> None:
        """End all connections at once, and lend no more."""
        self.pool.terminate()
        if self._direct is not None:
            self._direct.terminate()
        if self.replica is not None:
            self.replica.pool.terminate()

    async def ask_once(self, statement: str) -> asyncpg.Record:
        """The one row of a statement; raises as `acquire`."""
        async with self.acquire() as connection:
            return await connection.fetchrow(statement)

    async def ping(self) -> float:
        """One round trip to the server, in seconds."""
        async with self.acquire() as connection:
            began = time.perf_counter()
            await connection.fetchval("SELECT 1")
            return time.perf_counter() - began

    def usage(self) -> PoolUsage:
        """How the pool is used at this moment."""
        idle = self.pool.get_idle_size()
        size = self.pool.get_size() + (len(self._direct) if self._direct is not None else 0)
        return PoolUsage(size=size, idle=idle, max=self._max_connections, in_use=size - idle)

    async def _borrow(self) -> Connection:
        try:
            connection: Connection = await self.pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except TimeoutError:
            usage = self.usage()
            raise DatabaseUnavailable(
                _("no connection to {where} within {seconds:.0f} s ({in_use} of at most {most} are in use)").format(
                    where=self._where, seconds=ACQUIRE_TIMEOUT, in_use=usage.in_use, most=usage.max
                )
            ) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseUnavailable(
                _("no connection to {where}: {error}").format(where=self._where, error=reason(error))
            ) from error
        self._lent.add(connection)
        return connection

    async def _give_back(self, connection: Connection) -> None:
        self._lent.discard(connection)
        await self._returning.give_back(connection)

    async def _learn_from(self, error: Exception) -> None:
        match error:
            case asyncpg.DiskFullError():
                now, before = datetime.now(UTC), self.refused_space
                self._refused = RefusedSpace(before.first_at if before is not None else now, now, str(error))
            case asyncpg.ReadOnlySQLTransactionError():
                await self.renew()

    async def _connect(self) -> None:
        try:
            await self.pool.release(await self.pool.acquire(timeout=CONNECT_TIMEOUT))
        except (asyncpg.ClientConfigurationError, ValueError) as error:
            raise unreadable("url", error) from None
        except asyncpg.ProtocolViolationError as error:
            if not is_refused_setting(error):
                raise
            raise refused_settings(self._where, "url", error) from None

    async def _reach_directly(self) -> None:
        """Raise where the address for those who listen is none that they could use."""
        if self._direct is None:
            return
        where = self._direct.where
        async with self._direct.lend() as one, self._direct.lend() as other:
            await check_suitable(one, where, "listen_url")
            await check_sessions(one, other, where, "listen_url")
            if not await self._is_same(one):
                raise DatabaseUnsuitable(_another_database(where, self._where))

    async def _is_same(self, direct: Connection) -> bool:
        async with self.acquire() as connection:
            return await is_same_database(connection, direct)

    def _unavailable(self, error: Exception) -> DatabaseUnavailable:
        text = _("no connection to {where}: {error}. {next_step}").format(
            where=self._where, error=reason(error), next_step=next_step(error)
        )
        return DatabaseUnavailable(text, may_pass=is_connection_error(error))


@asynccontextmanager
async def open_database(
    dsn: str,
    *,
    listen_dsn: str | None = None,
    read_dsn: str | None = None,
    max_connections: int = MOST_CONNECTIONS,
    statement_timeout: float = STATEMENT_TIMEOUT,
    application_name: str = "dongbo",
    connect_deadline: float = 10.0,
) -> AsyncIterator[Database]:
    """Opens the pool on a server that answers and suits; the arguments are those of `unopened_database`.

    Args:
        connect_deadline: seconds to keep trying while the server can't be reached, as at boot.

    Raises what `Database.reach` raises.
    """
    async with unopened_database(
        dsn,
        listen_dsn=listen_dsn,
        read_dsn=read_dsn,
        max_connections=max_connections,
        statement_timeout=statement_timeout,
        application_name=application_name,
    ) as database:
        await _reach(database, connect_deadline)
        yield database


@asynccontextmanager
async def unopened_database(
    dsn: str,
    *,
    listen_dsn: str | None = None,
    read_dsn: str | None = None,
    max_connections: int = MOST_CONNECTIONS,
    statement_timeout: float = STATEMENT_TIMEOUT,
    application_name: str = "dongbo",
) -> AsyncIterator[Database]:
    """The pool, without any connection yet (see `Database.reach`): nothing else in the program makes one.

    Args:
        dsn: `postgresql://user:password@host:port/database`, with the options that asyncpg knows.
        listen_dsn: leads to the same database past a pooler that `dsn` leads to; the LISTENERS go there.
        read_dsn: leads to a streaming replica, which `reading` lends connections to; up to MOST_TO_REPLICA of them.
        max_connections: upper bound of all connections to `dsn` and `listen_dsn`, at least FEWEST_CONNECTIONS.
        statement_timeout: seconds for one statement, on the server; the client gives up a little later.
        application_name: how the connections show in `pg_stat_activity`.

    Raises:
        ConfigError: an address is none of PostgreSQL, or the pool would be too small.
    """
    if max_connections < FEWEST_CONNECTIONS:
        raise ConfigError(f"[database] max_connections is {max_connections}: at least {FEWEST_CONNECTIONS} are needed")
    for key, address in (("url", dsn), ("listen_url", listen_dsn), ("read_url", read_dsn)):
        if address is not None and not address.startswith(SCHEMES):
            raise misunderstood(key, "it is no URL of a PostgreSQL database")
    settings = session_settings(application_name, statement_timeout)
    command_timeout = statement_timeout + 5
    direct = None
    if listen_dsn is not None:
        direct = DirectConnections(listen_dsn, SessionSetup(describe(listen_dsn), settings), LISTENERS, command_timeout)
    size = max_connections - (LISTENERS if direct is not None else 0)
    setup = SessionSetup(describe(dsn), settings)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(_pool(dsn, setup, size, command_timeout))
        database = Database(pool, dsn, setup, max_connections, direct)
        if read_dsn is not None:
            of_replica = SessionSetup(describe(read_dsn), settings)
            replicas = await stack.enter_async_context(_pool(read_dsn, of_replica, MOST_TO_REPLICA, command_timeout))
            database.replica = Replica(replicas, of_replica, database.ask_once)
        yield database


@asynccontextmanager
async def _pool(dsn: str, setup: SessionSetup, size: int, command_timeout: float) -> AsyncIterator[asyncpg.Pool]:
    # No connection is kept without need (min_size): asyncpg would restore it in a task that nobody owns.
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        max_inactive_connection_lifetime=IDLE_LIFETIME,
        timeout=CONNECT_TIMEOUT,
        command_timeout=command_timeout,
        init=setup.prepare,
        **setup.options(),
    )
    try:
        yield pool
    finally:
        await _close(pool)


def _another_database(where: str, other: str) -> str:
    return _(
        "[database] listen_url leads to another database ({where}) than url ({other}), where nothing is heard of what "
        "happens here: let both lead to the same one"
    ).format(where=where, other=other)


async def _reach(database: Database, deadline: float) -> None:
    """Makes the first connection; tries again where a server may still come up, as when the machine boots."""
    give_up = time.monotonic() + deadline
    pause = 0.05
    while True:
        try:
            return await database.reach()
        except DatabaseUnavailable as error:
            if not error.may_pass or time.monotonic() + pause > give_up:
                raise
            log.info("database_awaited", reason=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await pool.close()
    except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        pool.terminate()
        log.info("pool_terminated", reason=reason(error))
