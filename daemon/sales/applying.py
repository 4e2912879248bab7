"""Putting campaigns on sale: for round after round of products the intents, the calls, and what came of them.

All running campaigns of a store are served in turn, so that a small one that starts beside a large one does not wait
for it. What an interrupted run had in its hands is read from Shopify first: a price is never discounted twice, because
the discount is taken from the price in the journal, which only a look at Shopify may correct.
"""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from daemon.api.sales import CampaignState, ItemState, WriteAction, WriteResult
from daemon.errors import DongboError, SourceError, SourceUnavailable
from daemon.ids import CampaignId, StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.mirror import shopify as mirror
from daemon.sales import campaigns, drift, items, journal
from daemon.sales.course import Course
from daemon.sales.drift import BY_OTHERS_OR_LATE
from daemon.sales.items import Candidate, Move
from daemon.sales.journal import Write
from daemon.sales.model import HELD, Campaign, Item, Prices
from daemon.sales.preparation import Preparation, is_fresh
from daemon.sales.pricing import NotOnSale, sale_prices
from daemon.sales.writing import NOT_SENT, Written, dead_letter, round_of, send
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.price_watch import LONG_AGO
from daemon.sources.shopify.writes import PRICE_GONE_CODES

log = structlog.get_logger()

PRODUCTS_AT_ONCE = 250  # at most: as many as the limits let through while what was read of them lasts
READ_AT_ONCE = 250
PAUSE = 0.5  # seconds between two looks at variants that are about to be given back
FAILED_ROUNDS = 2  # without any success, after which the run goes on later
PUSH_PATIENCE = timedelta(seconds=30)  # how long a push of the product sync is waited for

GONE = "Shopify has the variant no more"
BY_OTHERS = "somebody else changed the price while it was put on sale"


class StillTaken(SourceUnavailable):
    """Prices are on their way of which nobody knows what became of them: the next run asks Shopify."""


@dataclass(slots=True)
class ApplyingCourse(Course):
    """How far this run is with putting a campaign on sale."""

    after: int = 0  # the last product of this pass
    is_settled: bool = False  # whether what earlier runs left open has been looked at
    began: datetime = field(default_factory=lambda: datetime.now(UTC))


