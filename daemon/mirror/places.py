"""All SQL on `dongbo.nhanh_depots` and `dongbo.shopify_locations`: where stock is kept, as each side reports it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.database.pool import Connection
from daemon.ids import StoreName

# A depot that was hidden for a while counts as visible only from now on: what changed in it meanwhile was not seen.
SHOW_DEPOTS = """
INSERT INTO dongbo.nhanh_depots AS known (store, id, name)
SELECT $1, depot.id, depot.name FROM unnest($2::bigint[], $3::text[]) AS depot (id, name) ORDER BY depot.id
ON CONFLICT (store, id) DO UPDATE SET
    name = excluded.name,
    visible_since = CASE WHEN known.hidden_at IS NULL THEN known.visible_since ELSE clock_timestamp() END,
    hidden_at = NULL
WHERE known.hidden_at IS NOT NULL OR known.name IS DISTINCT FROM excluded.name
"""

HIDE_DEPOTS = """
UPDATE dongbo.nhanh_depots SET hidden_at = clock_timestamp()
WHERE store = $1 AND id <> ALL ($2) AND hidden_at IS NULL
"""

LIST_DEPOTS = "SELECT id, name, visible_since, hidden_at FROM dongbo.nhanh_depots WHERE store = $1 ORDER BY id"

STORE_LOCATIONS = """
INSERT INTO dongbo.shopify_locations AS known (store, id, name, is_active)
SELECT $1, place.id, place.name, place.is_active
FROM unnest($2::bigint[], $3::text[], $4::boolean[]) AS place (id, name, is_active) ORDER BY place.id
ON CONFLICT (store, id) DO UPDATE SET name = excluded.name, is_active = excluded.is_active, changed_at = now()
WHERE (known.name, known.is_active) IS DISTINCT FROM (excluded.name, excluded.is_active)
"""

CLOSE_LOCATIONS = """
UPDATE dongbo.shopify_locations SET is_active = false, changed_at = now()
WHERE store = $1 AND id <> ALL ($2) AND is_active
"""

SIGHT = """
SELECT max(visible_since) AS since, count(*) FILTER (WHERE hidden_at IS NULL AND id = ANY ($2)) AS visible
FROM dongbo.nhanh_depots WHERE store = $1
"""

# All stock must be read again once a depot becomes visible: what was or changed in it was not reported.
DOUBT_STOCK = "UPDATE dongbo.nhanh_products SET stock_known = false WHERE store = $1 AND stock_known"

LIST_NAMES = """
SELECT id, name FROM dongbo.shopify_locations WHERE store = $1 AND id = ANY ($2) AND name IS NOT NULL
UNION ALL SELECT id, name FROM dongbo.nhanh_depots WHERE store = $1 AND id = ANY ($3) AND name IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Depot:
    """A depot of Nhanh.vn that the access token can see, or once could."""

    id: int
    name: str | None
    visible_since: datetime
    hidden_at: datetime | None  # None while it is visible


@dataclass(frozen=True, slots=True)
class DepotVisibility:
    """What the access token could see at a moment: the same again means that no depot has become visible since."""

    since: datetime | None  # compared for equality only, so that no two clocks are
    are_visible: bool  # all of the depots that were asked about


async def store_depots(connection: Connection, store: StoreName, depots: Sequence[tuple[int, str | None]]) -> None:
    """Note which depots, (id, name), the access token can see now; where some became visible, no stock is known."""
    depot_ids = [depot_id for depot_id, _ in depots]
    before = await depot_visibility(connection, store)
    await connection.execute(SHOW_DEPOTS, store, depot_ids, [name for _, name in depots])
    await connection.execute(HIDE_DEPOTS, store, depot_ids)
    if await depot_visibility(connection, store) != before:
        await connection.execute(DOUBT_STOCK, store)


async def list_depots(connection: Connection, store: StoreName) -> list[Depot]:
    """All depots that were ever seen."""
    return [Depot(**row) for row in await connection.fetch(LIST_DEPOTS, store)]


async def names(
    connection: Connection, store: StoreName, locations: Sequence[int], depots: Sequence[int]
) -> dict[int, str]:
    """What these locations and depots are called, of those whose name is known. Their numbers never meet: those of
    Shopify have eleven digits and more."""
    rows = await connection.fetch(LIST_NAMES, store, locations, depots)
    return {row["id"]: row["name"] for row in rows}


async def store_locations(
    connection: Connection, store: StoreName, locations: Sequence[tuple[int, str | None, bool]]
) -> None:
    """Note the shop's locations, (id, name, is active); those that are missing are gone."""
    location_ids = [location_id for location_id, _, _ in locations]
    names, active = [name for _, name, _ in locations], [is_active for _, _, is_active in locations]
    await connection.execute(STORE_LOCATIONS, store, location_ids, names, active)
    await connection.execute(CLOSE_LOCATIONS, store, location_ids)


async def depot_visibility(
    connection: Connection, store: StoreName, depot_ids: Collection[int] = ()
) -> DepotVisibility:
    """What the access token can see now, as it was last noted."""
    row = await connection.fetchrow(SIGHT, store, list(depot_ids))
    return DepotVisibility(row["since"], row["visible"] == len(set(depot_ids)))
