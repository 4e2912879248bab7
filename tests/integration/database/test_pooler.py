"""PgBouncer: what of it suits, those who listen go past it, and its limits are said."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.database.pool import CONTROL, LISTENERS, open_database, unopened_database
from daemon.errors import ConfigError, DatabaseReadOnly, DatabaseUnavailable, DatabaseUnsuitable, ExitCode
from tests.support.pooler import LENIENT, pooler
from tests.support.postgres import TestServer


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("more", ["", LENIENT, f"{LENIENT}\nserver_reset_query_always = 1"])
async def test_a_pooler_that_shares_sessions_is_found_at_the_start(
    database_url: str, tmp_path: Path, mode: str, more: str
) -> None:
    """Case 10: PgBouncer in transaction or statement mode is no server to run on, whatever it lets pass."""
    async with pooler(database_url, tmp_path, mode, more) as url:
        with pytest.raises(DatabaseUnsuitable, match="a direct or session-mode address") as caught:
            async with open_database(url):
                pass
        assert caught.value.exit_code == ExitCode.CONFIG


async def test_a_pooler_that_lends_sessions_is_no_problem(database_url: str, tmp_path: Path) -> None:
    """Case 10: PgBouncer in session mode passes."""
    async with pooler(database_url, tmp_path, "session", LENIENT) as url, open_database(url) as database:
        assert await database.ping() < 5


async def test_settings_hold_although_the_pooler_keeps_them_back(database_url: str, tmp_path: Path) -> None:
    """What PgBouncer lets pass without an effect is set all the same, and again after a connection was given back."""
    settings = (
        "SELECT current_setting('application_name'), current_setting('statement_timeout'), "
        "current_setting('lock_timeout'), current_setting('TimeZone'), current_setting('jit'), "
        "current_setting('plan_cache_mode')"
    )
    async with pooler(database_url, tmp_path, "session", LENIENT) as url, open_database(url) as database:
        for _ in range(2):
            async with database.acquire() as connection:
                found = await connection.fetchrow(settings)
                await connection.execute("SET timezone = 'Asia/Ho_Chi_Minh'; SET statement_timeout = 0")
            assert tuple(found) == ("dongbo", "30s", "15s", "UTC", "off", "force_custom_plan")


async def test_a_pooler_that_refuses_settings_is_told_what_to_let_pass(database_url: str, tmp_path: Path) -> None:
    """PgBouncer as it comes, in session mode, needs one more line, which the sentence holds."""
    async with pooler(database_url, tmp_path, "session") as url:
        with pytest.raises(DatabaseUnsuitable) as caught:
            async with open_database(url):
                pass
    assert LENIENT in str(caught.value)


async def test_listeners_go_past_the_pooler(database_url: str, tmp_path: Path) -> None:
    """Who listens has a connection straight to the server, hears what is sent by way of the pooler, and is closed
    after that."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with (
        pooler(database_url, tmp_path, "session", LENIENT) as url,
        open_database(url, listen_dsn=database_url) as database,
    ):
        async with database.dedicated() as listener:
            await listener.add_listener("dongbo_test", lambda *notification: heard.put_nowait(notification[3]))
            # PgBouncer makes up a number of its own for each session.
            assert listener.get_server_pid() == await listener.fetchval("SELECT pg_backend_pid()")
            async with database.acquire() as pooled:
                assert pooled.get_server_pid() != await pooled.fetchval("SELECT pg_backend_pid()")
                await pooled.execute("NOTIFY dongbo_test, 'xin chào'")
            assert await asyncio.wait_for(heard.get(), 5) == "xin chào"
            assert database.usage().in_use == 1
        assert database.usage().in_use == 0
        assert database.dsn == database_url  # programs of PostgreSQL go past it, too


async def test_direct_connections_count_in_the_budget(database_url: str) -> None:
    """Rule 1: with an address of their own, listeners and pool together stay within the bound."""
    async with (
        open_database(
            database_url, listen_dsn=database_url, max_connections=8, application_name="dongbo-b"
        ) as database,
        AsyncExitStack() as stack,
    ):
        for _ in range(LISTENERS):
            await stack.enter_async_context(database.dedicated())
        for _ in range(8 - LISTENERS - CONTROL):
            await stack.enter_async_context(database.acquire_for_work())
        for _ in range(CONTROL - 1):
            await stack.enter_async_context(database.acquire())
        async with database.acquire() as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dongbo-b'"
            )
        assert count == 8
        assert (database.usage().size, database.usage().max) == (8, 8)


