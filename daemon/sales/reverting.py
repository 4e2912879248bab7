"""Taking campaigns back: Shopify is read before each write, so that nobody else's price is ever overwritten.

A variant that has the sale price gets its base price; one that has its base price needs nothing; one that has another
price was changed by somebody else, and a person decides. When all is written, Shopify is read once more for the proof,
and where a call went without an answer, another time: when it can't be carried out any more.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from asyncpg import UniqueViolationError

from daemon.api.sales import CampaignState, ItemState, WriteAction, WriteResult
from daemon.database.pool import Connection
from daemon.errors import DongboError, RowsUnread, SourceError
from daemon.ids import CampaignId, StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.mirror import shopify as mirror
from daemon.sales import campaigns, drift, items, journal
from daemon.sales.course import Course
from daemon.sales.drift import BY_OTHERS_OR_LATE
from daemon.sales.items import Move
from daemon.sales.journal import Write
from daemon.sales.model import Campaign, Item, Prices
from daemon.sales.writing import NOT_SENT, Written, dead_letter, not_read, round_of, send
from daemon.sources import http
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.price_watch import Stopwatch
from daemon.sources.shopify.writes import PRICE_GONE_CODES

log = structlog.get_logger()

READ_AT_ONCE = 250
FAILED_ROUNDS = 2  # without any success, after which the run goes on later
PAUSE = 0.2  # seconds between two looks at variants that another run has in its hands

OPEN = (ItemState.APPLYING, ItemState.APPLIED, ItemState.REVERTING)
FIRST_PASS = (*OPEN, ItemState.STUCK)
OVER = (CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.NEEDS_ATTENTION)

GONE = "Shopify has the variant no more"
WAS_THERE = "Shopify had the price to go back to already"
FOREIGN = "somebody else has set another price during the sale"
FOREIGN_AFTER = "somebody else has set another price since it was restored"
NOT_BEGUN = "the campaign ended before it was put on sale"


@dataclass(slots=True)
class RevertingCourse(Course):
    """How far this run is with taking a campaign back."""

    after: tuple[int, int] = (0, 0)  # (product, variant) in this pass
    is_first_pass: bool = True  # in which what is stuck is tried again
    has_begun: bool = False

    @property
    def states(self) -> Sequence[ItemState]:
        """What this pass takes up."""
        return FIRST_PASS if self.is_first_pass else OPEN


class Reverting:
    """One run of REVERT_SALE for a store."""

    def __init__(self, job: JobContext, store: StoreName, shopify: ShopifyClient, meter: CallMeter) -> None:
        self._job = job
        self._store = store
        self._shopify = shopify
        self._meter = meter
        self._courses: dict[CampaignId, RevertingCourse] = {}
        self._failed: dict[CampaignId, DongboError] = {}  # campaigns that this run leaves alone, and why
        self._expected = job.processed

    async def run(self) -> None:
        """Go on until no campaign of the store has anything to take back.

        A campaign that fails keeps none of the others back; its error is raised when they are done.
        """
        while True:
            courses = await self._due()
            if not courses:
                await self._verify_again()
                courses = await self._due()
            if not courses:
                await self._job.describe(total=self._job.processed)
                for error in self._failed.values():
                    raise error
                return
            for course in courses:
                try:
                    await self._round(course)
                except SourceError as error:
                    self._failed[course.campaign.id] = error
            if all(course.waits for course in courses):
                await self._job.unless_stopped(asyncio.sleep(PAUSE))

    async def _due(self) -> list[RevertingCourse]:
        async with self._job.database.acquire_for_work() as connection:
            due = await campaigns.list_in_states(connection, self._store, [CampaignState.REVERTING])
        due = [campaign for campaign in due if campaign.id not in self._failed]
        for campaign in due:
            self._courses.setdefault(campaign.id, RevertingCourse(campaign)).campaign = campaign
        return [self._courses[campaign.id] for campaign in due]

    async def _round(self, course: RevertingCourse) -> None:
        if not course.has_begun:
            await self._begin(course)
        campaign, course.waits = course.campaign, False
        async with self._job.database.acquire_for_work() as connection:
            listed = await items.list_to_revert(
                connection, campaign.id, course.after, course.states, self._job.run_token, READ_AT_ONCE
            )
            asked_at = await campaigns.database_time(connection)
        if not listed:
            await self._end_pass(course)
            return
        products = set(round_of(self._shopify, Counter(listed.values()).items()))
        numbers = [number for number, product_id in listed.items() if product_id in products]
        watch = Stopwatch()
        read = self._shopify.present_prices(numbers, meter=self._meter, before_send=watch.start)
        reading = await self._job.unless_stopped(read)
        seen = {number: Prices(*prices) for number, prices in reading.found.items()}
        await course.leave_out(self._job, reading.unread)
        writes = await self._intend(course, [n for n in numbers if n not in reading.unread], seen, asked_at)
        if writes:
            await self._write(course, writes, watch.sent_at)
        course.after = max((listed[number], number) for number in numbers)

    async def _begin(self, course: RevertingCourse) -> None:
        """Give back what was never put on sale, and say how much there is to do."""
        campaign = course.campaign
        async with self._job.page(checkpoint=None, pages=0) as page:
            await items.close_planned(page.connection, campaign.id, NOT_BEGUN)
            counts = await items.count_by_state(page.connection, campaign.id)
        self._expected += sum(counts.get(state, 0) for state in FIRST_PASS)
        names = [course.campaign.name for course in self._courses.values()]
        await self._job.describe(total=max(self._expected, self._job.processed), campaigns=names)
        course.has_begun = True

    async def _intend(
        self, course: RevertingCourse, numbers: Sequence[int], seen: Mapping[int, Prices], asked_at: datetime
    ) -> list[Write]:
        """Close what needs no write, and note what is about to be written."""
        campaign = course.campaign
        async with self._job.page(checkpoint=None, pages=0) as page:
            connection = page.connection
            await items.lock_prices(connection, self._store)
            locked = await items.lock_some(connection, campaign.id, numbers)
            own = await journal.own_prices(connection, campaign.id, numbers)
            ours = await journal.may_be_ours(connection, self._store, seen)
            judged = [
                _judged(item, seen.get(item.variant_id), own.get(item.variant_id, ()), ours)
                for item in locked
                if item.state in FIRST_PASS or item.decision is not None
            ]
            closed = [verdict for verdict in judged if isinstance(verdict, Move)]
            writes = [verdict for verdict in judged if isinstance(verdict, Write)]
            interrupted = _interrupted(locked, seen)
            await journal.settle(connection, campaign.id, interrupted, in_doubt=interrupted)
            await items.move(connection, campaign.id, closed)
            await items.begin_reverting(connection, campaign.id, [write.variant_id for write in writes])
            await journal.record(
                connection,
                campaign.id,
                self._store,
                WriteAction.REVERT,
                self._job.job.id,
                self._job.run_token,
                writes,
            )
            await mirror.set_prices(connection, self._store, seen, asked_at)
            page.count(_counted(closed))
            if any(move.state is ItemState.DRIFTED for move in closed):
                await drift.tell(connection, self._store)
        return writes

    async def _write(self, course: RevertingCourse, writes: Sequence[Write], read_at: float) -> None:
        campaign = course.campaign
        # Awaited as it is: a call that is under way is not abandoned because the run is to stop.
        written = await send(self._shopify, writes, self._meter, read_at)
        moves = [move for write in writes if (move := _moved(write, written)) is not None]
        async with self._job.page(checkpoint=None) as page:
            await items.move(page.connection, campaign.id, moves)
            # What had another price stays under way, and is looked at and decided anew by the next pass.
            results = {move.variant_id: _result_of(move) for move in moves}
            results |= dict.fromkeys(written.moved, (WriteResult.UNKNOWN, NOT_SENT))
            await journal.settle(page.connection, campaign.id, results, written.in_doubt)
            await mirror.set_prices(page.connection, self._store, dict(written.applied))
            stuck = {move.variant_id for move in moves if move.state is ItemState.STUCK}
            page.reject([dead_letter(campaign, write, written) for write in writes if write.variant_id in stuck])
            page.count(_counted(moves))
        if written.error is not None:
            course.error = written.error
            course.failed_rounds = 0 if written.applied else course.failed_rounds + 1
            if course.failed_rounds >= FAILED_ROUNDS:
                raise written.error

    async def _end_pass(self, course: RevertingCourse) -> None:
        campaign, course.after, course.is_first_pass = course.campaign, (0, 0), False
        if course.error is not None:  # all others were served; those whose call failed are the next run's
            raise course.error
        async with self._job.database.acquire_for_work() as connection:
            counts = await items.count_by_state(connection, campaign.id)
        if any(counts.get(state) for state in OPEN):
            course.waits = True
            return
        if await self._verify(campaign):
            await self._finish(campaign)

    async def _verify_again(self) -> None:
        """Look once more at campaigns that are over and for which a call may have come late; what did is taken back."""
        async with self._job.database.acquire_for_work() as connection:
            due = await campaigns.list_to_verify(connection, self._store)
        for campaign in due:
            if campaign.id in self._failed:
                continue
            async with self._job.page(checkpoint=None, pages=0) as page:
                await items.verify_again(page.connection, campaign.id)
            try:
                await self._verify(campaign)
            except RowsUnread as error:
                self._failed[campaign.id] = error
                continue
            try:
                await self._close_again(campaign)
            except UniqueViolationError:
                log.warning("sale_not_reopened", sale=campaign.name, next_step="end the open sale of the same name")
                await self._put_off(campaign)

    async def _close_again(self, campaign: Campaign) -> None:
        async with self._job.page(checkpoint=None, pages=0) as page:
            await campaigns.lock(page.connection, campaign.id)
            counts = await items.count_by_state(page.connection, campaign.id)
            came_back = sum(counts.get(state, 0) for state in OPEN)
            if not came_back:
                await campaigns.set_verify(page.connection, campaign.id, None)
                return
            self._courses.pop(campaign.id, None)
            detail = f"a call came late: {came_back:,} sale prices are taken back again"
            now = datetime.now(UTC)
            await campaigns.move(page.connection, campaign.id, OVER, CampaignState.REVERTING, now, detail=detail)
        log.warning("sale_call_came_late", sale=campaign.name, store=self._store, variants=came_back)

    async def _put_off(self, campaign: Campaign) -> None:
        async with self._job.page(checkpoint=None, pages=0) as page:
            await campaigns.set_verify(page.connection, campaign.id, latest_arrival())

    async def _verify(self, campaign: Campaign) -> bool:
        """Read once more what was restored; False where a sale price has come back, which has to be taken back anew.

        A call of a process that is dead may arrive long after it.
        """
        came_back = 0
        while True:
            async with self._job.database.acquire_for_work() as connection:
                numbers = await items.list_unverified(connection, campaign.id, READ_AT_ONCE)
                asked_at = await campaigns.database_time(connection)
            if not numbers:
                return came_back == 0
            reading = await self._job.unless_stopped(self._shopify.present_prices(numbers, meter=self._meter))
            if len(reading.unread) == len(numbers):  # of all others it has been seen by now
                _, error = not_read(campaign, reading.unread)
                raise error
            seen = {number: Prices(*prices) for number, prices in reading.found.items()}
            numbers = [number for number in numbers if number not in reading.unread]
            async with self._job.page(checkpoint=None, pages=0) as page:
                await items.lock_prices(page.connection, self._store)
                locked = await items.lock_some(page.connection, campaign.id, numbers)
                others = await items.list_held(page.connection, self._store, numbers)
                locked = [item for item in locked if item.state is ItemState.REVERTED]
                back = [item for item in locked if _is_back(item, seen.get(item.variant_id))]
                await items.reopen(page.connection, campaign.id, [item.variant_id for item in back])
                notes = {
                    item.variant_id: None if item.variant_id in others else _proof(item, seen.get(item.variant_id))
                    for item in locked
                }
                await items.verify(page.connection, campaign.id, notes)
                await mirror.set_prices(page.connection, self._store, seen, asked_at)
            came_back += len(back)

    async def _finish(self, campaign: Campaign) -> None:
        now = datetime.now(UTC)
        async with self._job.page(checkpoint=None, pages=0) as page:
            # Decided now, not before: a person may have decided something at this very moment.
            present = await campaigns.lock(page.connection, campaign.id)
            await items.close_planned(page.connection, campaign.id, NOT_BEGUN)
            counts = await items.count_by_state(page.connection, campaign.id)
            if any(counts.get(state) for state in OPEN):
                return
            await items.release(page.connection, campaign.id)
            to, notice = await _outcome(page.connection, present or campaign, counts)
            if to is not CampaignState.NEEDS_ATTENTION or not await items.has_decided(page.connection, campaign.id):
                moved = await campaigns.move(
                    page.connection,
                    campaign.id,
                    [CampaignState.REVERTING],
                    to,
                    now,
                    notice=notice,
                    verify_after=latest_arrival(),
                )
            else:  # a decision to restore has come meanwhile: go on with it
                self._courses.pop(campaign.id, None)
                return
        if moved is not None:
            level = "warning" if to is CampaignState.NEEDS_ATTENTION else "info"
            figures = {state.lower(): count for state, count in counts.items()}
            getattr(log, level)("sale_reverted", sale=moved.name, state=str(to), **figures)


def latest_arrival() -> timedelta:
    """For how long after it was sent a call may still be carried out: nobody waits longer for its answer."""
    return timedelta(seconds=http.TIMEOUT.total or 0)


def _judged(item: Item, seen: Prices | None, own: Collection[Prices], ours: Collection[int]) -> Move | Write:
    if seen is None:
        return Move(item.variant_id, ItemState.GONE, GONE)
    if seen == item.base:
        was_written = item.state is ItemState.REVERTING
        return Move(item.variant_id, ItemState.REVERTED, None if was_written else WAS_THERE)
    is_ours = seen == item.sale or seen in own
    is_decided = item.decision is not None and seen == item.found
    if is_ours or is_decided:
        return Write(item.variant_id, item.product_id, old=seen, new=item.base)
    note = BY_OTHERS_OR_LATE if item.variant_id in ours else FOREIGN
    return Move(item.variant_id, ItemState.DRIFTED, note, seen)


def _interrupted(locked: Sequence[Item], seen: Mapping[int, Prices]) -> dict[int, tuple[WriteResult, str | None]]:
    """What became of writes that an earlier run had in its hands, by what Shopify has now."""
    results: dict[int, tuple[WriteResult, str | None]] = {}
    for item in locked:
        wanted = {ItemState.APPLYING: item.sale, ItemState.REVERTING: item.base}.get(item.state)
        if item.state in (ItemState.APPLYING, ItemState.REVERTING):
            is_there = wanted is not None and seen.get(item.variant_id) == wanted
            detail = None if is_there else "interrupted, and Shopify did not have it"
            results[item.variant_id] = (WriteResult.APPLIED if is_there else WriteResult.UNKNOWN, detail)
    return results


def _moved(write: Write, written: Written) -> Move | None:
    """A variant's state behind its write; None where it is not known what came of it."""
    if write.variant_id in written.applied:
        return Move(write.variant_id, ItemState.REVERTED)
    error = written.refused.get(write.variant_id)
    if error is None:
        return None
    if error.code in PRICE_GONE_CODES:
        return Move(write.variant_id, ItemState.GONE, GONE)
    return Move(write.variant_id, ItemState.STUCK, f"Shopify refused the price: {error.message}")


