"""What people choose from in forms: `dongbo.product_choices`, which triggers keep, and names of the other tables.

Each statement finds a part of a name, folded as the product search folds it, or an id.
"""

from collections.abc import Mapping
from typing import Final

from daemon.api.choices import Choice, ChoiceKind
from daemon.database.pool import Connection
from daemon.ids import StoreName

VARIANTS_LOOKED_AT = 20  # for each product that may be shown: most have fewer variants

# In a pattern, an underscore or percent sign of the text stands for itself.
PATTERN = r"('%' || regexp_replace(dongbo.folded($2), '([\\%_])', '\\\1', 'g') || '%')"


def _of_products(kind: str) -> str:
    return f"""
SELECT value, value AS label, products AS count FROM dongbo.product_choices
WHERE store = $1 AND kind = '{kind}' AND products > 0 AND searched LIKE {PATTERN}
ORDER BY products DESC, value LIMIT $3
"""


COLLECTIONS = f"""
SELECT id::text AS value, coalesce(title, reference) AS label, NULL::bigint AS count FROM dongbo.shopify_collections
WHERE store = $1 AND id IS NOT NULL
  AND (dongbo.folded(coalesce(title, '')) LIKE {PATTERN} OR dongbo.folded(reference) LIKE {PATTERN} OR id::text = $2)
GROUP BY id, title, reference ORDER BY label, id LIMIT $3
"""

LOCATIONS = f"""
SELECT id::text AS value, coalesce(name, id::text) AS label, NULL::bigint AS count FROM dongbo.shopify_locations
WHERE store = $1 AND is_active AND (dongbo.folded(coalesce(name, '')) LIKE {PATTERN} OR id::text = $2)
ORDER BY label, id LIMIT $3
"""

DEPOTS = f"""
SELECT id::text AS value, coalesce(name, id::text) AS label, NULL::bigint AS count FROM dongbo.nhanh_depots
WHERE store = $1 AND hidden_at IS NULL AND (dongbo.folded(coalesce(name, '')) LIKE {PATTERN} OR id::text = $2)
ORDER BY label, id LIMIT $3
"""

# A product is found by the texts of its variants. Some that match, and not the first of all by name: to put all of them
# in order takes longer the more there are.
PRODUCTS = f"""
SELECT product.id::text AS value, coalesce(title, handle, product.id::text) AS label, NULL::bigint AS count
FROM (
    SELECT variant.product_id AS id FROM (
        SELECT id FROM dongbo.item_texts WHERE store = $1 AND side = 'shopify' AND text LIKE {PATTERN}
        LIMIT $3::integer * {VARIANTS_LOOKED_AT}
    ) AS text
    JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = text.id
    UNION
    SELECT CASE WHEN $2 ~ '^[0-9]{{1,18}}$' THEN $2::bigint END
) AS found
JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = found.id
WHERE product.deleted_at IS NULL
ORDER BY label, product.id LIMIT $3
"""

STATEMENTS: Final[Mapping[ChoiceKind, str]] = {
    ChoiceKind.COLLECTIONS: COLLECTIONS,
    ChoiceKind.TYPES: _of_products("type"),
    ChoiceKind.VENDORS: _of_products("vendor"),
    ChoiceKind.TAGS: _of_products("tag"),
    ChoiceKind.LOCATIONS: LOCATIONS,
    ChoiceKind.DEPOTS: DEPOTS,
    ChoiceKind.PRODUCTS: PRODUCTS,
}


async def list_choices(
    connection: Connection, store: StoreName, kind: ChoiceKind, search: str, limit: int
) -> list[Choice]:
    """What there is of a kind whose name holds `search`, or whose id it is; all for ""."""
    rows = await connection.fetch(STATEMENTS[kind], store, search, limit)
    return [Choice(row["value"], row["label"], row["count"]) for row in rows]
