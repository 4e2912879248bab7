"""What connection errors are, and that a database is spoken of without its password."""

import asyncio

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.database.connection_errors import describe, is_connection_error, reason
from daemon.errors import DatabaseUnavailable


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot call Connection.fetch(): connection has been released back to the pool"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        ConnectionResetError(104, "Connection reset by peer"),
        FileNotFoundError(2, "No such file or directory"),
        TimeoutError(),
        DatabaseUnavailable("no connection"),
        ExceptionGroup("tasks", [ConnectionResetError(), asyncpg.InterfaceError("connection is closed")]),
    ],
)
def test_a_broken_connection_is_worth_another(error: BaseException) -> None:
    """Whatever says that the connection has gone, or could not be had, counts as a connection error."""
    assert is_connection_error(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("duplicate key"),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.DataError("invalid input for query argument $1"),
        ValueError("a bug"),
        asyncio.CancelledError(),
        ExceptionGroup("tasks", [ConnectionResetError(), ValueError("a bug")]),
    ],
)
def test_other_errors_would_come_again(error: BaseException) -> None:
    """An error of a statement, a refusal or a bug is not mended by another connection."""
    assert not is_connection_error(error)


def test_a_rollback_that_a_broken_connection_refuses_is_of_the_connection() -> None:
    """asyncpg then says the same as to whoever uses a connection twice at once."""
    broken = asyncpg.InternalClientError("cannot switch to state 21; another operation (2) is in progress")
    error = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    error.__context__ = broken
    assert is_connection_error(error)
    error.__context__ = ValueError("a bug")
    assert not is_connection_error(error)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:p@db.example:6432/shop", "database 'shop' at db.example:6432"),
        ("postgresql://db.example/shop?sslmode=require", "database 'shop' at db.example"),
        ("postgres:///shop?host=/run/postgresql", "database 'shop' at /run/postgresql"),
        ("postgresql://u@[::1]:5432/c%E1%BB%ADa-h%C3%A0ng", "database 'cửa-hàng' at [::1]:5432"),
        ("postgresql:///shop", "database 'shop'"),
        ("rubbish", "the database"),
    ],
)
def test_a_database_is_called_by_name_and_host(url: str, words: str) -> None:
    """People hear of a database by its name and its host."""
    assert describe(url) == words


@given(before=st.text(st.characters(exclude_categories=["C"])), after=st.text(st.characters(exclude_categories=["C"])))
def test_no_password_is_ever_described(before: str, after: str) -> None:
    """Whatever characters a password has, escaped or not, no part of it is shown (rule 11)."""
    assert "tOpSeCrEt" not in describe(f"postgresql://u:{before}tOpSeCrEt{after}@db.example/shop")


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionRefusedError(111, "x"), OSError(), KeyError("x")])
def test_every_error_has_a_reason(error: BaseException) -> None:
    """No sentence ends in nothing."""
    assert reason(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("cannot call Transaction.__aexit__(): the underlying connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
)
def test_nobody_is_told_of_methods(error: BaseException) -> None:
    """What asyncpg says of a connection that has gone is for programmers."""
    assert reason(error) == "the connection was lost"
