"""What Shopify does not give whole changes nothing: it is asked for again, or a dead letter, and the others go on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from daemon.errors import InvalidTransition, SourceUnavailable
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.server import Sandbox, SandboxSettings
from daemon.sandbox.shopify.records import LocationRecord
from daemon.sandbox.shopify.values import gid
from daemon.sandbox.staging.answers import nothing
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.shape import PATIENCE, PageShape
from tests.support.workshop import Workshop

ALIVE = "SELECT count(*) FROM dongbo.shopify_variants WHERE deleted_at IS NULL"
LEVELS = "SELECT count(*) FROM dongbo.shopify_inventory_levels WHERE deleted_at IS NULL"
KNOWN_PHONES = "SELECT id, phone, email, address_phone FROM dongbo.shopify_customers ORDER BY id"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A product with more variants than come with it, and a few others."""
    return SandboxSettings(products=60, customers=60, big_product_variants=300, limits=False)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


def client_of(session: aiohttp.ClientSession, sandbox: Sandbox) -> ShopifyClient:
    return ShopifyClient(
        session,
        shop=sandbox.shopify.shop,
        credential=PermanentToken(sandbox.shopify.token),
        base_url=sandbox.shopify_url,
        limits=LimiterRegistry(None),
        backoff=Backoff(attempts=4, initial=0.01, maximum=0.02),
    )


async def reasons(workshop: Workshop, job: Job) -> dict[str | None, str]:
    return {letter.source_id: letter.reason for letter in await workshop.parts.jobs.list_failures(job.id)}