async def test_a_third_listener_waits_for_a_place(database_url: str) -> None:
    """No more direct connections than those who listen, whoever asks."""
    async with open_database(database_url, listen_dsn=database_url) as database, AsyncExitStack() as stack:
        for _ in range(LISTENERS - 1):
            await stack.enter_async_context(database.dedicated())
        last = database.dedicated()
        await last.__aenter__()
        third = asyncio.create_task(stack.enter_async_context(database.dedicated()), name="third")
        async with database.acquire() as connection:
            await connection.fetchval("SELECT 1")
        assert not third.done()
        await last.__aexit__(None, None, None)
        await asyncio.wait_for(third, 5)


async def test_listeners_elsewhere_are_refused(postgres_server: TestServer, database_url: str) -> None:
    """An address for those who listen that leads to another database is refused at the start, and later waited for."""
    with postgres_server.new_database() as name:
        other = postgres_server.url(name)
        with pytest.raises(DatabaseUnsuitable, match="listen_url leads to another database") as caught:
            async with open_database(database_url, listen_dsn=other):
                pass
        assert caught.value.exit_code == ExitCode.CONFIG
        async with unopened_database(database_url, listen_dsn=other) as database:
            with pytest.raises(DatabaseUnavailable, match="another database"):
                async with database.dedicated():
                    pass


async def test_listeners_behind_a_pooler_that_shares_sessions_are_refused(database_url: str, tmp_path: Path) -> None:
    """Of two addresses, the sentence names the one that is wrong."""
    async with pooler(database_url, tmp_path, "transaction", LENIENT) as url:
        with pytest.raises(DatabaseUnsuitable, match=r"in \[database\] listen_url"):
            async with open_database(database_url, listen_dsn=url):
                pass


async def test_listeners_at_a_standby_are_refused(postgres_server: TestServer, empty_database_url: str) -> None:
    """Nothing can be listened to at a standby."""
    name = urlsplit(empty_database_url).path.lstrip("/")
    with postgres_server.new_database() as primary:
        async with open_database(empty_database_url) as database, database.acquire() as connection:
            await connection.execute(
                "CREATE SCHEMA fake; "
                "CREATE FUNCTION fake.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
            )
        postgres_server.run(postgres_server.execute(f"ALTER DATABASE {name} SET search_path = fake, pg_catalog"))
        with pytest.raises(DatabaseReadOnly, match=r"name the primary in \[database\] listen_url"):
            async with open_database(postgres_server.url(primary), listen_dsn=empty_database_url):
                pass


@pytest.mark.parametrize("url", ["postgresql://u:tOpSeCrEt@127.0.0.1:port/shop", "tOpSeCrEt"])
async def test_a_bad_listen_url_is_said_plainly_and_without_the_password(database_url: str, url: str) -> None:
    """Rule 11 holds for it as for the other address."""
    with pytest.raises(ConfigError, match=r"\[database\] listen_url can't be used") as caught:
        async with open_database(database_url, listen_dsn=url):
            pass
    assert "tOpSeCrEt" not in str(caught.value)


async def test_a_listen_url_where_nobody_listens(database_url: str) -> None:
    """Which of the addresses is away is said."""
    with pytest.raises(DatabaseUnavailable, match=r"\[database\] listen_url"):
        async with open_database(
            database_url, listen_dsn="postgresql://u:tOpSeCrEt@127.0.0.1:1/shop", connect_deadline=0.1
        ):
            pass


@pytest.mark.parametrize("size", [1, 3])
async def test_a_full_pooler_is_said(
    database_url: str, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that PgBouncer lets in, but has no session for, ends with the setting that helps; and when others
    have gone, everything works again."""
    monkeypatch.setattr("daemon.database.sessions.SESSION_TIMEOUT", 0.5)
    full = f"{LENIENT}\ndefault_pool_size = {size}"
    async with pooler(database_url, tmp_path, "session", full) as url:
        others = [await asyncpg.connect(url) for _ in range(size)]
        for other in others:
            await other.execute("SELECT 1")
        with pytest.raises(DatabaseUnavailable, match="default_pool_size"):
            async with open_database(url, connect_deadline=0):
                pass
        for other in others:
            await other.close()
        if size > 1:
            async with open_database(url) as database:
                assert await database.ping() < 5


async def test_a_pooler_with_too_many_clients_is_said(database_url: str, tmp_path: Path) -> None:
    """PgBouncer's own limit of clients has a sentence as well."""
    async with pooler(database_url, tmp_path, "session", f"{LENIENT}\nmax_client_conn = 1") as url:
        only = await asyncpg.connect(url)
        with pytest.raises(DatabaseUnavailable, match=r"max_client_conn.*Raise"):
            async with open_database(url, connect_deadline=0):
                pass
        await only.close()
