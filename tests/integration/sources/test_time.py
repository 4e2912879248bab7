"""Pulls go by the time of the source, and read whole only what has changed there."""

from dataclasses import replace
from typing import Any

import pytest

from daemon.config import CustomerSyncSettings, ProductSyncSettings
from daemon.errors import SourceRefused
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings
from daemon.sources.clock import SourceClock
from daemon.sources.shopify.endpoint import GraphqlEndpoint
from daemon.sources.shopify.operations import PRODUCTS, GraphqlOperation
from tests.support.workshop import STORE, Workshop

HOUR = 3600.0
DAY = 24 * HOUR

OFFSETS = (-20 * 60.0, 20 * 60.0, -3 * DAY, 3 * DAY)


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop without limits."""
    return SandboxSettings(products=40, customers=60, limits=False)


def set_clocks(workshop: Workshop, seconds: float) -> None:
    """Let both shops' clocks be ahead of ours by so much."""
    workshop.sandbox.shopify.clock_offset = workshop.sandbox.nhanh.clock_offset = seconds


def change(workshop: Workshop, job_type: JobType) -> None:
    """Change one row that pulls of this type read."""
    nhanh, shopify = workshop.sandbox.nhanh, workshop.sandbox.shopify
    match job_type:
        case JobType.PULL_NHANH_CUSTOMERS:
            nhanh.change_customer(sorted(nhanh.customers)[3], name="Đổi Tên")
        case JobType.PULL_NHANH_PRODUCTS:
            nhanh.change_product(sorted(nhanh.products)[3], name="Đổi tên")
        case JobType.PULL_NHANH_INVENTORY:
            product = next(product for product in nhanh.products.values() if product.stock)
            nhanh.change_stock(product.id, next(iter(product.stock)), 4711)
        case JobType.PULL_SHOPIFY_CUSTOMERS:
            shopify.change_customer(sorted(shopify.customers)[3], note="0912345678")
        case _:
            shopify.change_title(sorted(shopify.products)[3], "Đổi tên")


PULLS = [
    JobType.PULL_NHANH_CUSTOMERS,
    JobType.PULL_NHANH_PRODUCTS,
    JobType.PULL_NHANH_INVENTORY,
    JobType.PULL_SHOPIFY_CUSTOMERS,
    JobType.PULL_SHOPIFY_PRODUCTS,
]


@pytest.mark.parametrize("offset", OFFSETS)
async def test_the_sources_clock_is_apart_from_ours(workshop: Workshop, offset: float) -> None:
    """Case 2: pull twice, change a row, pull: the change is seen, however far the source's clock is from ours."""
    set_clocks(workshop, offset)
    for job_type in PULLS:
        await workshop.completed(job_type)
        await workshop.completed(job_type)
        change(workshop, job_type)
        job = await workshop.completed(job_type)
        assert (job.metadata["mode"], job.updated) == ("incremental", 1), job_type


