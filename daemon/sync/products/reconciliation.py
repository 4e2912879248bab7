"""Finds the outcome of interrupted pushes: reads Shopify again and believes nothing else.

A run may end between the call and its outcome: a kill, a lost answer, a used-up idempotency key. Every run therefore
begins here, with every push that is still open, before it plans again from what it has just read. So nothing is ever
written on an assumption, not even on that of a call which is still on its way:

- Stock is compared and set, and each new call expects a value that was read after the old call. If the old call arrives
  before the new one, the new one is stale and decided again; if it arrives after it, it is stale itself, because the
  value that it expects is the one which the new call has replaced.
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
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import ItemStock, PricePair, Reading
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
        """Settle all open pushes of stock and prices; how many there were. `checkpoint` is the job's present one."""
        settled = 0
        while True:
            async with self.context.database.acquire_for_work() as connection:
                found = await pushes.list_open(
                    connection, self.store, (*STOCK_KINDS, *PRICE_KINDS), limit=PUSHES_AT_ONCE
                )
            if not found:
                if settled:
                    log.info("pushes_settled", pushes=settled)
                return settled
            await self._settle(found, checkpoint)
            settled += len(found)

    async def _settle(self, found: Sequence[RecordedPush], checkpoint: object) -> None:
        items = {
            entry.push.item_id: entry.push.owner_id
            for entry in found
            if entry.push.kind in STOCK_KINDS and entry.push.item_id is not None
        }
        variant_ids = {entry.push.owner_id for entry in found if entry.push.kind in PRICE_KINDS}
        read, shopify = self.context.unless_stopped, self.shopify
        stock = await read(shopify.stock_levels(list(items), meter=self.meter))
        prices = await read(shopify.present_prices(list(variant_ids), meter=self.meter))
        async with self.context.page(checkpoint=checkpoint, pages=0) as page:
            if stock.found:
                seen = {item_id: (items[item_id], item.levels) for item_id, item in stock.found.items()}
                await levels.replace_levels(page.connection, self.store, seen)
            if prices.found:
                await mirror.set_prices(page.connection, self.store, prices.found)
            outcomes = {entry.id: verdict(entry.push, stock, prices) for entry in found}
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
            available = item.levels.get(push.location_id)
            if push.kind is PushKind.ACTIVATION:
                return _compared(push, None if available is None else STOCKED)
            return _compared(push, None if available is None else str(available))
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


def _compared(push: pushes.IntendedPush, present: str | None) -> Verdict:
    if present == push.new_value:
        return PushResult.APPLIED, _(SEEN)
    return PushResult.UNKNOWN, _(NOT_SEEN) if present == push.old_value else _(FOREIGN)


def _compared_amounts(push: pushes.IntendedPush, present: Decimal | None) -> Verdict:
    old, new = (None if value is None else Decimal(value) for value in (push.old_value, push.new_value))
    if present == new:
        return PushResult.APPLIED, _(SEEN)
    return PushResult.UNKNOWN, _(NOT_SEEN) if present == old else _(FOREIGN)
