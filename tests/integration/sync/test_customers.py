"""Pushing totals and tiers of customers: what differs and nothing else, each value recorded before and after."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from daemon.config import CustomerSyncSettings
from daemon.errors import InvalidJobRequest, SourceUnavailable
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.pausing import pause_store, resume_store
from daemon.jobs.types import JobType
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import SandboxSettings
from daemon.sandbox.shopify.records import CustomerRecord
from daemon.sandbox.shopify.writes import AppliedWrite
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.writes import MetafieldOutcome, WriteError
from daemon.sync import recording
from daemon.sync.customers import push
from daemon.sync.customers.push import CustomerPush
from daemon.sync.customers.rules import CustomerRules
from daemon.sync.customers.run import Customer
from daemon.tasks import sync_customers
from tests.support.second_run import begin_beside, note_push
from tests.support.synced_shop import after_each_call, before_each_call, check_counters
from tests.support.workshop import STORE, Workshop

TOTAL, TIER = "custom.total_spent", "custom.tier"
PAIRS = 60
LOST = SourceUnavailable("the answer was lost")

MAP = """
INSERT INTO dongbo.customer_mappings (store, nhanh_id, shopify_id, source, phone)
SELECT $1, nhanh_id, shopify_id, 'phone', '+84' || nhanh_id
FROM unnest($2::bigint[], $3::bigint[]) AS pair (nhanh_id, shopify_id)
"""


class CustomerShop:
    """The workshop with mapped customers: a list of (customer of Shopify, id at Nhanh), in the order of the sync."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.nhanh = workshop.sandbox.nhanh
        self.shopify = workshop.sandbox.shopify
        customers = [self.shopify.customers[number] for number in sorted(self.shopify.customers)[:PAIRS]]
        self.pairs: list[tuple[CustomerRecord, int]] = list(
            zip(customers, sorted(self.nhanh.customers)[:PAIRS], strict=True)
        )
        self.settings = CustomerSyncSettings()

    def configure(self, **settings: object) -> None:
        """Sync by these settings."""
        self.settings = CustomerSyncSettings.model_validate(settings)
        registry = self.workshop.parts.registry
        stores = {name: replace(store, customer_sync_settings=self.settings) for name, store in registry.stores.items()}
        self.workshop.parts.use_stores(stores, registry.policy)

    async def map(self) -> None:
        """Map the pairs."""
        nhanh_ids, shopify_ids = [pair[1] for pair in self.pairs], [pair[0].id for pair in self.pairs]
        await self.execute(MAP, STORE, nhanh_ids, shopify_ids)

    def spend(self, place: int, amount: int | str) -> None:
        """Let a customer have spent so much at Nhanh."""
        self.nhanh.change_customer(self.pairs[place][1], total_amount=Decimal(amount))

    async def pull(self) -> None:
        """Mirror both sides as they are now."""
        await self.workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
        await self.workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS, full=True)

    async def sync(self, **params: Any) -> Job:
        """Run a sync, which must succeed, with counters that add up."""
        job = await self.workshop.completed(JobType.SYNC_CUSTOMERS, **params)
        check_counters(job)
        assert job.total == PAIRS or len(self.pairs) != PAIRS
        return job

    async def settle_down(self) -> None:
        """Bring both sides in step, and forget how."""
        await self.sync()
        self.check_right()
        self.shopify.writes.clear()
        await self.execute("DELETE FROM dongbo.pushes")

    def check_right(self) -> None:
        """Shopify says of every pair what Nhanh knows."""
        rules = CustomerRules(self.settings)
        for customer, nhanh_id in self.pairs:
            if customer.id in self.shopify.customers:
                standing = rules.standing(self.nhanh.customers[nhanh_id].total_amount)
                assert self.total(customer) == str(standing.total)
                assert [tag.casefold() for tag in rules.tier_tags(customer.tags)] == [str(standing.tier).casefold()]

    @staticmethod
    def total(customer: CustomerRecord) -> str | None:
        """What Shopify says that a customer has spent."""
        found = customer.metafields.get(("custom", "total_spent"))
        return None if found is None else found.value

    @property
    def effects(self) -> list[AppliedWrite]:
        """What the daemon has changed in Shopify."""
        return [write for write in self.shopify.writes if write.has_effect]

    def check_once(self, besides: CustomerRecord | None = None) -> None:
        """No value was written twice with effect, apart from a tag that is added before another is removed."""
        skipped = ("metafield", besides.id, TOTAL) if besides is not None else None
        effects = [write for write in self.effects if write.operation != "tagsRemove" and write.subject != skipped]
        written = Counter(write.subject for write in effects)
        assert not written or max(written.values()) == 1

    async def pushes(self, customer: CustomerRecord | None = None) -> list[Any]:
        """The push log, oldest first; of one customer only, if one is given."""
        rows = await self.workshop.rows("SELECT * FROM dongbo.pushes ORDER BY id")
        return [row for row in rows if customer is None or row["owner_id"] == customer.id]

    async def results(self, customer: CustomerRecord | None = None) -> list[str]:
        """What became of the pushes."""
        return [row["result"] for row in await self.pushes(customer)]

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Change the database behind the daemon's back."""
        async with self.workshop.database.acquire() as connection:
            await connection.execute(sql, *arguments)

    async def reasons(self, job: Job) -> dict[str | None, str]:
        """Why rows of a job have failed."""
        return {letter.source_id: letter.reason for letter in await self.workshop.parts.jobs.list_failures(job.id)}


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """Few goods, enough customers."""
    return SandboxSettings(products=5, customers=150, limits=False)


