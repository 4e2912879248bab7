"""The endpoint for the tests that ask for it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from daemon.database.pool import Database
from tests.support.endpoint import Endpoint, OpenEndpoint, running_endpoint


@pytest.fixture
def open_endpoint(database: Database) -> OpenEndpoint:
    """Opens an endpoint; keyword arguments replace parts of StatusParts."""

    def open_on(**changes: Any) -> AbstractAsyncContextManager[Endpoint]:
        return running_endpoint(changes.pop("on", database), **changes)

    return open_on


@pytest.fixture
async def endpoint(open_endpoint: OpenEndpoint) -> AsyncIterator[Endpoint]:
    """An open endpoint without a token."""
    async with open_endpoint() as opened:
        yield opened
