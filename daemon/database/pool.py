"""The one pool of connections of the process."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from daemon.database.connection_errors import SCHEMES, describe, is_connection_error, next_step, reason
from daemon.database.usage import PoolUsage
from daemon.errors import ConfigError, DatabaseUnavailable, DatabaseUnsuitable
from daemon.i18n import gettext as _

__all__ = ["Connection", "Database", "is_connection_error", "open_database"]

log = structlog.get_logger()

Connection: TypeAlias = PoolConnectionProxy  # what the pool lends; has every method of asyncpg.Connection

OLDEST_MAJOR = 14
CONNECT_TIMEOUT = 10.0  # seconds for one connection attempt
ACQUIRE_TIMEOUT = 10.0  # seconds that control work waits for a connection; the heartbeat allows three times that
CLOSE_TIMEOUT = 5.0
IDLE_LIFETIME = 300.0  # seconds after which a connection that nobody uses is closed

MISUNDERSTOOD = (
    "[database] url can't be used ({}): expected postgresql://user:password@host:5432/database, with characters "
    "such as @ : / # in the password written as %40 %3A %2F %23"
)
IS_READ_ONLY = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"
BACKEND = "SELECT pg_backend_pid()"
FIND_PROBE = "SELECT current_setting('dongbo.probe', true)"
SHARED_SESSIONS = (
    "{} is behind a pooler that shares sessions between connections, such as PgBouncer in transaction mode, and "
    "LISTEN, locks and settings need sessions of their own: write a direct or session-mode address in [database] url"
)
# How asyncpg's texts about options begin. The others may quote what was taken for the port or the host, and so a piece
# of the password.
HARMLESS_TEXTS = ("`ssl", "root certificate", "cannot determine", "could not determine", "direct TLS")

# The budget of `max_connections`. Everything that talks to the database borrows from the pool:
LISTENERS = 2  # the event hub and the queue, each for the life of the process
CONTROL = 4  # endpoint, scheduler, heartbeats, the queue's own statements: short, and they must not wait for pages
# The rest is for the page transactions of jobs.
FEWEST_CONNECTIONS = LISTENERS + 2


class Database:
    """Lends connections. `pool` itself is for the queue's driver only."""

    def __init__(self, pool: asyncpg.Pool, where: str, max_connections: int) -> None:
        self.pool = pool
        self._where = where
        self._work = asyncio.Semaphore(max(max_connections - LISTENERS - CONTROL, 1))

    def __repr__(self) -> str:
        return f"<Database {self._where} {self.usage()}>"

    @property
    def is_closed(self) -> bool:
        """Whether it has stopped lending connections."""
        closing: bool = self.pool.is_closing()
        return closing

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lends a connection for control work: a few short statements.

        Raises:
            DatabaseUnavailable: no connection within ACQUIRE_TIMEOUT. Errors of the statements pass through unchanged.
        """
        connection = await self._borrow()
        try:
            yield connection
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

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """Lends a connection for long and with a state of its own, such as LISTEN. It is closed after that.

        Raises:
            DatabaseUnavailable: as `acquire`.
        """
        connection = await self._borrow()
        try:
            yield connection
        finally:
            # To reset it would warn of every listener that is still there.
            with suppress(asyncpg.InterfaceError):  # it broke, and the pool has taken it back already
                connection.terminate()
            await self._give_back(connection)

    async def ping(self) -> float:
        """One round trip to the server, in seconds."""
        async with self.acquire() as connection:
            began = time.perf_counter()
            await connection.fetchval("SELECT 1")
            return time.perf_counter() - began

    def usage(self) -> PoolUsage:
        """How the pool is used at this moment."""
        size, idle = self.pool.get_size(), self.pool.get_idle_size()
        return PoolUsage(size=size, idle=idle, max=self.pool.get_max_size(), in_use=size - idle)

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
        return connection

    async def _give_back(self, connection: Connection) -> None:
        try:
            await self.pool.release(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            # The pool has dropped it already. What was done over it is done: a commit must not look like a failure.
            log.info("connection_dropped", database=self._where, reason=reason(error))


@asynccontextmanager
async def open_database(
    dsn: str,
    *,
    max_connections: int = 16,
    statement_timeout: float = 30.0,
    application_name: str = "dongbo",
    connect_deadline: float = 10.0,
) -> AsyncIterator[Database]:
    """Opens the pool: the only `asyncpg.create_pool` of the program.

    Args:
        dsn: `postgresql://user:password@host:port/database`, with the options that asyncpg knows.
        max_connections: upper bound of the pool, at least FEWEST_CONNECTIONS.
        statement_timeout: seconds for one statement, on the server; the client gives up a little later.
        application_name: how the connections show in `pg_stat_activity`.
        connect_deadline: seconds to keep trying while the server can't be reached, as at boot.

    Raises:
        ConfigError: the dsn can't be understood.
        DatabaseUnavailable: the server can't be reached, or refuses.
        DatabaseUnsuitable: the server is too old, read-only or not UTF-8, or a pooler shares its sessions.
    """
    if max_connections < FEWEST_CONNECTIONS:
        raise ConfigError(f"[database] max_connections is {max_connections}: at least {FEWEST_CONNECTIONS} are needed")
    if not dsn.startswith(SCHEMES):
        raise ConfigError(MISUNDERSTOOD.format("it is no URL of a PostgreSQL database"))
    where = describe(dsn)
    # No connection is kept without need (min_size): asyncpg would restore it in a task that nobody owns.
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_connections,
        max_inactive_connection_lifetime=IDLE_LIFETIME,
        timeout=CONNECT_TIMEOUT,
        command_timeout=statement_timeout + 5,
        server_settings={
            "application_name": application_name,
            "statement_timeout": f"{statement_timeout * 1000:.0f}",
            "lock_timeout": f"{statement_timeout * 500:.0f}",  # the shorter one, for its error says what it is
            "idle_in_transaction_session_timeout": f"{statement_timeout * 2000:.0f}",
            "timezone": "UTC",
            "jit": "off",  # costs more than it saves on statements as short as ours
            # A plan that is kept from when a table was small reads all of it, again and again, while a pull fills it.
            "plan_cache_mode": "force_custom_plan",
        },
    )
    try:
        await _reach(pool, where, connect_deadline)
        database = Database(pool, where, max_connections)
        async with database.acquire() as connection:
            await _check_suitable(connection, where)
        await _check_sessions(database, where)
        yield database
    finally:
        await _close(pool)


async def _reach(pool: asyncpg.Pool, where: str, deadline: float) -> None:
    """Makes the first connection; tries again where a server may still come up, as when the machine boots."""
    give_up = time.monotonic() + deadline
    pause = 0.05
    while True:
        try:
            await pool.release(await pool.acquire(timeout=CONNECT_TIMEOUT))
            return
        except (asyncpg.ClientConfigurationError, ValueError) as error:
            text = str(error)
            detail = text if text.startswith(HARMLESS_TEXTS) else "a part of it is malformed"
            raise ConfigError(MISUNDERSTOOD.format(detail)) from None
        except asyncpg.ProtocolViolationError as error:  # a pooler says so, PostgreSQL does not
            if "startup parameter" not in str(error):
                raise DatabaseUnavailable(f"no connection to {where}: {reason(error)}. {next_step(error)}") from None
            raise DatabaseUnsuitable(f"{SHARED_SESSIONS.format(where)} ({reason(error)})") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if not is_connection_error(error) or time.monotonic() + pause > give_up:
                raise DatabaseUnavailable(f"no connection to {where}: {reason(error)}. {next_step(error)}") from None
            log.info("database_awaited", database=where, reason=reason(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await pool.close()
    except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        pool.terminate()
        log.info("pool_terminated", reason=reason(error))


async def _check_suitable(connection: Connection, where: str) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_MAJOR:
        raise DatabaseUnsuitable(
            f"{where} runs PostgreSQL {version.major}.{version.minor}: upgrade the server to {OLDEST_MAJOR} or newer"
        )
    settings = connection.get_settings()
    if settings.server_encoding != "UTF8":
        raise DatabaseUnsuitable(
            f"{where} is encoded in {settings.server_encoding}: make one with "
            f"CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
    # A pooler may not pass on what the server says of itself, so it is asked.
    async with _noticing_poolers(where), connection.transaction():
        is_standby, is_read_only = await connection.fetchrow(IS_READ_ONLY)
    if is_standby:
        raise DatabaseUnsuitable(
            f"{where} is read-only, for this server is a standby: name the primary in [database] url"
        )
    if is_read_only:
        raise DatabaseUnsuitable(
            f"{where} is read-only (default_transaction_read_only is on): turn that off for it, or name another one"
        )


async def _check_sessions(database: Database, where: str) -> None:
    """Raise DatabaseUnsuitable where a connection has no session of its own: LISTEN, locks and settings would be lost.

    A pooler in transaction mode lends a server's session for one transaction. What one connection leaves in it, the
    next one finds; and a connection whose session another one has at the moment gets another one.
    """
    token = secrets.token_hex(8)
    async with _noticing_poolers(where), database.acquire() as one, database.acquire() as other:
        for _ in range(2):
            async with one.transaction():
                await one.execute(f"SET SESSION dongbo.probe = '{token}'")
                own = await one.fetchval(BACKEND)
            async with other.transaction():
                found, others = await other.fetchrow(FIND_PROBE), await other.fetchval(BACKEND)
                if own == others or found[0] == token:
                    raise DatabaseUnsuitable(SHARED_SESSIONS.format(where))
                async with one.transaction():
                    kept = await one.fetchrow(FIND_PROBE)
                    if kept[0] != token or await one.fetchval(BACKEND) != own:
                        raise DatabaseUnsuitable(SHARED_SESSIONS.format(where))


@asynccontextmanager
async def _noticing_poolers(where: str) -> AsyncIterator[None]:
    """What PostgreSQL never answers to us: a prepared statement that is not ours, or no transaction allowed."""
    try:
        yield
    except (
        asyncpg.InvalidSQLStatementNameError,
        asyncpg.DuplicatePreparedStatementError,
        asyncpg.ProtocolViolationError,
        asyncpg.ConnectionDoesNotExistError,
    ) as error:
        if isinstance(error, asyncpg.ConnectionDoesNotExistError) and "pooling mode" not in str(error):
            raise
        raise DatabaseUnsuitable(f"{SHARED_SESSIONS.format(where)} ({reason(error)})") from None
