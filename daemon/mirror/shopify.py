"""Pages of Shopify into `shopify_customers`, `shopify_products` and `shopify_variants`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import orjson

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.mirror.keys import match_key
from daemon.mirror.levels import replace_levels
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.mirror.table import Column, MirrorTable
from daemon.sources.decode import RowDecoder, UnfitRowError
from daemon.sources.page import SourceRow
from daemon.sources.shopify.models import ShopifyCustomer, ShopifyProduct, ShopifyVariant, dec_hook

CUSTOMER_DOCUMENTS = RowDecoder(ShopifyCustomer, dec_hook=dec_hook)


def _metafields(customer: ShopifyCustomer) -> str:
    return msgspec.json.encode(customer.metafields).decode()


CUSTOMERS = MirrorTable[ShopifyCustomer](
    "shopify_customers",
    (
        Column("display_name", "text", "display_name"),
        Column("email", "text", "email"),
        Column("phone", "text", "phone"),
        Column("address_phone", "text", "address_phone"),
        Column("note", "text", "note"),
        Column("tags", "text[]", "tags"),
        Column("amount_spent", "numeric", lambda customer: customer.amount_spent and customer.amount_spent.amount),
        Column("currency", "text", lambda customer: customer.amount_spent and customer.amount_spent.currency_code),
        Column("number_of_orders", "bigint", "number_of_orders"),
        Column("state", "text", "state"),
        Column("metafields", "jsonb", _metafields),
        Column("source_updated_at", "timestamptz", "updated_at"),
        Column("version", "timestamptz", "version"),
    ),
    is_pushed=True,
    beside=lambda customer: msgspec.json.encode(customer.metafields),
)

PRODUCTS = MirrorTable[ShopifyProduct](
    "shopify_products",
    (
        Column("handle", "text", "handle"),
        Column("title", "text", "title"),
        Column("status", "text", "status"),
        Column("vendor", "text", "vendor"),
        Column("product_type", "text", "product_type"),
        Column("tags", "text[]", "tags"),
        Column("source_updated_at", "timestamptz", "updated_at"),
        Column("version", "timestamptz", "version"),
    ),
)


class OwnedVariant(NamedTuple):
    """A variant and the product that it belongs to."""

    variant: ShopifyVariant
    product_id: int


VARIANTS = MirrorTable[OwnedVariant](
    "shopify_variants",
    (
        Column("product_id", "bigint", "product_id"),
        Column("inventory_item_id", "bigint", "variant.inventory_item_id"),
        Column("sku", "text", "variant.sku"),
        Column("barcode", "text", "variant.barcode"),
        Column("sku_key", "text", lambda row: match_key(row.variant.sku)),
        Column("barcode_key", "text", lambda row: match_key(row.variant.barcode)),
        Column("tracked", "boolean", lambda row: bool(row.variant.tracked)),
        Column("title", "text", "variant.title"),
        Column("position", "integer", "variant.position"),
        Column("price", "numeric", "variant.price"),
        Column("compare_at_price", "numeric", "variant.compare_at_price"),
        Column("inventory_quantity", "bigint", "variant.inventory_quantity"),
        Column("source_updated_at", "timestamptz", "variant.updated_at"),
    ),
    is_pushed=True,
)

# A product comes with all its variants, so a missing one is gone.
# What a product has had since it was last read is not in an older answer, and what that has besides may be gone.
LIST_NEWER = """
SELECT id FROM dongbo.shopify_products
WHERE store = $1 AND id = ANY ($2) AND (as_of > $3 OR deleted_at > $3)
"""

DELETE_VARIANTS = """
UPDATE dongbo.shopify_variants SET deleted_at = coalesce($4::timestamptz, now()), changed_at = now()
WHERE store = $1 AND product_id = ANY ($2) AND id <> ALL ($3) AND deleted_at IS NULL
  AND (pushed_at <= $4) IS NOT FALSE
RETURNING product_id
"""

SET_PRICES = """
UPDATE dongbo.shopify_variants AS variant
SET price = known.price, compare_at_price = known.compare_at_price,
    pushed_at = coalesce($5, clock_timestamp()),
    digest = CASE WHEN (variant.price, variant.compare_at_price) IS DISTINCT FROM (known.price, known.compare_at_price)
        THEN '' ELSE digest END,
    changed_at = CASE WHEN (variant.price, variant.compare_at_price)
        IS DISTINCT FROM (known.price, known.compare_at_price) THEN now() ELSE changed_at END