class Applying:
    """One run of APPLY_SALE for a store."""

    def __init__(
        self,
        job: JobContext,
        store: StoreName,
        shopify: ShopifyClient,
        meter: CallMeter,
        refused: Mapping[CampaignId, DongboError] | None = None,
    ) -> None:
        """`refused`: campaigns that must not be put on sale now, and why."""
        self._job = job
        self._store = store
        self._shopify = shopify
        self._meter = meter
        self._preparation = Preparation(job.database, store, shopify, meter, job.unless_stopped)
        self._courses: dict[CampaignId, ApplyingCourse] = {}
        # Campaigns that this run leaves alone, and why.
        self._failed: dict[CampaignId, DongboError] = dict(refused or {})
        self._expected = job.processed

    async def run(self) -> None:
        """Go on until no campaign of the store has anything to put on sale.

        A campaign that fails keeps none of the others back; its error is raised when they are done.
        """
        while True:
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

    async def _due(self) -> list[ApplyingCourse]:
        """The campaigns with something to do, by their start."""
        states = (CampaignState.APPLYING, CampaignState.ACTIVE)
        async with self._job.database.acquire_for_work() as connection:
            running = await campaigns.list_in_states(connection, self._store, states)
            due = [
                campaign
                for campaign in running
                if campaign.id not in self._failed
                and (
                    campaign.state is CampaignState.APPLYING
                    or await items.has_work(connection, campaign.id)
                    or await items.is_waiting(connection, campaign.id)
                )
            ]
        for campaign in due:
            self._courses.setdefault(campaign.id, ApplyingCourse(campaign)).campaign = campaign
        return [self._courses[campaign.id] for campaign in due]

    async def _round(self, course: ApplyingCourse) -> None:
        if not course.is_settled:
            await self._begin(course)
        campaign, course.waits = course.campaign, False
        async with self._job.database.acquire_for_work() as connection:
            sizes = await items.list_next_products(connection, campaign.id, course.after, PRODUCTS_AT_ONCE)
        if not sizes:
            await self._end_pass(course)
            return
        are_read = campaign.state is CampaignState.APPLYING and is_fresh(campaign, datetime.now(UTC))
        reading = [(product_id, 1 if are_read else variants) for product_id, variants in sizes.items()]
        products = list(round_of(self._shopify, reading))
        read_at = await self._look(course, products, are_read=are_read)
        writes = await self._intend(course, products)
        if writes:
            await self._write(course, writes, read_at)
        course.after = products[-1]

    async def _look(self, course: ApplyingCourse, products: Sequence[int], *, are_read: bool) -> float:
        """See to it that the mirror has the present prices; when Shopify was asked, by `boot_time`.

        Where they were read ahead of the start, only those of products that have changed since then are read again.
        """
        read_at = math.inf
        if are_read:
            products, read_at = await self._preparation.list_changed(products)
        if products:
            async with self._job.database.acquire_for_work() as connection:
                known = await items.list_planned(connection, course.campaign.id, products)
            asked_at, unread = await self._preparation.read_prices(known)
            read_at = min(read_at, asked_at)
            await course.leave_out(self._job, unread)
        return read_at if read_at < math.inf else LONG_AGO

    async def _begin(self, course: ApplyingCourse) -> None:
        """Settle what an earlier run left open, and catch up on preparing."""
        campaign = course.campaign
        await self._settle_orphans(course)
        if campaign.prepared_at is None:
            await self._preparation.prepare(campaign)
        async with self._job.database.acquire_for_work() as connection:
            counts = await items.count_by_state(connection, campaign.id)
        self._expected += counts.get(ItemState.PLANNED, 0)
        await self._job.describe(total=max(self._expected, self._job.processed), campaigns=self._names())
        course.is_settled = True

    def _names(self) -> list[str]:
        return [course.campaign.name for course in self._courses.values()]

    async def _settle_orphans(self, course: ApplyingCourse) -> None:
        """Look what Shopify has of the variants whose sale price was on its way when a run ended."""
        campaign, after = course.campaign, 0
        while True:
            async with self._job.database.acquire_for_work() as connection:
                orphans = await items.list_orphans(connection, campaign.id, after, READ_AT_ONCE)
                asked_at = await campaigns.database_time(connection)
            if not orphans:
                return
            after = orphans[-1]
            reading = await self._job.unless_stopped(self._shopify.present_prices(orphans, meter=self._meter))
            seen = {number: Prices(*prices) for number, prices in reading.found.items()}
            await course.leave_out(self._job, reading.unread)
            async with self._job.page(checkpoint=None, pages=0) as page:
                present = await campaigns.lock(page.connection, campaign.id)
                if present is None or present.state not in (CampaignState.APPLYING, CampaignState.ACTIVE):
                    return  # what is left open is taken back by now
                locked = await items.lock_some(page.connection, campaign.id, orphans)
                open_items = [
                    item
                    for item in locked
                    if item.state is ItemState.APPLYING and item.variant_id not in reading.unread
                ]
                ours = await journal.may_be_ours(page.connection, self._store, seen)
                moves = [_settled(item, seen.get(item.variant_id), ours) for item in open_items]
                await items.move(page.connection, campaign.id, moves)
                results = {move.variant_id: _result_of(move) for move in moves}
                await journal.settle(page.connection, campaign.id, results, in_doubt=results)
                known = {move.variant_id: seen[move.variant_id] for move in moves if move.variant_id in seen}
                await mirror.set_prices(page.connection, self._store, known, asked_at)
                page.count(_counted(moves))
                await drift.tell(page.connection, self._store)
            log.info("sale_writes_settled", sale=campaign.name, variants=len(moves))

    async def _intend(self, course: ApplyingCourse, products: Sequence[int]) -> list[Write]:
        """Note what is about to be written of these products; what must not be written is closed or left for later."""
        campaign = course.campaign
        async with self._job.page(checkpoint=None, pages=0) as page:
            connection = page.connection
            present = await campaigns.lock(connection, campaign.id)
            if present is None or present.state not in (CampaignState.APPLYING, CampaignState.ACTIVE):
                return []
            await items.lock_prices(connection, self._store)
            candidates = await items.lock_planned(connection, campaign.id, products)
            own = await journal.own_prices(connection, campaign.id, [one.variant_id for one in candidates])
            ready, closed = self._judge(course, candidates, own)
            await items.begin_applying(connection, campaign.id, ready)
            await items.move(connection, campaign.id, closed)
            page.count(_counted(closed))
            product_of = {candidate.variant_id: candidate.product_id for candidate in candidates}
            writes = [Write(number, product_of[number], base, sale) for number, (base, sale) in ready.items()]
            await journal.record(
                connection,
                campaign.id,
                self._store,
                WriteAction.APPLY,
                self._job.job.id,
                self._job.run_token,
                writes,
            )
        return writes

    def _judge(
        self, course: ApplyingCourse, candidates: Sequence[Candidate], own: Mapping[int, set[Prices]]
    ) -> tuple[dict[int, tuple[Prices, Prices]], list[Move]]:
        """{variant: (base, sale)} of what is written now, and what needs no write; the rest has to wait.

        A variant that has a price which the campaign itself has once sent is on sale: the call was given up and came
        late. Its base is the one in the journal.
        """
        ready: dict[int, tuple[Prices, Prices]] = {}
        closed: list[Move] = []
        is_patient = datetime.now(UTC) - course.began < PUSH_PATIENCE
        for candidate in candidates:
            if candidate.variant_id in course.unread:
                continue
            if candidate.present is None:
                closed.append(Move(candidate.variant_id, ItemState.GONE, GONE))
            elif candidate.is_held or (candidate.is_pushed and is_patient):
                continue
            elif candidate.present in own.get(candidate.variant_id, ()):
                closed.append(Move(candidate.variant_id, ItemState.APPLIED, seen=candidate.present))
            else:
                match sale_prices(course.campaign.definition, candidate.present):
                    case NotOnSale(reason):
                        closed.append(Move(candidate.variant_id, ItemState.SKIPPED, reason))
                    case Prices() as sale:
                        ready[candidate.variant_id] = (candidate.present, sale)
        return ready, closed

    async def _write(self, course: ApplyingCourse, writes: Sequence[Write], read_at: float) -> None:
        campaign = course.campaign
        # Awaited as it is: a call that is under way is not abandoned because the run is to stop.
        written = await send(self._shopify, writes, self._meter, read_at)
        moves = [_moved(write, written) for write in writes if _is_known(write, written)]
        async with self._job.page(checkpoint=None) as page:
            await items.move(page.connection, campaign.id, moves)
            results = {move.variant_id: _result_of(move) for move in moves}
            await journal.settle(page.connection, campaign.id, results, written.in_doubt)
            await mirror.set_prices(page.connection, self._store, dict(written.applied))
            refused = {move.variant_id for move in moves if move.state is ItemState.REFUSED}
            page.reject([dead_letter(campaign, write, written) for write in writes if write.variant_id in refused])
            page.count(_counted(moves))
            if refused:
                await drift.tell(page.connection, self._store)
        if written.error is not None:
            course.error = written.error
            course.failed_rounds = 0 if written.applied else course.failed_rounds + 1
            if course.failed_rounds >= FAILED_ROUNDS:
                raise written.error
        elif len(moves) < len(writes):
            await self._settle_orphans(course)

    async def _end_pass(self, course: ApplyingCourse) -> None:
        """All products were looked at: what is left waits for others, or the campaign is on sale."""
        campaign, course.after = course.campaign, 0
        if course.error is not None:  # all others were served; those whose call failed are the next run's
            raise course.error
        async with self._job.database.acquire_for_work() as connection:
            has_work = await items.has_work(connection, campaign.id)
            is_waiting = await items.is_waiting(connection, campaign.id)
        if has_work or is_waiting:
            course.waits = True
            return
        await self._finish(campaign)

    async def _finish(self, campaign: Campaign) -> None:
        if campaign.state is not CampaignState.APPLYING:
            return
        now = datetime.now(UTC)
        async with self._job.page(checkpoint=None, pages=0) as page:
            await campaigns.lock(page.connection, campaign.id)
            counts = await items.count_by_state(page.connection, campaign.id)
            if counts.get(ItemState.APPLYING):
                raise StillTaken(f"Of {campaign.name}, it is not known yet what became of some prices.")
            on_sale = sum(counts.get(state, 0) for state in HELD)
            if on_sale or counts.get(ItemState.PLANNED):
                detail = f"on sale: {on_sale:,} variants"
                moved = await campaigns.move(
                    page.connection, campaign.id, [CampaignState.APPLYING], CampaignState.ACTIVE, now, detail=detail
                )
            else:
                reason = _nothing_on_sale(counts)
                moved = await campaigns.move(
                    page.connection, campaign.id, [CampaignState.APPLYING], CampaignState.FAILED, now, notice=reason
                )
        if moved is not None:
            level = "info" if moved.state is CampaignState.ACTIVE else "error"
            getattr(log, level)("sale_applied", sale=moved.name, state=str(moved.state), variants=on_sale)


