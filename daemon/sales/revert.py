"""Taking campaigns back: Shopify is read before each write, so that nobody else's price is ever overwritten.

A variant that has the sale price gets its base price; one that has its base price needs nothing; one that has another
price was changed by somebody else, and a person decides. When all is written, Shopify is read once more for the proof,
and where a call went unanswered, once again: when it can't be carried out any more.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import structlog
from asyncpg import UniqueViolationError

from daemon.api.sales import CampaignState, ItemState, WriteAction, WriteResult
from daemon.database.pool import Connection
from daemon.errors import RowsUnread
from daemon.i18n import mark, ngettext, number_text
from daemon.jobs import pauses
from daemon.mirror import shopify as mirror
from daemon.sales import campaigns, drift, items, journal
from daemon.sales.drift import BY_OTHERS_OR_LATE
from daemon.sales.items import Move
from daemon.sales.journal import Write
from daemon.sales.model import Campaign, Item
from daemon.sales.reading import FreshPrices
from daemon.sales.rounds import GONE, READ_AT_ONCE, WAS_THERE, CampaignProgress, Portion, Rounds, unread_error
from daemon.sources import http
from daemon.sources.shopify.models import PricePair
from daemon.sources.shopify.writes import PriceOutcome

log = structlog.get_logger()

OPEN = (ItemState.APPLYING, ItemState.APPLIED, ItemState.REVERTING)
FIRST_PASS = (*OPEN, ItemState.STUCK)  # what Shopify refused before is tried again once
OVER = (CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.NEEDS_ATTENTION)

FOREIGN = mark("somebody else set another price during the sale")
FOREIGN_AFTER = mark("somebody else set another price after it was restored")
NOT_BEGUN = mark("the campaign ended before it was put on sale")
NOT_REACHED = mark("interrupted, and Shopify did not have it")


class Revert(Rounds):
    """One run of REVERT_SALE for a store."""

    action = WriteAction.REVERT
    done = ItemState.REVERTED
    refused = ItemState.STUCK
    put_back = None  # it stays under way: the next pass reads it and decides about it again
    pause = 0.2

    async def list_due(self, connection: Connection) -> list[Campaign]:
        """Those that are taken back."""
        return await campaigns.list_in_states(connection, self._store, [CampaignState.REVERTING])

    async def begin(self, progress: CampaignProgress) -> int:
        """Give back what was never put on sale."""
        async with self._context.page(checkpoint=None, pages=0) as page:
            await items.close_planned(page.connection, progress.campaign.id, NOT_BEGUN)
            counts = await items.count_by_state(page.connection, progress.campaign.id)
        return sum(counts.get(state, 0) for state in FIRST_PASS)

    async def next_portion(self, progress: CampaignProgress) -> Portion | None:
        """The next variants, as many as the limits let through, with what Shopify has of them right before."""
        states = FIRST_PASS if progress.is_first_pass else OPEN
        async with self._context.database.acquire_for_work() as connection:
            listed = await items.list_to_revert(
                connection, progress.campaign.id, progress.after, states, self._context.run_token, READ_AT_ONCE
            )
        if not listed:
            return None
        products = set(self.fit(Counter(listed.values()).items()))
        numbers = [number for number, product_id in listed.items() if product_id in products]
        fresh = await self.read(numbers)
        await self.leave_out(progress, fresh.unread)
        writes = await self._intend(progress.campaign, [n for n in numbers if n not in fresh.unread], fresh)
        return Portion(writes, fresh.read_at, max((listed[number], number) for number in numbers))

    async def _intend(self, campaign: Campaign, numbers: Sequence[int], fresh: FreshPrices) -> list[Write]:
        """Close what needs no write, and record what is about to be written."""
        seen = fresh.found
        async with self._context.page(checkpoint=None, pages=0) as page:
            connection = page.connection
            await pauses.check(connection, self._store)
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
            await self.record(connection, campaign, writes)
            await mirror.set_prices(connection, self._store, seen, fresh.asked_at)
            page.count(self.counted(closed))
            if any(move.state is ItemState.DRIFTED for move in closed):
                await drift.report(connection, self._store)
        return writes

    def put_off(self, outcome: PriceOutcome) -> frozenset[int]:
        """All that had another price, in doubt or not: the next pass reads them."""
        return outcome.not_sent

    async def report_refusals(self, connection: Connection) -> None:
        """With the campaign's end: until then they may be tried again."""

    async def settle_unknown(self, progress: CampaignProgress) -> None:
        """The next pass reads whatever is under way."""

    async def is_waiting(self, connection: Connection, campaign: Campaign) -> bool:
        """Whether variants are left to take back."""
        counts = await items.count_by_state(connection, campaign.id)
        return any(counts.get(state) for state in OPEN)

    async def finish(self, progress: CampaignProgress) -> None:
        """Read what was restored for the proof; the campaign is over where it is all as it should be."""
        if await self._verify(progress.campaign):
            await self._close(progress.campaign)

    async def reopen(self) -> bool:
        """Look once more at campaigns that are over and for which a call may have come late; what did is taken back."""
        async with self._context.database.acquire_for_work() as connection:
            due = await campaigns.list_to_verify(connection, [self._store])
        for campaign in due:
            if campaign.id in self._failed:
                continue
            async with self._context.page(checkpoint=None, pages=0) as page:
                await items.verify_again(page.connection, campaign.id)
            try:
                await self._verify(campaign)
            except RowsUnread as error:
                self._failed[campaign.id] = error
                continue
            try:
                await self._take_up_again(campaign)
            except UniqueViolationError:
                log.warning("sale_not_reopened", sale=campaign.name, next_step="end the open sale of the same name")
                await self._verify_later(campaign)
        return bool(due)

    async def _take_up_again(self, campaign: Campaign) -> None:
        async with self._context.page(checkpoint=None, pages=0) as page:
            await campaigns.lock(page.connection, campaign.id)
            counts = await items.count_by_state(page.connection, campaign.id)
            came_back = sum(counts.get(state, 0) for state in OPEN)
            if not came_back:
                await campaigns.set_verify(page.connection, campaign.id, None)
                return
            self._progress.pop(campaign.id, None)
            detail = ngettext(
                "a call arrived late: {n} sale price is taken back again",
                "a call arrived late: {n} sale prices are taken back again",
                came_back,
            ).format(n=number_text(came_back))
            now = await campaigns.database_time(page.connection)
            await campaigns.move(page.connection, campaign.id, OVER, CampaignState.REVERTING, now, detail=detail)
        log.warning("sale_call_came_late", sale=campaign.name, store=self._store, variants=came_back)

    async def _verify_later(self, campaign: Campaign) -> None:
        async with self._context.page(checkpoint=None, pages=0) as page:
            await campaigns.set_verify(page.connection, campaign.id, latest_arrival())

    async def _verify(self, campaign: Campaign) -> bool:
        """Read once more what was restored; False where a sale price has come back and has to be taken back again.

        A call of a process that is dead may arrive long after it.
        """
        came_back = 0
        while True:
            async with self._context.database.acquire_for_work() as connection:
                numbers = await items.list_unverified(connection, campaign.id, READ_AT_ONCE)
            if not numbers:
                return came_back == 0
            fresh = await self.read(numbers)
            if len(fresh.unread) == len(numbers):  # all others have been seen by now
                raise unread_error(campaign, fresh.unread)
            seen = fresh.found
            numbers = [number for number in numbers if number not in fresh.unread]
            async with self._context.page(checkpoint=None, pages=0) as page:
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
                await mirror.set_prices(page.connection, self._store, seen, fresh.asked_at)
            came_back += len(back)

    async def _close(self, campaign: Campaign) -> None:
        async with self._context.page(checkpoint=None, pages=0) as page:
            # Decided now, not before: a person may have decided something at this very moment.
            present = await campaigns.lock(page.connection, campaign.id)
            now = await campaigns.database_time(page.connection)
            await items.close_planned(page.connection, campaign.id, NOT_BEGUN)
            counts = await items.count_by_state(page.connection, campaign.id)
            if any(counts.get(state) for state in OPEN):
                return
            await items.release(page.connection, campaign.id)
            to, notice = await _outcome(page.connection, present or campaign, counts)
            if to is CampaignState.NEEDS_ATTENTION and await items.has_decided(page.connection, campaign.id):
                self._progress.pop(campaign.id, None)  # to restore something: go on with it
                return
            moved = await campaigns.move(
                page.connection,
                campaign.id,
                [CampaignState.REVERTING],
                to,
                now,
                notice=notice,
                verify_after=latest_arrival(),
            )
        if moved is not None:
            level = "warning" if to is CampaignState.NEEDS_ATTENTION else "info"
            figures = {state.lower(): count for state, count in counts.items()}
            getattr(log, level)("sale_reverted", sale=moved.name, state=str(to), **figures)


