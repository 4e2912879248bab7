"""The shop of a soak: both sources, a PostgreSQL of its own, and two daemons, with proxies between all of them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from daemon.database.embedded import EmbeddedServer, embedded_server
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.shopify.models import PricePair
from tests.soak.daemons import Instance
from tests.support.faulty_shop import FaultyShop, faulty_shop
from tests.support.sale_queue import prices_of
from tests.support.sync_ledger import WATCH

STORE = "main"
EVERY_MINUTE = "* * * * *"
SCHEDULES: Sequence[dict[str, object]] = [
    {"name": "goods", "kind": "product", "store": STORE, "every_minutes": 1},
    {"name": "customers", "kind": "cron", "store": STORE, "cron": EVERY_MINUTE, "job": "PULL_NHANH_CUSTOMERS"},
    {"name": "accounts", "kind": "cron", "store": STORE, "cron": EVERY_MINUTE, "job": "PULL_SHOPIFY_CUSTOMERS"},
]
SLOW_SECONDS = 0.03  # for each call at a source, so that the work lasts a while
DATABASE_SECONDS = 30.0
AWAY = (OSError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError)

Say = Callable[[str], None]


class World:
    """Everything that a soak is about.

    Args:
        steady: is never ended, so that what it holds can be compared from beginning to end.
        mortal: is killed and stopped.
    """

    def __init__(self, shop: FaultyShop, server: EmbeddedServer, directory: Path, seed: int, say: Say) -> None:
        self.shop = shop
        self.server = server
        self.chance = random.Random(seed)
        self.steady, self.mortal = (Instance(name, shop.site, directory) for name in ("steady", "mortal"))
        self.began = time.monotonic()
        self.accepted: set[str] = set()  # ids of jobs that were promised
        self.cancelled: set[str] = set()  # ids of jobs that were asked to stop
        self.sales: list[str] = []  # names of sales that were promised
        self.happened: Counter[str] = Counter()  # faults
        self.answers: Counter[int] = Counter()  # of the endpoints, by HTTP status
        self.unchanged = sorted(shop.sandbox.nhanh.customers)  # ids of customers
        self.before: dict[int, PricePair] = {}
        self._say = say

    @property
    def sandbox(self) -> Sandbox:
        """Both sources."""
        return self.shop.sandbox

    @property
    def instances(self) -> Sequence[Instance]:
        """Both daemons."""
        return self.steady, self.mortal

    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """Tell whoever looks on."""
        self._say(f"{self.seconds():7.1f} s  {text}")

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Rows from the database, by a way of its own; waits while PostgreSQL is being restarted."""
        async with asyncio.timeout(DATABASE_SECONDS):
            while True:
                try:
                    async with self.shop.site.connection() as connection:
                        return list(await connection.fetch(query, *arguments))
                except AWAY:
                    await asyncio.sleep(0.1)

    async def schedule(self, schedules: Sequence[dict[str, object]]) -> None:
        """Give both daemons these schedules."""
        self.shop.site.settings["schedules"] = list(schedules)
        self.shop.site.write()
        for instance in self.instances:
            await instance.reload()


@asynccontextmanager
async def world(directory: Path, seed: int, say: Say) -> AsyncIterator[World]:
    """A shop at work: both sides mirrored and in step, both daemons up."""
    settings = SandboxSettings(seed=seed, products=25, customers=2_000, limits=False, variants_per_product=(1, 3))
    async with (
        running_sandbox(settings) as sandbox,
        embedded_server(directory / "server", durable=False) as server,
        faulty_shop(directory, sandbox, server.dsn) as shop,
    ):
        opened = World(shop, server, directory, seed, say)
        try:
            await _open(opened)
            yield opened
        finally:
            for instance in opened.instances:
                await instance.close()


async def _open(opened: World) -> None:
    shop, faults = opened.shop, opened.sandbox.faults
    for act in (Instance.start, Instance.ready):
        await asyncio.gather(*map(act, opened.instances))
    async with shop.site.connection() as connection:
        await connection.execute(WATCH)
    assert opened.steady.daemon is not None
    shop.daemon = opened.steady.daemon
    await shop.prepare()
    opened.before = prices_of(opened.sandbox.shopify)
    await opened.schedule(SCHEDULES)
    faults.slow, faults.slow_seconds = 1.0, SLOW_SECONDS
