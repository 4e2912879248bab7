"""Jobs without stores: every request is admitted to one lane, and one task runs them all."""

from collections.abc import Awaitable, Callable

from daemon.database.pool import Database
from daemon.ids import Lane
from daemon.jobs.context import JobContext
from daemon.jobs.events import EventHub, JobNotifier
from daemon.jobs.model import JobRequest
from daemon.jobs.runner import JobRunner, RetryPolicy, Tasks
from daemon.jobs.service import Admission, Admissions, Jobs
from daemon.jobs.steps import Steps

TEST_LANE = Lane("main/test")


class OneLane(Admissions):
    """Admits everything."""

    def __init__(self, lane: Lane = TEST_LANE) -> None:
        self.lane = lane

    def admit(self, request: JobRequest) -> Admission:
        """Whatever the parameters are."""
        return Admission(self.lane, request.params)


class OneTask(Tasks):
    """Runs a given coroutine, whatever the type of the job is."""

    def __init__(self, task: Callable[[JobContext], Awaitable[None]]) -> None:
        self.task = task

    async def run(self, job: JobContext) -> None:
        """Run it."""
        await self.task(job)


def steps_of(database: Database, notifier: JobNotifier) -> Steps:
    """What makes jobs steps of others; its hub does not run, so that it only looks at them now and then."""
    return Steps(database, EventHub(database), Jobs(database, notifier, OneLane(), max_attempts=3))


def runner_of(database: Database, notifier: JobNotifier, tasks: Tasks) -> JobRunner:
    """A runner without a queue."""
    return JobRunner(database, notifier, tasks, RetryPolicy(), steps_of(database, notifier))
