"""Which variants of Shopify are meant by SKUs, and what belongs to variants: as far as both mirrors know."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName

MOST_OF_A_KEY = 100  # rows of a side that a SKU may stand for; what is on more of them distinguishes nothing

OF_KEYS = """
SELECT asked.key, found.id FROM unnest($2::text[]) AS asked (key) CROSS JOIN LATERAL (
    SELECT id FROM dongbo.shopify_variants
    WHERE store = $1 AND sku_key = asked.key AND deleted_at IS NULL ORDER BY id LIMIT $3
) AS found
UNION
SELECT asked.key, mapping.variant_id FROM unnest($2::text[]) AS asked (key) CROSS JOIN LATERAL (
    SELECT id FROM dongbo.nhanh_products
    WHERE store = $1 AND sku_key = asked.key AND deleted_at IS NULL ORDER BY id LIMIT $3
) AS product
JOIN dongbo.product_mappings AS mapping
    ON mapping.store = $1 AND mapping.nhanh_id = product.id AND mapping.retired_at IS NULL
JOIN dongbo.shopify_variants AS variant
    ON variant.store = $1 AND variant.id = mapping.variant_id AND variant.deleted_at IS NULL
"""

NHANH_OF_KEYS = """
SELECT asked.key, found.id FROM unnest($2::text[]) AS asked (key) CROSS JOIN LATERAL (
    SELECT id FROM dongbo.nhanh_products
    WHERE store = $1 AND sku_key = asked.key AND deleted_at IS NULL ORDER BY id LIMIT $3
) AS found
"""

PRODUCTS_OF = """
SELECT id, product_id FROM dongbo.shopify_variants WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL
"""

# The stock of a combo is that of its components.
NHANH_PRODUCTS_OF = """
SELECT variant_id, nhanh_id FROM dongbo.product_mappings
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL AND nhanh_id IS NOT NULL
UNION
SELECT mapping.variant_id, part.item_id
FROM dongbo.product_mappings AS mapping JOIN dongbo.nhanh_combo_items AS part
    ON part.store = $1 AND part.combo_id = mapping.nhanh_id
WHERE mapping.store = $1 AND mapping.variant_id = ANY ($2) AND mapping.retired_at IS NULL
"""

# Codes of variants that are mapped to nothing, where the mirror has no product of Nhanh.vn with either of them.
WITHOUT_COUNTERPART = """
SELECT sku, sku_key, barcode, barcode_key FROM dongbo.shopify_variants AS variant
WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL
  AND NOT EXISTS (
    SELECT FROM dongbo.product_mappings WHERE store = $1 AND variant_id = variant.id AND retired_at IS NULL
  )
  AND NOT EXISTS (
    SELECT FROM dongbo.nhanh_products WHERE store = $1 AND sku_key = variant.sku_key AND deleted_at IS NULL
  )
  AND NOT EXISTS (
    SELECT FROM dongbo.nhanh_products WHERE store = $1 AND barcode_key = variant.barcode_key AND deleted_at IS NULL
  )
ORDER BY id
"""


async def of_keys(connection: Connection, store: StoreName, keys: Collection[str]) -> dict[str, set[int]]:
    """{key: variants} of those of these SKUs, as `match_key` makes them, that a variant has or its product at
    Nhanh.vn."""
    return _by_first(await connection.fetch(OF_KEYS, store, sorted(keys), MOST_OF_A_KEY))


async def nhanh_of_keys(connection: Connection, store: StoreName, keys: Collection[str]) -> dict[str, set[int]]:
    """{key: products} of those of these SKUs that a product of Nhanh.vn has."""
    return _by_first(await connection.fetch(NHANH_OF_KEYS, store, sorted(keys), MOST_OF_A_KEY))


async def products_of(connection: Connection, store: StoreName, variant_ids: Collection[int]) -> dict[int, int]:
    """{variant: its product at Shopify} of those that are mirrored and not deleted."""
    return dict(await connection.fetch(PRODUCTS_OF, store, sorted(variant_ids)))


async def nhanh_products_of(
    connection: Connection, store: StoreName, variant_ids: Collection[int]
) -> dict[int, set[int]]:
    """{variant: what of Nhanh.vn makes its stock and prices} of those that are mapped."""
    return _by_first(await connection.fetch(NHANH_PRODUCTS_OF, store, sorted(variant_ids)))


async def without_counterpart(
    connection: Connection, store: StoreName, variant_ids: Collection[int]
) -> list[dict[str, str]]:
    """What Nhanh.vn may know those of these variants by that are mapped to nothing and have no counterpart in the
    mirror: of each {what it is compared as: as it is written}, the SKU before the barcode."""
    rows = await connection.fetch(WITHOUT_COUNTERPART, store, sorted(variant_ids))
    return [
        {row[key]: row[code] for code, key in (("sku", "sku_key"), ("barcode", "barcode_key")) if row[key] is not None}
        for row in rows
    ]


def _by_first(rows: Iterable[Sequence[Any]]) -> dict[Any, set[int]]:
    found: dict[Any, set[int]] = {}
    for first, second in rows:
        found.setdefault(first, set()).add(second)
    return found
