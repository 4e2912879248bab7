"""On how many variants each rule of a store bears: one that bears on none may be misspelt."""

from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror import shops
from daemon.sync.products.plan import depot_columns
from daemon.sync.products.queries import PlanQueries
from daemon.sync.products.rules import DEFAULT_SHOP

COUNT_PAIRS = """
SELECT count(*) FROM dongbo.shopify_variants AS variant
JOIN dongbo.product_mappings AS mapping
    ON mapping.store = variant.store AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
WHERE variant.store = $1 AND variant.deleted_at IS NULL AND mapping.nhanh_id IS NOT NULL
"""


async def count_pairs(connection: Connection, store: StoreName) -> int:
    """How many variants are mapped to a product: only on these can rules bear."""
    count: int = await connection.fetchval(COUNT_PAIRS, store)
    return count


async def count_matches(connection: Connection, store: StoreName, settings: ProductSyncSettings) -> dict[str, int]:
    """The mapped variants on which each rule bears, by its name; of one that goes by stock, at any location."""
    if not settings.rules:
        return {}
    queries = PlanQueries(settings, await shops.get(connection, store) or DEFAULT_SHOP)
    rows = await connection.fetch(queries.rule_matches, store, *depot_columns(settings.depots_of), *queries.parameters)
    found = {row["place"]: row["variants"] for row in rows}
    return {rule.name: found.get(place, 0) for place, rule in enumerate(settings.rules, start=1)}
