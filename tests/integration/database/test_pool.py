"""The pool: its bound, its budget, its errors, and that it finds back to a server that was restarted."""

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.database import returning
from daemon.database.embedded import embedded_server
from daemon.database.pool import CONTROL, LISTENERS, Connection, Database, is_connection_error, open_database
from daemon.errors import ConfigError, DatabaseUnavailable, DatabaseUnsuitable
from tests.support.fault_proxy import Silence, postgres_proxy
from tests.support.postgres import TestServer

COUNT_OWN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = current_setting('application_name')"


@pytest.fixture
async def small(database_url: str) -> AsyncIterator[Database]:
    """A pool of eight connections, of which jobs may have two."""
    async with open_database(database_url, max_connections=8, application_name="dongbo-small") as database:
        yield database


async def test_ping_measures_a_round_trip(database: Database) -> None:
    """A ping answers with the seconds it took."""
    assert 0 < await database.ping() < 5


async def test_sessions_are_set_up(database: Database) -> None:
    """Every session has its name, time-outs and UTC, also after it has been used and given back."""
    settings = (
        "SELECT current_setting('application_name'), current_setting('statement_timeout'), "
        "current_setting('idle_in_transaction_session_timeout'), current_setting('TimeZone'), current_setting('jit')"
    )
    async with database.acquire() as connection:
        await connection.execute("SET timezone = 'Asia/Ho_Chi_Minh'; SET statement_timeout = 0")
    async with database.acquire() as connection:
        assert tuple(await connection.fetchrow(settings)) == ("dongbo", "30s", "12s", "UTC", "off")


async def test_a_statement_ends_at_its_time_out(database_url: str) -> None:
    """The server cuts off a statement that takes too long, and the connection stays good."""
    async with open_database(database_url, statement_timeout=0.2) as database:
        async with database.acquire() as connection:
            with pytest.raises(asyncpg.QueryCanceledError):
                await connection.execute("SELECT pg_sleep(60)")
        assert await database.ping() < 5


async def test_never_more_connections_than_the_maximum(small: Database) -> None:
    """Under more load than it has connections, the process stays within its bound (rule 1)."""

    async def one() -> int:
        async with small.acquire() as connection:
            await connection.execute("SELECT pg_sleep(0.005)")
            return int(await connection.fetchval(COUNT_OWN))

    counts = await asyncio.gather(*(one() for _ in range(100)))
    assert max(counts) == 8
    assert small.usage().max == 8
    assert small.usage().in_use == 0


async def test_jobs_leave_connections_for_the_rest(small: Database) -> None:
    """However many jobs want to write, listeners and control work get their connections at once."""
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as rest:
        release = asyncio.Event()

        async def job() -> None:
            async with small.acquire_for_work():
                await release.wait()

        for number in range(10):
            tasks.create_task(job(), name=f"job-{number}")
        await _until(lambda: small.usage().in_use == 8 - LISTENERS - CONTROL)
        async with asyncio.timeout(2):
            for _ in range(LISTENERS):
                await rest.enter_async_context(small.dedicated())
            for _ in range(CONTROL):
                await rest.enter_async_context(small.acquire())
        assert small.usage().in_use == 8
        release.set()


