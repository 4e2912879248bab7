"""Starts and ends sale campaigns on time: a timer fires at the exact moment, and a sweep finds what was missed.

The timer only wakes the clock; what is due follows from the present time and the campaigns' states in the database,
which move by compare-and-set. So any number of daemons may run the same campaigns, each start and end happens once, and
the next sweep makes up for whatever was missed during a stop, an outage or a clock jump.

Where this machine's clock is not that of the database and of the source, nothing is due (`daemon/sales/clocks.py`), and
what a wrong clock started too early is taken back and planned again. Shops are asked for their time alongside the
sweeps: until a shop has answered, its own campaigns wait, and no others.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Final

import structlog

from daemon.api.sales import CampaignState
from daemon.database.connection_errors import is_outage, may_pass, reason
from daemon.database.pool import Connection, Database
from daemon.errors import DongboError, JobError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import CampaignId, ScheduleName, StoreName
from daemon.jobs import listing, pauses
from daemon.jobs.model import JobStatus
from daemon.jobs.service import Submission
from daemon.jobs.types import JobType
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault
from daemon.sales import campaigns, items
from daemon.sales.clocks import MOST_APART
from daemon.sales.model import Campaign
from daemon.sales.service import Sales
from daemon.sales.timing import edges, has_been_missed, has_begun_early, is_to_begin, is_to_end, is_to_prepare
from daemon.schedules.pauses import JOBS_COMPARED, pause_after
from daemon.schedules.sweeping import INTERVAL, Sweeps
from daemon.schedules.timer import Timer

log = structlog.get_logger()

SOON = 0.5  # seconds to the next look where a job that is about to end may have missed what has just become due
SWEEP_TIMEOUT = 25.0  # seconds for a sweep's statements
CHANNEL: Final = "dongbo_sales"
TIMER_NAME: Final = ScheduleName("sales")
LATE = 5.0  # seconds after which a start or end that has not happened is reported as late

MISSED = mark("It never started: between its start and its end no daemon ran, or it could not be planned.")


@dataclass(slots=True)
class _NextEdges:
    """The timetable of all campaigns together: the times at which something is due."""

    times: Sequence[datetime] = ()

    def next_fire(self, after: datetime) -> datetime | None:
        return min((time for time in self.times if time > after), default=None)

    def previous_fire(self, at_or_before: datetime) -> datetime | None:
        return max((time for time in self.times if time <= at_or_before), default=None)


class SaleClock(Part):
    """Starts and ends the campaigns of this daemon's stores.

    Args:
        sales: carries out what is due.
        stores: the stores that this daemon is configured for; campaigns of others are left to other daemons.
        clock: the present time, aware UTC.
        sweep_interval: seconds between two sweeps.
        call_others: lets the sale clocks of other daemons look, where this one does not run.
    """

    name = "sale-clock"

    def __init__(
        self,
        database: Database,
        sales: Sales,
        stores: Callable[[], Sequence[StoreName]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sweep_interval: float = INTERVAL,
        call_others: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._sales = sales
        self._call_others = call_others
        self._stores = stores
        self._clock = clock
        self._sweep_interval = sweep_interval
        self._timetable = _NextEdges()
        self._reported_late: set[tuple[CampaignId, str]] = set()  # campaigns and edges, each reported once
        self._sweeps = Sweeps(self._sweep, Fault(log, "sale_sweep_failed", over="sale_sweep_recovered"))
        self._planning = Fault(log, "sale_planning_failed", over="sale_planning_recovered")
        self._failing: dict[CampaignId, Fault] = {}  # campaigns that could not be started or ended
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()
        self._asked: dict[StoreName, asyncio.Task[None]] = {}  # shops that have not answered yet
        self._silent: set[StoreName] = set()  # shops that were asked last without an answer
        self._timer: Timer | None = None
        self._looks_again = False
        self._clock_problems: Mapping[StoreName, str] = {}
        self._wrong: set[StoreName] = set()  # those of which the log says so

    def start(self) -> None:
        """Check the campaigns from now on."""
        if not self.is_running:
            self._sweeps.begin()
        super().start()

    @property
    def health(self) -> Health:
        """Whether campaigns are checked."""
        if not self.is_running:
            return Health(False, _("the sale clock is not running: restart the daemon"))
        if (trouble := self._sweeps.trouble) is not None:
            return Health(False, _("no sale could be checked {trouble}").format(trouble=trouble))
        return Health(True, _("starts and ends sales"))

    @property
    def clock_problem(self) -> str | None:
        """Why campaigns of all stores, or of some, do not start or end now, for a person; None if all is well."""
        return " ".join(dict.fromkeys(self._clock_problems.values())) or None

    def look(self) -> None:
        """Check the campaigns now, here or where that is done: one has been created or changed."""
        if self.is_running:
            self.look_here()
        else:
            self._call_others()

    def look_here(self) -> None:
        """Check the campaigns now, as another daemon has asked for."""
        self._sweeps.wake()
        self._news.set()

    async def sweep(self) -> None:
        """Do what is due of all campaigns, and set the timer to what comes next. Raises what the database raises."""
        async with self._lock, asyncio.timeout(SWEEP_TIMEOUT):
            now, stores = self._clock(), list(self._stores())
            self._looks_again = False
            async with self._database.acquire() as connection:
                present = await campaigns.list_open(connection, stores)
                recalled = await campaigns.list_recalled(connection, stores, now + MOST_APART)
            await self._compare_clocks(sorted({campaign.store for campaign in (*present, *recalled)}))
            self._failing = {each.id: self._failing[each.id] for each in present if each.id in self._failing}
            for campaign in present:
                if campaign.store not in self._clock_problems:
                    await self._advance(campaign, self._clock())
            await self._plan_again([campaign for campaign in recalled if campaign.store not in self._clock_problems])
            async with self._database.acquire() as connection:
                present = await campaigns.list_open(connection, stores)
                paused = {pause.store: pause.until for pause in await pauses.list_active(connection, stores)}
                to_verify = {campaign.store for campaign in await campaigns.list_to_verify(connection, stores)}
            # Those of a paused store wait; what is due is done when the pause is over.
            for store in sorted({*to_verify, *(campaign.store for campaign in present)} - paused.keys()):
                of_store = [campaign for campaign in present if campaign.store == store]
                await self._attend(store, of_store, now, is_to_verify=store in to_verify)
            self._report_late(present)
            # By the database's clock, which decides, one that is over by this machine's may last a moment longer.
            self._looks_again |= any(until is not None and until <= self._clock() for until in paused.values())
            self._set_timer([*chain(*map(edges, present)), *filter(None, paused.values())], now)

    async def plan_drafts(self) -> None:
        """Try to plan the campaigns of the file that are not planned yet. Asking Shopify may take its time."""
        async with self._database.acquire() as connection:
            present = await campaigns.list_open(connection, list(self._stores()))
        drafts: dict[StoreName, list[Campaign]] = {}
        for campaign in present:
            if campaign.state is CampaignState.DRAFT and campaign.origin == "file":
                drafts.setdefault(campaign.store, []).append(campaign)
        # A shop that is slow, or dead, holds up its own drafts alone.
        for failed in await asyncio.gather(*map(self._plan_each, drafts.values()), return_exceptions=True):
            if failed is not None:
                raise failed

    async def _plan_each(self, drafts: Sequence[Campaign]) -> None:
        for campaign in drafts:
            try:
                await self._plan(campaign)
            except Exception as error:  # the other drafts must be planned whatever happens to this one
                if is_outage(error):
                    raise
                log.exception("sale_not_planned", sale=campaign.name, store=campaign.store)
            self._sweeps.wake()

    async def _run(self) -> None:
        self._timer = Timer(lambda _name: self._sweeps.wake())
        self._timer.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sweeps.run_for_ever(), name="sale-sweeps")
                tasks.create_task(self._plan_for_ever(), name="sale-plans")
        finally:
            asking = [*self._asked.values()]
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            timer, self._timer = self._timer, None
            await timer.stop()

    async def _plan_for_ever(self) -> None:
        """Beside the sweeps: a start must not wait for a plan."""
        while True:
            self._news.clear()
            try:
                await self.plan_drafts()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look must come
                self._planning.happened(reason(error), exc_info=not may_pass(error))
            else:
                self._planning.passed()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_interval):
                    await self._news.wait()

    async def _sweep(self) -> float:
        await self.sweep()
        return SOON if self._looks_again else self._sweep_interval

    async def _compare_clocks(self, stores: Collection[StoreName]) -> None:
        awaited: set[StoreName] = set()
        if (problem := await self._sales.clocks.database_problem()) is not None:
            self._clock_problems = dict.fromkeys(self._stores(), problem)
        else:
            self._ask_beside(stores)
            problems = {store: self._sales.clocks.source_problem(store) for store in stores}
            self._clock_problems = {store: why for store, why in problems.items() if why is not None}
            awaited = self._asked.keys() - self._silent  # asked for the first time, as after a start: no problem yet
        self._report_clocks({store: why for store, why in self._clock_problems.items() if store not in awaited})

    def _report_clocks(self, problems: Mapping[StoreName, str]) -> None:
        """Log which clocks turn out to be wrong, and which are right again."""
        for why in dict.fromkeys(problems.values()):
            concerned = [store for store, problem in problems.items() if problem == why]
            if not self._wrong >= set(concerned):
                log.error("sale_clock_wrong", stores=concerned, reason=why)
        if right := sorted(self._wrong - self._clock_problems.keys()):
            log.info("sale_clock_right", stores=right)
        self._wrong = (self._wrong & self._clock_problems.keys()) | problems.keys()

    def _ask_beside(self, stores: Collection[StoreName]) -> None:
        """Ask each shop for its time in a task of its own: one that does not answer holds up no other."""
        for store in stores:
            if store not in self._asked and self._sales.clocks.is_to_ask(store):
                asking = asyncio.create_task(self._ask(store), name=f"sale-clock-ask-{store}")
                self._asked[store] = asking
                asking.add_done_callback(partial(self._forget, store))

    async def _ask(self, store: StoreName) -> None:
        try:
            if await self._sales.clocks.ask(store):
                self._silent.discard(store)
                self._sweeps.wake()
            else:
                self._silent.add(store)
        except Exception:  # whatever it is, the shop is asked again by the next sweep
            log.exception("source_time_not_asked", store=store)

    def _forget(self, store: StoreName, _: asyncio.Task[None]) -> None:
        del self._asked[store]

    async def _plan_again(self, recalled: Sequence[Campaign]) -> None:
        for campaign in recalled:
            try:
                made = await self._sales.plan_again(campaign)
            except Exception as error:  # the others, and all that are open, must continue whatever happens to this one
                if is_outage(error):
                    raise
                is_bug = not (isinstance(error, DongboError) or may_pass(error))
                log.error(
                    "sale_not_planned_again",
                    sale=campaign.name,
                    store=campaign.store,
                    error=str(error),
                    exc_info=is_bug,
                )
            else:
                log.info("sale_planned_again", sale=made.name, store=made.store, state=str(made.state))

    async def _advance(self, campaign: Campaign, now: datetime) -> None:
        """Move one campaign to where it should be now."""
        try:
            if has_been_missed(campaign, now):
                async with self._database.acquire() as connection, connection.transaction():
                    await self._sales.close_in(connection, campaign, CampaignState.FAILED, MISSED)
                log.error("sale_missed", sale=campaign.name, store=campaign.store)
            elif has_begun_early(campaign, now):
                await self._recall(campaign, now)
            elif is_to_begin(campaign, now):
                await self._fire(campaign, now, is_start=True)
            elif is_to_end(campaign, now):
                await self._fire(campaign, now, is_start=False)
        except Exception as error:  # the others must start and end whatever happens to this one
            if is_outage(error):
                raise
            is_bug = not (isinstance(error, DongboError) or may_pass(error))
            fault = self._failing.setdefault(campaign.id, Fault(log, "sale_failed", over="sale_recovered"))
            fault.happened(reason(error), exc_info=is_bug, sale=campaign.name, store=campaign.store)
            self._looks_again = True
        else:
            if (passed := self._failing.pop(campaign.id, None)) is not None:
                passed.passed(sale=campaign.name, store=campaign.store)

    async def _recall(self, campaign: Campaign, now: datetime) -> None:
        """Take back what a wrong clock started."""
        async with self._database.acquire() as connection, connection.transaction():
            present = await campaigns.lock(connection, campaign.id)
            if present is None or not has_begun_early(present, now):
                return
            moved, submission = await self._sales.recall_in(connection, present, now)
        self._sales.announce(submission)
        log.error("sale_recalled", sale=moved.name, store=moved.store, starts_at=str(moved.starts_at))

    async def _fire(self, campaign: Campaign, now: datetime, *, is_start: bool) -> None:
        """One start or end, however many daemons try: the state moves once, together with the job."""
        async with self._database.acquire() as connection, connection.transaction():
            present = await campaigns.lock(connection, campaign.id)
            is_due = is_to_begin if is_start else is_to_end
            if present is None or not is_due(present, now):  # its time or its state has changed meanwhile
                return
            begin = self._sales.begin_in if is_start else self._sales.begin_end_in
            moved, submission = await begin(connection, present, now, "started" if is_start else "ended")
        self._sales.announce(submission)
        if submission is not None:
            planned = campaign.starts_at if is_start else campaign.ends_at
            late = (now - planned).total_seconds() if planned else 0.0
            event, level = "sale_started" if is_start else "sale_ended", "warning" if late > LATE else "info"
            getattr(log, level)(event, sale=moved.name, store=moved.store, late_seconds=round(late, 3))

    async def _plan(self, campaign: Campaign) -> None:
        """Try to plan a campaign of the file; if that fails, the reason is shown with it."""
        try:
            await self._sales.schedule(campaign)
        except DongboError as error:
            async with self._database.acquire() as connection:
                is_new = await campaigns.set_notice(connection, campaign.id, str(error))
            if is_new:
                log.warning("sale_not_planned", sale=campaign.name, store=campaign.store, reason=str(error))

    async def _attend(
        self, store: StoreName, present: Sequence[Campaign], now: datetime, *, is_to_verify: bool
    ) -> None:
        """Make sure that a job is live for whatever there is to do."""
        changed_at = max((campaign.changed_at for campaign in present), default=None)
        async with self._database.acquire() as connection:
            wanted = {
                JobType.APPLY_SALE: await _is_to_apply(connection, present),
                JobType.REVERT_SALE: is_to_verify
                or any(campaign.state is CampaignState.REVERTING for campaign in present),
                JobType.PREPARE_SALE: any(is_to_prepare(campaign, now) for campaign in present),
            }
            for job_type, is_wanted in wanted.items():
                if is_wanted and await _may_submit(connection, store, job_type, changed_at):
                    await self._submit(store, job_type)
        # A live job may just have looked and be about to end.
        self._looks_again |= wanted[JobType.APPLY_SALE] or wanted[JobType.REVERT_SALE]

    async def _submit(self, store: StoreName, job_type: JobType) -> Submission | None:
        try:
            return await self._sales.submit(store, job_type)
        except JobError as error:  # the store has been taken out of the configuration, for example
            log.error("sale_job_refused", store=store, type=str(job_type), error=str(error))
            return None

    def _report_late(self, present: Sequence[Campaign]) -> None:
        now = self._clock()
        for campaign in present:
            for edge, seconds in (("start", campaign.overdue_start(now)), ("end", campaign.overdue_end(now))):
                key = (campaign.id, edge)
                if seconds > LATE and key not in self._reported_late:
                    self._reported_late.add(key)
                    log.warning(
                        "sale_late",
                        sale=campaign.name,
                        store=campaign.store,
                        edge=edge,
                        seconds=round(seconds, 1),
                        state=str(campaign.state),
                        notice=campaign.notice,
                    )

    def _set_timer(self, due: Sequence[datetime], now: datetime) -> None:
        times = sorted(time for time in due if time > now)
        if times != self._timetable.times and self._timer is not None:
            self._timetable = _NextEdges(times)
            if times:
                self._timer.set(TIMER_NAME, self._timetable)
            else:
                self._timer.remove(TIMER_NAME)
        if times and times[0] <= self._clock():  # the first has come meanwhile
            self._sweeps.wake()


async def _is_to_apply(connection: Connection, present: Sequence[Campaign]) -> bool:
    for campaign in present:
        if campaign.state is CampaignState.APPLYING:
            return True
        if campaign.state is CampaignState.ACTIVE and await items.has_work(connection, campaign.id):
            return True
    return False


async def _may_submit(connection: Connection, store: StoreName, job_type: JobType, changed_at: datetime | None) -> bool:
    """Whether a job of this type may be submitted now: none is live, and the last failure is long enough ago.

    `changed_at`: when a campaign of the store last changed.
    """
    wanted = listing.JobFilters(store=store, type=job_type)
    newest = (await listing.find(connection, wanted, limit=JOBS_COMPARED)).jobs
    if not newest:
        return True
    job = newest[0]
    if job.status.is_live:
        return False
    if job.status is JobStatus.COMPLETED or job.completed_at is None:
        return True
    return datetime.now(UTC) - job.completed_at > pause_after(newest, changed_at)
