"""A pull in bulk whose daemon, or whose PostgreSQL, is killed: it goes on where it was, with the same operation and the
same file, and its counters are exact.

Rules 3 and 13: the mirror has what the shop has, and nothing counts as deleted because a part was lost.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Self

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from daemon.sandbox.shopify import DownloadTrouble
from tests.support.bulk_shop import Changes, Season, check_counters, check_mirror, nothing_is_left
from tests.support.preludes import SHORT, hasten
from tests.support.process import RunningDaemon
from tests.support.site import Site, eventually
from tests.support.steps import Moment, Step, Steps

JOB = "PULL_SHOPIFY_PRODUCTS"
IN_BULK = {"full": True, "method": "bulk"}
KILLS = 10
PORTIONS = 4  # of the steps, so that several workers share them
GHOSTS = 3
# So that the file of a small shop comes in several portions, and is read as several pages.
SMALL = {
    "daemon.sources.shopify.bulk_file.PORTION_LINES": 100,
    "daemon.tasks.bulk_pull.LINES_AT_ONCE": 60,
    "daemon.tasks.bulk_pull.MOST_LINES_AT_ONCE": 150,
}
PORTIONS_OF_FILE = SMALL | {"daemon.sources.shopify.bulk_file.PORTION_BYTES": 4096}
# Of the steps of one name these are tried. Several pages may be stored at once, so that only the first is sure to come.
PLACES = {"UPDATE bulk_reads rows": (0, 1, 0.5, -2, -1), "UPDATE background_jobs RUNNING": (0, 1, 2)}
BESIDE = ("INSERT background_jobs PENDING", "query Shop", "query ProductHorizon", "query ProductsCount")

TRACKED = ("bulk_reads", "shopify_products", "background_jobs")
PROGRESS = """
SELECT job.processed, coalesce((SELECT max(next_byte) FROM dongbo.bulk_reads), 0) AS next_byte,
    status = 'COMPLETED' AS is_over
FROM dongbo.background_jobs AS job WHERE id::text = $1
"""
ADDS_UP = """
SELECT bool_and(processed = created + updated + skipped + failed AND successful = created + updated
                AND failed = (SELECT count(*) FROM dongbo.job_failures WHERE job_id = job.id))
