"""Rule 1: one pool, and never more connections than it has; rule 2: a job is there when its request is answered."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

import daemon as package
from daemon.sandbox.server import SandboxSettings
from tests.support.process import Api
from tests.support.site import Site

PULLS = ("PULL_NHANH_PRODUCTS", "PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_PRODUCTS", "PULL_SHOPIFY_CUSTOMERS")
STORES = 5
READERS = 50
POOL = 8
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dongbo' AND datname = current_database()"
EXISTS = "SELECT status FROM dongbo.background_jobs WHERE id::text = $1"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop: all stores share its rate limits."""
    return SandboxSettings(products=40, customers=300, limits=False)


def test_the_pool_is_made_in_one_place() -> None:
    """Rule 1: `create_pool` is called in one place in the whole program. Beside it there are but those who listen past
    a pooler, whose connections are in the same budget, the embedded server's set-up, before there is a pool, a restore,
    for which no daemon may run, and the doctor, whose very question is what another connection sees."""
    sources = {path: path.read_text() for path in Path(package.__file__).parent.rglob("*.py")}
    assert [path.name for path, text in sources.items() if "create_pool(" in text] == ["pool.py"]
    assert sum(text.count("create_pool(") for text in sources.values()) == 1
    root = Path(package.__file__).parent
    beside_it = {str(path.relative_to(root)) for path, text in sources.items() if "asyncpg.connect(" in text}
    assert beside_it <= {"database/direct.py", "database/embedded.py", "database/restore.py", "cli/doctor/command.py"}


async def test_no_more_connections_than_the_pool_has(site: Site, connection: asyncpg.Connection) -> None:
    """Rule 1: with jobs of several stores at once, fifty readers of the event stream and a busy API, the daemon has
    never more connections than `max_connections`, and still ends every job."""
    stores = ["main", *(f"store-{number}" for number in range(1, STORES))]
    site.settings["stores"] = {name: site.store() for name in stores}
    site.settings["database"]["max_connections"] = POOL
    site.write()
    seen = 0

    async def count() -> None:
        nonlocal seen
        while True:
            seen = max(seen, await connection.fetchval(COUNT))

    async def ask(api: Api) -> None:
        while True:
            for path in ("/api/jobs", "/status", "/readyz", "/metrics", "/api/schedules"):
                status, text = await api.text(path)
                assert status == 200, text

    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(site.daemon())
        readers = [await stack.enter_async_context(daemon.api.stream()) for _ in range(READERS)]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(count()), *(tasks.create_task(ask(daemon.api)) for _ in range(8))]
            jobs = [await daemon.api.submit(pull, store=store) for store in stores for pull in PULLS]
            wanted = {job["id"] for job in jobs}

            async def follow(stream: object) -> None:
                ended = set()
                async for job in stream:  # type: ignore[attr-defined]
                    if job["id"] in wanted and job["status"] not in ("PENDING", "RUNNING"):
                        assert job["status"] == "COMPLETED", job
                        ended.add(job["id"])
                        if ended == wanted:
                            return

            await asyncio.gather(*(follow(reader) for reader in readers))
            for task in background:
                task.cancel()
        assert daemon.process.events("job_crashed") == []
        assert await daemon.process.terminate() == 0
    assert POOL // 2 < seen <= POOL


async def test_a_submitted_job_is_visible_at_once(site: Site, connection: asyncpg.Connection) -> None:
    """Rule 2: as soon as POST /api/jobs has answered 202, any connection sees the job."""
    async with site.daemon() as daemon:
        for _ in range(5):
            for pull in PULLS:
                job = await daemon.api.submit(pull)
                assert await connection.fetchval(EXISTS, job["id"]) is not None
            for job in (await daemon.api.get("/api/jobs?limit=4"))["jobs"]:
                await daemon.api.completed(job["id"])
