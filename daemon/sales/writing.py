"""Calls that write prices of several products at once, and what came of each variant.

Shopify has no compare-and-set for prices, so each call is checked when its turn has come: that this run still has the
job, and that the prices are as they were when it was decided what to write (`daemon/sources/shopify/price_watch.py`).
What somebody changes in the time of one call, between that look and Shopify's carrying out the call, is overwritten.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from daemon.errors import DongboError, RowsUnread
from daemon.jobs.failures import DeadLetter
from daemon.sales.journal import Write
from daemon.sales.model import Campaign
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.endpoint import SMALL_COST
from daemon.sources.shopify.price_watch import READ_LASTS
from daemon.sources.shopify.price_writer import write_prices
from daemon.sources.shopify.writes import PriceChange, PriceOutcome, WriteError

# What is read at once is written before it has to be read again, even where the first call waits a little.
ROUND_SECONDS = 0.75 * READ_LASTS

MOST_NAMED = 5

NOT_SENT = "not sent: the price had changed since it was read"


def round_of(shopify: ShopifyClient, products: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The first of {product: points for reading it} that can be read and written in one round, at least one of them."""
    left = shopify.points_in(ROUND_SECONDS)
    for place, (product_id, reading) in enumerate(products):
        left -= reading + SMALL_COST
        if left < 0 and place:
            return
        yield product_id


async def send(
    shopify: ShopifyClient, writes: Sequence[Write], meter: CallMeter, read_at: float
) -> tuple[PriceOutcome, DongboError | None]:
    """Write prices, as `write_prices` does; `read_at` is when their old prices were asked for, by `boot_time`."""
    changes: dict[int, list[PriceChange]] = {}
    for write in writes:
        change = PriceChange(write.variant_id, write.new.price, write.new.compare_at, expected=write.old)
        changes.setdefault(write.product_id, []).append(change)
    return await write_prices(shopify, changes, meter=meter, read_at=read_at)


def not_read(campaign: Campaign, unread: Mapping[int, str]) -> tuple[list[DeadLetter], RowsUnread]:
    """Variants whose prices can't be had, for people; and the error of a run that has done everything else."""
    letters = [
        DeadLetter(
            str(number),
            f"What it costs now can't be told, so its price was left alone: {reason}",
            orjson.dumps({"campaign": campaign.name, "variant_id": number}),
        )
        for number, reason in unread.items()
    ]
    some, reason = ", ".join(map(str, list(unread)[:MOST_NAMED])), next(iter(unread.values()), "")
    return letters, RowsUnread(
        f"Of the sale {campaign.name}, Shopify can't tell what {len(unread):,} variants cost now ({some}): {reason} "
        "Everything else was done, and these are tried again."
    )


def dead_letter(campaign: Campaign, write: Write, error: WriteError) -> DeadLetter:
    """A write that Shopify refused, for people."""
    payload = {"campaign": campaign.name, "variant_id": write.variant_id, "old": write.old, "new": write.new}
    reason = f"Shopify refused to set its price: {error.message}"
    return DeadLetter(str(write.variant_id), reason, orjson.dumps(payload, default=str))
