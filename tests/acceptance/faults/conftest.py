"""A shop at work that faults happen to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.faulty_shop import FaultyShop, faulty_shop


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of twenty pages of customers and some fifty variants."""
    return SandboxSettings(products=25, customers=2_000, limits=False, variants_per_product=(1, 3))


@pytest.fixture
async def shop(tmp_path: Path, sandbox: Sandbox, database_url: str) -> AsyncIterator[FaultyShop]:
    """The shop, without a daemon yet."""
    async with faulty_shop(tmp_path, sandbox, database_url) as opened:
        yield opened
