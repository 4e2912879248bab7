"""A daemon behind PgBouncer in session mode: it works, listens past it, and keeps to its budget."""

from pathlib import Path

import asyncpg
import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.pooler import LENIENT, pooler
from tests.support.site import Site

POOL = 8
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dongbo' AND datname = current_database()"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=40, customers=300, limits=False)


async def test_a_daemon_behind_pgbouncer_needs_but_a_part_of_its_sessions(
    site: Site, database_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """The pooler has just the sessions of the pool: those who listen take none of them; jobs run and are heard of."""
    directory = tmp_path / "pooler"
    directory.mkdir()
    few = f"{LENIENT}\ndefault_pool_size = {POOL - 2}\nquery_wait_timeout = 5"
    async with pooler(database_url, directory, "session", few) as url:
        site.settings["database"] |= {"url": url, "listen_url": database_url, "max_connections": POOL}
        site.write()
        async with site.daemon() as daemon:
            pulls = ("PULL_NHANH_PRODUCTS", "PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_PRODUCTS", "PULL_SHOPIFY_CUSTOMERS")
            for job in [await daemon.api.submit(pull) for pull in pulls]:
                await daemon.api.completed(job["id"])
                assert await connection.fetchval(COUNT) <= POOL
            ready = await daemon.api.get("/status")
            assert ready["ready"]
            assert ready["notification_lag_seconds"] is not None
            assert ready["pool"]["max"] == POOL
            assert await daemon.process.terminate() == 0
