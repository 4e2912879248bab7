"""Runs a piece of a job beside whatever runs in its lane, as another daemon may do in a lane of its own."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from daemon.ids import JobId, RunToken, WorkerName
from daemon.jobs import store as job_store
from daemon.jobs.context import JobContext
from daemon.jobs.model import Job, JobStatus, JobTrigger
from daemon.jobs.steps import Steps
from daemon.jobs.store import NewJob
from daemon.jobs.types import JobType
from daemon.sources.meter import CallMeter
from daemon.tasks import Store
from daemon.tasks.pull import counted_calls
from tests.support.workshop import STORE, Workshop

Work = Callable[[JobContext, Store, CallMeter], Awaitable[None]]

OPEN_PUSH = """
INSERT INTO dongbo.pushes (store, job_id, call_key, kind, owner_id, item_id, location_id, name, old_value, new_value,
    reason)
VALUES ('main', $1, gen_random_uuid(), $2, $3, $4, $5, $6, $7, $8, 'a test') RETURNING id
"""


async def begin_beside(workshop: Workshop, job_type: JobType = JobType.SYNC_PRODUCTS, **params: Any) -> JobContext:
    """A job that is running, whatever its lane lets run; `params` tell it from a sync of everything."""
    parts, params = workshop.parts, params or {"variants": [1]}
    new = NewJob(
        id=JobId(uuid4()),
        store=STORE,
        type=job_type,
        lane="beside",
        trigger=JobTrigger.API,
        schedule=None,
        fire_time=None,
        params=params,
        max_attempts=1,
    )
    async with parts.database.acquire() as connection:
        token = RunToken(uuid4())
        assert await job_store.insert_unless_live(connection, [new])
        job = await job_store.claim(connection, new.id, token, WorkerName("beside"))
    assert job is not None
    return JobContext(job, token, parts.database, parts.notifier, Steps(parts.database, parts.hub, parts.jobs))


async def end_beside(workshop: Workshop, context: JobContext, status: JobStatus = JobStatus.COMPLETED) -> Job:
    """End a job that was begun so."""
    async with workshop.database.acquire() as connection:
        ended = await job_store.finish(connection, context.job.id, context.run_token, status, None, {})
    assert ended is not None
    return ended


async def run_beside(workshop: Workshop, work: Work, job_type: JobType = JobType.SYNC_PRODUCTS, **params: Any) -> Job:
    """The job when its work is done."""
    context = await begin_beside(workshop, job_type, **params)
    await work(context, workshop.parts.registry.store(STORE), counted_calls(context))
    return await end_beside(workshop, context)


async def note_push(workshop: Workshop, job_id: JobId, kind: str, owner_id: int, *rest: Any) -> int:
    """What a job is about to push; `rest`: item, location, name, old and new value."""
    (row,) = await workshop.rows(OPEN_PUSH, job_id, kind, owner_id, *rest)
    number: int = row["id"]
    return number
