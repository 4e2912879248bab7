"""A thousand stores: how late their fires are, what their daemon costs, and how fast a fleet hands out jobs."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

import asyncpg
import processes
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.database.embedded import embedded_server
from daemon.ids import Lane, StoreName
from daemon.jobs import store
from daemon.jobs.model import JobTrigger
from daemon.jobs.queue import places
from daemon.jobs.service import new_job_id
from daemon.jobs.types import JobType

STORES = 1_000
NAMES = ("main", *(f"shop-{number}" for number in range(1, STORES)))
DAEMONS = 3
CONNECTIONS = 10  # of each daemon: the embedded server has 50
LATEST = 0.4  # seconds after the fire until the last of the jobs but one in a hundred is there
START_SECONDS = 25.0  # until the daemon is ready and has settled, at most
IDLE_SECONDS = 30.0
ALL_END = 300.0  # seconds
MEMORY = 265.0  # MB
SHARE = 0.015  # of a core
PAGE_TARGET = 100.0  # milliseconds
ROUNDS = 5
LANE = "{}/noop"
STARTED = "SELECT count(*) FROM dongbo.background_jobs WHERE fire_time = $1 AND status = 'COMPLETED'"
TIMES = """
SELECT
    extract(epoch FROM created_at - fire_time)::float8 AS created,
    extract(epoch FROM started_at - fire_time)::float8 AS began,
    extract(epoch FROM completed_at - fire_time)::float8 AS ended
FROM dongbo.background_jobs WHERE fire_time = $1
"""
UNENDED = "SELECT count(*) FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"
SHARES = "SELECT worker, count(*) AS jobs FROM dongbo.background_jobs WHERE created_at >= $1 GROUP BY worker"
LAST_END = "SELECT max(completed_at) FROM dongbo.background_jobs WHERE created_at >= $1"
BYTES_KEPT = """
SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c
WHERE c.relnamespace = 'dongbo'::regnamespace AND c.relkind = 'r'
    AND (c.relname LIKE 'job%' OR c.relname IN ('background_jobs', 'pgqueuer_log'))
