"""A daemon whose database is away, from the start or all of a sudden: it lives, tells so, goes on by itself, and stops
in time."""

import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from daemon.errors import ExitCode
from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.database_proxy import by_way_of, database_proxy
from tests.support.fault_proxy import FaultProxy, Pass, Silence
from tests.support.ledger import check_ledger
from tests.support.process import Api, DaemonProcess, RunningDaemon
from tests.support.service_manager import ServiceManager
from tests.support.site import Site, eventually

JOB = "PULL_NHANH_CUSTOMERS"
GRACE = 3  # seconds
AFTER_GRACE = 7.0  # seconds until the process has ended, however the database behaves
WATCHDOG_SECONDS = 0.5
LINES_OF_AN_OUTAGE = 25  # warnings at most of all parts together, in the half minute that it lasts


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of some ten pages, each of which takes a while."""
    settings = SandboxSettings(products=20, customers=900, limits=False)
    settings.faults.slow, settings.faults.slow_seconds = 1.0, 0.1
    return settings


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    """A service manager that listens."""
    listening = ServiceManager(tmp_path / "notify")
    yield listening
    listening.close()


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[FaultProxy]:
    """What stands between the daemon and its database."""
    async with database_proxy(database_url) as opened:
        yield opened


@pytest.fixture
def site(tmp_path: Path, sandbox: Sandbox, database_url: str, proxy: FaultProxy) -> Site:
    """A site whose daemon goes to its database by way of the proxy."""
    site = Site(tmp_path, sandbox, database_url)
    site.settings["database"] = {"url": site.secret("database-url", by_way_of(proxy, database_url))}
    site.settings["jobs"]["stop_grace_seconds"] = GRACE
    site.write()
    return site


def environment(manager: ServiceManager) -> dict[str, str]:
    """That of a service with a watchdog."""
    return {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000))}


@asynccontextmanager
async def client(process: DaemonProcess) -> AsyncIterator[Api]:
    """A client of a daemon that may not be ready."""
    address = (await process.logged("status_endpoint_opened"))["address"]
    async with aiohttp.ClientSession(address, headers={"X-Dongbo-Client": "test"}) as session:
        yield Api(session)


async def started_pull(daemon: RunningDaemon) -> str:
    """The id of a pull that has stored a page."""
    job = await daemon.api.submit(JOB)
    await daemon.api.job_when(job["id"], lambda seen: seen["processed"] > 0)
    return str(job["id"])


async def answers(api: Api, status: int) -> str:
    """What /readyz says as soon as it answers with this status."""

    async def answer() -> str | None:
        found, text = await api.text("/readyz")
        return text if found == status else None

    text: str = await eventually(answer, 40, 0.1, f"{status} of /readyz")
    return text


async def test_a_start_while_the_database_is_away(site: Site, proxy: FaultProxy, manager: ServiceManager) -> None:
    """The page is there at once, with the reason; systemd hears that the daemon has started and what it waits for; and
    all goes on by itself when the database comes."""
    await proxy.refuse()
    async with site.process(environment=environment(manager), forked=True) as process, client(process) as api:
        assert await api.text("/livez") == (200, "ok\n")
        ready, reasons = await api.text("/readyz")
        assert ready == 503
        assert "[-] worker: waits for the database" in reasons
        await process.logged("database_awaited")
        assert "[-] database: no connection to database" in (await api.text("/readyz"))[1]
        status = await api.get("/status")
        assert not status["ready"]
        assert "database_away" in [condition["name"] for condition in status["conditions"]]
        assert (await api.text("/"))[0] == 200
        for problem in (
            await api.get("/api/jobs", 503),
            await api.post("/api/jobs", {"type": JOB, "store": "main"}, 503),
        ):
            assert problem["type"] == "urn:dongbo:problem:database-unavailable"
            assert "no PostgreSQL listens there" in problem["detail"]
        assert await manager.hears("READY") == {"READY": "1"}
        assert "no PostgreSQL listens there" in (await manager.hears("STATUS"))["STATUS"]
        for _ in range(3):
            assert await manager.hears("WATCHDOG") == {"WATCHDOG": "1"}
        await proxy.accept()
        await process.logged("database_reached")
        await process.logged("ready")
        assert await answers(api, 200) == "ok\n"
        assert len(process.events("database_awaited")) == 1
        job = await api.submit(JOB)
        await api.completed(job["id"])


async def test_a_start_on_a_database_that_is_read_only(
    site: Site, database_url: str, connection: asyncpg.Connection
) -> None:
    """A failover may not be over yet: it is waited for."""
    name = urlsplit(database_url).path[1:]
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with site.process(forked=True) as process, client(process) as api:
        assert "is read-only" in (await process.logged("database_awaited"))["error"]
        assert "is read-only" in (await api.get("/api/jobs", 503))["detail"]
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        await process.logged("ready")
        assert await answers(api, 200) == "ok\n"


async def test_a_start_on_a_database_that_does_not_suit(site: Site, connection: asyncpg.Connection) -> None:
    """What waiting does not mend ends the start, in a line that says what to do."""
    await connection.execute("UPDATE dongbo.schema_migrations SET checksum = 'of another build' WHERE version = 1")
    async with site.process(forked=True) as process:
        assert await process.exited() == ExitCode.CONFIG
        assert "the database belongs to another build of dongbo" in process.text


async def test_a_database_that_falls_silent(
    site: Site, proxy: FaultProxy, manager: ServiceManager, connection: asyncpg.Connection
) -> None:
    """systemd hears that the daemon lives, all the time; /readyz says at once that neither the database nor what is
    listened to is heard; the log stays short; and the pull goes on by itself once the database is heard again."""
    async with site.daemon(environment=environment(manager)) as daemon:
        job = await started_pull(daemon)
        proxy.behave(Silence())
        reasons = await answers(daemon.api, 503)
        assert "[-] database: no answer" in reasons
        await eventually(lambda: _is_deaf(daemon.api), 10, 0.1, "it hears nothing")
        began = time.monotonic()
        while not daemon.process.events("hub_listener_failed"):
            before = time.monotonic()
            await manager.hears("WATCHDOG")
            assert time.monotonic() - before < WATCHDOG_SECONDS
            assert time.monotonic() - began < 30
        proxy.behave(Pass())
        assert await answers(daemon.api, 200) == "ok\n"
        await daemon.api.completed(job, 60)
        warnings = [line["event"] for line in daemon.process.log if line.get("level") in ("warning", "error")]
        assert len(warnings) < LINES_OF_AN_OUTAGE, warnings
    await check_ledger(connection)


async def _is_deaf(api: Api) -> bool:
    return "[-] listener: does not hear" in (await api.text("/readyz"))[1]


async def test_a_stop_while_the_database_is_silent(
    site: Site, sandbox: Sandbox, proxy: FaultProxy, connection: asyncpg.Connection
) -> None:
    """SIGTERM ends the daemon within the grace time and a little, and nothing is lost over it."""
    async with site.daemon() as daemon:
        job = await started_pull(daemon)
        proxy.behave(Silence())
        await proxy.held()
        began = time.monotonic()
        assert await daemon.process.terminate() == 0
        assert time.monotonic() - began < GRACE + AFTER_GRACE
    await proxy.restore()
    sandbox.faults.slow = 0.0
    async with site.daemon() as daemon:
        await daemon.api.completed(job)
    totals = await check_ledger(connection)
    assert totals.processed == totals.created == len(sandbox.nhanh.customers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_waiting_for_a_silent_database(
    site: Site, proxy: FaultProxy, number: signal.Signals
) -> None:
    """A daemon that waits for its first connection ends at once."""
    proxy.behave(Silence())
    async with site.process(forked=True) as process:
        await proxy.held()
        began = time.monotonic()
        process.send(number)
        assert await process.exited() == 0
        assert time.monotonic() - began < AFTER_GRACE
