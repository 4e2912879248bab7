"""Whatever happens to PostgreSQL itself: it is told of, it is over when it is over, nothing is lost, nothing done
twice."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from daemon.database import embedded
from daemon.database.embedded import EmbeddedServer, embedded_server
from daemon.database.postgres_data import data_directory
from daemon.sandbox.server import Sandbox
from tests.support.fault_proxy import Silence, Way
from tests.support.faults import Fault, Injection, check, undergo
from tests.support.faulty_shop import FaultyShop, faulty_shop
from tests.support.preludes import hasten

SERVER_SETTINGS = {"max_connections": "24", "max_notify_queue_pages": "64"}
NOTIFY_PAYLOAD = 7_900  # bytes; the most is 8,000
DISK = "32m"
DISK_LEFT = 16 * 1024  # bytes, when it is full
LOCK = "LOCK TABLE dongbo.background_jobs IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedServer]:
    """A PostgreSQL of the test's own."""
    for name, value in SERVER_SETTINGS.items():
        monkeypatch.setitem(embedded.SETTINGS, name, value)
    async with embedded_server(tmp_path / "server", durable=False) as running:
        yield running


@pytest.fixture
async def shop(tmp_path: Path, sandbox: Sandbox, server: EmbeddedServer) -> AsyncIterator[FaultyShop]:
    """The shop on that server."""
    async with faulty_shop(tmp_path, sandbox, server.dsn) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is full soon."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", disk]).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@asynccontextmanager
async def a_session(shop: FaultyShop) -> AsyncIterator[asyncpg.Connection]:
    """A session of somebody else."""
    async with shop.site.connection() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        yield connection


def restarted(server: EmbeddedServer) -> Injection:
    """PostgreSQL is stopped, and started again."""

    @asynccontextmanager
    async def inject(shop: FaultyShop) -> AsyncIterator[None]:
        await server.stop()
        yield
        await server.start()

    return inject


async def set_read_only(shop: FaultyShop, value: str) -> None:
    """For every session, also for those that are there."""
    async with a_session(shop) as session:
        await session.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        await session.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def read_only(shop: FaultyShop) -> AsyncIterator[None]:
    """Nothing can be written."""
    await set_read_only(shop, "on")
    yield
    await set_read_only(shop, "off")


@asynccontextmanager
async def failed_over(shop: FaultyShop) -> AsyncIterator[None]:
    """All connections are cut, and the address leads to a server that does not take writes yet; then back."""
    await set_read_only(shop, "on")
    shop.database.reset()
    yield
    await set_read_only(shop, "off")
    shop.database.reset()


@asynccontextmanager
async def locked(shop: FaultyShop) -> AsyncIterator[None]:
    """Somebody holds the table of jobs, as a migration by hand does."""
    async with a_session(shop) as session, session.transaction():
        await session.execute(LOCK)
        yield


@asynccontextmanager
async def out_of_connections(shop: FaultyShop) -> AsyncIterator[None]:
    """Others take every connection that there is."""
    all_taken = asyncio.Event()
    async with AsyncExitStack() as stack:

        async def take() -> None:
            while True:
                try:
                    await stack.enter_async_context(shop.site.connection())
                except (asyncpg.TooManyConnectionsError, OSError):
                    all_taken.set()
                    await asyncio.sleep(0.05)

        await shop.database.refuse()
        shop.database.reset()
        taking = asyncio.create_task(take(), name="take-connections")
        await all_taken.wait()
        await shop.database.restore()
        yield
        taking.cancel()
        await asyncio.wait({taking})


@asynccontextmanager
async def deaf(shop: FaultyShop) -> AsyncIterator[None]:
    """Whoever listens hears nothing; all other connections work."""

    async def silence() -> None:
        while True:
            for link in shop.database.tagged("hub"):
                link.behave(Silence(), Way.TO_CLIENT)
            await shop.database.change(0.1)

    silencing = asyncio.create_task(silence(), name="deafen")
    yield
    silencing.cancel()
    await asyncio.wait({silencing})
    await shop.database.restore()


@asynccontextmanager
async def notify_queue_full(shop: FaultyShop) -> AsyncIterator[None]:
    """A session that listens and never ends its transaction lets the queue of notifications run full."""
    async with a_session(shop) as sleeper:
        await sleeper.execute("LISTEN noise")
        async with sleeper.transaction():
            await sleeper.fetchval("SELECT 1")

            async def fill() -> None:
                async with a_session(shop) as noise:
                    while True:
                        with suppress(asyncpg.PostgresError):
                            await noise.execute("SELECT pg_notify('noise', repeat('x', $1))", NOTIFY_PAYLOAD)
                            continue
                        await asyncio.sleep(0.05)

            filling = asyncio.create_task(fill(), name="fill-notify-queue")
            yield
            filling.cancel()
            await asyncio.wait({filling})


@asynccontextmanager
async def disk_full(shop: FaultyShop, disk: Path) -> AsyncIterator[None]:
    """There is no space left where the tables are."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - DISK_LEFT)
    yield
    ballast.unlink()


FAULTS = [
    Fault("PostgreSQL: read-only", read_only, "database_read_only"),
    Fault("PostgreSQL: failed over", failed_over, "database_read_only"),
    Fault("PostgreSQL: locked", locked, "database_locked", lasts=4.0),
    Fault("PostgreSQL: out of connections", out_of_connections, "database_away"),
    Fault("PostgreSQL: deaf listener", deaf, "check:listener"),
    Fault("PostgreSQL: full NOTIFY queue", notify_queue_full),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_fault(shop: FaultyShop, fault: Fault) -> None:
    """One fault."""
    async with shop.site.daemon(shop.environment, prelude=hasten) as shop.daemon:
        check(fault, await undergo(shop, fault))
        assert await shop.daemon.process.terminate() == 0


async def test_restart(shop: FaultyShop, server: EmbeddedServer) -> None:
    """PostgreSQL is away for some seconds."""
    fault = Fault("PostgreSQL: restarted", restarted(server), "database_away")
    async with shop.site.daemon(shop.environment, prelude=hasten) as shop.daemon:
        check(fault, await undergo(shop, fault))
        assert await shop.daemon.process.terminate() == 0


async def test_full_disk(shop: FaultyShop, server: EmbeddedServer, small_disk: Path, tmp_path: Path) -> None:
    """The file system of the tables has no space left."""
    owner = data_directory(tmp_path / "server").stat()
    os.chown(small_disk, owner.st_uid, owner.st_gid)
    async with shop.site.connection() as session:
        await session.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        await session.execute("ALTER SYSTEM SET default_tablespace = small")
        await session.execute("SELECT pg_reload_conf()")
    fault = Fault("PostgreSQL: disk full", lambda shop: disk_full(shop, small_disk), "disk_filling")
    async with shop.site.daemon(shop.environment, prelude=hasten) as shop.daemon:
        check(fault, await undergo(shop, fault))
        assert await shop.daemon.process.terminate() == 0