@pytest.fixture
async def new_shop(workshop: Workshop) -> CustomerShop:
    """A shop whose customers are mirrored and mapped, and to which nothing has been pushed yet."""
    shop = CustomerShop(workshop)
    shop.configure()
    for place in range(PAIRS):
        shop.spend(place, 500_000 * place)
    await shop.pull()
    await shop.map()
    return shop


@pytest.fixture
async def shop(new_shop: CustomerShop) -> CustomerShop:
    """A shop that is in step."""
    await new_shop.settle_down()
    return new_shop


# ── What is pushed ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_first_sync_pushes_everything(new_shop: CustomerShop) -> None:
    """Every mapped customer gets total and tier tag, at most 25 metafields in a call, each recorded with its reason."""
    shop = new_shop
    job = await shop.sync()
    assert (job.updated, job.skipped, job.failed) == (PAIRS, 0, 0)
    shop.check_right()
    shop.check_once()
    assert set(await shop.results()) == {"applied"}
    by_call = Counter(push["call_key"] for push in await shop.pushes() if push["kind"] == "metafield")
    assert sorted(by_call.values()) == [10, 25, 25]
    customer, nhanh_id = shop.pairs[7]
    total, tags = await shop.pushes(customer)
    assert (total["name"], total["old_value"], total["new_value"]) == (TOTAL, None, "3500000")
    assert (tags["old_value"], tags["new_value"]) == (None, "SILVER")
    assert total["reason"] == f"customer {nhanh_id} of Nhanh.vn has spent 3500000: SILVER"
    assert total["job_id"] == job.id


async def test_nothing_changed_writes_nothing(shop: CustomerShop) -> None:
    """A second sync makes no call but for the currency, before and after a pull of what the first one has moved."""
    calls = shop.shopify.requests.calls
    job = await shop.sync()
    assert (job.updated, job.skipped) == (0, PAIRS)
    assert shop.shopify.requests.calls == calls + 1  # for the shop's currency
    await shop.workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS)
    assert (await shop.sync()).skipped == PAIRS
    await shop.workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS, full=True)
    assert (await shop.sync()).skipped == PAIRS
    assert shop.shopify.writes == []
    assert await shop.pushes() == []


async def test_only_what_differs_is_pushed(shop: CustomerShop) -> None:
    """From the least change on, or where the tier changes; a small change is left alone."""
    small, enough, tier, worse = (shop.pairs[place][0] for place in (1, 2, 5, 6))
    shop.spend(1, 500_999)
    shop.spend(2, 1_001_000)
    shop.spend(5, "3000000.4")
    shop.spend(5, 2_999_500)  # from 2,500,000
    shop.spend(6, 2_999_999)  # from 3,000,000: SILVER no more
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.skipped) == (3, PAIRS - 3)
    assert [shop.total(each) for each in (small, enough, tier, worse)] == ["500000", "1001000", "2999500", "2999999"]
    assert [write.subject for write in shop.effects if write.subject[0] == "tags"] == [("tags", worse.id)] * 2
    assert worse.tags.count("MEMBER") == 1
    assert "SILVER" not in worse.tags


async def test_other_tags_are_never_touched(shop: CustomerShop) -> None:
    """A rise in tier exchanges the tier's tag, whatever its case, and nothing else."""
    customer = shop.pairs[6][0]
    shop.shopify.change_customer(customer.id, tags=["silver", "Gold digger", "VIP"])
    shop.spend(6, 6_000_000)
    await shop.pull()
    await shop.sync()
    assert sorted(customer.tags) == ["GOLD", "Gold digger", "VIP"]
    tags = (await shop.pushes(customer))[-1]
    assert (tags["kind"], tags["old_value"], tags["new_value"]) == ("tags", "silver", "GOLD")


async def test_tier_goes_into_a_metafield(new_shop: CustomerShop) -> None:
    """With a metafield for the tier, a customer's two go in one call of at most 25; tags can be left out."""
    shop = new_shop
    shop.configure(tier=TIER, tier_tags=False)
    tags = [list(customer.tags) for customer, _ in shop.pairs]
    job = await shop.sync()
    assert job.updated == PAIRS
    assert [customer.tags for customer, _ in shop.pairs] == tags
    assert shop.pairs[20][0].metafields["custom", "tier"].value == "PLATINUM"
    by_call = Counter(push["call_key"] for push in await shop.pushes())
    assert sorted(by_call.values()) == [24] * 5
    assert (await shop.sync()).skipped == PAIRS