async def test_no_connection_in_time_is_said_plainly(small: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for a connection is told that all are in use."""
    async with AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(small.acquire())
        monkeypatch.setattr("daemon.database.pool.ACQUIRE_TIMEOUT", 0.05)
        with pytest.raises(DatabaseUnavailable, match="8 of at most 8 are in use"):
            await small.ping()
    monkeypatch.undo()
    assert await small.ping() < 5


async def test_dedicated_connection_listens(database: Database) -> None:
    """A dedicated connection gets notifications, and can be given back without removing its listeners."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.dedicated() as connection:
        await connection.add_listener("dongbo_test", lambda *notification: heard.put_nowait(notification[3]))
        async with database.acquire() as other:
            await other.execute("NOTIFY dongbo_test, 'xin chào'")
        assert await asyncio.wait_for(heard.get(), 5) == "xin chào"
    assert database.usage().in_use == 0


async def test_dedicated_connection_that_broke_goes_back(small: Database) -> None:
    """A listener whose connection was cut off ends without another error, and its place in the pool is free again."""
    for _ in range(3):
        async with small.dedicated() as connection:
            lost = asyncio.Event()
            await connection.add_listener("dongbo_test", lambda *_: None)
            connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
            await _cut_off(small, connection.get_server_pid())
            await asyncio.wait_for(lost.wait(), 5)
    assert small.usage().in_use == 0
    assert await small.ping() < 5


async def test_commit_over_a_connection_that_breaks_afterwards_is_no_failure(small: Database) -> None:
    """An error of giving a connection back does not reach the work that was done over it."""
    async with small.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
        await _cut_off(small, connection.get_server_pid())
    assert await small.ping() < 5


async def test_a_cut_connection_is_a_connection_error(small: Database) -> None:
    """A statement over a connection that was cut off fails with a connection error, and so does the next."""
    async with small.acquire() as connection:
        await _cut_off(small, connection.get_server_pid())
        for _ in range(2):
            with pytest.raises(Exception) as raised:
                await connection.fetchval("SELECT 1")
            assert is_connection_error(raised.value), raised.value


async def test_cancelled_work_gives_its_connection_back(small: Database) -> None:
    """A task that is cancelled in the middle of a statement leaves a usable pool."""
    for _ in range(20):
        task = asyncio.create_task(_sleep_on_the_server(small), name="sleeper")
        await _until(lambda: small.usage().in_use == 1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await _until(lambda: small.usage().in_use == 0)
    assert await small.ping() < 5


async def test_a_cancellation_is_not_lost_over_a_connection_that_breaks(database: Database) -> None:
    """To roll back over it fails, which is no reason for a task that shall end to go on."""
    lent: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        with suppress(asyncpg.InterfaceError, asyncpg.PostgresError):  # as who goes on without the database
            async with database.acquire() as connection, connection.transaction():
                lent.set_result(connection)
                await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    connection = await lent
    task.cancel()
    connection.terminate()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.ping() < 5


async def test_pool_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    """When the server was away and came back, every acquired connection works, without a restart of ours."""
    async with (
        embedded_server(tmp_path, durable=False) as server,
        open_database(server.dsn, max_connections=8) as database,
    ):
        async with AsyncExitStack() as stack:
            for _ in range(6):  # so that there are six idle ones to be found dead
                await stack.enter_async_context(database.acquire())
        await server.stop()
        with pytest.raises(DatabaseUnavailable, match="no PostgreSQL listens there"):
            await database.ping()
        await server.start()
        async with AsyncExitStack() as stack:
            for _ in range(8):
                connection = await stack.enter_async_context(database.acquire())
                assert await connection.fetchval("SELECT 1") == 1


async def test_waits_for_a_server_that_comes_up(tmp_path: Path) -> None:
    """At boot the daemon may be first: it goes on trying until the deadline."""
    async with embedded_server(tmp_path, durable=False) as server:
        await server.stop()

        async def connect() -> None:
            async with open_database(server.dsn, connect_deadline=30) as database:
                await database.ping()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(connect(), name="connect")
            await server.start()


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        (
            "postgresql://u:tOpSeCrEt@127.0.0.1:1/shop",
            DatabaseUnavailable,
            "'shop' at 127.0.0.1:1.*Check that the server",
        ),
        ("postgresql:///shop?host=/nowhere&user=u&password=tOpSeCrEt", DatabaseUnavailable, "'shop' at /nowhere"),
        ("postgresql://u:x@tOpSeCrEt@127.0.0.1:1/shop", (DatabaseUnavailable, ConfigError), "database"),
        ("postgresql://u:x/tOpSeCrEt@127.0.0.1/shop", (DatabaseUnavailable, ConfigError), "database"),
        ("postgresql://u:x#tOpSeCrEt@127.0.0.1/shop", (DatabaseUnavailable, ConfigError), "database"),
        ("postgresql://u:[tOpSeCrEt@127.0.0.1:1/shop", (DatabaseUnavailable, ConfigError), "database"),
        ("postgresql://u:tOpSeCrEt@127.0.0.1:port/shop", ConfigError, "can't be used"),
        ("postgresql://u:tOpSeCrEt@127.0.0.1:1/shop?sslmode=maybe", ConfigError, "sslmode"),
        ("mysql://u:tOpSeCrEt@127.0.0.1/shop", ConfigError, "postgresql://user:password@"),
        ("tOpSeCrEt", ConfigError, "can't be used"),
        ("", ConfigError, "can't be used"),
    ],
)
async def test_bad_urls_are_said_plainly_and_without_the_password(
    url: str, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that can't be reached is one sentence that names it and never its password (rule 11)."""
    monkeypatch.delenv("PGHOST", raising=False)
    with pytest.raises(error, match=words) as raised:
        async with open_database(url, connect_deadline=0.1):
            pass
    assert "tOpSeCrEt" not in "".join(traceback.format_exception(raised.value)).replace(url, "")


async def test_unknown_database_is_not_waited_for(database_url: str) -> None:
    """What waiting does not mend is told at once, with the next step."""
    url = database_url.replace("/dongbo_test", "/absent")
    async with asyncio.timeout(5):
        with pytest.raises(DatabaseUnavailable, match="createdb"):
            async with open_database(url, connect_deadline=60):
                pass


async def test_wrong_encoding_is_unsuitable(postgres_server) -> None:
    """A database that can't hold Vietnamese text is refused."""
    name = "dongbo_test_ascii"
    postgres_server.run(
        postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    )
    try:
        with pytest.raises(DatabaseUnsuitable, match="SQL_ASCII"):
            async with open_database(postgres_server.url(name)):
                pass
    finally:
        postgres_server.run(postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)"))


async def test_too_small_a_pool_is_refused(database_url: str) -> None:
    """Fewer connections than the budget needs would starve the daemon."""
    with pytest.raises(ConfigError, match="max_connections"):
        async with open_database(database_url, max_connections=3):
            pass


async def _cut_off(database: Database, pid: int) -> None:
    async with database.acquire() as connection:
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)