FROM dongbo.background_jobs AS job
"""
STAGED = "SELECT max(next_byte) > 0 FROM dongbo.bulk_reads"
FORGET = [
    "DELETE FROM dongbo.shopify_products WHERE id <> ALL ($1)",
    "DELETE FROM dongbo.shopify_variants WHERE product_id <> ALL ($1)",
    "UPDATE dongbo.shopify_products SET deleted_at = NULL WHERE id = ANY ($1)",
    "UPDATE dongbo.shopify_variants SET deleted_at = NULL WHERE product_id = ANY ($1)",
]


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=40, customers=1, limits=False)


@pytest.fixture(autouse=True)
def quick_operations(sandbox: Sandbox) -> None:
    """They take no longer than they need."""
    sandbox.shopify.bulk.seconds = 0.0


class KilledPulls:
    """One pull after the other of a shop whose mirror is forgotten each time, but for products that are gone."""

    def __init__(self, site: Site, sandbox: Sandbox, connection: asyncpg.Connection) -> None:
        self._site = site
        self._shop = sandbox.shopify
        self._connection = connection
        self._life = AsyncExitStack()
        self._daemon: RunningDaemon
        self._ghosts: list[int] = []
        self._steps = Steps(connection, sandbox.shopify)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._life.aclose()

    async def prepare(self) -> list[Step]:
        """Mirror the shop, let some products be gone, and learn the steps of a pull that nobody kills."""
        for product in self._shop.products.values():
            product.status = "ACTIVE"  # which is part of a step's name
        await self._steps.install(TRACKED, [JOB], says_much=False)
        await self._start()
        await self._daemon.api.completed((await self._submit())["id"])
        self._ghosts = sorted(self._shop.products)[:: len(self._shop.products) // GHOSTS][:GHOSTS]
        for number in self._ghosts:
            self._shop.delete_product(number)
        await self._forget()
        await self._steps.begin()
        await self._check((await self._submit())["id"])
        return await self._steps.taken()

    async def killed_at(self, step: Step) -> None:
        """A pull whose daemon is killed at a step, and goes on with another one."""
        await self._forget()
        begun = self._shop.bulk.operations[-1].id
        async with self._steps.killing(self._daemon.process, step, by_name=True):
            job = await self._submit()
        await self._start()
        await self._check(job["id"])
        operations = [operation for operation in self._shop.bulk.operations if operation.id > begun]
        assert len(operations) == 1, f"{step}: an operation that had been begun is gone on with"

    async def _submit(self) -> dict[str, Any]:
        return await self._daemon.api.submit(JOB, **IN_BULK, allow_deletions=True)

    async def _start(self) -> None:
        await self._life.aclose()
        self._daemon = await self._life.enter_async_context(self._site.daemon(prelude=partial(hasten, SMALL)))

    async def _forget(self) -> None:
        for statement in FORGET:
            await self._connection.execute(statement, self._ghosts)

    async def _check(self, job_id: str) -> None:
        done = await self._daemon.api.completed(job_id)
        changes = Changes(created=len(self._shop.products), updated=0, deleted=len(self._ghosts))
        check_counters(done, changes, self._shop)
        await check_mirror(self._connection, self._shop)
        await eventually(partial(nothing_is_left, self._connection), what="the end of what was staged")


def chosen(steps: list[Step]) -> list[Step]:
    """Some of each name; what begins the job, and what is asked before, aside."""
    named: dict[tuple[Moment, str], int] = Counter((step.moment, step.name) for step in steps)
    return [
        Step(moment, number, name)
        for (moment, name), count in named.items()
        if name not in BESIDE
        for number in sorted({_number(place, count) for place in PLACES.get(name, (0,))})
    ]


def _number(place: float, count: int) -> int:
    """From 1: of a place from the start, from the end, or between the two."""
    if isinstance(place, float):
        return int(count * place) + 1
    return place + 1 if place >= 0 else count + place + 1


@pytest.mark.parametrize("portion", range(PORTIONS))
async def test_kills_at_every_kind_of_step(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection, portion: int
) -> None:
    """Before the operation is known and while it runs, in the download and in the tables, before the end: one operation
    is enough, every product is counted once, and what is deleted is what is gone."""
    async with KilledPulls(site, sandbox, connection) as pulls:
        steps = chosen(await pulls.prepare())
        assert {step.name.split()[1] for step in steps} >= {*TRACKED, "RunBulkQuery", "BulkOperation"}
        for step in steps[portion::PORTIONS]:
            await pulls.killed_at(step)


async def test_kills_at_random_moments(site: Site, sandbox: Sandbox, connection: asyncpg.Connection) -> None:
    """Ten times, during pulls of a shop that changes between them: each pull that has ended has found just that."""
    seed = int(os.environ.get("DONGBO_TEST_SEED") or time.time_ns() % 1_000_000)
    sys.stdout.write(f"DONGBO_TEST_SEED={seed}\n")
    chance, season, shop = random.Random(seed), Season(sandbox.shopify), sandbox.shopify
    job_id, changes, interrupted = "", Changes(0, 0, 0), 0
    for kill in range(KILLS + 1):
        async with site.daemon(prelude=partial(hasten, SMALL)) as daemon:
            if kill % 3 and job_id:  # a job is given up after five deaths in which it got nowhere
                await further(connection, job_id)
            moment = asyncio.get_running_loop().time() + chance.uniform(0.0, 0.8)
            while kill < KILLS or job_id:
                if not job_id:
                    changes = season.next_round()
                    job_id = (await daemon.api.submit(JOB, **IN_BULK))["id"]
                try:
                    async with asyncio.timeout_at(moment if kill < KILLS else None):
                        done = await daemon.api.completed(job_id)
                except TimeoutError:
                    interrupted += 1
                    break
                check_counters(done, changes, shop)
                await check_mirror(connection, shop)
                job_id = ""
            await daemon.process.kill()
        assert await connection.fetchval(ADDS_UP)
    assert interrupted > KILLS / 3, "most kills should have met a pull under way"
    assert await nothing_is_left(connection)


async def further(connection: asyncpg.Connection, job_id: str) -> None:
    """Wait until a job has got somewhere, or is over."""
    before = await connection.fetchrow(PROGRESS, job_id)

    async def is_further() -> bool:
        now = await connection.fetchrow(PROGRESS, job_id)
        return bool(now != before or now["is_over"])

    await eventually(is_further, what="some progress")


@pytest.mark.parametrize("place", ["download", "tables"])
async def test_postgres_killed_in_the_middle(embedded_site: Site, sandbox: Sandbox, place: str) -> None:
    """What had come of the file is lost with the server, and comes again; what was stored stays and is not counted
    twice."""
    shop, season = sandbox.shopify, Season(sandbox.shopify)
    async with embedded_site.daemon(prelude=partial(hasten, SHORT | PORTIONS_OF_FILE)) as daemon:
        changes = season.next_round()
        if place == "download":
            shop.bulk.downloads.next(DownloadTrouble.STALLS)
        job = await daemon.api.submit(JOB, **IN_BULK)
        async with embedded_site.connection() as connection:
            if place == "download":
                await eventually(lambda: connection.fetchval(STAGED), what="a part of the file")
            else:
                await daemon.api.job_when(job["id"], lambda seen: seen["processed"] > 0)
            os.kill(embedded_site.postmaster(), signal.SIGKILL)
        for status in (503, 200):
            await eventually(partial(is_answered, daemon, status), 20, 0.002, f"{status} of /readyz")
        check_counters(await daemon.api.completed(job["id"], 60), changes, shop)
        async with embedded_site.connection() as connection:
            await check_mirror(connection, shop)
            assert await nothing_is_left(connection)
        assert len(shop.bulk.operations) == 1
        assert await daemon.process.terminate() == 0


async def is_answered(daemon: RunningDaemon, status: int) -> bool:
    """Whether the daemon says with this status whether it is ready."""
    return (await daemon.api.text("/readyz"))[0] == status
