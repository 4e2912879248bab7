"""A shop that was pulled from Shopify, to put on sale."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.api.sales import CampaignState, ItemState
from daemon.config import SaleSettings
from daemon.ids import CampaignId
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Job
from daemon.jobs.types import JobType
from daemon.sales import campaigns, items
from daemon.sales.model import Campaign, Item
from daemon.sales.pricing import sale_prices
from daemon.sandbox.server import SandboxSettings
from daemon.sandbox.shopify.records import Variant
from daemon.sandbox.shopify.writes import AppliedWrite
from daemon.sources.shopify.models import PricePair
from tests.support.workshop import STORE, Workshop

ALL = {"all": True}
PATIENCE = 60.0  # seconds


class SaleShop:
    """The workshop with what tests of sales need besides. The clock is swept by the tests themselves."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.shopify = workshop.sandbox.shopify
        self.sales = workshop.parts.sales
        self.clock = workshop.parts.sale_clock

    @property
    def variants(self) -> list[Variant]:
        """What the shop has now."""
        return list(self.shopify.variants.values())

    def prices(self) -> dict[int, PricePair]:
        """What each variant costs now."""
        return {variant.id: PricePair(variant.price, variant.compare_at_price) for variant in self.variants}

    def define(self, name: str = "tet", **settings: Any) -> SaleSettings:
        """A definition: 20 % off everything, unless it is said otherwise."""
        defaults: dict[str, Any] = {"name": name, "store": STORE, "targets": ALL}
        if "amount" not in settings:
            defaults["percent"] = 20
        return self.sales.read(SaleSettings.model_validate(defaults | settings))

    async def create(self, name: str = "tet", **settings: Any) -> Campaign:
        """A campaign; without `starts`, it starts at once."""
        return await self.sales.create(self.define(name, **settings), "api")

    async def get(self, campaign: Campaign) -> Campaign:
        """The campaign as it is now."""
        return await self.campaign(campaign.id)

    async def campaign(self, campaign_id: CampaignId) -> Campaign:
        """The campaign as it is now."""
        async with self.workshop.database.acquire() as connection:
            found = await campaigns.get(connection, campaign_id)
        assert found is not None
        return found

    async def items(self, campaign: Campaign, *states: ItemState) -> dict[int, Item]:
        """The journal of a campaign, by variant."""
        async with self.workshop.database.acquire() as connection:
            found = await items.list_items(connection, campaign.id, states or None, limit=100_000)
        return {item.variant_id: item for item in found}

    async def last_job(self, job_type: JobType) -> Job:
        """The newest job of a type, when it has ended; with counters that add up."""
        jobs = (await self.workshop.parts.jobs.list_jobs(JobFilters(type=job_type), limit=1)).jobs
        job = await self.workshop.wait(jobs[0].id)
        assert job.processed == job.successful + job.skipped + job.failed
        return job

    async def until(self, campaign: Campaign, *states: CampaignState, sweep: bool = True) -> Campaign:
        """The campaign when it has reached one of these states; the clock is looked at meanwhile."""
        give_up = time.monotonic() + PATIENCE
        while (present := await self.get(campaign)).state not in states and time.monotonic() < give_up:
            if sweep:
                await self.clock.plan_drafts()
                await self.clock.sweep()
            for job_type in (JobType.PREPARE_SALE, JobType.APPLY_SALE, JobType.REVERT_SALE):
                for job in (await self.workshop.parts.jobs.list_jobs(JobFilters(type=job_type), limit=1)).jobs:
                    await self.workshop.wait(job.id)
            await asyncio.sleep(0.01)  # its time may have yet to come
        if present.state in states:
            return present
        raise AssertionError(f"{campaign.name} is {present.state}, not {' or '.join(states)}: {present.notice}")

    @property
    def effects(self) -> list[AppliedWrite]:
        """What the daemon has changed in Shopify."""
        return [write for write in self.shopify.writes if write.has_effect]


def soon(seconds: float) -> str:
    """A time so long from now, as text."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def on_sale(rule: SaleSettings, before: dict[int, PricePair]) -> dict[int, PricePair]:
    """The prices under a sale; what it would not make cheaper keeps its own."""
    return {
        number: sale if isinstance(sale := sale_prices(rule, prices), PricePair) else prices
        for number, prices in before.items()
    }


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop, for it is put on sale again and again."""
    return SandboxSettings(products=30, customers=1, limits=False)


@pytest.fixture
async def shop(short_polls: None, workshop: Workshop) -> SaleShop:
    """A shop that is mirrored."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    return SaleShop(workshop)
