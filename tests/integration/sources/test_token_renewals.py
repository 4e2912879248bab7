"""Work that outlasts its token: pulls, a sync and a sale across many renewals, without one failed attempt."""

import time
from decimal import Decimal

import pytest

from daemon.api.sales import CampaignState
from daemon.jobs.model import Job
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings
from daemon.sources.shopify.credential import RENEWED_AFTER
from tests.support.sale_shop import SaleShop, on_sale
from tests.support.synced_shop import MAP_BY_SKU, PAIRS, SyncedShop
from tests.support.workshop import STORE, ProductSyncOf, Workshop

LIFETIME = 1.5  # seconds


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """Tokens of a second and a half, and no other way in."""
    return SandboxSettings(
        products=40, customers=600, limits=False, permanent_token=False, token_lifetime=LIFETIME, seed=11
    )


@pytest.fixture
def product_sync_of() -> ProductSyncOf:
    """The sync is configured by its test."""
    return lambda _: None


def check_undisturbed(jobs: list[Job], workshop: Workshop, began: float) -> None:
    """No attempt failed, no call was repeated, and no more tokens were asked for than the time needs."""
    assert {job.attempt for job in jobs} == {1}
    assert {job.metadata["retries"] for job in jobs} == {0}
    app = workshop.sandbox.shopify.app
    assert set(app.grants) == {"granted"}
    assert app.granted <= 1 + (time.monotonic() - began) / (LIFETIME * RENEWED_AFTER)
    assert app.granted >= 3


async def test_a_long_pull(workshop: Workshop) -> None:
    """One pull whose answers come slowly, so that it lives through several tokens."""
    began, faults = time.monotonic(), workshop.sandbox.faults
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    faults.slow, faults.slow_seconds = 1.0, 1.0
    job = await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS, full=True)
    assert job.processed == len(workshop.sandbox.shopify.customers)
    check_undisturbed([job], workshop, began)


async def test_syncs(workshop: Workshop) -> None:
    """Stock and prices are pushed again and again, slowly."""
    began, shop = time.monotonic(), SyncedShop(workshop)
    await shop.pull()
    await workshop.rows(MAP_BY_SKU, STORE)
    pairs = await workshop.rows(PAIRS)
    shop.pairs = [(shop.shopify.variants[row["variant_id"]], row["nhanh_id"]) for row in pairs]
    shop.configure()
    jobs = [await shop.sync()]
    workshop.sandbox.faults.slow, workshop.sandbox.faults.slow_seconds = 1.0, 0.3
    for quantity in range(1, 4):
        shop.sell(shop.pairs[:5], quantity)
        await workshop.completed(JobType.PULL_NHANH_INVENTORY)
        jobs.append(await shop.sync())
    assert shop.differences() == {}
    check_undisturbed(jobs, workshop, began)


async def test_a_sale(workshop: Workshop, short_polls: None) -> None:
    """Put on and taken back while tokens come and go."""
    began = time.monotonic()
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    shop = SaleShop(workshop)
    before = shop.prices()
    workshop.sandbox.faults.slow, workshop.sandbox.faults.slow_seconds = 1.0, 0.2
    campaign = await shop.create()
    active = await shop.until(campaign, CampaignState.ACTIVE)
    assert shop.prices() == on_sale(shop.define(), before)
    await shop.sales.end_now(active)
    await shop.until(campaign, CampaignState.COMPLETED)
    assert shop.prices() == before
    assert all(prices.price > Decimal(0) for prices in before.values())
    jobs = [await shop.last_job(kind) for kind in (JobType.APPLY_SALE, JobType.REVERT_SALE)]
    check_undisturbed(jobs, workshop, began)
