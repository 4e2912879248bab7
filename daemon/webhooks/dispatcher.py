"""Makes jobs of what webhooks have told: one at a time for each store and kind, which takes all that waits by then.

A notification only wakes it. What waits stands in the inbox, and any number of daemons look there: the job that one of
them asks for is the job of all.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog

from daemon.database.pool import Database
from daemon.errors import InvalidJobRequest, LiveJobExists
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.inbox import events
from daemon.inbox.events import WaitingEvents
from daemon.inbox.topics import Concern
from daemon.jobs.changes import Subscription
from daemon.jobs.events import EventHub
from daemon.jobs.model import Job, JobRequest, JobStatus, JobTrigger
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from daemon.lifecycle import Part
from daemon.logging.faults import Fault
from daemon.schedules.sweeping import Sweeps
from daemon.tasks import echoes
from daemon.tasks.event_round import MOST_ATTEMPTS, PATIENCE
from daemon.tasks.registry import TaskRegistry

log = structlog.get_logger()

JOBS: Final[Mapping[Concern, JobType]] = {
    Concern.PRODUCTS: JobType.SYNC_CHANGED_PRODUCTS,
    Concern.CUSTOMERS: JobType.SYNC_CHANGED_CUSTOMERS,
}
INTERVAL = 5.0  # seconds between two looks, should every notification be lost
COMPANY = 0.1  # seconds that what has just come waits for what comes along: one sale tells of several items
REST = 60.0  # seconds after a job that failed, in which what it left behind, and what has come since, waits

Key = tuple[StoreName, JobType]


class Dispatcher(Part):
    """Asks for a job where events wait and none is live."""

    name = "webhook-dispatcher"

    def __init__(self, database: Database, hub: EventHub, jobs: Jobs, registry: TaskRegistry) -> None:
        self._database = database
        self._hub = hub
        self._jobs = jobs
        self._registry = registry
        self._sweeps = Sweeps(self._look, Fault(log, "dispatch_failed", over="dispatch_recovered"))
        self._has_arrivals = False
        self._busy_until: dict[Key, float] = {}  # while a job is live, or after one that failed; on the loop's clock
        hub.hear(events.CHANNEL, self._hear)

    async def _run(self) -> None:
        self._sweeps.begin()
        with self._hub.subscribe() as changes:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(changes), name="webhook-jobs")
                tasks.create_task(self._sweeps.run_for_ever(), name="webhook-dispatch")

    def _hear(self, _store: str) -> None:
        self._has_arrivals = True
        self._sweeps.wake()

    async def _follow(self, changes: Subscription) -> None:
        """Ask for the next job as soon as one has ended."""
        while True:
            for event in await changes.take():
                if event.job.type in JOBS.values():
                    self._note(event.job)

    def _note(self, job: Job) -> None:
        key = (job.store, job.type)
        if not job.status.has_ended:
            self._busy_until[key] = self._now + INTERVAL
            return
        if job.status is JobStatus.FAILED:
            self._busy_until[key] = self._now + REST
        else:
            self._busy_until.pop(key, None)
        self._sweeps.wake()

    async def _look(self) -> float:
        """Look at all that waits; how many seconds later to look again at the latest."""
        if self._has_arrivals:
            self._has_arrivals = False
            await asyncio.sleep(COMPANY)
        async with self._database.acquire() as connection:
            cancelled = _("The job that had taken it was cancelled.")
            await events.give_back(connection, MOST_ATTEMPTS, PATIENCE, cancelled)
            waiting = await events.waiting(connection)
        await self._tell_of_operations()
        for each in waiting:
            await self._dispatch(each)
        return INTERVAL

    async def _dispatch(self, waiting: WaitingEvents) -> None:
        store, job_type = waiting.store, JOBS[waiting.concern]
        if store not in self._registry.stores:  # another daemon has it in its configuration
            return
        if self._busy_until.get((store, job_type), 0.0) > self._now:
            return
        try:
            self._registry.admit(request := JobRequest(job_type, store, JobTrigger.WEBHOOK, {}))
        except InvalidJobRequest as error:
            async with self._database.acquire() as connection:
                await events.note_waiting(connection, store, waiting.concern, str(error))
            return
        async with self._database.acquire() as connection, connection.transaction():
            hinted = await events.list_hinted(connection, store, waiting.concern)
            news = await echoes.settle(connection, store, hinted, self._registry.stores[store].synced_quantity)
        if not news and len(hinted) == waiting.events:
            return
        self._busy_until[store, job_type] = self._now + INTERVAL  # before the job can end
        with suppress(LiveJobExists):
            await self._jobs.submit(request)

    async def _tell_of_operations(self) -> None:
        """Tell pulls that wait for a bulk operation of Shopify that it has ended."""
        for name, store in self._registry.stores.items():
            reader = store.shopify_client.bulk if store.shopify_client is not None else None
            if reader is None or not reader.awaited:
                continue
            async with self._database.acquire() as connection:
                ended = await events.ended_operations(connection, name, reader.awaited)
            for number in ended:
                reader.note_end(number)

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()
