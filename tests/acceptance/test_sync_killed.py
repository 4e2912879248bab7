"""Rule 12: after `kill -9` at any moment of the product chain Shopify comes to equal Nhanh.vn, and nothing was written
twice."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings
from daemon.sandbox.shopify.writes import AppliedWrite
from tests.support.process import RunningDaemon
from tests.support.shop_memory import ShopMemory, product_sync
from tests.support.site import Site
from tests.support.sync_ledger import WATCH, check_quiet

KILLS = 6  # of one test
LOSSES = ("delete_product", "delete_variant", "delete_goods")  # changes that leave less to compare
AIM_SECONDS = 6.0  # after which an aimed kill happens wherever the daemon is
CHAIN = "PRODUCT_CHAIN"
LIVE = "SELECT id::text FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING') ORDER BY parent_id IS NULL"
LIVE_CHAIN = (
    "SELECT id::text FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING') AND type = 'PRODUCT_CHAIN'"
)
SETTLED = "SELECT count(*) FROM dongbo.pushes WHERE detail LIKE 'interrupted%'"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop where calls fail now and then, with and without effect."""
    settings = SandboxSettings(products=40, customers=1, limits=False, unstocked_share=0.2)
    for fault in (Fault.ERROR_500, Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF):
        setattr(settings.faults, fault.value, 0.015)
    return settings


@pytest.fixture
def memory(sandbox: Sandbox) -> ShopMemory:
    """Both shops, and what happens in them."""
    return ShopMemory(sandbox, product_sync(sandbox))


@pytest.fixture
def product_site(site: Site, sandbox: Sandbox) -> Site:
    """A site that pushes stock and prices."""
    site.settings["stores"]["main"]["product_sync"] = product_sync(sandbox).model_dump(mode="json", exclude_unset=True)
    site.write()
    return site


@pytest.mark.parametrize(("seed", "replays"), [(1, True), (2, False)], ids=["replays", "executes-anew"])
async def test_kills_during_the_product_chain(
    product_site: Site, memory: ShopMemory, connection: asyncpg.Connection, seed: int, *, replays: bool
) -> None:
    """The daemon is killed again and again, every other time just when Shopify has carried out a write of which the
    daemon has not read the answer; meanwhile both shops change and calls fail. When all is quiet, all is in step."""
    await connection.execute(WATCH)
    memory.shopify.idempotency.replays = replays
    chance = random.Random(int(os.environ.get("DONGBO_TEST_SEED", seed)))
    aimed = 0
    for kill in range(KILLS):
        async with product_site.daemon() as daemon, busy_shops(memory, chance):
            await have_a_chain(daemon, connection)
            if kill % 2 == 0:
                aimed += await killed_at_a_write(daemon, memory, chance)
            else:
                await asyncio.sleep(chance.uniform(0.0, 0.6))  # any moment will do
            if daemon.process.exit_code is None:
                await daemon.process.kill()
    assert aimed >= KILLS // 3, "most aimed kills should have met a write"
    async with product_site.daemon() as daemon:
        await become_quiet(daemon, memory, connection)
        assert await daemon.process.terminate() == 0
    assert await check_quiet(memory, connection.fetch) > 50
    assert await connection.fetchval(SETTLED) > 0, "some outcomes were lost, and found out later"


async def have_a_chain(daemon: RunningDaemon, connection: asyncpg.Connection) -> None:
    """Let a chain be live, the one that a kill has left or a new one."""
    if await connection.fetchval(LIVE_CHAIN) is None:
        await daemon.api.submit(CHAIN)


async def killed_at_a_write(daemon: RunningDaemon, memory: ShopMemory, chance: random.Random) -> bool:
    """Kill the daemon within one of its next writes, before the answer is sent; False if it wrote nothing in time."""
    left, struck = chance.randrange(1, 5), asyncio.Event()

    def strike(_: AppliedWrite) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            daemon.process.send(signal.SIGKILL)
            struck.set()

    memory.journal.listeners.append(strike)
    try:
        async with asyncio.timeout(AIM_SECONDS):
            await struck.wait()
        await daemon.process.exited()
        return True
    except TimeoutError:
        return False
    finally:
        memory.journal.listeners.remove(strike)


@asynccontextmanager
async def busy_shops(memory: ShopMemory, chance: random.Random) -> AsyncIterator[None]:
    """Both shops change all the time; each time one thing is lost for good."""
    memory.changes[chance.choice(LOSSES)](chance)
    kinds = [kind for kind in memory.changes if kind not in LOSSES]

    async def trade() -> None:
        while True:
            for _ in range(4):
                memory.changes[chance.choice(kinds)](chance)
            memory.restock_many(chance)
            await asyncio.sleep(chance.uniform(0.02, 0.2))

    trading = asyncio.create_task(trade(), name="trade")
    try:
        yield
    finally:
        trading.cancel()
        await asyncio.wait({trading})
        assert trading.cancelled(), trading.exception()


async def become_quiet(daemon: RunningDaemon, memory: ShopMemory, connection: asyncpg.Connection) -> None:
    """Nothing happens any more, and two chains come to their end; the second one writes nothing."""
    for fault in Fault:
        setattr(memory.sandbox.faults, fault.value, 0.0)
    for row in await connection.fetch(LIVE):
        await daemon.api.ended(row["id"])
    for job_type in ("PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS"):
        await daemon.api.completed((await daemon.api.submit(job_type, full=True))["id"])
    await daemon.api.completed((await daemon.api.submit(CHAIN))["id"])
    written = len(memory.journal)
    await daemon.api.completed((await daemon.api.submit(CHAIN))["id"])
    assert memory.journal[written:] == []
