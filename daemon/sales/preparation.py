"""What is done before a campaign starts: targets and present prices are read, and the journal is written from them."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from asyncpg import ExclusionViolationError, Range

from daemon.api.sales import CampaignState
from daemon.database.pool import Connection, Database
from daemon.errors import SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs.context import PageTransaction
from daemon.jobs.model import Counters
from daemon.jobs.phases import JobPhase, Tell, tell_nobody
from daemon.mirror import collections as collection_mirror
from daemon.mirror import shopify as mirror
from daemon.sales import campaigns, items
from daemon.sales.model import Campaign
from daemon.sales.planning import LARGEST_PRODUCT, PlannedItem, period, plan, portions_of, stores_collections
from daemon.sales.reading import Wait, read_prices
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import PricePair
from daemon.sources.shopify.price_watch import Stopwatch

log = structlog.get_logger()

COLLECTIONS_LAST = timedelta(minutes=5)  # how old the members of a collection may be that a plan is made from
READ_AT_ONCE = 250
MISSING = mark("Shopify has no collection {names} any more: the sale covers the products that were last seen in it.")
PLAN_ATTEMPTS = 5  # others may take the same variants at the same time

# The journal is written so long before the start: a minute or two, and what reading the prices takes while half of
# Shopify's limits goes to others.
LEAD = timedelta(seconds=120)
FRESH_BEYOND = timedelta(minutes=10)  # how late a start may still rely on what was read ahead
LEAD_PER_VARIANT = timedelta(seconds=0.025)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares campaigns of one store.

    Args:
        page: opens a transaction of the job in which a portion of a plan is written.
        counts: whether the variants that a plan has changed are what the job counts.
        tell: hears how far it is.
    """

    database: Database
    store: StoreName
    shopify: ShopifyClient
    meter: CallMeter
    wait: Wait
    page: Callable[[], AbstractAsyncContextManager[PageTransaction]]
    counts: bool = False
    tell: Tell = tell_nobody

    async def prepare(self, campaign: Campaign) -> None:
        """Read a campaign's targets and, before it starts, their present prices; write down its sale prices.

        Raises SourceRefused, RateLimited, SourceUnavailable.
        """
        await self._read_collections(campaign)
        async with self.database.acquire_for_work() as connection:
            read_at = await campaigns.database_time(connection)
        if campaign.state is CampaignState.SCHEDULED:
            async with self.database.acquire_for_work() as connection:
                planned = await self._plan(connection, campaign)
            await self.refresh({item.variant_id: item.present for item in planned})
        await self.write(campaign, read_at)

    async def _read_collections(self, campaign: Campaign) -> None:
        store, references = stores_collections(campaign.definition)
        await refresh_collections(self.database, self.shopify, store, references, self.meter, self.wait)
        async with self.database.acquire_for_work() as connection:
            missing = await collection_mirror.list_missing(connection, store, references)
            notice = _(MISSING).format(names=", ".join(missing)) if missing else None
            was_missing = (campaign.notice or "").startswith(_(MISSING).partition("{")[0])
            if (missing or was_missing) and await campaigns.set_notice(connection, campaign.id, notice):
                log.warning("sale_collection_missing", sale=campaign.name, store=store, collections=missing)

    async def refresh(self, known: Mapping[int, PricePair]) -> tuple[float, dict[int, str]]:
        """Ask Shopify for the prices of variants, {variant: as the mirror has them}, and note those that differ.

        Returns when the first of them was asked for, by `boot_time`, and which could not be had, with the reason.
        """
        numbers, read_at, unread = list(known), math.inf, dict[int, str]()
        for start in range(0, len(numbers), READ_AT_ONCE):
            portion = numbers[start : start + READ_AT_ONCE]
            fresh = await read_prices(self.database, self.shopify, portion, self.meter, self.wait)
            self.tell(JobPhase.READING_PRICES, start + len(portion), len(numbers))
            read_at = min(read_at, fresh.read_at)
            unread |= fresh.unread
            moved = {number: prices for number, prices in fresh.found.items() if prices != known[number]}
            if moved:
                async with self.database.acquire_for_work() as connection:
                    await mirror.set_prices(connection, self.store, moved, fresh.asked_at)
        return read_at, unread

    async def list_changed(self, product_ids: Sequence[int]) -> tuple[list[int], float]:
        """Which of these products have changed, or may have, since the mirror read them; costs a point each.

        All others cost what the mirror says. Of two changes within a second, Shopify's unit, the later may be missed
        where the pull came between them. Also returns when they were asked for, by `boot_time`.
        """
        async with self.database.acquire_for_work() as connection:
            known = await mirror.list_versions(connection, self.store, product_ids)
        watch = Stopwatch()
        reading = await self.wait(self.shopify.product_versions(product_ids, meter=self.meter, before_send=watch.start))
        versions = reading.found
        changed = [number for number in product_ids if number in versions and versions[number] != known.get(number)]
        return changed + list(reading.unread), watch.sent_at

    async def write(self, campaign: Campaign, read_at: datetime) -> None:
        """Write down the sale prices of a campaign by what the mirror says now; `read_at`: since when it is right.

        In portions: a person who ends the campaign meanwhile waits for one of them. What a run that was interrupted has
        written stays, and counts as a plan only with the last portion.

        Raises SourceUnavailable where others take the same variants all the time.
        """
        for _attempt in range(PLAN_ATTEMPTS):
            try:
                async with self.database.acquire_for_work() as connection:
                    present = await campaigns.get(connection, campaign.id)
                    if present is None or not may_be_planned(present):
                        return
                    now = await campaigns.database_time(connection)
                    held = period(present.starts_at, present.ends_at, now)
                    planned = await plan(connection, present.definition, present.id, held)
                if await self._write_portions(present, held, planned, read_at):
                    return
            except ExclusionViolationError:
                continue
        raise SourceUnavailable(
            _("Other campaigns took variants of {name} each time it was planned. It is planned again later.").format(
                name=campaign.name
            )
        )

    async def _write_portions(
        self, planned_for: Campaign, held: Range, planned: Sequence[PlannedItem], read_at: datetime
    ) -> bool:
        """Write a plan; False where the campaign has changed meanwhile."""
        done = 0
        for portion in portions_of(planned):
            async with self.page() as page:
                present = await campaigns.lock(page.connection, planned_for.id)
                if present is None or not may_be_planned(present) or not _is_same(present, planned_for):
                    return False
                written = await items.write_plan(page.connection, present.id, self.store, held, portion)
                if portion.through == LARGEST_PRODUCT:
                    await campaigns.set_prepared(page.connection, present.id, read_at, len(planned))
                if self.counts:
                    page.count(Counters(created=written.created, updated=written.updated))
            done += len(portion.items)
            self.tell(JobPhase.WRITING_PLAN, done, len(planned))
        return True

    async def _plan(self, connection: Connection, campaign: Campaign) -> list[PlannedItem]:
        self.tell(JobPhase.PLANNING)
        held = period(campaign.starts_at, campaign.ends_at, await campaigns.database_time(connection))
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


def _is_same(present: Campaign, planned_for: Campaign) -> bool:
    plans = (present.definition, present.starts_at, present.ends_at)
    return plans == (planned_for.definition, planned_for.starts_at, planned_for.ends_at)


def is_fresh(campaign: Campaign, now: datetime) -> bool:
    """Whether the prices that were read ahead are still reliable: the start must not come long after that."""
    read_at, starts_at = campaign.prepared_at, campaign.starts_at
    if read_at is None or starts_at is None or read_at >= starts_at:  # once it has begun, no prices are read ahead
        return False
    return now - read_at < lead(campaign.variants) + FRESH_BEYOND


def lead(variants: int) -> timedelta:
    """How long before its start a campaign of so many variants is prepared."""
    return LEAD + variants * LEAD_PER_VARIANT


async def refresh_collections(
    database: Database,
    shopify: ShopifyClient,
    store: StoreName,
    references: tuple[str, ...],
    meter: CallMeter,
    wait: Wait,
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
