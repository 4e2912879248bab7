"""How long a job of a large shop holds others up: small works are tried beside it all the while, and locks are watched.

The works are what goes on in a shop meanwhile: somebody looks at the jobs, an item's row is written, a decision about
mappings is waited for. Besides, a look at the server every few milliseconds tells how long any statement has waited for
a lock, and which transaction was open longest.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg
from daemon_process import Bench
from figures import Bound, Figure

from daemon.database.postgres_socket import running_server_dsn

LOOK = 0.05  # seconds between two looks at the server, and between two works
WATCHER = "dongbo-bench-watcher"

WAITS = f"""
SELECT
    max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE wait_event_type = 'Lock') AS waited,
    max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE application_name NOT LIKE 'dongbo-bench%')
        AS open_for
FROM pg_stat_activity WHERE datname = current_database() AND application_name <> '{WATCHER}'
"""

# Whoever writes mappings waits for this one (daemon/sync/matching/decisions.py).
LOCK_MAPPINGS = "SELECT pg_advisory_xact_lock(hashtextextended('dongbo.{table}/main', 0))"


@dataclass(slots=True)
class HeldUp:
    """The longest times, in seconds."""

    works: dict[str, float] = field(default_factory=dict)  # {work: how long it took at worst}
    lock_wait: float = 0.0  # of any statement, as far as the looks saw it
    open_transaction: float = 0.0  # of the daemon

    @property
    def longest(self) -> float:
        """How long anything was held up."""
        return max(self.lock_wait, *self.works.values())

    def detail(self) -> Mapping[str, object]:
        """To be reported with a figure."""
        return {
            "held_up_seconds": {name: round(seconds, 3) for name, seconds in self.works.items()},
            "lock_wait_seconds": round(self.lock_wait, 3),
            "open_transaction_seconds": round(self.open_transaction, 3),
        }


def of_held_up(name: str, rounds: Sequence[HeldUp], target: float) -> Figure:
    """How long others were held up, over all rounds."""
    return Figure(
        name,
        max(each.longest for each in rounds),
        "s",
        Bound.LESS_THAN,
        target,
        values=[each.longest for each in rounds],
        detail=max(rounds, key=lambda each: each.longest).detail(),
    )


@asynccontextmanager
async def watched(bench: Bench, statements: Mapping[str, str]) -> AsyncIterator[HeldUp]:
    """Watch while the context lasts.

    Args:
        statements: {name: what is carried out again and again beside the job}; asking for the jobs comes by itself.
    """
    found = HeldUp(dict.fromkeys((*statements, "page"), 0.0))
    dsn = await running_server_dsn(bench.state)

    async def ask() -> None:
        async with bench.session.get(f"{bench.address}api/jobs?limit=20") as response:
            await response.read()

    async def repeat(name: str, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            began = time.perf_counter()
            await work()
            found.works[name] = max(found.works[name], time.perf_counter() - began)
            await asyncio.sleep(LOOK)

    async def execute(name: str, statement: str) -> None:
        connection = await _connect(dsn, "dongbo-bench-work")
        try:
            await repeat(name, lambda: connection.execute(statement))
        finally:
            await connection.close()

    async def look() -> None:
        connection = await _connect(dsn, WATCHER)
        try:
            while True:
                row = await connection.fetchrow(WAITS)
                found.lock_wait = max(found.lock_wait, float(row["waited"] or 0))
                found.open_transaction = max(found.open_transaction, float(row["open_for"] or 0))
                await asyncio.sleep(LOOK)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(look(), name="watch-locks"),
            group.create_task(repeat("page", ask), name="work-page"),
            *(group.create_task(execute(name, text), name=f"work-{name}") for name, text in statements.items()),
        ]
        await asyncio.sleep(2 * LOOK)
        yield found
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def moving(bench: Bench, job_id: str) -> AsyncIterator[list[float]]:
    """The times at which a job's row was seen to have moved, with the end of the context as the last one."""
    moved = [time.perf_counter()]
    connection = await _connect(await running_server_dsn(bench.state), WATCHER)

    async def look() -> None:
        version = None
        while True:
            now = await connection.fetchval("SELECT version FROM dongbo.background_jobs WHERE id = $1", job_id)
            if now != version:
                version = now
                moved.append(time.perf_counter())
            await asyncio.sleep(LOOK)

    task = asyncio.create_task(look(), name="watch-job")
    try:
        yield moved
    finally:
        moved.append(time.perf_counter())
        task.cancel()
        await asyncio.wait([task])
        await connection.close()


def longest_pause(moved: list[float]) -> float:
    """Seconds for which a job's row did not move at worst."""
    return max(later - earlier for earlier, later in pairwise(moved))


async def _connect(dsn: str, name: str) -> asyncpg.Connection:
    return await asyncpg.connect(dsn, server_settings={"application_name": name})
