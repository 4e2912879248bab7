"""What people do while a soak lasts: they trade in both shops, ask for jobs and sales, and look at the endpoints."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import aiohttp

from tests.soak.daemons import Instance
from tests.soak.world import STORE, World
from tests.support.process import ENDED, jobs_of

# Nothing that touches prices: those are the sales' alone, and are as before when these are over.
TRADES = (
    *("restock", "restock", "restock_many", "recode", "create_product"),
    *("sell", "stock", "unstock", "relabel", "track"),
)
JOBS = (
    *("PRODUCT_CHAIN", "PRODUCT_CHAIN", "SYNC_PRODUCTS", "MATCH_PRODUCTS", "PULL_NHANH_CUSTOMERS"),
    *("PULL_NHANH_PRODUCTS", "PULL_NHANH_INVENTORY", "PULL_SHOPIFY_PRODUCTS", "PULL_SHOPIFY_CUSTOMERS"),
)
PULLS = tuple(name for name in JOBS if name.startswith("PULL_"))
PATHS = ("/status", "/metrics", "/api/jobs?limit=50", "/api/schedules", "/readyz?verbose", "/api/sales", "/api/alerts")
EXPECTED = (200, 202, 409, 503)
LOOK_SECONDS = 0.1
SILENCE = aiohttp.ClientTimeout(total=None, sock_read=60)  # longer than the stream ever is silent
CANCELLATIONS = 0.1  # share of the pulls that were asked for

OPEN_SALES = "SELECT name, state FROM dongbo.sale_campaigns WHERE state NOT IN ('COMPLETED', 'CANCELLED', 'FAILED')"


async def trade(world: World, until: float) -> None:
    """Both shops change all the time; each customer changes once, so that every update can be told from the table."""
    chance = random.Random(world.chance.random())
    while world.seconds() < until:
        for _ in range(3):
            world.shop.memory.changes[chance.choice(TRADES)](chance)
        if world.unchanged:
            world.sandbox.nhanh.touch_customer(world.unchanged.pop())
        await asyncio.sleep(chance.uniform(0.1, 0.8))


async def ask_for_jobs(world: World, until: float) -> None:
    """Ask one daemon or the other for a job, and sometimes to stop it."""
    chance = random.Random(world.chance.random())
    while world.seconds() < until:
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        job_type = chance.choice(JOBS)
        params = {"full": chance.random() < 0.3} if job_type in PULLS else {}
        body = {"type": job_type, "store": STORE, "params": params}
        if (job := await ask(world, chance.choice(world.instances), "/api/jobs", body)) is None:
            continue
        world.accepted.add(job["id"])
        if job_type in PULLS and chance.random() < CANCELLATIONS:
            world.cancelled.add(job["id"])
            await ask(world, chance.choice(world.instances), f"/api/jobs/{job['id']}/cancel", None)


async def hold_sales(world: World, until: float) -> None:
    """One sale after the other, each with an end."""
    chance = random.Random(world.chance.random())
    while world.seconds() < until:
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        if await world.fetch(OPEN_SALES):
            continue
        starts = datetime.now(UTC) + timedelta(seconds=chance.uniform(0.5, 2.0))
        sale = {
            "name": f"sale-{len(world.sales) + 1}",
            "store": STORE,
            "percent": chance.choice((5, 10, 20, 50)),
            "targets": {"all": True},
            "starts": starts.isoformat(),
            "ends": (starts + timedelta(seconds=chance.uniform(3.0, 12.0))).isoformat(),
        }
        if await ask(world, chance.choice(world.instances), "/api/sales", sale, created=201) is not None:
            world.sales.append(str(sale["name"]))


@contextmanager
def unless_it_ends(session: aiohttp.ClientSession) -> Iterator[None]:
    """A daemon may end, or not answer in time, while it is asked."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError):
        pass
    except RuntimeError:
        if not session.closed:
            raise


async def ask(world: World, instance: Instance, path: str, body: object, created: int = 202) -> Any:
    """What a daemon answers to a POST; None where it does not do what it was asked for."""
    if (api := instance.api) is None:
        return None
    with unless_it_ends(api.session):
        async with api.session.post(path, json=body) as response:
            text = await response.text()
            if response.status == created:
                world.answers[response.status] += 1
                return await response.json()
            check_answer(world, path, response.status, text)
    return None


def check_answer(world: World, path: str, status: int, text: str) -> None:
    """An endpoint answers, or says why it can't."""
    world.answers[status] += 1
    assert status in EXPECTED, f"{path} was answered {status}: {text[:500]}"


class Readers:
    """Those who look at one daemon all the time. `told` are the ends of jobs as the event stream told them."""

    def __init__(self, world: World, instance: Instance) -> None:
        self._world = world
        self._instance = instance
        self.told: dict[str, str] = {}

    async def look(self) -> None:
        """Ask for everything, again and again, until cancelled."""
        for path in cycle(PATHS):
            await asyncio.sleep(LOOK_SECONDS)
            if (api := self._instance.api) is not None:
                with unless_it_ends(api.session):
                    check_answer(self._world, path, *await api.text(path))

    async def follow(self) -> None:
        """Listen to the event stream, again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if (api := self._instance.api) is not None:
                with unless_it_ends(api.session):
                    await self._listen(api.session)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        async with session.get("/api/events", timeout=SILENCE) as response:
            if response.status != 200:
                check_answer(self._world, "/api/events", response.status, await response.text())
                return
            async for job in jobs_of(response):
                before = self.told.get(job["id"])
                assert before in (None, job["status"]), f"{before} was told of {job}"
                if job["status"] in ENDED:
                    self.told[job["id"]] = job["status"]
