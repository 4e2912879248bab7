"""All SQL on `dongbo.shopify_inventory_levels`: what each location of Shopify has of an item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.database.copying import NewRows, copy_new
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sources.shopify.models import Quantities, QuantityName

ITEMS_AT_ONCE = 250  # whose levels are encoded for one statement


@dataclass(frozen=True, slots=True)
class KnownLevel:
    """What one location has of a variant's item."""

    variant_id: int
    item_id: int
    location_id: int
    quantities: Quantities


@dataclass(frozen=True, slots=True)
class PushedLevel:
    """A quantity that a push has set; `known_at`: when Shopify had said so, by the database's clock."""

    item_id: int
    location_id: int
    quantity: int
    known_at: datetime


# Only rows that differ are sent to the insert: an unchanged row is not even locked. What is on hand was not asked for
# once: that it is known from now on is no change of the stock.
UPSERT_LEVELS = """
WITH page AS (
    SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS page (inventory_item_id, location_id, variant_id, available, on_hand)
), changed AS (
    SELECT page.* FROM page LEFT JOIN dongbo.shopify_inventory_levels AS mirrored
        ON mirrored.store = $1 AND mirrored.inventory_item_id = page.inventory_item_id
       AND mirrored.location_id = page.location_id
    WHERE mirrored.inventory_item_id IS NULL OR mirrored.deleted_at IS NOT NULL
       OR mirrored.available <> page.available OR mirrored.on_hand IS DISTINCT FROM page.on_hand
       OR mirrored.variant_id <> page.variant_id
), news AS (
    SELECT changed.* FROM changed LEFT JOIN dongbo.shopify_inventory_levels AS mirrored
        ON mirrored.store = $1 AND mirrored.inventory_item_id = changed.inventory_item_id
       AND mirrored.location_id = changed.location_id
    WHERE (mirrored.pushed_at <= $7) IS NOT FALSE
)
INSERT INTO dongbo.shopify_inventory_levels AS mirrored
    (store, inventory_item_id, location_id, variant_id, available, on_hand, pushed_at)
SELECT $1, news.*, coalesce($7::timestamptz, clock_timestamp())
FROM news ORDER BY inventory_item_id, location_id
ON CONFLICT (store, inventory_item_id, location_id) DO UPDATE SET
    variant_id = excluded.variant_id, available = excluded.available, on_hand = excluded.on_hand, deleted_at = NULL,
    pushed_at = excluded.pushed_at,
    changed_at = CASE WHEN mirrored.on_hand IS NULL AND mirrored.deleted_at IS NULL
            AND (mirrored.available, mirrored.variant_id) = (excluded.available, excluded.variant_id)
        THEN mirrored.changed_at ELSE now() END
WHERE (mirrored.pushed_at <= $7) IS NOT FALSE
RETURNING variant_id, changed_at = now() AS has_changed
"""

# Deleted ones as well: a level that comes back replaces what is left of it. One by one, by the index: that none of a
# page is stocked would be looked for in all that are.
ARE_STOCKED = """
SELECT count(*) > 0 FROM unnest($2::bigint[]) AS item (id) CROSS JOIN LATERAL (
    SELECT FROM dongbo.shopify_inventory_levels WHERE store = $1 AND inventory_item_id = item.id LIMIT 1
) AS known
"""

NEW_COLUMNS = ("store", "inventory_item_id", "location_id", "variant_id", *Quantities._fields, "pushed_at")

# Shopify moves the other quantity by as much; where that has changed since it was read, the next pull sees it. What was
# asked for after the push is newer.
SET_PUSHED = """
UPDATE dongbo.shopify_inventory_levels AS mirrored
SET available = mirrored.available + (pushed.quantity - mirrored.{name}),
    on_hand = mirrored.on_hand + (pushed.quantity - mirrored.{name}),
    pushed_at = pushed.known_at, deleted_at = NULL,
    changed_at = CASE WHEN mirrored.{name} = pushed.quantity AND mirrored.deleted_at IS NULL
        THEN mirrored.changed_at ELSE now() END
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[])
    AS pushed (inventory_item_id, location_id, quantity, known_at)
WHERE mirrored.store = $1 AND mirrored.inventory_item_id = pushed.inventory_item_id
  AND mirrored.location_id = pushed.location_id AND mirrored.{name} IS NOT NULL
  AND (mirrored.pushed_at <= pushed.known_at) IS NOT FALSE
"""

# An item comes with all its levels, so at a location without one it is no longer stocked.
DELETE_LEVELS = """
UPDATE dongbo.shopify_inventory_levels AS mirrored
SET deleted_at = now(), changed_at = now(), pushed_at = greatest(pushed_at, $5::timestamptz)
WHERE store = $1 AND inventory_item_id = ANY ($2) AND deleted_at IS NULL
  AND (pushed_at <= $5::timestamptz) IS NOT FALSE AND NOT EXISTS (
    SELECT FROM unnest($3::bigint[], $4::bigint[]) AS page (inventory_item_id, location_id)
    WHERE page.inventory_item_id = mirrored.inventory_item_id AND page.location_id = mirrored.location_id
)
RETURNING variant_id
"""