def latest_arrival() -> timedelta:
    """For how long after it was sent a call may still be carried out: nobody waits longer for its answer."""
    return timedelta(seconds=http.TIMEOUT.total or 0)


def _judged(item: Item, seen: PricePair | None, own: Collection[PricePair], ours: Collection[int]) -> Move | Write:
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


def _interrupted(locked: Sequence[Item], seen: Mapping[int, PricePair]) -> dict[int, tuple[WriteResult, str | None]]:
    """How writes ended that an earlier run had begun, by what Shopify has now."""
    results: dict[int, tuple[WriteResult, str | None]] = {}
    for item in locked:
        if item.state not in (ItemState.APPLYING, ItemState.REVERTING):
            continue
        wanted = item.sale if item.state is ItemState.APPLYING else item.base
        is_there = wanted is not None and seen.get(item.variant_id) == wanted
        results[item.variant_id] = (WriteResult.APPLIED, None) if is_there else (WriteResult.UNKNOWN, NOT_REACHED)
    return results


def _is_back(item: Item, seen: PricePair | None) -> bool:
    """Whether a restored variant has its sale price again."""
    return seen is not None and seen == item.sale and seen != item.base


def _proof(item: Item, seen: PricePair | None) -> str | None:
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
            ngettext(
                "Shopify refused to take {n} price back: fix what `dongbo sale show {name}` reports, "
                "then run `dongbo sale resume {name}`.",
                "Shopify refused to take {n} prices back: fix what `dongbo sale show {name}` reports, "
                "then run `dongbo sale resume {name}`.",
                stuck,
            ).format(n=number_text(stuck), name=campaign.name)
        )
    return CampaignState.NEEDS_ATTENTION, " ".join(said)
