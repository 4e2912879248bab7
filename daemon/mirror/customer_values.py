"""Metafields and tags of Shopify's customers that are known other than by a pull, such as those that a push has set.

The rest of a customer keeps what the last pull read; the emptied digest makes the next one write it whole.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sources.shopify.models import Metafield

SET_METAFIELDS = """
UPDATE dongbo.shopify_customers AS customer
SET metafields = coalesce(customer.metafields, '{}') || known.metafields::jsonb, digest = '', changed_at = now(),
    pushed_at = clock_timestamp()
FROM unnest($2::bigint[], $3::text[]) AS known (id, metafields)
WHERE customer.store = $1 AND customer.id = known.id
"""

# `unnest` can't take apart arrays of arrays of unequal length: those travel as JSON.
SET_TAGS = """
UPDATE dongbo.shopify_customers AS customer
SET tags = ARRAY(SELECT jsonb_array_elements_text(known.tags::jsonb)), digest = '', changed_at = now(),
    pushed_at = clock_timestamp()
FROM unnest($2::bigint[], $3::text[]) AS known (id, tags)
WHERE customer.store = $1 AND customer.id = known.id
"""

MARK_DELETED = """
UPDATE dongbo.shopify_customers SET deleted_at = $3, changed_at = now()
WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL AND (pushed_at <= $3) IS NOT FALSE
"""


async def set_metafields(
    connection: Connection, store: StoreName, metafields: Mapping[int, Mapping[str, Metafield]]
) -> None:
    """Note metafields of customers, {id: {"namespace.key": metafield}}; their others stay as they are."""
    if metafields:
        encoded = [msgspec.json.encode(known).decode() for known in metafields.values()]
        await connection.execute(SET_METAFIELDS, store, list(metafields), encoded)


async def set_tags(connection: Connection, store: StoreName, tags: Mapping[int, Sequence[str]]) -> None:
    """Note all tags of customers, by customer id."""
    if tags:
        encoded = [msgspec.json.encode(known).decode() for known in tags.values()]
        await connection.execute(SET_TAGS, store, list(tags), encoded)


async def mark_deleted(
    connection: Connection, store: StoreName, customer_ids: Collection[int], asked: SnapshotTime
) -> None:
    """Note that customers were gone at Shopify when it was asked."""
    if customer_ids:
        await connection.execute(MARK_DELETED, store, list(customer_ids), asked.at)
