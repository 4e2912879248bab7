"""Cancelling over HTTP takes effect within one page, whatever the job is doing."""

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.ledger import check_ledger
from tests.support.site import Site, eventually

AT_ONCE = 3.0  # seconds


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of some thirty pages, each of which takes a while."""
    settings = SandboxSettings(products=20, customers=3_000, limits=False)
    settings.faults.slow, settings.faults.slow_seconds = 1.0, 0.1
    return settings


async def test_a_running_pull_stops_within_one_page(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """A cancelled pull asks for no further page than the one on its way, and its counters are exact."""
    async with site.daemon() as daemon:
        job = await daemon.api.submit("PULL_NHANH_CUSTOMERS")
        await daemon.api.job_when(job["id"], lambda seen: seen["processed"] > 0)
        answer = await daemon.api.cancel(job["id"])
        asked = len(sandbox.nhanh.requests)
        assert answer["cancel_requested"] is True
        ended = await daemon.api.ended(job["id"], AT_ONCE)
        assert ended["status"] == "CANCELLED"
        assert len(sandbox.nhanh.requests) <= asked + 1
        assert 0 < ended["processed"] < len(sandbox.nhanh.customers)
    await check_ledger(connection)


@pytest.mark.parametrize("job_type", ["PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_PRODUCTS"])
async def test_a_pull_whose_source_hangs_is_cancelled_at_once(site: Site, sandbox: Sandbox, job_type: str) -> None:
    """Who cancels a job whose source gives no answer does not wait for the answer, not even of the first call."""
    sandbox.faults.slow_seconds = 60.0
    async with site.daemon() as daemon:
        job = await daemon.api.submit(job_type)

        async def is_calling() -> bool:
            return sandbox.faults.counts.total() > 0

        await eventually(is_calling, what="a call that hangs")
        await daemon.api.cancel(job["id"])
        assert (await daemon.api.ended(job["id"], AT_ONCE))["status"] == "CANCELLED"


async def test_a_job_that_waits_for_its_retry_is_cancelled_at_once(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """A page that can't be stored for now defers its job; cancelled meanwhile it ends at once, and runs no more."""
    site.settings["jobs"] |= {"retry_backoff_seconds": 600, "retry_backoff_max_seconds": 600}
    site.settings["database"]["statement_timeout_seconds"] = 1
    site.write()
    async with site.daemon() as daemon:
        async with connection.transaction():
            await connection.execute("LOCK TABLE dongbo.nhanh_customers IN EXCLUSIVE MODE")
            job = await daemon.api.submit("PULL_NHANH_CUSTOMERS")
            waiting = await daemon.api.job_when(job["id"], lambda seen: seen["not_before"] is not None)
        assert (waiting["status"], waiting["attempt"]) == ("PENDING", 1)
        assert "PostgreSQL" in waiting["error"]
        assert (await daemon.api.cancel(job["id"]))["status"] == "CANCELLED"
        calls = len(sandbox.nhanh.requests)
        sandbox.faults.slow = 0.0
        other = await daemon.api.submit("PULL_NHANH_PRODUCTS")
        await daemon.api.completed(other["id"])
        paths = {request.path for request in list(sandbox.nhanh.requests)[calls:]}
        assert "product/list" in paths
        assert "customer/list" not in paths
        assert (await daemon.api.get(f"/api/jobs/{job['id']}"))["status"] == "CANCELLED"
