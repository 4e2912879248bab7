"""What the daemon costs while it has nothing to do, and how soon it is back on an existing database."""

import asyncio
import time
from collections.abc import AsyncIterator
from statistics import median

import processes
from daemon_process import running_daemon, state_directory
from figures import Bound, Figure, say

IDLE_SECONDS = 30.0
SETTLE_SECONDS = 5.0  # what the start left to do is no idling
STARTS = 5
START_TARGET = 1.5  # seconds
SHARE_TARGET = 0.01  # of a core


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Start on a new database, again on the existing one, and let it idle."""
    async with state_directory() as state:
        async with running_daemon(state) as bench:
            yield Figure("ready_first", bench.seconds_to_ready, "s, database made anew")
        starts = []
        for _ in range(1 if quick else STARTS):
            async with running_daemon(state) as bench:
                starts.append(bench.seconds_to_ready)
        yield Figure(
            "ready_again", median(starts), "s from exec to /readyz", Bound.LESS_THAN, START_TARGET, values=starts
        )
        seconds = 10.0 if quick else IDLE_SECONDS
        async with running_daemon(state) as bench:
            say(f"idle: watching for {seconds:.0f} s")
            await asyncio.sleep(SETTLE_SECONDS)
            pids = {"daemon": bench.daemon_pid, "postgres": bench.postgres_pid}
            began = time.monotonic()
            before = {
                "daemon": processes.cpu_seconds(pids["daemon"]),
                "postgres": processes.tree_cpu_seconds(pids["postgres"]),
            }
            await asyncio.sleep(seconds)
            after = {
                "daemon": processes.cpu_seconds(pids["daemon"]),
                "postgres": processes.tree_cpu_seconds(pids["postgres"]),
            }
            elapsed = time.monotonic() - began
            memory = processes.peak_memory(bench.daemon_pid)
        for name in pids:
            share = (after[name] - before[name]) / elapsed
            yield Figure(f"idle_{name}", share, "of a core", Bound.LESS_THAN, SHARE_TARGET)
        yield Figure("idle_memory", memory, "MB at most, start included")
