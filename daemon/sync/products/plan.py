"""What Shopify should say of the mapped variants, beside what the mirror says that it says: all SQL of the plan.

The plan is read in windows over the ids of Shopify's products, so that neither memory nor any one statement grows with
the shop, and always in the order (product, variant, location), by which an interrupted sync goes on where it stopped.
Of a window only the rows that differ come back, each with its place among all rows of the window.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TypeVar

from asyncpg import Record

from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection, Database
from daemon.ids import JobId, StoreName
from daemon.sales import items
from daemon.sales.model import HELD_SQL, Prices
from daemon.sync.products.rows import LAST_ID, Key, PriceRow, R, StockRow, Window, plain
from daemon.sync.pushes import PushKind

MAX_QUANTITY = 1_000_000_000  # Shopify documentation, inventorySetQuantities: the most that an item may have
WINDOW_VARIANTS = 1_000
ROWS_AT_ONCE = 250  # between two turns of the loop

T = TypeVar("T")

NEXT_WINDOW = """
SELECT product_id FROM dongbo.shopify_variants WHERE store = $1 AND product_id > $2
ORDER BY product_id OFFSET $3 LIMIT 1
"""

# Live pairs of a window: a mapping of which neither side is deleted. Each side is looked up by its key: a join
# might be planned as if there were one row, for of a table that has just been filled PostgreSQL knows no better.
PAIRS = """
    FROM dongbo.shopify_variants AS variant
    CROSS JOIN LATERAL (
        SELECT nhanh_id FROM dongbo.product_mappings
        WHERE store = $1 AND variant_id = variant.id AND retired_at IS NULL LIMIT 1
    ) AS mapping
    CROSS JOIN LATERAL (
        SELECT id, code, retail_price, wholesale_price, old_price, stock_known FROM dongbo.nhanh_products
        WHERE store = $1 AND id = mapping.nhanh_id AND deleted_at IS NULL LIMIT 1
    ) AS product
    WHERE variant.store = $1 AND variant.product_id > $2 AND variant.product_id <= $3 AND variant.deleted_at IS NULL
"""

# A depot that a product with known stock does not list holds nothing. What is not stocked at a location and should not
# be there is right as it is. The last row of the window always comes, to tell how many there are.
STOCK_WINDOW = """
WITH depot AS MATERIALIZED (
    SELECT * FROM unnest($5::bigint[], $6::bigint[]) WITH ORDINALITY AS depot (location_id, id, place)
), pair AS MATERIALIZED (
    SELECT variant.product_id, variant.id AS variant_id, variant.inventory_item_id AS item_id, variant.sku,
        product.id AS nhanh_id, product.code
    {pairs}
      AND variant.tracked AND variant.inventory_item_id IS NOT NULL AND product.stock_known
), compared AS MATERIALIZED (
    SELECT pair.*, location.id AS location_id, (
        SELECT available FROM dongbo.shopify_inventory_levels
        WHERE store = $1 AND inventory_item_id = pair.item_id AND location_id = location.id AND deleted_at IS NULL
    ) AS present, (
        SELECT least(greatest(floor(coalesce(sum(held.{figure}), 0)), 0), {most})::bigint
        FROM depot JOIN dongbo.nhanh_inventory AS held
            ON held.store = $1 AND held.product_id = pair.nhanh_id AND held.depot_id = depot.id
        WHERE depot.location_id = location.id AND held.deleted_at IS NULL
    ) AS desired
    FROM pair CROSS JOIN unnest($4::bigint[]) AS location (id)
    WHERE (pair.product_id, pair.variant_id, location.id) > ($7, $8, $9)
), planned AS (
    SELECT *, coalesce(present, 0) <> desired AS differs,
        row_number() OVER (ORDER BY product_id, variant_id, location_id) AS place, count(*) OVER () AS population
    FROM compared
)
SELECT planned.*, (
    SELECT array_agg(coalesce(held.{figure}, 0) ORDER BY depot.place)
    FROM depot LEFT JOIN dongbo.nhanh_inventory AS held
        ON held.store = $1 AND held.product_id = planned.nhanh_id AND held.depot_id = depot.id
       AND held.deleted_at IS NULL
    WHERE depot.location_id = planned.location_id
) AS figures
FROM planned WHERE differs OR place = population
ORDER BY place
"""

IS_ON_SALE = f"""EXISTS (
    SELECT FROM dongbo.sale_items WHERE store = $1 AND variant_id = variant.id AND state IN {HELD_SQL}
)"""

# What a sale holds is not ours to set.
PRICE_IS_OURS = f"AND NOT {IS_ON_SALE}"

PRICE_WINDOW = """
WITH pair AS (
    SELECT variant.product_id, variant.id AS variant_id, variant.sku, variant.price, variant.compare_at_price,
        product.id AS nhanh_id, product.code, product.old_price, {price} AS desired_price
    {pairs}
      AND {takes_part} {is_ours}
      AND (variant.product_id, variant.id) > ($4, $5)
), planned AS (
    SELECT pair.*, {compare_at_price} AS desired_compare_at_price,
        row_number() OVER (ORDER BY product_id, variant_id) AS place, count(*) OVER () AS population
    FROM pair
), compared AS (
    SELECT *, (price, compare_at_price) IS DISTINCT FROM (desired_price, desired_compare_at_price) AS differs
    FROM planned
)
SELECT * FROM compared WHERE differs OR place = population ORDER BY place
"""

# To what the mapped variants should go back that a sale holds; what is not synced stays as the sale has found it.
HELD_PRICES = """
WITH pair AS (
    SELECT variant.id AS variant_id, variant.sku, product.id AS nhanh_id, product.code, product.old_price,
        item.base_price, item.base_compare_at, {price} AS desired_price
    FROM (SELECT store, variant_id, base_price, base_compare_at FROM dongbo.sale_items
          WHERE store = $1 AND state IN {held}) AS item
    JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
    JOIN dongbo.product_mappings AS mapping
        ON mapping.store = item.store AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
    JOIN dongbo.nhanh_products AS product
        ON product.store = item.store AND product.id = mapping.nhanh_id AND product.deleted_at IS NULL
    WHERE variant.deleted_at IS NULL AND {takes_part}
), planned AS (
    SELECT variant_id, base_price, base_compare_at, desired_price, {compare_at_price} AS desired_compare_at FROM pair
)
SELECT * FROM planned
WHERE (base_price, base_compare_at) IS DISTINCT FROM (desired_price, desired_compare_at)
ORDER BY variant_id
"""

# Mapped products of which Nhanh has not told the stock yet.
UNKNOWN_STOCK = """
SELECT DISTINCT product.id {pairs}
  AND variant.tracked AND variant.inventory_item_id IS NOT NULL AND NOT product.stock_known
