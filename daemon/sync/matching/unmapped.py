"""Whether matching may find a counterpart for something that has just come or changed: whether it is worthwhile now."""

from collections.abc import Sequence

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.sync.matching.existing_mappings import COLUMNS

# Rows of both sides that have a key in common, where one of them is mapped to nothing that is there, the other one is
# free as well, and they are not known to be in conflict.
SHARES_KEY = """
SELECT FROM dongbo.nhanh_products AS product JOIN dongbo.shopify_variants AS variant
    ON variant.store = $1 AND variant.{key} = product.{key} AND variant.deleted_at IS NULL
WHERE product.store = $1 AND product.deleted_at IS NULL AND {chosen}
  AND NOT EXISTS (
    SELECT FROM dongbo.product_mappings AS mapping JOIN dongbo.shopify_variants AS partner
        ON partner.store = $1 AND partner.id = mapping.variant_id AND partner.deleted_at IS NULL
    WHERE mapping.store = $1 AND mapping.nhanh_id = product.id AND mapping.retired_at IS NULL
  )
  AND NOT EXISTS (
    SELECT FROM dongbo.product_mappings AS mapping LEFT JOIN dongbo.nhanh_products AS partner
        ON partner.store = $1 AND partner.id = mapping.nhanh_id AND partner.deleted_at IS NULL
    WHERE mapping.store = $1 AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
      AND (mapping.nhanh_id IS NULL OR partner.id IS NOT NULL)
  )
  AND NOT EXISTS (
    SELECT FROM dongbo.match_conflicts AS conflict
    WHERE conflict.store = $1 AND conflict.kind = '{kind}' AND conflict.key = product.{key}
      AND product.id = ANY (conflict.nhanh_ids) AND variant.id = ANY (conflict.shopify_ids)
  )
"""

OF_PRODUCTS, OF_VARIANTS = "product.id = ANY ($2)", "variant.product_id = ANY ($3)"

MAY_MATCH = "SELECT " + " OR ".join(
    f"EXISTS ({SHARES_KEY.format(kind=kind, key=key, chosen=chosen)})"
    for chosen in (OF_PRODUCTS, OF_VARIANTS)
    for kind, key in COLUMNS.items()
)


async def may_match(
    connection: Connection, store: StoreName, nhanh_ids: Sequence[int], product_ids: Sequence[int]
) -> bool:
    """Whether one of these products of Nhanh.vn, or a variant of these products of Shopify, is mapped to nothing, and
    neither is something with the same SKU or barcode."""
    found: bool = await connection.fetchval(MAY_MATCH, store, nhanh_ids, product_ids)
    return found
