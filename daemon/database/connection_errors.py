"""What asyncpg's errors mean, and how to speak of a database without its password."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from daemon.errors import DatabaseError, DatabaseUnavailable, leaves
from daemon.i18n import gettext as _
from daemon.logging.faults import Fault

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
# What the database may do at the next attempt: SQLSTATE classes 40 (deadlocks), 53 (a full disk), 55 (locks), 57
# (time-outs) and 58 (errors of its disk), and what it does again once a failover or its maintenance is over.
MAY_PASS = (
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)
QUEUE_FULL_WORDS = "NOTIFY queue"  # 54000 stands for limits of all kinds
POOLER_FULL_WORDS = ("max_client_conn", "query_wait_timeout", "no more connections allowed")  # as PgBouncer says it
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
        return all(map(is_connection_error, leaves(error)))
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return any(words in str(error) for words in CONNECTION_LOST_WORDS) or _is_rollback_of_lost(error)
    return isinstance(error, CONNECTION_LOST)


def _is_rollback_of_lost(error: BaseException) -> bool:
    """What asyncpg says where a transaction on a connection that broke amid a statement is to be rolled back."""
    cause = error.__context__
    return "another operation is in progress" in str(error) and cause is not None and is_connection_error(cause)


def is_outage(error: BaseException) -> bool:
    """Whether the database fails as a whole, so that whatever else is asked of it now fails as well."""
    return all(
        is_connection_error(leaf)
        or isinstance(leaf, asyncpg.ReadOnlySQLTransactionError | asyncpg.InsufficientResourcesError)
        or is_notify_queue_full(leaf)
        for leaf in leaves(error)
    )


def may_pass(error: BaseException) -> bool:
    """Whether the same may succeed later, without a change to the program: a lost connection, or a state in which the
    database is for a while."""
    return all(
        is_connection_error(leaf) or isinstance(leaf, MAY_PASS) or is_notify_queue_full(leaf) for leaf in leaves(error)
    )


def is_of_database(error: BaseException) -> bool:
    """Whether the database, or the way to it, is the cause, and not the program."""
    return all(
        is_connection_error(leaf) or isinstance(leaf, asyncpg.PostgresError | DatabaseError) for leaf in leaves(error)
    )


def is_notify_queue_full(error: BaseException) -> bool:
    """Whether PostgreSQL keeps as many notifications as it can, since a session that listens does not take them."""
    return isinstance(error, asyncpg.ProgramLimitExceededError) and QUEUE_FULL_WORDS in str(error)


def reason(error: BaseException) -> str:
    """What went wrong with the database, in words for people; of a group, what went wrong in it."""
    match error:
        case BaseExceptionGroup():
            return "; ".join(dict.fromkeys(map(reason, leaves(error))))
        case ConnectionRefusedError() | FileNotFoundError():
            return _("no PostgreSQL listens there")
        case TimeoutError():
            return _("no answer in time")
        case asyncpg.ReadOnlySQLTransactionError():
            return _("it is read-only")
        case asyncpg.LockNotAvailableError():
            return _("another session holds a lock on what is needed")
        case asyncpg.DiskFullError():
            return _("its disk is full")
        case asyncpg.ProgramLimitExceededError() if is_notify_queue_full(error):
            return _("its queue of notifications is full: a session that listens has kept a transaction open")
        case OSError(strerror=str(text)):
            return text
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() if is_connection_error(error):
            return _("the connection was lost")  # asyncpg speaks of its methods
        case _:
            return str(error) or type(error).__name__


def trouble(error: BaseException) -> str:
    """What a person who asked for something is told of a database that `may_pass`: a sentence without a full stop."""
    match error:
        case _ if is_connection_error(error):
            return _("The connection to the database was lost")
        case asyncpg.ReadOnlySQLTransactionError():
            return _(
                "The database is read-only, so nothing can be changed: try again when its failover or maintenance is "
                "over, or turn off its default_transaction_read_only"
            )
        case asyncpg.InsufficientResourcesError() | asyncpg.PostgresSystemError():
            return _("The database can't go on ({error}): make room, or look at its log").format(error=reason(error))
        case asyncpg.LockNotAvailableError():
            return _(
                "The database took too long: another session holds a lock on what is needed. Try again, or look for it "
                "in pg_stat_activity"
            )
        case asyncpg.ProgramLimitExceededError():
            return _(
                "PostgreSQL's queue of notifications is full: end the session that listens with a transaction open, "
                "and try again"
            )
        case _:
            return _("The database took too long")


def next_step(error: BaseException) -> str:
    """What a person can do about a connection that could not be had."""
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():  # also a wrong password
            return _("Check user and password in [database] url, and the server's pg_hba.conf")
        case asyncpg.InvalidCatalogNameError():
            return _("Make it with `createdb`, or correct its name in [database] url")
        case asyncpg.TooManyConnectionsError():
            return _("Raise the server's max_connections, or lower [database] max_connections")
        case asyncpg.ProtocolViolationError() if any(words in str(error) for words in POOLER_FULL_WORDS):
            return _(
                "Raise max_client_conn and default_pool_size of the pooler to what all daemons may use together, or "
                "lower [database] max_connections"
            )
        case _:
            return _("Check that the server runs and that [database] url is right")


@contextmanager
def noted(fault: Fault) -> Iterator[None]:
    """Let a fault tell of an error of the database, which ends here, or of its end; other errors go on."""
    try:
        yield
    except Exception as error:
        if not is_of_database(error):
            raise
        fault.happened(reason(error))
    else:
        fault.passed()