async def test_only_the_times_of_the_rows_are_behind(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's `Date` is ours while Shopify dates its rows three days back: the newest row tells the time."""
    monkeypatch.setattr(SourceClock, "observe", lambda *_: None)
    set_clocks(workshop, -3 * DAY)
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    change(workshop, JobType.PULL_SHOPIFY_PRODUCTS)
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert (job.metadata["mode"], job.updated) == ("incremental", 1)


@pytest.mark.parametrize("job_type", PULLS)
async def test_the_sources_clock_is_set_back(workshop: Workshop, job_type: JobType) -> None:
    """A source whose clock was a day ahead and was set right is read whole once: its watermark is worth nothing."""
    set_clocks(workshop, DAY)
    await workshop.completed(job_type)
    change(workshop, job_type)
    await workshop.completed(job_type)
    set_clocks(workshop, 0.0)
    workshop.parts.registry.stores[STORE].nhanh.clock.observe(0.0, 0.0)
    full = await workshop.completed(job_type)
    assert full.metadata["mode"] == "full"
    change(workshop, job_type)
    assert (await workshop.completed(job_type)).metadata["mode"] == "incremental"


async def test_a_watermark_of_before_an_upgrade_stays_usable(workshop: Workshop) -> None:
    """A watermark in our time asks for a day more, once, by the source's clock: nothing is lost."""
    set_clocks(workshop, -20 * 60.0)
    for job_type in PULLS:
        await workshop.completed(job_type)
    await workshop.rows("UPDATE dongbo.watermarks SET source_complete_to = NULL, identity = NULL RETURNING 1")
    for job_type in PULLS:
        change(workshop, job_type)
        job = await workshop.completed(job_type)
        assert (job.metadata["mode"], job.updated) == ("incremental", 1), job_type
        stream = job_type.lower().removeprefix("pull_")
        assert await workshop.value("SELECT source_complete_to FROM dongbo.watermarks WHERE stream = $1", stream)


async def test_two_changes_within_a_second(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shopify tells times in seconds: a row that was read in the very second of its change is read again."""
    shop = workshop.sandbox.shopify
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    product = sorted(shop.products)[3]
    moment = shop.products[product].updated_at
    shop.change_title(product, "Lần một")
    moment = shop.products[product].updated_at
    first = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert first.updated == 1
    shop.products[product].title = "Lần hai"
    shop.products[product].updated_at = moment
    second = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert second.updated == 1
    assert await workshop.value("SELECT title FROM dongbo.shopify_products WHERE id = $1", product) == "Lần hai"


@pytest.mark.parametrize("job_type", [JobType.PULL_SHOPIFY_PRODUCTS, JobType.PULL_SHOPIFY_CUSTOMERS])
async def test_what_has_not_changed_is_not_read_whole(workshop: Workshop, job_type: JobType) -> None:
    """An incremental pull asks for ids and times first; what the mirror has at the same time counts as skipped."""
    shop = workshop.sandbox.shopify
    kind = "product" if job_type is JobType.PULL_SHOPIFY_PRODUCTS else "customer"
    rows = sorted(getattr(shop, f"{kind}s"))
    await workshop.completed(job_type)
    shop.clock_offset -= 60.0
    for number in rows[:20]:
        getattr(shop, f"touch_{kind}")(number)
    shop.clock_offset += 60.0
    await workshop.completed(job_type)
    for number in rows[:5]:
        getattr(shop, f"touch_{kind}")(number)
    whole = await whole_rows_read(workshop, job_type)
    assert (whole.updated, whole.failed) == (5, 0)
    assert whole.processed == whole.total == whole.updated + whole.skipped
    assert whole.checkpoint["rows"] == whole.processed
    assert whole.skipped >= 15


async def whole_rows_read(workshop: Workshop, job_type: JobType) -> Job:
    """Pull, and see that not more than the changed rows are asked for whole."""
    requests = workshop.sandbox.shopify.requests
    before = len(requests.last)
    job = await workshop.completed(job_type)
    whole = [r for r in list(requests.last)[before:] if r.operation in ("Products", "Customers")]
    assert [request.variables["first"] for request in whole] == [job.updated]
    return job


async def test_a_search_for_ids_that_finds_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Shopify's search does not find, or refuses to look for, is asked for one by one: no change is lost."""
    shop = workshop.sandbox.shopify
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)

    original = GraphqlEndpoint.shaped

    async def shaped(self: GraphqlEndpoint, operation: GraphqlOperation, *arguments: Any, **more: Any) -> Any:
        if operation is PRODUCTS:
            raise SourceRefused("The query is too long.")
        return await original(self, operation, *arguments, **more)

    monkeypatch.setattr(GraphqlEndpoint, "shaped", shaped)
    for number in sorted(shop.products)[:3]:
        shop.touch_product(number)
    assert (await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)).updated == 3


async def test_a_row_that_came_back_is_read_although_its_time_is_the_same(workshop: Workshop) -> None:
    """A product that is marked as deleted is not known whole, whatever its time of change."""
    shop = workshop.sandbox.shopify
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    product = max(shop.products.values(), key=lambda product: product.updated_at)
    await workshop.rows("UPDATE dongbo.shopify_products SET deleted_at = now() WHERE id = $1 RETURNING 1", product.id)
    assert (await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)).updated == 1


# ── Another shop ────────────────────────────────────────────────────────────────────────────────────────────────────


