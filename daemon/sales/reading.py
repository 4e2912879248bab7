"""The present prices of variants, with when Shopify was asked for them: what a decision to write may stand on."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from daemon.database.pool import Database
from daemon.sales import campaigns
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import PricePair
from daemon.sources.shopify.price_watch import Stopwatch

T = TypeVar("T")


class Wait(Protocol):
    """How to wait for a call to Shopify, such as `JobContext.unless_stopped`."""

    def __call__(self, call: Awaitable[T], /) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class FreshPrices:
    """What Shopify has now of some variants.

    Args:
        unread: those whose prices can't be read, with the reason; what does not exist is in neither.
        asked_at: not later than Shopify was asked, by the database's clock.
        read_at: when Shopify was asked, by `boot_time`.
    """

    found: Mapping[int, PricePair]
    unread: Mapping[int, str]
    asked_at: datetime
    read_at: float


async def read_prices(
    database: Database, shopify: ShopifyClient, variant_ids: Sequence[int], meter: CallMeter, wait: Wait
) -> FreshPrices:
    """Ask Shopify for the present prices of variants. Raises SourceRefused, RateLimited, SourceUnavailable."""
    async with database.acquire_for_work() as connection:
        asked_at = await campaigns.database_time(connection)
    watch = Stopwatch()
    reading = await wait(shopify.present_prices(variant_ids, meter=meter, before_send=watch.start))
    return FreshPrices(reading.found, reading.unread, asked_at, watch.sent_at)
