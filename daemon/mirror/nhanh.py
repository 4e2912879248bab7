"""Pages of Nhanh.vn into `nhanh_customers`, `nhanh_products` and `nhanh_inventory`."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.mirror.document import without
from daemon.mirror.keys import match_key
from daemon.mirror.places import depot_visibility
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.mirror.table import Column, MirrorTable
from daemon.sources.nhanh.models import Inventory, NhanhCustomer, NhanhInventory, NhanhProduct
from daemon.sources.page import SourceRow

CUSTOMERS = MirrorTable[NhanhCustomer](
    "nhanh_customers",
    (
        Column("type", "smallint", "type"),
        Column("name", "text", "name"),
        Column("mobile", "text", "mobile"),
        Column("code", "text", "code"),
        Column("email", "text", "email"),
        Column("address", "text", "address"),
        Column("points", "bigint", "points"),
        Column("total_amount", "numeric", "total_amount"),
        Column("source_updated_at", "timestamptz", "updated_at"),
    ),
)


class ReportedProduct(NamedTuple):
    """A product, and whether its row says all of its stock."""

    product: NhanhProduct
    tells_stock: bool


def _of(read: Callable[[NhanhProduct], Any]) -> Callable[[ReportedProduct], Any]:
    return lambda told: read(told.product)


PRODUCTS = MirrorTable[ReportedProduct](
    "nhanh_products",
    (
        Column("parent_id", "bigint", "product.parent_id"),
        Column("code", "text", "product.code"),
        Column("barcode", "text", "product.barcode"),
        Column("sku_key", "text", _of(lambda product: match_key(product.code))),
        Column("barcode_key", "text", _of(lambda product: match_key(product.barcode))),
        Column("stock_known", "boolean", "tells_stock"),
        Column("name", "text", "product.name"),
        Column("status", "smallint", "product.status"),
        Column("type", "smallint", "product.type"),
        Column("retail_price", "numeric", _of(lambda product: product.prices.retail if product.prices else None)),
        Column("import_price", "numeric", _of(lambda product: product.prices.import_ if product.prices else None)),
        Column("old_price", "numeric", _of(lambda product: product.prices.old if product.prices else None)),
        Column("wholesale_price", "numeric", _of(lambda product: product.prices.wholesale if product.prices else None)),
        Column("category_id", "bigint", "product.category_id"),
        Column("brand_id", "bigint", "product.brand_id"),
        Column("source_updated_at", "timestamptz", "product.updated_at"),
    ),
)

FIGURES = ("remain", "available", "holding", "shipping", "damaged", "transferring")

UPSERT_INVENTORY = f"""
WITH page AS (
    SELECT * FROM unnest($2::bigint[], $3::bigint[], {", ".join(f"${n}::numeric[]" for n in range(4, 10))})
        AS page (product_id, depot_id, {", ".join(FIGURES)})
), changed AS (
    SELECT page.* FROM page LEFT JOIN dongbo.nhanh_inventory AS mirrored
        ON mirrored.store = $1 AND mirrored.product_id = page.product_id AND mirrored.depot_id = page.depot_id
    WHERE mirrored.product_id IS NULL OR mirrored.deleted_at IS NOT NULL
       OR ({", ".join(f"mirrored.{name}" for name in FIGURES)})
          <> ({", ".join(f"round(page.{name}, 4)" for name in FIGURES)})
)
INSERT INTO dongbo.nhanh_inventory AS mirrored (store, product_id, depot_id, {", ".join(FIGURES)}, as_of)
SELECT $1, *, $10::timestamptz FROM changed ORDER BY product_id, depot_id
ON CONFLICT (store, product_id, depot_id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in FIGURES)}, changed_at = now(), deleted_at = NULL,
    as_of = greatest(mirrored.as_of, excluded.as_of)
