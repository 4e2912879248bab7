"""What a sync has pushed, said with its job in the end: how many values of each kind."""

from daemon.jobs.context import JobContext
from daemon.sync import pushes


async def note_applied(context: JobContext) -> None:
    """Count what the job has pushed, over all its runs; all its rows are known by now, whatever was expected."""
    async with context.database.acquire_for_work() as connection:
        applied = await pushes.count_applied_by_kind(connection, context.job.id)
    await context.describe(total=context.processed, applied={str(kind): count for kind, count in applied.items()})
