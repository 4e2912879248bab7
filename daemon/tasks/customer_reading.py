"""Reads single customers at both sides, by their ids or phone numbers, and stores them as the pulls do."""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from daemon.mirror import deletions
from daemon.mirror import nhanh as nhanh_mirror
from daemon.mirror import shopify as shopify_mirror
from daemon.mirror.table import MirrorTable
from daemon.sources.clock import SourceClock
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import MAX_IDS
from daemon.sources.nhanh.lists import CUSTOMERS
from daemon.sources.page import Page, SourceRow
from daemon.sources.shopify.client import FOUND_AT_ONCE
from daemon.sources.shopify.models import ShopifyCustomer
from daemon.sync.matching.phones import COUNTRY_CODE, phone_numbers
from daemon.tasks.checkpoint import row_ids
from daemon.tasks.item_reading import ItemsRead, Upsert, asking, missing_of, portions, store_rows
from daemon.tasks.reading_context import ReadingContext
from daemon.tasks.registry import Store

T = TypeVar("T")

PREFIX = f"+{COUNTRY_CODE}"


async def read_nhanh_customers(
    context: ReadingContext, store: Store, meter: CallMeter, ids: Collection[int]
) -> ItemsRead:
    """Read customers of Nhanh.vn by their ids.

    Raises SourceRefused, RateLimited, SourceUnavailable: after the retries; what was read before is stored.
    """
    nhanh, found = store.nhanh, ItemsRead()
    reading = _Reading(context, store, nhanh.clock, nhanh_mirror.CUSTOMERS, nhanh_mirror.upsert_customers)
    for portion in portions(ids, MAX_IDS):
        await reading.begin()
        page = await context.unless_stopped(nhanh.rows_by_ids(CUSTOMERS, portion, meter=meter))
        found += await reading.store(portion, page)
    return found


async def read_shopify_customers(
    context: ReadingContext, store: Store, meter: CallMeter, ids: Collection[int]
) -> ItemsRead:
    """Read customers of Shopify by their ids. Raises as `read_nhanh_customers` does."""
    shopify, found = store.shopify, ItemsRead()
    reading = _Reading(context, store, shopify.clock, shopify_mirror.CUSTOMERS, shopify_mirror.upsert_customers)
    for portion in portions(ids, FOUND_AT_ONCE):
        await reading.begin()
        page = await context.unless_stopped(shopify.customers_by_ids(portion, meter=meter))
        found += await reading.store(portion, page)
    return found


async def find_nhanh_customers(
    context: ReadingContext, store: Store, meter: CallMeter, phones: Sequence[str]
) -> frozenset[int]:
    """Read the customers of Nhanh.vn who have these phone numbers, in E.164; their ids. Raises as the others do.

    Nhanh.vn compares numbers as they are written: asked for are the two ways in which nearly all are.
    """
    nhanh, found = store.nhanh, frozenset[int]()
    reading = _Reading(context, store, nhanh.clock, nhanh_mirror.CUSTOMERS, nhanh_mirror.upsert_customers)
    for phone in phones:
        for mobile in _spellings(phone):
            await reading.begin()
            page = await context.unless_stopped(nhanh.customers_by_mobile(mobile, meter=meter))
            # A list that ignores its filter would give everybody.
            rows = [row for row in page.rows if phone in phone_numbers(row.value.mobile)]
            found |= (await reading.store_found(page, rows)).read
            if rows:
                break
    return found


async def find_shopify_customers(
    context: ReadingContext, store: Store, meter: CallMeter, phones: Sequence[str]
) -> frozenset[int]:
    """Read the customers of Shopify whom its search finds by these phone numbers, in E.164; their ids. Raises as the
    others do."""
    if not phones:
        return frozenset()
    shopify, wanted = store.shopify, set(phones)
    reading = _Reading(context, store, shopify.clock, shopify_mirror.CUSTOMERS, shopify_mirror.upsert_customers)
    await reading.begin()
    page = await context.unless_stopped(shopify.customers_by_phones(phones, meter=meter))
    rows = [row for row in page.rows if not wanted.isdisjoint(_numbers(row.value))]
    return (await reading.store_found(page, rows)).read


class _Reading:
    """Puts what one side says of customers into its table."""

    def __init__(
        self, context: ReadingContext, store: Store, clock: SourceClock, table: MirrorTable[Any], upsert: Upsert[Any]
    ) -> None:
        self._context = context
        self._store = store
        self._clock = clock
        self._table = table
        self._upsert = upsert

    async def begin(self) -> None:
        """Right before a question."""
        self._asking = await asking(self._context, self._store, self._clock)

    async def store(self, asked: Sequence[int], page: Page[T]) -> ItemsRead:
        """Store the answer to a question for ids; those that it lacks are marked as deleted."""
        failed, gone = missing_of(asked, row_ids(page.rows), page.bad)
        found = await self._store_rows(page, page.rows, sorted(gone))
        failed |= found.failed
        return ItemsRead(frozenset(asked) - failed.keys() - gone, gone, failed)

    async def store_found(self, page: Page[T], rows: Sequence[SourceRow[T]]) -> ItemsRead:
        """Store those rows of an answer that were meant."""
        return await self._store_rows(page, rows, ())

    async def _store_rows(self, page: Page[T], rows: Sequence[SourceRow[T]], gone: Sequence[int]) -> ItemsRead:
        store, snapshot, present = self._store.name, self._asking.asked(page), row_ids(rows)
        async with self._context.database.acquire_for_work() as connection, connection.transaction():
            failed = await store_rows(connection, store, rows, snapshot, self._upsert)
            await deletions.see(connection, store, self._table, present, snapshot.at)
            await deletions.mark_rows(connection, store, self._table, (), gone, snapshot.at)
        return ItemsRead(frozenset(present) - failed.keys(), frozenset(gone), failed)


def _spellings(phone: str) -> Sequence[str]:
    """How a number may be written at Nhanh.vn: as it is dialled at home, and with the country's code."""
    home = phone.removeprefix(PREFIX)
    return (f"0{home}", phone.removeprefix("+")) if home != phone else (phone.removeprefix("+"),)


def _numbers(customer: ShopifyCustomer) -> Collection[str]:
    return {*phone_numbers(customer.phone), *phone_numbers(customer.address_phone)}
