"""Syncs of customers that somebody has named: read at both sides, matched, and pushed alone."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from daemon.config import CustomerSyncSettings
from daemon.errors import InvalidJobRequest, SourceUnavailable
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.nhanh.records import NhanhCustomerRecord
from daemon.sandbox.server import SandboxSettings
from daemon.sandbox.shopify.records import CustomerRecord
from daemon.tasks import sync_customers
from tests.support.synced_shop import after_each_call, before_each_call, check_counters
from tests.support.workshop import Workshop

LOST = SourceUnavailable("the answer was lost")
HOME, ABROAD = "0912345678", "+84912345678"
OTHER_HOME, OTHER_ABROAD = "0987654321", "+84987654321"
NOBODYS = "0911222333"


class People:
    """A shop whose customers are pulled; those that a test is about come later, and are not mirrored yet."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.nhanh = workshop.sandbox.nhanh
        self.shopify = workshop.sandbox.shopify

    def configure(self, **settings: object) -> None:
        """Sync by these settings."""
        made = CustomerSyncSettings.model_validate(settings)
        registry = self.workshop.parts.registry
        stores = {name: replace(store, customer_sync_settings=made) for name, store in registry.stores.items()}
        self.workshop.parts.use_stores(stores, registry.policy)

    def buyer(self, mobile: str, total: int) -> NhanhCustomerRecord:
        """A new customer of Nhanh.vn, who has spent so much."""
        some = self.nhanh.customers[min(self.nhanh.customers)]
        made = replace(some, id=max(self.nhanh.customers) + 1, mobile=mobile, total_amount=Decimal(total))
        self.nhanh.add_customer(made)
        self.nhanh.touch_customer(made.id)
        return self.nhanh.customers[made.id]

    def customer(self, phone: str) -> CustomerRecord:
        """A new customer of Shopify."""
        return self.shopify.register_customer("An", "Lê", email=None, phone=phone)

    async def sync(self, **params: Any) -> Job:
        """Run a sync, which must succeed, with counters that add up."""
        job = await self.workshop.completed(JobType.SYNC_CUSTOMERS, **params)
        check_counters(job)
        return job

    @staticmethod
    def total(customer: CustomerRecord) -> str | None:
        """What Shopify says that a customer has spent."""
        found = customer.metafields.get(("custom", "total_spent"))
        return None if found is None else found.value

    def touched(self) -> set[int]:
        """The customers that something was written of."""
        return {int(write.subject[1]) for write in self.shopify.writes}

    async def reasons(self, job: Job) -> dict[str | None, str]:
        """Why rows of a job have failed."""
        return {letter.source_id: letter.reason for letter in await self.workshop.parts.jobs.list_failures(job.id)}


def counted(job: Job) -> tuple[int, int, int]:
    """What became of the rows of a job."""
    return job.updated, job.skipped, job.failed


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """Few goods, some customers."""
    return SandboxSettings(products=5, customers=60, limits=False)


@pytest.fixture
async def people(workshop: Workshop) -> People:
    """A shop that is pulled and matched, and to which nothing has been pushed yet."""
    shop = People(workshop)
    shop.configure()
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS)
    await workshop.completed(JobType.MATCH_CUSTOMERS)
    return shop


# ── By phone number ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spelling", [HOME, "0912 345 678", "+84 912.345.678", "84912345678", "(+84) 0912-345-678"])
async def test_who_was_made_a_moment_ago_is_found_matched_and_pushed(people: People, spelling: str) -> None:
    """Whatever the spelling: nobody else is written, and a second sync writes nothing."""
    people.buyer("0912.345.678" if spelling == "84912345678" else HOME, 3_500_000)
    customer = people.customer(ABROAD)
    if spelling == "84912345678":  # which Nhanh.vn's filter does not find as it is written there
        await people.workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    job = await people.sync(customers=[spelling])
    assert counted(job) == (1, 0, 0)
    assert job.params == {"customers": [ABROAD]}
    assert people.total(customer) == "3500000"
    assert people.touched() == {customer.id}
    assert counted(await people.sync(customers=[spelling])) == (0, 1, 0)
    assert len(people.shopify.writes) == 2  # the total and the tag


async def test_what_both_sides_say_now_is_pushed(people: People) -> None:
    """A mapped customer is read again at both sides, and matched no more."""
    buyer, customer = people.buyer(HOME, 100), people.customer(ABROAD)
    await people.sync(customers=[HOME])
    people.nhanh.change_customer(buyer.id, total_amount=Decimal(9_000_000))
    people.shopify.change_metafield(customer.id, "custom", "total_spent", "7", "number_integer")
    job = await people.sync(customers=[HOME])
    assert counted(job) == (1, 0, 0)
    assert people.total(customer) == "9000000"
    pushed = await people.workshop.rows(
        "SELECT old_value FROM dongbo.pushes WHERE job_id = $1 AND name IS NOT NULL", job.id
    )
    assert [row["old_value"] for row in pushed] == ["7"]


