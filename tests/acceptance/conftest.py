"""A sandbox in this process, and sites on which the real daemon is started."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from tests.support.process import RunningDaemon
from tests.support.site import Site


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """The shop; override it for another one."""
    return SandboxSettings(products=60, customers=730, limits=False)


@pytest.fixture
async def sandbox(sandbox_settings: SandboxSettings) -> AsyncIterator[Sandbox]:
    """Both servers of a shop."""
    async with running_sandbox(sandbox_settings) as running_one:
        yield running_one


@pytest.fixture
def site(tmp_path: Path, sandbox: Sandbox, database_url: str) -> Site:
    """A site on an external database."""
    return Site(tmp_path, sandbox, database_url)


@pytest.fixture
def embedded_site(tmp_path: Path, sandbox: Sandbox) -> Site:
    """A site whose daemon brings its own PostgreSQL."""
    return Site(tmp_path, sandbox, None)


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def daemon(site: Site) -> AsyncIterator[RunningDaemon]:
    """A daemon that is ready, on an external database."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(site.daemon())


@pytest.fixture
async def connection(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    async with site.connection() as opened:
        yield opened