# Of variants that share an item, the one that its levels stand with already.
VARIANTS_OF = """
SELECT item.id, coalesce((
    SELECT variant_id FROM dongbo.shopify_inventory_levels
    WHERE store = $1 AND inventory_item_id = item.id AND deleted_at IS NULL LIMIT 1
), (
    SELECT max(id) FROM dongbo.shopify_variants WHERE store = $1 AND inventory_item_id = item.id AND deleted_at IS NULL
)) AS variant_id
FROM unnest($2::bigint[]) AS item (id)
"""

LIST_AVAILABLE = """
SELECT inventory_item_id, location_id, available FROM dongbo.shopify_inventory_levels
WHERE store = $1 AND inventory_item_id = ANY ($2) AND deleted_at IS NULL
"""

Levels = Mapping[int, Quantities]  # by location


async def variants_of(connection: Connection, store: StoreName, item_ids: Sequence[int]) -> dict[int, int]:
    """{item: variant} of those of these inventory items that are mirrored."""
    rows = await connection.fetch(VARIANTS_OF, store, item_ids)
    return {row["id"]: row["variant_id"] for row in rows if row["variant_id"] is not None}


async def list_available(
    connection: Connection, store: StoreName, item_ids: Sequence[int]
) -> dict[tuple[int, int], int]:
    """{(item, location): available} of these inventory items."""
    rows = await connection.fetch(LIST_AVAILABLE, store, item_ids)
    return {(row["inventory_item_id"], row["location_id"]): row["available"] for row in rows}


async def set_levels(
    connection: Connection, store: StoreName, levels: Sequence[KnownLevel], asked: SnapshotTime | None = None
) -> frozenset[int]:
    """Note single levels; returns the variants whose levels have changed.

    Without `asked` they are what an activation has just brought; with it they were read, and replace nothing that was
    pushed or read after they were asked for.
    """
    rows = await connection.fetch(
        UPSERT_LEVELS,
        store,
        [level.item_id for level in levels],
        [level.location_id for level in levels],
        [level.variant_id for level in levels],
        [level.quantities.available for level in levels],
        [level.quantities.on_hand for level in levels],
        asked and asked.at,
    )
    return frozenset(row["variant_id"] for row in rows if row["has_changed"])


async def set_pushed(
    connection: Connection, store: StoreName, pushed: Sequence[PushedLevel], name: QuantityName
) -> None:
    """Note the quantities of this name that a push has set; they are of levels that are known. What was read since they
    were set stays."""
    if pushed:
        await connection.execute(
            SET_PUSHED.format(name=name),
            store,
            [level.item_id for level in pushed],
            [level.location_id for level in pushed],
            [level.quantity for level in pushed],
            [level.known_at for level in pushed],
        )


async def replace_levels(
    connection: Connection,
    store: StoreName,
    items: Mapping[int, tuple[int, Levels]],
    asked: SnapshotTime | None = None,
) -> frozenset[int]:
    """Note all levels of items, {item: (variant, {location: quantities})}; returns the variants whose levels changed.

    `asked` as in `set_levels`.
    """
    changed: set[int] = set()
    # In batches, so that no statement takes long to encode; in order, so that two pages never wait for each other.
    ordered = sorted(items.items())
    for start in range(0, len(ordered), ITEMS_AT_ONCE):
        portion = ordered[start : start + ITEMS_AT_ONCE]
        levels = [
            KnownLevel(variant_id, item_id, location_id, quantities)
            for item_id, (variant_id, by_location) in portion
            for location_id, quantities in sorted(by_location.items())
        ]
        present = [item_id for item_id, _ in portion]
        if asked is not None and await _copy_new(connection, store, present, levels, asked):
            changed |= {level.variant_id for level in levels}
            continue
        if levels:
            changed |= await set_levels(connection, store, levels, asked)
        item_ids, location_ids = [level.item_id for level in levels], [level.location_id for level in levels]
        deleted = await connection.fetch(DELETE_LEVELS, store, present, item_ids, location_ids, asked and asked.at)
        changed |= {row["variant_id"] for row in deleted}
    return frozenset(changed)


async def _copy_new(
    connection: Connection, store: StoreName, items: Sequence[int], levels: Sequence[KnownLevel], asked: SnapshotTime
) -> bool:
    """Store the levels of items none of which has any yet; whether that is so."""
    if await connection.fetchval(ARE_STOCKED, store, items):
        return False
    rows = [
        (store, level.item_id, level.location_id, level.variant_id, *level.quantities, asked.at) for level in levels
    ]
    return await copy_new(connection, NewRows("shopify_inventory_levels", NEW_COLUMNS, rows))
