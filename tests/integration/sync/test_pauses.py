"""While a store is paused, everything is read and planned and nothing is written; afterwards it is made up."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.api.sales import CampaignState
from daemon.errors import InvalidTransition, StorePaused
from daemon.jobs import pauses
from daemon.jobs.actions import Way, coming_by, list_recent
from daemon.jobs.pausing import pause_store, resume_store
from daemon.jobs.types import JobType
from daemon.sync.products import stock_push
from tests.support.sale_shop import SaleShop
from tests.support.synced_shop import SyncedShop, before_each_call, sandbox_settings, shop
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]


async def test_paused_store_is_planned_and_not_written_to(shop: SyncedShop) -> None:
    """Each sync says what it would have pushed, and why it did not; the first one after the pause pushes it."""
    shop.sell(shop.pairs[:5], 507)
    await pause_store(shop.workshop.database, STORE, None, "stock-taking")
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.metadata["stock_changes"], job.metadata["paused"]) == (0, 5, True)
    assert job.metadata["notices"] == [
        "Nothing is written to Shopify: the store main is paused. Resume it with `dongbo sync resume main`."
    ]
    assert shop.shopify.writes == []
    await resume_store(shop.workshop.database, STORE)
    assert (await shop.sync()).updated == 5
    assert shop.differences() == {}


async def test_pause_that_begins_during_a_sync_keeps_back_what_is_not_sent_yet(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted before it and waited for its turn is not sent any more; every row is counted once, and no push is
    left open."""
    monkeypatch.setattr(stock_push, "BATCH", 2)
    shop.sell(shop.pairs[:6], 507)
    await shop.pull()

    async def pause(call: int) -> None:
        if call == 2:
            await pause_store(shop.workshop.database, STORE, None, None)

    before_each_call(monkeypatch, "set_stock", pause)
    job = await shop.sync()
    assert (job.updated, len(shop.effects)) == (2, 2)
    kept_back = [push for push in await shop.pushes() if push["result"] != "applied"]
    assert [push["detail"] for push in kept_back] == ["interrupted, and not seen at Shopify"] * 2
    await resume_store(shop.workshop.database, STORE)
    assert (await shop.sync()).updated == 4
    assert len(shop.effects) == 6


async def test_pause_that_begins_during_a_sale_keeps_back_what_is_not_sent_yet(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the campaign starts when the pause is over."""
    sales, database = SaleShop(shop.workshop), shop.workshop.database

    async def pause(call: int) -> None:
        if call == 2:
            await pause_store(database, STORE, None, None)

    before_each_call(monkeypatch, "set_prices", pause)
    campaign = await sales.create("tet")
    job = await sales.last_job(JobType.APPLY_SALE)
    begun = sales.prices()
    assert job.metadata["paused"]
    await resume_store(database, STORE)
    await sales.until(campaign, CampaignState.ACTIVE)
    assert sum(sales.prices()[number] != price for number, price in begun.items()) > 0


async def test_pause_ends_by_itself(shop: SyncedShop) -> None:
    """At its time, without anybody's doing; one in the past is refused."""
    with pytest.raises(InvalidTransition, match="in the past"):
        await pause_store(shop.workshop.database, STORE, datetime.now(UTC), None)
    await pause_store(shop.workshop.database, STORE, datetime.now(UTC) + timedelta(hours=1), None)
    shop.sell(shop.pairs[:1], 507)
    await shop.pull()
    assert (await shop.sync()).updated == 0
    await shop.execute("UPDATE dongbo.store_pauses SET since = since - interval '2 h', until = until - interval '1 h'")
    assert (await shop.sync()).updated == 1


async def test_pause_is_noted_and_can_be_changed(shop: SyncedShop) -> None:
    """Who asked is known; one that goes on keeps its beginning."""
    database = shop.workshop.database
    with coming_by(Way.PAGE, "Lan"):
        first = await pause_store(database, STORE, None, "stock-taking")
    with coming_by(Way.CLI, "Minh"):
        later = await pause_store(database, STORE, datetime.now(UTC) + timedelta(hours=1), None)
        assert (first.who, later.who, later.since) == ("Lan", "Minh", first.since)
        await resume_store(database, STORE)
        await resume_store(database, STORE)  # which changes nothing, and is not noted
    async with database.acquire() as connection:
        noted = await list_recent(connection, store=STORE)
        await pauses.check(connection, STORE)
    assert [(str(each.kind), each.who) for each in noted] == [
        ("resume_store", "Minh"), ("pause_store", "Minh"), ("pause_store", "Lan")
    ]  # fmt: skip


async def test_pause_waits_for_what_is_being_noted(shop: SyncedShop) -> None:
    """When it has been answered, nothing is noted to be written any more."""
    database = shop.workshop.database
    async with database.acquire() as writer, database.acquire() as other:
        async with writer.transaction():
            await pauses.check(writer, STORE)
            await other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                async with other.transaction():
                    await pauses.pause(other, STORE, None, None, None)
        await pauses.pause(other, STORE, None, None, None)
        await other.execute("RESET lock_timeout")
        with pytest.raises(StorePaused):
            await pauses.check(writer, STORE)


async def test_sales_wait_and_are_made_up(shop: SyncedShop) -> None:
    """A campaign that is due starts when the pause is over, and one that has ended meanwhile is taken back; the jobs
    that found the store paused say so, and no new ones are made until then."""
    sales, database = SaleShop(shop.workshop), shop.workshop.database
    before = sales.prices()
    await pause_store(database, STORE, None, None)
    campaign = await sales.create("tet")
    job = await sales.last_job(JobType.APPLY_SALE)
    assert (job.metadata["paused"], sales.prices()) == (True, before)
    await sales.clock.sweep()
    assert (await sales.last_job(JobType.APPLY_SALE)).id == job.id
    await resume_store(database, STORE)
    await sales.until(campaign, CampaignState.ACTIVE)
    assert sales.prices() != before
    await pause_store(database, STORE, None, None)
    await sales.sales.end_now(await sales.get(campaign))
    await sales.last_job(JobType.REVERT_SALE)
    assert sales.prices() != before
    await resume_store(database, STORE)
    await sales.until(campaign, CampaignState.COMPLETED, CampaignState.CANCELLED)
    assert sales.prices() == before
