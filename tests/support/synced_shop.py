"""A shop that was pulled from both sides and mapped, to push stock and prices to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from daemon.config import ProductSyncSettings
from daemon.jobs.model import Job
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings
from daemon.sandbox.shopify.records import Variant
from daemon.sandbox.shopify.writes import AppliedWrite
from daemon.sources.shopify.client import ShopifyClient
from tests.support.workshop import STORE, Workshop

MAP_BY_SKU = """
INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source)
SELECT $1, min(variant.id), min(product.id), 'sku'
FROM dongbo.shopify_variants AS variant
JOIN dongbo.nhanh_products AS product ON product.store = variant.store AND product.sku_key = variant.sku_key
WHERE variant.store = $1
GROUP BY variant.sku_key HAVING count(*) = 1
RETURNING 1
"""

PAIRS = """
SELECT mapping.variant_id, mapping.nhanh_id FROM dongbo.product_mappings AS mapping
JOIN dongbo.shopify_variants AS variant USING (store)
WHERE variant.id = mapping.variant_id AND variant.tracked AND mapping.retired_at IS NULL
ORDER BY variant.product_id, variant.id
"""


class SyncedShop:
    """The workshop with what tests of the product sync need besides."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.nhanh = workshop.sandbox.nhanh
        self.shopify = workshop.sandbox.shopify
        self.depot_of = {place.id: place.depot_id for place in self.shopify.locations.values()}
        self.location = min(self.depot_of)
        self.pairs: list[tuple[Variant, int]] = []  # tracked, mapped variants with their products of Nhanh, in order

    def configure(self, **settings: object) -> None:
        """Sync by these settings; by default each location gets the depot that it stands for, and nobody is asked."""
        defaults = {
            "locations": {str(location): (depot,) for location, depot in self.depot_of.items()},
            "max_zeroed": 10_000,
            "max_large_price_changes": 10_000,
        }
        made = ProductSyncSettings.model_validate(defaults | settings)
        registry = self.workshop.parts.registry
        stores = {name: replace(store, product_sync_settings=made) for name, store in registry.stores.items()}
        self.workshop.parts.use_stores(stores, registry.policy)

    async def pull(self) -> None:
        """Mirror both sides as they are now."""
        await self.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
        await self.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)

    async def sync(self, **params: Any) -> Job:
        """Run a sync, which must succeed, with counters that add up."""
        job = await self.workshop.completed(JobType.SYNC_PRODUCTS, **params)
        check_counters(job)
        return job

    async def settle_down(self) -> None:
        """Bring both sides in step, and forget how."""
        await self.sync()
        assert self.differences() == {}
        self.shopify.writes.clear()
        await self.workshop.rows("DELETE FROM dongbo.pushes RETURNING id")

    def sell(self, pairs: Sequence[tuple[Variant, int]], quantity: int) -> None:
        """Set what Nhanh has of these products in the first location's depot."""
        for _, nhanh_id in pairs:
            self.nhanh.change_stock(nhanh_id, self.depot_of[self.location], quantity)

    def differences(self) -> dict[tuple[int, int], tuple[int | None, int]]:
        """{(variant, location): (what Shopify has, what it should have)} of all mapped stock, read in both shops."""
        found = {}
        for variant, nhanh_id in self.pairs:
            stock = self.nhanh.products[nhanh_id].stock if nhanh_id in self.nhanh.products else {}
            for location, depot in self.depot_of.items():
                level, wanted = variant.level_at(location), max(stock.get(depot, 0), 0)
                present = level.available if level is not None else None
                if (present or 0) != wanted:
                    found[variant.id, location] = (present, wanted)
        return found

    @property
    def effects(self) -> list[AppliedWrite]:
        """What the daemon has changed in Shopify."""
        return [write for write in self.shopify.writes if write.has_effect]

    async def pushes(self) -> list[Any]:
        """The push log, oldest first."""
        return await self.workshop.rows("SELECT * FROM dongbo.pushes ORDER BY id")

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Change the database behind the daemon's back."""
        async with self.workshop.database.acquire() as connection:
            await connection.execute(sql, *arguments)


def check_counters(job: Job) -> None:
    """Rule 3: each row is counted once."""
    assert job.processed == job.successful + job.skipped + job.failed
    assert job.successful == job.updated
    assert job.processed == job.total


def before_each_call(
    monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[int], Awaitable[None] | None]
) -> None:
    """Do something with the number of the call (1, 2, 3 …) before the client calls Shopify by this method."""
    original = getattr(ShopifyClient, method)
    calls = 0

    async def acting(self: ShopifyClient, *arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        done = act(calls)
        if done is not None:
            await done
        return await original(self, *arguments, **keywords)

    monkeypatch.setattr(ShopifyClient, method, acting)


def after_each_call(monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[int], None]) -> None:
    """As `before_each_call`, but when Shopify has answered and the daemon does not know it yet."""
    original = getattr(ShopifyClient, method)
    calls = 0

    async def acting(self: ShopifyClient, *arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        answer = await original(self, *arguments, **keywords)
        calls += 1
        act(calls)
        return answer

    monkeypatch.setattr(ShopifyClient, method, acting)


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop, for it is pulled again and again."""
    return SandboxSettings(products=30, customers=1, limits=False)


@pytest.fixture
async def shop(short_polls: None, workshop: Workshop) -> SyncedShop:
    """A shop whose two sides are mirrored, mapped and in step."""
    shop = SyncedShop(workshop)
    shop.configure()
    await shop.pull()
    await workshop.rows(MAP_BY_SKU, STORE)
    rows = await workshop.rows(PAIRS)
    shop.pairs = [(shop.shopify.variants[row["variant_id"]], row["nhanh_id"]) for row in rows]
    assert len(shop.pairs) > 60
    await shop.settle_down()
    return shop
