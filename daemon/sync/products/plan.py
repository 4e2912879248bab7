"""What Shopify should say of the mapped variants, beside what the mirror says that it says.

The plan is read in windows over the ids of Shopify's products, so that neither memory nor any one statement grows with
the shop, and always in the order (product, variant, location), in which an interrupted sync continues where it stopped.
Of a window only the rows that differ come back, each with its place among all rows of the window.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from asyncpg import Record

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection, Database
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.ids import JobId, StoreName
from daemon.mirror.shops import Shop
from daemon.money import amount_text
from daemon.sources.shopify.models import PricePair, QuantityName
from daemon.sync.products.queries import (
    MAPPED,
    NAMED,
    NEXT_WINDOW,
    PUSHED_AFTER,
    PlanQueries,
)
from daemon.sync.products.rows import END, LAST_ID, Key, PriceRow, R, StockRow, Window
from daemon.sync.products.rules import DEFAULT_SHOP, PRICES, STOCK_FIGURES
from daemon.sync.products.ruling import (
    ON_PRICES,
    ON_STOCK,
    AppliedRule,
    asks,
    names,
    stock_terms,
    with_terms,
    words,
)

WINDOW_VARIANTS = 1_000
ROWS_AT_ONCE = 250  # between two turns of the loop
SURVEYED_AT_ONCE = 2  # windows: a survey is all the database's work

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Variants that are not pushed for one reason."""

    variants: int
    examples: Sequence[str]  # SKUs, or ids where there are none


@dataclass(frozen=True, slots=True)
class PlannedVariants:
    """Some variants that a plan is about.

    Args:
        of_prices: those that are planned.
        of_stock: of them, those whose stock is planned, too. Whatever shares its stock with one of them is looked at
            along with it, since one variant stands for all.
    """

    of_prices: Collection[int]
    of_stock: Collection[int]


