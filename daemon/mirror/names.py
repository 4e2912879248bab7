"""What the rows of the mirror are called: SKU and name by id, for lists that know only ids."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from daemon.database.pool import Connection
from daemon.ids import StoreName


class NamedRows(StrEnum):
    """Rows that have names."""

    VARIANTS = "variants"
    SHOPIFY_PRODUCTS = "shopify_products"
    NHANH_PRODUCTS = "nhanh_products"
    SHOPIFY_CUSTOMERS = "shopify_customers"
    NHANH_CUSTOMERS = "nhanh_customers"


class RowName(NamedTuple):
    """What a row is called; None where the mirror does not know."""

    sku: str | None
    name: str | None


NAMES: Final[Mapping[NamedRows, str]] = {
    NamedRows.VARIANTS: """
SELECT variant.id, variant.sku, concat_ws(' / ', product.title, nullif(variant.title, 'Default Title')) AS name
FROM dongbo.shopify_variants AS variant
LEFT JOIN dongbo.shopify_products AS product ON product.store = variant.store AND product.id = variant.product_id
WHERE variant.store = $1 AND variant.id = ANY ($2)
""",
    NamedRows.SHOPIFY_PRODUCTS: """
SELECT id, NULL AS sku, title AS name FROM dongbo.shopify_products WHERE store = $1 AND id = ANY ($2)
""",
    NamedRows.NHANH_PRODUCTS: """
SELECT id, code AS sku, name FROM dongbo.nhanh_products WHERE store = $1 AND id = ANY ($2)
""",
    NamedRows.SHOPIFY_CUSTOMERS: """
SELECT id, NULL AS sku, display_name AS name FROM dongbo.shopify_customers WHERE store = $1 AND id = ANY ($2)
""",
    NamedRows.NHANH_CUSTOMERS: """
SELECT id, NULL AS sku, name FROM dongbo.nhanh_customers WHERE store = $1 AND id = ANY ($2)
""",
}

LOCATIONS = "SELECT id, name FROM dongbo.shopify_locations WHERE store = $1 AND id = ANY ($2)"


async def names_of(
    connection: Connection, store: StoreName, rows: NamedRows, ids: Collection[int]
) -> Mapping[int, RowName]:
    """The names of those of the rows that the mirror has."""
    if not ids:
        return {}
    found = await connection.fetch(NAMES[rows], store, list(ids))
    return {row["id"]: RowName(row["sku"], row["name"]) for row in found}


async def locations_of(connection: Connection, store: StoreName, ids: Collection[int]) -> Mapping[int, str]:
    """The names of locations of Shopify that have one."""
    if not ids:
        return {}
    return {row["id"]: row["name"] for row in await connection.fetch(LOCATIONS, store, list(ids)) if row["name"]}
