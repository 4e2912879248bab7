"""All SQL on `dongbo.shopify_collections`: which products are in the collections that campaigns are for."""

from collections.abc import Sequence
from datetime import timedelta

from daemon.database.pool import Connection
from daemon.ids import StoreName

STORE = """
INSERT INTO dongbo.shopify_collections (store, reference, id, title, read_at) VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (store, reference) DO UPDATE SET id = excluded.id, title = excluded.title, read_at = excluded.read_at
"""

REMOVE_PRODUCTS = """
DELETE FROM dongbo.shopify_collection_products WHERE store = $1 AND reference = $2 AND product_id <> ALL ($3)
"""

ADD_PRODUCTS = """
INSERT INTO dongbo.shopify_collection_products (store, reference, product_id)
SELECT $1, $2, unnest($3::bigint[]) ON CONFLICT DO NOTHING
"""

LIST_STALE = """
SELECT reference FROM unnest($2::text[]) AS reference
WHERE NOT EXISTS (
    SELECT FROM dongbo.shopify_collections AS known
    WHERE known.store = $1 AND known.reference = reference.reference
      AND known.read_at > clock_timestamp() - $3::interval
)
"""

LIST_MISSING = """
SELECT reference FROM dongbo.shopify_collections WHERE store = $1 AND reference = ANY ($2) AND id IS NULL
ORDER BY reference
"""


async def store_collection(
    connection: Connection,
    store: StoreName,
    reference: str,
    collection_id: int | None,
    title: str | None,
    product_ids: Sequence[int],
) -> None:
    """Note what a collection holds, in the caller's transaction.

    None as its id: no collection has this name. What it held when it was last seen stays: renaming a collection must
    not put on sale what it excluded, nor keep back what it was meant to put on sale.
    """
    await connection.execute(STORE, store, reference, collection_id, title)
    if collection_id is None:
        return
    await connection.execute(REMOVE_PRODUCTS, store, reference, product_ids)
    await connection.execute(ADD_PRODUCTS, store, reference, product_ids)


async def list_stale(
    connection: Connection, store: StoreName, references: Sequence[str], longest: timedelta
) -> list[str]:
    """Those collections that were last read longer ago than this, or never."""
    return [row["reference"] for row in await connection.fetch(LIST_STALE, store, references, longest)]


async def list_missing(connection: Connection, store: StoreName, references: Sequence[str]) -> list[str]:
    """Those collections that Shopify did not have when it was asked."""
    return [row["reference"] for row in await connection.fetch(LIST_MISSING, store, references)]
