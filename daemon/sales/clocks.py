"""Whether this machine's clock is right: campaigns start, end and fail for good by what it says.

It is compared with the database's and with the source's, by the `Date` of Shopify's answers. A machine with a dead
battery, or one that was restored from a snapshot, may be days off until its clock is set.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from daemon.database.pool import Database
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.sales import campaigns
from daemon.sources.meter import CallMeter, Rank
from daemon.sources.shopify.client import ShopifyClient

log = structlog.get_logger()

MOST_APART = timedelta(minutes=1)
ASK_AGAIN = 600.0  # seconds after the last answer, after which Shopify is asked for its time
ASK_TIMEOUT = 5.0  # seconds


class Clocks:
    """The clocks of this machine, of the database and of the shops.

    Args:
        shopify_of: the client of a store; raises InvalidJobRequest for a store that has none.
        clock: this machine's, aware UTC.
    """

    def __init__(
        self,
        database: Database,
        shopify_of: Callable[[StoreName], ShopifyClient],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._shopify_of = shopify_of
        self.clock = clock

    async def problem(self, store: StoreName) -> str | None:
        """Why this machine's clock is not reliable for campaigns of a store; None: it is right.

        A shop that has not answered for too long is asked first. Raises what the database raises.
        """
        if (problem := await self.database_problem()) is not None:
            return problem
        if self.is_to_ask(store):
            await self.ask(store)
        return self.source_problem(store)

    async def database_problem(self) -> str | None:
        """Why it is not reliable for any campaign: it differs from PostgreSQL's. Raises what the database raises."""
        async with self._database.acquire() as connection:
            before = self.clock()
            now = await campaigns.database_time(connection)
            after = self.clock()
        if before - MOST_APART <= now <= after + MOST_APART:
            return None
        return _apart(after - now, "PostgreSQL's")

    def source_problem(self, store: StoreName) -> str | None:
        """Why it is not reliable for campaigns of a store, by its shop's answers so far; None: it is right.

        A shop that can't be reached holds up its own campaigns only.
        """
        if (shopify := self._shopify(store)) is None:
            return None
        if (now := shopify.clock.now()) is None:
            return _("Shopify ({store}) has not answered yet, so its time is not known. It is asked again.").format(
                store=store
            )
        if abs(self.clock() - now) <= MOST_APART:
            return None
        return _apart(self.clock() - now, _("Shopify's ({store})").format(store=store))

    def is_to_ask(self, store: StoreName) -> bool:
        """Whether a store's shop has not answered for so long that it should be asked for its time."""
        return (shopify := self._shopify(store)) is not None and shopify.clock.age() > ASK_AGAIN

    async def ask(self, store: StoreName) -> bool:
        """Ask a store's shop for its time; whether it has answered. Any answer will do, even a refusal.

        Takes ASK_TIMEOUT at most.
        """
        if (shopify := self._shopify(store)) is None:
            return False
        call: Awaitable[object] = shopify.shop(meter=CallMeter(rank=Rank.SALE))
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                await call
        except (DongboError, TimeoutError) as error:
            log.info("source_time_unknown", source=repr(shopify), error=str(error) or "no answer in time")
        return shopify.clock.age() <= ASK_AGAIN

    def _shopify(self, store: StoreName) -> ShopifyClient | None:
        """A store's client; None if it is no longer in the configuration: its jobs are refused."""
        try:
            return self._shopify_of(store)
        except DongboError:
            return None


def _apart(difference: timedelta, other: str) -> str:
    seconds = difference.total_seconds()
    said = (
        _(
            "This machine's clock is {time} ahead of {other}: no sale starts or ends by itself until they agree. "
            "Correct it: timedatectl shows whether it is synchronised."
        )
        if seconds > 0
        else _(
            "This machine's clock is {time} behind {other}: no sale starts or ends by itself until they agree. "
            "Correct it: timedatectl shows whether it is synchronised."
        )
    )
    return said.format(time=_span(abs(seconds)), other=other)


def _span(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return _("{n} days").format(n=round(seconds / 86_400))
    if seconds >= 2 * 3_600:
        return _("{n} hours").format(n=round(seconds / 3_600))
    if seconds >= 2 * 60:
        return _("{n} minutes").format(n=round(seconds / 60))
    return _("{n} seconds").format(n=round(seconds))
