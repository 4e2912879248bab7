"""Pushing stock: what differs and nothing else, by compare-and-set, each value recorded before and after."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from daemon.errors import SourceUnavailable
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sync import pushes
from daemon.sync.matching import mappings
from daemon.sync.products import plan as product_plan
from daemon.sync.products import stock_push
from daemon.sync.products.rows import Key, StockRow
from daemon.tasks import sync_products
from tests.support.synced_shop import (
    SyncedShop,
    after_each_call,
    before_each_call,
    check_counters,
    sandbox_settings,
    shop,
)
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

LOST = SourceUnavailable("the answer was lost")


async def test_what_differs_is_pushed_and_nothing_else(shop: SyncedShop) -> None:
    """Changed stock reaches Shopify, one write for each changed value; each has its entry in the log."""
    changed = shop.pairs[3:40]
    shop.sell(changed, 507)
    await shop.pull()
    different = shop.differences()
    job = await shop.sync()
    assert shop.differences() == {}
    assert (job.updated, job.failed) == (len(different), 0)
    assert {write.subject for write in shop.effects} == {
        ("stock", shop.shopify.variants[variant_id].inventory_item_id, location) for variant_id, location in different
    }
    assert len(shop.shopify.writes) == len(different)
    logged = await shop.pushes()
    assert {(push["kind"], push["result"], push["new_value"]) for push in logged} == {("stock", "applied", "507")}
    assert {(push["owner_id"], push["location_id"]): (int(push["old_value"]), 507) for push in logged} == different
    assert all(push["job_id"] == job.id for push in logged)


async def test_nothing_changed_writes_nothing(shop: SyncedShop) -> None:
    """A sync with nothing to do makes no write, and two calls to Shopify at most."""
    calls = shop.shopify.requests.calls
    job = await shop.sync()
    assert (job.updated, job.skipped) == (0, len(shop.pairs) * len(shop.depot_of))
    assert shop.shopify.writes == []
    assert shop.shopify.requests.calls - calls <= 2


async def test_a_mapping_holds_from_the_look_at_it_to_the_note_of_the_push(shop: SyncedShop) -> None:
    """One that is being changed counts as none, and one that a push counts on changes only after its note."""
    (first, first_product), (second, second_product) = shop.pairs[:2]
    rows = [
        StockRow(Key(1, variant.id, shop.location), place, 1, None, product, 0, 1, "")
        for place, (variant, product) in enumerate(((first, first_product), (second, second_product)), 1)
    ]
    retire = "UPDATE dongbo.product_mappings SET retired_at = now(), retired_reason = 'x' WHERE variant_id = $1"
    database = shop.workshop.database
    async with database.acquire() as match, database.acquire() as push:
        async with match.transaction():
            await match.execute(retire, first.id)
            async with push.transaction():
                left = await product_plan.still_mapped(push, STORE, rows)
                assert [row.key.variant_id for row in left] == [second.id]
                await match.execute("SET LOCAL lock_timeout = '50ms'")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    async with match.transaction():
                        await match.execute(retire, second.id)
        await match.execute(retire, second.id)  # now that the push has been noted


async def test_depots_of_a_location_add_up(shop: SyncedShop) -> None:
    """A location gets the whole pieces of all its depots together, and the log says which those are."""
    variant, nhanh_id = shop.pairs[0]
    first, second, *_ = depots = sorted(shop.depot_of.values())
    shop.configure(locations={str(shop.location): tuple(depots)})
    for depot in depots:
        shop.nhanh.change_stock(nhanh_id, depot, 0)
    await shop.pull()
    await shop.execute("UPDATE dongbo.nhanh_inventory SET available = 4.5 WHERE depot_id = $1", first)
    await shop.execute("UPDATE dongbo.nhanh_inventory SET available = 3.7 WHERE depot_id = $1", second)
    await shop.sync()
    level = variant.level_at(shop.location)
    assert level is not None
    assert level.available == 8
    push = next(push for push in await shop.pushes() if push["owner_id"] == variant.id)
    code = shop.nhanh.products[nhanh_id].code
    listed = ", ".join(map(str, depots))
    assert push["reason"] == f"Nhanh.vn {nhanh_id} ({code}) has 4.5 + 3.7 + 0 available in depots {listed}"


async def test_negative_stock_is_none(shop: SyncedShop) -> None:
    """What Nhanh has sold beyond its stock is nothing at Shopify."""
    shop.sell(shop.pairs[:5], 504)
    await shop.pull()
    await shop.sync()
    shop.sell(shop.pairs[:5], -3)
    await shop.pull()
    await shop.sync()
    assert all(variant.level_at(shop.location).available == 0 for variant, _ in shop.pairs[:5])  # type: ignore[union-attr]


async def test_unlisted_depot_holds_nothing(shop: SyncedShop) -> None:
    """A product whose stock is known has none in a depot that it does not list."""
    variant, nhanh_id = shop.pairs[0]
    shop.sell(shop.pairs[:1], 506)
    await shop.pull()
    await shop.sync()
    await shop.execute("DELETE FROM dongbo.nhanh_inventory WHERE product_id = $1", nhanh_id)
    await shop.sync()
    assert {level.available for level in variant.levels} == {0}


async def test_unknown_stock_is_asked_for(shop: SyncedShop) -> None:
    """Where Nhanh has not told a product's stock, it is asked for by its id before anything is pushed."""
    _, nhanh_id = shop.pairs[0]
    shop.sell(shop.pairs[:1], 509)
    await shop.execute("UPDATE dongbo.nhanh_products SET stock_known = false WHERE id = $1", nhanh_id)
    await shop.execute("DELETE FROM dongbo.nhanh_inventory WHERE product_id = $1", nhanh_id)
    job = await shop.sync()
    assert job.updated == 1
    assert shop.differences() == {}


