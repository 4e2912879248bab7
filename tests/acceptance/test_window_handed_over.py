"""Nhanh.vn's window is known to all daemons of a database: a hand-over costs no ERR_429, and a wait is told live."""

import asyncpg
import pytest

from daemon.sandbox.nhanh.limits import REQUESTS, WINDOW_SECONDS
from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.process import Job, RunningDaemon
from tests.support.site import Site

JOB = "PULL_NHANH_CUSTOMERS"
CUSTOMERS = 16_500  # more pages than a window holds
HANDED_OVER_AT = 11_000
PROCESSES = "SELECT count(*) FROM dongbo.source_windows WHERE url LIKE '%/customer/list'"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop under Nhanh.vn's real limit."""
    return SandboxSettings(products=1, customers=CUSTOMERS)


def waits_for_limit(job: Job) -> bool:
    """Whether the job says that it waits for the rate limit."""
    waiting = job["metadata"].get("waiting")
    return waiting is not None and waiting["for"] == "the rate limit"


def calls(sandbox: Sandbox) -> list[float]:
    """When customers were asked for; nobody was refused, and no window held more than allowed."""
    requests = [request for request in sandbox.nhanh.requests if request.path.endswith("customer/list")]
    assert {request.outcome for request in requests} == {"ok"}
    at = [request.at for request in requests]
    assert max(sum(start <= other < start + WINDOW_SECONDS for other in at) for start in at) <= REQUESTS
    return at


async def pulled_halfway(daemon: RunningDaemon) -> Job:
    """A pull that has used up most of the window."""
    job = await daemon.api.submit(JOB, full=True)
    return await daemon.api.job_when(job["id"], lambda seen: seen["processed"] >= HANDED_OVER_AT)


async def test_a_pull_that_goes_on_after_a_kill_meets_no_refusal(site: Site, sandbox: Sandbox) -> None:
    """After `kill -9` the next daemon takes what is left of the window, and says that it waits for more."""
    async with site.daemon() as daemon:
        job = await pulled_halfway(daemon)
        await daemon.process.kill()
    before = len(calls(sandbox))
    async with site.daemon() as daemon:
        seen = await daemon.api.job_when(job["id"], waits_for_limit)
        assert seen["status"] == "RUNNING"
        assert seen["processed"] < CUSTOMERS
        assert before < len(calls(sandbox)) <= REQUESTS
        await daemon.api.cancel(job["id"])
        await daemon.api.ended(job["id"])


async def test_the_next_job_on_another_daemon_meets_no_refusal(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """Of two daemons the second, which runs already, goes by what the first has used before it was stopped."""
    async with site.daemon() as first:
        job = await pulled_halfway(first)
        await first.api.cancel(job["id"])
        await first.api.ended(job["id"])
        before = len(calls(sandbox))
        async with site.daemon() as second:
            await first.process.terminate()
            again = await second.api.submit(JOB, full=True, restart=True)
            seen = await second.api.job_when(again["id"], waits_for_limit)
            assert before < len(calls(sandbox)) <= REQUESTS
            assert await connection.fetchval(PROCESSES) == 2
            # A page comes now and then, while it waits on.
            pages = seen["metadata"].get("pages", 0)
            moved = await second.api.job_when(again["id"], lambda job: job["metadata"].get("pages", 0) > pages)
            assert waits_for_limit(moved)
            await second.api.cancel(again["id"])
            await second.api.ended(again["id"])
