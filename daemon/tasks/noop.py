"""A job that does nothing: `dongbo doctor` follows it through all stations that a real one passes."""

from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JobType
from daemon.tasks import params
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.NOOP, params.none)
async def noop(context: JobContext, _store: Store, _policy: JobPolicy) -> None:
    """Say that there is one row, and skip it."""
    await context.describe(total=1)
    async with context.page(checkpoint=1) as page:
        page.count(Counters(skipped=1))