class ProductPlan:
    """The plan of one store under its settings; reads the database as it is at each call."""

    def __init__(
        self,
        database: Database,
        store: StoreName,
        settings: ProductSyncSettings,
        shop: Shop = DEFAULT_SHOP,
        variants: PlannedVariants | None = None,
    ) -> None:
        """`shop`: what its prices mean; of no account where only stock is synced. `variants`: None for all."""
        self._database = database
        self._store = store
        self._settings = settings
        self._depots_of = settings.depots_of
        self._queries = PlanQueries(settings, shop, is_narrow=variants is not None)
        # The last argument of each statement before the rules, if there is one.
        self._of_stock = () if variants is None else (sorted(variants.of_stock),)
        self._of_prices = () if variants is None else (sorted(variants.of_prices),)

    @property
    def has_stock(self) -> bool:
        """Whether stock is pushed at all."""
        return bool(self._depots_of)

    @property
    def quantity(self) -> QuantityName:
        """Which quantity of Shopify the stock is."""
        return self._settings.quantity

    @property
    def has_prices(self) -> bool:
        """Whether prices or compare-at prices are pushed at all."""
        return self._queries.has_prices

    async def stock_windows(self, after: Key) -> AsyncGenerator[Window[StockRow], None]:
        """All stock after a place in the plan."""
        async with aclosing(self._stock(self._queries.stock_window, after)) as windows:
            async for rows in windows:
                found = await _converted(rows, self._stock_row)
                yield Window(found, rows[-1]["population"] if rows else 0)

    async def price_windows(self, after: Key) -> AsyncGenerator[Window[PriceRow], None]:
        """All prices after a place in the plan."""
        async with aclosing(self._prices(self._queries.price_window, after)) as windows:
            async for rows in windows:
                found = await _converted(rows, self._price_row)
                yield Window(found, rows[-1]["population"] if rows else 0)

    async def stock_survey(self, after: Key) -> AsyncGenerator[Window[StockRow], None]:
        """All stock after a place in the plan: only counted but for rows about which a person may have to be asked."""
        async with aclosing(self._stock(self._queries.stock_survey, after, SURVEYED_AT_ONCE)) as windows:
            async for rows in windows:
                found = await _converted(rows, self._stock_row)
                others = rows[-1]["differing"] - len(found) if rows else 0
                yield Window(found, rows[-1]["population"] if rows else 0, others, others)

    async def price_survey(self, after: Key) -> AsyncGenerator[Window[PriceRow], None]:
        """As `stock_survey`, of prices."""
        async with aclosing(self._prices(self._queries.price_survey, after, SURVEYED_AT_ONCE)) as windows:
            async for rows in windows:
                found = await _converted(rows, self._price_row)
                if rows:
                    shown = sum(row.changes_price + row.changes_compare_at_price for row in found)
                    last = rows[-1]
                    others = last["differing"] - len(found)
                    yield Window(found, last["population"], others, last["changes"] - shown)

    async def stock_again(self, connection: Connection, planned: Sequence[StockRow]) -> list[StockRow]:
        """Rows that were planned, as the plan has them by now, whether they still differ or not.

        Without those of variants that have another product meanwhile, or get no stock at all. What they are mapped to
        stays until the caller's transaction, which notes what is about to be pushed, has ended.
        """
        mapped = await still_mapped(connection, self._store, planned)
        found = await connection.fetch(
            self._queries.stock_again,
            self._store,
            *depot_columns(self._depots_of),
            _variants(mapped),
            *self._queries.parameters,
        )
        return _now(mapped, {_stock_key(row): row for row in found}, self._stock_row)

    async def prices_again(self, connection: Connection, planned: Sequence[PriceRow]) -> list[PriceRow]:
        """As `stock_again`; without what has come on sale as well, if the caller keeps sales from taking anything."""
        mapped = await still_mapped(connection, self._store, planned)
        found = await connection.fetch(
            self._queries.prices_again, self._store, _variants(mapped), *self._queries.parameters
        )
        return _now(mapped, {_price_key(row): row for row in found}, self._price_row)

    async def prices_on_sale(self, *, is_vat_agreed: bool = True) -> dict[int, tuple[PricePair, PricePair]]:
        """{variant: (what it would go back to, what it should go back to)} of variants on sale where these differ.

        Without `is_vat_agreed` those are missing that would change by VAT: a person is to be asked first.
        """
        if not self.has_prices:
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(
                self._queries.held_prices, self._store, *self._of_prices, *self._queries.parameters
            )
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
            rows = await connection.fetch(self._queries.unknown_stock, self._store, 0, LAST_ID, *self._of_stock)
        return [row["id"] for row in rows]

    async def items_of_unread_on_hand(self, limit: int) -> dict[int, int]:
        """Some items of Shopify whose stock on hand was never asked for, {item: a variant of it}; none where what is
        available is synced."""
        if not self.has_stock or self._settings.quantity == "available":
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._queries.unread_on_hand, self._store, 0, LAST_ID, limit, *self._of_stock)
        return {row["item_id"]: row["variant_id"] for row in rows}

    async def products_of_unknown_vat(self, limit: int) -> dict[int, datetime | None]:
        """Some mapped products whose prices need a VAT that is not known, with their last change at Nhanh.vn."""
        if not self.has_prices:
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._queries.unknown_vat, self._store, 0, LAST_ID, limit, *self._of_prices)
        return {row["id"]: row["updated_at"] for row in rows}

    async def combos(self) -> list[Record]:
        """Mapped combos: `id`, what product/list says of their components, and those that are known."""
        if not self.has_stock:
            return []
        async with self._database.acquire_for_work() as connection:
            rows: list[Record] = await connection.fetch(self._queries.combos, self._store, 0, LAST_ID, *self._of_stock)
        return rows

    async def left_alone(self) -> dict[str, LeftAlone]:
        """The variants that get no stock or no price, by reason; only reasons that there are."""
        besides = (*self._of_prices, *self._queries.parameters)
        slipping = None
        try:
            async with asyncio.TaskGroup() as both:
                reasons = both.create_task(self._fetch(self._queries.left_alone, *besides), name="plan-left-alone")
                if self.has_prices:
                    all_prices = self._fetch(self._queries.slipping, 0, LAST_ID, 0, 0, *besides)
                    slipping = both.create_task(all_prices, name="plan-slipping")
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        found = {row["reason"]: LeftAlone(row["variants"], row["examples"]) for row in reasons.result()}
        if slipping is not None and (skus := [row["name"] for row in slipping.result()]):
            found["does_not_stick"] = LeftAlone(len(skus), skus[:NAMED])
        return found

    async def pushed_after(self, job_id: JobId, kinds: Sequence[PushKind], after: Key) -> frozenset[Key]:
        """What a job has already pushed after the place from which it resumes."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(PUSHED_AFTER, self._store, job_id, kinds, *after)
        return frozenset(Key(**row) for row in rows)

    def _stock(self, statement: str, after: Key, at_once: int = 1) -> AsyncGenerator[list[Record], None]:
        depots = depot_columns(self._depots_of)
        return self._read(
            after if self.has_stock else END,
            lambda low, high: (statement, *depots, low, high, *after, *self._of_stock, *self._queries.parameters),
            at_once,
        )

    def _prices(self, statement: str, after: Key, at_once: int = 1) -> AsyncGenerator[list[Record], None]:
        return self._read(
            after if self.has_prices else END,
            lambda low, high: (statement, low, high, *after[:2], *self._of_prices, *self._queries.parameters),
            at_once,
        )

    async def _read(
        self, after: Key, asked: Callable[[int, int], tuple[Any, ...]], at_once: int
    ) -> AsyncGenerator[list[Record], None]:
        """The rows of each window in order, of which so many are read at the same time; none after the END.

        `asked`: the statement for a window, and its parameters after the store.
        """

        reading: deque[asyncio.Task[list[Record]]] = deque()
        try:
            async for low, high in self._windows(after):
                reading.append(asyncio.create_task(self._fetch(*asked(low, high)), name=f"plan-window-{low}"))
                if len(reading) == at_once:
                    yield await reading[0]
                    reading.popleft()
            while reading:
                yield await reading[0]
                reading.popleft()
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _fetch(self, statement: str, *parameters: Any) -> list[Record]:
        """The rows of a statement of the store, on a connection of its own."""
        async with self._database.acquire_for_work() as connection:
            rows: list[Record] = await connection.fetch(statement, self._store, *parameters)
        return rows

    async def _windows(self, after: Key) -> AsyncIterator[tuple[int, int]]:
        """Ranges (low, high] of product ids, from that of the place on."""
        low = after.product_id - 1
        if after == END:
            return
        if self._of_prices:
            yield low, LAST_ID
            return
        while low < LAST_ID:
            async with self._database.acquire_for_work() as connection:
                found = await connection.fetchval(NEXT_WINDOW, self._store, low, WINDOW_VARIANTS)
            high = LAST_ID if found is None else found
            yield low, high
            low = high

    def _stock_row(self, row: Record) -> StockRow:
        applied = self._queries.ruling.applied(row, *ON_STOCK)
        return StockRow(
            key=_stock_key(row),
            place=row["place"],
            item_id=row["item_id"],
            sku=row["sku"],
            nhanh_id=row["nhanh_id"],
            present=row["present"],
            desired=row["desired"],
            reason=self._stock_reason(row, self._depots_of[row["location_id"]], applied),
            rule=names(applied),
            is_asked=asks(applied),
        )

    def _stock_reason(self, row: Record, depots: Sequence[int], applied: Sequence[AppliedRule]) -> str:
        if row["is_combo"]:
            sentence = ngettext(
                "{product} is a combo whose components make {n} sets in depot {depots}",
                "{product} is a combo whose components make {n} sets in depots {depots}",
                len(depots),
            )
        else:
            sentence = ngettext(
                "{product} has {quantity} {figure} in depot {depots}",
                "{product} has {quantity} {figure} in depots {depots}",
                len(depots),
            )
        reason = sentence.format(
            product=_nhanh_product(row),
            n=int(max(row["total"], 0)),
            quantity=" + ".join(amount_text(figure) for figure in row["figures"]),
            figure=_(STOCK_FIGURES[self._settings.stock_figure]),
            depots=", ".join(map(str, depots)),
        )
        return with_terms(reason, stock_terms(self._settings, row["location_id"], applied))

    def _price_row(self, row: Record) -> PriceRow:
        desired, compare_at = row["desired_price"], row["desired_compare_at_price"]
        applied = self._queries.ruling.applied(row, *ON_PRICES)
        terms = [words(rule) for rule in applied]
        compare_at_reason = (
            _("{product} has the old price {amount}")
            if compare_at is not None
            else _("{product} has no old price above {amount}")
        ).format(product=_nhanh_product(row), amount=amount_text(desired if compare_at is None else compare_at))
        return PriceRow(
            key=_price_key(row),
            place=row["place"],
            sku=row["sku"],
            nhanh_id=row["nhanh_id"],
            price=row["price"],
            compare_at_price=row["compare_at_price"],
            desired_price=desired,
            desired_compare_at_price=compare_at,
            price_reason=with_terms(self._price_reason(row, desired), terms),
            compare_at_reason=with_terms(compare_at_reason, terms),
            is_by_vat=row["is_by_vat"],
            rule=names(applied),
            is_asked=asks(applied),
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


async def still_mapped(connection: Connection, store: StoreName, rows: Sequence[R]) -> list[R]:
    """The rows whose variants are mapped now as they were when they were planned, and stay so until the caller's
    transaction, which notes what is about to be pushed, has ended."""
    mapped = await connection.fetch(MAPPED, store, _variants(rows))
    nhanh_ids = {row["variant_id"]: row["nhanh_id"] for row in mapped}
    return [row for row in rows if nhanh_ids.get(row.key.variant_id) == row.nhanh_id]


def _now(planned: Sequence[R], found: Mapping[Key, Record], convert: Callable[[Record], R]) -> list[R]:
    """What was found of rows that were planned, where it is of the same product."""
    return [
        convert(row)
        for row, known in ((found.get(known.key), known) for known in planned)
        if row is not None and row["nhanh_id"] == known.nhanh_id
    ]


def _variants(rows: Sequence[R]) -> list[int]:
    return [row.key.variant_id for row in rows]


def _stock_key(row: Record) -> Key:
    return Key(row["product_id"], row["variant_id"], row["location_id"])


def _price_key(row: Record) -> Key:
    return Key(row["product_id"], row["variant_id"])


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