ORDER BY product.id
"""

LEFT_ALONE = """
SELECT count(*) FILTER (WHERE mapping.id IS NULL) AS unmapped,
    count(*) FILTER (WHERE mapping.id IS NOT NULL AND mapping.nhanh_id IS NULL) AS excluded,
    count(*) FILTER (WHERE mapping.nhanh_id IS NOT NULL AND product.id IS NULL) AS product_deleted,
    count(*) FILTER (WHERE product.id IS NOT NULL AND NOT variant.tracked) AS untracked,
    count(*) FILTER (WHERE product.id IS NOT NULL
        AND (variant.tracked IS NULL OR variant.tracked AND variant.inventory_item_id IS NULL)) AS not_pulled_yet,
    count(*) FILTER (WHERE product.id IS NOT NULL AND variant.tracked AND NOT product.stock_known) AS stock_unknown
FROM dongbo.shopify_variants AS variant
LEFT JOIN LATERAL (
    SELECT id, nhanh_id FROM dongbo.product_mappings
    WHERE store = $1 AND variant_id = variant.id AND retired_at IS NULL LIMIT 1
) AS mapping ON true
LEFT JOIN LATERAL (
    SELECT id, stock_known FROM dongbo.nhanh_products
    WHERE store = $1 AND id = mapping.nhanh_id AND deleted_at IS NULL LIMIT 1
) AS product ON true
WHERE variant.store = $1 AND variant.deleted_at IS NULL
"""

MAPPED = """
SELECT variant_id, nhanh_id FROM dongbo.product_mappings
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL
"""

# What this very job has pushed behind a place in the plan: a batch whose outcome was lost, and settled later.
PUSHED_BEHIND = """
SELECT DISTINCT variant.product_id, variant.id AS variant_id, coalesce(push.location_id, 0) AS location_id
FROM dongbo.pushes AS push
CROSS JOIN LATERAL (
    SELECT id, product_id FROM dongbo.shopify_variants WHERE store = $1 AND id = push.owner_id LIMIT 1
) AS variant
WHERE push.job_id = $2 AND push.store = $1 AND push.result = 'applied' AND push.kind = ANY ($3)
  AND (variant.product_id, variant.id, coalesce(push.location_id, 0)) > ($4, $5, $6)
