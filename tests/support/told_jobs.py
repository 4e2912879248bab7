"""Jobs of which the page has much to tell, made on an endpoint without a worker."""

from typing import Any

from daemon.jobs import failures
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.types import JobType


async def with_failed_rows(endpoint: Any, job_type: JobType = JobType.PULL_SHOPIFY_PRODUCTS, rows: int = 3) -> Job:
    """A job that has completed with failed rows."""
    job = await endpoint.submit(job_type)
    token = await endpoint.claim(job)
    letters = [DeadLetter(f"gid://shopify/Product/{n}", "title is missing", b'{"id": 1}') for n in range(rows)]
    await endpoint.change(lambda c: failures.insert(c, job.id, letters), job.id)
    await endpoint.progress(job, token, Counters(created=5, failed=rows))
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    ended: Job = await endpoint.parts.jobs.get(job.id)
    return ended


async def running(endpoint: Any) -> Job:
    """A job that runs, and says how far it is and what it waits for."""
    job: Job = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    token = await endpoint.claim(job)
    waiting = {"for": "the rate limit", "since": "2026-11-24T02:00:00+00:00"}
    await endpoint.progress(
        job, token, Counters(created=12_345), rows_per_second=456.0, rate_limit_wait_seconds=75.0, waiting=waiting
    )
    return job


async def chain(endpoint: Any) -> tuple[Job, Job]:
    """A chain that waits for its second step, and that step, which asks for approval."""
    chain = await endpoint.submit(JobType.PRODUCT_CHAIN)
    token = await endpoint.claim(chain)
    step = await endpoint.asking()
    await endpoint.execute("UPDATE dongbo.background_jobs SET parent_id = $1 WHERE id = $2", chain.id, step.id)
    steps = [
        {"type": "MATCH_PRODUCTS", "job_id": None, "status": "COMPLETED"},
        {"type": "SYNC_PRODUCTS", "job_id": str(step.id), "status": "AWAITING_APPROVAL"},
        {"type": "SYNC_CUSTOMERS", "job_id": None, "status": None},
    ]
    await endpoint.progress(chain, token, Counters(updated=1), steps=steps)
    return chain, step
