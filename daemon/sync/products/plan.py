"""What Shopify should say of the mapped variants, beside what the mirror says that it says: all SQL of the plan.

The plan is read in windows over the ids of Shopify's products, so that neither memory nor any one statement grows with
the shop, and always in the order (product, variant, location), by which an interrupted sync goes on where it stopped.
Of a window only the rows that differ come back, each with its place among all rows of the window.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from asyncpg import Record

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection, Database
from daemon.ids import JobId, StoreName
from daemon.mirror.shops import Shop
from daemon.sales import items
from daemon.sales.model import HELD_SQL
from daemon.sources.shopify.models import PricePair
from daemon.sync.products.rows import LAST_ID, Key, PriceRow, R, StockRow, Window, plain
from daemon.sync.products.rules import (
    COMBO,
    COMBO_SETS,
    DEFAULT_SHOP,
    NO_STOCK,
    PRODUCT_COLUMNS,
    RELATED,
    STOCK_REASON,
    VAT,
    PriceRule,
    does_not_stick,
)

NAMED = 5  # variants of each reason for which they are left alone
MAX_QUANTITY = 1_000_000_000  # Shopify documentation, inventorySetQuantities: the most that an item may have
WINDOW_VARIANTS = 1_000
ROWS_AT_ONCE = 250  # between two turns of the loop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Variants that are not pushed for one reason."""

    variants: int
    examples: Sequence[str]  # SKUs, or ids where there are none


NEXT_WINDOW = """
SELECT product_id FROM dongbo.shopify_variants WHERE store = $1 AND product_id > $2
ORDER BY product_id OFFSET $3 LIMIT 1
"""

# Live pairs of a window: a mapping of which neither side is deleted. Each side is looked up by its key: a join
# might be planned as if there were one row, for of a table that has just been filled PostgreSQL knows no better.
PAIRS = f"""
    FROM dongbo.shopify_variants AS variant
    CROSS JOIN LATERAL (
        SELECT nhanh_id, source FROM dongbo.product_mappings
        WHERE store = $1 AND variant_id = variant.id AND retired_at IS NULL LIMIT 1
    ) AS mapping
    CROSS JOIN LATERAL (
        SELECT {PRODUCT_COLUMNS} FROM dongbo.nhanh_products
        WHERE store = $1 AND id = mapping.nhanh_id AND deleted_at IS NULL LIMIT 1
    ) AS product
    {RELATED}
    WHERE variant.store = $1 AND variant.product_id > $2 AND variant.product_id <= $3 AND variant.deleted_at IS NULL
"""
PRICED_PAIRS = PAIRS.replace("    WHERE variant.store", f"{VAT}    WHERE variant.store")
IS_COUNTED = "variant.tracked AND variant.inventory_item_id IS NOT NULL"

# What a location's depots hold of a product. One that a product with known stock does not list holds nothing.
HELD_STOCK = """
            SELECT coalesce(sum(held.{figure}), 0) FROM depot JOIN dongbo.nhanh_inventory AS held
                ON held.store = $1 AND held.product_id = {product} AND held.depot_id = depot.id
            WHERE depot.location_id = location.id AND held.deleted_at IS NULL
"""

