"""Rule 9: stopping loses nothing."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.databases import BLOCKED
from tests.support.ledger import check_ledger
from tests.support.process import Job, RunningDaemon
from tests.support.site import Site, eventually, gone, is_alive

JOB = "PULL_NHANH_CUSTOMERS"
AT_ONCE = 3.0  # seconds
ROW = "SELECT status, attempt, run_token, worker, processed FROM dongbo.background_jobs WHERE id = $1"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of some ten pages, each of which takes a while."""
    settings = SandboxSettings(products=20, customers=900, limits=False)
    settings.faults.slow, settings.faults.slow_seconds = 1.0, 0.1
    return settings


async def started_pull(daemon: RunningDaemon) -> Job:
    """A pull that has stored a page."""
    job = await daemon.api.submit(JOB)
    return await daemon.api.job_when(job["id"], lambda seen: seen["processed"] > 0)


async def completes(site: Site, sandbox: Sandbox, connection: asyncpg.Connection, job: Job) -> None:
    """The next daemon ends the job, exactly."""
    sandbox.faults.slow = 0.0
    async with site.daemon() as daemon:
        await daemon.api.completed(job["id"])
    totals = await check_ledger(connection)
    assert totals.processed == totals.created == len(sandbox.nhanh.customers)


@asynccontextmanager
async def locked_table(site: Site) -> AsyncIterator[None]:
    """Hold up every page that is to be stored."""
    async with site.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE dongbo.nhanh_customers IN EXCLUSIVE MODE")
        yield


async def page_is_blocked(connection: asyncpg.Connection) -> None:
    """Wait until a page waits for the locked table."""
    await eventually(lambda: connection.fetchval(BLOCKED), what="a blocked page")


async def test_a_stop_puts_running_jobs_back_at_no_cost(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """SIGTERM in the middle of a pull: exit code 0, the job is pending with no attempt spent, and goes on later."""
    async with site.daemon() as daemon:
        job = await started_pull(daemon)
        began = time.monotonic()
        assert await daemon.process.terminate() == 0
        assert time.monotonic() - began < AT_ONCE
    row = await connection.fetchrow(ROW, job["id"])
    assert (row["status"], row["attempt"], row["run_token"], row["worker"]) == ("PENDING", 0, None, None)
    assert 0 < row["processed"] < len(sandbox.nhanh.customers)
    await check_ledger(connection)
    await completes(site, sandbox, connection, job)


@pytest.mark.parametrize("job_type", [JOB, "PULL_SHOPIFY_PRODUCTS"])
async def test_a_stop_does_not_wait_for_a_source_that_hangs(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection, job_type: str
) -> None:
    """SIGTERM while a call to the source gets no answer: the daemon ends at once, and the job goes on afterwards."""
    sandbox.faults.slow_seconds = 60.0
    async with site.daemon() as daemon:
        job = await daemon.api.submit(job_type)
        await eventually(lambda: _calls(sandbox, job_type), what="a call that hangs")
        began = time.monotonic()
        assert await daemon.process.terminate() == 0
        assert time.monotonic() - began < AT_ONCE
    assert (await connection.fetchrow(ROW, job["id"]))["status"] == "PENDING"
    sandbox.faults.slow = 0.0
    async with site.daemon() as daemon:
        done = await daemon.api.completed(job["id"])
        assert done["processed"] == done["created"] > 0


async def _calls(sandbox: Sandbox, job_type: str) -> int:
    return len(sandbox.nhanh.requests) if job_type == JOB else sandbox.faults.counts.total()


@pytest.mark.parametrize("by", ["second signal", "grace time"])
async def test_what_does_not_stop_is_cut_off(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection, by: str
) -> None:
    """A second SIGTERM, or the grace time, cuts off a page that can't be stored: nothing is lost."""
    site.settings["jobs"]["stop_grace_seconds"] = 1 if by == "grace time" else 60
    site.write()
    async with site.daemon() as daemon:
        job = await started_pull(daemon)
        async with locked_table(site):
            await page_is_blocked(connection)
            daemon.process.send(signal.SIGTERM)
            await daemon.process.logged("stopping")
            began = time.monotonic()
            if by == "second signal":
                assert daemon.process.exit_code is None
                daemon.process.send(signal.SIGTERM)
            assert await daemon.process.exited() == 0
            assert time.monotonic() - began < AT_ONCE + 1
            await daemon.process.logged("runs_cut_off")
    await check_ledger(connection)
    await completes(site, sandbox, connection, job)


async def test_a_reload_that_comes_while_stopping_is_too_late(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """SIGHUP while the jobs come to their checkpoints changes nothing any more: they get their time all the same."""
    async with site.daemon() as daemon:
        job = await started_pull(daemon)
        async with locked_table(site):
            await page_is_blocked(connection)
            daemon.process.send(signal.SIGTERM)
            await daemon.process.logged("stopping")
            daemon.process.send(signal.SIGHUP)
            # Answered while it stops: by then the signal has been seen.
            await daemon.api.get(f"/api/jobs/{job['id']}")
        assert await daemon.process.exited() == 0
    assert not [entry for entry in daemon.process.log if entry.get("event") in ("part_crashed", "runs_cut_off")]
    await completes(site, sandbox, connection, job)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_daemon_stops_at_once(site: Site, number: signal.Signals) -> None:
    """A daemon without work ends at once and in order, with readers of its event stream connected."""
    async with site.daemon() as daemon, daemon.api.stream() as jobs:
        reader = asyncio.ensure_future(anext(aiter(jobs), None))
        began = time.monotonic()
        daemon.process.send(number)
        assert await daemon.process.exited() == 0
        assert time.monotonic() - began < AT_ONCE
        assert await reader is None, "the stream ended in order"


async def test_a_stop_while_starting_is_obeyed(site: Site, unused_port: int) -> None:
    """SIGTERM while the daemon waits for a database that is away ends it at once."""
    site.settings["database"] = {"url": f"postgresql://postgres@127.0.0.1:{unused_port}/dongbo"}
    site.write()
    async with site.process(forked=True) as process:
        await process.logged("database_awaited")
        began = time.monotonic()
        assert await process.terminate() == 0
        assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_embedded_server_ends_with_its_daemon(
    embedded_site: Site, sandbox: Sandbox, number: signal.Signals
) -> None:
    """Neither a stop nor `kill -9` in the middle of a pull leaves a PostgreSQL behind."""
    async with embedded_site.daemon() as daemon:
        await started_pull(daemon)
        postgres = embedded_site.postmaster()
        assert is_alive(postgres)
        daemon.process.send(number)
        await daemon.process.exited()
    await gone(postgres)
    assert not embedded_site.has_pid_file(), "it ended in order"
