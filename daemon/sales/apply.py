"""Putting campaigns on sale: the discount is taken from the price that Shopify has right before.

What an interrupted run was writing is read from Shopify first: a price is never discounted twice, because the discount
is taken from the price in the journal, which only a look at Shopify may correct.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from daemon.api.sales import CampaignState, ItemState, WriteAction, WriteResult
from daemon.database.pool import Connection
from daemon.errors import DongboError, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.ids import CampaignId, StoreName
from daemon.jobs import pauses
from daemon.jobs.context import JobContext
from daemon.mirror import shopify as mirror
from daemon.sales import campaigns, drift, items, journal
from daemon.sales.drift import BY_OTHERS_OR_LATE
from daemon.sales.items import Candidate, Move
from daemon.sales.journal import Write
from daemon.sales.model import HELD, Campaign, Item
from daemon.sales.preparation import Preparation, is_fresh
from daemon.sales.pricing import NotOnSale, sale_prices
from daemon.sales.rounds import GONE, READ_AT_ONCE, CampaignProgress, Portion, Rounds
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import PricePair
from daemon.sources.shopify.price_watch import LONG_AGO
from daemon.sources.shopify.writes import PriceOutcome

log = structlog.get_logger()

PRODUCTS_AT_ONCE = 250  # at most: as many as the limits let through while what was read of them lasts
PUSH_PATIENCE = timedelta(seconds=30)  # how long a push of the product sync is waited for

BY_OTHERS = mark("somebody else changed the price while it was put on sale")
NOT_REACHED = mark("interrupted before Shopify had it")

STATES = (CampaignState.APPLYING, CampaignState.ACTIVE)


class ResultsUnknown(SourceUnavailable):
    """Prices were sent and it is not known whether they were set: the next run asks Shopify."""


class Apply(Rounds):
    """One run of APPLY_SALE for a store."""

    action = WriteAction.APPLY
    done = ItemState.APPLIED
    refused = ItemState.REFUSED
    put_back = ItemState.PLANNED  # its discount is taken from the price of now
    pause = 0.5

    def __init__(
        self,
        context: JobContext,
        store: StoreName,
        shopify: ShopifyClient,
        meter: CallMeter,
        left_alone: Mapping[CampaignId, DongboError] | None = None,
    ) -> None:
        super().__init__(context, store, shopify, meter, left_alone)
        self._preparation = Preparation(
            context.database,
            store,
            shopify,
            meter,
            context.unless_stopped,
            page=lambda: context.page(checkpoint=None, pages=0),
        )

    async def list_due(self, connection: Connection) -> list[Campaign]:
        """Those that are put on sale, and those on sale that variants join."""
        return [
            campaign
            for campaign in await campaigns.list_in_states(connection, self._store, STATES)
            if campaign.state is CampaignState.APPLYING or await self.is_waiting(connection, campaign)
        ]

    async def reopen(self) -> bool:
        """What has ended is not put on sale again."""
        return False

    async def begin(self, progress: CampaignProgress) -> int:
        """Settle what an earlier run left open, and catch up on preparing."""
        campaign = progress.campaign
        await self.settle_unknown(progress)
        if campaign.prepared_at is None:
            await self._preparation.prepare(campaign)
        async with self._context.database.acquire_for_work() as connection:
            counts = await items.count_by_state(connection, campaign.id)
        return counts.get(ItemState.PLANNED, 0)

    async def next_portion(self, progress: CampaignProgress) -> Portion | None:
        """The next products, as many as the limits let through."""
        campaign = progress.campaign
        async with self._context.database.acquire_for_work() as connection:
            now = await campaigns.database_time(connection)
            sizes = await items.list_next_products(connection, campaign.id, progress.after[0], PRODUCTS_AT_ONCE)
        if not sizes:
            return None
        are_read = campaign.state is CampaignState.APPLYING and is_fresh(campaign, now)
        products = list(self.fit((number, 1 if are_read else variants) for number, variants in sizes.items()))
        read_at = await self._refresh(progress, products, are_read=are_read)
        return Portion(await self._intend(progress, products), read_at, (products[-1], 0))

    async def _refresh(self, progress: CampaignProgress, products: Sequence[int], *, are_read: bool) -> float:
        """See to it that the mirror has the present prices; when Shopify was asked, by `boot_time`.

        Where they were read ahead of the start, only those of products that have changed since then are read again.
        """
        read_at = math.inf
        if are_read:
            products, read_at = await self._preparation.list_changed(products)
        if products:
            async with self._context.database.acquire_for_work() as connection:
                known = await items.list_planned(connection, progress.campaign.id, products)
            asked_at, unread = await self._preparation.refresh(known)
            read_at = min(read_at, asked_at)
            await self.leave_out(progress, unread)
        return read_at if read_at < math.inf else LONG_AGO

    async def _intend(self, progress: CampaignProgress, products: Sequence[int]) -> list[Write]:
        """Record what is about to be written of these products; what must not be is closed or left for later."""
        campaign = progress.campaign
        async with self._context.page(checkpoint=None, pages=0) as page:
            connection = page.connection
            present = await campaigns.lock(connection, campaign.id)
            if present is None or present.state not in STATES:
                return []
            await pauses.check(connection, self._store)
            await items.lock_prices(connection, self._store)
            candidates = await items.lock_planned(connection, campaign.id, products)
            own = await journal.own_prices(connection, campaign.id, [one.variant_id for one in candidates])
            ready, closed = self._judge(progress, candidates, own)
            await items.begin_applying(connection, campaign.id, ready)
            await items.move(connection, campaign.id, closed)
            page.count(self.counted(closed))
            product_of = {candidate.variant_id: candidate.product_id for candidate in candidates}
            writes = [Write(number, product_of[number], base, sale) for number, (base, sale) in ready.items()]
            await self.record(connection, campaign, writes)
        return writes

    def _judge(
        self, progress: CampaignProgress, candidates: Sequence[Candidate], own: Mapping[int, set[PricePair]]
    ) -> tuple[dict[int, tuple[PricePair, PricePair]], list[Move]]:
        """{variant: (base, sale)} of what is written now, and what needs no write; the rest has to wait.

        A variant that has a price which the campaign itself once sent is on sale: the call was given up and came late.
        Its base is the one in the journal.
        """
        ready: dict[int, tuple[PricePair, PricePair]] = {}
        closed: list[Move] = []
        is_patient = datetime.now(UTC) - progress.began_at < PUSH_PATIENCE
        for candidate in candidates:
            if candidate.variant_id in progress.unread:
                continue
            if candidate.present is None:
                closed.append(Move(candidate.variant_id, ItemState.GONE, GONE))
            elif candidate.is_held or (candidate.is_pushed and is_patient):
                continue
            elif candidate.present in own.get(candidate.variant_id, ()):
                closed.append(Move(candidate.variant_id, ItemState.APPLIED, seen=candidate.present))
            else:
                match sale_prices(progress.campaign.definition, candidate.present):
                    case NotOnSale(reason):
                        closed.append(Move(candidate.variant_id, ItemState.SKIPPED, reason))
                    case PricePair() as sale:
                        ready[candidate.variant_id] = (candidate.present, sale)
        return ready, closed

    def put_off(self, outcome: PriceOutcome) -> frozenset[int]:
        """What was never sent; what is in doubt is looked at as if the run had been interrupted."""
        return outcome.not_sent - outcome.in_doubt

    async def report_refusals(self, connection: Connection) -> None:
        """At once: the sale has just begun."""
        await drift.report(connection, self._store)

    async def settle_unknown(self, progress: CampaignProgress) -> None:
        """Ask Shopify about the variants whose sale price was sent and whose result nobody knows."""
        campaign, after = progress.campaign, 0
        while True:
            async with self._context.database.acquire_for_work() as connection:
                orphans = await items.list_orphans(connection, campaign.id, after, READ_AT_ONCE)
            if not orphans:
                return
            after = orphans[-1]
            fresh = await self.read(orphans)
            await self.leave_out(progress, fresh.unread)
            async with self._context.page(checkpoint=None, pages=0) as page:
                present = await campaigns.lock(page.connection, campaign.id)
                if present is None or present.state not in STATES:
                    return  # it is being taken back, and what is open with it
                locked = await items.lock_some(page.connection, campaign.id, orphans)
                open_items = [
                    item for item in locked if item.state is ItemState.APPLYING and item.variant_id not in fresh.unread
                ]
                ours = await journal.may_be_ours(page.connection, self._store, fresh.found)
                moves = [_settled(item, fresh.found.get(item.variant_id), ours) for item in open_items]
                await items.move(page.connection, campaign.id, moves)
                results = {move.variant_id: _result_of(move) for move in moves}
                await journal.settle(page.connection, campaign.id, results, in_doubt=results)
                known = {one.variant_id: fresh.found[one.variant_id] for one in moves if one.variant_id in fresh.found}
                await mirror.set_prices(page.connection, self._store, known, fresh.asked_at)
                page.count(self.counted(moves))
                await drift.report(page.connection, self._store)
            log.info("sale_writes_settled", sale=campaign.name, variants=len(moves))

    async def is_waiting(self, connection: Connection, campaign: Campaign) -> bool:
        """Whether variants are left to put on sale: a push holds them up, or another campaign gives them back soon."""
        return await items.has_work(connection, campaign.id) or await items.is_waiting(connection, campaign.id)

    async def finish(self, progress: CampaignProgress) -> None:
        """The campaign is on sale, or has failed where nothing of it is."""
        campaign = progress.campaign
        if campaign.state is not CampaignState.APPLYING:
            return
        async with self._context.page(checkpoint=None, pages=0) as page:
            await campaigns.lock(page.connection, campaign.id)
            now = await campaigns.database_time(page.connection)
            counts = await items.count_by_state(page.connection, campaign.id)
            if counts.get(ItemState.APPLYING):
                raise ResultsUnknown(
                    _("It is not known yet whether Shopify has set some prices of {name}.").format(name=campaign.name)
                )
            on_sale = sum(counts.get(state, 0) for state in HELD)
            if on_sale or counts.get(ItemState.PLANNED):
                detail = _("on sale: {n} variants").format(n=number_text(on_sale))
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


def _settled(item: Item, seen: PricePair | None, ours: Collection[int]) -> Move:
    """The state of a variant whose sale price was sent without an answer, by what Shopify has now.

    `ours`: the variants whose present price dongbo itself may have set.
    """
    if seen is None:
        return Move(item.variant_id, ItemState.GONE, GONE)
    if seen == item.sale:
        return Move(item.variant_id, ItemState.APPLIED, seen=seen)
    if seen in (item.before, item.base):
        return Move(item.variant_id, ItemState.PLANNED, NOT_REACHED)
    note = BY_OTHERS_OR_LATE if item.variant_id in ours else BY_OTHERS
    return Move(item.variant_id, ItemState.DRIFTED, note, seen)


def _result_of(move: Move) -> tuple[WriteResult, str | None]:
    return (WriteResult.APPLIED, None) if move.state is ItemState.APPLIED else (WriteResult.UNKNOWN, move.note)


def _nothing_on_sale(counts: Mapping[ItemState, int]) -> str:
    if not counts:
        return _(
            "No variant was on sale: the targets matched none. Check them with `dongbo sale preview`, pull "
            "Shopify's products if the shop has changed, and create the campaign again."
        )
    said = ", ".join(f"{count:,} {state.lower()}" for state, count in sorted(counts.items()))
    return _("No variant was on sale ({said}). `dongbo sale show` says why for each.").format(said=said)