async def test_some_variants_are_left_alone(shop: SyncedShop) -> None:
    """Untracked, unmapped and excluded variants get no stock, nor do those not pulled since the upgrade."""
    shop.sell(shop.pairs[:4], 511)
    await shop.pull()
    (untracked, _), (unmapped, _), (excluded, _), (not_pulled, _) = shop.pairs[:4]
    await shop.execute("UPDATE dongbo.shopify_variants SET tracked = false WHERE id = $1", untracked.id)
    await shop.execute("UPDATE dongbo.shopify_variants SET tracked = NULL WHERE id = $1", not_pulled.id)
    await shop.execute("UPDATE dongbo.product_mappings SET retired_at = now() WHERE variant_id = $1", unmapped.id)
    await shop.execute(
        "UPDATE dongbo.product_mappings SET nhanh_id = NULL, source = 'manual' WHERE variant_id = $1", excluded.id
    )
    job = await shop.sync()
    assert job.updated == 0
    assert shop.shopify.writes == []
    left_alone = job.metadata["left_alone"]
    assert (left_alone["excluded"], left_alone["not_pulled_yet"]) == (1, 1)
    assert left_alone["untracked"] >= 1
    assert left_alone["unmapped"] >= 1


async def test_stale_value_is_read_again_and_set(shop: SyncedShop) -> None:
    """A value that somebody else changed meanwhile is read again and set, and the others of its call with it."""
    shop.sell(shop.pairs[:30], 505)
    await shop.pull()
    variant = shop.pairs[4][0]
    shop.shopify.change_stock(variant.id, 77, shop.location)
    job = await shop.sync()
    assert shop.differences() == {}
    assert job.failed == 0
    results = [push["result"] for push in await shop.pushes() if push["owner_id"] == variant.id]
    assert results == ["stale", "applied"]
    assert len({push["call_key"] for push in await shop.pushes()}) == 2
    assert len(shop.effects) == len(shop.shopify.writes) == job.updated


async def test_stale_value_that_is_right_now_is_skipped(shop: SyncedShop) -> None:
    """What somebody else has set to the right value meanwhile needs no write."""
    shop.sell(shop.pairs[:1], 505)
    await shop.pull()
    shop.shopify.change_stock(shop.pairs[0][0].id, 505, shop.location)
    job = await shop.sync()
    assert (job.updated, job.failed) == (0, 0)
    assert shop.shopify.writes == []
    assert [push["result"] for push in await shop.pushes()] == ["stale"]
    assert (await shop.sync()).updated == 0


