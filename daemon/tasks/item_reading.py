"""Reads single products at both sides by their ids, and stores them in the mirror as the pulls do."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

from daemon.clock import boot_time
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.mirror import deletions, levels
from daemon.mirror import nhanh as nhanh_mirror
from daemon.mirror import shopify as shopify_mirror
from daemon.mirror.levels import Levels
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sources.clock import SourceClock
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import MAX_IDS
from daemon.sources.nhanh.lists import INVENTORY, PRODUCTS
from daemon.sources.nhanh.models import Inventory, NhanhInventory
from daemon.sources.page import BadRow, Page, SourceRow
from daemon.sources.shopify.client import FOUND_AT_ONCE
from daemon.tasks.checkpoint import is_id, row_ids
from daemon.tasks.depots import try_to_refresh_depots
from daemon.tasks.pull_shopify_products import store_products
from daemon.tasks.reading_context import ReadingContext
from daemon.tasks.registry import Store
from daemon.tasks.stream import UNSTORABLE, SnapshotClock

T = TypeVar("T")
Upsert = Callable[[Connection, StoreName, Sequence[SourceRow[T]], SnapshotTime], Awaitable[Any]]

NAMELESS = mark("A row of the answer has no readable id, so it may be this one.")
UNTOLD = mark("Nhanh.vn does not say what each depot holds of it.")


@dataclass(frozen=True, slots=True)
class ItemsRead:
    """What became of rows that were asked for by their ids; each of them is in one of these.

    Args:
        read: they are in the mirror as they are at the source now.
        gone: the source no longer has them, and the mirror says so.
        failed: by id, why they could not be read or stored: the mirror has them as before.
        unknown: the source has them, but the mirror has nothing to which they belong.
    """

    read: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    failed: Mapping[int, str] = field(default_factory=dict)
    unknown: frozenset[int] = frozenset()

    def __add__(self, other: "ItemsRead") -> "ItemsRead":
        return ItemsRead(
            self.read | other.read,
            self.gone | other.gone,
            {**self.failed, **other.failed},
            self.unknown | other.unknown,
        )


async def read_nhanh_products(
    context: ReadingContext, store: Store, meter: CallMeter, ids: Collection[int], *, stock_only: bool = False
) -> ItemsRead:
    """Read products of Nhanh.vn with their stock.

    Args:
        context: the job, or who else asks.
        store: whose products they are.
        meter: counts the calls.
        ids: of Nhanh.vn's products.
        stock_only: whether it is their stock that may have changed; what is not mirrored is read whole all the same.

    Raises:
        SourceRefused, RateLimited, SourceUnavailable: after the retries; what was read before is stored.
    """
    reader, found = _NhanhReader(context, store, meter), ItemsRead()
    for portion in portions(ids, MAX_IDS):
        found += await (reader.read_stock(portion) if stock_only else reader.read_whole(portion))
    return found


async def read_shopify_products(
    context: ReadingContext, store: Store, meter: CallMeter, product_ids: Collection[int]
) -> ItemsRead:
    """Read products of Shopify with all their variants and stock levels. Raises as `read_nhanh_products` does."""
    found = ItemsRead()
    for portion in portions(product_ids, FOUND_AT_ONCE):
        clock = await asking(context, store, store.shopify.clock)
        page = await context.unless_stopped(store.shopify.products_of(portion, meter=meter))
        failed, gone = missing_of(portion, row_ids(page.rows), page.bad)
        async with context.database.acquire_for_work() as connection, connection.transaction():
            failed |= await store_rows(connection, store.name, page.rows, clock.asked(page), store_products)
            asked_at = clock.asked(page).at
            await deletions.see(connection, store.name, shopify_mirror.PRODUCTS, row_ids(page.rows), asked_at)
            details = (("shopify_variants", "product_id"),)
            await deletions.mark_rows(connection, store.name, shopify_mirror.PRODUCTS, details, sorted(gone), asked_at)
        found += ItemsRead(frozenset(portion) - failed.keys() - gone, gone, failed)
    return found


async def read_shopify_levels(
    context: ReadingContext, store: Store, meter: CallMeter, item_ids: Collection[int]
) -> ItemsRead:
    """Read the stock levels of inventory items of Shopify. Raises as `read_nhanh_products` does."""
    found = ItemsRead()
    for portion in portions(item_ids, FOUND_AT_ONCE):
        clock, began = await asking(context, store, store.shopify.clock), boot_time()
        stock = await context.unless_stopped(store.shopify.stock_levels(portion, meter=meter))
        async with context.database.acquire_for_work() as connection, connection.transaction():
            variants = await levels.variants_of(connection, store.name, portion)
            gone = frozenset(portion) - stock.found.keys() - stock.unread.keys()
            known: dict[int, tuple[int, Levels]] = {
                number: (variants[number], stock.found[number].levels if number not in gone else {})
                for number in sorted(stock.found.keys() | gone)
                if number in variants
            }
            await levels.replace_levels(connection, store.name, known, clock.at(began))
        unknown = frozenset(stock.found.keys() - variants.keys())
        found += ItemsRead(frozenset(known) - gone, gone, stock.unread, unknown)
    return found


class _NhanhReader:
    """Reads products of Nhanh.vn, as many at once as fit into a call."""

    def __init__(self, context: ReadingContext, store: Store, meter: CallMeter) -> None:
        self._context = context
        self._store = store
        self._meter = meter

    async def read_stock(self, ids: Sequence[int]) -> ItemsRead:
        """Read the stock of products. One without any may be gone: like one that is not mirrored, it is read whole."""
        async with self._context.database.acquire_for_work() as connection:
            mirrored = await deletions.present(connection, self._store.name, nhanh_mirror.PRODUCTS, ids)
        read = await self._stock(sorted(mirrored)) if mirrored else ItemsRead()
        others = [number for number in ids if number not in read.read and number not in read.failed]
        return read + (await self.read_whole(others) if others else ItemsRead())

    async def read_whole(self, ids: Sequence[int]) -> ItemsRead:
        """Read products, and the stock of those whose rows don't tell it."""
        nhanh, store = self._store.nhanh, self._store.name
        clock = await asking(self._context, self._store, nhanh.clock)
        page = await self._context.unless_stopped(nhanh.rows_by_ids(PRODUCTS, ids, meter=self._meter))
        silent = [row.value.id for row in page.rows if row.value.inventory is None or not row.value.inventory.is_told]
        stock = await self._context.unless_stopped(nhanh.rows_by_ids(INVENTORY, silent, meter=self._meter))
        failed, gone = missing_of(ids, row_ids(page.rows), page.bad)
        # Missing there means none, for exactly these were asked for and they exist.
        unread, stockless = missing_of(silent, row_ids(stock.rows), stock.bad)
        told = [row.value.inventory for row in page.rows] + [row.value.inventory for row in stock.rows]
        await self._mind_depots([*told, Inventory(depots=[])] if stockless else told)
        async with self._context.database.acquire_for_work() as connection, connection.transaction():
            failed |= await store_rows(connection, store, page.rows, clock.asked(page), nhanh_mirror.upsert_products)
            failed |= unread | await self._store_stock(connection, stock, clock)
            stockless_ids = sorted(stockless - failed.keys())
            await nhanh_mirror.record_stock(connection, store, [], stockless_ids, clock.asked(stock))
            asked_at = clock.asked(page).at
            await deletions.see(connection, store, nhanh_mirror.PRODUCTS, row_ids(page.rows), asked_at)
            details = (("nhanh_inventory", "product_id"),)
            await deletions.mark_rows(connection, store, nhanh_mirror.PRODUCTS, details, sorted(gone), asked_at)
        return ItemsRead(frozenset(ids) - failed.keys() - gone, gone, failed)

    async def _stock(self, ids: Sequence[int]) -> ItemsRead:
        """Those of these products that Nhanh.vn has any stock of; the others are in no part of what is returned."""
        nhanh = self._store.nhanh
        clock = await asking(self._context, self._store, nhanh.clock)
        page = await self._context.unless_stopped(nhanh.rows_by_ids(INVENTORY, ids, meter=self._meter))
        failed, _without = missing_of(ids, row_ids(page.rows), page.bad)
        await self._mind_depots([row.value.inventory for row in page.rows])
        async with self._context.database.acquire_for_work() as connection, connection.transaction():
            failed |= await self._store_stock(connection, page, clock)
        return ItemsRead(read=frozenset(row_ids(page.rows)) - failed.keys(), failed=failed)

    async def _mind_depots(self, stock: Sequence[Inventory | None]) -> None:
        """Note which depots are hidden before stock is stored that lacks one: its goods would look like none.

        Whoever pushes stock goes by that note.
        """
        settings = self._store.product_sync_settings
        pushed = set(chain(*settings.depots_of.values())) if settings is not None else set()
        named = [{depot.depot_id for depot in told.depots or ()} for told in stock if told is not None and told.is_told]
        if any(pushed - depots for depots in named):
            await try_to_refresh_depots(self._context, self._store, self._meter)

    async def _store_stock(
        self, connection: Connection, page: Page[NhanhInventory], clock: SnapshotClock
    ) -> dict[int, str]:
        """Store rows of stock; why those that could not be stored are as before."""
        told = [row for row in page.rows if row.value.inventory is not None and row.value.inventory.is_told]
        untold = dict.fromkeys({*row_ids(page.rows)} - {*row_ids(told)}, _(UNTOLD))
        return untold | await store_rows(
            connection, self._store.name, told, clock.asked(page), nhanh_mirror.upsert_inventory
        )


