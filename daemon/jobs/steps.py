"""Jobs as steps of another job: asked for in its transaction, waited for by the hub's news, cancelled with it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from daemon.database.pool import Connection, Database
from daemon.errors import JobNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.events import EventHub
from daemon.jobs.model import Job, JobRequest
from daemon.jobs.service import Jobs, Submission
from daemon.jobs.types import JobType

LOOK_INTERVAL = 5.0  # seconds after which a step is looked at whether there was news or not


class Steps:
    """Submits and follows jobs on behalf of a running one."""

    def __init__(self, database: Database, hub: EventHub, jobs: Jobs) -> None:
        self._database = database
        self._hub = hub
        self.jobs = jobs

    async def submit_in(
        self, connection: Connection, parent: Job, job_type: JobType, params: Mapping[str, Any]
    ) -> Submission:
        """Make a step in the caller's transaction, which is to note its id; then `jobs.announce`.

        Where a job for the same work is live already, the answer is that one, a step of whomever.
        """
        request = JobRequest(job_type, parent.store, parent.trigger, params)
        return await self.jobs.submit_in(connection, request, parent.schedule, parent_id=parent.id)

    async def get(self, job_id: JobId) -> Job | None:
        """A step as it is now; None where it is gone."""
        async with self._database.acquire_for_work() as connection:
            return await store.get(connection, job_id)

    async def wait(self, job_id: JobId) -> Job:
        """The job when it is no longer live: ended, or waiting for approval. Raises JobNotFound."""
        with self._hub.subscribe() as news:
            while True:
                job = await self.get(job_id)
                if job is None:
                    raise JobNotFound(_("The step {job_id} was deleted while it was waited for.").format(job_id=job_id))
                if not job.status.is_live:
                    return job
                try:
                    async with asyncio.timeout(LOOK_INTERVAL):
                        while all(event.job.id != job_id for event in await news.take()):
                            pass
                except TimeoutError:
                    continue
