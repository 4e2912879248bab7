"""A database that answers, but refuses: read-only, locked, with a full queue of notifications. What is wrong has a
name, requests are told in a sentence, and all goes on by itself afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.database import embedded
from daemon.database.embedded import embedded_server
from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.ledger import check_ledger
from tests.support.process import Api, Job, RunningDaemon
from tests.support.site import Site, eventually

JOB = "PULL_NHANH_CUSTOMERS"
LIST_TYPES = ("warning", "error")
MOST_LINES = 20  # warnings of one fault
NEW_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'dongbo' AND datname = current_database()
"""
READ_ONLY = "ALTER DATABASE {name} SET default_transaction_read_only = {state}"
SMALL_QUEUE = {"max_notify_queue_pages": "64"}
FILL = "SELECT pg_notify('others', repeat('x', 7900)) FROM generate_series(1, 4)"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of a few pages."""
    return SandboxSettings(products=20, customers=300, limits=False)


async def shows(daemon: RunningDaemon, name: str, seconds: float = 45.0) -> Job:
    """The condition of this name, as soon as it holds."""

    async def look() -> Job | None:
        conditions = (await daemon.api.get("/status"))["conditions"]
        return next((each for each in conditions if each["name"] == name), None)

    found: Job = await eventually(look, seconds, 0.2, name)
    return found


async def is_well(daemon: RunningDaemon) -> None:
    """Ready, without a condition of the database; a pull runs to its end."""

    async def look() -> bool:
        status = await daemon.api.get("/status")
        names = [condition["name"] for condition in status["conditions"]]
        return bool(status["ready"]) and not [name for name in names if name.startswith("database")]

    await eventually(look, 45, 0.2, "all is well")
    job = await daemon.api.submit(JOB)
    await daemon.api.completed(job["id"])


def warnings(daemon: RunningDaemon) -> list[str]:
    """The events of warnings so far."""
    return [str(line["event"]) for line in daemon.process.log if line.get("level") in LIST_TYPES]


async def test_a_database_that_is_read_only_for_a_while(
    site: Site, database_url: str, connection: asyncpg.Connection
) -> None:
    """As after a failover to a server that is not a primary yet, or while somebody maintains it."""
    name = urlsplit(database_url).path[1:]
    async with site.daemon() as daemon:
        await connection.execute(READ_ONLY.format(name=name, state="on"))
        await connection.execute(NEW_SESSIONS)
        condition = await shows(daemon, "database_read_only")
        assert "nothing can be stored" in condition["text"]
        problem = await daemon.api.post("/api/jobs", {"type": JOB, "store": "main"}, 503)
        assert problem["detail"].startswith("The database is read-only")
        await eventually(lambda: _takes_no_jobs(daemon.api), 20, 0.1, "it takes no jobs")
        await connection.execute(READ_ONLY.format(name=name, state="off"))
        await is_well(daemon)
        assert len(warnings(daemon)) < MOST_LINES, warnings(daemon)


async def test_a_table_that_somebody_has_locked(site: Site, connection: asyncpg.Connection) -> None:
    """The session that holds the lock is named."""
    site.settings["database"]["statement_timeout_seconds"] = 12  # a lock is waited for half as long
    site.write()
    async with site.daemon() as daemon:
        async with connection.transaction():
            await connection.execute("LOCK TABLE dongbo.background_jobs IN ACCESS EXCLUSIVE MODE")
            condition = await shows(daemon, "database_locked")
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            assert f"pg_terminate_backend({pid})" in condition["next_step"]
            assert "test" in condition["cause"], "by the name of its application"
            problem = await daemon.api.post("/api/jobs", {"type": JOB, "store": "main"}, 503)
            assert "another session holds a lock" in problem["detail"]
        await is_well(daemon)
        assert len(warnings(daemon)) < MOST_LINES, warnings(daemon)
    await check_ledger(connection)


@asynccontextmanager
async def full_queue(url: str) -> AsyncIterator[None]:
    """No notification can be kept any more, since a session that listens has a transaction open."""
    listener, sender = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        await listener.execute("LISTEN others; BEGIN; SELECT 1")
        with pytest.raises(asyncpg.ProgramLimitExceededError, match="NOTIFY queue"):
            while True:
                await sender.execute(FILL)
        yield
        await listener.execute("COMMIT")
    finally:
        await listener.close()
        await sender.close()


async def test_a_queue_of_notifications_that_is_full(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7: jobs are stored, taken and shown all the same, a little later; /readyz says that nothing is heard."""
    monkeypatch.setattr(embedded, "SETTINGS", embedded.SETTINGS | SMALL_QUEUE)
    async with embedded_server(tmp_path / "server", durable=False) as server:
        if int(server.version.partition(".")[0]) < 17:
            pytest.skip("the size of the queue can be set from PostgreSQL 17 on")
        site = Site(tmp_path, sandbox, server.dsn)
        async with site.daemon() as daemon:
            async with full_queue(server.dsn):
                await eventually(lambda: _is_deaf(daemon.api), 15, 0.1, "it hears nothing")
                job = await daemon.api.submit(JOB)
                done = await daemon.api.completed(job["id"])
                assert done["processed"] == len(sandbox.nhanh.customers)
            await eventually(lambda: _hears(daemon.api), 15, 0.1, "it hears again")
            await is_well(daemon)
            assert len(warnings(daemon)) < MOST_LINES, warnings(daemon)


async def _takes_no_jobs(api: Api) -> bool:
    reasons = (await api.text("/readyz"))[1]
    return "[-] worker: takes no jobs, and tries again by itself: it is read-only" in reasons


async def _is_deaf(api: Api) -> bool:
    return "[-] listener: does not hear of changed jobs at once: PostgreSQL's queue" in (await api.text("/readyz"))[1]


async def _hears(api: Api) -> bool:
    return "[+] listener: hears of changed jobs" in (await api.text("/readyz?verbose"))[1]