async def asking(context: ReadingContext, store: Store, clock: SourceClock) -> SnapshotClock:
    """Note the time, right before a source is asked."""
    async with context.database.acquire_for_work() as connection:
        return await SnapshotClock.begin(connection, store.name, clock)


async def store_rows(
    connection: Connection, store: StoreName, rows: Sequence[SourceRow[T]], asked: SnapshotTime, upsert: Upsert[T]
) -> dict[int, str]:
    """Store rows, one by one where the database refuses them together; why those that it refuses are not stored."""
    if not rows:
        return {}
    try:
        async with connection.transaction():
            await upsert(connection, store, rows, asked)
    except UNSTORABLE as error:
        if len(rows) == 1:
            reason = _("The database refused the row: {error}").format(error=error)
            return {row_ids(rows)[0]: reason[:1000]}
    else:
        return {}
    refused: dict[int, str] = {}
    for row in rows:
        refused |= await store_rows(connection, store, [row], asked, upsert)
    return refused


def missing_of(
    asked: Sequence[int], present: Collection[int], bad: Sequence[BadRow]
) -> tuple[dict[int, str], frozenset[int]]:
    """Of the ids that were asked for, those whose rows can't be read, with the reason, and those that have none."""
    wanted, named = set(asked), [row for row in bad if row.source_id is not None and is_id(row.source_id)]
    failed = {number: row.reason for row in named if (number := int(row.source_id or 0)) in wanted}
    absent = wanted - set(present) - failed.keys()
    if len(named) < len(bad):  # a row of which it is not even clear whose it is
        return failed | {number: _(NAMELESS) for number in sorted(absent)}, frozenset()
    return failed, frozenset(absent)


def portions(ids: Collection[int], size: int) -> Iterator[list[int]]:
    """Each of the ids once, in their order, so many at a time."""
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