async def test_who_was_made_anew_with_the_same_number_is_found(people: People) -> None:
    """The mirror knows somebody by the number who is gone: whoever has it now is meant, on either side."""
    buyer, customer = people.buyer(HOME, 100), people.customer(ABROAD)
    await people.sync(customers=[HOME])
    people.shopify.delete_customer(customer.id)
    people.nhanh.delete_customer(buyer.id)
    people.buyer(HOME, 3_500_000)
    again = people.customer(ABROAD)
    assert counted(await people.sync(customers=[HOME])) == (1, 0, 0)
    assert people.total(again) == "3500000"


async def test_who_is_matched_by_another_number_is_read_first(people: People) -> None:
    """A partner whom only matching has found is read as well: what the mirror said of them may be old."""
    buyer = people.buyer(OTHER_HOME, 100)
    await people.workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    people.nhanh.change_customer(buyer.id, total_amount=Decimal(9_000_000))
    customer = people.customer(OTHER_ABROAD)
    job = await people.sync(ids=[customer.id])
    assert counted(job) == (1, 0, 0)
    assert people.total(customer) == "9000000"


async def test_a_number_that_is_nobodys_is_a_dead_letter(people: People) -> None:
    """It fails by itself, and says so; the others are pushed."""
    people.buyer(HOME, 3_500_000)
    customer = people.customer(ABROAD)
    job = await people.sync(customers=[NOBODYS, HOME])
    assert counted(job) == (1, 0, 1)
    assert people.total(customer) == "3500000"
    assert await people.reasons(job) == {
        "+84911222333": "Nobody at Nhanh.vn or Shopify has this phone number: is it the right one?"
    }


async def test_who_is_on_one_side_only_counts_nothing(people: People) -> None:
    """Most customers of a shop have no counterpart: that is no failure, and nothing is written."""
    people.customer(ABROAD)
    people.buyer(OTHER_HOME, 5)
    job = await people.sync(customers=[HOME, OTHER_HOME])
    assert counted(job) == (0, 0, 0)
    assert job.metadata["unmapped"] == 1
    assert people.shopify.writes == []


async def test_two_who_share_a_number_are_left_to_a_person(people: People) -> None:
    """What matching can't decide, a sync of one does not decide either; the conflict is there to be seen."""
    for total in (1_000_000, 2_000_000):
        people.buyer(HOME, total)
    customer = people.customer(ABROAD)
    await people.workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    job = await people.sync(customers=[HOME])
    assert counted(job) == (0, 0, 0)
    assert people.total(customer) is None
    conflicts = await people.workshop.rows("SELECT shopify_ids FROM dongbo.match_conflicts WHERE key = $1", ABROAD)
    assert [row["shopify_ids"] for row in conflicts] == [[customer.id]]


async def test_a_number_in_the_second_field_finds_its_owner_at_nhanh(people: People) -> None:
    """Who is named by id is matched by any of their numbers, even where its owner is not mirrored yet."""
    people.buyer(OTHER_HOME, 3_500_000)
    customer = people.customer(OTHER_ABROAD)
    job = await people.sync(ids=[customer.id])
    assert counted(job) == (1, 0, 0)
    assert people.total(customer) == "3500000"


# ── By id, only looking, and again ──────────────────────────────────────────────────────────────────────────────────


async def test_an_id_that_shopify_no_longer_has_is_a_dead_letter(people: People) -> None:
    """The mirror learns of it at once, and the others are pushed."""
    people.buyer(HOME, 3_500_000)
    people.buyer(OTHER_HOME, 1_000_000)
    gone, customer = people.customer(ABROAD), people.customer(OTHER_ABROAD)
    await people.sync(customers=[HOME])
    people.shopify.delete_customer(gone.id)
    job = await people.sync(ids=[gone.id, customer.id, 999_999_999])
    assert counted(job) == (1, 0, 2)
    assert people.total(customer) == "1000000"
    assert set(await people.reasons(job)) == {str(gone.id), "999999999"}
    is_deleted = "SELECT deleted_at IS NOT NULL FROM dongbo.shopify_customers WHERE id = $1"
    assert await people.workshop.value(is_deleted, gone.id)


async def test_a_dry_run_reads_and_says_what_it_would_do(people: People) -> None:
    """Who is mapped is planned; nobody is matched, and nothing is written."""
    buyer, customer = people.buyer(HOME, 100), people.customer(ABROAD)
    await people.sync(customers=[HOME])
    writes = len(people.shopify.writes)
    people.nhanh.change_customer(buyer.id, total_amount=Decimal(9_000_000))
    people.buyer(OTHER_HOME, 100)
    people.customer(OTHER_ABROAD)
    job = await people.sync(customers=[HOME, OTHER_HOME], dry_run=True)
    assert counted(job) == (0, 1, 0)
    assert [each["shopify_id"] for each in job.metadata["sample"]] == [customer.id]
    assert job.metadata["unmapped"] == 1
    assert len(people.shopify.writes) == writes