FROM unnest($2::bigint[], $3::numeric[], $4::numeric[]) AS known (id, price, compare_at_price)
WHERE variant.store = $1 AND variant.id = known.id
  AND CASE WHEN $5::timestamptz IS NULL THEN true
      ELSE (variant.price, variant.compare_at_price) IS DISTINCT FROM (known.price, known.compare_at_price)
          AND (variant.pushed_at <= $5) IS NOT FALSE
      END
"""


LIST_PRODUCT_FIGURES = """
SELECT id, title, vendor, product_type, tags, status FROM dongbo.shopify_products
WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL
"""

LIST_VARIANT_FIGURES = """
SELECT product_id, id, sku, barcode, price, compare_at_price, inventory_item_id FROM dongbo.shopify_variants
WHERE store = $1 AND product_id = ANY ($2) AND deleted_at IS NULL
"""

LIST_DOCUMENTS = """
SELECT id, document FROM dongbo.shopify_customers WHERE store = $1 AND id = ANY ($2)
"""

# Only rows that exist and were read whole.
LIST_WHOLE = """
SELECT id, version FROM dongbo.{table} WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL
  AND digest <> ''  -- a migration wants it read again
"""

NOTE_VERSIONS = """
UPDATE dongbo.{table} AS mirrored SET version = page.version
FROM unnest($2::bigint[], $3::timestamptz[]) AS page (id, version)
WHERE mirrored.store = $1 AND mirrored.id = page.id AND mirrored.version IS DISTINCT FROM page.version
  AND mirrored.source_updated_at = page.version
