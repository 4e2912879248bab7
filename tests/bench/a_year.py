"""A year of a product chain every minute: what one chain leaves behind, and what becomes of 525,600 of them.

First the real thing, some dozens of chains of a daemon on the sandbox's shops: rows, dead rows in the catalogue of
PostgreSQL, bytes of write-ahead log. Then the rows of the last one, copied minute by minute through a year, while the
daemon's own pruning runs at the end of every day as if it were then, and autovacuum beside it. The time is moved by
shifting what "30 days ago" means, so that every row and every deletion is real; autovacuum, which has a second for a
day, has it harder than in life.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.bootstrap import Daemon
from daemon.config import Settings
from daemon.database.embedded import embedded_server
from daemon.database.pool import open_database
from daemon.pruning import Pruner
from daemon.sandbox.server import SandboxSettings, running_sandbox
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.status.access import AccessRules
from daemon.stores import StoreFactory
from daemon.tasks import JobPolicy, TaskRegistry

CHAINS_A_DAY = 24 * 60
YEAR = 365  # days
RETENTION = timedelta(days=30)
FULL_AFTER = 45  # days from which on as much goes as comes
SAMPLE_EVERY = 5  # days
FIRST_CHAINS = 5  # that fill the mirror and make what is made once
VALUES = 2_000  # different ones that are pushed in turn
MB = 1_000_000

SYNC = """
[stores.main.product_sync]
price = "retail"
locations = {{ "{location}" = [{depot}] }}
"""

WRITTEN = """
SELECT relname, schemaname, n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted
FROM pg_stat_all_tables WHERE schemaname IN ('dongbo', 'pg_catalog', 'pg_toast')
"""
WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
SIZES = """
SELECT relname, pg_relation_size(oid) AS heap, pg_indexes_size(oid) AS indexes, pg_total_relation_size(oid) AS total
FROM pg_class WHERE relnamespace = 'dongbo'::regnamespace AND relkind = 'r'
"""
DATABASE_SIZE = "SELECT pg_database_size(current_database())"
CATALOGUE_SIZE = """
SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'
"""
DEAD = """
SELECT sum(n_dead_tup)::float8 / greatest(sum(n_live_tup), 1) FROM pg_stat_user_tables WHERE schemaname = 'dongbo'
"""
LIVE = "SELECT relname, n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'dongbo'"
IN_A_HURRY = (
    "ALTER SYSTEM SET autovacuum_naptime = '1s'",
    "ALTER SYSTEM SET autovacuum_vacuum_cost_delay = 0",
    "SELECT pg_reload_conf()",
)

WITHOUT_TRIGGERS = "SET session_replication_role = replica"  # what they do, the copied rows bring along

# The jobs of the last chain, as they were, and when it began.
TEMPLATE = """
CREATE TABLE bench_template AS
WITH chain AS (
    SELECT id FROM dongbo.background_jobs WHERE type = 'PRODUCT_CHAIN' AND status = 'COMPLETED' ORDER BY id DESC LIMIT 1
)
SELECT row_number() OVER (ORDER BY job.id) AS place, job.*, min(created_at) OVER () AS base
FROM dongbo.background_jobs AS job, chain WHERE chain.id IN (job.id, job.parent_id)
"""
FORGET = "TRUNCATE dongbo.background_jobs, dongbo.pgqueuer_log, dongbo.pushes, dongbo.job_counts CASCADE"
KEEP = """
CREATE TABLE bench_{table} AS SELECT * FROM dongbo.{table} WHERE job_id IN (SELECT id FROM bench_template)
"""
KEPT_TABLES = ("job_attempts", "job_pace", "job_log", "pushes")
INSTANCES = """
CREATE UNLOGGED TABLE bench_instances (old uuid, new uuid, chain bigint, later interval, PRIMARY KEY (chain, old))
"""
# UUIDs of version 7, as the daemon makes them: their order is that of time.
MAKE_INSTANCES = """
INSERT INTO bench_instances
SELECT id, (lpad(to_hex((extract(epoch FROM created_at + later) * 1000)::bigint), 12, '0') || '7' ||
    lpad(to_hex(chain * 16 + place), 19, '8'))::uuid, chain, later
