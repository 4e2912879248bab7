"""A replica to read from: what it serves, that nothing older is ever read, and that the primary steps in for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from daemon.database import replica as replica_module
from daemon.database.pool import open_database, unopened_database
from daemon.database.replica import MOST_CONNECTIONS, ReplicaFailed
from daemon.database.usage import ReplicaStanding
from daemon.errors import ConfigError
from tests.support.databases import value_in
from tests.support.postgres import TestServer
from tests.support.replica import WHERE, Pair, replicated


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """A primary with a table of one row, and its replica."""
    async with replicated(tmp_path, monkeypatch) as opened:
        async with opened.database.acquire() as connection:
            await connection.execute("CREATE TABLE counted (n integer); INSERT INTO counted VALUES (0)")
        await opened.kept_up()
        yield opened


async def test_reads_are_served_by_the_replica_and_see_all_that_was_committed(pair: Pair) -> None:
    """Whoever has changed something sees it, each time, without ever waiting for the next look."""
    for number in range(1, 101):
        async with pair.database.acquire() as connection:
            await connection.execute("UPDATE counted SET n = $1", number)
        async with pair.database.reading() as connection:
            assert await connection.fetchval("SELECT n FROM counted") == number
    assert pair.replica.reads_here > 50  # the rest waited too long: the machine may be busy
    assert pair.replica.reads_here + pair.replica.reads_at_primary == 100


async def test_what_the_replica_does_not_show_in_time_is_read_at_the_primary(pair: Pair) -> None:
    """Rule 17: a replica that falls behind shows nothing old; it serves again once it has come up."""
    await pair.standby.hold()
    async with pair.database.acquire() as connection:
        await connection.execute("UPDATE counted SET n = 7")
    async with pair.database.reading() as connection:
        assert await connection.fetchrow(f"SELECT n, ({WHERE}) FROM counted") == (7, False)
    await pair.standby.let_go()
    await pair.replica.look()
    assert await pair.ends_at_replica()


async def test_a_replica_that_is_behind_is_not_waited_for_by_each_read(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a look has found it behind, reads go to the primary at once, and it is said how far."""
    monkeypatch.setattr(replica_module, "LONGEST_LAG", 0.5)
    await pair.standby.hold()
    async with pair.database.acquire() as connection:
        await connection.execute("UPDATE counted SET n = 7")
    await pair.replica.look()
    assert pair.replica.state.standing is ReplicaStanding.BEHIND
    assert "reads go to the primary" in pair.replica.health.detail
    assert pair.replica.health.is_ok
    monkeypatch.setattr(replica_module, "PATIENCE", 3600.0)  # which nobody shows now
    async with asyncio.timeout(5):
        assert not await pair.ends_at_replica()


async def test_a_replica_that_goes_away_in_a_read_is_replaced_by_the_primary(pair: Pair) -> None:
    """The read that breaks off says so in a way by which the same begins again, and then it goes to the primary."""
    with pytest.raises(ReplicaFailed):
        async with pair.database.reading() as connection:
            await pair.standby.stop()
            await connection.fetchval(WHERE)
    assert not await pair.ends_at_replica()
    assert pair.replica.state.standing is ReplicaStanding.AWAY
    await pair.standby.start()
    await pair.replica.look()
    assert await pair.ends_at_replica()


async def test_an_error_of_the_statement_is_no_failure_of_the_replica(pair: Pair) -> None:
    """What would fail at the primary as well passes unchanged."""
    with pytest.raises(asyncpg.UndefinedTableError):
        async with pair.database.reading() as connection:
            await connection.fetchval("SELECT 1 FROM absent")
    assert await pair.ends_at_replica()


async def test_rows_that_the_primary_has_cleaned_up_break_off_a_read(pair: Pair) -> None:
    """A read that the replica ends over a conflict can begin again, at the primary."""
    with pytest.raises(ReplicaFailed):
        async with pair.database.reading() as connection, connection.transaction(isolation="repeatable_read"):
            assert await connection.fetchval("SELECT n FROM counted") == 0
            async with pair.database.acquire() as own:
                await own.execute("DELETE FROM counted")
                await own.execute("VACUUM counted")
            async with asyncio.timeout(10):
                while True:
                    await connection.fetchval("SELECT n, pg_sleep(0.05) FROM counted")
    assert not await pair.ends_at_replica()


async def test_no_more_connections_than_its_own_few(pair: Pair) -> None:
    """Who comes when all are lent reads at the primary, and the pool is not touched by the others."""
    async with AsyncExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            connection = await stack.enter_async_context(pair.database.reading())
            assert await connection.fetchval(WHERE)
        assert pair.database.usage().in_use == 0
        assert not await pair.ends_at_replica()
    assert await pair.ends_at_replica()


async def test_a_promoted_replica_is_none(pair: Pair) -> None:
    """After a failover it has a history of its own: nothing is read there any more."""
    await value_in(pair.standby.dsn, "SELECT pg_promote()")
    await value_in(pair.standby.dsn, "CREATE TABLE apart AS SELECT 1")
    assert not await pair.ends_at_replica()
    await pair.replica.look()
    assert pair.replica.state.standing is ReplicaStanding.PRIMARY


async def test_a_replica_of_another_server_is_not_read_from(
    postgres_server: TestServer, database_url: str, pair: Pair
) -> None:
    """An address that leads elsewhere is named, and harmless."""
    async with open_database(database_url, read_dsn=pair.standby.dsn) as database:
        assert database.replica is not None
        await database.replica.look()
        assert database.replica.state.standing is ReplicaStanding.ELSEWHERE
        async with database.reading() as connection:
            assert not await connection.fetchval(WHERE)


async def test_a_replica_is_left_once_its_primary_is_another_server(
    database_url: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 17: positions of two servers can't be compared, even where the replica still receives all of the old one."""
    async with open_database(database_url) as other:
        monkeypatch.setattr(pair.database, "pool", other.pool)  # as when the name in `url` is given to another
        assert not await pair.ends_at_replica()
        await pair.replica.look()
        assert pair.replica.state.standing is ReplicaStanding.ELSEWHERE


@pytest.mark.parametrize(
    "url", ["postgresql://u:tOpSeCrEt@127.0.0.1:1/shop", "postgresql://u:tOpSeCrEt@127.0.0.1:port/shop"]
)
async def test_a_replica_that_is_away_from_the_start_holds_nothing_up(database_url: str, url: str) -> None:
    """The daemon starts without it, reads at the primary, and never shows the password."""
    async with open_database(database_url, read_dsn=url) as database:
        assert database.replica is not None
        async with database.reading() as connection:
            assert not await connection.fetchval(WHERE)
        await database.replica.look()
        assert database.replica.state.standing is ReplicaStanding.AWAY
        assert "tOpSeCrEt" not in f"{database.replica.state}{database.replica.health}"


async def test_an_address_of_something_else_is_refused(database_url: str) -> None:
    """What can be told without asking is told at the start."""
    with pytest.raises(ConfigError, match="read_url"):
        async with unopened_database(database_url, read_dsn="mysql://u@h/d"):
            pass


async def test_the_part_looks_by_itself(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that comes back is used again without anybody's doing."""
    monkeypatch.setattr(replica_module, "LOOK_INTERVAL", 0.01)
    with pytest.raises(ReplicaFailed):
        async with pair.database.reading():
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    assert not await pair.ends_at_replica()
    async with pair.replica, asyncio.timeout(10):
        while not await pair.ends_at_replica():
            await asyncio.sleep(0.01)