async def test_restless_value_is_a_failed_row(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that changes each time before it is set is given up, and the job goes on."""
    shop.sell(shop.pairs[:10], 505)
    await shop.pull()
    restless = shop.pairs[2][0]
    before_each_call(
        monkeypatch, "set_stock", lambda call: shop.shopify.change_stock(restless.id, 100 + call, shop.location)
    )
    job = await shop.sync()
    assert job.failed == 1
    failures = await shop.workshop.parts.jobs.list_failures(job.id)
    assert [failure.source_id for failure in failures] == [str(restless.id)]
    assert "changed at Shopify before each of 5 attempts" in failures[0].reason


async def test_item_is_activated_where_it_is_not_stocked(shop: SyncedShop) -> None:
    """An item that is to be at a location where it is not stocked is activated there first, and then set."""
    variant, _ = shop.pairs[0]
    shop.sell(shop.pairs[:1], 506)
    shop.shopify.stop_stocking(variant.id, shop.location)
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 1
    assert shop.differences() == {}
    kinds = [(push["kind"], push["new_value"], push["result"]) for push in await shop.pushes()]
    assert kinds == [("activation", "stocked", "applied"), ("stock", "506", "applied")]


async def test_nothing_is_activated_for_nothing(shop: SyncedShop) -> None:
    """An item of which there is nothing stays where it is not stocked."""
    shop.sell(shop.pairs[:1], 0)
    shop.shopify.stop_stocking(shop.pairs[0][0].id, shop.location)
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 0
    assert shop.shopify.writes == []


async def test_activation_that_brings_back_the_right_quantity_is_enough(shop: SyncedShop) -> None:
    """What an item had at a location before comes back with it; if that is right, nothing is set."""
    variant, _ = shop.pairs[0]
    shop.sell(shop.pairs[:1], 506)
    await shop.pull()
    await shop.sync()
    shop.shopify.writes.clear()
    shop.shopify.stop_stocking(variant.id, shop.location)
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 1
    assert [write.subject[0] for write in shop.shopify.writes] == ["activate"]


async def test_item_that_is_stocked_no_more_is_activated_again(shop: SyncedShop) -> None:
    """What was deactivated since the last pull is noticed when it is to be set, or, where Shopify sets it all the same,
    by the next pull; the quantity is set once."""
    shop.sell(shop.pairs[:3], 506)
    await shop.pull()
    (noticed, _), (silent, _) = shop.pairs[:2]
    shop.shopify.change_stock(noticed.id, 3, shop.location)
    for variant in (noticed, silent):
        shop.shopify.stop_stocking(variant.id, shop.location)
    job = await shop.sync()
    assert job.failed == 0
    assert set(shop.differences()) == {(silent.id, shop.location)}
    await shop.pull()
    await shop.sync()
    assert shop.differences() == {}
    stock = [write for write in shop.effects if write.subject[0] == "stock"]
    assert [write.after for write in stock] == [506, 506, 506]


async def test_refused_row_fails_alone(shop: SyncedShop) -> None:
    """A row that Shopify does not take becomes a dead letter, and the others of its call are set."""
    shop.sell(shop.pairs[:20], 508)
    await shop.pull()
    different = len(shop.differences())
    gone = shop.pairs[5][0]
    shop.shopify.delete_variant(gone.id)
    job = await shop.sync()
    assert (job.updated, job.failed) == (different - 1, 1)
    failures = await shop.workshop.parts.jobs.list_failures(job.id)
    assert [failure.source_id for failure in failures] == [str(gone.id)]
    results = [push["result"] for push in await shop.pushes() if push["owner_id"] == gone.id]
    assert results == ["refused"]


@pytest.mark.parametrize("fault", ["reset", "truncated", "cut_off", "error_500", "rate_limited", "nonsense"])
@pytest.mark.parametrize("replays", [True, False])
async def test_fault_on_a_write_writes_once(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, fault: str, replays: bool
) -> None:
    """Whatever becomes of a call or its answer, each value is set exactly once."""
    shop.shopify.idempotency.replays = replays
    shop.sell(shop.pairs[:20], 505)
    await shop.pull()
    different = len(shop.differences())

    def fail(call: int) -> None:
        if call == 1:
            shop.workshop.sandbox.faults.next(fault, path="graphql.json")

    before_each_call(monkeypatch, "set_stock", fail)
    job = await shop.sync()
    assert (job.updated, job.failed) == (different, 0)
    assert shop.differences() == {}
    assert len(shop.effects) == different
    assert {push["result"] for push in await shop.pushes()} == {"applied"}


@pytest.mark.parametrize("call", [1, 2, 3])
async def test_outcome_that_was_lost_is_counted_once(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """A run that ends between a call and its outcome is settled by the next, and no row is counted twice or missed."""
    monkeypatch.setattr(stock_push, "BATCH", 10)
    shop.sell(shop.pairs[:25], 505)
    await shop.pull()
    different = len(shop.differences())
    assert 20 < different <= 30

    def lose(number: int) -> None:
        if number == call:
            raise LOST

    after_each_call(monkeypatch, "set_stock", lose)
    job = await shop.sync()
    assert (job.updated, job.failed) == (different, 0)
    assert shop.differences() == {}
    assert len(shop.shopify.writes) == different
    assert {push["result"] for push in await shop.pushes()} == {"applied"}
    assert [push["detail"] for push in await shop.pushes()].count(None) < different


async def test_call_that_never_came_through_is_made_again(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that Shopify has not seen is settled as such, and made again under a new key."""
    shop.sell(shop.pairs[:5], 505)
    await shop.pull()
    different = len(shop.differences())

    def fail(number: int) -> None:
        if number == 1:
            raise LOST

    before_each_call(monkeypatch, "set_stock", fail)
    job = await shop.sync()
    assert job.updated == different
    assert shop.differences() == {}
    results = [push["result"] for push in await shop.pushes()]
    assert results == ["unknown"] * different + ["applied"] * different
    assert len(shop.shopify.writes) == different


async def test_interrupted_push_with_a_foreign_value_is_unknown(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Shopify has neither the old nor the new value, nobody can say what became of the push; the value is set."""
    shop.sell(shop.pairs[:1], 505)
    await shop.pull()

    def lose(number: int) -> None:
        if number == 1:
            shop.shopify.change_stock(shop.pairs[0][0].id, 3, shop.location)
            raise LOST

    after_each_call(monkeypatch, "set_stock", lose)
    await shop.sync()
    assert shop.differences() == {}
    assert [push["result"] for push in await shop.pushes()] == ["unknown", "applied"]


async def test_lost_activation_is_settled(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends behind an activation goes on with the item as it is then."""
    shop.sell(shop.pairs[:1], 506)
    shop.shopify.stop_stocking(shop.pairs[0][0].id, shop.location)
    await shop.pull()

    def lose(number: int) -> None:
        if number == 1:
            raise LOST

    after_each_call(monkeypatch, "activate_item", lose)
    job = await shop.sync()
    assert job.updated == 1
    assert shop.differences() == {}
    assert [(push["kind"], push["result"]) for push in await shop.pushes()] == [
        ("activation", "applied"),
        ("stock", "applied"),
    ]


async def test_used_up_key_is_settled_and_planned_anew(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose key Shopify takes no more is looked into, and the rest goes on within the same run."""
    shop.sell(shop.pairs[:5], 505)
    await shop.pull()
    different = len(shop.differences())

    def refuse(number: int) -> None:
        if number == 1:
            shop.shopify.idempotency.refuse_next("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")

    before_each_call(monkeypatch, "set_stock", refuse)
    job = await shop.sync()
    assert (job.updated, job.attempt) == (different, 1)
    assert shop.differences() == {}
    assert len(shop.effects) == different


async def test_keys_that_are_never_taken_end_the_run(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does not plan anew for ever."""
    shop.sell(shop.pairs[:5], 505)
    await shop.pull()
    before_each_call(
        monkeypatch,
        "set_stock",
        lambda _: shop.shopify.idempotency.refuse_next("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"),
    )
    job = await shop.workshop.submit(JobType.SYNC_PRODUCTS)
    job = await shop.workshop.wait(job.id, lambda job: job.error is not None)
    assert "idempotency keys of this run's calls" in str(job.error)
    assert shop.shopify.writes == []
    await shop.workshop.parts.jobs.cancel(job.id)


async def test_cancelled_sync_goes_on_from_its_checkpoint(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop is obeyed between batches, and a retry counts each row once."""
    monkeypatch.setattr(stock_push, "BATCH", 10)
    shop.sell(shop.pairs[:35], 505)
    await shop.pull()
    different = len(shop.differences())

    async def cancel() -> None:
        live = [job for job in (await shop.workshop.parts.jobs.list_jobs(limit=1)).jobs if job.status.is_live]
        for job in live:
            await shop.workshop.parts.jobs.cancel(job.id)

    before_each_call(monkeypatch, "set_stock", lambda call: cancel() if call == 2 else None)
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.CANCELLED
    assert job.updated == len(shop.shopify.writes) == 20
    again = await shop.workshop.wait((await shop.workshop.parts.jobs.retry(job.id)).id)
    assert again.status is JobStatus.COMPLETED
    check_counters(again)
    assert again.updated == different
    assert shop.differences() == {}
    assert len(shop.shopify.writes) == different


async def test_hidden_depot_is_an_error_not_zero(shop: SyncedShop) -> None:
    """With nothing left to push, a depot that the access token can't see ends the job with a sentence."""
    hidden = shop.depot_of[shop.location]
    shop.configure(locations={str(shop.location): tuple(shop.depot_of.values())})
    shop.nhanh.depot_ids = set(shop.depot_of.values()) - {hidden}
    await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.FAILED
    assert f"{hidden} ({shop.nhanh.depots[0].name})" in str(job.error)
    assert "the access token may not see it" in str(job.error)
    assert job.metadata["hidden_depots"] == [hidden]
    assert shop.shopify.writes == []


async def test_unknown_location_is_an_error(shop: SyncedShop) -> None:
    """A location that Shopify does not have ends the job with a sentence."""
    shop.configure(locations={"12345": tuple(shop.depot_of.values())[:1]})
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.FAILED
    assert "12345" in str(job.error)


async def test_dry_run_only_says_what_it_would_do(shop: SyncedShop) -> None:
    """A dry run writes nothing anywhere, and shows what a sync would do and whether it would ask."""
    shop.configure(max_zeroed=2)
    variant, nhanh_id = shop.pairs[0]
    shop.sell(shop.pairs[:20], 504)
    await shop.pull()
    different = len(shop.differences())
    job = await shop.sync(dry_run=True)
    assert (job.updated, job.skipped) == (0, len(shop.pairs) * len(shop.depot_of))
    assert shop.shopify.writes == []
    assert await shop.pushes() == []
    assert job.metadata["stock_changes"] == different
    shown = next(change for change in job.metadata["sample"] if change["variant_id"] == variant.id)
    assert (shown["sku"], shown["location_id"], shown["new"]) == (variant.sku, shop.location, "504")
    assert shown["reason"].startswith(f"Nhanh.vn {nhanh_id}")
    assert job.metadata["would_ask"] is None


async def test_two_syncs_at_once_are_one(shop: SyncedShop) -> None:
    """Asking for a second sync while one runs is answered with that one."""
    answers = await asyncio.gather(
        *(shop.workshop.submit(JobType.SYNC_PRODUCTS) for _ in range(3)), return_exceptions=True
    )
    made = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(made) == 1
    await shop.workshop.wait(made[0].id)


async def test_failed_rows_are_retried_by_themselves(shop: SyncedShop) -> None:
    """A variant that is back in stock at its location, or gone for good, is read and decided about anew."""
    shop.sell(shop.pairs[:2], 508)
    await shop.pull()
    shop.shopify.delete_variant(shop.pairs[0][0].id)
    job = await shop.sync()
    assert job.failed == 1
    retried = await shop.workshop.wait((await shop.workshop.parts.jobs.retry(job.id, failed_rows=True)).id)
    assert (retried.processed, retried.failed) == (1, 1)
    (letter,) = await shop.workshop.parts.jobs.list_failures(retried.id)
    assert "Shopify no longer has it" in letter.reason


async def test_depot_that_is_hidden_while_stock_is_pushed_ends_the_run(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pull no longer sees in the middle of a sync is not pushed as less stock."""
    first, second = sorted(shop.depot_of.values())[:2]
    shop.configure(locations={str(shop.location): (first, second)})
    for _, nhanh_id in shop.pairs:
        shop.nhanh.change_stock(nhanh_id, first, 11)
        shop.nhanh.change_stock(nhanh_id, second, 10)
    await shop.pull()
    monkeypatch.setattr(product_plan, "WINDOW_VARIANTS", 10)
    monkeypatch.setattr(stock_push, "BATCH", 5)

    async def hide(call: int) -> None:
        if call == 2:
            shop.nhanh.depot_ids = [depot.id for depot in shop.nhanh.depots if depot.id != second]
            await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY, full=True)

    before_each_call(monkeypatch, "set_stock", hide)
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.FAILED
    assert "lost or regained sight of a depot" in str(job.error)
    assert {write.after for write in shop.shopify.writes} == {21}
    assert {push["result"] for push in await shop.pushes()} == {"applied"}
    assert len(shop.shopify.writes) == len(await shop.pushes()) == 10


async def test_variant_that_is_excluded_in_the_middle_is_left_alone(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's word holds at once, also for a run that has planned before it."""
    monkeypatch.setattr(stock_push, "BATCH", 5)
    shop.sell(shop.pairs[:25], 777)
    await shop.pull()
    different, victim = len(shop.differences()), shop.pairs[20][0]

    async def exclude(call: int) -> None:
        if call == 2:
            async with shop.workshop.database.acquire() as connection:
                await mappings.set_manual(connection, STORE, [(victim.id, None)], "not ours")

    before_each_call(monkeypatch, "set_stock", exclude)
    job = await shop.sync()
    assert job.updated == different - 1
    assert victim.id not in {push["owner_id"] for push in await shop.pushes()}
    assert set(shop.differences()) == {(victim.id, shop.location)}


async def test_interrupted_dry_run_keeps_what_it_has_shown(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that is resumed behind its only page does not write empty figures over it."""
    shop.sell(shop.pairs[:3], 508)
    await shop.pull()
    describe_only, runs = sync_products._Sync._describe_only, []

    async def dies_behind_it(self: sync_products._Sync) -> None:
        await describe_only(self)
        runs.append(self)
        if len(runs) == 1:
            raise LOST

    monkeypatch.setattr(sync_products._Sync, "_describe_only", dies_behind_it)
    job = await shop.sync(dry_run=True)
    assert len(runs) == 2
    assert job.metadata["stock_changes"] == 3


async def test_old_pushes_are_pruned_but_the_last_of_each_value(shop: SyncedShop) -> None:
    """Of a value stay the newest push and the newest that was applied, however old; the rest goes, applied or not."""
    shop.sell(shop.pairs[:1], 508)
    await shop.pull()
    await shop.sync()
    for result in ("applied", "refused", "stale", "refused"):
        await shop.execute(
            "INSERT INTO dongbo.pushes (store, job_id, kind, owner_id, item_id, location_id, old_value, new_value, "
            "reason, call_key, result, settled_at) SELECT store, job_id, kind, owner_id, item_id, location_id, "
            "old_value, new_value, reason, call_key, $1, settled_at FROM dongbo.pushes ORDER BY id LIMIT 1",
            result,
        )
    await shop.execute("UPDATE dongbo.pushes SET settled_at = settled_at - interval '900 days'")
    async with shop.workshop.database.acquire() as connection:
        assert await pushes.prune(connection, timedelta(days=30)) == 3
    assert [push["result"] for push in await shop.pushes()] == ["applied", "refused"]


@pytest.mark.parametrize("status", ["ARCHIVED", "DRAFT"])
async def test_stock_follows_the_copy_that_is_on_sale(shop: SyncedShop, status: str) -> None:
    """A product is copied and its original archived: the copy gets the stock, and the original's is left alone."""
    await shop.workshop.completed(JobType.MATCH_PRODUCTS)
    original, nhanh_id = shop.pairs[0]
    copied = shop.shopify.duplicate_product(original.product_id)
    shop.shopify.change_status(copied.id, "ACTIVE")
    shop.shopify.change_status(original.product_id, status)
    copy = next(variant for variant in copied.variants if variant.sku == original.sku)
    shop.sell(shop.pairs[:1], 31)
    before = original.level_at(shop.location)
    quantity = before.available if before else None
    await shop.pull()
    await shop.workshop.completed(JobType.MATCH_PRODUCTS)
    await shop.sync()
    level, left = copy.level_at(shop.location), original.level_at(shop.location)
    assert level is not None
    assert level.available == 31
    assert (left.available if left else None) == quantity != 31
    reasons = await shop.workshop.rows(
        "SELECT retired_reason FROM dongbo.product_mappings WHERE variant_id = $1 AND nhanh_id = $2",
        original.id,
        nhanh_id,
    )
    assert "which is on sale" in reasons[0]["retired_reason"]
