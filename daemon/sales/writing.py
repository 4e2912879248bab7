"""Calls that write prices of several products at once, and what came of each variant."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

import orjson

from daemon.errors import DongboError
from daemon.jobs.failures import DeadLetter
from daemon.sales.journal import Write
from daemon.sales.model import Campaign, Prices
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.writes import MAX_PRICE_CHANGES, UNCONFIRMED, PriceChange, PriceOutcome, WriteError

CALLS_AT_ONCE = 16  # more than the limits let through, so that none of their points is left unused


@dataclass(slots=True)
class Written:
    """What came of writes: a variant in neither of the first two has an outcome that nobody knows."""

    applied: dict[int, Prices] = field(default_factory=dict)  # as Shopify says that it is now
    refused: dict[int, WriteError] = field(default_factory=dict)
    error: DongboError | None = None  # why some outcomes are unknown


async def send(shopify: ShopifyClient, writes: Sequence[Write], meter: CallMeter) -> Written:
    """Write prices, a call for each product. A call that fails keeps none of the others back.

    `writes` stand in the order of their products. Calls under way are waited for, whatever happens beside them.
    """
    written, room = Written(), asyncio.Semaphore(CALLS_AT_ONCE)

    async def call(product_id: int, portion: Sequence[Write]) -> None:
        changes = [PriceChange(write.variant_id, write.new.price, write.new.compare_at) for write in portion]
        async with room:
            try:
                outcome = await shopify.set_prices(product_id, changes, meter=meter)
            except DongboError as error:
                written.error = error
                return
        _sort(written, portion, outcome)

    async with asyncio.TaskGroup() as tasks:
        for product_id, of_product in groupby(writes, key=attrgetter("product_id")):
            all_of_it = list(of_product)
            for start in range(0, len(all_of_it), MAX_PRICE_CHANGES):
                portion = all_of_it[start : start + MAX_PRICE_CHANGES]
                tasks.create_task(call(product_id, portion), name=f"sale-prices-{product_id}")
    return written


def _sort(written: Written, portion: Sequence[Write], outcome: PriceOutcome) -> None:
    for variant_id, price in outcome.applied.items():
        written.applied[variant_id] = Prices(price.price, price.compare_at_price)
    for error in outcome.errors:
        if error.code == UNCONFIRMED:
            continue
        for write in portion if error.index is None else [portion[error.index]]:
            if write.variant_id not in outcome.applied:
                written.refused.setdefault(write.variant_id, error)


def dead_letter(campaign: Campaign, write: Write, written: Written) -> DeadLetter:
    """A write that Shopify refused, for people."""
    payload = {"campaign": campaign.name, "variant_id": write.variant_id, "old": write.old, "new": write.new}
    reason = f"Shopify refused to set its price: {written.refused[write.variant_id].message}"
    return DeadLetter(str(write.variant_id), reason, orjson.dumps(payload, default=str))
