"""The parts of a daemon at work for the tests that ask for them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from daemon.database.pool import Database
from daemon.jobs.queue import worker as queue_worker
from daemon.sandbox.server import SandboxSettings
from tests.support.workshop import ProductSyncOf, Workshop, in_own_task, running_workshop


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """The shop of the workshop; override it for another one."""
    return SandboxSettings(products=60, customers=730, limits=False)


@pytest.fixture
def product_sync_of() -> ProductSyncOf:
    """What the store pushes, by its shop; override it for a store that pushes anything."""
    return lambda _: None


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is put back for a retry waits for the queue's next poll: let that come soon."""
    monkeypatch.setattr(queue_worker, "POLL_INTERVAL", timedelta(seconds=0.25))


@pytest.fixture
async def workshop(
    database: Database, sandbox_settings: SandboxSettings, product_sync_of: ProductSyncOf
) -> AsyncIterator[Workshop]:
    """The parts of a daemon, running jobs on a small shop without rate limits."""
    async with in_own_task(running_workshop(database, sandbox_settings, product_sync=product_sync_of)) as running:
        yield running
