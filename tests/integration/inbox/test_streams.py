"""Whether somebody listens for the webhooks of one side of a store, and what was missed."""

from datetime import timedelta

from daemon.database.pool import Database
from daemon.ids import StoreName
from daemon.inbox import streams
from daemon.inbox.streams import StreamId, Unaccepted
from daemon.jobs.types import Source

NHANH, SHOPIFY = StreamId(StoreName("main"), Source.NHANH), StreamId(StoreName("main"), Source.SHOPIFY)
GAP = timedelta(minutes=10)


async def test_what_was_not_accepted_adds_up(database: Database) -> None:
    """A stream says until when it was listened to, and since when deliveries were refused."""
    async with database.acquire() as connection:
        await streams.listened(connection, {NHANH: Unaccepted(refused=3), SHOPIFY: Unaccepted()})
        await streams.listened(connection, {NHANH: Unaccepted(refused=2, turned_away=1), SHOPIFY: Unaccepted()})
        nhanh, shopify = await streams.list_streams(connection)
    assert (nhanh.id, nhanh.refused, nhanh.turned_away) == (NHANH, 5, 1)
    assert nhanh.last_refused_at is not None
    assert (shopify.id, shopify.refused, shopify.last_refused_at) == (SHOPIFY, 0, None)
    assert shopify.listened_until is not None


async def test_a_gap_is_claimed_once(database: Database) -> None:
    """Neither a stream that is new nor a short gap is one; a long gap is one for whoever comes first."""
    both = [NHANH, SHOPIFY]
    async with database.acquire() as connection:
        assert await streams.claim_catch_up(connection, both, GAP) == set()
        await streams.listened(connection, {NHANH: Unaccepted(), SHOPIFY: Unaccepted()})
        assert await streams.claim_catch_up(connection, both, GAP) == set()
        await connection.execute(
            "UPDATE dongbo.webhook_streams SET listened_until = listened_until - interval '11 minutes'"
            " WHERE source = 'nhanh'"
        )
        async with connection.transaction():
            assert await streams.claim_catch_up(connection, both, GAP) == {NHANH}
            await streams.listened(connection, {NHANH: Unaccepted()})
        assert await streams.claim_catch_up(connection, both, GAP) == set()


async def test_what_was_turned_away_is_made_up_for_once(database: Database) -> None:
    """Rightly signed deliveries that could not be stored are a gap, however short."""
    async with database.acquire() as connection:
        await streams.listened(connection, {SHOPIFY: Unaccepted(turned_away=1)})
        assert await streams.claim_catch_up(connection, [SHOPIFY], GAP) == {SHOPIFY}
        assert await streams.claim_catch_up(connection, [SHOPIFY], GAP) == set()
        await streams.listened(connection, {SHOPIFY: Unaccepted(refused=5)})
        assert await streams.claim_catch_up(connection, [SHOPIFY], GAP) == set()
        await streams.listened(connection, {SHOPIFY: Unaccepted(turned_away=1)})
        assert await streams.claim_catch_up(connection, [SHOPIFY], GAP) == set()  # so soon again
        await connection.execute("UPDATE dongbo.webhook_streams SET caught_up_at = caught_up_at - interval '1 hour'")
        assert await streams.claim_catch_up(connection, [SHOPIFY], GAP) == {SHOPIFY}
