"""A daemon that was stopped while it wrote prices, at standard limits, and goes on when another has its job: it writes
nothing more."""

import signal
from datetime import timedelta

import asyncpg
import pytest

from daemon.sales.model import Prices
from daemon.sandbox.server import SandboxSettings
from tests.acceptance.conftest import Site, eventually

STATE = "SELECT state = $2 FROM dongbo.sale_campaigns WHERE name = $1"
PRODUCTS = 24
AGE = "UPDATE dongbo.pgqueuer SET heartbeat = heartbeat - $1::interval WHERE status = 'picked'"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of which the calls take seconds."""
    return SandboxSettings(products=PRODUCTS, customers=1, limits=True, variants_per_product=(1, 1))


async def test_a_daemon_that_was_stopped_while_it_put_a_sale_on_writes_nothing_when_it_goes_on(
    site: Site, connection: asyncpg.Connection
) -> None:
    """Another one has put the sale on, taken it back and completed it meanwhile."""
    shopify = site.sandbox.shopify

    def prices() -> dict[int, Prices]:
        return {number: Prices(one.price, one.compare_at_price) for number, one in shopify.variants.items()}

    before = prices()
    async with site.daemon() as zombie:
        job = await zombie.api.submit("PULL_SHOPIFY_PRODUCTS", full=True)
        await zombie.api.completed(job["id"])
        shopify.bucket.spend(shopify.bucket.available)
        began = len(shopify.writes)
        sale = {"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}}
        await zombie.api.post("/api/sales", sale, 201)

        async def has_begun() -> bool:
            return len(shopify.writes) > began + 4

        await eventually(has_begun, interval=0.01, what="the first prices")
        zombie.process.send(signal.SIGSTOP)
        try:
            async with site.daemon() as other:
                await connection.execute(AGE, timedelta(minutes=1))  # as if so long had passed
                await _is(connection, "ACTIVE")
                await other.api.post("/api/sales/tet/revert")
                await _is(connection, "COMPLETED")
                assert prices() == before
                written = len(shopify.writes)
                zombie.process.send(signal.SIGCONT)
                await zombie.process.logged("run_taken_over")
                assert len(shopify.writes) == written
                assert prices() == before
        finally:
            zombie.process.send(signal.SIGCONT)


async def _is(connection: asyncpg.Connection, state: str) -> None:
    await eventually(lambda: connection.fetchval(STATE, "tet", state), 40.0, what=state)
