"""All SQL on `dongbo.shopify_inventory_levels`: how much of an item Shopify has available at each location."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.snapshot_time import SnapshotTime

ITEMS_AT_ONCE = 250  # whose levels are encoded for one statement


@dataclass(frozen=True, slots=True)
class KnownLevel:
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
), news AS (
    SELECT changed.* FROM changed LEFT JOIN dongbo.shopify_inventory_levels AS mirrored
        ON mirrored.store = $1 AND mirrored.inventory_item_id = changed.inventory_item_id
       AND mirrored.location_id = changed.location_id
    WHERE (mirrored.pushed_at <= $6) IS NOT FALSE
)
INSERT INTO dongbo.shopify_inventory_levels AS mirrored
    (store, inventory_item_id, location_id, variant_id, available, pushed_at)
SELECT $1, news.*, CASE WHEN $6::timestamptz IS NULL THEN clock_timestamp() END
FROM news ORDER BY inventory_item_id, location_id
ON CONFLICT (store, inventory_item_id, location_id) DO UPDATE SET
    variant_id = excluded.variant_id, available = excluded.available, changed_at = now(), deleted_at = NULL,
    pushed_at = coalesce(excluded.pushed_at, mirrored.pushed_at)
WHERE (mirrored.pushed_at <= $6) IS NOT FALSE
RETURNING variant_id
"""

# An item comes with all its levels, so at a location without one it is no longer stocked.
DELETE_LEVELS = """
UPDATE dongbo.shopify_inventory_levels AS mirrored SET deleted_at = now(), changed_at = now()
WHERE store = $1 AND inventory_item_id = ANY ($2) AND deleted_at IS NULL
  AND (pushed_at <= $5::timestamptz) IS NOT FALSE AND NOT EXISTS (
    SELECT FROM unnest($3::bigint[], $4::bigint[]) AS page (inventory_item_id, location_id)
    WHERE page.inventory_item_id = mirrored.inventory_item_id AND page.location_id = mirrored.location_id
)
RETURNING variant_id
"""


async def set_levels(
    connection: Connection, store: StoreName, levels: Sequence[KnownLevel], asked: SnapshotTime | None = None
) -> frozenset[int]:
    """Note single levels; returns the variants whose levels have changed.

    Without `asked` they are what a push has set or has just read; with it they come from a pull, and replace nothing
    that was pushed after they were asked for.
    """
    rows = await connection.fetch(
        UPSERT_LEVELS,
        store,
        [level.item_id for level in levels],
        [level.location_id for level in levels],
        [level.variant_id for level in levels],
        [level.available for level in levels],
        asked and asked.at,
    )
    return frozenset(row["variant_id"] for row in rows)


async def replace_levels(
    connection: Connection,
    store: StoreName,
    items: Mapping[int, tuple[int, Mapping[int, int]]],
    asked: SnapshotTime | None = None,
) -> frozenset[int]:
    """Note all levels of items, {item: (variant, {location: available})}; returns the variants whose levels changed.

    `asked` as in `set_levels`.
    """
    changed: set[int] = set()
    # In batches, so that no statement takes long to encode; in order, so that two pages never wait for each other.
    ordered = sorted(items.items())
    for start in range(0, len(ordered), ITEMS_AT_ONCE):
        portion = ordered[start : start + ITEMS_AT_ONCE]
        levels = [
            KnownLevel(variant_id, item_id, location_id, available)
            for item_id, (variant_id, by_location) in portion
            for location_id, available in by_location.items()
        ]
        if levels:
            changed |= await set_levels(connection, store, levels, asked)
        item_ids, location_ids = [level.item_id for level in levels], [level.location_id for level in levels]
        present = [item_id for item_id, _ in portion]
        deleted = await connection.fetch(DELETE_LEVELS, store, present, item_ids, location_ids, asked and asked.at)
        changed |= {row["variant_id"] for row in deleted}
    return frozenset(changed)