# What is not stocked at a location and should not be there is right as it is. Of variants that share an item the first
# stands for all. The last row of the window always comes, to tell how many there are.
STOCK_WINDOW = """
WITH depot AS MATERIALIZED (
    SELECT * FROM unnest($5::bigint[], $6::bigint[]) WITH ORDINALITY AS depot (location_id, id, place)
), pair AS MATERIALIZED (
    SELECT variant.product_id, variant.id AS variant_id, variant.inventory_item_id AS item_id, variant.sku,
        product.id AS nhanh_id, product.code, product.type IS NOT DISTINCT FROM {combo_type} AS is_combo
    {pairs}
      AND {is_counted} AND twin.comes_first IS NOT TRUE AND ({reason}) IS NULL
), compared AS MATERIALIZED (
    SELECT pair.*, location.id AS location_id, (
        SELECT available FROM dongbo.shopify_inventory_levels
        WHERE store = $1 AND inventory_item_id = pair.item_id AND location_id = location.id AND deleted_at IS NULL
    ) AS present,
    least(greatest(floor(CASE WHEN is_combo THEN ({sets}) ELSE ({held}) END), 0), {most})::bigint AS desired
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

# A value that Shopify has twice made another one of is no difference.
PRICE_WINDOW = """
WITH pair AS (
    SELECT variant.product_id, variant.id AS variant_id, variant.sku, variant.price, variant.compare_at_price,
        product.id AS nhanh_id, product.code, {old_price} AS old_price, {price} AS wanted_price,
        {by_vat} IS TRUE AS is_by_vat, {quoted} AS quoted_price
    {pairs}
      AND ({reason}) IS NULL AND {takes_part} {is_ours}
      AND (variant.product_id, variant.id) > ($4, $5)
), wanted AS (
    SELECT pair.*, {compare_at_price} AS wanted_compare_at_price,
        row_number() OVER (ORDER BY product_id, variant_id) AS place, count(*) OVER () AS population
    FROM pair
), judged AS (
    SELECT *, price <> wanted_price AND {price_slips} AS price_slips,
        compare_at_price IS DISTINCT FROM wanted_compare_at_price AND {compare_at_slips} AS compare_at_slips
    FROM wanted
), planned AS (
    SELECT *, CASE WHEN price_slips THEN price ELSE wanted_price END AS desired_price,
        CASE WHEN compare_at_slips THEN compare_at_price ELSE wanted_compare_at_price END AS desired_compare_at_price
    FROM judged
), compared AS (
    SELECT *, (price, compare_at_price) IS DISTINCT FROM (desired_price, desired_compare_at_price) AS differs
    FROM planned
)
SELECT * FROM compared WHERE differs OR place = population ORDER BY place
"""

SLIPPING = """
SELECT coalesce(nullif(sku, ''), variant_id::text) AS name FROM (
    {window}
) AS found WHERE price_slips OR compare_at_slips ORDER BY variant_id
"""

# To what the mapped variants should go back that a sale holds; what is not synced stays as the sale has found it.
HELD_PRICES = """
WITH pair AS (
    SELECT variant.id AS variant_id, variant.sku, product.id AS nhanh_id, product.code, {old_price} AS old_price,
        item.base_price, item.base_compare_at, {price} AS wanted_price, {by_vat} IS TRUE AS is_by_vat
    FROM (SELECT store, variant_id, base_price, base_compare_at FROM dongbo.sale_items
          WHERE store = $1 AND state IN {held}) AS item
    JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
    JOIN dongbo.product_mappings AS mapping
        ON mapping.store = item.store AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
    JOIN dongbo.nhanh_products AS product
        ON product.store = item.store AND product.id = mapping.nhanh_id AND product.deleted_at IS NULL
    {related}
    WHERE variant.deleted_at IS NULL AND ({reason}) IS NULL AND {takes_part}
), planned AS (
    SELECT variant_id, base_price, base_compare_at, wanted_price AS desired_price,
        {compare_at_price} AS desired_compare_at, is_by_vat
    FROM pair
)
SELECT * FROM planned
WHERE (base_price, base_compare_at) IS DISTINCT FROM (desired_price, desired_compare_at)
ORDER BY variant_id
"""

# Mapped products of which Nhanh has not told the stock yet, and the components of mapped combos; what is not counted
# there is not asked for.
UNKNOWN_STOCK = f"""
WITH pair AS MATERIALIZED (
    SELECT product.id, product.type, product.stock_known {PAIRS} AND {IS_COUNTED}
)
SELECT id FROM pair
WHERE NOT stock_known AND coalesce(type, 1) NOT IN {NO_STOCK} AND type IS DISTINCT FROM {COMBO}
UNION
SELECT component.id FROM pair
JOIN dongbo.nhanh_combo_items AS part ON part.store = $1 AND part.combo_id = pair.id
JOIN dongbo.nhanh_products AS component ON component.store = $1 AND component.id = part.item_id
WHERE pair.type = {COMBO} AND NOT component.stock_known AND component.deleted_at IS NULL
  AND coalesce(component.type, 1) NOT IN {NO_STOCK} AND component.type IS DISTINCT FROM {COMBO}
