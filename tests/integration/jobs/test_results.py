"""What came of jobs, told of many at once, by their rows in the database."""

from daemon.jobs.model import JobOutcome
from daemon.jobs.results import summarise
from daemon.jobs.types import JobType
from daemon.tone import Tone
from tests.support.workshop import Workshop


async def test_jobs_are_summarised_in_the_order_in_which_they_are_given(workshop: Workshop) -> None:
    """One that has ended, one that waits; each by its own row."""
    done = await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    test = await workshop.completed(JobType.NOOP)
    async with workshop.database.acquire() as connection:
        first, second = await summarise(connection, [test, done])
        assert await summarise(connection, []) == []
    assert [first.job_id, second.job_id] == [test.id, done.id]
    assert (second.outcome, second.tone) == (JobOutcome.COMPLETED, Tone.OK)
    assert second.text == f"{done.created} products stored, {done.created} of them new"
