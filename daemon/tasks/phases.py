"""What a job does at the moment, shown while no page comes: a long statement must not look like a job that hangs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from daemon.errors import DatabaseUnavailable
from daemon.jobs.context import JobContext, RunStopped
from daemon.jobs.phases import JobPhase, Tell

SHORTEST = 0.5  # seconds for which a phase is shown at least: of steps that follow one another quickly not each is told


@asynccontextmanager
async def told(context: JobContext) -> AsyncIterator[Tell]:
    """Show what the job does in its `phase`, by a task of its own: the work never waits for that."""
    news = asyncio.Event()
    latest: dict[str, Any] = {}

    def tell(phase: JobPhase, done: int = 0, of: int | None = None) -> None:
        nonlocal latest
        latest = shown(phase, done, of)
        news.set()

    async def show() -> None:
        while True:
            await news.wait()
            news.clear()
            try:
                await context.describe(total=context.total, phase=latest)
            except (RunStopped, DatabaseUnavailable):
                return  # the work meets it by itself
            await asyncio.sleep(SHORTEST)

    showing = asyncio.create_task(show(), name=f"job-phase-{context.job.id}")
    try:
        yield tell
    finally:
        showing.cancel()
        await asyncio.wait([showing])
    if not showing.cancelled():
        showing.result()
    if latest:
        await context.describe(total=context.total, phase=None)


def shown(phase: JobPhase, done: int = 0, of: int | None = None) -> dict[str, Any]:
    """A phase as a job's metadata has it, see `Tell`."""
    return {"name": str(phase), "done": done, "of": of}
