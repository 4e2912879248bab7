"""All SQL on `dongbo.shopify_inventory_levels`: what Shopify has available of an item at each of its locations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.database.pool import Connection
from daemon.ids import StoreName


@dataclass(frozen=True, slots=True)
class Level:
    """What is available of a variant's item at one location."""

    variant_id: int
    item_id: int
    location_id: int
    available: int


# Only rows that differ are sent to the insert: an unchanged row is not even locked.
UPSERT_LEVELS = """
WITH page AS (
    SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS page (inventory_item_id, location_id, variant_id, available)
), changed AS (
    SELECT page.* FROM page LEFT JOIN dongbo.shopify_inventory_levels AS mirrored
        ON mirrored.store = $1 AND mirrored.inventory_item_id = page.inventory_item_id
       AND mirrored.location_id = page.location_id
    WHERE mirrored.inventory_item_id IS NULL OR mirrored.deleted_at IS NOT NULL
       OR mirrored.available <> page.available OR mirrored.variant_id <> page.variant_id
)
INSERT INTO dongbo.shopify_inventory_levels (store, inventory_item_id, location_id, variant_id, available)
SELECT $1, * FROM changed ORDER BY inventory_item_id, location_id
ON CONFLICT (store, inventory_item_id, location_id) DO UPDATE SET
    variant_id = excluded.variant_id, available = excluded.available, changed_at = now(), deleted_at = NULL
RETURNING variant_id
"""

# An item comes with all its levels, so at a location that it lacks it is not stocked any more.
DELETE_LEVELS = """
UPDATE dongbo.shopify_inventory_levels AS mirrored SET deleted_at = now(), changed_at = now()
WHERE store = $1 AND inventory_item_id = ANY ($2) AND deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM unnest($3::bigint[], $4::bigint[]) AS page (inventory_item_id, location_id)
    WHERE page.inventory_item_id = mirrored.inventory_item_id AND page.location_id = mirrored.location_id
)
RETURNING variant_id
"""


async def set_levels(connection: Connection, store: StoreName, levels: Sequence[Level]) -> frozenset[int]:
    """Note single levels, such as those that a push has set; the variants whose levels have changed by it."""
    rows = await connection.fetch(
        UPSERT_LEVELS,
        store,
        [level.item_id for level in levels],
        [level.location_id for level in levels],
        [level.variant_id for level in levels],
        [level.available for level in levels],
    )
    return frozenset(row["variant_id"] for row in rows)


async def replace_levels(
    connection: Connection, store: StoreName, items: Mapping[int, tuple[int, Mapping[int, int]]]
) -> frozenset[int]:
    """Note all levels of items, {item: (variant, {location: available})}; the variants whose levels have changed."""
    levels = [
        Level(variant_id, item_id, location_id, available)
        for item_id, (variant_id, by_location) in items.items()
        for location_id, available in by_location.items()
    ]
    changed = await set_levels(connection, store, levels) if levels else frozenset()
    item_ids, location_ids = [level.item_id for level in levels], [level.location_id for level in levels]
    deleted = await connection.fetch(DELETE_LEVELS, store, list(items), item_ids, location_ids)
    return changed | {row["variant_id"] for row in deleted}
