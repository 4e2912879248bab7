"""What the database says of what fills up, to whoever may see it, and what it refuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import time_machine

from daemon.database.pool import SPACE_IS_BACK, Database, open_database
from daemon.database.storage import disk_space, read_storage
from tests.support.postgres import TestServer

FULL = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"


async def test_the_oldest_transaction_is_found_with_whose_it_is(database: Database, database_url: str) -> None:
    """The one that is open the longest, of this database alone, and not the reader's own."""
    async with database.acquire() as reader:
        before = await read_storage(reader)
        assert before.oldest is None
        assert before.size > 2**20
        assert before.notification_queue < 0.01
        other = await asyncpg.connect(database_url, server_settings={"application_name": "somebody"})
        try:
            await other.execute("BEGIN; SELECT 1")
            async with database.acquire() as younger, younger.transaction():
                await younger.fetchval("SELECT 1")
                oldest = (await read_storage(reader)).oldest
            assert oldest is not None
            assert (oldest.pid, oldest.name) == (other.get_server_pid(), "somebody")
            assert 0 <= oldest.seconds < 60
            await other.execute("COMMIT")
            assert (await read_storage(reader)).oldest is None
        finally:
            await other.close()


async def test_who_may_not_see_others_is_told_what_it_may_see(postgres_server: TestServer, database_url: str) -> None:
    """A user without pg_read_all_stats sees its own transactions alone, and no error."""
    role = f"{database_url.partition('?')[0].rpartition('/')[2]}_plain"
    postgres_server.run(postgres_server.execute(f"CREATE ROLE {role}"))
    try:
        async with open_database(database_url) as database, database.acquire() as reader, _open_transaction(database):
            await reader.execute(f"SET ROLE {role}")
            assert (await read_storage(reader)).oldest is None
            await reader.execute("RESET ROLE")
            assert (await read_storage(reader)).oldest is not None
    finally:
        postgres_server.run(postgres_server.execute(f"DROP ROLE {role}"))


@asynccontextmanager
async def _open_transaction(database: Database) -> AsyncIterator[None]:
    async with database.acquire() as connection, connection.transaction():
        await connection.fetchval("SELECT 1")
        yield


async def test_a_refusal_for_want_of_space_is_remembered(database: Database) -> None:
    """By the one pool, whoever had the connection, since the first of them; an error of another kind is none."""
    assert database.refused_space is None
    with pytest.raises(asyncpg.PostgresError):
        async with database.acquire() as connection:
            await connection.execute("SELECT 1 / 0")
    assert database.refused_space is None
    for _ in range(2):
        with pytest.raises(asyncpg.DiskFullError):
            async with database.acquire_for_work() as connection:
                await connection.execute(FULL)
    refused = database.refused_space
    assert refused is not None
    assert refused.reason == "could not extend file"
    assert refused.first_at < refused.last_at
    async with database.acquire_for_work() as connection:
        await connection.execute("SELECT 1")
    assert database.refused_space is not None, "on a full disk some pages find room"
    with time_machine.travel(datetime.now(UTC) + SPACE_IS_BACK):
        async with database.acquire_for_work() as connection:
            await connection.execute("SELECT 1")
    assert database.refused_space is None


def test_the_space_of_a_disk_is_what_others_than_root_may_use(tmp_path: Path) -> None:
    """And of a directory that is not there nothing is known."""
    found = disk_space(tmp_path)
    assert found is not None
    assert 0 < found.free < found.size
    assert disk_space(tmp_path / "absent") is None
