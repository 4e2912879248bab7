"""Which mapped variants of Shopify something leads to: pairs of its number and the variant's."""

from collections.abc import Collection
from datetime import datetime

from daemon.database.pool import Connection
from daemon.ids import StoreName

Pairs = list[tuple[int, int]]

# A combo has no stock of its own: that of its components is its.
OF_NHANH_PRODUCTS = """
SELECT asked.id, mapping.variant_id FROM unnest($2::bigint[]) AS asked (id)
JOIN dongbo.product_mappings AS mapping
    ON mapping.store = $1 AND mapping.nhanh_id = asked.id AND mapping.retired_at IS NULL
UNION
SELECT part.item_id, mapping.variant_id FROM dongbo.nhanh_combo_items AS part
JOIN dongbo.product_mappings AS mapping
    ON mapping.store = $1 AND mapping.nhanh_id = part.combo_id AND mapping.retired_at IS NULL
WHERE part.store = $1 AND part.item_id = ANY ($2)
"""

COUNTERPARTS = """
SELECT mapping.nhanh_id AS id, mapping.variant_id FROM dongbo.product_mappings AS mapping
WHERE mapping.store = $1 AND mapping.variant_id = ANY ($2) AND mapping.retired_at IS NULL
  AND mapping.nhanh_id IS NOT NULL
UNION
SELECT part.item_id, mapping.variant_id FROM dongbo.product_mappings AS mapping
JOIN dongbo.nhanh_combo_items AS part ON part.store = $1 AND part.combo_id = mapping.nhanh_id
WHERE mapping.store = $1 AND mapping.variant_id = ANY ($2) AND mapping.retired_at IS NULL
"""

OF_VARIANTS = """
SELECT variant.{column} AS id, mapping.variant_id FROM dongbo.shopify_variants AS variant
JOIN dongbo.product_mappings AS mapping
    ON mapping.store = $1 AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
WHERE variant.store = $1 AND variant.{column} = ANY ($2) AND variant.deleted_at IS NULL
  AND mapping.nhanh_id IS NOT NULL
"""

ITEMS_OF = """
SELECT DISTINCT inventory_item_id AS id FROM dongbo.shopify_variants
WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL AND tracked AND inventory_item_id IS NOT NULL
"""

MAPPED_SINCE = """
SELECT variant_id AS id FROM dongbo.product_mappings
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL AND created_at >= $3
"""


async def of_nhanh_products(connection: Connection, store: StoreName, nhanh_ids: Collection[int]) -> Pairs:
    """Those of products of Nhanh.vn, and of the combos that these are a component of."""
    return await _pairs(connection, OF_NHANH_PRODUCTS, store, nhanh_ids)


async def of_shopify_products(connection: Connection, store: StoreName, product_ids: Collection[int]) -> Pairs:
    """Those of products of Shopify."""
    return await _pairs(connection, OF_VARIANTS.format(column="product_id"), store, product_ids)


async def of_items(connection: Connection, store: StoreName, item_ids: Collection[int]) -> Pairs:
    """Those of inventory items of Shopify."""
    return await _pairs(connection, OF_VARIANTS.format(column="inventory_item_id"), store, item_ids)


async def counterparts(connection: Connection, store: StoreName, variant_ids: Collection[int]) -> Pairs:
    """The products of Nhanh.vn that these variants are mapped to, and their components, with the variants."""
    return await _pairs(connection, COUNTERPARTS, store, variant_ids)


async def items_of(connection: Connection, store: StoreName, variant_ids: Collection[int]) -> set[int]:
    """The inventory items of these variants that are tracked."""
    rows = await connection.fetch(ITEMS_OF, store, sorted(variant_ids)) if variant_ids else []
    return {row["id"] for row in rows}


async def mapped_since(
    connection: Connection, store: StoreName, variant_ids: Collection[int], since: datetime
) -> set[int]:
    """Those of these variants that have got their product since then."""
    return {row["id"] for row in await connection.fetch(MAPPED_SINCE, store, sorted(variant_ids), since)}


async def _pairs(connection: Connection, statement: str, store: StoreName, numbers: Collection[int]) -> Pairs:
    if not numbers:
        return []
    return [(row["id"], row["variant_id"]) for row in await connection.fetch(statement, store, sorted(numbers))]
