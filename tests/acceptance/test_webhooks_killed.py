"""Rule 12 with webhooks at real processes: `kill -9` at any moment loses none, and no value is written twice."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from daemon.sandbox.server import VERIFY_TOKEN, Sandbox, SandboxSettings
from daemon.sandbox.shopify.writes import AppliedWrite
from tests.support.post_office import HELD_AT, PostOffice, check_inbox
from tests.support.process import RunningDaemon
from tests.support.shop_memory import ShopMemory, product_sync
from tests.support.site import Site, eventually
from tests.support.sync_ledger import MAPPED, WATCH, check_equal, check_quiet
from tests.support.told_webhooks import IS_OPEN

KILLS = 20
PULLS = ("PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS")
TRADE = ("restock", "restock", "restock", "reprice", "discount")  # at Nhanh.vn, which webhooks tell of
LIVE = "SELECT count(*) = 0 FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"
ROUNDS = "SELECT count(*) FROM dongbo.background_jobs WHERE type = 'SYNC_CHANGED_PRODUCTS' AND updated > 0"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=20, customers=1, limits=False, unstocked_share=0.2)


@pytest.fixture
def memory(sandbox: Sandbox) -> ShopMemory:
    """Both shops, and what happens in them."""
    return ShopMemory(sandbox, product_sync(sandbox))


class Seat:
    """Where one daemon after the other runs, as if started again by systemd; `address` is that of its webhooks."""

    def __init__(self, directory: Path, sandbox: Sandbox, database_url: str) -> None:
        directory.mkdir()
        self._site = Site(directory, sandbox, database_url)
        self._life = AsyncExitStack()
        self.address = HELD_AT
        self.daemon: RunningDaemon
        site = self._site
        main = site.settings["stores"]["main"]
        main["product_sync"] = product_sync(sandbox).model_dump(mode="json", exclude_unset=True)
        main["nhanh"]["webhook_token"] = site.secret("webhook-token", VERIFY_TOKEN)
        main["shopify"]["webhook_secret"] = site.secret("webhook-secret", sandbox.shopify.app.client_secret)
        site.settings["webhooks"] = {"listen": "127.0.0.1:0"}
        site.write()

    async def start(self) -> None:
        """Start a daemon, in place of the one that was there."""
        await self._life.aclose()
        self.daemon = await self._life.enter_async_context(self._site.daemon())
        opened = await self.daemon.process.logged("webhooks_listened_for")
        self.address = opened["address"].rstrip("/")

    async def kill(self, memory: ShopMemory, chance: random.Random) -> None:
        """Kill it within its next write, before that is answered, or at any moment; and start the next one."""
        struck = asyncio.Event()

        def strike(_: AppliedWrite) -> None:
            self.daemon.process.send(signal.SIGKILL)
            struck.set()

        if chance.random() < 0.5:
            memory.journal.listeners.append(strike)
        try:
            async with asyncio.timeout(chance.uniform(0.0, 1.0)):
                await struck.wait()
        except TimeoutError:
            self.daemon.process.send(signal.SIGKILL)
        finally:
            if strike in memory.journal.listeners:
                memory.journal.listeners.remove(strike)
        await self.daemon.process.exited()
        await self.start()

    async def close(self) -> None:
        """End it."""
        await self._life.aclose()


@asynccontextmanager
async def trading(memory: ShopMemory, office: PostOffice, chance: random.Random) -> AsyncIterator[None]:
    """Nhanh.vn sells all the time, and tells of it at once; some webhooks come twice."""

    async def trade() -> None:
        while True:
            memory.changes[chance.choice(TRADE)](chance)
            await asyncio.sleep(chance.uniform(0.01, 0.1))
            office.send(*office.take(chance))  # those that were not answered
            if office.accepted and chance.random() < 0.1:
                office.send(chance.choice(office.accepted))

    office.is_prompt = True
    task = asyncio.create_task(trade(), name="trade")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()
        office.is_prompt = False


async def all_heard(office: PostOffice, connection: asyncpg.Connection) -> None:
    """Wait until all webhooks have arrived, those of what they lead to as well, and no job is left."""

    async def is_dealt_with() -> bool:
        return not await connection.fetchval(IS_OPEN) and bool(await connection.fetchval(LIVE))

    while not office.is_empty:
        office.send(*office.take_oldest(len(office.held)))
        await office.all_arrived()
        await eventually(is_dealt_with, 60.0, what="the end of all events")


@pytest.mark.timeout(300)
async def test_kills_amid_webhooks(
    tmp_path: Path, sandbox: Sandbox, memory: ShopMemory, database_url: str, connection: asyncpg.Connection
) -> None:
    """Two daemons on one database are killed in turn, while Nhanh.vn sells: webhooks alone bring all in step, and a
    full sync after that finds nothing to do."""
    await connection.execute(WATCH)
    chance = random.Random(int(os.environ.get("DONGBO_TEST_SEED", 1)))
    seats = [Seat(tmp_path / name, sandbox, database_url) for name in ("one", "two")]
    async with AsyncExitStack() as stack:
        for seat in seats:
            stack.push_async_callback(seat.close)
            await seat.start()
        await chain(seats[0], *PULLS)
        office = PostOffice(sandbox, lambda: [seat.address for seat in seats])
        stack.push_async_callback(office.close)
        async with trading(memory, office, chance):
            for _ in range(KILLS):
                await chance.choice(seats).kill(memory, chance)
        await all_heard(office, connection)
        pairs = {row["variant_id"]: row["nhanh_id"] for row in await connection.fetch(MAPPED)}
        check_equal(memory, pairs)
        written = len(memory.journal)
        await chain(seats[0])
        assert memory.journal[written:] == []
        await all_heard(office, connection)
        assert await check_quiet(memory, connection.fetch) > 30
        await check_inbox(office, connection.fetch)
    assert await connection.fetchval(ROUNDS) > KILLS // 2


async def chain(seat: Seat, *pulls: str) -> None:
    """Full pulls, and the product chain."""
    for job_type in pulls:
        await seat.daemon.api.completed((await seat.daemon.api.submit(job_type, full=True))["id"])
    await seat.daemon.api.completed((await seat.daemon.api.submit("PRODUCT_CHAIN"))["id"])
