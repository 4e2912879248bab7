"""What matching products and matching customers have in common: one transaction, which a dry run takes back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from daemon.database.pool import Connection
from daemon.jobs.context import JobContext
from daemon.sync.matching.products import MatchOutcome

MATCHED = "matched"  # the checkpoint after the one page that counts


@asynccontextmanager
async def rolled_back(context: JobContext) -> AsyncIterator[Connection]:
    """A connection in a transaction of which nothing stays."""
    async with context.database.acquire_for_work() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield connection
        finally:
            await transaction.rollback()


async def commit_match(context: JobContext, match: Callable[[Connection], Awaitable[MatchOutcome]]) -> None:
    """Match and commit the mappings together with the job's counters; cancelling takes all of it back."""
    async with context.page(checkpoint=MATCHED) as page:
        outcome = await context.unless_stopped(match(page.connection))
        page.count(outcome.counters)
        page.metadata |= outcome.figures
    await context.describe(total=context.processed)


async def report_match(context: JobContext, outcome: MatchOutcome) -> None:
    """Commit the counters of a dry run, with what it would have done."""
    async with context.page(checkpoint=MATCHED) as page:
        page.count(outcome.counters)
        page.metadata |= {**outcome.figures, "sample": outcome.sample}
    await context.describe(total=context.processed)


async def is_matched(context: JobContext) -> bool:
    """Whether an earlier run of this job has committed the match; then only the total may be left to say."""
    if context.job.checkpoint != MATCHED:
        return False
    await context.describe(
        total=context.processed
    )  # more or fewer rows than there were at the start may have been matched
    return True