WHERE (mirrored.as_of <= $10) IS NOT FALSE
RETURNING product_id
"""

# A depot that a product no longer names holds none of it any more, or can no longer be seen.
DELETE_INVENTORY = """
UPDATE dongbo.nhanh_inventory AS mirrored
SET deleted_at = now(), changed_at = now(), as_of = greatest(as_of, $5::timestamptz)
WHERE store = $1 AND product_id = ANY ($2) AND deleted_at IS NULL AND (as_of <= $5) IS NOT FALSE AND NOT EXISTS (
    SELECT FROM unnest($3::bigint[], $4::bigint[]) AS page (product_id, depot_id)
    WHERE page.product_id = mirrored.product_id AND page.depot_id = mirrored.depot_id
)
RETURNING product_id
"""

PRODUCTS_WITH_STOCK = """
SELECT DISTINCT product_id FROM dongbo.nhanh_inventory WHERE store = $1 AND product_id = ANY ($2)
"""

KNOW_STOCK = (
    "UPDATE dongbo.nhanh_products SET stock_known = true WHERE store = $1 AND id = ANY ($2) AND NOT stock_known"
)


async def upsert_customers(
    connection: Connection,
    store: StoreName,
    rows: Sequence[SourceRow[NhanhCustomer]],
    asked: SnapshotTime | None = None,
) -> Counters:
    """Store a page of customers."""
    customers = {row.value.id: (row.value, row.document) for row in rows}
    outcome = await CUSTOMERS.upsert(connection, store, customers, asked)
    return outcome.count(len(rows))


async def upsert_products(
    connection: Connection, store: StoreName, rows: Sequence[SourceRow[NhanhProduct]], asked: SnapshotTime | None = None
) -> Counters:
    """Store a page of products and their stock per depot; a product counts as updated where either has changed."""
    sees_all = await _sees_all(connection, store, asked)
    told = {row.value.id: ReportedProduct(row.value, sees_all and _is_told(row.value.inventory)) for row in rows}
    documents = {row.value.id: without(row.document, "inventory") for row in rows}
    products = {number: (told[number], documents[number]) for number in told}
    outcome = await PRODUCTS.upsert(connection, store, products, asked)
    stock = {row.value.id: row.value.inventory for row in rows}
    stock_changed = await _upsert_inventory(connection, store, stock, asked)
    await connection.execute(KNOW_STOCK, store, [number for number, product in told.items() if product.tells_stock])
    updated = outcome.updated | (stock_changed - outcome.created)
    return Counters(
        created=len(outcome.created),
        updated=len(updated),
        skipped=len(rows) - len(outcome.created) - len(updated),
    )


async def upsert_inventory(
    connection: Connection,
    store: StoreName,
    rows: Sequence[SourceRow[NhanhInventory]],
    asked: SnapshotTime | None = None,
) -> Counters:
    """Store a page of stock; a row counts by product: created where nothing was known of its stock before."""
    product_ids = {row.value.product_id for row in rows}
    known = {row["product_id"] for row in await connection.fetch(PRODUCTS_WITH_STOCK, store, list(product_ids))}
    stock = {row.value.id: row.value.inventory for row in rows}
    changed = await _upsert_inventory(connection, store, stock, asked)
    if await _sees_all(connection, store, asked):
        told = [row.value.id for row in rows if _is_told(row.value.inventory)]
        await connection.execute(KNOW_STOCK, store, told)
    return Counters(created=len(changed - known), updated=len(changed & known), skipped=len(rows) - len(changed))


async def record_stock(
    connection: Connection,
    store: StoreName,
    rows: Sequence[SourceRow[NhanhInventory]],
    asked_for: Sequence[int],
    asked: SnapshotTime | None = None,
) -> frozenset[int]:
    """Store the complete stock of products; returns those whose stock has changed.

    Args:
        connection: in the caller's transaction.
        store: whose products they are.
        rows: what Nhanh.vn has answered.
        asked_for: products that were asked for by their ids: those without a row there have no stock.
        asked: when that was; newer answers stay.
    """
    stock: dict[int, Inventory | None] = dict.fromkeys(asked_for, Inventory(depots=[]))
    stock |= {row.value.product_id: row.value.inventory for row in rows}
    changed = await _upsert_inventory(connection, store, stock, asked)
    await connection.execute(KNOW_STOCK, store, [number for number, told in stock.items() if _is_told(told)])
    return changed


def _is_told(inventory: Inventory | None) -> bool:
    return inventory is not None and inventory.is_told


async def _sees_all(connection: Connection, store: StoreName, asked: SnapshotTime | None) -> bool:
    """Whether no depot, which the page could not know of, has become visible since the page was asked for."""
    return asked is None or (await depot_visibility(connection, store)).since == asked.visible_since


async def _upsert_inventory(
    connection: Connection, store: StoreName, products: Mapping[int, Inventory | None], asked: SnapshotTime | None
) -> frozenset[int]:
    """Store the stock of those products that it was given for; returns those whose stock has changed."""
    at = asked and asked.at
    told = {number: inventory for number, inventory in products.items() if inventory is not None and inventory.is_told}
    if not told:
        return frozenset()
    # By depot, so that a depot that is named twice counts once.
    figures: dict[tuple[int, int], tuple[Decimal, ...]] = {
        (number, depot.depot_id): tuple(getattr(depot, name) for name in FIGURES)
        for number, inventory in told.items()
        for depot in inventory.depots or ()
    }
    product_ids, depot_ids = [key[0] for key in figures], [key[1] for key in figures]
    columns = [[values[index] for values in figures.values()] for index in range(len(FIGURES))]
    written = await connection.fetch(UPSERT_INVENTORY, store, product_ids, depot_ids, *columns, at)
    deleted = await connection.fetch(DELETE_INVENTORY, store, list(told), product_ids, depot_ids, at)
    return frozenset(row["product_id"] for row in (*written, *deleted))
