"""Rule 3: after `kill -9` at any moment a pull goes on from its checkpoint, and its counters tell the truth."""

import asyncio
import os
import random
import sys
import time

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.databases import BLOCKED
from tests.support.ledger import check_ledger
from tests.support.process import ENDED, RunningDaemon
from tests.support.site import Site, eventually, gone, is_alive

KILLS = 30
JOB = "PULL_NHANH_CUSTOMERS"
LIVE = "SELECT id::text FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"
PROCESSED = "SELECT processed FROM dongbo.background_jobs WHERE id::text = $1"
STATUSES = "SELECT DISTINCT status FROM dongbo.background_jobs"
LOCK_JOB = "SELECT FROM dongbo.background_jobs WHERE id::text = $1 FOR UPDATE"
DAEMON_GONE = """
SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dongbo'
"""
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

    def next_round(self) -> None:
        """The first round has rows that can't be read; each later one has some that have changed."""
        self._sandbox.faults.bad_rows = 0.02 if self.rounds % 3 == 0 else 0.0
        if self.rounds:
            for customer_id in self._ids[self.rounds :: 83]:
                self._sandbox.nhanh.touch_customer(customer_id)
        self.rounds += 1


def new_chance() -> random.Random:
    """Random moments; a failed test's output says how to have the same again."""
    seed = int(os.environ.get("DONGBO_TEST_SEED") or time.time_ns() % 1_000_000)
    sys.stdout.write(f"DONGBO_TEST_SEED={seed}\n")
    return random.Random(seed)


async def test_thirty_kills_at_random_moments(site: Site, sandbox: Sandbox, connection: asyncpg.Connection) -> None:
    """Rule 3: the daemon is killed thirty times during pulls; after each recovery the counters equal the tables."""
    chance, season = new_chance(), Season(sandbox)
    site.settings["stores"]["reference"] = site.store()
    site.write()
    rescued = 0
    for kill in range(KILLS):
        if kill % 6 == 5:
            await kill_while_starting(site, chance.uniform(0.3, 0.8))
            await check_ledger(connection)
            continue
        async with site.daemon() as daemon:
            if live := await connection.fetchval(LIVE):
                await daemon.process.logged("job_started", seconds=5)
                rescued += 1
                if kill % 3 == 2:  # a job is given up after five deaths without a page between them
                    await next_page(daemon, live, connection)
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
    assert {row["status"] for row in await connection.fetch(STATUSES)} == {"COMPLETED"}


async def next_page(daemon: RunningDaemon, job_id: str, connection: asyncpg.Connection) -> None:
    """Wait until a job has stored another page, or has ended."""
    before = await connection.fetchval(PROCESSED, job_id)
    await daemon.api.job_when(job_id, lambda job: job["processed"] > before or job["status"] in ENDED)


async def kill_while_starting(site: Site, seconds: float) -> None:
    """Kill a daemon that may not be ready yet."""
    async with site.process() as process:
        await asyncio.sleep(seconds)  # any moment will do
        await process.kill()


async def pull_until(moment: float, daemon: RunningDaemon, season: Season, connection: asyncpg.Connection) -> None:
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


async def test_a_kill_between_the_rows_and_their_counters(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """Rule 3: killed when a page's rows are written and its counters are not yet, neither is there afterwards."""
    async with site.daemon() as daemon:
        job = await daemon.api.submit(JOB)
        await daemon.api.job_when(job["id"], lambda seen: seen["processed"] > 0)
        async with site.connection() as other, other.transaction():
            await other.execute(LOCK_JOB, job["id"])
            await eventually(lambda: connection.fetchval(BLOCKED), what="a page that waits for its job's row")
            before = await check_ledger(connection)
            await daemon.process.kill()
        await eventually(lambda: connection.fetchval(DAEMON_GONE), what="the end of the daemon's connections")
        assert await check_ledger(connection) == before
    async with site.daemon() as daemon:
        await daemon.api.completed(job["id"])
    totals = await check_ledger(connection)
    assert totals.processed == totals.created == len(sandbox.nhanh.customers)


async def test_kills_with_the_embedded_server(embedded_site: Site, sandbox: Sandbox) -> None:
    """Rule 3, with the embedded server: PostgreSQL ends with its daemon and recovers, and no commit is lost."""
    chance, season, seen = new_chance(), Season(sandbox), 0
    for _ in range(3):
        async with embedded_site.daemon() as daemon:
            postgres = embedded_site.postmaster()
            async with embedded_site.connection() as connection:
                moment = asyncio.get_running_loop().time() + chance.uniform(0.1, 0.5)
                await pull_until(moment, daemon, season, connection)
                processed = await check_ledger(connection)
            assert processed.processed >= seen, "what was committed before the kill is still there"
            seen = processed.processed
            await daemon.process.kill()
        await gone(postgres)
    async with embedded_site.daemon() as daemon, embedded_site.connection() as connection:
        for (job_id,) in await connection.fetch(LIVE):
            await daemon.api.completed(job_id)
        totals = await check_ledger(connection)
        assert totals.processed >= seen
        assert {row["status"] for row in await connection.fetch(STATUSES)} == {"COMPLETED"}
        postgres = embedded_site.postmaster()
        assert await daemon.process.terminate() == 0
    assert not is_alive(postgres), "a daemon that ends in order leaves no server behind"


async def test_another_daemon_takes_over(site: Site, sandbox: Sandbox, connection: asyncpg.Connection) -> None:
    """A job whose daemon is killed and stays dead goes on with another one, within thirty seconds."""
    async with site.daemon() as first, site.daemon() as second:
        job = await first.api.submit(JOB)
        running = await first.api.job_when(job["id"], lambda seen: seen["processed"] > 0)
        by_worker = {(await daemon.api.get("/status"))["worker"]: daemon for daemon in (first, second)}
        assert len(by_worker) == 2, "each daemon has a name of its own"
        victim = by_worker.pop(running["worker"])
        (heir,) = by_worker.values()
        await victim.process.kill()
        before = await check_ledger(connection)
        assert 0 < before.processed < len(sandbox.nhanh.customers)
        await heir.process.logged("job_started", job_id=job["id"], seconds=30)
        done = await heir.api.completed(job["id"])
        assert not heir.process.events("queue_cycle_failed"), "the heir's own queue went on as if nothing had happened"
        assert done["worker"] != running["worker"]
    totals = await check_ledger(connection)
    assert totals.processed == totals.created == len(sandbox.nhanh.customers)
