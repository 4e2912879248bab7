"""A database that goes away in the middle of the work: the daemon survives, and what it says and counts stays true."""

import asyncio
import os
import signal

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.ledger import check_ledger
from tests.support.site import Site, eventually

JOB = "PULL_NHANH_CUSTOMERS"
OWN_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'dongbo' AND datname = current_database()"
# The last statement of the hub's connection is its LISTEN, or a probe, or the one that comes first at the start.
LAST = """(query = 'LISTEN "dongbo_jobs"' OR query LIKE '%last_value%' OR query LIKE 'SELECT pg_notify%')"""
END_LISTENERS = f"""
SELECT pg_terminate_backend(pid)
FROM ({OWN_BACKENDS} AND {LAST}) AS listeners
"""
END_ALL = f"SELECT pg_terminate_backend(pid) FROM ({OWN_BACKENDS}) AS backends"
RUNS = "SELECT status = 'RUNNING' AND processed > $2 FROM dongbo.background_jobs WHERE id::text = $1"
COMPLETED = "SELECT status = 'COMPLETED' FROM dongbo.background_jobs WHERE id::text = $1"
VERSION = "SELECT version FROM dongbo.background_jobs WHERE id::text = $1"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of some twenty pages, each of which takes a while."""
    settings = SandboxSettings(products=1, customers=2_000, limits=False)
    settings.faults.slow, settings.faults.slow_seconds = 1.0, 0.1
    return settings


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_postgres_restarted_in_the_middle_of_a_pull(
    embedded_site: Site, sandbox: Sandbox, number: signal.Signals
) -> None:
    """PostgreSQL is restarted, or killed, during a pull: the daemon starts it again, says meanwhile that it is not
    ready and why, and the job ends with exact counters."""
    async with embedded_site.daemon(environment={"WATCHDOG_USEC": "20000"}) as daemon:
        job = await daemon.api.submit(JOB)
        await daemon.api.job_when(job["id"], lambda seen: seen["processed"] > 0)
        assert await daemon.api.text("/readyz") == (200, "ok\n")
        first = embedded_site.postmaster()
        os.kill(first, number)

        async def answer(status: int) -> str | None:
            found, text = await daemon.api.text("/readyz")
            return text if found == status else None

        refusal = await eventually(lambda: answer(503), 10, 0.002, "503 of /readyz")
        assert "[-] " in refusal, "with reasons"
        assert refusal.endswith("not ready\n")
        assert (await daemon.api.text("/livez"))[0] == 200
        await eventually(lambda: answer(200), 20, what="200 of /readyz")
        assert embedded_site.postmaster() != first
        done = await daemon.api.completed(job["id"], 60)
        assert done["processed"] == done["created"] == len(sandbox.nhanh.customers)
        async with embedded_site.connection() as connection:
            await check_ledger(connection)
        assert await daemon.process.terminate() == 0
    assert not embedded_site.has_pid_file()


async def test_all_connections_cut_again_and_again(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """All connections of the daemon are cut five times during a pull: the job goes on and ends with exact counters."""
    async with site.daemon(environment={"WATCHDOG_USEC": "20000"}) as daemon:
        job = await daemon.api.submit(JOB)
        for processed in range(0, 1000, 200):
            # A run that is cut off while it is claimed is found by its silent heartbeat, half a minute later.
            await eventually(lambda processed=processed: connection.fetchval(RUNS, job["id"], processed), 60)
            await connection.execute(END_ALL)
            await check_ledger(connection)
        await eventually(lambda: connection.fetchval(COMPLETED, job["id"]), 60)
        assert await daemon.process.terminate() == 0
    totals = await check_ledger(connection)
    assert totals.processed == totals.created == len(sandbox.nhanh.customers)


async def test_events_come_without_notifications(site: Site, sandbox: Sandbox, connection: asyncpg.Connection) -> None:
    """Rule 7: a reader of the event stream sees the job's end although every LISTEN connection is cut all the time."""
    async with site.daemon() as daemon, daemon.api.stream() as jobs, asyncio.TaskGroup() as tasks:

        async def cut() -> None:
            while True:
                await connection.execute(END_LISTENERS)
                await asyncio.sleep(0.02)

        cutting = tasks.create_task(cut())
        job = await daemon.api.submit(JOB)
        sandbox.faults.slow = 0.0
        async with asyncio.timeout(30):
            async for seen in jobs:
                if seen["id"] == job["id"] and seen["status"] == "COMPLETED":
                    break
        cutting.cancel()
    assert seen["version"] == (await connection.fetchval(VERSION, job["id"]))
    begun, over = (len(daemon.process.events(f"hub_listener_{what}")) for what in ("failed", "recovered"))
    assert 1 <= over <= begun < 10, "they were cut all the time, of which the log tells, but not all the time"