FROM bench_template,
    LATERAL (SELECT chain, $3::timestamptz + chain * interval '1 min' - base AS later
        FROM generate_series($1::bigint, $2::bigint) AS chain) AS moment
"""
JOBS = """
INSERT INTO dongbo.background_jobs ({columns})
SELECT {values} FROM bench_instances AS made JOIN bench_template AS kept ON kept.id = made.old
LEFT JOIN bench_instances AS parent ON parent.old = kept.parent_id AND parent.chain = made.chain
ORDER BY made.new
"""
# A job's status changes twice, each time in most of its indexes; here once, for all of a day.
END_JOBS = """
UPDATE dongbo.background_jobs SET completed_at = completed_at + interval '1 ms', repaired_by = id
WHERE id IN (SELECT new FROM bench_instances)
"""
OF_JOBS = """
INSERT INTO dongbo.{table} ({columns})
SELECT {values} FROM bench_instances AS made JOIN bench_{table} AS kept ON kept.job_id = made.old ORDER BY made.new
"""
QUEUE_LOG = """
INSERT INTO dongbo.pgqueuer_log (created, job_id, status, priority, entrypoint)
SELECT kept.created_at + later, chain, step.status::dongbo.pgqueuer_status, 0, lane
FROM bench_instances AS made JOIN bench_template AS kept ON kept.id = made.old,
    unnest(ARRAY['queued', 'picked', 'successful']) AS step (status)
"""
FIRES = """
INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, job_id, outcome, worker, fired_at)
SELECT kept.store, 'products', created_at + later, new, 'submitted', kept.worker, created_at + later
FROM bench_instances AS made JOIN bench_template AS kept ON kept.id = made.old WHERE kept.parent_id IS NULL
"""
# A change of status takes one from a facet and gives one to another.
COUNT_CHANGES = """
INSERT INTO dongbo.job_count_changes (facet, change)
SELECT facet, change FROM bench_instances JOIN dongbo.background_jobs AS job ON job.id = new,
    unnest(ARRAY[1, -1, 1, -1, 1]) AS change
"""
COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = ('dongbo.' || $1)::regclass AND attnum > 0 AND NOT attisdropped
  AND attidentity = '' AND attgenerated = '' ORDER BY attnum
"""
TIMES = (
    "fire_time",
    "created_at",
    "started_at",
    "updated_at",
    "completed_at",
    "ended_at",
    "at",
    "intended_at",
    "settled_at",
)


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """A few real chains, then a year of their rows."""
    async with state_directory() as state:
        async for figure in _measure_chains(state, chains=10 if quick else 60):
            yield figure
        async for figure in _measure_year(state, days=60 if quick else YEAR):
            yield figure


async def _measure_chains(state: Path, chains: int) -> AsyncIterator[Figure]:
    settings = SandboxSettings(products=300, customers=1, depots=1, churn_per_second=2.0, limits=False)
    async with running_sandbox(settings) as sandbox:
        (location,) = sandbox.shopify.locations.values()
        daemon = running_daemon(
            state,
            nhanh_url=sandbox.nhanh_url,
            shopify_url=sandbox.shopify_url,
            more_config=SYNC.format(location=location.id, depot=location.depot_id),
            unlimited=True,
        )
        async with daemon as bench:
            for _ in range(FIRST_CHAINS):
                await bench.completed("PRODUCT_CHAIN")
            before = await _written(bench)
            size = await bench.connection.fetchval(CATALOGUE_SIZE)
            for number in range(chains):
                await bench.completed("PRODUCT_CHAIN")
                if number % 10 == 9:
                    say(f"a_year: {number + 1} chains")
            after = await _written(bench)
            grown = await bench.connection.fetchval(CATALOGUE_SIZE) - size
    of_each = {name: round((after[name] - before.get(name, 0)) / chains, 2) for name in sorted(after)}
    rows = {name: value for name, value in of_each.items() if value and not name.startswith("pg_catalog")}
    catalogue = sum(value for name, value in of_each.items() if name.startswith("pg_catalog") and name != "wal")
    yield Figure("chain_rows", sum(rows.values()) - rows["wal"], "rows written by a chain", detail={"rows": rows})
    yield Figure("chain_wal", rows["wal"] / 1000, "kB of write-ahead log a chain", Bound.AT_MOST, 300)
    yield Figure("chain_catalogue", catalogue, "rows of the catalogue written by a chain", Bound.AT_MOST, 200)
    yield Figure("chain_catalogue_growth", grown / 1000, f"kB more of catalogue after {chains} chains")


