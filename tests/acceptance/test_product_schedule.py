"""The product schedule: each fire is one chain of jobs, on however many daemons, and Shopify is in step after it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.process import Job, RunningDaemon
from tests.support.shop_memory import ShopMemory, product_sync
from tests.support.site import Site, eventually
from tests.support.sync_ledger import WATCH, check_quiet

EVERY = 720  # minutes; a fire in the middle of a test is unlikely
STEPS = ["PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS", "PULL_NHANH_INVENTORY", "MATCH_PRODUCTS", "SYNC_PRODUCTS"]
DOWN_SINCE = "UPDATE dongbo.schedule_states SET known_since = $1"
FIRES = "SELECT schedule, fire_time, outcome, job_id FROM dongbo.schedule_fires ORDER BY fire_time"
CHAINS = "SELECT id, schedule, fire_time, trigger, status FROM dongbo.background_jobs WHERE type = 'PRODUCT_CHAIN'"
CHILDREN = "SELECT type, status, trigger, schedule FROM dongbo.background_jobs WHERE parent_id = $1 ORDER BY id"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that is pulled in no time."""
    settings = SandboxSettings(products=20, customers=1, limits=False)
    settings.faults.slow_seconds = 0.5
    return settings


@pytest.fixture
def memory(sandbox: Sandbox) -> ShopMemory:
    """What the shop had, to compare with."""
    return ShopMemory(sandbox, product_sync(sandbox))


@pytest.fixture
def product_site(site: Site, sandbox: Sandbox) -> Site:
    """A site with a product schedule."""
    site.settings["stores"]["main"]["product_sync"] = product_sync(sandbox).model_dump(mode="json", exclude_unset=True)
    site.settings["schedules"] = [{"name": "goods", "kind": "product", "store": "main", "every_minutes": EVERY}]
    site.write()
    return site


def last_fire(moment: datetime) -> datetime:
    """The last multiple of the interval since midnight UTC."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // timedelta(minutes=EVERY) * timedelta(minutes=EVERY)


async def remembered(site: Site, connection: asyncpg.Connection, down_since: datetime) -> None:
    """Let a daemon get to know the schedule, and have it gone since `down_since`."""
    async with site.daemon() as daemon:
        assert await daemon.process.terminate() == 0
    await connection.execute(DOWN_SINCE, down_since)
    assert await connection.fetch(FIRES) == []


async def ended_chain(connection: asyncpg.Connection) -> Any:
    """The one chain that there is, when it has ended."""

    async def ended() -> Any:
        chains = await connection.fetch(CHAINS)
        return chains[0] if chains and chains[0]["status"] not in ("PENDING", "RUNNING") else None

    return await eventually(ended, 60, what="the end of a chain")


async def test_two_daemons_make_one_chain_of_a_fire(
    product_site: Site, memory: ShopMemory, connection: asyncpg.Connection
) -> None:
    """Rule 6: several missed fires make one chain, for the last of them; its steps follow each other, and then Shopify
    has what Nhanh.vn has. Neither the second daemon nor a restart adds anything."""
    await connection.execute(WATCH)
    fire = last_fire(datetime.now(UTC))
    await remembered(product_site, connection, fire - timedelta(minutes=3 * EVERY + 1))
    async with product_site.daemon() as one, product_site.daemon() as another:
        chain = await ended_chain(connection)
        for daemon in (one, another):
            await eventually(lambda daemon=daemon: shows(daemon, fire), what="the fire at both daemons")
        shown = await one.api.get(f"/api/jobs/{chain['id']}")
        for daemon in (one, another):
            assert await daemon.process.terminate() == 0
    async with product_site.daemon() as daemon:
        await eventually(lambda: shows(daemon, fire))
        assert await daemon.process.terminate() == 0
    assert [tuple(row) for row in await connection.fetch(CHAINS)] == [
        (chain["id"], "goods", fire, "schedule", "COMPLETED")
    ]
    assert [tuple(row) for row in await connection.fetch(FIRES)] == [("goods", fire, "submitted", chain["id"])]
    children = await connection.fetch(CHILDREN, chain["id"])
    assert [row["type"] for row in children] == STEPS
    assert {(row["status"], row["trigger"], row["schedule"]) for row in children} == {
        ("COMPLETED", "schedule", "goods")
    }
    assert [(step["type"], step["status"]) for step in shown["metadata"]["steps"]] == [
        (step, "COMPLETED") for step in STEPS
    ]
    assert await check_quiet(memory, connection.fetch) > 50


async def test_a_fire_without_products_and_one_by_hand(
    product_site: Site, memory: ShopMemory, connection: asyncpg.Connection
) -> None:
    """Run by hand the schedule makes its chain at once; without `pull_products` that is two steps shorter, and while it
    is live there is no second one of the same steps."""
    product_site.settings["schedules"].append(
        {"name": "stock", "kind": "product", "store": "main", "cron": "0 3 1 1 *", "pull_products": False}
    )
    product_site.write()
    async with product_site.daemon() as daemon:
        chain = await run_now(daemon, "goods")
        assert (await daemon.api.completed(chain["id"]))["total"] == len(STEPS)
        memory.restock_many(random.Random(1))
        memory.sandbox.faults.next("slow", path="product/inventory")
        chain = await run_now(daemon, "stock")
        refused = await daemon.api.post("/api/schedules/stock/run", status=409)
        assert refused["job_id"] == chain["id"]
        done = await daemon.api.completed(chain["id"])
        steps = (await daemon.api.get(f"/api/jobs?parent={chain['id']}"))["jobs"]
        assert [step["type"] for step in reversed(steps)] == STEPS[2:]
        assert (done["processed"], done["schedule"], done["trigger"]) == (3, "stock", "api")


async def run_now(daemon: RunningDaemon, name: str) -> Job:
    """Run a schedule by hand."""
    job: Job = await daemon.api.post(f"/api/schedules/{name}/run")
    return job


async def shows(daemon: RunningDaemon, fire: datetime) -> bool:
    """Whether a daemon shows this as the last fire, and the next one after the interval."""
    (listed,) = (await daemon.api.get("/api/schedules"))["schedules"]
    shown = [listed[name] and datetime.fromisoformat(listed[name]) for name in ("last_fire", "next_fire")]
    return shown == [fire, fire + timedelta(minutes=EVERY)]