async def _sleep_on_the_server(database: Database) -> None:
    async with database.acquire_for_work() as connection:
        await connection.execute("SELECT pg_sleep(60)")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


# ── Servers that can't be used ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_standby_is_found_at_the_start(postgres_server: TestServer, empty_database_url: str) -> None:
    """Case 10: a server in recovery is refused before anything is written, with the way out."""
    name = urlsplit(empty_database_url).path.lstrip("/")
    async with open_database(empty_database_url) as database, database.acquire() as connection:
        await connection.execute(
            "CREATE SCHEMA fake; CREATE FUNCTION fake.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        )
    postgres_server.run(postgres_server.execute(f"ALTER DATABASE {name} SET search_path = fake, pg_catalog"))
    with pytest.raises(DatabaseUnsuitable, match="this server is a standby: name the primary"):
        async with open_database(empty_database_url):
            pass


async def test_a_read_only_database_is_found_at_the_start(postgres_server: TestServer, empty_database_url: str) -> None:
    """Case 10: a database that is set to read-only is refused, too."""
    name = urlsplit(empty_database_url).path.lstrip("/")
    postgres_server.run(postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with pytest.raises(DatabaseUnsuitable, match="is read-only"):
        async with open_database(empty_database_url):
            pass


async def test_a_return_that_fails_is_heard_although_its_giver_was_cancelled(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server falls silent while a connection is being given back: that is no error that nobody has taken."""
    monkeypatch.setattr(returning, "RELEASE_TIMEOUT", 0.2)
    async with postgres_proxy(database_url) as proxy, open_database(proxy.postgres_url(database_url)) as database:

        async def use() -> None:
            async with database.acquire() as connection:
                await connection.fetchval("SELECT 1")
                proxy.behave(Silence())

        using = asyncio.create_task(use())
        await proxy.held()  # the reset with which the connection is given back
        using.cancel()
        await asyncio.wait({using})
        while database.usage().in_use:
            await asyncio.sleep(0.02)
        gc.collect()
        await proxy.restore()
    assert not [record for record in caplog.records if record.name == "asyncio"]
