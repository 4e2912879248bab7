"""A browser for the tests of the page: one for all of them, with a new profile for each.

Playwright stays on the loop on which it was started. So all tests here run on one, and with them what they stand on.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from daemon.database.pool import Database, open_database
from tests.support.browser import Visitor, chromium
from tests.support.endpoint import Endpoint, OpenEndpoint, running_endpoint

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One loop for all tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    async with chromium() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    """Somebody who opens the page, and at whose console nothing may be complained of."""
    visiting = Visitor(browser)
    try:
        yield visiting
    finally:
        await visiting.close()
    assert visiting.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on a fresh, migrated database."""
    async with open_database(database_url) as opened:
        yield opened


@pytest.fixture
def open_endpoint(database: Database) -> OpenEndpoint:
    """Opens an endpoint; keyword arguments replace parts of StatusParts."""

    def open_on(**changes: Any) -> AbstractAsyncContextManager[Endpoint]:
        return running_endpoint(changes.pop("on", database), **changes)

    return open_on


@pytest_asyncio.fixture(loop_scope="session")
async def endpoint(open_endpoint: OpenEndpoint) -> AsyncIterator[Endpoint]:
    """An open endpoint without a token."""
    async with open_endpoint() as opened:
        yield opened
