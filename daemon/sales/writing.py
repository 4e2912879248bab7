"""Calls that write prices of several products at once, and what came of each variant.

Shopify has no compare-and-set for prices, so each call is checked when its turn has come: that this run still has the
job, and that the prices are as they were when it was decided what to write (`daemon/sources/shopify/price_watch.py`).
What somebody changes in the time of one call, between that look and Shopify's carrying out the call, is overwritten.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, starmap
from operator import attrgetter

import orjson

from daemon.errors import DongboError, RowsUnread
from daemon.jobs.failures import DeadLetter
from daemon.sales.journal import Write
from daemon.sales.model import Campaign, Prices
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.endpoint import SMALL_COST
from daemon.sources.shopify.price_watch import READ_LASTS
from daemon.sources.shopify.writes import MAX_PRICE_CHANGES, UNCONFIRMED, PriceChange, PriceOutcome, WriteError

CALLS_AT_ONCE = 16  # more than the limits let through, so that none of their points is left unused
# What is read at once is written before it has to be read again, even where the first call waits a little.
ROUND_SECONDS = 0.75 * READ_LASTS

MOST_NAMED = 5

NOT_SENT = "not sent: the price had changed since it was read"


@dataclass(slots=True)
class Written:
    """What came of writes: a variant in none of the first three has an outcome that nobody knows."""

    applied: dict[int, Prices] = field(default_factory=dict)  # as Shopify says that it is now
    refused: dict[int, WriteError] = field(default_factory=dict)
    # Not written: what Shopify had instead; None where it had nothing, or could not tell.
    moved: dict[int, Prices | None] = field(default_factory=dict)
    in_doubt: set[int] = field(default_factory=set)  # a call was sent and not answered: it may be carried out late
    error: DongboError | None = None  # why some outcomes are unknown


def round_of(shopify: ShopifyClient, products: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The first of {product: points for reading it} that can be read and written in one round, at least one of them."""
    left = shopify.points_in(ROUND_SECONDS)
    for place, (product_id, reading) in enumerate(products):
        left -= reading + SMALL_COST
        if left < 0 and place:
            return
        yield product_id


async def send(shopify: ShopifyClient, writes: Sequence[Write], meter: CallMeter, read_at: float) -> Written:
    """Write prices, a call for each product. A call that fails keeps none of the others back.

    `writes` stand in the order of their products; `read_at` is when their old prices were asked for, by `boot_time`.
    Calls under way are waited for, whatever happens beside them. Raises RunStopped where another run has the job.
    """
    written, room = Written(), asyncio.Semaphore(CALLS_AT_ONCE)
    is_stopped = False

    async def call(product_id: int, portion: Sequence[Write]) -> None:
        nonlocal is_stopped
        changes = [
            PriceChange(
                write.variant_id, write.new.price, write.new.compare_at, (write.old.price, write.old.compare_at)
            )
            for write in portion
        ]
        async with room:
            if is_stopped:  # the next one would be stopped as well
                return
            try:
                outcome = await shopify.set_prices(product_id, changes, meter=meter, read_at=read_at)
            except DongboError as error:
                written.error = error
            except Exception:
                is_stopped = True
                raise
            else:
                _sort(written, portion, outcome)

    for ended in await asyncio.gather(*starmap(call, _calls(writes)), return_exceptions=True):
        if ended is not None:
            raise ended
    return written


def _calls(writes: Sequence[Write]) -> Iterator[tuple[int, Sequence[Write]]]:
    for product_id, of_product in groupby(writes, key=attrgetter("product_id")):
        all_of_it = list(of_product)
        for start in range(0, len(all_of_it), MAX_PRICE_CHANGES):
            yield product_id, all_of_it[start : start + MAX_PRICE_CHANGES]


def _sort(written: Written, portion: Sequence[Write], outcome: PriceOutcome) -> None:
    written.in_doubt |= outcome.in_doubt
    for variant_id, price in outcome.applied.items():
        written.applied[variant_id] = Prices(price.price, price.compare_at_price)
    for variant_id, present in outcome.moved.items():
        written.moved[variant_id] = Prices(*present) if present else None
    written.moved |= dict.fromkeys(outcome.unread)
    for error in outcome.errors:
        if error.code == UNCONFIRMED:
            continue
        for write in portion if error.index is None else [portion[error.index]]:
            if write.variant_id not in outcome.applied and write.variant_id not in written.moved:
                written.refused.setdefault(write.variant_id, error)


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


def dead_letter(campaign: Campaign, write: Write, written: Written) -> DeadLetter:
    """A write that Shopify refused, for people."""
    payload = {"campaign": campaign.name, "variant_id": write.variant_id, "old": write.old, "new": write.new}
    reason = f"Shopify refused to set its price: {written.refused[write.variant_id].message}"
    return DeadLetter(str(write.variant_id), reason, orjson.dumps(payload, default=str))