async def test_customer_without_a_tier(shop: CustomerShop) -> None:
    """Who reaches no tier any more loses the tag; the metafield of the tier stays as it is."""
    shop.configure(tier=TIER)
    await shop.sync()
    shop.configure(tier=TIER, tiers=[{"name": "SILVER", "from": 3_000_000}, {"name": "MEMBER", "from": 30_000_000}])
    customer = shop.pairs[7][0]
    shop.spend(7, 10)
    await shop.pull()
    await shop.sync()
    assert customer.metafields["custom", "tier"].value == "SILVER"
    assert not {"SILVER", "MEMBER"} & set(customer.tags)
    assert shop.total(customer) == "10"
    assert (await shop.sync()).updated == 0


async def test_some_customers_take_no_part(shop: CustomerShop) -> None:
    """Without a total at Nhanh a customer is skipped; deleted customers and retired mappings don't even count."""
    for place in range(4):
        shop.spend(place, 90_000_000)
    await shop.pull()
    (unknown, first), (_, second), (third, _), (fourth, _) = shop.pairs[:4]
    await shop.execute("UPDATE dongbo.nhanh_customers SET total_amount = NULL WHERE id = $1", first)
    await shop.execute("UPDATE dongbo.nhanh_customers SET deleted_at = now() WHERE id = $1", second)
    await shop.execute("UPDATE dongbo.shopify_customers SET deleted_at = now() WHERE id = $1", third.id)
    await shop.execute("UPDATE dongbo.customer_mappings SET retired_at = now() WHERE shopify_id = $1", fourth.id)
    job = await shop.workshop.completed(JobType.SYNC_CUSTOMERS)
    check_counters(job)
    assert (job.total, job.updated, job.skipped) == (PAIRS - 3, 0, PAIRS - 3)
    assert shop.shopify.writes == []
    assert shop.total(unknown) == "0"


async def test_what_was_not_read_yet_is_read_first(shop: CustomerShop) -> None:
    """Customers whose metafields the mirror does not know are read, and pushed only where they differ."""
    shop.spend(3, 90_000_000)
    await shop.pull()
    await shop.execute("UPDATE dongbo.shopify_customers SET metafields = NULL, digest = ''")
    await shop.execute("UPDATE dongbo.shopify_customers SET metafields = '{}' WHERE id % 65536 = 0")
    job = await shop.sync()
    assert (job.updated, job.skipped) == (1, PAIRS - 1)
    assert set(await shop.results()) == {"applied"}
    calls = shop.shopify.requests.calls
    await shop.sync()
    assert shop.shopify.requests.calls == calls + 1  # for the shop's currency


# ── Changed behind the daemon's back ────────────────────────────────────────────────────────────────────────────────


async def test_stale_value_is_read_again_and_set(shop: CustomerShop) -> None:
    """A total that somebody else changed meanwhile is read again and set, and the others of its call with it."""
    for place in range(10):
        shop.spend(place, 600_000 * place + 5_000)
    await shop.pull()
    customer = shop.pairs[4][0]
    shop.shopify.change_metafield(customer.id, "custom", "total_spent", "77", "number_integer")
    job = await shop.sync()
    shop.check_right()
    assert (job.updated, job.failed) == (10, 0)
    assert [(push["result"], push["detail"]) for push in await shop.pushes(customer)] == [
        ("stale", "Shopify has 77"),
        ("applied", None),
    ]
    assert (await shop.results(shop.pairs[2][0]))[:2] == ["refused", "applied"]
    shop.check_once()


async def test_stale_value_that_is_right_now_is_skipped(shop: CustomerShop) -> None:
    """What somebody else has set to the right value meanwhile needs no write."""
    customer = shop.pairs[4][0]
    shop.spend(4, 2_100_000)
    await shop.pull()
    shop.shopify.change_metafield(customer.id, "custom", "total_spent", "2100000", "number_integer")
    job = await shop.sync()
    assert (job.updated, job.skipped) == (0, PAIRS)
    assert await shop.results() == ["stale"]
    assert shop.shopify.writes == []
    assert (await shop.sync()).updated == 0
    assert await shop.results() == ["stale"]


