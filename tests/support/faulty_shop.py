"""A shop at work, everything that its daemon talks to behind a proxy that goes wrong on demand.

Under each fault the same work is done: customers are pulled, products are synced, and a sale starts by the clock. When
it is over and the work is done, what should have come of it is compared with what is there.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from daemon.config import SaleSettings
from daemon.sales.pricing import sale_prices
from daemon.sandbox.server import Sandbox
from daemon.sandbox.shopify.writes import AppliedWrite
from daemon.sources.shopify.models import PricePair
from tests.support.fault_proxy import FaultProxy, fault_proxy, postgres_proxy
from tests.support.ledger import check_ledger
from tests.support.process import RunningDaemon
from tests.support.sale_queue import prices_of
from tests.support.shop_memory import ShopMemory, product_sync
from tests.support.site import Site, eventually
from tests.support.sync_ledger import MAPPED, check_counters

WATCHDOG_SECONDS = 4.0
ANSWER_SECONDS = 2.5
SLOW_SECONDS = 0.05  # for each call at a source, so that the work lasts a while
LONGEST_LINE = 500  # characters
SALE = "tet"
SALE_LEAD = timedelta(seconds=1)
LISTENERS = {"hub": b'LISTEN "dongbo_jobs"'}

PROCESSED = "SELECT status = 'RUNNING' AND processed > 0 FROM dongbo.background_jobs WHERE id::text = $1"
LIVE = "SELECT id::text, type, status, error FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"
NOT_COMPLETED = "SELECT id::text, type, status, error FROM dongbo.background_jobs WHERE status <> 'COMPLETED'"
SALE_STATE = "SELECT state FROM dongbo.sale_campaigns WHERE name = $1"
CUSTOMERS = "SELECT count(*) FROM dongbo.nhanh_customers"
OPEN_PUSHES = """
SELECT (SELECT count(*) FROM dongbo.pushes WHERE result = 'intended')
     + (SELECT count(*) FROM dongbo.sale_writes WHERE result = 'intended')