def _settled(item: Item, seen: Prices | None, ours: Collection[int]) -> Move:
    """What became of a variant whose sale price was on its way, by what Shopify has now.

    `ours`: the variants whose present price dongbo itself may have set.
    """
    if seen is None:
        return Move(item.variant_id, ItemState.GONE, GONE)
    if seen == item.sale:
        return Move(item.variant_id, ItemState.APPLIED, seen=seen)
    if seen in (item.before, item.base):
        return Move(item.variant_id, ItemState.PLANNED, "interrupted before Shopify had it")
    note = BY_OTHERS_OR_LATE if item.variant_id in ours else BY_OTHERS
    return Move(item.variant_id, ItemState.DRIFTED, note, seen)


def _moved(write: Write, written: Written) -> Move:
    now = written.applied.get(write.variant_id)
    if now is not None:
        return Move(write.variant_id, ItemState.APPLIED, seen=now)
    if write.variant_id in written.moved:
        return Move(write.variant_id, ItemState.PLANNED, NOT_SENT)  # its discount is taken from the price of now
    error = written.refused[write.variant_id]
    if error.code in PRICE_GONE_CODES:
        return Move(write.variant_id, ItemState.GONE, GONE)
    return Move(write.variant_id, ItemState.REFUSED, f"Shopify refused the price: {error.message}")


