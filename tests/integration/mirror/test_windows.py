"""What daemons tell each other of a rate limit, over a real database."""

import asyncio

import asyncpg
import pytest

from daemon.database.pool import Database, open_database
from daemon.mirror import windows
from daemon.mirror.claims import BEGIN_CLAIM
from daemon.mirror.windows import LOCK_SPACE, SharedWindows
from daemon.sources.window import CLAIMED_CALLS, Others, SlidingWindow

ACCOUNT, URL = "nhanh:1:2", "https://pos.open.nhanh.vn/v3.0/customer/list"


async def look(shared: SharedWindows, held: list[int], url: str = URL) -> Others:
    """Claim so much, and see what others hold."""
    seen: list[Others] = []

    def decide(others: Others) -> list[int]:
        seen.append(others)
        return held

    assert await shared.claim(ACCOUNT, url, decide)
    return seen[0]


async def test_each_sees_what_the_others_hold(database: Database) -> None:
    """Places count until they are free, for all processes but their own, and for their URL alone."""
    one, other, third = (SharedWindows(database) for _ in range(3))
    assert await look(one, [30] * 20 + [0] * 5) == Others(0, 0)
    assert await look(one, [30] * 20 + [0] * 5) == Others(0, 0)
    assert await look(other, [10]) == Others(20, 1)
    assert await look(third, []) == Others(21, 2)
    assert await look(third, [], URL + "s") == Others(0, 0)


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ("-5 seconds", Others(2, 1)),
        ("-20 seconds", Others(1, 0)),
        ("-40 seconds", Others(0, 0)),
        ("1 hour", Others(0, 0)),
    ],
)
async def test_only_the_database_s_clock_counts(database: Database, moved: str, expected: Others) -> None:
    """What was told is over when its seconds are; a row of the future is of before the clock was set back."""
    one, other = SharedWindows(database), SharedWindows(database)
    await look(one, [10, 30])
    async with database.acquire() as connection:
        await connection.execute(f"UPDATE dongbo.source_windows SET as_of = as_of + interval '{moved}'")
    assert await look(other, []) == expected


async def test_claims_at_the_same_time_never_come_to_more_than_there_is(database: Database) -> None:
    """Twenty processes that claim at once get no more than the window together."""
    loop = asyncio.get_running_loop()
    claims: list[int] = []

    async def claim() -> None:
        shared, window = SharedWindows(database), SlidingWindow(100, 30)

        def decide(others: Others) -> list[int]:
            held = window.claim(loop.time(), others)
            claims.append(len(held))
            return held

        assert await shared.claim(ACCOUNT, URL, decide)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(claim())
    assert len(claims) == 20
    assert sum(claims) <= 100
    assert claims[0] == CLAIMED_CALLS


async def test_a_suspended_process_holds_up_nobody(database: Database, database_url: str) -> None:
    """The server ends the session of one that stops, or is cut off, amid its claim, before the others give up."""
    suspended = await asyncpg.connect(database_url)
    try:
        await suspended.execute("BEGIN")
        await suspended.execute(BEGIN_CLAIM, LOCK_SPACE, f"{ACCOUNT} {URL}")
        assert await look(SharedWindows(database), []) == Others(0, 0)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await suspended.execute("SELECT 1")
    finally:
        suspended.terminate()


async def test_without_the_database_nobody_is_told(database_url: str) -> None:
    """That is said, and no error."""
    async with open_database(database_url) as database:
        shared = SharedWindows(database)
    assert not await shared.claim(ACCOUNT, URL, lambda others: [])


async def test_a_farewell_that_comes_between_refuses_no_call(database: Database) -> None:
    """A server that goes away while a statement is on its way out is an error of asyncpg's own, not of PostgreSQL."""

    def decide(_others: Others) -> list[int]:
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")

    assert not await SharedWindows(database).claim(ACCOUNT, URL, decide)


async def test_processes_that_are_gone_are_forgotten(database: Database) -> None:
    """Their rows go; those of others stay."""
    await look(SharedWindows(database), [30])
    async with database.acquire() as connection:
        await connection.execute("UPDATE dongbo.source_windows SET as_of = as_of - interval '1 day'")
        await look(SharedWindows(database), [30])
        await windows.prune(connection)
        assert await connection.fetchval("SELECT count(*) FROM dongbo.source_windows") == 1