async def test_restless_value_is_a_failed_row(shop: CustomerShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that changes each time before it is set is given up, and the others are set."""
    for place in range(5):
        shop.spend(place, 2_100_000 + place)
    await shop.pull()
    restless = shop.pairs[2][0]

    def change(call: int) -> None:
        shop.shopify.change_metafield(restless.id, "custom", "total_spent", str(call), "number_integer")

    before_each_call(monkeypatch, "set_metafields", change)
    job = await shop.sync()
    assert (job.updated, job.failed) == (4, 1)
    reasons = await shop.reasons(job)
    assert list(reasons) == [str(restless.id)]
    assert "somebody else changed its value before each of 5 attempts" in reasons[str(restless.id)]
    assert await shop.results(restless) == ["stale"] * 5


async def test_customer_who_is_gone_is_skipped(shop: CustomerShop) -> None:
    """Who was deleted at Shopify since the last pull is marked so, and the others of the call are set."""
    for place in range(5):
        shop.spend(place, 3_500_000 + place)
    await shop.pull()
    gone, last = shop.pairs[2][0], shop.pairs[4][0]
    shop.shopify.delete_customer(gone.id)
    shop.shopify.change_customer(last.id, tags=["VIP"])
    job = await shop.sync()
    assert (job.updated, job.skipped, job.failed) == (4, PAIRS - 4, 0)
    shop.check_right()
    assert await shop.workshop.value(
        "SELECT deleted_at IS NOT NULL FROM dongbo.shopify_customers WHERE id = $1", gone.id
    )
    assert await shop.results(gone) == ["refused"]


# ── Refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_refused_value_fails_alone(shop: CustomerShop) -> None:
    """A total that Shopify does not take is a dead letter; its customer's tag and the others of the call are set."""
    for place in range(30):
        shop.spend(place, 100_000_000 + place)
    await shop.pull()
    odd = shop.pairs[5][0]
    # Within numeric(20, 4), and beyond Shopify's number_integer.
    await shop.execute(
        "UPDATE dongbo.nhanh_customers SET total_amount = 9007199254740992 WHERE id = $1", shop.pairs[5][1]
    )
    job = await shop.sync()
    assert (job.updated, job.failed) == (29, 1)
    reasons = await shop.reasons(job)
    assert list(reasons) == [str(odd.id)]
    assert "custom.total_spent: Value must be an integer" in reasons[str(odd.id)]
    assert "BLACK_DIAMOND" in odd.tags
    assert (await shop.results(odd)) == ["refused", "applied"]
    assert {shop.total(shop.pairs[place][0]) for place in (4, 6)} == {"100000004", "100000006"}
    shop.check_once()


async def test_refused_tags_fail_alone(shop: CustomerShop) -> None:
    """A customer with as many tags as Shopify allows is a dead letter; the total is set nevertheless."""
    shop.configure(tiers=[{"name": "NEW", "from": 0}])
    full = shop.pairs[5][0]
    shop.shopify.change_customer(full.id, tags=[f"tag {number:03}" for number in range(250)])
    shop.spend(5, 7_000_000)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.failed) == (PAIRS - 1, 1)
    assert "tags: Tags can't exceed 250" in (await shop.reasons(job))[str(full.id)]
    assert await shop.results(full) == ["applied", "refused"]
    assert shop.total(full) == "7000000"


# ── Faults and interruptions ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["reset", "truncated", "cut_off", "error_500", "rate_limited"])
@pytest.mark.parametrize("method", ["set_metafields", "add_tags", "remove_tags"])
async def test_fault_on_a_write_writes_once(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch, fault: str, method: str
) -> None:
    """Whatever becomes of a call or its answer, each value is set exactly once."""
    for place in range(10):
        shop.spend(place, 50_000_000 + place)
    await shop.pull()

    def fail(call: int) -> None:
        if call == 1:
            shop.workshop.sandbox.faults.next(fault, path="graphql.json")

    before_each_call(monkeypatch, method, fail)
    job = await shop.sync()
    assert (job.updated, job.failed) == (10, 0)
    shop.check_right()
    shop.check_once()
    assert await shop.results() == ["applied"] * 20


@pytest.mark.parametrize("method", ["set_metafields", "add_tags", "remove_tags"])
@pytest.mark.parametrize("call", [1, 2])
async def test_outcome_that_was_lost_is_counted_once(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch, method: str, call: int
) -> None:
    """A run that ends between a call and its outcome is settled by the next; nobody is counted twice or missed."""
    for place in range(40):
        shop.spend(place, 50_000_000 + place)
    await shop.pull()
    in_tier = sum("DIAMOND" in customer.tags for customer, _ in shop.pairs)

    def lose(number: int) -> None:
        if number == call:
            raise LOST

    after_each_call(monkeypatch, method, lose)
    job = await shop.sync()
    assert (job.updated, job.failed) == (40, 0)
    shop.check_right()
    shop.check_once()
    assert in_tier == 20
    details = [push["detail"] for push in await shop.pushes() if push["result"] == "applied"]
    assert len(details) >= 40
    results = Counter(await shop.results())
    assert results["intended"] == 0
    match method:
        case "set_metafields":
            assert results == {"applied": 80}
        case "add_tags":  # both tags are there: neither the old state nor the new one
            all_details = [push["detail"] for push in await shop.pushes() if push["result"] == "unknown"]
            assert all_details.count("interrupted; Shopify has another value by now") == 1
        case "remove_tags":
            assert "interrupted; Shopify has the new value" in details


