"""The database's clock is what all daemons go by, whatever the clocks of their machines say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncpg import InterfaceError

from daemon.clock import boot_time
from daemon.database.clock import NOW, DatabaseClock
from daemon.database.pool import Connection, Database


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_machine_with_a_wrong_clock_knows_the_time(database: Database, hours: int) -> None:
    """After one look it goes by the database, and is never ahead of it; before, by what it has."""
    wrong = timedelta(hours=hours)
    clock = DatabaseClock(machine=lambda: datetime.now(UTC) + wrong)
    assert abs(clock() - datetime.now(UTC) - wrong) < timedelta(seconds=10)
    async with database.acquire() as connection:
        await clock.look(connection)
        for _ in range(3):
            before = await connection.fetchval(NOW)
            told = clock()
            assert told <= await connection.fetchval(NOW)
            assert told > before - timedelta(seconds=10)
            await clock.look(connection)


class SlowConnection:
    """One whose answers seem to take a second on the way back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.seconds = 0.0

    async def fetchval(self, sql: str) -> Any:
        """The value, late."""
        value = await self._connection.fetchval(sql)
        self.seconds += 1.0
        return value


async def test_it_follows_the_database_and_never_goes_back_for_a_slow_answer(database: Database) -> None:
    """A clock that has run too fast is put right by the next look; that an answer took its time changes nothing."""
    too_fast = 0.0
    async with database.acquire() as connection:
        slow: Any = SlowConnection(connection)
        clock = DatabaseClock(since_boot=lambda: boot_time() + too_fast + slow.seconds)
        await clock.look(connection)
        too_fast = 1000.0
        assert clock() > await connection.fetchval(NOW) + timedelta(seconds=900)
        await clock.look(connection)
        assert clock() <= await connection.fetchval(NOW)
        before = clock()
        await clock.look(slow)
        assert clock() >= before + timedelta(seconds=1)


async def test_without_the_database_it_runs_on(database: Database) -> None:
    """A look that fails changes nothing."""
    clock = DatabaseClock(machine=lambda: datetime(2000, 1, 1, tzinfo=UTC))
    async with database.acquire() as connection:
        await clock.look(connection)
    with pytest.raises(InterfaceError):
        await clock.look(connection)
    assert clock() > datetime(2001, 1, 1, tzinfo=UTC)
