"""Notes that webhooks are listened for, and makes up for those that were missed.

Neither side repeats for long what was not accepted. So where nobody has listened for a while, or deliveries could not
be stored, what has changed is pulled and pushed once, by whichever daemon notices first.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import structlog

from daemon.database.connection_errors import noted
from daemon.database.pool import Connection, Database
from daemon.errors import InvalidJobRequest
from daemon.ids import StoreName
from daemon.inbox import streams
from daemon.inbox.streams import StreamId
from daemon.inbox.topics import Concern
from daemon.jobs.model import Job, JobRequest, JobTrigger
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType, Source
from daemon.lifecycle import Part
from daemon.logging.faults import Fault
from daemon.webhooks.intake import Intake

log = structlog.get_logger()

INTERVAL: Final = 15.0  # seconds between two notes
LONGEST_GAP: Final = timedelta(minutes=10)  # in which both sides repeat by themselves what was not accepted

# What a chain pulls, of both sides, it pushes as well; of customers the next sync does.
PULLED: Mapping[tuple[Source, Concern], tuple[JobType, Mapping[str, Any]]] = {
    (Source.NHANH, Concern.PRODUCTS): (JobType.PRODUCT_CHAIN, {"pull_products": True}),
    (Source.SHOPIFY, Concern.PRODUCTS): (JobType.PRODUCT_CHAIN, {"pull_products": True}),
    (Source.NHANH, Concern.CUSTOMERS): (JobType.PULL_NHANH_CUSTOMERS, {}),
    (Source.SHOPIFY, Concern.CUSTOMERS): (JobType.PULL_SHOPIFY_CUSTOMERS, {}),
}


class WebhookWatch(Part):
    """Notes every few seconds until when webhooks were listened for, and what of them was not accepted."""

    name = "webhook-watch"

    def __init__(self, database: Database, intake: Intake, jobs: Jobs) -> None:
        self._database = database
        self._intake = intake
        self._jobs = jobs
        self._failing = Fault(log, "webhooks_not_watched", over="webhooks_watched", next_step="tried again by itself")

    async def _run(self) -> None:
        while True:
            with noted(self._failing):
                await self.look()
            self._intake.tell_refusals()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Note how it stands, and ask for what makes up for what was missed. Raises what the database raises."""
        listened_to = self._intake.streams
        unaccepted = self._intake.counts.unaccepted(listened_to)
        made: list[Job] = []
        async with self._database.acquire() as connection, connection.transaction():
            missed = await streams.claim_catch_up(connection, listened_to, LONGEST_GAP)
            await streams.listened(connection, unaccepted)
            missed |= await streams.claim_catch_up(connection, listened_to, LONGEST_GAP)
            for request in self._requests(missed):
                made += await self._submit(connection, request)
        self._intake.counts.tell(unaccepted)
        for job in made:
            self._jobs.announce(job)
        if missed:
            log.warning(
                "webhooks_missed",
                streams=sorted(f"{stream.store}/{stream.source}" for stream in missed),
                jobs=[str(job.id) for job in made],
                next_step="what has changed meanwhile is pulled, which these jobs do",
            )

    def _requests(self, missed: Collection[StreamId]) -> Iterator[JobRequest]:
        """The jobs that make up for what was missed, each once."""
        asked: set[tuple[StoreName, JobType]] = set()
        for stream in missed:
            for concern in sorted(self._intake.concerns_of(stream.store)):
                job_type, params = PULLED[stream.source, concern]
                if (stream.store, job_type) not in asked:
                    asked.add((stream.store, job_type))
                    yield JobRequest(job_type, stream.store, JobTrigger.WEBHOOK, params)

    async def _submit(self, connection: Connection, request: JobRequest) -> list[Job]:
        """The new job; none where one is under way already, or the store can't run it."""
        try:
            submission = await self._jobs.submit_in(connection, request)
        except InvalidJobRequest as error:
            log.warning("webhooks_not_made_up_for", store=request.store, type=str(request.type), reason=str(error))
            return []
        return [submission.job] if submission.is_new else []
