"""From the commit of a page to the event in the hands of each of 200 readers.

The time of a commit is the job row's `updated_at`, taken by the last statement before it: so the disk's part in the
commit counts as latency, and the figures err on the high side.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

import orjson
import page_server
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

READERS = 200
PAGES = 50
# Longer than two coalescing windows (250 ms unless configured otherwise): so every page is announced at once, the first
# one too, before which the start of the run is announced at the end of a window.
SLOW_PAGE = 0.6  # seconds
FAST_PAGE = 0.02  # seconds: a dozen pages in each window
SHORT_PULLS = 20
MEDIAN_TARGET = 20.0  # milliseconds
P99_TARGET = 100.0

Event = tuple[float, dict[str, Any]]


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Pages that come more slowly than events are coalesced; then ends of jobs whose pages are coalesced."""
    pages, pulls = (15, 5) if quick else (PAGES, SHORT_PULLS)
    say(f"event_latency: {READERS} readers, {pages} pages")
    slow = [event for event in await _events_of_pulls(pages, SLOW_PAGE, 1) if _is_page(event)]
    for figure in _figures("event_latency_page", slow, pages - 1):
        yield figure
    say(f"event_latency: {READERS} readers, {pulls} ends of pulls in full run")
    fast = await _events_of_pulls(12, FAST_PAGE, pulls)
    ends = [event for event in fast if event[1]["status"] == "COMPLETED"]
    for figure in _figures("event_latency_end", ends, pulls):
        yield figure


def _is_page(event: Event) -> bool:
    return event[1]["status"] == "RUNNING" and event[1]["processed"] > 0


def _figures(name: str, events: list[Event], expected: int) -> list[Figure]:
    assert len(events) >= expected * READERS, f"only {len(events)} of {expected * READERS} events came"
    latencies = [(at - datetime.fromisoformat(job["updated_at"]).timestamp()) * 1000 for at, job in events]
    detail = {"events": len(events), "readers": READERS, "slowest": round(max(latencies), 2)}
    return [
        Figure(f"{name}_median", median(latencies), "ms", Bound.LESS_THAN, MEDIAN_TARGET, detail=detail),
        Figure(f"{name}_p99", quantiles(latencies, n=100)[98], "ms", Bound.LESS_THAN, P99_TARGET, detail=detail),
    ]


async def _events_of_pulls(pages: int, delay: float, pulls: int) -> list[Event]:
    async with (
        page_server.serving(pages * page_server.PAGE_SIZE, delay) as (url, _),
        state_directory() as state,
        running_daemon(state, nhanh_url=url, unlimited=True) as bench,
        _readers(bench) as readers,
    ):
        for _ in range(pulls):
            await bench.completed("PULL_NHANH_CUSTOMERS", full=True)
        await asyncio.sleep(1)  # for the last events
        output, _ = await readers.communicate(b"")  # closes their input
    return [(at, job) for at, job in map(orjson.loads, output.splitlines())]


@asynccontextmanager
async def _readers(bench: Bench) -> AsyncIterator[asyncio.subprocess.Process]:
    address = urlsplit(bench.address)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("sse_readers.py")),
        *(str(address.hostname), str(address.port), str(READERS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