"""


@dataclass
class Ledger:
    """What has come of the work; all of it is 0 where nothing was lost and nothing done twice."""

    rows_lost: int = 0
    rows_doubled: int = 0
    writes_lost: int = 0
    writes_doubled: int = 0
    open_writes: int = 0  # of which the outcome was never noted


class ServiceManagerEar:
    """Hears the daemon's signs of life, as systemd would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[float] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time without a sign of life, within a span of the monotonic clock."""
        times = [since, *(moment for moment in self.heard if since < moment < until), until]
        return max(later - earlier for earlier, later in pairwise(times))

    def close(self) -> None:
        """Hear no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while message := self._socket.recv(4096):
                if message == b"WATCHDOG=1":
                    self.heard.append(time.monotonic())


class FaultyShop:
    """A shop, its daemon, and the proxies between that and everything else."""

    def __init__(self, site: Site, sandbox: Sandbox, proxies: Mapping[str, FaultProxy], ear: ServiceManagerEar) -> None:
        self.site = site
        self.sandbox = sandbox
        self.database, self.nhanh, self.shopify = (proxies[name] for name in ("database", "nhanh", "shopify"))
        self.ear = ear
        self.daemon: RunningDaemon
        self.life = AsyncExitStack()  # of what a fault has brought about
        self.memory = ShopMemory(sandbox, product_sync(sandbox, price=None, compare_at_price=None))
        self.before = prices_of(sandbox.shopify)
        self._pull = ""
        self._written = 0

    @property
    def environment(self) -> dict[str, str]:
        """Of the daemon, as systemd gives it."""
        return {"NOTIFY_SOCKET": str(self.ear.path), "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000))}

    def reach_database_at(self, host: str) -> None:
        """Let the daemon know its database by a name instead of the address."""
        by_address = f"@127.0.0.1:{self.database.port}"
        file = Path(self.site.settings["database"]["url"]["file"])
        file.write_text(file.read_text().replace(by_address, f"@{host}:{self.database.port}"))

    async def prepare(self) -> None:
        """Mirror both sides and bring them in step."""
        api = self.daemon.api
        for job_type in ("PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS"):
            await api.completed((await api.submit(job_type, full=True))["id"])
        await api.completed((await api.submit("PRODUCT_CHAIN"))["id"])
        self._written = len(self.memory.journal)

    async def begin(self) -> None:
        """Set the work going; it is in the middle of everything when this returns: pages of the pull are stored, and
        something has just been written to Shopify of which the daemon does not know the outcome."""
        for product in self.memory.sold():
            for depot in self.sandbox.nhanh.depots:
                self.sandbox.nhanh.change_stock(product.id, depot.id, 5 + (product.id + depot.id) % 90)
        faults = self.sandbox.faults
        faults.slow, faults.slow_seconds = 1.0, SLOW_SECONDS
        wrote = asyncio.Event()
        self.memory.journal.listeners.append(lambda _: wrote.set())
        api = self.daemon.api
        starts = datetime.now(UTC) + SALE_LEAD
        sale = {"name": SALE, "store": "main", "percent": 20, "targets": {"all": True}, "starts": starts.isoformat()}
        await api.post("/api/sales", sale, 201)
        self._pull = (await api.submit("PULL_NHANH_CUSTOMERS"))["id"]
        await api.submit("PRODUCT_CHAIN")
        async with self.site.connection() as connection, asyncio.timeout(20):
            await eventually(lambda: connection.fetchval(PROCESSED, self._pull), what="a page of the pull")
            await wrote.wait()
        self.memory.journal.listeners.clear()

    async def status(self) -> dict[str, Any] | None:
        """`/status`; None where it does not come in time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found: dict[str, Any] = await self.daemon.api.get("/status")
                return found
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def complaints(self) -> set[str]:
        """What is wrong, by the daemon's own words: names of conditions, and of checks that fail, as `check:NAME`."""
        status = await self.status()
        if status is None:
            return {"no answer"}
        failing = {f"check:{check['name']}" for check in status["checks"] if not check["ok"]}
        return {condition["name"] for condition in status["conditions"]} | failing

    async def until(self, condition: Callable[[set[str]], bool], seconds: float, what: str) -> None:
        """Wait until the complaints are such; says what they are where they are not."""
        complaints: set[str] = set()

        async def is_so() -> bool:
            nonlocal complaints
            complaints = await self.complaints()
            return condition(complaints)

        try:
            await eventually(is_so, seconds, 0.1, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {complaints}\n{self.loud_lines()}") from None

    def loud_lines(self) -> str:
        """The last warnings and errors of the log."""
        loud = [line for line in self.daemon.process.log if line.get("level") not in ("debug", "info")]
        return "\n".join(str(line)[:LONGEST_LINE] for line in loud[-30:])

    async def done(self, seconds: float = 60.0) -> None:
        """Wait until the work is done, and the sale is on."""
        async with self.site.connection() as connection:

            async def has_ended() -> bool:
                state = await connection.fetchval(SALE_STATE, SALE)
                return state == "ACTIVE" and not await connection.fetch(LIVE)

            try:
                await eventually(has_ended, seconds, 0.1, "the end of the work")
            except AssertionError as error:
                jobs = [dict(row) for row in await connection.fetch(NOT_COMPLETED)]
                raise AssertionError(f"{error}: {jobs}\n{self.loud_lines()}") from None
            failed = [dict(row) for row in await connection.fetch(NOT_COMPLETED)]
            assert failed == [], failed

    async def ledger(self) -> Ledger:
        """What has come of the work, when it is done; then the sale ends, and the prices are as before."""
        self.sandbox.faults.slow = 0.0
        async with self.site.connection() as connection:
            found = Ledger()
            totals = await check_ledger(connection)
            found.rows_lost = len(self.sandbox.nhanh.customers) - await connection.fetchval(CUSTOMERS)
            found.rows_doubled = totals.created - await connection.fetchval(CUSTOMERS)
            await check_counters(connection.fetch)
            found.writes_lost = len(await self._stock_differences(connection)) + self._prices_wrong(self._on_sale())
            await self.daemon.api.post(f"/api/sales/{SALE}/revert")

            async def is_over() -> bool:
                return await connection.fetchval(SALE_STATE, SALE) == "COMPLETED"

            await eventually(is_over, what="the end of the sale")
            found.writes_lost += self._prices_wrong(self.before)
            found.writes_doubled = self._doubled()
            found.open_writes = await connection.fetchval(OPEN_PUSHES)
        return found

    def _on_sale(self) -> dict[int, PricePair]:
        rule = SaleSettings.model_validate({"name": SALE, "store": "main", "percent": 20, "targets": {"all": True}})
        return {
            number: on_sale if isinstance(on_sale := sale_prices(rule, prices), PricePair) else prices
            for number, prices in self.before.items()
        }

    def _prices_wrong(self, wanted: Mapping[int, PricePair]) -> int:
        present = prices_of(self.sandbox.shopify)
        return sum(present[number] != prices for number, prices in wanted.items())

    async def _stock_differences(self, connection: asyncpg.Connection) -> list[tuple[int, int]]:
        """(variant, location) of which Shopify has something else than Nhanh.vn."""
        pairs = await connection.fetch(MAPPED)
        assert len(pairs) > len(self.sandbox.shopify.variants) // 2
        found = []
        for variant_id, product_id in pairs:
            variant = self.sandbox.shopify.variants[variant_id]
            for location_id in self.memory.depots_of if variant.tracked else ():
                level = variant.level_at(location_id)
                if (level.available if level is not None else 0) != self.memory.desired(product_id, location_id):
                    found.append((variant_id, location_id))
        return found

    def _doubled(self) -> int:
        """Effects beyond the one that each stock may have, and the two that each price may: on sale, and back."""
        effects = [write for write in self.memory.journal[self._written :] if write.has_effect]
        allowed = {"stock": 1, "activate": 1, "price": 2, "compare_at_price": 2}
        times = Counter(write.subject for write in effects)
        return sum(max(number - allowed[str(subject[0])], 0) for subject, number in times.items()) + _repeated(effects)


def _repeated(effects: Sequence[AppliedWrite]) -> int:
    """Calls that had their effect twice."""
    times = Counter((write.key, write.subject) for write in effects if write.key is not None)
    return sum(number - 1 for number in times.values())


@asynccontextmanager
async def faulty_shop(
    directory: Path, sandbox: Sandbox, database_url: str, *, shopify_url: str | None = None
) -> AsyncIterator[FaultyShop]:
    """The shop, without its daemon yet: `site.daemon(shop.environment)` starts it.

    `shopify_url`: where Shopify is, if not where the sandbox has it.
    """
    shopify_url = shopify_url or sandbox.shopify_url
    async with AsyncExitStack() as stack:
        proxies = {
            "database": await stack.enter_async_context(postgres_proxy(database_url, LISTENERS)),
            "nhanh": await stack.enter_async_context(_before(sandbox.nhanh_url)),
            "shopify": await stack.enter_async_context(_before(shopify_url)),
        }
        ear = ServiceManagerEar(directory / "notify")
        stack.callback(ear.close)
        site = Site(directory, sandbox, database_url)
        site.settings["database"] = {
            "url": site.secret("database-url", proxies["database"].postgres_url(database_url)),
            "statement_timeout_seconds": 2,
        }
        site.settings["jobs"] |= {"max_attempts": 50}
        store = site.settings["stores"]["main"]
        store["nhanh"]["base_url"] = proxies["nhanh"].url(sandbox.nhanh_url)
        store["shopify"]["base_url"] = proxies["shopify"].url(shopify_url)
        shop = FaultyShop(site, sandbox, proxies, ear)
        settings = product_sync(sandbox, price=None, compare_at_price=None)
        store["product_sync"] = settings.model_dump(mode="json", exclude_none=True)
        site.write()
        await stack.enter_async_context(shop.life)
        yield shop


def _before(url: str) -> AbstractAsyncContextManager[FaultProxy]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return fault_proxy(parts.hostname, parts.port)
