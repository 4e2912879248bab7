"""How fast a job was is kept in a bounded number of points, spread over all its time."""

from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from daemon.database.pool import Database
from daemon.ids import RunToken, StoreName, WorkerName
from daemon.jobs import context as job_context
from daemon.jobs import pace, store
from daemon.jobs.context import JobContext
from daemon.jobs.events import JobNotifier
from daemon.jobs.model import Counters, JobRequest, JobTrigger
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from tests.support.clock import Clock
from tests.support.one_lane import OneLane, steps_of

PULL = JobRequest(JobType.PULL_NHANH_PRODUCTS, StoreName("main"), JobTrigger.API)


class Waiting:
    """A meter whose calls have waited for half of the time."""

    waits_for = "the rate limit"
    limited_since = None

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def costs(self) -> dict[str, float]:
        return {"rate_limit_wait_seconds": (self._clock.now - 1_000.0) / 2}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the run."""
    clock = Clock(1_000.0)
    monkeypatch.setattr(job_context, "monotonic", clock)
    return clock


async def running(database: Database, clock: Clock) -> JobContext:
    """A run that has just begun."""
    notifier = JobNotifier(database, 0.25)
    job_id = (await Jobs(database, notifier, OneLane(), max_attempts=3).submit(PULL)).id
    token = RunToken(uuid4())
    async with database.acquire() as connection:
        job = await store.claim(connection, job_id, token, WorkerName("test"))
    assert job is not None
    context = JobContext(job, token, database, notifier, steps_of(database, notifier))
    context.count_costs(Waiting(clock))
    return context


async def points(database: Database, context: JobContext) -> Any:
    """The points that were kept."""
    async with database.acquire() as connection:
        return await pace.list_points(connection, context.job.id, context.job.started_at)


async def test_a_short_job_has_no_points_and_a_long_one_few(database: Database, clock: Clock) -> None:
    """One every two seconds at first, then ever fewer for the same time."""
    context = await running(database, clock)
    for _ in range(1_000):
        async with context.page(checkpoint=1) as page:
            page.count(Counters(updated=10))
        if clock.now < 1_002.0:
            assert await points(database, context) == []
        clock.now += 1.0
    found = await points(database, context)
    rows = [point.rows for point in found]
    assert rows == sorted(rows)
    assert rows[0] == 30  # the third page came after two seconds
    assert [later - before for before, later in pairwise(rows[:4])] == [40] * 3  # every other point has gone since
    assert pace.MOST_POINTS // 2 <= len(found) <= pace.MOST_POINTS
    assert rows[-1] > 9_800
    assert sum(point.waited_seconds for point in found) == pytest.approx((clock.now - 1_000.0) / 2, abs=10)


async def test_points_are_never_more_than_a_chart_needs(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other one goes when there are too many; what stays reaches from the beginning to the end."""
    monkeypatch.setattr(pace, "INTERVAL_SHARE", 0.0)
    context = await running(database, clock)
    for _ in range(3 * pace.MOST_POINTS):
        clock.now += 2.0
        async with context.page(checkpoint=1) as page:
            page.count(Counters(skipped=1))
    found = await points(database, context)
    assert pace.MOST_POINTS // 2 <= len(found) <= pace.MOST_POINTS
    assert found[0].rows == 1
    assert found[-1].rows == 3 * pace.MOST_POINTS