async def _written(bench: Bench) -> Mapping[str, float]:
    """Rows written so far by table, those of the catalogue under `pg_catalog.…`; bytes of log under `wal`."""
    await bench.connection.execute("SELECT pg_stat_force_next_flush()")
    await asyncio.sleep(1.5)  # the daemon's idle connections report once a second
    rows = await bench.connection.fetch(WRITTEN)
    counted = {
        row["relname"] if row["schemaname"] == "dongbo" else f"pg_catalog.{row['relname']}": float(
            row["inserted"] + row["updated"] + row["deleted"]
        )
        for row in rows
    }
    return counted | {"wal": float(await bench.connection.fetchval(WAL))}


@dataclass(frozen=True)
class Sample:
    """Sizes at the end of a day, in bytes."""

    day: int
    database: int
    tables: Mapping[str, int]
    heap: int
    indexes: int
    dead_share: float

    def __str__(self) -> str:
        largest = sorted(self.tables.items(), key=lambda table: -table[1])[:5]
        tables = ", ".join(f"{name} {size / MB:.0f}" for name, size in largest)
        shares = f"indexes {self.indexes / self.heap:.2f}, dead {self.dead_share:.2f}"
        return f"{self.database / MB:.0f} MB ({tables}), {shares}"


async def _measure_year(state: Path, days: int) -> AsyncIterator[Figure]:
    samples: list[Sample] = []
    began = time.monotonic()
    async with embedded_server(state, durable=False) as server, open_database(server.dsn) as database:
        connection = await asyncpg.connect(server.dsn)
        try:
            for statement in IN_A_HURRY:
                await connection.execute(statement)
            empty = await _prepare(connection)
            await connection.execute(WITHOUT_TRIGGERS)
            async with open_session() as session:
                factory = StoreFactory(session, LimiterRegistry(None))
                daemon = Daemon(Settings(), database, TaskRegistry({}, JobPolicy()), factory, AccessRules())
                year = _Year(connection, Pruner(daemon), datetime.now(UTC) - timedelta(days=days))
                for day in range(1, days + 1):
                    await year.pass_day(day)
                    if day % SAMPLE_EVERY == 0:
                        samples.append(await _sample(connection, day))
                        seconds = time.monotonic() - began
                        say(f"a_year: day {day}, {samples[-1]}, after {seconds:.0f} s")
            live = {row["relname"]: row["n_live_tup"] for row in await connection.fetch(LIVE)}
        finally:
            await connection.close()
    for figure in _judge(samples, empty, live):
        yield figure