async def test_what_failed_is_tried_again_alone(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry takes up the dead letters of a sync, reads these customers, and pushes them."""
    people.buyer(HOME, 3_500_000)
    people.buyer(OTHER_HOME, 3_500_000)
    restless, other = people.customer(ABROAD), people.customer(OTHER_ABROAD)
    writing = True

    def change(call: int) -> None:
        if writing:
            people.shopify.change_metafield(restless.id, "custom", "total_spent", str(call), "number_integer")

    before_each_call(monkeypatch, "set_metafields", change)
    job = await people.sync(customers=[HOME, OTHER_HOME, NOBODYS])
    assert counted(job) == (1, 0, 2)
    writing = False
    people.shopify.writes.clear()
    retrying = await people.workshop.parts.jobs.retry(job.id, failed_rows=True)
    retried = await people.workshop.wait(retrying.id)
    assert retried.status is JobStatus.COMPLETED, retried.error
    check_counters(retried)
    assert counted(retried) == (1, 0, 1)
    assert people.total(restless) == "3500000"
    assert people.touched() == {restless.id}
    assert other.id not in people.touched()
    left = await people.workshop.rows("SELECT job_id, source_id FROM dongbo.job_failures WHERE resolved_at IS NULL")
    assert [(row["job_id"], row["source_id"]) for row in left] == [(retried.id, "+84911222333")]


# ── Interrupted, and beside others ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["customers_by_phones", "set_metafields", "add_tags"])
async def test_a_run_that_ends_anywhere_is_counted_once(
    people: People, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Between any call and what is noted of it: the next run goes on, nobody is counted or written twice."""
    people.buyer(HOME, 3_500_000)
    people.buyer(OTHER_HOME, 4_500_000)
    one, other = people.customer(ABROAD), people.customer(OTHER_ABROAD)

    def lose(number: int) -> None:
        if number == 1:
            raise LOST

    after_each_call(monkeypatch, method, lose)
    job = await people.sync(customers=[HOME, OTHER_HOME, NOBODYS])
    assert counted(job) == (2, 0, 1)
    assert (people.total(one), people.total(other)) == ("3500000", "4500000")
    effects = [write for write in people.shopify.writes if write.has_effect]
    assert len(effects) == 4
    assert len(await people.reasons(job)) == 1


async def test_a_run_that_ends_after_its_selection_pushes_just_those(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was meant is kept with the checkpoint, and what is nobody's is not counted again."""
    people.buyer(HOME, 3_500_000)
    customer = people.customer(ABROAD)
    push, attempts = sync_customers.push_customers, 0

    async def pushing(*arguments: Any, **keywords: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise LOST
        await push(*arguments, **keywords)

    monkeypatch.setattr(sync_customers, "push_customers", pushing)
    job = await people.sync(customers=[HOME, NOBODYS])
    assert attempts == 2
    assert counted(job) == (1, 0, 1)
    assert people.total(customer) == "3500000"


async def test_one_customer_does_not_wait_for_a_sync_of_all(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run side by side, each in its lane, and Shopify has the newest value in the end."""
    buyer, customer = people.buyer(HOME, 100), people.customer(ABROAD)
    await people.sync(customers=[HOME])
    people.nhanh.change_customer(buyer.id, total_amount=Decimal(5_000_000))
    await people.workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def hold(call: int) -> None:
        if call == 1:
            waiting.set()
            await go_on.wait()

    before_each_call(monkeypatch, "shop", hold)
    whole = await people.workshop.submit(JobType.SYNC_CUSTOMERS)
    await waiting.wait()
    people.nhanh.change_customer(buyer.id, total_amount=Decimal(9_000_000))
    assert counted(await people.sync(customers=[HOME])) == (1, 0, 0)
    go_on.set()
    ended = await people.workshop.wait(whole.id)
    assert ended.status is JobStatus.COMPLETED, ended.error
    assert people.total(customer) == "9000000"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"customers": ["none"]}, "not a phone number"),
        ({"customers": [HOME] * 101}, "1 to 100"),
        ({"customers": [HOME], "ids": [1]}, "one says which"),
        ({"ids": ["x"]}, "list of ids"),
    ],
)
async def test_requests_are_checked(people: People, params: dict[str, Any], said: str) -> None:
    """Each with a sentence that says what is wrong."""
    with pytest.raises(InvalidJobRequest, match=said):
        await people.workshop.submit(JobType.SYNC_CUSTOMERS, **params)
