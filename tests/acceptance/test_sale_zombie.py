"""A daemon that was stopped while calls of a sale waited in its memory, at standard limits.

It goes on when another one has done its job, and writes nothing more.
"""

import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from daemon.sandbox.server import SandboxSettings
from daemon.sources.shopify.models import PricePair
from tests.support.process import RunningDaemon
from tests.support.sale_queue import prices_of, use_up_points, waiting_calls
from tests.support.site import Site, eventually

STATE = "SELECT state = $2 FROM dongbo.sale_campaigns WHERE name = $1"
PRODUCTS = 14
AGE = "UPDATE dongbo.pgqueuer SET heartbeat = heartbeat - $1::interval WHERE status = 'picked'"
PERSONS = PricePair(Decimal(77_000), None)


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of which the calls take seconds."""
    return SandboxSettings(products=PRODUCTS, customers=1, limits=True, variants_per_product=(1, 1))


class HauntedShop:
    """A shop on which two daemons work, one of which stops and goes on."""

    def __init__(self, site: Site, connection: asyncpg.Connection) -> None:
        self._site = site
        self._connection = connection
        self._shopify = site.sandbox.shopify
        self.before = self.prices()

    def prices(self) -> dict[int, PricePair]:
        """What each variant costs."""
        return prices_of(self._shopify)

    def set_price(self, number: int, prices: PricePair) -> None:
        """As a person does."""
        self._shopify.change_price(number, *prices)

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[RunningDaemon]:
        """A daemon that knows the shop."""
        async with self._site.daemon() as daemon:
            job = await daemon.api.submit("PULL_SHOPIFY_PRODUCTS", full=True)
            await daemon.api.completed(job["id"])
            yield daemon

    async def put_on(self, daemon: RunningDaemon, name: str) -> None:
        """Start a sale."""
        sale = {"name": name, "store": "main", "percent": 20, "targets": {"all": True}}
        await daemon.api.post("/api/sales", sale, 201)

    async def take_back(self, daemon: RunningDaemon, name: str) -> None:
        """End it."""
        await daemon.api.post(f"/api/sales/{name}/revert")

    @asynccontextmanager
    async def stopped_amid(self, zombie: RunningDaemon, act: Awaitable[None]) -> AsyncIterator[RunningDaemon]:
        """Stop a daemon in the middle of what `act` asks for, and yield another one, which has its job; at the end it
        goes on, and must not write anything."""
        use_up_points(self._shopify)
        began = len(self._shopify.writes)
        await act

        async def has_begun() -> bool:
            return len(self._shopify.writes) > began + 4

        await eventually(has_begun, interval=0.01, what="the first prices")
        zombie.process.send(signal.SIGSTOP)
        try:
            assert await waiting_calls(self._connection, self._shopify) >= 3
            async with self._site.daemon() as other:
                await self._connection.execute(AGE, timedelta(minutes=1))  # as if so long had passed
                yield other
                written, prices = len(self._shopify.writes), self.prices()
                zombie.process.send(signal.SIGCONT)
                await zombie.process.logged("run_taken_over")
                assert len(self._shopify.writes) == written
                assert self.prices() == prices
        finally:
            zombie.process.send(signal.SIGCONT)

    async def becomes(self, name: str, state: str) -> None:
        """Wait for a state of a sale."""
        await eventually(lambda: self._connection.fetchval(STATE, name, state), 40.0, what=state)


@pytest.fixture
def shop(site: Site, connection: asyncpg.Connection) -> HauntedShop:
    """The shop."""
    return HauntedShop(site, connection)


async def test_a_daemon_that_was_stopped_while_it_put_a_sale_on_writes_nothing_when_it_goes_on(
    shop: HauntedShop,
) -> None:
    """Another one has put the sale on, taken it back and completed it meanwhile."""
    async with shop.daemon() as zombie, shop.stopped_amid(zombie, shop.put_on(zombie, "tet")) as other:
        await shop.becomes("tet", "ACTIVE")
        await shop.take_back(other, "tet")
        await shop.becomes("tet", "COMPLETED")
        assert shop.prices() == shop.before


async def test_a_daemon_that_was_stopped_while_it_took_a_sale_back_leaves_what_people_have_set_meanwhile(
    shop: HauntedShop,
) -> None:
    """Another one has completed it, and then people set prices: their own, and those of the sale because they like
    them, which no look at the price tells from what is to be taken back."""
    async with shop.daemon() as zombie:
        await shop.put_on(zombie, "tet")
        await shop.becomes("tet", "ACTIVE")
        on_sale = shop.prices()
        async with shop.stopped_amid(zombie, shop.take_back(zombie, "tet")):
            await shop.becomes("tet", "COMPLETED")
            assert shop.prices() == shop.before
            for place, number in enumerate(on_sale):
                shop.set_price(number, PERSONS if place % 2 else on_sale[number])


async def test_a_daemon_that_was_stopped_while_it_took_a_sale_back_takes_nothing_of_the_next_one_off(
    shop: HauntedShop,
) -> None:
    """The next one has the same prices."""
    async with shop.daemon() as zombie:
        await shop.put_on(zombie, "tet")
        await shop.becomes("tet", "ACTIVE")
        on_sale = shop.prices()
        async with shop.stopped_amid(zombie, shop.take_back(zombie, "tet")) as other:
            await shop.becomes("tet", "COMPLETED")
            await shop.put_on(other, "tet-again")
            await shop.becomes("tet-again", "ACTIVE")
            assert shop.prices() == on_sale