def without_page_info(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without a word on whether there is more."""
    for value in answer["data"].values():
        for connection in (value, *(value.values() if isinstance(value, dict) else ())):
            if isinstance(connection, dict):
                connection.pop("pageInfo", None)
    return answer


# ── Nested pages ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("times", [1, 9])
async def test_a_second_page_of_variants_that_answers_null(workshop: Workshop, times: int) -> None:
    """Once, it is asked for again; again and again, the product waits as a dead letter. No variant is lost."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    before = await workshop.value(ALIVE), await workshop.value(LEVELS)
    assert before[0] > 300
    workshop.sandbox.shopify.troubles.next_answer(nothing, operation="ProductVariants", times=times)
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (await workshop.value(ALIVE), await workshop.value(LEVELS)) == before
    assert job.metadata["deleted"] == 0
    assert job.failed == (0 if times == 1 else 1)
    assert all("not be read whole" in reason for reason in (await reasons(workshop, job)).values())


async def test_a_product_that_is_really_gone_is_found_later(workshop: Workshop) -> None:
    """One that is deleted between its pages is a dead letter now, and deleted by the next pull, which leaves nothing to
    retry."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    shop = workshop.sandbox.shopify
    big = max(shop.products.values(), key=lambda product: len(product.variants))

    def delete(answer: dict[str, Any]) -> dict[str, Any]:
        shop.delete_product(big.id)
        return nothing(answer)

    shop.troubles.next_answer(delete, operation="ProductVariants")
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert list(await reasons(workshop, job)) == [str(big.id)]
    assert (await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)).metadata["deleted"] == 1
    with pytest.raises(InvalidTransition, match="no failed rows left"):
        await workshop.parts.jobs.retry(job.id, failed_rows=True)


@pytest.mark.parametrize("operation", ["Products", "ProductVariants", "Customers"])
async def test_a_page_that_does_not_say_whether_there_is_more(workshop: Workshop, operation: str) -> None:
    """It is not taken for the last one: what it does not hold would be deleted."""
    kind = JobType.PULL_SHOPIFY_CUSTOMERS if operation == "Customers" else JobType.PULL_SHOPIFY_PRODUCTS
    await workshop.completed(kind)
    workshop.sandbox.shopify.troubles.next_answer(without_page_info, operation=operation)
    job = await workshop.completed(kind, full=True)
    assert (job.metadata["deleted"], job.updated, job.failed) == (0, 0, 0)
    assert job.metadata["retries"] == 1


async def test_more_levels_that_answer_null(workshop: Workshop, session: aiohttp.ClientSession) -> None:
    """Neither a pull nor a reading that decides about writes takes half of an item's levels for all of them."""
    shop, sandbox = workshop.sandbox.shopify, workshop.sandbox
    variant, first = next(iter(shop.variants.values())), next(iter(shop.locations.values()))
    for number in range(90_001, 90_006):
        shop.add_location(LocationRecord(number, f"Kho {number}", 0, "Huế", first.created_at, first.updated_at))
        shop.start_stocking(variant.id, number, 3)
    client = client_of(session, sandbox)
    whole = await client.stock_levels([variant.inventory_item_id], meter=CallMeter())
    assert len(whole.found[variant.inventory_item_id].levels) > 4
    shop.troubles.next_answer(nothing, operation="MoreLevels")
    assert await client.stock_levels([variant.inventory_item_id], meter=CallMeter()) == whole
    shop.troubles.next_answer(nothing, operation="MoreLevels", times=2)
    reading = await client.stock_levels([variant.inventory_item_id], meter=CallMeter())
    assert (reading.found, list(reading.unread)) == ({}, [variant.inventory_item_id])


@pytest.mark.parametrize("read", ["stock_levels", "present_prices", "product_versions"])
async def test_what_is_said_to_be_gone_once_is_asked_for_again(
    workshop: Workshop, session: aiohttp.ClientSession, read: str
) -> None:
    """A null among what is asked for by ids means deleted, and deletes: so it must be said twice."""
    client, shop = client_of(session, workshop.sandbox), workshop.sandbox.shopify
    chosen = list(shop.products if read == "product_versions" else shop.variants)[:3]
    if read == "stock_levels":
        chosen = [shop.variants[number].inventory_item_id for number in chosen]

    def gone(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"data": {"nodes": [None, *answer["data"]["nodes"][1:]]}}

    shop.troubles.next_answer(gone)
    found = await getattr(client, read)(chosen, meter=CallMeter())
    assert set(found.found) == set(chosen)


async def test_a_collection_that_answers_null_once_is_there(workshop: Workshop, session: aiohttp.ClientSession) -> None:
    """A sale must not do without a collection for the sake of one bad answer; nor with one that is gone."""
    client, shop = client_of(session, workshop.sandbox), workshop.sandbox.shopify
    shop.troubles.next_answer(nothing, operation="CollectionProducts")
    assert await client.collection_products("sale", meter=CallMeter()) is not None
    assert await client.collection_products("no-such", meter=CallMeter()) is None


# ── Errors in answers ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job_type", [JobType.PULL_SHOPIFY_PRODUCTS, JobType.PULL_SHOPIFY_CUSTOMERS])
async def test_pages_of_more_than_twenty_rows_fail(workshop: Workshop, job_type: JobType) -> None:
    """The page shrinks until it passes, and every row is stored."""
    workshop.sandbox.shopify.troubles.largest_page = 20
    job = await workshop.completed(job_type)
    assert job.failed == 0
    assert job.processed == job.total > 30
    assert job.metadata["retries"] < 12


async def test_locations_are_read_in_pages_that_pass(workshop: Workshop, session: aiohttp.ClientSession) -> None:
    """A sync begins with them: it must not fail over a page that is only too large, nor do without one of them."""
    client, shop = client_of(session, workshop.sandbox), workshop.sandbox.shopify
    meter = CallMeter()
    shop.troubles.largest_page = 20
    assert {place.id for place in await client.locations(meter=meter)} == set(shop.locations)
    assert meter.retries < 4
    shop.troubles.largest_page = None
    shop.troubles.broken[gid("Location", max(shop.locations))] = "name"
    with pytest.raises(SourceUnavailable):
        await client.locations(meter=CallMeter())


async def test_calls_side_by_side_on_which_shopify_fails_may_all_be_tried_again(
    workshop: Workshop, session: aiohttp.ClientSession
) -> None:
    """They share what is known of the size that passes. While Shopify is away one of them finds that the others have
    come down to the smallest one already: that is no refusal, which would end a job for good."""
    client, sandbox = client_of(session, workshop.sandbox), workshop.sandbox
    sandbox.faults.error_500 = 1.0
    some = sorted(sandbox.shopify.variants)[:20]
    reading = (client.present_prices(some, meter=CallMeter()) for _ in range(5))
    for answer in await asyncio.gather(*reading, return_exceptions=True):
        assert isinstance(answer, SourceUnavailable), repr(answer)


async def test_a_page_grows_again_when_the_trouble_is_over(workshop: Workshop, session: aiohttp.ClientSession) -> None:
    """One bad hour must not make all pulls slow for as long as the daemon runs."""
    shape = PageShape(200, variants=50)
    assert shape.shrink(for_good=False)
    assert shape.shrink(for_good=False)
    small = shape.rows
    for _ in range(PATIENCE):
        shape.went_well()
    assert small < shape.rows < 200
    for _ in range(PATIENCE):
        shape.went_well()
    assert (shape.rows, shape.variants) == (200, 50)
    assert shape.shrink(for_good=False)  # again: it takes longer now
    for _ in range(PATIENCE):
        shape.went_well()
    assert shape.rows < 200


async def test_one_row_that_can_not_be_had(workshop: Workshop) -> None:
    """One of sixty products has `variants: null` with an error: the others are stored, its own are not touched."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    before = await workshop.value(ALIVE)
    shop = workshop.sandbox.shopify
    lost, other = sorted(shop.products)[10], sorted(shop.products)[11]
    shop.touch_product(other)
    shop.troubles.broken[gid("Product", lost)] = "variants"
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (job.failed, job.updated, job.metadata["deleted"]) == (1, 1, 0)
    assert await workshop.value(ALIVE) == before
    (reason,) = (await reasons(workshop, job)).items()
    assert reason[0] == str(lost)
    assert "Looks like something went wrong on our end" in reason[1]
    shop.troubles.broken.clear()
    retried = await workshop.wait((await workshop.parts.jobs.retry(job.id, failed_rows=True)).id)
    assert (retried.skipped, retried.failed) == (1, 0)


async def test_a_row_that_fails_every_answer_it_is_in(workshop: Workshop) -> None:
    """Nothing but its id can be had: it is a dead letter, and the list goes on behind it."""
    shop = workshop.sandbox.shopify
    poison = sorted(shop.products)[30]
    shop.troubles.poisonous.add(gid("Product", poison))
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert list(await reasons(workshop, job)) == [str(poison)]
    assert job.processed == len(shop.products)
    retried = await workshop.wait((await workshop.parts.jobs.retry(job.id, failed_rows=True)).id)
    assert list(await reasons(workshop, retried)) == [str(poison)]


@pytest.mark.parametrize(
    "errors",
    [
        "Something went wrong",
        [{"message": "Something went wrong"}],
        ["Something went wrong"],
        {"message": "Something went wrong"},
        [{"message": None}],
        [{"message": "Something went wrong", "path": ["products"], "locations": [{"line": 2, "column": 3}]}],
    ],
)
async def test_an_error_without_a_code_is_tried_again(workshop: Workshop, errors: Any) -> None:
    """Whatever its form, once is no reason to fail."""
    workshop.sandbox.shopify.troubles.next_answer(lambda _: {"errors": errors}, operation="Products")
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert job.metadata["retries"] == 1


# ── Protected customer data ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("protected", "words"),
    [
        ({"defaultPhoneNumber", "defaultAddress.phone"}, ["phone number", "phone in the address"]),
        ({"defaultEmailAddress", "firstName", "defaultAddress"}, ["email address", "first name", "address"]),
        ({"displayName"}, ["name"]),
    ],
)
async def test_protected_customer_data_is_not_erased(workshop: Workshop, protected: set[str], words: list[str]) -> None:
    """What may be read is stored, what was known stays, and the job says what to ask for and where."""
    shop = workshop.sandbox.shopify
    await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS)
    known = await workshop.rows(KNOWN_PHONES)
    assert any(row["phone"] for row in known)
    shop.troubles.protected |= protected
    shop.change_customer(min(shop.customers), note="mới")
    for _ in range(2):
        job = await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS, full=True)
        assert job.failed == 0
        assert await workshop.rows(KNOWN_PHONES) == known
        (notice,) = job.metadata["notices"]
        assert "protected customer data" in notice
        assert "Protected customer data access" in notice
        assert all(word in notice for word in words)
    assert job.skipped == job.processed, "a second pull without the fields changes nothing"
    assert await workshop.value("SELECT count(*) FROM dongbo.shopify_customers WHERE note = 'mới'") == 1


async def test_customers_are_stored_without_what_is_protected(workshop: Workshop) -> None:
    """A first pull brings what may be read; when the app is approved, the next one brings the rest."""
    shop = workshop.sandbox.shopify
    shop.troubles.protected |= {"defaultPhoneNumber", "displayName"}
    job = await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS)
    assert (job.created, job.failed) == (len(shop.customers), 0)
    phones = "SELECT count(*) FROM dongbo.shopify_customers WHERE phone IS NOT NULL"
    assert await workshop.value(phones) == 0
    shop.troubles.protected.clear()
    later = await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS, full=True)
    assert "notices" not in later.metadata
    assert await workshop.value(phones) > 0


async def test_all_of_a_customer_is_protected(workshop: Workshop) -> None:
    """Where nothing of customers may be read, the sentence is about that, and not about a scope."""
    error = {
        "message": "This app is not approved to access the Customer object.",
        "path": ["customers"],
        "extensions": {"code": "ACCESS_DENIED"},
    }
    workshop.sandbox.shopify.troubles.next_answer(
        lambda _: {"data": None, "errors": [error]}, operation="Customers", times=9
    )
    job = await workshop.run(JobType.PULL_SHOPIFY_CUSTOMERS)
    assert job.status is JobStatus.FAILED
    assert "protected customer data" in str(job.error)