ORDER BY id
"""

# Mapped combos, with what product/list says that they are made of, and what was known of it.
WHOLE_PAIRS = PAIRS.replace(
    "    WHERE variant.store",
    "    JOIN dongbo.nhanh_products AS whole ON whole.store = $1 AND whole.id = product.id\n    WHERE variant.store",
)
COMBOS = f"""
SELECT DISTINCT ON (product.id) product.id, whole.document->'combos' AS combos, ARRAY(
    SELECT part.item_id FROM dongbo.nhanh_combo_items AS part WHERE part.store = $1 AND part.combo_id = product.id
    ORDER BY part.item_id
) AS item_ids, ARRAY(
    SELECT part.quantity FROM dongbo.nhanh_combo_items AS part WHERE part.store = $1 AND part.combo_id = product.id
    ORDER BY part.item_id
) AS quantities
{WHOLE_PAIRS}
  AND product.type = {COMBO}
ORDER BY product.id
"""

# Mapped products whose price differs from the shop's by VAT, and whose VAT is not known, or was read long ago.
UNKNOWN_VAT = """
SELECT product.id, max(product.source_updated_at) AS updated_at {pairs} AND {needs_vat}
  AND product.price_vat_mode IN (1, 2) AND NOT EXISTS (
    SELECT FROM dongbo.nhanh_vat AS known
    WHERE known.store = $1 AND known.product_id = product.id
      AND known.product_updated_at IS NOT DISTINCT FROM product.source_updated_at
      AND known.read_at > clock_timestamp() - CASE WHEN known.rate IS NULL THEN {unknown_lasts} ELSE {known_lasts} END
  )
GROUP BY product.id ORDER BY bool_or(vat.is_read) NULLS FIRST, product.id LIMIT $4
"""
UNKNOWN_LASTS, KNOWN_LASTS = "interval '1 day'", "interval '30 days'"

# For every variant of the shop, why it gets no stock, and why no price.
LEFT_ALONE = f"""
WITH judged AS (
    SELECT variant.id, variant.sku, CASE
        WHEN mapping.id IS NULL THEN 'unmapped'
        WHEN mapping.nhanh_id IS NULL THEN 'excluded'
        WHEN product.id IS NULL THEN 'product_deleted'
        WHEN variant.tracked IS NULL OR variant.tracked AND variant.inventory_item_id IS NULL THEN 'not_pulled_yet'
        WHEN NOT variant.tracked THEN 'untracked'
        ELSE {{stock_reason}}
    END AS stock, CASE WHEN product.id IS NOT NULL THEN {{price_reason}} END AS price
    FROM dongbo.shopify_variants AS variant
    LEFT JOIN LATERAL (
        SELECT id, nhanh_id, source FROM dongbo.product_mappings
        WHERE store = $1 AND variant_id = variant.id AND retired_at IS NULL LIMIT 1
    ) AS mapping ON true
    LEFT JOIN LATERAL (
        SELECT {PRODUCT_COLUMNS} FROM dongbo.nhanh_products
        WHERE store = $1 AND id = mapping.nhanh_id AND deleted_at IS NULL LIMIT 1
    ) AS product ON true
    {RELATED} {VAT}
    WHERE variant.store = $1 AND variant.deleted_at IS NULL
)
SELECT reason, count(*) AS variants,
    (array_agg(coalesce(nullif(sku, ''), id::text) ORDER BY id))[1:{NAMED}] AS examples