@pytest.mark.parametrize("method", ["set_metafields", "add_tags"])
async def test_call_that_never_came_through_is_made_again(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A push that Shopify has not seen is settled as such, and made again."""
    shop.spend(4, 50_000_000)
    await shop.pull()

    def fail(number: int) -> None:
        if number == 1:
            raise LOST

    before_each_call(monkeypatch, method, fail)
    job = await shop.sync()
    assert (job.updated, job.attempt) == (1, 1)
    shop.check_right()
    shop.check_once()
    unknown = [push for push in await shop.pushes() if push["result"] == "unknown"]
    assert [push["detail"] for push in unknown] == ["interrupted, and not seen at Shopify"]


async def test_interrupted_push_with_a_foreign_value_is_unknown(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Shopify has neither the old nor the new value, nobody can say what became of the push; the value is set."""
    customer = shop.pairs[4][0]
    shop.spend(4, 2_200_000)
    await shop.pull()

    def lose(number: int) -> None:
        if number == 1:
            shop.shopify.change_metafield(customer.id, "custom", "total_spent", "3", "number_integer")
            raise LOST

    after_each_call(monkeypatch, "set_metafields", lose)
    await shop.sync()
    shop.check_right()
    assert await shop.results() == ["unknown", "applied"]


async def test_lost_outcome_of_another_job_is_settled(shop: CustomerShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cancelled job left open is settled by the next one, which counts it as skipped: it was pushed before."""
    shop.spend(4, 2_200_000)
    await shop.pull()

    def lose(_: int) -> None:
        raise LOST

    with monkeypatch.context() as patch:
        after_each_call(patch, "set_metafields", lose)
        job = await shop.workshop.submit(JobType.SYNC_CUSTOMERS)
        await shop.workshop.wait(job.id, lambda job: job.error is not None)
        await shop.workshop.parts.jobs.cancel(job.id)
        await shop.workshop.wait(job.id)
    assert await shop.results() == ["intended"]
    again = await shop.sync()
    assert (again.updated, again.skipped) == (0, PAIRS)
    assert await shop.results() == ["applied"]
    shop.check_right()


async def test_cancelled_sync_goes_on_from_its_checkpoint(shop: CustomerShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop is obeyed between batches, and a retry counts every customer once."""
    for place in range(PAIRS):
        shop.spend(place, 50_000_000 + place)
    await shop.pull()

    async def cancel() -> None:
        for job in (await shop.workshop.parts.jobs.list_jobs(JobFilters(type=JobType.SYNC_CUSTOMERS), limit=1)).jobs:
            await shop.workshop.parts.jobs.cancel(job.id)

    before_each_call(monkeypatch, "set_metafields", lambda call: cancel() if call == 2 else None)
    job = await shop.workshop.run(JobType.SYNC_CUSTOMERS)
    assert job.status is JobStatus.CANCELLED
    assert (job.updated, job.processed) == (50, 50)
    assert set(await shop.results()) == {"applied"}
    again = await shop.workshop.wait((await shop.workshop.parts.jobs.retry(job.id)).id)
    assert again.status is JobStatus.COMPLETED
    check_counters(again)
    assert again.updated == PAIRS
    shop.check_right()
    shop.check_once()


async def test_everything_at_once(new_shop: CustomerShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under faults, lost runs and changes from elsewhere, Shopify comes to say what Nhanh knows, and nothing is written
    twice."""
    shop = new_shop
    faults = shop.workshop.sandbox.faults
    faults.reset, faults.truncated, faults.cut_off, faults.error_500 = 0.06, 0.06, 0.06, 0.06
    elsewhere = shop.pairs[30][0]

    def disturb(number: int) -> None:
        if number == 2:
            shop.shopify.change_metafield(elsewhere.id, "custom", "total_spent", "1", "number_integer")
        if number == 3:
            raise LOST

    after_each_call(monkeypatch, "set_metafields", disturb)
    after_each_call(monkeypatch, "add_tags", lambda number: disturb(3) if number == 31 else None)
    job = await shop.sync()
    assert (job.updated, job.failed) == (PAIRS, 0)
    shop.check_once(besides=elsewhere)  # which was changed after it was set
    assert "intended" not in await shop.results()
    faults.reset = faults.truncated = faults.cut_off = faults.error_500 = 0.0
    await shop.pull()
    await shop.sync()
    shop.check_right()
    assert (await shop.sync()).updated == 0


async def test_run_that_was_taken_over_writes_nothing(shop: CustomerShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has lost its job changes nothing any more, not even by the call that it had begun to prepare."""
    for place in range(PAIRS):
        shop.spend(place, 50_000_000 + place)
    await shop.pull()
    effects = shop.effects
    taken_over = asyncio.Event()

    async def take_over(call: int) -> None:
        if call == 1:
            await shop.execute(
                "UPDATE dongbo.background_jobs SET run_token = gen_random_uuid() WHERE type = 'SYNC_CUSTOMERS' "
                "AND status = 'RUNNING'"
            )
            taken_over.set()

    before_each_call(monkeypatch, "set_metafields", lambda call: take_over(call))
    job = await shop.workshop.submit(JobType.SYNC_CUSTOMERS)
    await asyncio.wait_for(taken_over.wait(), 20)
    async with asyncio.timeout(20):
        while job.id in shop.workshop.parts.runner.active:
            await asyncio.sleep(0.01)
    assert shop.effects == effects
    assert set(await shop.results()) == {"intended"}
    assert await shop.workshop.value("SELECT processed FROM dongbo.background_jobs WHERE id = $1", job.id) == 0


# ── Only looking ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_dry_run_only_says_what_it_would_do(new_shop: CustomerShop) -> None:
    """Figures and examples; of Shopify it asks what decides whether it could do it at all."""
    shop = new_shop
    customer, nhanh_id = shop.pairs[1]
    await shop.execute("UPDATE dongbo.nhanh_customers SET total_amount = NULL WHERE id = $1", shop.pairs[0][1])
    await shop.execute("UPDATE dongbo.shopify_customers SET metafields = NULL WHERE id = $1", shop.pairs[2][0].id)
    calls = shop.shopify.requests.calls
    job = await shop.sync(dry_run=True)
    assert (job.updated, job.skipped) == (0, PAIRS)
    assert shop.shopify.requests.calls == calls + 2  # for the shop's currency and its definitions
    assert await shop.pushes() == []
    found = job.metadata
    assert found["tiers"] == {"MEMBER": 5, "SILVER": 6, "GOLD": 8, "PLATINUM": 20, "DIAMOND": 20}
    assert found["would_change"] == {TOTAL: PAIRS - 2, "tags": PAIRS - 2}
    assert (found["without_total"], found["metafields_not_read"]) == (1, 1)
    assert len(found["sample"]) == 50
    assert found["sample"][0] == {
        "shopify_id": customer.id,
        "nhanh_id": nhanh_id,
        "tier": "MEMBER",
        "metafields": {TOTAL: [None, "500000"]},
        "tags": [[], ["MEMBER"]],
    }


async def test_requests_are_checked(shop: CustomerShop) -> None:
    """Other parameters, and stores without the settings, are refused with what to do."""
    for params, said in (
        ({"full": True}, "dry_run"),
        ({"dry_run": 1}, "dry_run"),
        ({"retry_of": "x"}, "must be a job's id"),
    ):
        with pytest.raises(InvalidJobRequest, match=said):
            await shop.workshop.submit(JobType.SYNC_CUSTOMERS, **params)
    registry = shop.workshop.parts.registry
    stores = {name: replace(store, customer_sync_settings=None) for name, store in registry.stores.items()}
    shop.workshop.parts.use_stores(stores, registry.policy)
    with pytest.raises(InvalidJobRequest, match=r"stores\.main\.customer_sync"):
        await shop.workshop.submit(JobType.SYNC_CUSTOMERS)


# ── What the shop has laid down ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("number_decimal", "3500000.0"),
        ("number_integer", "3500000"),
        ("single_line_text_field", "3500000"),
        ("money", '{"amount":"3500000","currency_code":"VND"}'),
    ],
)
async def test_total_is_written_in_the_type_that_the_shop_has_laid_down(
    new_shop: CustomerShop, type_: str, value: str
) -> None:
    """Whatever type can hold the value gets it; pulled and synced again, nothing is left to write."""
    shop = new_shop
    shop.shopify.define_metafield(TOTAL, type_)
    job = await shop.sync()
    assert (job.updated, job.failed) == (PAIRS, 0)
    assert shop.total(shop.pairs[7][0]) == value
    await shop.pull()
    again = await shop.sync()
    assert (again.updated, again.skipped) == (0, PAIRS)
    shop.spend(7, 4_000_000)
    await shop.pull()
    assert (await shop.sync()).updated == 1


async def test_tier_goes_into_a_list(new_shop: CustomerShop) -> None:
    """A metafield for several texts gets one."""
    shop = new_shop
    shop.configure(tier="custom.tier")
    shop.shopify.define_metafield("custom.tier", "list.single_line_text_field")
    await shop.sync()
    assert shop.pairs[7][0].metafields["custom", "tier"].value == '["SILVER"]'
    await shop.pull()
    assert (await shop.sync()).updated == 0


@pytest.mark.parametrize(
    ("name", "type_", "choices", "says"),
    [
        (TOTAL, "boolean", (), "custom.total_spent as boolean"),
        (TOTAL, "rating", (), "number_decimal"),
        ("custom.tier", "number_integer", (), "custom.tier as number_integer"),
        ("custom.tier", "single_line_text_field", ("GOLD", "VIP"), "not MEMBER, SILVER"),
    ],
)
async def test_a_type_that_can_not_hold_the_value_is_told_before_anything_is_tried(
    new_shop: CustomerShop, name: str, type_: str, choices: tuple[str, ...], says: str
) -> None:
    """One sentence for the job, and not one for each customer; the shop is not written to."""
    shop = new_shop
    shop.configure(tier="custom.tier")
    shop.shopify.define_metafield(name, type_, choices=choices)
    job = await shop.workshop.run(JobType.SYNC_CUSTOMERS)
    assert job.status is JobStatus.FAILED
    assert says in str(job.error)
    assert (job.processed, shop.shopify.writes, await shop.pushes()) == (0, [], [])


@pytest.mark.parametrize(
    ("name", "type_", "rules", "says"),
    [
        (TOTAL, "number_integer", {"max": "0"}, "accepts no total in the customers' metafield custom.total_spent"),
        (TOTAL, "number_decimal", {"max": "-1.5"}, "accepts no total"),
        (TOTAL, "number_integer", {"min": "9007199254740000"}, "accepts no total"),
        (TOTAL, "single_line_text_field", {"regex": "^[A-Z]+$"}, "accepts no total"),
        (TOTAL, "single_line_text_field", {"min": "30"}, "accepts no total"),
        (
            "custom.tier",
            "single_line_text_field",
            {"max": "4"},
            "does not accept MEMBER, SILVER, PLATINUM, DIAMOND, BLACK_DIAMOND",
        ),
        ("custom.tier", "multi_line_text_field", {"min": "5"}, "does not accept GOLD in"),
        ("custom.tier", "list.single_line_text_field", {"regex": "^[MSG]"}, "not accept PLATINUM, DIAMOND, BLACK"),
    ],
    ids=str,
)
async def test_rules_that_no_value_fits_are_told_before_anything_is_tried(
    new_shop: CustomerShop, name: str, type_: str, rules: dict[str, str], says: str
) -> None:
    """They would have each customer fail; one sentence says what to mend."""
    shop = new_shop
    shop.configure(tier="custom.tier")
    shop.shopify.define_metafield(name, type_, **rules)
    job = await shop.workshop.run(JobType.SYNC_CUSTOMERS)
    assert job.status is JobStatus.FAILED
    assert says in str(job.error)
    assert (job.processed, shop.shopify.writes, await shop.pushes()) == (0, [], [])


@pytest.mark.parametrize(
    ("type_", "rules"),
    [
        ("number_integer", {"min": "0", "max": "60000000"}),
        ("number_decimal", {"max": "60000000.5", "max_precision": "2"}),
        ("single_line_text_field", {"regex": "^[0-6]"}),
    ],
    ids=str,
)
async def test_only_those_whose_total_a_rule_leaves_no_room_for_fail(
    shop: CustomerShop, type_: str, rules: dict[str, str]
) -> None:
    """Each with Shopify's own words as a dead letter; all others get theirs in the same run."""
    for place, amount in enumerate((50_000_001, 90_000_000, 60_000_000)):
        shop.spend(place, amount)
    await shop.pull()
    shop.shopify.define_metafield(TOTAL, type_, **rules)
    job = await shop.workshop.completed(JobType.SYNC_CUSTOMERS)
    assert (job.updated, job.failed) == (2, 1)
    (failure,) = await shop.workshop.parts.jobs.list_failures(job.id)
    assert failure.source_id == str(shop.pairs[1][0].id)
    assert "Value " in failure.reason


@pytest.mark.parametrize("dry_run", [False, True])
async def test_no_tag_is_written_before_that_is_told(
    new_shop: CustomerShop, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    """Though the metafield is wanted only by a customer of a later batch; a dry run says it, too."""
    shop = new_shop
    monkeypatch.setattr(sync_customers, "SCANNED_AT_ONCE", 10)
    await shop.sync()
    shop.shopify.change_customer(shop.pairs[0][0].id, tags=["theirs"])
    shop.spend(PAIRS - 1, 90_000_000)
    await shop.pull()
    shop.shopify.writes.clear()
    shop.shopify.define_metafield(TOTAL, "boolean")
    job = await shop.workshop.run(JobType.SYNC_CUSTOMERS, dry_run=dry_run)
    assert job.status is JobStatus.FAILED
    assert "custom.total_spent as boolean" in str(job.error)
    assert shop.shopify.writes == []


async def test_lost_answer_to_a_decimal_number_is_understood(
    new_shop: CustomerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shopify writes 7 as 7.0: the value that it has after a lost answer is still the one that was sent."""
    shop = new_shop
    shop.shopify.define_metafield(TOTAL, "number_decimal")
    faults = shop.workshop.sandbox.faults
    before_each_call(
        monkeypatch, "set_metafields", lambda call: faults.next("reset", path="graphql.json") if call == 1 else None
    )
    await shop.sync()
    assert faults.counts[Fault.RESET] == 1
    assert set(await shop.results()) == {"applied"}
    shop.check_once()


async def test_totals_in_dong_never_reach_a_shop_in_dollars(shop: CustomerShop) -> None:
    """A sync of totals in another currency than the shop's is refused with a sentence, and pushes nothing."""
    shop.spend(0, 90_000_000)
    await shop.pull()
    shop.shopify.profile.currency = "USD"
    await shop.execute("DELETE FROM dongbo.shopify_shops")
    shop.shopify.writes.clear()
    for dry_run in (True, False):
        job = await shop.workshop.run(JobType.SYNC_CUSTOMERS, dry_run=dry_run)
        assert job.status is JobStatus.FAILED
        assert "no totals were pushed" in str(job.error)
    assert shop.shopify.writes == []


async def test_value_that_shopify_does_not_name_fails_alone(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal without an index is looked for by halves: all other customers of the call get their totals."""
    for place in range(8):
        shop.spend(place, 70_000_000 + place)
    await shop.pull()
    victim, original = shop.pairs[5][0].id, ShopifyClient.set_metafields

    async def refusing(self: ShopifyClient, changes: Any, **keywords: Any) -> MetafieldOutcome:
        if any(change.customer_id == victim for change in changes):
            return MetafieldOutcome(errors=[WriteError(None, "INVALID_VALUE", "Value is not valid.")])
        return await original(self, changes, **keywords)

    monkeypatch.setattr(ShopifyClient, "set_metafields", refusing)
    job = await shop.workshop.completed(JobType.SYNC_CUSTOMERS)
    assert (job.updated, job.failed) == (7, 1)
    (failure,) = await shop.workshop.parts.jobs.list_failures(job.id)
    assert failure.source_id == str(victim)


def between_plan_and_note(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[Any]]) -> None:
    """Do something once, when the first batch has been planned and nothing of it is noted yet."""
    original, acts = CustomerPush.push, [act]

    async def acting(self: CustomerPush, batch: Sequence[Customer]) -> None:
        if acts:
            await acts.pop()()
        await original(self, batch)

    monkeypatch.setattr(CustomerPush, "push", acting)


async def test_total_that_a_newer_reading_has_overtaken_is_pushed_as_it_is_by_then(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may push to the same customers meanwhile: what is noted is what both sides say by then."""
    for place in range(3):
        shop.spend(place, 90_000_000)
    await shop.pull()

    async def spend_on() -> None:
        shop.spend(0, 95_000_000)
        await shop.workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
        await shop.execute(
            "UPDATE dongbo.customer_mappings SET retired_at = now(), retired_reason = 'x' WHERE shopify_id = $1",
            shop.pairs[1][0].id,
        )

    between_plan_and_note(monkeypatch, spend_on)
    job = await shop.workshop.completed(JobType.SYNC_CUSTOMERS)
    assert [shop.total(shop.pairs[place][0]) for place in (0, 2)] == ["95000000", "90000000"]
    assert job.updated == 2
    assert "90000000" not in {row["new_value"] for row in await shop.pushes(shop.pairs[0][0])}
    assert await shop.pushes(shop.pairs[1][0]) == []


async def test_customer_to_whom_another_job_does_not_finish_pushing_fails_alone(
    shop: CustomerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values are a dead letter; everybody else gets theirs, and the open push stays the other job's."""
    monkeypatch.setattr(recording, "PATIENCE", 0.1)
    for place in range(3):
        shop.spend(place, 90_000_000)
    await shop.pull()
    holder = await begin_beside(shop.workshop, JobType.SYNC_CUSTOMERS)
    busy = shop.pairs[1][0]
    number = await note_push(shop.workshop, holder.job.id, "tags", busy.id, None, None, None, "a", "b")
    job = await shop.sync()
    assert (job.updated, job.failed) == (2, 1)
    assert recording.BUSY.rstrip(".") in (await shop.reasons(job))[str(busy.id)]
    assert await shop.workshop.value("SELECT result FROM dongbo.pushes WHERE id = $1", number) == "intended"


async def test_paused_store_gets_no_totals(shop: CustomerShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is planned and counted, whenever the pause begins; afterwards a sync makes up for it."""
    monkeypatch.setattr(push, "MAX_CUSTOMERS", 2)
    for place in range(6):
        shop.spend(place, 90_000_000)
    await shop.pull()

    async def pause(call: int) -> None:
        if call == 2:
            await pause_store(shop.workshop.database, STORE, None, None)

    before_each_call(monkeypatch, "set_metafields", pause)
    job = await shop.sync()
    assert (job.updated, job.metadata["paused"]) == (2, True)  # the second call is not sent any more
    assert (await shop.sync()).updated == 0
    await resume_store(shop.workshop.database, STORE)
    assert (await shop.sync()).updated == 4
    shop.check_right()
    shop.check_once()