"""
BARE = str(Path(__file__).with_name("bare_queue.py"))


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """A thousand stores on one daemon, each with a schedule, all of which fire in the same moment."""
    fire = (datetime.now(UTC) + timedelta(seconds=START_SECONDS + IDLE_SECONDS)).replace(second=0, microsecond=0)
    fire += timedelta(minutes=1)
    config = _stores() + _schedules(f"{fire.minute} {fire.hour} * * *")
    async with state_directory() as state, running_daemon(state, more_config=config) as bench:
        say(
            f"many_stores: {STORES:,} stores, ready after {bench.seconds_to_ready:.1f} s; they fire at {fire:%H:%M} UTC"
        )
        seconds = 10.0 if quick else IDLE_SECONDS
        await asyncio.sleep((fire - datetime.now(UTC)).total_seconds() - seconds - 2)
        idle = await _idle(bench, seconds)
        await _all_ended(bench, fire)
        rows = await bench.connection.fetch(TIMES, fire)
        late = {name: [row[name] for row in rows] for name in ("created", "began", "ended")}
        worst = {name: _p99(values) for name, values in late.items()}
        detail = {"jobs": len(rows), "p99_started": round(worst["began"], 3), "p99_ended": round(worst["ended"], 3)}
        yield Figure("many_stores_lag", worst["created"], "s, p99", Bound.AT_MOST, LATEST, detail=detail)
        for name, share in idle.items():
            yield Figure(f"many_stores_idle_{name}", share, "of a core", Bound.AT_MOST, SHARE)
        for path in ("status", "api/schedules", "api/jobs", "metrics"):
            times, size = await _asked(bench, path)
            yield Figure(
                f"many_stores_{path.rpartition('/')[2]}",
                median(times),
                "ms",
                Bound.AT_MOST if path == "api/schedules" else None,
                PAGE_TARGET if path == "api/schedules" else None,
                times,
                detail={"kilobytes": round(size / 1000)},
            )
        memory = processes.peak_memory(bench.daemon_pid)
        yield Figure("many_stores_memory", memory, "MB at most", Bound.AT_MOST, MEMORY)


async def measure_dispatch(quick: bool) -> AsyncIterator[Figure]:
    """Three daemons on one database take a thousand jobs of a thousand lanes; the same many from bare PgQueuer."""
    rounds = 2 if quick else ROUNDS
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(embedded_server(await stack.enter_async_context(state_directory())))
        config = f"max_connections = {CONNECTIONS}\n{_stores()}"
        pids = [server.pid] if server.pid is not None else []
        for _ in range(DAEMONS):
            state = await stack.enter_async_context(state_directory())
            bench = await stack.enter_async_context(running_daemon(state, database_url=server.dsn, more_config=config))
            pids.append(bench.daemon_pid)
        say(f"fleet_dispatch: {DAEMONS} daemons with {STORES:,} stores")
        rates, shares = [], []
        before = sum(map(processes.tree_cpu_seconds, pids))
        for _ in range(rounds):
            rate, share = await _dispatched(bench.connection)
            rates.append(rate)
            shares.append(share)
        used = (sum(map(processes.tree_cpu_seconds, pids)) - before) / (rounds * STORES)
        kept = await bench.connection.fetchval(BYTES_KEPT) / (rounds * STORES)
        bare = [await _dispatched_bare(server.dsn) for _ in range(rounds)]
        fastest = max(rates)  # the first round plans
        yield Figure(
            "fleet_dispatch",
            fastest,
            "jobs a second, run to their end",
            values=rates,
            reference=max(bare),
            ratio=fastest / max(bare),
            detail={
                "bare_pgqueuer": [round(rate) for rate in bare],
                "least_share_of_a_daemon": round(min(shares), 3),
                "bytes_a_job": round(kept),
                "processor_ms_a_job": round(used * 1000, 1),
            },
        )


def _stores() -> str:
    """The tables of all stores but the first, which each daemon of a benchmark has. None of them is ever called."""
    return "".join(
        f'[stores.{name}.nhanh]\napp_id = 73001\nbusiness_id = {number}\naccess_token = {{ env = "NHANH_TOKEN" }}\n'
        f'base_url = "http://127.0.0.1:1"\n'
        for number, name in enumerate(NAMES[1:], start=200_000)
    )


def _schedules(cron: str) -> str:
    """One for each store, of a job that does nothing."""
    return "".join(
        f'[[schedules]]\nname = "{name}-daily"\nkind = "cron"\ncron = "{cron}"\ntimezone = "UTC"\nstore = "{name}"\n'
        'job = "NOOP"\n'
        for name in NAMES
    )


async def _idle(bench: Bench, seconds: float) -> dict[str, float]:
    """The share of a core that daemon and server take while nothing is to be done."""
    pids = {"daemon": bench.daemon_pid, "postgres": bench.postgres_pid}
    before, began = {name: processes.tree_cpu_seconds(pid) for name, pid in pids.items()}, time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    return {name: (processes.tree_cpu_seconds(pid) - before[name]) / elapsed for name, pid in pids.items()}


async def _all_ended(bench: Bench, fire: datetime) -> None:
    async with asyncio.timeout(ALL_END):
        while (ended := await bench.connection.fetchval(STARTED, fire)) < STORES:
            say(f"many_stores: {ended} jobs have ended")
            await asyncio.sleep(2.0)


async def _asked(bench: Bench, path: str) -> tuple[list[float], int]:
    """How long the endpoint takes to answer, in milliseconds, and the size of the answer."""
    times, size = [], 0
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        async with bench.session.get(f"{bench.address}{path}") as response:
            size = len(await response.read())
        times.append((time.perf_counter() - began) * 1000)
    return times[1:], size


async def _dispatched(connection: asyncpg.Connection) -> tuple[float, float]:
    """Jobs a second from the moment on at which all of them are there, and the share of the daemon with the fewest."""
    async with connection.transaction():
        began = await connection.fetchval("SELECT now()")
        jobs = [
            store.NewJob(
                id=new_job_id(),
                store=StoreName(name),
                type=JobType.NOOP,
                lane=LANE.format(name),
                trigger=JobTrigger.API,
                schedule=None,
                fire_time=None,
                params={},
                max_attempts=1,
            )
            for name in NAMES
        ]
        await store.insert_unless_live(connection, jobs)
        await places.enqueue(connection, [places.Place(job.id, Lane(job.lane)) for job in jobs])
    committed = await connection.fetchval("SELECT clock_timestamp()")
    async with asyncio.timeout(ALL_END):
        while await connection.fetchval(UNENDED):
            await asyncio.sleep(0.05)
    seconds = (await connection.fetchval(LAST_END, began) - committed).total_seconds()
    rows = await connection.fetch(SHARES, began)
    shares = [row["jobs"] / STORES for row in rows] + [0.0] * (DAEMONS - len(rows))
    return STORES / seconds, min(shares)


async def _dispatched_bare(dsn: str) -> float:
    """The same many from as many processes that have nothing but PgQueuer, with its own settings."""
    async with _workers(dsn) as workers:
        await asyncio.gather(*(worker.stdout.readline() for worker in workers if worker.stdout is not None))
        filler = await _python(dsn, "fill", str(STORES))
        output, _ = await filler.communicate()
    return STORES / float(output)


@asynccontextmanager
async def _workers(dsn: str) -> AsyncIterator[Sequence[asyncio.subprocess.Process]]:
    await (await _python(dsn, "install")).wait()
    workers = [await _python(dsn, "work") for _ in range(DAEMONS)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
        await asyncio.gather(*(worker.wait() for worker in workers))


async def _python(dsn: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, BARE, dsn, *arguments, stdout=asyncio.subprocess.PIPE)


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98]