FROM judged CROSS JOIN LATERAL unnest(ARRAY[stock, price]) AS reason
WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason
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

    def __init__(
        self, database: Database, store: StoreName, settings: ProductSyncSettings, shop: Shop = DEFAULT_SHOP
    ) -> None:
        """`shop`: what its prices mean; of no account where only stock is synced."""
        self._database = database
        self._store = store
        self._settings = settings
        self._depots_of = settings.depots_of
        rule = PriceRule(settings, shop)
        self._stock_window = _stock_query(settings)
        prices = {"price": "variant.price", "compare_at": "compare_at_price", "pairs": PRICED_PAIRS}
        self._price_window = _price_query(PRICE_WINDOW, rule, **prices)
        self._slipping = SLIPPING.format(window=self._price_window.replace("differs OR place = population", "true"))
        held = {"price": "item.base_price", "compare_at": "base_compare_at", "held": HELD_SQL}
        self._held_prices = _price_query(HELD_PRICES, rule, **held, related=f"{RELATED} {VAT}")
        self._left_alone = LEFT_ALONE.format(
            stock_reason=STOCK_REASON, price_reason=rule.reason if self.has_prices else "NULL"
        )
        self._unknown_vat = UNKNOWN_VAT.format(
            pairs=PRICED_PAIRS, needs_vat=rule.needs_vat, unknown_lasts=UNKNOWN_LASTS, known_lasts=KNOWN_LASTS
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

    async def prices_on_sale(self, *, is_vat_agreed: bool = True) -> dict[int, tuple[PricePair, PricePair]]:
        """{variant: (what it would go back to, what it should go back to)} of variants on sale where these differ.

        Without `is_vat_agreed` those are missing that would change by VAT: a person is to be asked first.
        """
        if not self.has_prices:
            return {}
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._held_prices, self._store)
        return {
            row["variant_id"]: (
                PricePair(row["base_price"], row["base_compare_at"]),
                PricePair(row["desired_price"], row["desired_compare_at"]),
            )
            for row in rows
            if is_vat_agreed or not row["is_by_vat"]
        }

    async def products_of_unknown_stock(self) -> list[int]:
        """Mapped products of Nhanh whose stock it has not told yet, and components of mapped combos."""
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
            rows = await connection.fetch(self._unknown_vat, self._store, 0, LAST_ID, limit)
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
            rows = await connection.fetch(self._left_alone, self._store)
            slipping = await connection.fetch(self._slipping, self._store, 0, LAST_ID, 0, 0) if self.has_prices else []
        found = {row["reason"]: LeftAlone(row["variants"], row["examples"]) for row in rows}
        if slipping:
            found["does_not_stick"] = LeftAlone(len(slipping), [row["name"] for row in slipping[:NAMED]])
        return found

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
            reason=(
                f"{_nhanh_product(row)} is a combo whose components make {row['desired']} sets in {place}"
                if row["is_combo"]
                else f"{_nhanh_product(row)} has {figures} {self._settings.stock_figure} in {place}"
            ),
        )

    def _price_row(self, row: Record) -> PriceRow:
        desired, compare_at = row["desired_price"], row["desired_compare_at_price"]
        with_vat = f", {plain(desired)} as the shop's customers pay it" if row["is_by_vat"] else ""
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
            price_reason=(
                f"{_nhanh_product(row)} has the {self._settings.price} price {plain(row['quoted_price'])}{with_vat}"
            ),
            compare_at_reason=compare_at_reason,
            is_by_vat=row["is_by_vat"],
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


def _stock_query(settings: ProductSyncSettings) -> str:
    figure = settings.stock_figure
    held = HELD_STOCK.format(figure=figure, product="pair.nhanh_id")
    sets = COMBO_SETS.format(held=HELD_STOCK.format(figure=figure, product="part.item_id"), combo="pair.nhanh_id")
    return STOCK_WINDOW.format(
        pairs=PAIRS,
        is_counted=IS_COUNTED,
        reason=STOCK_REASON,
        combo_type=COMBO,
        held=held,
        sets=sets,
        figure=figure,
        most=MAX_QUANTITY,
    )


def _price_query(template: str, rule: PriceRule, *, price: str, compare_at: str, **parts: str) -> str:
    """A query for prices; `price` and `compare_at` are what stays where they are not synced."""
    settings = rule.settings
    base = rule.amount(f"{settings.price}_price") if settings.price is not None else price
    # A reference that has no value can't be exceeded: what Nhanh has no price for is left alone altogether.
    takes_part = f"{base} > 0" if settings.price is not None else "true"
    if settings.compare_at_price is not None:
        compare_at = "CASE WHEN old_price > wanted_price THEN old_price END"
    return template.format(
        price=base,
        quoted=f"product.{settings.price}_price" if settings.price is not None else price,
        old_price=rule.amount("old_price"),
        takes_part=takes_part,
        reason=rule.reason,
        by_vat=rule.changes_by_vat,
        is_ours=PRICE_IS_OURS,
        compare_at_price=compare_at,
        price_slips=does_not_stick("price", "wanted_price", "price"),
        compare_at_slips=does_not_stick("compare_at_price", "wanted_compare_at_price", "compare_at_price"),
        **parts,
    )


def _nhanh_product(row: Record) -> str:
    code = row["code"]
    return f"Nhanh.vn {row['nhanh_id']} ({code})" if code else f"Nhanh.vn {row['nhanh_id']}"
