"""`kill -9` at standard limits while calls of a sale wait in memory for their points.

What the dead daemon meant to send is decided anew, and what it has sent counts, whenever it arrives.
"""

import asyncpg
import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.killed_shop import KilledShop
from tests.support.site import Site
from tests.support.steps import Moment, Step

TARGETED = 12  # products: their calls take a second and more
SET_PRICES = "mutation SetPrices"
EARLY = Step(Moment.UNANSWERED, 1, SET_PRICES)
LATE = Step(Moment.ARRIVED, 8, SET_PRICES)
MIDDLE = Step(Moment.UNANSWERED, 4, SET_PRICES)


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop, at standard limits."""
    return SandboxSettings(products=TARGETED + 1, customers=1, limits=True, variants_per_product=(1, 2))


async def test_kills_while_calls_wait(site: Site, connection: asyncpg.Connection) -> None:
    """The sale comes to be on and comes to its end, and is the same to every variant as one during which nobody was
    killed."""
    async with KilledShop(site, connection, TARGETED) as shop:
        await shop.prepare()
        for applying, reverting in ((EARLY, LATE), (LATE, MIDDLE), (MIDDLE, EARLY)):
            await shop.sale_by_a_person(applying, reverting)
        assert min(shop.waiting) >= 3, "each kill met calls that waited"
        await shop.stop()


async def test_prices_that_people_set_of_what_waits_while_no_daemon_runs_stay(
    site: Site, connection: asyncpg.Connection
) -> None:
    """Killed while it takes a sale back, its successor reads before it writes."""
    async with KilledShop(site, connection, TARGETED) as shop:
        await shop.prepare()
        await shop.change_while_dead(MIDDLE)
        assert min(shop.waiting) >= 3
        await shop.stop()


async def test_a_call_of_a_killed_daemon_that_is_carried_out_after_the_end_is_taken_back(
    site: Site, connection: asyncpg.Connection
) -> None:
    """A sale of which a call went without an answer is looked at once more when it is over."""
    async with KilledShop(site, connection, TARGETED) as shop:
        await shop.prepare()
        await shop.call_after_the_end(LATE)
        assert min(shop.waiting) >= 3
        await shop.stop()
