"""What asyncpg's errors mean, and how to speak of a database without its password."""

from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from daemon.errors import DatabaseUnavailable
from daemon.i18n import gettext as _

SCHEMES = ("postgresql://", "postgres://")

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,  # SQLSTATE class 08
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.IdleSessionTimeoutError,
    DatabaseUnavailable,
    OSError,  # also TimeoutError
)
# asyncpg raises the same InterfaceError for a connection that has gone and for wrong use of one.
CONNECTION_LOST_WORDS = (
    "connection is closed",
    "connection was closed",
    "connection has been released",
    "closed in the",
    "cannot switch to state",  # the server's farewell came in just before the statement went out
)


def describe(dsn: str) -> str:
    """What to call the database in front of people: its name and host, never a password."""
    try:
        url = urlsplit(dsn)
        options = parse_qs(url.query)
    except ValueError:
        return _("the database")
    # An @ after the host means that a / ? or # in the password was not escaped, and ended the host too early.
    if not dsn.startswith(SCHEMES) or "@" in url.path + url.query + url.fragment:
        return _("the database")
    name = unquote(url.path.lstrip("/")) or options.get("dbname", options.get("database", [""]))[-1]
    host = options.get("host", [""])[-1] or unquote(url.netloc.rpartition("@")[2])
    return (
        _("database {name!r} at {host}").format(name=name, host=host)
        if host
        else _("database {name!r}").format(name=name)
    )


def is_connection_error(error: BaseException) -> bool:
    """Whether the connection broke or could not be had, so that the same may succeed over a new one."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_connection_error(inner) for inner in error.exceptions)
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return any(words in str(error) for words in CONNECTION_LOST_WORDS)
    return isinstance(error, CONNECTION_LOST)


def reason(error: BaseException) -> str:
    """What went wrong with a connection, in words for people."""
    match error:
        case ConnectionRefusedError() | FileNotFoundError():
            return _("no PostgreSQL listens there")
        case TimeoutError():
            return _("no answer in time")
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error) or type(error).__name__


def next_step(error: BaseException) -> str:
    """What a person can do about a connection that could not be had."""
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():  # also a wrong password
            return _("Check user and password in [database] url, and the server's pg_hba.conf")
        case asyncpg.InvalidCatalogNameError():
            return _("Make it with `createdb`, or correct its name in [database] url")
        case asyncpg.TooManyConnectionsError():
            return _("Raise the server's max_connections, or lower [database] max_connections")
        case _:
            return _("Check that the server runs and that [database] url is right")
