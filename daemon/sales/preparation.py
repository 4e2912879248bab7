"""What is done ahead of a start: targets and present prices are read, and the journal is written from them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from asyncpg import ExclusionViolationError

from daemon.database.pool import Connection, Database
from daemon.errors import SourceUnavailable
from daemon.ids import StoreName
from daemon.mirror import collections as collection_mirror
from daemon.mirror import shopify as mirror
from daemon.sales import campaigns, items
from daemon.sales.items import Replanned
from daemon.sales.model import Campaign, CampaignState, Prices
from daemon.sales.planning import PlannedItem, period, plan, stores_collections
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient

T = TypeVar("T")

COLLECTIONS_LAST = timedelta(minutes=5)  # how old the members of a collection may be that a plan is made from
READ_AT_ONCE = 250
PLAN_ATTEMPTS = 5  # others may take the same variants at the same moment

# The journal is written so long before the start: a minute or two, and what reading the prices takes while half of
# Shopify's limits goes to others.
LEAD = timedelta(seconds=120)
FRESH_BEYOND = timedelta(minutes=10)  # how late a start may be that relies on what was read ahead
LEAD_PER_VARIANT = timedelta(seconds=0.025)


class Call(Protocol):
    """How a preparation waits for a call to Shopify, such as `JobContext.unless_stopped`."""

    def __call__(self, call: Awaitable[T], /) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares campaigns of one store."""

    database: Database
    store: StoreName
    shopify: ShopifyClient
    meter: CallMeter
    wait: Call
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def prepare(self, campaign: Campaign) -> Replanned:
        """Read what a campaign is for, and of one that has not begun also what it costs now; note what it will cost.

        Raises SourceRefused, RateLimited, SourceUnavailable.
        """
        await read_collections(self.database, self.shopify, campaign, self.meter, self.wait)
        read_at = self.clock()
        if campaign.state is CampaignState.SCHEDULED:
            async with self.database.acquire_for_work() as connection:
                planned = await self._plan(connection, campaign)
            await self.read_prices({item.variant_id: item.present for item in planned})
        return await self._write(campaign, read_at)

    async def read_prices(self, known: Mapping[int, Prices]) -> None:
        """Ask Shopify for the prices of variants, {variant: as the mirror has them}, and note those that differ."""
        numbers = list(known)
        for start in range(0, len(numbers), READ_AT_ONCE):
            portion = numbers[start : start + READ_AT_ONCE]
            found = await self.wait(self.shopify.present_prices(portion, meter=self.meter))
            moved = {number: prices for number, prices in found.items() if Prices(*prices) != known[number]}
            if moved:
                async with self.database.acquire_for_work() as connection:
                    await mirror.set_prices(connection, self.store, moved)

    async def _write(self, campaign: Campaign, read_at: datetime) -> Replanned:
        for _ in range(PLAN_ATTEMPTS):
            try:
                async with self.database.acquire_for_work() as connection, connection.transaction():
                    present = await campaigns.lock(connection, campaign.id)
                    if present is None or not may_be_planned(present):
                        return Replanned(0, 0)
                    planned = await self._plan(connection, present)
                    held = period(present.starts_at, present.ends_at, self.clock())
                    replanned = await items.write_plan(connection, present.id, self.store, held, planned)
                    await campaigns.set_prepared(connection, present.id, read_at, len(planned))
                    return replanned
            except ExclusionViolationError:
                continue
        raise SourceUnavailable(
            f"Other campaigns took variants of {campaign.name} each time it was planned. It is planned again later."
        )

    async def _plan(self, connection: Connection, campaign: Campaign) -> list[PlannedItem]:
        held = period(campaign.starts_at, campaign.ends_at, self.clock())
        return await plan(connection, campaign.definition, campaign.id, held)


def may_be_planned(campaign: Campaign) -> bool:
    """Whether variants may still come to a campaign."""
    match campaign.state:
        case CampaignState.SCHEDULED:
            return True
        case CampaignState.APPLYING | CampaignState.ACTIVE:
            return campaign.prepared_at is None or campaign.definition.newcomers == "join"
        case _:
            return False


def is_fresh(campaign: Campaign, now: datetime) -> bool:
    """Whether the prices that were read ahead may be relied on: for a start that has not come long after that."""
    read_at, starts_at = campaign.prepared_at, campaign.starts_at
    if read_at is None or starts_at is None or read_at >= starts_at:  # once it has begun, no prices are read ahead
        return False
    return now - read_at < lead(campaign.variants) + FRESH_BEYOND


def lead(variants: int) -> timedelta:
    """How long before its start a campaign of so many variants is prepared."""
    return LEAD + variants * LEAD_PER_VARIANT


async def read_collections(
    database: Database,
    shopify: ShopifyClient,
    campaign: Campaign,
    meter: CallMeter,
    wait: Call,
) -> None:
    """Read the collections that a campaign names, unless they were read within `COLLECTIONS_LAST`."""
    await refresh_collections(database, shopify, *stores_collections(campaign.definition), meter, wait)


async def refresh_collections(
    database: Database,
    shopify: ShopifyClient,
    store: StoreName,
    references: tuple[str, ...],
    meter: CallMeter,
    wait: Call,
) -> None:
    """Read those of the collections that were not read within `COLLECTIONS_LAST`.

    Raises SourceRefused, RateLimited, SourceUnavailable.
    """
    if not references:
        return
    async with database.acquire_for_work() as connection:
        stale = await collection_mirror.list_stale(connection, store, references, COLLECTIONS_LAST)
    for reference in stale:
        found = await wait(shopify.collection_products(reference, meter=meter))
        async with database.acquire_for_work() as connection, connection.transaction():
            known = (found.id, found.title, found.product_ids) if found else (None, None, ())
            await collection_mirror.store_collection(connection, store, reference, *known)
