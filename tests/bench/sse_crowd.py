"""A thousand readers of the event stream while four stores pull at full speed.

The reference is what the same pulls do without a reader, in the same run. The readers take processor time of the same
machine: how much is told beside, for elsewhere they would not.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import page_server
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say
from processes import cpu_seconds, peak_memory, reset_peak_memory

READERS = 1_000
STORES = ("main", "two", "three", "four")
ROWS = 100_000  # of each store
BEHIND_TARGET = 2.0  # seconds
SPEED_TARGET = 0.9  # of the reference
MEMORY_TARGET = 250.0  # MB
SETTLE_SECONDS = 1.0

STORE = """
[stores.{name}.nhanh]
app_id = 73001
business_id = {business}
access_token = {{ env = "NHANH_TOKEN" }}
base_url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class Round:
    """What four pulls side by side took."""

    rows_per_second: float
    daemon_cpu: float  # seconds
    peak_memory: float  # MB


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """The pulls alone, then with readers."""
    rows = ROWS // 4 if quick else ROWS
    say(f"sse_crowd: rendering {rows:,} customers")
    async with (
        page_server.serving(rows) as (url, _),
        state_directory() as state,
        running_daemon(state, nhanh_url=url, unlimited=True, more_config=_more_stores(url)) as bench,
    ):
        await _pulls(bench, rows)  # warms everything up
        alone = await _pulls(bench, rows)
        crowd, lags, readers_cpu = await _read_meanwhile(bench, rows)
    told = [told for _, told in lags]
    detail = {
        "readers": READERS,
        "rows": rows * len(STORES),
        "daemon_cpu_alone": alone.daemon_cpu,
        "daemon_cpu": crowd.daemon_cpu,
        "readers_cpu": readers_cpu,
        "told": [min(told), max(told)],
    }
    yield Figure(
        "sse_crowd_behind", max(behind for behind, _ in lags), "s", Bound.AT_MOST, BEHIND_TARGET, detail=detail
    )
    yield Figure(
        "sse_crowd_pulls",
        crowd.rows_per_second / alone.rows_per_second,
        "of the speed without readers",
        Bound.AT_LEAST,
        SPEED_TARGET,
        reference=alone.rows_per_second,
        detail=detail,
    )
    yield Figure(
        "sse_crowd_memory", crowd.peak_memory, "MB", Bound.LESS_THAN, MEMORY_TARGET, reference=alone.peak_memory
    )


def _more_stores(url: str) -> str:
    return "".join(STORE.format(name=name, business=110_669 + at, url=url) for at, name in enumerate(STORES[1:]))


async def _pulls(bench: Bench, rows: int) -> Round:
    """Everything of all four stores, into empty tables."""
    await bench.connection.execute("TRUNCATE dongbo.nhanh_customers, dongbo.watermarks; CHECKPOINT")
    reset_peak_memory(bench.daemon_pid)
    cpu = cpu_seconds(bench.daemon_pid)
    ids = [await bench.submit("PULL_NHANH_CUSTOMERS", store=store, full=True) for store in STORES]
    jobs = [await bench.ended(job_id) for job_id in ids]
    assert [job["processed"] for job in jobs] == [rows] * len(STORES), [job["error"] for job in jobs]
    seconds = (max(job["completed_at"] for job in jobs) - min(job["created_at"] for job in jobs)).total_seconds()
    return Round(
        rows_per_second=rows * len(STORES) / seconds,
        daemon_cpu=cpu_seconds(bench.daemon_pid) - cpu,
        peak_memory=peak_memory(bench.daemon_pid),
    )


async def _read_meanwhile(bench: Bench, rows: int) -> tuple[Round, Sequence[tuple[float, int]], float]:
    """The pulls, what each reader says of itself, and the processor time of all readers."""
    address = urlsplit(bench.address)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("sse_readers.py")),
        *(str(address.hostname), str(address.port), str(READERS), "--behind"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        cpu = cpu_seconds(process.pid)
        found = await _pulls(bench, rows)
        cpu = cpu_seconds(process.pid) - cpu
        await asyncio.sleep(SETTLE_SECONDS)  # for the last events
        output, _ = await process.communicate(b"")  # closes their input
        return found, [orjson.loads(line) for line in output.splitlines()], cpu
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