def _judge(samples: Sequence[Sample], empty: int, live: Mapping[str, int]) -> list[Figure]:
    full = next(sample for sample in samples if sample.day >= FULL_AFTER)
    last = samples[-1]
    largest = max(sample.database for sample in samples if sample.day >= full.day)
    grown = {
        table: round(size / full.tables[table], 3)
        for table, size in last.tables.items()
        if full.tables.get(table, 0) > MB
    }
    history = {str(sample.day): round(sample.database / MB) for sample in samples}
    tables = {table: round(size / MB, 1) for table, size in sorted(last.tables.items()) if size > MB / 10}
    rows = {table: live[table] for table in tables}
    chains_kept = RETENTION.days * CHAINS_A_DAY / 1000
    return [
        Figure(
            "year_growth",
            largest / full.database,
            f"times the size of day {full.day}, at most, until day {last.day}",
            Bound.AT_MOST,
            1.15,
            detail={"mb_by_day": history, "chains": last.day * CHAINS_A_DAY},
        ),
        Figure(
            "year_table_growth",
            max(grown.values()),
            "times its size then, of the table that grew most",
            Bound.AT_MOST,
            1.3,
            detail={"tables": grown},
        ),
        Figure("year_size", last.database / MB, "MB", Bound.AT_MOST, 2000, detail={"mb": tables, "rows": rows}),
        Figure("year_size_of_chains", (last.database - empty) / MB / chains_kept, "MB for 1,000 chains kept"),
        Figure("year_indexes", last.indexes / last.heap, "times the tables", Bound.AT_MOST, 1.5),
        Figure(
            "year_dead", max(sample.dead_share for sample in samples), "dead rows for each live one", Bound.AT_MOST, 0.5
        ),
    ]


async def _prepare(connection: asyncpg.Connection) -> int:
    """The last real chain as a template, and an empty history; the size of the database then."""
    await connection.execute(TEMPLATE)
    for table in KEPT_TABLES:
        await connection.execute(KEEP.format(table=table))
    await connection.execute(INSTANCES)
    await connection.execute(FORGET)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    size: int = await connection.fetchval(DATABASE_SIZE)
    return size


class _Year:
    """A year that ends now, day by day."""

    def __init__(self, connection: asyncpg.Connection, pruner: Pruner, begins_at: datetime) -> None:
        self._connection = connection
        self._pruner = pruner
        self._begins_at = begins_at

    async def pass_day(self, day: int) -> None:
        """The day's chains run and end, and what is too old at its end is pruned."""
        first = (day - 1) * CHAINS_A_DAY
        connection = self._connection
        await connection.execute("TRUNCATE bench_instances")
        await connection.execute(MAKE_INSTANCES, first, first + CHAINS_A_DAY - 1, self._begins_at)
        await connection.execute(await self._copying(JOBS, "background_jobs"))
        await connection.execute(END_JOBS)
        for table in KEPT_TABLES:
            await connection.execute(await self._copying(OF_JOBS, table))
        for statement in (QUEUE_LOG, FIRES, COUNT_CHANGES):
            await connection.execute(statement)
        ago = datetime.now(UTC) - (self._begins_at + timedelta(days=day))
        await self._pruner._prune(RETENTION + ago)

    async def _copying(self, statement: str, table: str) -> str:
        """The statement with all columns of the table, those that tell one instance from another replaced."""
        columns = [row["attname"] for row in await self._connection.fetch(COLUMNS, table)]
        return statement.format(
            table=table, columns=", ".join(columns), values=", ".join(_value(table, column) for column in columns)
        )


def _value(table: str, column: str) -> str:
    if column in TIMES:
        return f"kept.{column} + made.later"
    match column:
        case "id" | "job_id":
            return "made.new"
        case "parent_id":
            return "parent.new"
        case "version":
            return "nextval('dongbo.job_version')"
        case "owner_id":
            return f"1 + (made.chain * 7 + kept.owner_id) % {VALUES}"
        case _:
            return f"kept.{column}"


async def _sample(connection: asyncpg.Connection, day: int) -> Sample:
    rows = await connection.fetch(SIZES)
    return Sample(
        day,
        await connection.fetchval(DATABASE_SIZE),
        {row["relname"]: row["total"] for row in rows},
        sum(row["total"] - row["indexes"] for row in rows),
        sum(row["indexes"] for row in rows),
        await connection.fetchval(DEAD),
    )