"""


class ProductPlan:
    """The plan of one store under its settings; reads the database as it is at each call."""

    def __init__(self, database: Database, store: StoreName, settings: ProductSyncSettings) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._depots_of = settings.depots_of
        self._stock_window = STOCK_WINDOW.format(pairs=PAIRS, figure=settings.stock_figure, most=MAX_QUANTITY)
        self._price_window = _price_query(
            PRICE_WINDOW, settings, price="variant.price", compare_at="compare_at_price", pairs=PAIRS
        )
        self._held_prices = _price_query(
            HELD_PRICES, settings, price="item.base_price", compare_at="base_compare_at", held=HELD_SQL
        )

    @property
    def has_stock(self) -> bool:
        """Whether stock is pushed at all."""
        return bool(self._depots_of)

    @property
    def has_prices(self) -> bool:
        """Whether prices or compare-at prices are pushed at all."""
        return self._settings.price is not None or self._settings.compare_at_price is not None

    async def stock_windows(self, after: Key) -> AsyncGenerator[Window[StockRow], None]:
        """All stock behind a place in the plan."""
        if not self.has_stock:
            return
        depots = [(location, depot) for location, depots in self._depots_of.items() for depot in depots]
        locations, columns = sorted(self._depots_of), tuple(map(list, zip(*depots, strict=True)))
        async for low, high in self._windows(after):
            async with self._database.acquire_for_work() as connection:
                rows = await connection.fetch(self._stock_window, self._store, low, high, locations, *columns, *after)
            found = await _converted(rows, self._stock_row)
            yield Window(found, rows[-1]["population"] if rows else 0)

    async def price_windows(self, after: Key) -> AsyncGenerator[Window[PriceRow], None]:
        """All prices behind a place in the plan."""
        if not self.has_prices:
            return
        async for low, high in self._windows(after):
            async with self._database.acquire_for_work() as connection:
                rows = await connection.fetch(self._price_window, self._store, low, high, *after[:2])
            found = await _converted(rows, self._price_row)
            yield Window(found, rows[-1]["population"] if rows else 0)

    async def prices_of(self, product_id: int) -> list[PriceRow]:
        """The prices of one product of Shopify that differ now."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._price_window, self._store, product_id - 1, product_id, product_id, 0)
        return await _converted(rows, self._price_row)

    async def prices_on_sale(self) -> dict[int, tuple[Prices, Prices]]:
        """{variant: (what it would go back to, what it should go back to)} of variants on sale where these differ."""
        if not self.has_prices:
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._held_prices, self._store)
        return {
            row["variant_id"]: (
                Prices(row["base_price"], row["base_compare_at"]),
                Prices(row["desired_price"], row["desired_compare_at"]),
            )
            for row in rows
        }

    async def products_of_unknown_stock(self) -> list[int]:
        """Mapped products of Nhanh whose stock it has not told yet."""
        if not self.has_stock:
            return []
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(UNKNOWN_STOCK.format(pairs=PAIRS), self._store, 0, LAST_ID)
        return [row["id"] for row in rows]

    async def left_alone(self) -> dict[str, int]:
        """How many variants get no stock, by reason; only reasons that there are."""
        async with self._database.acquire_for_work() as connection:
            row = await connection.fetchrow(LEFT_ALONE, self._store)
        return {reason: count for reason, count in dict(row or {}).items() if count}

    async def pushed_behind(self, job_id: JobId, kinds: Sequence[PushKind], after: Key) -> frozenset[Key]:
        """What a job has pushed already behind the place from which it goes on."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(PUSHED_BEHIND, self._store, job_id, kinds, *after)
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
        depots = self._depots_of[row["location_id"]]
        figures = " + ".join(plain(figure) for figure in row["figures"])
        place = f"depot{'s' if len(depots) > 1 else ''} {', '.join(map(str, depots))}"
        return StockRow(
            key=Key(row["product_id"], row["variant_id"], row["location_id"]),
            place=row["place"],
            item_id=row["item_id"],
            sku=row["sku"],
            nhanh_id=row["nhanh_id"],
            present=row["present"],
            desired=row["desired"],
            reason=f"{_nhanh_product(row)} has {figures} {self._settings.stock_figure} in {place}",
        )

    def _price_row(self, row: Record) -> PriceRow:
        desired, compare_at = row["desired_price"], row["desired_compare_at_price"]
        compare_at_reason = (
            f"{_nhanh_product(row)} has the old price {plain(compare_at)}"
            if compare_at is not None
            else f"{_nhanh_product(row)} has no old price above {plain(desired)}"
        )
        return PriceRow(
            key=Key(row["product_id"], row["variant_id"]),
            place=row["place"],
            sku=row["sku"],
            nhanh_id=row["nhanh_id"],
            price=row["price"],
            compare_at_price=row["compare_at_price"],
            desired_price=desired,
            desired_compare_at_price=compare_at,
            price_reason=f"{_nhanh_product(row)} has the {self._settings.price} price {plain(desired)}",
            compare_at_reason=compare_at_reason,
        )


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


def _price_query(template: str, settings: ProductSyncSettings, *, price: str, compare_at: str, **parts: str) -> str:
    """A query for prices; `price` and `compare_at` are what stays where they are not synced."""
    base = f"round(product.{settings.price}_price, 2)" if settings.price is not None else price
    # A reference that has no value can't be exceeded: what Nhanh has no price for is left alone altogether.
    takes_part = f"{base} > 0" if settings.price is not None else "true"
    if settings.compare_at_price is not None:
        compare_at = "CASE WHEN round(old_price, 2) > desired_price THEN round(old_price, 2) END"
    return template.format(
        price=base, takes_part=takes_part, is_ours=PRICE_IS_OURS, compare_at_price=compare_at, **parts
    )


def _nhanh_product(row: Record) -> str:
    code = row["code"]
    return f"Nhanh.vn {row['nhanh_id']} ({code})" if code else f"Nhanh.vn {row['nhanh_id']}"