"""

# Shopify gives times in whole seconds: of two changes within one second, the later has the same time.
TICK = timedelta(seconds=1)

LIST_VERSIONS = """
SELECT id, source_updated_at FROM dongbo.shopify_products WHERE store = $1 AND id = ANY ($2)
"""


async def upsert_customers(
    connection: Connection,
    store: StoreName,
    rows: Sequence[SourceRow[ShopifyCustomer]],
    asked: SnapshotTime | None = None,
) -> Counters:
    """Store a page of customers. What Shopify keeps from the app stays as last known."""
    versions = _versions([row.value for row in rows], asked)
    customers: dict[int, tuple[ShopifyCustomer, bytes]] = {row.value.id: (row.value, row.document) for row in rows}
    denied = [number for number, (customer, _) in customers.items() if customer.denied]
    if denied:
        known = dict(await connection.fetch(LIST_DOCUMENTS, store, denied))
        customers |= {number: _with_known(*customers[number], orjson.loads(known[number])) for number in known}
    outcome = await CUSTOMERS.upsert(connection, store, customers, asked)
    await connection.execute(NOTE_VERSIONS.format(table=CUSTOMERS.name), store, list(versions), list(versions.values()))
    return outcome.count(len(rows))


def _with_known(customer: ShopifyCustomer, document: bytes, known: Mapping[str, Any]) -> tuple[ShopifyCustomer, bytes]:
    """A customer with fields that may not be read, filled with what was read of these before."""
    merged: dict[str, Any] = orjson.loads(document)
    for path in sorted(customer.denied):
        _copy(path.split("."), known, merged)
    whole = orjson.dumps(merged)
    try:
        value = CUSTOMER_DOCUMENTS.value(whole)
    except UnfitRowError:  # stored by another version of this program
        return customer, document
    value.metafields, value.denied = customer.metafields, customer.denied
    return value, whole


def _copy(path: Sequence[str], source: Any, target: Any) -> None:
    """Copy what is at a path in one document to the same path in another, as far as the path exists in both."""
    *around, last = path
    for name in around:
        source = source.get(name) if isinstance(source, dict) else None
        target = target.get(name) if isinstance(target, dict) else None
    if isinstance(source, dict) and isinstance(target, dict) and source.get(last) is not None:
        target[last] = source[last]


async def upsert_products(
    connection: Connection,
    store: StoreName,
    rows: Sequence[SourceRow[ShopifyProduct]],
    asked: SnapshotTime | None = None,
) -> Counters:
    """Store a page of products with their variants and stock levels.

    A product counts as updated where it, a variant or a level has changed. One that the mirror knows as of a later time
    is left alone with all that belongs to it: a variant that it does not have may have been deleted since.
    """
    versions = _versions([row.value for row in rows], asked)
    documents: dict[int, tuple[ShopifyProduct, bytes]] = {row.value.id: (row.value, row.document) for row in rows}
    outcome = await PRODUCTS.upsert(connection, store, documents, asked)
    products = {row.value.id: row.value for row in rows}
    if asked is not None:
        for row in await connection.fetch(LIST_NEWER, store, list(products.keys() - outcome.written), asked.at):
            del products[row["id"]]
    owners: dict[int, int] = {variant.id: product.id for product in products.values() for variant in product.variants}
    variants: dict[int, tuple[OwnedVariant, bytes]] = {
        variant.id: (OwnedVariant(variant, product.id), variant.document)
        for product in products.values()
        for variant in product.variants
    }
    written = (await VARIANTS.upsert(connection, store, variants, asked)).written
    deleted = await connection.fetch(DELETE_VARIANTS, store, list(products), list(owners), asked and asked.at)
    items = {
        variant.inventory_item_id: (variant.id, variant.levels)
        for variant, _product in (row for row, _document in variants.values())
        if variant.inventory_item_id is not None
    }
    moved = await replace_levels(connection, store, items, asked)
    changed = {owners[variant] for variant in (*written, *moved) if variant in owners}
    changed |= {row["product_id"] for row in deleted}
    await connection.execute(NOTE_VERSIONS.format(table=PRODUCTS.name), store, list(versions), list(versions.values()))
    updated = outcome.updated | (changed - outcome.created)
    return Counters(
        created=len(outcome.created),
        updated=len(updated),
        skipped=len(rows) - len(outcome.created) - len(updated),
    )


async def list_whole(
    connection: Connection, table: MirrorTable[Any], store: StoreName, row_ids: Sequence[int]
) -> dict[int, datetime | None]:
    """The times of change at which these rows, products or customers, were read whole; deleted rows are absent."""
    rows = await connection.fetch(LIST_WHOLE.format(table=table.name), store, row_ids)
    return {row["id"]: row["version"] for row in rows}


async def list_versions(
    connection: Connection, store: StoreName, product_ids: Sequence[int]
) -> dict[int, datetime | None]:
    """When Shopify had last changed each of these products, according to the last pull that stored it."""
    rows = await connection.fetch(LIST_VERSIONS, store, product_ids)
    return {row["id"]: row["source_updated_at"] for row in rows}


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """What a push, or matching, draws on of a variant; SKU and barcode are empty where it has none."""

    sku: str
    barcode: str
    price: Decimal | None
    compare_at_price: Decimal | None
    inventory_item_id: int | None


@dataclass(frozen=True, slots=True)
class MirroredProduct:
    """What tells whether a product has changed in what matters here; its variants by their ids."""

    title: str | None
    vendor: str | None
    product_type: str | None
    tags: frozenset[str]
    status: str | None
    variants: Mapping[int, VariantFigures]


async def list_figures(
    connection: Connection, store: StoreName, product_ids: Sequence[int]
) -> dict[int, MirroredProduct]:
    """These products as the mirror has them; deleted ones are absent."""
    variants: dict[int, dict[int, VariantFigures]] = {}
    for row in await connection.fetch(LIST_VARIANT_FIGURES, store, product_ids):
        variants.setdefault(row["product_id"], {})[row["id"]] = VariantFigures(
            row["sku"] or "", row["barcode"] or "", row["price"], row["compare_at_price"], row["inventory_item_id"]
        )
    return {
        row["id"]: MirroredProduct(
            title=row["title"],
            vendor=row["vendor"],
            product_type=row["product_type"],
            tags=frozenset(row["tags"] or ()),
            status=row["status"],
            variants=variants.get(row["id"], {}),
        )
        for row in await connection.fetch(LIST_PRODUCT_FIGURES, store, product_ids)
    }


async def set_prices(
    connection: Connection,
    store: StoreName,
    prices: Mapping[int, tuple[Decimal, Decimal | None]],
    asked_at: datetime | None = None,
) -> None:
    """Note prices and compare-at prices of variants, such as those that a push has set.

    `asked_at`: for prices that were read, when Shopify was asked for them, by the database's clock. What was pushed or
    read since then is newer, and stays.

    The document keeps what the last pull read, and the emptied digest makes the next pull write the variant whole.
    """
    columns = [price for price, _ in prices.values()], [compare_at for _, compare_at in prices.values()]
    await connection.execute(SET_PRICES, store, list(prices), *columns, asked_at)


def _versions(rows: Sequence[ShopifyProduct | ShopifyCustomer], asked: SnapshotTime | None) -> dict[int, datetime]:
    """Give each row the time of change at which it is known whole, if it is; returns {id: time} of those that are."""
    source_time = asked.source_time if asked is not None else None
    for row in rows:
        is_whole = source_time is not None and row.updated_at is not None and row.updated_at + TICK <= source_time
        is_whole = is_whole and not getattr(row, "denied", ())
        row.version = row.updated_at if is_whole else None
    return {row.id: row.version for row in rows if row.version is not None}
