"""Pages on their way from a source to the database: fetched ahead, handed over in groups."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import pytest

from daemon.database.pool import Database
from daemon.errors import SourceUnavailable
from daemon.ids import JobId, RunToken, StoreName
from daemon.jobs.context import PAGES_AHEAD, JobContext, RunStopped, StopReason
from daemon.jobs.events import JobNotifier
from daemon.jobs.model import Job, JobStatus, JobTrigger
from daemon.jobs.steps import Steps
from daemon.jobs.types import JobType


@pytest.fixture
def context() -> JobContext:
    """A run that nothing is stored for."""
    now = datetime.now(UTC)
    job = Job(
        id=JobId(uuid4()),
        store=StoreName("main"),
        type=JobType.NOOP,
        status=JobStatus.RUNNING,
        trigger=JobTrigger.API,
        schedule=None,
        fire_time=None,
        params={},
        total=None,
        **dict.fromkeys(("processed", "successful", "created", "updated", "skipped", "failed"), 0),
        metadata={},
        checkpoint=None,
        attempt=1,
        max_attempts=1,
        not_before=None,
        worker=None,
        cancel_requested=False,
        error=None,
        version=1,
        created_at=now,
        started_at=now,
        updated_at=now,
        completed_at=None,
    )
    return JobContext(job, RunToken(uuid4()), cast("Database", None), cast("JobNotifier", None), cast("Steps", None))


class Source:
    """Pages 1, 2, 3 …, each as soon as it is let go."""

    def __init__(self) -> None:
        self.fetched = 0
        self.closed = False
        self.released = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def pages(self) -> AsyncGenerator[int, None]:
        """One page after the other; ends with `error` where one is set."""
        try:
            while True:
                await self.released.acquire()
                if self.error is not None:
                    raise self.error
                self.fetched += 1
                yield self.fetched
        finally:
            self.closed = True

    def release(self, pages: int) -> None:
        """Let so many more pages come."""
        for _ in range(pages):
            self.released.release()


async def _settled() -> None:
    """Let everything happen that can happen now."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_slow_source_is_handed_over_page_by_page(context: JobContext) -> None:
    """Each page comes by itself where none has followed it yet."""
    source = Source()
    async with aclosing(context.pages(source.pages())) as groups:
        for number in (1, 2, 3):
            source.release(1)
            assert await anext(groups) == [number]


async def test_pages_that_came_meanwhile_are_handed_over_together(context: JobContext) -> None:
    """What was fetched while a group was stored makes the next group, in order and without gaps."""
    source = Source()
    async with aclosing(context.pages(source.pages())) as groups:
        source.release(1)
        assert await anext(groups) == [1]
        source.release(3)
        await _settled()
        assert await anext(groups) == [2, 3, 4]


async def test_fetching_ahead_is_bounded(context: JobContext) -> None:
    """However fast the source is, no more pages wait than the bound, and one more in the fetcher's hands."""
    source = Source()
    async with aclosing(context.pages(source.pages())) as groups:
        source.release(100)
        seen: list[int] = []
        while len(seen) < 30:
            group = await anext(groups)
            assert len(group) <= PAGES_AHEAD
            seen += group
            await _settled()
            assert source.fetched <= seen[-1] + PAGES_AHEAD + 1
        assert seen == list(range(1, len(seen) + 1))


async def test_pages_before_an_error_are_handed_over_first(context: JobContext) -> None:
    """What a source gave before it failed is stored; then its error comes."""
    source = Source()
    async with aclosing(context.pages(source.pages())) as groups:
        source.release(1)
        assert await anext(groups) == [1]
        source.release(1)
        await _settled()
        source.error = SourceUnavailable("gone")
        source.release(1)
        await _settled()
        assert await anext(groups) == [2]
        with pytest.raises(SourceUnavailable, match="gone"):
            await anext(groups)


async def test_stop_ends_the_waiting_and_the_fetch(context: JobContext) -> None:
    """A run that waits for its source ends at once when it is to stop, and the fetch under way with it."""
    source = Source()
    async with aclosing(context.pages(source.pages())) as groups:
        waiting = asyncio.create_task(anext(groups), name="reader")  # type: ignore[arg-type]
        await _settled()
        context.stop(StopReason.CANCELLED)
        with pytest.raises(RunStopped, match="cancelling"):
            await asyncio.wait_for(waiting, 5)
    assert source.closed


async def test_stop_drops_pages_that_were_fetched_ahead(context: JobContext) -> None:
    """After a stop no further page is handed over: it takes effect within the group that is being stored."""
    source = Source()
    async with aclosing(context.pages(source.pages())) as groups:
        source.release(1)
        assert await anext(groups) == [1]
        source.release(2)
        await _settled()
        context.stop(StopReason.SHUTDOWN)
        with pytest.raises(RunStopped):
            await anext(groups)
    assert source.closed
