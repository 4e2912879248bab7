"""What daemons tell each other of Shopify's buckets of points, over a real database."""

import asyncio

import asyncpg
import pytest

from daemon.database.pool import Database, open_database
from daemon.mirror import buckets
from daemon.mirror.buckets import LOCK_SPACE, SharedBuckets
from daemon.mirror.claims import BEGIN_CLAIM
from daemon.sources.meter import Rank
from daemon.sources.points import OtherPoints, OwnPoints, SharedPoints, ToldPoints

ACCOUNT = "shopify:x"
OLDER = "UPDATE dongbo.source_points SET as_of = as_of - interval '{0}'"
BUCKET_OLDER = "UPDATE dongbo.source_buckets SET as_of = as_of - interval '{0}'"


async def look(shared: SharedBuckets, told: ToldPoints, rank: int = Rank.OTHER, waited: float = 0.0) -> OtherPoints:
    """Tell so much, and see what others have told."""
    seen: list[OtherPoints] = []

    def decide(others: OtherPoints) -> ToldPoints:
        seen.append(others)
        return told

    assert await shared.claim(ACCOUNT, rank, waited, decide)
    return seen[0]


async def test_each_sees_what_is_free_and_what_the_others_hold(database: Database) -> None:
    """What a process has told itself is not among what others hold, but it knows what is free."""
    one, other = SharedBuckets(database), SharedBuckets(database)
    assert await look(one, ToldPoints(800.0, 200.0, 0.0)) == OtherPoints()
    seen = await look(one, ToldPoints(700.0, 300.0, 0.0))
    assert (seen.free, seen.is_ours, seen.held, seen.processes) == (800.0, True, 0.0, 0)
    assert 0.0 <= seen.age < 10.0
    seen = await look(other, ToldPoints(600.0, 100.0, 0.0))
    assert (seen.free, seen.is_ours, seen.held, seen.processes) == (700.0, False, 300.0, 1)
    async with database.acquire() as connection:
        await connection.execute(OLDER.format("11 seconds"))
        await connection.execute(BUCKET_OLDER.format("11 seconds"))
    seen = await look(one, ToldPoints(0.0, 0.0, 0.0))
    assert (seen.free, seen.held, seen.processes) == (600.0, 0.0, 0)
    assert 11.0 <= seen.age < 21.0


async def test_whoever_is_of_a_lower_rank_or_has_waited_longer_goes_first(database: Database) -> None:
    """What others wait for counts for those who come after them, as long as they ask for it."""
    waiting, other = SharedBuckets(database), SharedBuckets(database)
    await look(waiting, ToldPoints(50.0, 0.0, 400.0), Rank.ITEMS, waited=20.0)
    for rank, waited, ahead in (
        (Rank.OTHER, 500.0, 400.0),
        (Rank.ITEMS, 1.0, 400.0),
        (Rank.ITEMS, 500.0, 0.0),
        (Rank.SALE, 0.0, 0.0),
    ):
        assert (await look(other, ToldPoints(50.0, 0.0, 0.0), rank, waited)).ahead == ahead
    async with database.acquire() as connection:
        await connection.execute(OLDER.format("4 seconds"))
    assert (await look(other, ToldPoints(50.0, 0.0, 0.0))).ahead == 0.0


async def test_claims_at_the_same_time_never_come_to_more_than_there_is(database: Database) -> None:
    """Twenty processes that claim at once get no more than the bucket together."""
    held: list[float] = []
    own = OwnPoints(points=1000.0, known_at=None, set_aside=0.0, maximum=1000.0, rate=1e-6)

    async def claim() -> None:
        points = SharedPoints()

        def decide(others: OtherPoints) -> ToldPoints:
            told = points.claim(90.0, 0.0, own, others)
            held.append(told.held)
            return told

        assert await SharedBuckets(database).claim(ACCOUNT, Rank.OTHER, 0.0, decide)

    await asyncio.gather(*(claim() for _ in range(20)))
    assert sum(held) == 990.0


async def test_one_that_was_cut_off_amid_a_claim_holds_up_nobody(database: Database, database_url: str) -> None:
    """The server ends its session before the others give up, so that nobody calls without knowing of others."""
    cut_off = await asyncpg.connect(database_url)
    try:
        await cut_off.execute("BEGIN")
        await cut_off.execute(BEGIN_CLAIM, LOCK_SPACE, ACCOUNT)
        await look(SharedBuckets(database), ToldPoints(0.0, 0.0, 0.0))
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await cut_off.execute("SELECT 1")
    finally:
        cut_off.terminate()


async def test_a_database_that_is_away_is_no_error(database_url: str) -> None:
    """It is said that nobody can be told."""
    async with open_database(database_url) as database:
        shared = SharedBuckets(database)
    assert not await shared.claim(ACCOUNT, Rank.OTHER, 0.0, lambda _: ToldPoints(0.0, 0.0, 0.0))


async def test_pruning_forgets_those_who_are_gone(database: Database) -> None:
    """Only what is older than any claim lasts."""
    await look(SharedBuckets(database), ToldPoints(0.0, 0.0, 0.0))
    async with database.acquire() as connection:
        await buckets.prune(connection)
        assert await connection.fetchval("SELECT count(*) FROM dongbo.source_points") == 1
        await connection.execute(OLDER.format("121 seconds"))
        await connection.execute(BUCKET_OLDER.format("121 seconds"))
        await buckets.prune(connection)
        for table in ("source_points", "source_buckets"):
            assert await connection.fetchval(f"SELECT count(*) FROM dongbo.{table}") == 0
