"""What Shopify should say of the mapped variants, beside what the mirror says that it says.

The plan is read in windows over the ids of Shopify's products, so that neither memory nor any one statement grows with
the shop, and always in the order (product, variant, location), in which an interrupted sync continues where it stopped.
Of a window only the rows that differ come back, each with its place among all rows of the window.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from asyncpg import Record

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection, Database
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.ids import JobId, StoreName
from daemon.mirror.shops import Shop
from daemon.money import amount_text
from daemon.sales import items
from daemon.sources.shopify.models import PricePair
from daemon.sync.products.queries import (
    COMBOS,
    MAPPED,
    NAMED,
    NEXT_WINDOW,
    PUSHED_AFTER,
    UNKNOWN_STOCK,
    PlanQueries,
)
from daemon.sync.products.rows import LAST_ID, Key, PriceRow, R, StockRow, Window
from daemon.sync.products.rules import DEFAULT_SHOP, PRICES, STOCK_FIGURES

WINDOW_VARIANTS = 1_000
ROWS_AT_ONCE = 250  # between two turns of the loop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Variants that are not pushed for one reason."""

    variants: int
    examples: Sequence[str]  # SKUs, or ids where there are none


class ProductPlan:
    """The plan of one store under its settings; reads the database as it is at each call."""

    def __init__(
        self, database: Database, store: StoreName, settings: ProductSyncSettings, shop: Shop = DEFAULT_SHOP
    ) -> None:
        """`shop`: what its prices mean; of no account where only stock is synced."""
        self._database = database
        self._store = store
        self._settings = settings
        self._depots_of = settings.depots_of
        self._queries = PlanQueries(settings, shop)

    @property
    def has_stock(self) -> bool:
        """Whether stock is pushed at all."""
        return bool(self._depots_of)

    @property
    def has_prices(self) -> bool:
        """Whether prices or compare-at prices are pushed at all."""
        return self._queries.has_prices

    async def stock_windows(self, after: Key) -> AsyncGenerator[Window[StockRow], None]:
        """All stock after a place in the plan."""
        if not self.has_stock:
            return
        depots = depot_columns(self._depots_of)
        async for low, high in self._windows(after):
            async with self._database.acquire_for_work() as connection:
                rows = await connection.fetch(self._queries.stock_window, self._store, *depots, low, high, *after)
            found = await _converted(rows, self._stock_row)
            yield Window(found, rows[-1]["population"] if rows else 0)

    async def price_windows(self, after: Key) -> AsyncGenerator[Window[PriceRow], None]:
        """All prices after a place in the plan."""
        if not self.has_prices:
            return
        async for low, high in self._windows(after):
            async with self._database.acquire_for_work() as connection:
                rows = await connection.fetch(self._queries.price_window, self._store, low, high, *after[:2])
            found = await _converted(rows, self._price_row)
            yield Window(found, rows[-1]["population"] if rows else 0)

    async def prices_of(self, product_id: int) -> list[PriceRow]:
        """The prices of one product of Shopify that differ now."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(
                self._queries.price_window, self._store, product_id - 1, product_id, product_id, 0
            )
        return await _converted(rows, self._price_row)

    async def prices_on_sale(self, *, is_vat_agreed: bool = True) -> dict[int, tuple[PricePair, PricePair]]:
        """{variant: (what it would go back to, what it should go back to)} of variants on sale where these differ.

        Without `is_vat_agreed` those are missing that would change by VAT: a person is to be asked first.
        """
        if not self.has_prices:
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._queries.held_prices, self._store)
        return {
            row["variant_id"]: (
                PricePair(row["base_price"], row["base_compare_at"]),
                PricePair(row["desired_price"], row["desired_compare_at"]),
            )
            for row in rows
            if is_vat_agreed or not row["is_by_vat"]
        }

    async def products_of_unknown_stock(self) -> list[int]:
        """Mapped products of Nhanh.vn whose stock it has not reported yet, and components of mapped combos."""
        if not self.has_stock:
            return []
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(UNKNOWN_STOCK, self._store, 0, LAST_ID)
        return [row["id"] for row in rows]

    async def products_of_unknown_vat(self, limit: int) -> dict[int, datetime | None]:
        """Some mapped products whose prices need a VAT that is not known, with their last change at Nhanh.vn."""
        if not self.has_prices:
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._queries.unknown_vat, self._store, 0, LAST_ID, limit)
        return {row["id"]: row["updated_at"] for row in rows}

    async def combos(self) -> list[Record]:
        """Mapped combos: `id`, what product/list says of their components, and those that are known."""
        if not self.has_stock:
            return []
        async with self._database.acquire_for_work() as connection:
            rows: list[Record] = await connection.fetch(COMBOS, self._store, 0, LAST_ID)
        return rows

    async def left_alone(self) -> dict[str, LeftAlone]:
        """The variants that get no stock or no price, by reason; only reasons that there are."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._queries.left_alone, self._store)
            slipping = (
                await connection.fetch(self._queries.slipping, self._store, 0, LAST_ID, 0, 0) if self.has_prices else []
            )
        found = {row["reason"]: LeftAlone(row["variants"], row["examples"]) for row in rows}
        if slipping:
            found["does_not_stick"] = LeftAlone(len(slipping), [row["name"] for row in slipping[:NAMED]])
        return found

    async def pushed_after(self, job_id: JobId, kinds: Sequence[PushKind], after: Key) -> frozenset[Key]:
        """What a job has already pushed after the place from which it resumes."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(PUSHED_AFTER, self._store, job_id, kinds, *after)
        return frozenset(Key(**row) for row in rows)

    async def _windows(self, after: Key) -> AsyncIterator[tuple[int, int]]:
        """Ranges (low, high] of product ids, from that of the place on."""
        low = after.product_id - 1
        while low < LAST_ID:
            async with self._database.acquire_for_work() as connection:
                found = await connection.fetchval(NEXT_WINDOW, self._store, low, WINDOW_VARIANTS)
            high = LAST_ID if found is None else found
            yield low, high
            low = high

    def _stock_row(self, row: Record) -> StockRow:
        return StockRow(
            key=Key(row["product_id"], row["variant_id"], row["location_id"]),
            place=row["place"],
            item_id=row["item_id"],
            sku=row["sku"],
            nhanh_id=row["nhanh_id"],
            present=row["present"],
            desired=row["desired"],
            reason=self._stock_reason(row, self._depots_of[row["location_id"]]),
        )

    def _stock_reason(self, row: Record, depots: Sequence[int]) -> str:
        if row["is_combo"]:
            reason = ngettext(
                "{product} is a combo whose components make {n} sets in depot {depots}",
                "{product} is a combo whose components make {n} sets in depots {depots}",
                len(depots),
            )
        else:
            reason = ngettext(
                "{product} has {quantity} {figure} in depot {depots}",
                "{product} has {quantity} {figure} in depots {depots}",
                len(depots),
            )
        return reason.format(
            product=_nhanh_product(row),
            n=row["desired"],
            quantity=" + ".join(amount_text(figure) for figure in row["figures"]),
            figure=_(STOCK_FIGURES[self._settings.stock_figure]),
            depots=", ".join(map(str, depots)),
        )

    def _price_row(self, row: Record) -> PriceRow:
        desired, compare_at = row["desired_price"], row["desired_compare_at_price"]
        compare_at_reason = (
            _("{product} has the old price {amount}")
            if compare_at is not None
            else _("{product} has no old price above {amount}")
        ).format(product=_nhanh_product(row), amount=amount_text(desired if compare_at is None else compare_at))
        return PriceRow(
            key=Key(row["product_id"], row["variant_id"]),
            place=row["place"],
            sku=row["sku"],
            nhanh_id=row["nhanh_id"],
            price=row["price"],
            compare_at_price=row["compare_at_price"],
            desired_price=desired,
            desired_compare_at_price=compare_at,
            price_reason=self._price_reason(row, desired),
            compare_at_reason=compare_at_reason,
            is_by_vat=row["is_by_vat"],
        )

    def _price_reason(self, row: Record, desired: Decimal) -> str:
        reason = (
            _("{product} has the {price} {amount}, {desired} as the shop's customers pay it")
            if row["is_by_vat"]
            else _("{product} has the {price} {amount}")
        )
        return reason.format(
            product=_nhanh_product(row),
            price=_(PRICES[self._settings.price]) if self._settings.price is not None else _("price"),
            amount=amount_text(row["quoted_price"]),
            desired=amount_text(desired),
        )


def depot_columns(depots_of: Mapping[int, Sequence[int]]) -> tuple[list[int], list[int]]:
    """The depots of the locations as two columns: the location and the depot of each row."""
    rows = [(location, depot) for location, depots in depots_of.items() for depot in depots]
    return [location for location, _depot in rows], [depot for _location, depot in rows]


async def still_ours(connection: Connection, store: StoreName, rows: Sequence[R]) -> list[R]:
    """The rows whose variants are mapped as they were when they were planned, and have not come on sale since.

    No sale takes one of them before the caller's transaction, which notes what is about to be pushed, has ended.
    """
    await items.lock_prices(connection, store)
    held = await items.list_held(connection, store, [row.key.variant_id for row in rows])
    return await still_mapped(connection, store, [row for row in rows if row.key.variant_id not in held])


async def still_mapped(connection: Connection, store: StoreName, rows: Sequence[R]) -> list[R]:
    """The rows whose variants are mapped now as they were when they were planned."""
    mapped = await connection.fetch(MAPPED, store, [row.key.variant_id for row in rows])
    nhanh_ids = {row["variant_id"]: row["nhanh_id"] for row in mapped}
    return [row for row in rows if nhanh_ids.get(row.key.variant_id) == row.nhanh_id]


async def _converted(rows: Sequence[Record], convert: Callable[[Record], T]) -> list[T]:
    """The rows that differ, without holding up the loop for long."""
    found: list[T] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found += [convert(row) for row in rows[start : start + ROWS_AT_ONCE] if row["differs"]]
        await asyncio.sleep(0)
    return found


def _nhanh_product(row: Record) -> str:
    code = row["code"]
    return f"Nhanh.vn {row['nhanh_id']} ({code})" if code else f"Nhanh.vn {row['nhanh_id']}"
