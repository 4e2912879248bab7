"""PgQueuer as it comes, for comparison: `bare_queue.py DSN install | work | fill JOBS`.

Its tables are in a schema `bare` of the same database. `work` says when it takes jobs; `fill` adds jobs in one
statement, and says after how many seconds the last of them was gone.
"""

import asyncio
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job

ENTRYPOINT = "noop"
IN_SCHEMA = {"search_path": "bare"}


async def install(dsn: str) -> None:
    """Make its tables, where they are not there yet."""
    connection = await asyncpg.connect(dsn, server_settings=IN_SCHEMA)
    try:
        if not await connection.fetchval("SELECT to_regnamespace('bare') IS NOT NULL"):
            await connection.execute("CREATE SCHEMA bare")
            await Queries(AsyncpgDriver(connection)).install()
    finally:
        await connection.close()


async def work(dsn: str) -> None:
    """Take jobs until the process is ended."""
    async with asyncpg.create_pool(dsn, min_size=2, max_size=4, server_settings=IN_SCHEMA) as pool:
        queue = PgQueuer(AsyncpgPoolDriver(pool))

        @queue.entrypoint(ENTRYPOINT)
        async def noop(_job: Job) -> None:
            """Nothing is done: what is measured is the way."""

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(queue.run(dequeue_timeout=timedelta(seconds=4)), name="queue")
            await asyncio.sleep(1.0)  # it tells nobody when it listens
            sys.stdout.write("takes jobs\n")
            sys.stdout.flush()


async def fill(dsn: str, jobs: int) -> None:
    """Add jobs, and wait until there are none."""
    connection = await asyncpg.connect(dsn, server_settings=IN_SCHEMA)
    try:
        await Queries(AsyncpgDriver(connection)).enqueue([ENTRYPOINT] * jobs, [None] * jobs, [0] * jobs)
        began = time.monotonic()
        while await connection.fetchval("SELECT count(*) FROM pgqueuer"):
            await asyncio.sleep(0.01)
        sys.stdout.write(f"{time.monotonic() - began}\n")
    finally:
        await connection.close()


if __name__ == "__main__":
    _, address, what, *count = sys.argv
    match what:
        case "install":
            uvloop.run(install(address))
        case "work":
            uvloop.run(work(address))
        case _:
            uvloop.run(fill(address, int(count[0])))
