"""A first pull of 100,000 customers by the daemon and by dlt, from the same server of pages into the same PostgreSQL.

dlt (https://dlthub.com) is the peer: a loader that many would take for this. It does it as its documentation shows: its
REST client pages through the list, and its own steps normalise and load. Its write disposition is `append`, its default
and the one that costs it least; the daemon also compares each row with what is stored, and commits each group of pages
along with the job's counters and checkpoint. Both are timed without their start: the daemon from the submission of the
job to its end, dlt from the beginning of `pipeline.run` to its end.

dlt is in the optional extra `bench`. It may as well be in an environment of its own, whose Python `DLT_PYTHON` names.
"""

import asyncio
import importlib.util
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import orjson
import page_server
import pull_customers
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.database.postgres_socket import running_server_dsn

ROWS = 100_000
PIPELINE = Path(__file__).with_name("dlt_pull.py")
SCHEMA = "by_dlt"

EMPTY = f"""
TRUNCATE dongbo.nhanh_customers, dongbo.watermarks;
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CHECKPOINT;
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What dlt took."""

    rows_per_second: float
    peak_memory: float  # MB


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Rounds of dlt, a first pull, and a pull that finds nothing changed; a single one with `quick`."""
    python = dlt_python()
    if python is None:
        say("first_pull_dlt: dlt is not installed (the extra `bench`, or DLT_PYTHON): there is nothing to compare with")
        return
    loads: list[Load] = []
    firsts: list[pull_customers.Pull] = []
    agains: list[pull_customers.Pull] = []
    async with (
        page_server.serving(ROWS) as (url, source_pid),
        state_directory() as state,
        running_daemon(state, nhanh_url=url, unlimited=True) as bench,
    ):
        for number in range(1 if quick else 3):
            await bench.connection.execute(EMPTY)
            loads.append(await load(bench, python, url))
            await bench.connection.execute(EMPTY)
            firsts.append(await pull_customers.pull(bench, source_pid, ROWS))
            agains.append(await pull_customers.pull(bench, source_pid, ROWS))
            say(
                f"first_pull_dlt: round {number + 1}: dlt {loads[-1].rows_per_second:,.0f}, "
                f"first {firsts[-1].rows_per_second:,.0f}, again {agains[-1].rows_per_second:,.0f} rows/s"
            )
    ratios = [pull.rows_per_second / by_dlt.rows_per_second for pull, by_dlt in zip(firsts, loads, strict=True)]
    yield Figure(
        "first_pull_ratio_to_dlt",
        median(ratios),
        "",
        Bound.AT_LEAST,
        5,
        values=ratios,
        detail={"rows_per_second": median(pull.rows_per_second for pull in firsts)},
        reference=median(by_dlt.rows_per_second for by_dlt in loads),
    )
    yield Figure(
        "first_pull_peak_memory",
        max(pull.peak_memory for pull in firsts),
        "MB",
        Bound.AT_MOST,
        pull_customers.MEMORY_TARGET,
        reference=max(by_dlt.peak_memory for by_dlt in loads),
    )
    shares = [again.rows_per_second / first.rows_per_second for again, first in zip(agains, firsts, strict=True)]
    yield Figure("pull_again_ratio_to_first", median(shares), "", Bound.AT_LEAST, 2, values=shares)


def dlt_python() -> str | None:
    """A Python that has dlt."""
    named = os.environ.get("DLT_PYTHON")
    return named or (sys.executable if importlib.util.find_spec("dlt") is not None else None)


async def load(bench: Bench, python: str, url: str) -> Load:
    """One pull by dlt, into a schema of its own in the daemon's database."""
    with tempfile.TemporaryDirectory(prefix="dongbo-bench-dlt-") as folder:
        process = await asyncio.create_subprocess_exec(
            python,
            *(str(PIPELINE), url, await _database_url(bench), folder, SCHEMA),
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": folder,
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                "RUNTIME__LOG_LEVEL": "ERROR",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        output, _errors = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("dlt failed")
    stored = await bench.connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.customers")
    assert stored == ROWS, stored
    told = orjson.loads(output.splitlines()[-1])
    return Load(ROWS / told["seconds"], told["peak_memory"])


async def _database_url(bench: Bench) -> str:
    """The daemon's database as dlt wants it: it insists on a host and a password, and `host` overrides the one."""
    dsn = urlsplit(await running_server_dsn(bench.state))
    return f"postgresql://postgres:none@localhost:5432{dsn.path}?{dsn.query}"
