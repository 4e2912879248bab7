"""Pulling all customers of a Nhanh.vn without limits, first into an empty table, then again with nothing changed.

The reference is one COPY of the same rows into a table with the same columns and indexes, on the same server, by the
same driver.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

import asyncpg
import page_server
import processes
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.mirror.nhanh import CUSTOMERS
from daemon.mirror.table import digest
from daemon.sources.decode import RowDecoder
from daemon.sources.nhanh.models import NhanhCustomer

JOB = "PULL_NHANH_CUSTOMERS"
ROWS = 200_000
COLUMNS = ["store", "id", *(column.name for column in CUSTOMERS.columns), "document", "digest"]
COPY_TIMEOUT = 300.0  # seconds
MEMORY_TARGET = 150.0  # MB

# Every first pull and every COPY starts from here: empty tables, nothing to be written out yet.
EMPTY = """
TRUNCATE dongbo.nhanh_customers, dongbo.reference, dongbo.watermarks;
CHECKPOINT;
"""

DIFFERENCES = """
SELECT count(*) FROM (SELECT {columns} FROM dongbo.nhanh_customers EXCEPT SELECT {columns} FROM dongbo.reference)
""".format(columns=", ".join(COLUMNS))

# Where each version of each row lies: another one if any row was rewritten.
PLACES = "SELECT md5(string_agg(concat_ws(' ', id, ctid, xmin, xmax), ',' ORDER BY id)) FROM dongbo.nhanh_customers"

COUNTED_WRITES = """
SELECT n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_hot_upd AS hot_updated, n_tup_del AS deleted
FROM pg_stat_user_tables WHERE relname = 'nhanh_customers'
"""
STATISTICS_DELAY = 11.0  # seconds: an idle session reports its statistics after 10

# Of all WAL records between two places, those of the mirror table and its indexes.
MIRROR_WAL = """
SELECT coalesce(sum(record_length), 0)::bigint FROM (
    SELECT DISTINCT start_lsn, record_length FROM pg_get_wal_block_info($1::pg_lsn, $2::pg_lsn)
    WHERE relfilenode IN (
        SELECT pg_relation_filenode('dongbo.nhanh_customers')
        UNION SELECT pg_relation_filenode(indexrelid) FROM pg_index WHERE indrelid = 'dongbo.nhanh_customers'::regclass
    )
) AS records
"""


@dataclass(frozen=True, slots=True)
class Pull:
    """What one pull took."""

    rows_per_second: float
    seconds: float
    daemon_cpu: float  # seconds per 100,000 rows
    postgres_cpu: float
    source_cpu: float
    peak_memory: float  # MB
    wal: float  # bytes per row, all that the server wrote
    wal_between: tuple[int, int]  # where in the log it is


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Rounds of COPY, first pull, pull again; a single one with `quick`."""
    say(f"pull_customers: rendering {ROWS:,} customers")
    records = list(customer_records(ROWS))
    copies: list[float] = []
    firsts: list[Pull] = []
    agains: list[Pull] = []
    mirror_wal: list[float] = []
    rewritten = 0
    async with (
        page_server.serving(ROWS) as (url, source_pid),
        state_directory() as state,
        running_daemon(state, nhanh_url=url, unlimited=True) as bench,
    ):
        await prepare(bench.connection)
        for number in range(1 if quick else 3):
            await bench.connection.execute(EMPTY)
            copies.append(ROWS / await copy(bench.connection, records))
            await bench.connection.execute("CHECKPOINT")
            firsts.append(await pull(bench, source_pid, ROWS))
            await check_equal(bench.connection)
            places = await bench.connection.fetchval(PLACES)
            agains.append(await pull(bench, source_pid, ROWS))
            rewritten += await bench.connection.fetchval(PLACES) != places
            mirror_wal.append(await bench.connection.fetchval(MIRROR_WAL, *agains[-1].wal_between) / ROWS)
            speeds = (copies[-1], firsts[-1].rows_per_second, agains[-1].rows_per_second)
            say(
                "pull_customers: round {}: copy {:,.0f}, first {:,.0f}, again {:,.0f} rows/s".format(
                    number + 1, *speeds
                )
            )
        await asyncio.sleep(STATISTICS_DELAY)
        writes = dict(await bench.connection.fetchrow(COUNTED_WRITES))
    for figure in (*first_figures(copies, firsts), *again_figures(firsts, agains, mirror_wal, writes, rewritten)):
        yield figure


async def measure_million(quick: bool) -> AsyncIterator[Figure]:
    """A first pull of 200,000 rows and one of 1,000,000, each in a fresh daemon: memory must not grow with the shop."""
    if quick:
        return
    peaks = {}
    for rows in (ROWS, 1_000_000):
        say(f"pull_million: rendering {rows:,} customers")
        async with (
            page_server.serving(rows) as (url, source_pid),
            state_directory() as state,
            running_daemon(state, nhanh_url=url, unlimited=True) as bench,
        ):
            result = await pull(bench, source_pid, rows)
            peaks[rows] = result.peak_memory
            say(f"pull_million: {rows:,} rows: {result.rows_per_second:,.0f} rows/s, {result.peak_memory:.0f} MB")
    yield Figure("pull_million_rows_per_second", result.rows_per_second, "rows/s", Bound.AT_LEAST, 20_000)
    yield Figure(
        "pull_million_peak_memory",
        peaks[1_000_000],
        "MB",
        Bound.AT_MOST,
        MEMORY_TARGET,
    )
    # What the allocator keeps differs by a few MB between two runs of the same size. Were something kept for each row
    # or page, 800,000 rows more would show: 10 MB are 12 bytes a row.
    yield Figure(
        "pull_million_memory_growth",
        peaks[1_000_000] - peaks[ROWS],
        "MB more than for 200,000 rows",
        Bound.AT_MOST,
        10,
        reference=peaks[ROWS],
        ratio=peaks[1_000_000] / peaks[ROWS],
    )


