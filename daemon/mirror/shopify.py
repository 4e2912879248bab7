"""Pages of Shopify into `shopify_customers`, `shopify_products` and `shopify_variants`."""

from collections.abc import Sequence
from typing import Any

import orjson

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.mirror.table import Column, MirrorTable, text_array
from daemon.sources.page import SourceRow
from daemon.sources.shopify.models import ShopifyCustomer, ShopifyProduct, ShopifyVariant

CUSTOMERS = MirrorTable(
    "shopify_customers",
    (
        Column("display_name", "text"),
        Column("email", "text"),
        Column("phone", "text"),
        Column("address_phone", "text"),
        Column("note", "text"),
        text_array("tags"),
        Column("amount_spent", "numeric"),
        Column("currency", "text"),
        Column("number_of_orders", "bigint"),
        Column("state", "text"),
        Column("source_updated_at", "timestamptz"),
    ),
)

PRODUCTS = MirrorTable(
    "shopify_products",
    (
        Column("handle", "text"),
        Column("title", "text"),
        Column("status", "text"),
        Column("vendor", "text"),
        Column("product_type", "text"),
        text_array("tags"),
        Column("source_updated_at", "timestamptz"),
    ),
)

VARIANTS = MirrorTable(
    "shopify_variants",
    (
        Column("product_id", "bigint"),
        Column("inventory_item_id", "bigint"),
        Column("sku", "text"),
        Column("barcode", "text"),
        Column("title", "text"),
        Column("position", "integer"),
        Column("price", "numeric"),
        Column("compare_at_price", "numeric"),
        Column("inventory_quantity", "bigint"),
        Column("source_updated_at", "timestamptz"),
    ),
)

# A product comes with all its variants, so one that it lacks is gone.
DELETE_VARIANTS = """
UPDATE dongbo.shopify_variants SET deleted_at = now(), changed_at = now()
WHERE store = $1 AND product_id = ANY ($2) AND id <> ALL ($3) AND deleted_at IS NULL
RETURNING product_id
"""


async def upsert_customers(
    connection: Connection, store: StoreName, rows: Sequence[SourceRow[ShopifyCustomer]]
) -> Counters:
    """Store a page of customers."""
    outcome = await CUSTOMERS.upsert(connection, store, [_customer(row) for row in rows])
    return outcome.count(len(rows))


async def upsert_products(
    connection: Connection, store: StoreName, rows: Sequence[SourceRow[ShopifyProduct]]
) -> Counters:
    """Store a page of products with their variants; a product counts as updated where it or a variant has changed."""
    outcome = await PRODUCTS.upsert(connection, store, [_product(row) for row in rows])
    products = {row.value.id: row.value for row in rows}
    owners: dict[int, int] = {variant.id: product.id for product in products.values() for variant in product.variants}
    variants = [_variant(variant, product) for product in products.values() for variant in product.variants]
    written = (await VARIANTS.upsert(connection, store, variants)).written
    deleted = await connection.fetch(DELETE_VARIANTS, store, list(products), list(owners))
    changed = {owners[variant] for variant in written} | {row["product_id"] for row in deleted}
    updated = outcome.updated | (changed - outcome.created)
    return Counters(
        created=len(outcome.created),
        updated=len(updated),
        skipped=len(rows) - len(outcome.created) - len(updated),
    )


def _customer(row: SourceRow[ShopifyCustomer]) -> dict[str, Any]:
    customer = row.value
    spent = customer.amount_spent
    return {
        "id": customer.id,
        "display_name": customer.display_name,
        "email": customer.email,
        "phone": customer.phone,
        "address_phone": customer.address_phone,
        "note": customer.note,
        "tags": orjson.dumps(customer.tags).decode(),
        "amount_spent": spent.amount if spent else None,
        "currency": spent.currency_code if spent else None,
        "number_of_orders": customer.number_of_orders,
        "state": customer.state,
        "source_updated_at": customer.updated_at,
        "document": row.document,
    }


def _product(row: SourceRow[ShopifyProduct]) -> dict[str, Any]:
    product = row.value
    return {
        "id": product.id,
        "handle": product.handle,
        "title": product.title,
        "status": product.status,
        "vendor": product.vendor,
        "product_type": product.product_type,
        "tags": orjson.dumps(product.tags).decode(),
        "source_updated_at": product.updated_at,
        "document": row.document,
    }


def _variant(variant: ShopifyVariant, product: ShopifyProduct) -> dict[str, Any]:
    return {
        "id": variant.id,
        "product_id": product.id,
        "inventory_item_id": variant.inventory_item_id,
        "sku": variant.sku,
        "barcode": variant.barcode,
        "title": variant.title,
        "position": variant.position,
        "price": variant.price,
        "compare_at_price": variant.compare_at_price,
        "inventory_quantity": variant.inventory_quantity,
        "source_updated_at": variant.updated_at,
        "document": variant.document,
    }
