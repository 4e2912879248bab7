"""A run about a few items that is cut off at any call, as by `kill -9`, is taken up by the next one: every row counts
once, and Shopify has what Nhanh.vn says."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from daemon.jobs.model import JobRequest, JobStatus, JobTrigger
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings, running_sandbox
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.shopify.client import ShopifyClient
from tests.support.mortal_daemon import Machine, MachineDied
from tests.support.synced_shop import MAP_BY_SKU, check_counters
from tests.support.workshop import STORE, Workshop

CALLS = (
    (NhanhClient, "rows_by_ids"),
    (ShopifyClient, "products_of"),
    (ShopifyClient, "set_stock"),
    (ShopifyClient, "set_prices"),
)


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(("client", "method"), CALLS)
async def test_every_row_counts_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch, client: type[Any], method: str, is_after: bool
) -> None:
    """Wherever the run is cut off: what was named and stands for nothing, what was pushed before, and the rest."""
    async with running_sandbox(SandboxSettings(products=20, customers=1, limits=False)) as sandbox:
        machine = Machine(database_url, sandbox, {})
        await machine.start()
        try:
            shop = Workshop(machine.parts, sandbox)
            for job_type in (JobType.PULL_NHANH_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS):
                await shop.completed(job_type, full=True)
            await shop.rows(MAP_BY_SKU, STORE)
            await shop.completed(JobType.SYNC_PRODUCTS)
            variants = [row["variant_id"] for row in await shop.rows(MAPPED)][:4]
            for row in await shop.rows(MAPPED):
                for depot in sandbox.nhanh.products[row["nhanh_id"]].stock:
                    sandbox.nhanh.change_stock(row["nhanh_id"], depot, 4_321)
                sandbox.nhanh.change_price(row["nhanh_id"], sandbox.nhanh.products[row["nhanh_id"]].price + 1000)
            sandbox.shopify.writes.clear()
            _die_once(monkeypatch, client, method, machine, is_after=is_after)
            params = {"variants": [*variants, 987_654_321]}
            request = JobRequest(JobType.SYNC_PRODUCTS, STORE, JobTrigger.API, params)
            job_id = (await machine.parts.jobs.submit(request)).id
            await machine.died.wait()
            shop = Workshop(await machine.alive(), sandbox)
            job = await shop.wait(job_id)
            assert (machine.deaths, job.status, job.failed) == (1, JobStatus.COMPLETED, 1)
            check_counters(job)
            effects = [(write.subject, write.after) for write in sandbox.shopify.writes if write.has_effect]
            assert len(effects) == len(set(effects))
            assert job.updated == await shop.value(PUSHED_ROWS, job_id)
            assert await shop.value(OPEN) == 0
            again = await shop.completed(JobType.SYNC_PRODUCTS, variants=variants)
            assert again.updated == 0
        finally:
            await machine.stop()


MAPPED = """
SELECT mapping.variant_id, mapping.nhanh_id FROM dongbo.product_mappings AS mapping
JOIN dongbo.shopify_variants AS variant ON variant.store = mapping.store AND variant.id = mapping.variant_id
WHERE variant.tracked AND mapping.retired_at IS NULL ORDER BY variant.product_id, variant.id
"""
PUSHED_ROWS = """
SELECT count(DISTINCT (owner_id, CASE WHEN location_id IS NULL THEN 0 ELSE location_id END)) FROM dongbo.pushes
WHERE job_id = $1 AND result = 'applied'
"""
OPEN = "SELECT count(*) FROM dongbo.pushes WHERE result = 'intended'"


def _die_once(
    monkeypatch: pytest.MonkeyPatch, client: type[Any], method: str, machine: Machine, *, is_after: bool
) -> None:
    """Cut the daemon off at the first call by this method, before or after it was carried out."""
    original: Callable[..., Awaitable[Any]] = getattr(client, method)

    async def dying(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if machine.deaths:
            return await original(self, *arguments, **keywords)
        if is_after:
            await original(self, *arguments, **keywords)
        machine.die()
        raise MachineDied

    monkeypatch.setattr(client, method, dying)
