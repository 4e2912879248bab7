"""`kill -9` at every step of putting a sale on and of taking it back, at standard limits and without points left."""

from itertools import zip_longest

import asyncpg
import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.killed_shop import KilledShop
from tests.support.site import Site
from tests.support.steps import Moment

PORTIONS = 4  # of the steps, so that several workers share them
TARGETED = 2  # products; there is one more


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A tiny shop, at standard limits."""
    return SandboxSettings(products=TARGETED + 1, customers=1, limits=True, variants_per_product=(2, 3))


@pytest.mark.parametrize("portion", range(PORTIONS))
async def test_kills_at_every_step_of_a_sale(site: Site, connection: asyncpg.Connection, portion: int) -> None:
    """Killed at any step of applying and at any of reverting, the sale comes to be on and comes to its end, and is the
    same to every variant as one during which nobody was killed. All portions together are all steps."""
    async with KilledShop(site, connection, TARGETED) as shop:
        await shop.prepare()
        applying, reverting = await shop.sale_by_a_person()
        for steps in (applying, reverting):
            assert {step.moment for step in steps} == set(Moment)
        for to_apply, to_revert in list(zip_longest(applying, reverting))[portion::PORTIONS]:
            await shop.sale_by_a_person(to_apply, to_revert)
        await shop.stop()


async def test_kills_as_the_clock_prepares_starts_and_ends_a_sale(site: Site, connection: asyncpg.Connection) -> None:
    """Killed at any step of the preparation, or as the clock moves the sale on and asks for the job, it is made up: the
    sale starts and ends once. What the jobs do then is the same as at a person's word."""
    async with KilledShop(site, connection, TARGETED) as shop:
        await shop.prepare()
        preparing, starting, ending = await shop.sale_by_the_clock()
        assert all("background_jobs" in steps[1].name for steps in (starting, ending))
        for steps in zip_longest(preparing, starting[:2], ending[:2]):
            await shop.sale_by_the_clock(*steps)
        await shop.stop()
