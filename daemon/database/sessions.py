"""Sessions of the server: how each is set up, and whether a server gives what the daemon needs of it."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from daemon.database.connection_errors import reason
from daemon.errors import ConfigError, DatabaseReadOnly, DatabaseUnavailable, DatabaseUnsuitable
from daemon.i18n import gettext as _

OLDEST_MAJOR = 14
SESSION_TIMEOUT = 8.0  # seconds for the first answer of a new connection: a pooler lets in more than it serves

# Of each connection over TCP: the kernel ends it when the other end has acknowledged nothing for so long, and asks the
# other end of an idle one, so that a machine or a path that has vanished without a word is noticed.
SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),  # milliseconds
)

IS_READ_ONLY = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"
BACKEND = "SELECT pg_backend_pid()"
FIND_PROBE = "SELECT current_setting('dongbo.probe', true)"
LACKS_SETTINGS = "SELECT current_setting('plan_cache_mode') <> 'force_custom_plan'"
LOCK = "SELECT pg_advisory_xact_lock($1)"
TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
MISUNDERSTOOD = (
    "[database] {} can't be used ({}): expected postgresql://user:password@host:5432/database, with characters "
    "such as @ : / # in the password written as %40 %3A %2F %23"
)
# Seconds after which the server ends the session of a daemon that says nothing amid a transaction, such as one that was
# cut off: less than the 15 s after which its jobs are another one's, which needs the rows that it has locked.
IDLE_IN_TRANSACTION = 12.0
# How asyncpg's texts about options begin. The others may quote what was taken for the port or the host, and so a piece
# of the password.
HARMLESS_TEXTS = ("`ssl", "root certificate", "cannot determine", "could not determine", "direct TLS")
SHARED_SESSIONS = (
    "{} is behind a pooler that shares sessions between connections, such as PgBouncer in transaction mode, and "
    "LISTEN, locks and settings need sessions of their own: write a direct or session-mode address in [database] {}"
)
REFUSED_SETTINGS = (
    ". If it is PgBouncer in session mode, let it pass what the daemon sets by itself: ignore_startup_parameters = {}"
)


def session_settings(application_name: str, statement_timeout: float) -> dict[str, str]:
    """What every session of the daemon is set to.

    Args:
        application_name: how the connections show in `pg_stat_activity`.
        statement_timeout: seconds for one statement, on the server.
    """
    return {
        "application_name": application_name,
        "statement_timeout": f"{statement_timeout * 1000:.0f}",
        "lock_timeout": f"{statement_timeout * 500:.0f}",  # the shorter one, for its error says what it is
        "idle_in_transaction_session_timeout": f"{min(statement_timeout * 2, IDLE_IN_TRANSACTION) * 1000:.0f}",
        "timezone": "UTC",
        "jit": "off",  # costs more than it saves on statements as short as ours
        # A plan that is kept from when a table was small reads all of it, again and again, while a pull fills it.
        "plan_cache_mode": "force_custom_plan",
    }


class Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection whose settings come back when it is reset."""

    settings = ""  # statements; none where the server has them from the start of the session

    def get_reset_query(self) -> str:
        """What takes everything back that a borrower has left behind."""
        query: str = super().get_reset_query()
        return query + self.settings


class SessionSetup:
    """Prepares every new connection to one address.

    The settings travel with the start of a session. A pooler such as PgBouncer may be told to let them pass without
    having an effect: then they are set by statements, from the moment on at which the sessions are known to be ours.
    """

    def __init__(self, where: str, settings: Mapping[str, str]) -> None:
        self.where = where
        self._settings = settings
        self._statements = ""

    @property
    def by_statements(self) -> bool:
        """Whether the settings are set by statements."""
        return bool(self._statements)

    def set_by_statements(self) -> None:
        """Set them so in each connection from now on."""
        self._statements = "".join(f"SET {name} = '{value}';" for name, value in self._settings.items())

    def options(self) -> dict[str, Any]:
        """What asyncpg connects with."""
        return {"connection_class": Session, "server_settings": dict(self._settings)}

    async def prepare(self, connection: Session) -> None:
        """Make a connection fit for use.

        Raises:
            DatabaseUnavailable: it was let in, but nobody serves it.
        """
        _notice_silence(connection)
        connection.settings = self._statements
        try:
            async with asyncio.timeout(SESSION_TIMEOUT):
                await connection.execute(self._statements or "SELECT 1")
        except TimeoutError:
            connection.terminate()  # to end it in order would wait for an answer, too
            raise DatabaseUnavailable(
                _(
                    "{where} let a connection in, but gave it no session within {seconds:.0f} s. A pooler before it, "
                    "such as PgBouncer, has none left: raise its default_pool_size (and the server's max_connections) "
                    "to what all daemons may use together, or lower [database] max_connections"
                ).format(where=self.where, seconds=SESSION_TIMEOUT)
            ) from None


