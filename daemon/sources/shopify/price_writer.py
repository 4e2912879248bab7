"""Writes prices of any number of products, for sales and the product sync alike: a call for each product.

Shopify has no compare-and-set for prices, so two things are checked when a call's turn comes: that this run still owns
the job, and that the prices are as they were when it was decided what to write
(`daemon/sources/shopify/price_watch.py`). What somebody changes during one call, between that check and Shopify's
carrying out the call, is overwritten.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import starmap

from daemon.errors import DongboError
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.writer import ShopifyWriter
from daemon.sources.shopify.writes import MAX_PRICE_CHANGES, PriceChange, PriceOutcome

CALLS_AT_ONCE = 16  # more than the limits let through, so that none of their points is left unused


async def write_prices(
    shopify: ShopifyWriter, changes: Mapping[int, Sequence[PriceChange]], *, meter: CallMeter, read_at: float
) -> tuple[PriceOutcome, DongboError | None]:
    """Write the prices of {product: changes}; the outcome, and the error of a call that failed.

    A failed call does not hold back the others; its changes are in none of the outcome's parts: nobody knows whether
    they were made. Calls under way are waited for, whatever else happens.

    Args:
        meter: counts the calls, and may stop each right before it is sent.
        read_at: when the expected prices were asked for, by `boot_time`.

    Raises RunStopped where another run owns the job.
    """
    outcome, room = PriceOutcome(), asyncio.Semaphore(CALLS_AT_ONCE)
    failure: DongboError | None = None
    is_stopped = False

    async def call(product_id: int, portion: Sequence[PriceChange]) -> None:
        nonlocal failure, is_stopped
        async with room:
            if is_stopped:  # the next one would be stopped as well
                return
            try:
                outcome.add(await shopify.set_prices(product_id, portion, meter=meter, read_at=read_at))
            except DongboError as error:
                failure = error
            except Exception:
                is_stopped = True
                raise

    for ended in await asyncio.gather(*starmap(call, _calls(changes)), return_exceptions=True):
        if ended is not None:
            raise ended
    return outcome, failure


def _calls(changes: Mapping[int, Sequence[PriceChange]]) -> Iterator[tuple[int, Sequence[PriceChange]]]:
    for product_id, of_product in changes.items():
        for start in range(0, len(of_product), MAX_PRICE_CHANGES):
            yield product_id, of_product[start : start + MAX_PRICE_CHANGES]