def customer_records(customers: int) -> Iterable[tuple[Any, ...]]:
    """The rows of the mirror table that a pull makes, in the order of COLUMNS."""
    good, bad = RowDecoder(NhanhCustomer).rows(page_server.customer_rows(customers))
    assert not bad
    for row in good:
        values = CUSTOMERS.values(row.value)
        yield ("main", row.value.id, *values, row.document.decode(), digest(row.document))


async def prepare(connection: asyncpg.Connection) -> None:
    """What the measuring needs in the database."""
    await connection.execute("CREATE TABLE dongbo.reference (LIKE dongbo.nhanh_customers INCLUDING ALL)")
    await connection.execute("CREATE EXTENSION pg_walinspect")


async def copy(connection: asyncpg.Connection, records: Iterable[tuple[Any, ...]]) -> float:
    """Seconds for the bare COPY, its commit included."""
    began = time.perf_counter()
    await connection.copy_records_to_table(
        "reference", schema_name="dongbo", columns=COLUMNS, records=records, timeout=COPY_TIMEOUT
    )
    return time.perf_counter() - began


async def check_equal(connection: asyncpg.Connection) -> None:
    """The pull must have stored just what was copied."""
    different = await connection.fetchval(DIFFERENCES)
    assert different == 0, f"{different} rows differ from those of the COPY"


async def pull(bench: Bench, source_pid: int, rows: int) -> Pull:
    """Pull everything; from the moment it was asked for to the commit of its end, by the database's clock."""
    processes.reset_peak_memory(bench.daemon_pid)
    cpu = [processes.tree_cpu_seconds(pid) for pid in (bench.postgres_pid, source_pid)]
    daemon_cpu = processes.cpu_seconds(bench.daemon_pid)
    before = await bench.connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    job = await bench.completed(JOB, full=True)
    after = await bench.connection.fetchval("SELECT pg_current_wal_flush_lsn()")
    assert job["processed"] == rows == job["created"] + job["skipped"], dict(job)
    seconds = (job["completed_at"] - job["created_at"]).total_seconds()
    share = rows / 100_000
    return Pull(
        rows_per_second=rows / seconds,
        seconds=seconds,
        daemon_cpu=(processes.cpu_seconds(bench.daemon_pid) - daemon_cpu) / share,
        postgres_cpu=(processes.tree_cpu_seconds(bench.postgres_pid) - cpu[0]) / share,
        source_cpu=(processes.tree_cpu_seconds(source_pid) - cpu[1]) / share,
        peak_memory=processes.peak_memory(bench.daemon_pid),
        wal=(after - before) / rows,
        wal_between=(before, after),
    )


def first_figures(copies: list[float], firsts: list[Pull]) -> Iterable[Figure]:
    """Figure 1."""
    speeds = [pull.rows_per_second for pull in firsts]
    ratios = [speed / copy for speed, copy in zip(speeds, copies, strict=True)]
    yield Figure(
        "pull_customers_rows_per_second",
        median(speeds),
        "rows/s",
        Bound.AT_LEAST,
        20_000,
        values=speeds,
        reference=median(copies),
        ratio=median(ratios),
    )
    yield Figure("pull_customers_ratio_to_copy", median(ratios), "", Bound.AT_LEAST, 0.35, values=ratios)
    memory = [pull.peak_memory for pull in firsts]
    yield Figure("pull_customers_peak_memory", max(memory), "MB", Bound.AT_MOST, MEMORY_TARGET, values=memory)
    for name in ("daemon_cpu", "postgres_cpu", "source_cpu"):
        values = [getattr(pull, name) for pull in firsts]
        yield Figure(f"pull_customers_{name}", median(values), "CPU s per 100,000 rows", values=values)
    wal = [pull.wal for pull in firsts]
    yield Figure("pull_customers_wal", median(wal), "bytes per row", values=wal)


def again_figures(
    firsts: list[Pull], agains: list[Pull], mirror_wal: list[float], writes: dict[str, int], rewritten: int
) -> Iterable[Figure]:
    """Figure 2."""
    first = median(pull.rows_per_second for pull in firsts)
    speeds = [pull.rows_per_second for pull in agains]
    yield Figure(
        "pull_again_rows_per_second",
        median(speeds),
        "rows/s",
        Bound.MORE_THAN,
        first,
        values=speeds,
        reference=first,
        ratio=median(speeds) / first,
    )
    touched = writes["updated"] + writes["deleted"] + rewritten
    yield Figure("pull_again_rows_rewritten", touched, "rows", Bound.AT_MOST, 0, detail={"table_statistics": writes})
    yield Figure("pull_again_mirror_wal", median(mirror_wal), "bytes per row", Bound.AT_MOST, 0.5, values=mirror_wal)
    # The rest is the job's own row, written with every checkpoint, and the queue.
    wal = [pull.wal for pull in agains]
    yield Figure("pull_again_wal", median(wal), "bytes per row", values=wal)
    for name in ("daemon_cpu", "postgres_cpu", "source_cpu"):
        values = [getattr(pull, name) for pull in agains]
        yield Figure(f"pull_again_{name}", median(values), "CPU s per 100,000 rows", values=values)