def name_another_shop(workshop: Workshop) -> None:
    """Let the configuration name another shop of Shopify's, which has other goods."""
    store, shop = workshop.parts.registry.stores[STORE], workshop.sandbox.shopify
    kept = sorted(shop.products)[-2:]
    for number in sorted(shop.products)[:-2]:
        shop.delete_product(number)
    shop.duplicate_product(kept[0])
    shop.profile = replace(shop.profile, domain="other.myshopify.com")
    store.shopify._identity = None
    workshop.parts.use_stores({STORE: store}, workshop.parts.registry.policy)


async def test_the_configuration_names_another_shop(workshop: Workshop) -> None:
    """Case 24: the next pull is full and says why, nothing of the other shop lingers, and nobody has to allow that."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    name_another_shop(workshop)
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert job.metadata["mode"] == "full"
    assert "names" in job.metadata["why_full"]
    assert job.metadata["deleted"] == 38
    assert await workshop.value("SELECT count(*) FROM dongbo.shopify_products WHERE deleted_at IS NULL") == 3
    again = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert (again.metadata["mode"], again.metadata["why_full"]) == ("incremental", None)


@pytest.mark.parametrize("job_type", [JobType.APPLY_SALE, JobType.REVERT_SALE, JobType.PREPARE_SALE])
async def test_sales_wait_for_the_pull_of_another_shop(workshop: Workshop, job_type: JobType) -> None:
    """Case 24: before that pull no sale is put on or taken back, and the refusal says what to do."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    name_another_shop(workshop)
    job = await workshop.run(job_type)
    assert job.status is JobStatus.FAILED
    assert "dongbo pull shopify-products --store main" in str(job.error)
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    await workshop.completed(job_type)


@pytest.mark.parametrize("job_type", [JobType.SYNC_PRODUCTS, JobType.SYNC_CUSTOMERS])
@pytest.mark.parametrize("side", ["shopify", "nhanh"])
async def test_syncs_wait_for_the_pull_of_another_shop(workshop: Workshop, job_type: JobType, side: str) -> None:
    """Case 24: before the pulls of the other shop or business nothing is pushed, and the refusal names all of them."""
    parts, shop = workshop.parts, workshop.sandbox.shopify
    location = next(iter(shop.locations.values()))
    pushed = ProductSyncSettings.model_validate({"locations": {str(location.id): (location.depot_id,)}})
    store = replace(
        parts.registry.stores[STORE], product_sync_settings=pushed, customer_sync_settings=CustomerSyncSettings()
    )
    parts.use_stores({STORE: store}, parts.registry.policy)
    for pull in PULLS:
        await workshop.completed(pull)
    if side == "nhanh":
        store.nhanh.identity = "business 4711"
    else:
        name_another_shop(workshop)
    before = len(shop.writes)
    job = await workshop.run(job_type)
    assert job.status is JobStatus.FAILED
    kind = "products" if job_type is JobType.SYNC_PRODUCTS else "customers"
    assert f"dongbo pull {side}-{kind} --store main" in str(job.error)
    assert len(shop.writes) == before
    for pull in PULLS:
        assert (await workshop.completed(pull)).metadata["mode"] == "full" or not pull.startswith(
            f"PULL_{side.upper()}"
        )
    await workshop.completed(job_type)


async def test_another_business_of_nhanh(workshop: Workshop) -> None:
    """Case 24: the same for the business of Nhanh.vn, for all of its streams."""
    client = workshop.parts.registry.stores[STORE].nhanh
    for job_type in PULLS[:3]:
        await workshop.completed(job_type)
    client.identity = "business 4711"
    for job_type in PULLS[:3]:
        job = await workshop.completed(job_type)
        assert job.metadata["mode"] == "full", job_type
        assert "business 4711" in job.metadata["why_full"]


async def test_an_interrupted_pull_of_another_shop_is_not_gone_on_with(workshop: Workshop) -> None:
    """Cursors of one shop mean nothing in another: a job that was interrupted there begins anew here."""
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    await workshop.rows(
        "UPDATE dongbo.background_jobs SET status = 'CANCELLED', checkpoint = checkpoint || '{\"at_end\": false}' "
        "RETURNING 1"
    )
    workshop.parts.registry.stores[STORE].nhanh.identity = "business 4711"
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert (job.metadata["continues"], job.metadata["mode"]) == (None, "full")