def _notice_silence(connection: asyncpg.Connection) -> None:
    transport = connection._transport  # noqa: SLF001 - asyncpg has no options for its sockets
    own: socket.socket = transport.get_extra_info("socket")
    if own.family != socket.AF_UNIX:
        for option in SOCKET_OPTIONS:
            own.setsockopt(*option)


def misunderstood(key: str, problem: str) -> ConfigError:
    """What a person is told of an address, that of `key` in [database], with which nothing can be begun."""
    return ConfigError(MISUNDERSTOOD.format(key, problem))


def unreadable(key: str, error: Exception) -> ConfigError:
    """The same, where asyncpg refuses it; never with a piece of the password."""
    text = str(error)
    return misunderstood(key, text if text.startswith(HARMLESS_TEXTS) else "a part of it is malformed")


async def lacks_settings(connection: PoolConnectionProxy) -> bool:
    """Whether the settings of the session's start have had no effect."""
    lacks: bool = await connection.fetchval(LACKS_SETTINGS)
    return lacks


def is_refused_setting(error: Exception) -> bool:
    """Whether a pooler refuses what a session is set to; PostgreSQL never does."""
    return isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in str(error)


def refused_settings(where: str, key: str, error: Exception) -> DatabaseUnsuitable:
    """What a person is told of that."""
    names = ",".join(session_settings("", 0))
    advice = REFUSED_SETTINGS.format(names)
    return DatabaseUnsuitable(f"{SHARED_SESSIONS.format(where, key)} ({reason(error)}){advice}")


async def check_suitable(connection: PoolConnectionProxy, where: str, key: str = "url") -> None:
    """Raise where the server is none to run on; `key` is that of its address in [database].

    Raises:
        DatabaseUnsuitable: it is too old, or not UTF-8.
        DatabaseReadOnly: nothing can be written there.
    """
    check_version(connection, where)
    settings = connection.get_settings()
    if settings.server_encoding != "UTF8":
        raise DatabaseUnsuitable(
            f"{where} is encoded in {settings.server_encoding}: make one with "
            f"CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
    # A pooler may not pass on what the server says of itself, so it is asked.
    async with _noticing_poolers(where, key), connection.transaction():
        is_standby, is_read_only = await connection.fetchrow(IS_READ_ONLY)
    if is_standby:
        raise DatabaseReadOnly(
            f"{where} is read-only, for this server is a standby: name the primary in [database] {key}"
        )
    if is_read_only:
        raise DatabaseReadOnly(
            f"{where} is read-only (default_transaction_read_only is on): turn that off for it, or name another one"
        )


def check_version(connection: PoolConnectionProxy, where: str) -> None:
    """Raise DatabaseUnsuitable where the server is older than the oldest that the daemon knows."""
    version = connection.get_server_version()
    if version.major < OLDEST_MAJOR:
        raise DatabaseUnsuitable(
            f"{where} runs PostgreSQL {version.major}.{version.minor}: upgrade the server to {OLDEST_MAJOR} or newer"
        )


async def check_sessions(one: PoolConnectionProxy, other: PoolConnectionProxy, where: str, key: str = "url") -> None:
    """Raise DatabaseUnsuitable where a connection has no session of its own: LISTEN, locks and settings would be lost.

    A pooler in transaction mode lends a server's session for one transaction. What one connection leaves in it, the
    next one finds; and a connection whose session another one has at the moment gets another one.
    """
    shared = DatabaseUnsuitable(SHARED_SESSIONS.format(where, key))
    token = secrets.token_hex(8)
    async with _noticing_poolers(where, key):
        for _attempt in range(2):
            async with one.transaction():
                await one.execute(f"SET SESSION dongbo.probe = '{token}'")
                own = await one.fetchval(BACKEND)
            async with other.transaction():
                found, others = await other.fetchval(FIND_PROBE), await other.fetchval(BACKEND)
                if own == others or found == token:
                    raise shared
                async with one.transaction():
                    kept = await one.fetchval(FIND_PROBE)
                    if kept != token or await one.fetchval(BACKEND) != own:
                        raise shared


async def is_same_database(one: PoolConnectionProxy, other: PoolConnectionProxy) -> bool:
    """Whether two connections lead to the same database of the same server, so that they share locks and
    notifications: seen by a lock, which no privilege is needed for."""
    key = secrets.randbits(62)
    async with one.transaction(), other.transaction():
        await one.execute(LOCK, key)
        return not await other.fetchval(TRY_LOCK, key)


@asynccontextmanager
async def _noticing_poolers(where: str, key: str) -> AsyncIterator[None]:
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
        raise DatabaseUnsuitable(f"{SHARED_SESSIONS.format(where, key)} ({reason(error)})") from None