def _is_known(write: Write, written: Written) -> bool:
    """What is in doubt and has another price by now is looked at as if the run had been interrupted."""
    number = write.variant_id
    never_sent = number in written.moved and number not in written.in_doubt
    return number in written.applied or number in written.refused or never_sent


def _result_of(move: Move) -> tuple[WriteResult, str | None]:
    match move.state:
        case ItemState.APPLIED:
            return WriteResult.APPLIED, None
        case ItemState.REFUSED:
            return WriteResult.REFUSED, move.note
        case _:
            return WriteResult.UNKNOWN, move.note


def _counted(moves: Sequence[Move]) -> Counters:
    """What is settled is counted; what goes back to the plan is counted when it is done."""
    applied = sum(move.state is ItemState.APPLIED for move in moves)
    closed = sum(move.state in (ItemState.GONE, ItemState.DRIFTED) for move in moves)
    return Counters(updated=applied, skipped=closed)


def _nothing_on_sale(counts: dict[ItemState, int]) -> str:
    if not counts:
        return (
            "No variant was on sale: the targets matched none. Look at them with `dongbo sale preview`, pull Shopify's "
            "products if the shop has changed, and create the campaign anew."
        )
    said = ", ".join(f"{count:,} {state.lower()}" for state, count in sorted(counts.items()))
    return f"No variant was on sale ({said}). `dongbo sale show` tells why of each."