def _result_of(move: Move) -> tuple[WriteResult, str | None]:
    return (WriteResult.APPLIED if move.state is ItemState.REVERTED else WriteResult.REFUSED), move.note


def _counted(moves: Sequence[Move]) -> Counters:
    restored = sum(move.state is ItemState.REVERTED and move.note != WAS_THERE for move in moves)
    stuck = sum(move.state is ItemState.STUCK for move in moves)  # counted by their dead letters
    return Counters(updated=restored, skipped=len(moves) - restored - stuck)


def _is_back(item: Item, seen: Prices | None) -> bool:
    """Whether a restored variant has its sale price again."""
    return seen is not None and seen == item.sale and seen != item.base


def _proof(item: Item, seen: Prices | None) -> str | None:
    if seen is None:
        return GONE
    return None if seen == item.base else FOREIGN_AFTER


async def _outcome(
    connection: Connection, campaign: Campaign, counts: Mapping[ItemState, int]
) -> tuple[CampaignState, str | None]:
    drifted, stuck = counts.get(ItemState.DRIFTED, 0), counts.get(ItemState.STUCK, 0)
    if not drifted and not stuck:
        return (CampaignState.CANCELLED if campaign.is_cancelled else CampaignState.COMPLETED), None
    said = []
    if drifted:
        said.append(await drift.waiting_notice(connection, campaign, drifted))
    if stuck:
        said.append(
            f"Shopify refused to take {stuck:,} price{'s' if stuck > 1 else ''} back: mend what `dongbo sale show "
            f"{campaign.name}` tells, then `dongbo sale resume {campaign.name}`."
        )
    return CampaignState.NEEDS_ATTENTION, " ".join(said)
