"""Readers of the event stream who come back all at once, with 300,000 jobs in the table.

The reference is how long the same readers wait who come anew, in the same run. Meanwhile /livez is asked again and
again, and the kernel keeps the peak of the daemon's memory.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import orjson
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say
from processes import peak_memory, reset_peak_memory, resident_memory

READERS = 100
JOBS = 300_000
ROUNDS = 3
LIVEZ_PAUSE = 0.01  # seconds between two looks
SETTLE_SECONDS = 3.0
FIRST_BYTE_TARGET = 0.5  # seconds, at p99
MEMORY_TARGET = 30.0  # MB
LIVEZ_TARGET = 0.2  # seconds

# A job every five seconds for 17 days, each with what a pull notes of itself.
FILL = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, params, total, processed, successful,
    created, updated, metadata, checkpoint, attempt, max_attempts, worker, created_at, started_at,
    updated_at, completed_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
    'main',
    (ARRAY['PULL_NHANH_PRODUCTS', 'PULL_NHANH_CUSTOMERS', 'MATCH_PRODUCTS', 'SYNC_PRODUCTS'])[n % 4 + 1], 'main',
    'COMPLETED', 'schedule', '{"full": false}', 1000, 1000, 1000, 400, 600,
    jsonb_build_object('pages', 10, 'rows_per_second', 512.5, 'api_calls', 11, 'note', repeat('x', 600)),
    '{"after": [1, 2, 3]}', 1, 3, 'bench', at, at, at, at
FROM generate_series(1, $1::integer) AS n, LATERAL (SELECT now() - ($1 - n) * interval '5 s' AS at) AS moment
ORDER BY n
"""


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Anew; back after a pause; from some thousand changes ago; from the beginning of time; from nowhere."""
    jobs = JOBS // 10 if quick else JOBS
    async with state_directory() as state:
        async with running_daemon(state) as bench:
            say(f"sse_return: filling the table with {jobs:,} jobs")
            await bench.connection.execute(FILL, jobs, timeout=600)
            await bench.connection.execute("VACUUM ANALYZE dongbo.background_jobs", timeout=600)
        async with running_daemon(state) as bench:  # which has not seen these jobs come
            await asyncio.sleep(SETTLE_SECONDS)
            last = await _last_event_id(bench)
            for _ in range(20):
                await bench.completed("NOOP")
            version, _, database = last.partition("-")
            kinds: dict[str, Callable[[int], str | None]] = {
                "anew": lambda _: None,
                "back": lambda _: last,
                "back_late": lambda reader: f"{int(version) - 45 * reader}-{database}",
                "beginning_of_time": str,
                "nowhere": lambda reader: ("-1", "9" * 18, "9" * 400, "x", f"{version}-00000000")[reader % 5],
            }
            reference = 0.0
            for kind, id_of in kinds.items():
                rounds = [await _round(bench, [id_of(reader) for reader in range(READERS)]) for _ in range(ROUNDS)]
                waits = [wait for found in rounds for wait in found.first_byte]
                p99 = quantiles(waits, n=100)[98]
                reference = reference or p99
                detail = {"readers": READERS, "jobs": jobs, "first_event_slowest": max(r.first_event for r in rounds)}
                yield Figure(
                    f"sse_{kind}_first_byte_p99",
                    p99,
                    "s",
                    Bound.LESS_THAN,
                    FIRST_BYTE_TARGET,
                    reference=reference,
                    ratio=p99 / reference,
                    detail=detail,
                )
                memory = [found.memory for found in rounds]
                yield Figure(f"sse_{kind}_memory", max(memory), "MB more", Bound.LESS_THAN, MEMORY_TARGET, memory)
                livez = [found.livez for found in rounds]
                yield Figure(f"sse_{kind}_livez_slowest", max(livez), "s", Bound.LESS_THAN, LIVEZ_TARGET, livez)


class _Round:
    """What one coming of all readers cost."""

    def __init__(self) -> None:
        self.first_byte: Sequence[float] = ()
        self.first_event = 0.0  # seconds, of the slowest
        self.memory = 0.0  # MB more than before, at the peak
        self.livez = 0.0  # seconds, the slowest answer


async def _round(bench: Bench, last_event_ids: Sequence[str | None]) -> _Round:
    found = _Round()
    reset_peak_memory(bench.daemon_pid)
    before = resident_memory(bench.daemon_pid)
    async with _probing(bench, found):
        address = urlsplit(bench.address)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("sse_returners.py")),
            *(str(address.hostname), str(address.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(orjson.dumps(last_event_ids) + b"\n")
        assert process.returncode == 0
    waits = orjson.loads(output)
    found.first_byte, found.first_event = waits["first_byte"], round(max(waits["first_event"]), 4)
    found.memory = peak_memory(bench.daemon_pid) - before
    return found


@asynccontextmanager
async def _probing(bench: Bench, found: _Round) -> AsyncIterator[None]:
    async def probe() -> None:
        while True:
            began = time.perf_counter()
            async with bench.session.get(f"{bench.address}livez") as response:
                await response.read()
            found.livez = max(found.livez, time.perf_counter() - began)
            await asyncio.sleep(LIVEZ_PAUSE)

    task = asyncio.create_task(probe(), name="livez-probe")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _last_event_id(bench: Bench) -> str:
    """The id of the snapshot of a reader who comes now."""
    async with bench.session.get(f"{bench.address}api/events") as response:
        async for line in response.content:
            if line.startswith(b"id: "):
                return line[4:].decode().strip()
    raise AssertionError("the stream has ended")
