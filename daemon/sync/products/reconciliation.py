"""Finds the outcome of interrupted pushes: reads Shopify again and believes nothing else.

A run may end between the call and its outcome: a kill, a lost answer, a used-up idempotency key. Every run therefore
begins here, with every push that its own job has left open, or one that no longer runs, before it plans again from what
it has just read. So nothing is ever written on an assumption, not even on that of a call which is still on its way:

- Stock is compared and set, and each new call expects a value that was read after the old call. If the old call arrives
  before the new one, the new one is stale and decided again; if it arrives after it, it is stale itself, because the
  value that it expects is the one which the new call has replaced.
- Of what is on hand another value than the two that the push knows may be that of an order which was sent meanwhile,
  and is newer than what is known of Nhanh.vn. The mirror does not get it: compared with the older figure, it would be
  set back. The next push of it is stale, and left to the sync after a pull.
- Activating an item that is active changes nothing.
- Prices are absolute values. An old call that arrives late brings a price that was right a moment before; the product's
  time of change moves with it, so the next pull sees it, and the next sync sets it right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog

from daemon.api.pushes import PushKind, PushResult
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.mirror import levels
from daemon.mirror import shopify as mirror
from daemon.mirror.snapshot_time import SnapshotTime, asked_now
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import ItemStock, PricePair, QuantityName, Reading
from daemon.sync import pushes
from daemon.sync.pushes import RecordedPush

log = structlog.get_logger()

STOCK_KINDS = (PushKind.STOCK, PushKind.ACTIVATION)
PRICE_KINDS = (PushKind.PRICE, PushKind.COMPARE_AT_PRICE)
PUSHES_AT_ONCE = 250

STOCKED = "stocked"  # what an activation makes of an item at a location
SEEN = mark("interrupted; Shopify has the new value")
NOT_SEEN = mark("interrupted, and not seen at Shopify")  # which does not mean that it will not come through yet
FOREIGN = mark("interrupted; Shopify has another value by now")
GONE = mark("interrupted; it no longer exists in Shopify")
UNREAD = mark("interrupted, and what Shopify has now is unknown: {reason}")

Verdict = tuple[PushResult, str | None]


@dataclass(frozen=True)
class Reconciliation:
    """Settles the open pushes of a store on behalf of a run."""

    context: JobContext
    store: StoreName
    shopify: ShopifyClient
    meter: CallMeter

    async def run(self, checkpoint: object) -> int:
        """Settle open pushes of stock and prices, but not those of another job that runs; how many there were.

        `checkpoint` is the job's present one.
        """
        settled, kinds = 0, (*STOCK_KINDS, *PRICE_KINDS)
        while True:
            async with self.context.database.acquire_for_work() as connection:
                found = await pushes.list_open(connection, self.store, kinds, self.context.job.id, limit=PUSHES_AT_ONCE)
                asked = await asked_now(connection)
            if not found:
                if settled:
                    log.info("pushes_settled", pushes=settled)
                return settled
            await self._settle(found, checkpoint, asked)
            settled += len(found)

    async def _settle(self, found: Sequence[RecordedPush], checkpoint: object, asked: SnapshotTime) -> None:
        items = {
            entry.push.item_id: entry.push.owner_id
            for entry in found
            if entry.push.kind in STOCK_KINDS and entry.push.item_id is not None
        }
        variant_ids = {entry.push.owner_id for entry in found if entry.push.kind in PRICE_KINDS}
        read, shopify = self.context.unless_stopped, self.shopify
        stock = await read(shopify.stock_levels(list(items), meter=self.meter))
        prices = await read(shopify.present_prices(list(variant_ids), meter=self.meter))
        outcomes = {entry.id: verdict(entry.push, stock, prices) for entry in found}
        newer = {entry.push.item_id for entry in found if _has_moved_on_hand(entry.push, stock)}
        seen = {item_id: (items[item_id], item.levels) for item_id, item in stock.found.items() if item_id not in newer}
        async with self.context.page(checkpoint=checkpoint, pages=0) as page:
            if seen:
                await levels.replace_levels(page.connection, self.store, seen, asked)
            if prices.found:
                await mirror.set_prices(page.connection, self.store, prices.found, asked.at)
            await pushes.settle(page.connection, outcomes)


def verdict(push: pushes.IntendedPush, stock: Reading[ItemStock], prices: Reading[PricePair]) -> Verdict:
    """The outcome of a push, judged by what Shopify has now."""
    match push.kind:
        case PushKind.STOCK | PushKind.ACTIVATION:
            if push.item_id in stock.unread:
                return PushResult.UNKNOWN, _(UNREAD).format(reason=stock.unread[push.item_id])
            item = stock.found.get(push.item_id) if push.item_id is not None else None
            if item is None or push.location_id is None:
                return PushResult.UNKNOWN, _(GONE)
            level = item.levels.get(push.location_id)
            if push.kind is PushKind.ACTIVATION:
                return _compared(push, None if level is None else STOCKED)
            return _compared(push, None if level is None else str(level.named(quantity_of(push))))
        case PushKind.PRICE | PushKind.COMPARE_AT_PRICE:
            if push.owner_id in prices.unread:
                return PushResult.UNKNOWN, _(UNREAD).format(reason=prices.unread[push.owner_id])
            price = prices.found.get(push.owner_id)
            if price is None:
                return PushResult.UNKNOWN, _(GONE)
            present = price.price if push.kind is PushKind.PRICE else price.compare_at
            return _compared_amounts(push, present)
        case _:
            raise ValueError(f"{push.kind} is not settled here")


def quantity_of(push: pushes.IntendedPush) -> QuantityName:
    """Which quantity a push of stock has set; one without a name is of what is available."""
    return "on_hand" if push.name == "on_hand" else "available"


def _has_moved_on_hand(push: pushes.IntendedPush, stock: Reading[ItemStock]) -> bool:
    """Whether what is on hand is neither what a push has found nor what it was to set."""
    if push.kind is not PushKind.STOCK or quantity_of(push) != "on_hand" or push.item_id not in stock.found:
        return False
    level = stock.found[push.item_id].levels.get(push.location_id or 0)
    return level is None or str(level.on_hand) not in (push.old_value, push.new_value)


def _compared(push: pushes.IntendedPush, present: str | None) -> Verdict:
    if present == push.new_value:
        return PushResult.APPLIED, _(SEEN)
    return PushResult.UNKNOWN, _(NOT_SEEN) if present == push.old_value else _(FOREIGN)


def _compared_amounts(push: pushes.IntendedPush, present: Decimal | None) -> Verdict:
    old, new = (None if value is None else Decimal(value) for value in (push.old_value, push.new_value))
    if present == new:
        return PushResult.APPLIED, _(SEEN)
    return PushResult.UNKNOWN, _(NOT_SEEN) if present == old else _(FOREIGN)
