"""All SQL on `dongbo.match_conflicts`: keys that several rows of a side share, so that a person must decide.

The conflicts of a run are gathered in the temporary table `found_conflicts`; only what differs is written.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName

CREATE_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS found_conflicts (
    kind text, key text, nhanh_ids bigint[], shopify_ids bigint[], waiting bigint[]
) ON COMMIT DELETE ROWS
"""

# Somebody waits for a decision, and on either side there is a row that no other key has settled: who has got a mapping
# by this very key, before somebody else got the same key, is a candidate.
FIND_SHARED_KEYS = """
INSERT INTO pg_temp.found_conflicts
SELECT '{kind}', key, product.ids, variant.ids, variant.waiting
FROM (
    SELECT shared.key, array_agg(product.id ORDER BY product.id) AS ids,
        bool_or(mapping.source IS NULL OR mapping.source = '{kind}') AS is_open,
        bool_or(mapping.source IS NULL) AS is_waiting
    FROM pg_temp.match_keys AS shared
    JOIN pg_temp.match_products AS product ON product.{column} = shared.key
    LEFT JOIN pg_temp.match_mappings AS mapping ON mapping.nhanh_id = product.id
    WHERE shared.kind = '{kind}' AND (shared.products > 1 OR shared.variants > 1)
    GROUP BY shared.key
) AS product
JOIN (
    SELECT shared.key, array_agg(variant.id ORDER BY variant.id) AS ids,
        bool_or(mapping.source IS NULL OR mapping.source = '{kind}') AS is_open,
        coalesce(array_agg(variant.id ORDER BY variant.id) FILTER (WHERE mapping.source IS NULL), '{{}}') AS waiting
    FROM pg_temp.match_keys AS shared
    JOIN pg_temp.match_variants AS variant ON variant.{column} = shared.key AND variant.on_sale = shared.on_sale
    LEFT JOIN pg_temp.match_mappings AS mapping ON mapping.variant_id = variant.id
    WHERE shared.kind = '{kind}' AND (shared.products > 1 OR shared.variants > 1)
    GROUP BY shared.key
) AS variant USING (key)
WHERE product.is_open AND variant.is_open AND (product.is_waiting OR variant.waiting <> '{{}}')
"""

DELETE_SETTLED = """
DELETE FROM dongbo.match_conflicts AS known
WHERE store = $1 AND kind = ANY ($2) AND ($3::text[] IS NULL OR key = ANY ($3)) AND NOT EXISTS (
    SELECT FROM pg_temp.found_conflicts AS found WHERE found.kind = known.kind AND found.key = known.key
)
"""

WRITE_CHANGED = """
INSERT INTO dongbo.match_conflicts (store, kind, key, nhanh_ids, shopify_ids)
SELECT $1, found.kind, found.key, found.nhanh_ids, found.shopify_ids
FROM pg_temp.found_conflicts AS found
LEFT JOIN dongbo.match_conflicts AS known
    ON known.store = $1 AND known.kind = found.kind AND known.key = found.key
WHERE known.key IS NULL OR (known.nhanh_ids, known.shopify_ids) <> (found.nhanh_ids, found.shopify_ids)
ON CONFLICT (store, kind, key) DO UPDATE SET nhanh_ids = excluded.nhanh_ids, shopify_ids = excluded.shopify_ids
"""

COUNT = """
SELECT (SELECT count(*) FROM pg_temp.found_conflicts) AS conflicts,
    (SELECT count(DISTINCT id) FROM pg_temp.found_conflicts, unnest(waiting) AS id) AS ambiguous
"""

TAKE_SAMPLE = """
SELECT kind, key, nhanh_ids[:$1] AS nhanh_ids, shopify_ids[:$1] AS shopify_ids
FROM pg_temp.found_conflicts ORDER BY kind DESC, key LIMIT $1
"""


async def create_table(connection: Connection) -> None:
    """Make room for the conflicts of a run, until the end of the caller's transaction."""
    await connection.execute(CREATE_TABLE)


async def find_shared_keys(connection: Connection, columns: Mapping[str, str]) -> None:
    """Gather the keys {kind: column} of products and variants that several rows of a side share."""
    await create_table(connection)
    for kind, column in columns.items():
        await connection.execute(FIND_SHARED_KEYS.format(kind=kind, column=column))


async def write(
    connection: Connection, store: StoreName, kinds: Sequence[str], keys: Sequence[str] | None = None
) -> None:
    """Let the store's conflicts of these kinds be the gathered ones; those that were known keep `first_seen_at`.

    `keys`: those that it is about; None: all.
    """
    await connection.execute("ANALYZE found_conflicts")
    await connection.execute(DELETE_SETTLED, store, kinds, keys)
    await connection.execute(WRITE_CHANGED, store)


async def count(connection: Connection) -> dict[str, int]:
    """How many `conflicts` were gathered, and how many of Shopify's rows wait for their end (`ambiguous`)."""
    return dict(await connection.fetchrow(COUNT))


async def sample(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The first gathered conflicts, with at most as many candidates each."""
    return [dict(row) for row in await connection.fetch(TAKE_SAMPLE, limit)]
