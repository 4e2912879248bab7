"""Rule 3: after `kill -9` at any moment a pull goes on from its checkpoint, and its counters tell the truth."""

import asyncio
import os
import random
import time
from collections.abc import Callable

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.acceptance.conftest import Site, eventually
from tests.acceptance.ledger import check_ledger
from tests.acceptance.process import RunningDaemon

KILLS = 30
JOB = "PULL_NHANH_CUSTOMERS"
LIVE = "SELECT id::text FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"
STATUSES = "SELECT status, count(*) FROM dongbo.background_jobs WHERE store = 'main' GROUP BY status"
DIFFERENCE = """
SELECT count(*) FROM
    (SELECT id, digest FROM dongbo.nhanh_customers WHERE store = 'main' AND deleted_at IS NULL) AS killed
    FULL JOIN
    (SELECT id, digest FROM dongbo.nhanh_customers WHERE store = 'reference' AND deleted_at IS NULL) AS reference
    USING (id, digest)
WHERE (killed.id IS NULL) <> (reference.id IS NULL)
"""


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of some thirty pages, each of which takes a while."""
    settings = SandboxSettings(products=1, customers=2_500, limits=False)
    settings.faults.slow, settings.faults.slow_seconds = 1.0, 0.02
    return settings


class Season:
    """What happens in the shop between the pulls: in each round other rows change, so that none changes twice."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._ids = sorted(sandbox.nhanh.customers)
        self.rounds = 0
        self.changed = 0

    def next_round(self) -> None:
        """The first round has rows that can't be read; each later one has some that have changed."""
        self._sandbox.faults.bad_rows = 0.02 if self.rounds % 3 == 0 else 0.0
        if self.rounds:
            for customer_id in self._ids[self.rounds :: 83]:
                self._sandbox.nhanh.touch_customer(customer_id)
                self.changed += 1
        self.rounds += 1


async def test_thirty_kills_at_random_moments(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection, record_property: Callable[[str, object], None]
) -> None:
    """Rule 3: the daemon is killed thirty times during pulls; after each recovery the counters equal the tables."""
    seed = int(os.environ.get("DONGBO_TEST_SEED") or time.time_ns() % 1_000_000)
    print(f"DONGBO_TEST_SEED={seed}")
    record_property("seed", seed)
    chance, season = random.Random(seed), Season(sandbox)
    site.settings["stores"]["reference"] = site.store()
    site.write()
    rescued = 0
    for _ in range(KILLS):
        async with site.daemon() as daemon:
            if await connection.fetchval(LIVE):
                await daemon.process.logged("job_started", seconds=5)
                rescued += 1
            moment = asyncio.get_running_loop().time() + chance.uniform(0.0, 0.6)
            await pull_until(moment, daemon, season, connection)
            await daemon.process.kill()
        await check_ledger(connection)
    assert rescued > KILLS / 3, "most kills should have met a pull under way"
    async with site.daemon() as daemon:
        for (job_id,) in await connection.fetch(LIVE):
            await daemon.api.completed(job_id)
        sandbox.faults.bad_rows = sandbox.faults.slow = 0.0
        for store in ("main", "reference"):
            job = await daemon.api.submit(JOB, store=store, full=True)
            await daemon.api.completed(job["id"])
        await daemon.process.terminate()
    totals = await check_ledger(connection)
    assert await connection.fetchval(DIFFERENCE) == 0, "the same rows as a pull that nobody killed"
    assert totals.created == len(sandbox.nhanh.customers)
    assert totals.updated > 0
    assert totals.failed > 0
    assert dict(await connection.fetch(STATUSES)) == {"COMPLETED": season.rounds + 1}


async def pull_until(
    moment: float, daemon: RunningDaemon, season: Season, connection: asyncpg.Connection
) -> None:
    """Let one full pull follow the other until the moment has come."""
    try:
        async with asyncio.timeout_at(moment):
            while True:
                for (job_id,) in await connection.fetch(LIVE):
                    await daemon.api.completed(job_id)
                season.next_round()
                await daemon.api.submit(JOB, full=True)
    except TimeoutError:
        return
