"""Which items a text means: variants of Shopify, and products of Nhanh.vn that no variant is mapped to.

Whatever has the text as its id, SKU or barcode comes first, then fields that begin with it, then what holds it, then
what holds all of its words somewhere. No more than MOST_FOUND rows of each kind are looked at: whoever asks for what
thousands of items have is told to say more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.search_texts import Sought, holds
from daemon.sync.explanation import evidence
from daemon.sync.explanation.search_terms import SearchTerms

MOST_EXACT = 200  # variants that have the text as a code or id
MOST_FOUND = 1_000  # texts of each kind

# The rank of a text: by what a field of it begins with, $2, and what it holds, $3.
TEXTS = """
SELECT side, id, CASE WHEN text LIKE $2 THEN 1 WHEN text LIKE $3 THEN 2 ELSE 3 END AS rank
FROM dongbo.item_texts WHERE store = $1 AND {holds} LIMIT {most}
"""

BEGINNINGS = f"""
SELECT side, id, 1 AS rank FROM dongbo.item_texts WHERE store = $1 AND text LIKE $2 LIMIT {MOST_FOUND}
"""

SEARCH = """
WITH found AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::integer[]) AS found (side, id, rank)
), mapped AS (
    SELECT found.id AS nhanh_id, mapping.variant_id, rank FROM found
    LEFT JOIN dongbo.product_mappings AS mapping
        ON mapping.store = $1 AND mapping.nhanh_id = found.id AND mapping.retired_at IS NULL
    WHERE side = 'nhanh'
), hits AS (
    SELECT variant.id AS variant_id, NULL::bigint AS nhanh_id, min(rank) AS rank
    FROM (
        SELECT id, rank FROM found WHERE side = 'shopify'
        UNION ALL
        SELECT variant_id, rank FROM mapped WHERE variant_id IS NOT NULL
    ) AS one JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = one.id
    WHERE variant.deleted_at IS NULL OR rank = 0 GROUP BY variant.id
    UNION ALL
    SELECT NULL, product.id, min(rank)
    FROM mapped JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = mapped.nhanh_id
    WHERE variant_id IS NULL AND (product.deleted_at IS NULL OR rank = 0)
      AND product.parent_id IS DISTINCT FROM -2  -- it stands for its variants
    GROUP BY product.id
)
SELECT variant_id, nhanh_id FROM hits WHERE {condition}
ORDER BY rank, variant_id NULLS LAST, nhanh_id OFFSET $5 LIMIT $6
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An item: a variant, or a product of Nhanh.vn that no variant is mapped to; one of the two is None."""

    variant_id: int | None
    nhanh_id: int | None


async def search_items(
    connection: Connection,
    store: StoreName,
    terms: SearchTerms,
    sought: Sought | None,
    condition: str,
    *,
    skip: int,
    limit: int,
) -> tuple[list[Found], bool]:
    """Items that a text may mean, the best first, in a transaction of `search_texts.searching`; and whether there are
    more than were looked at.

    Args:
        terms: what the text is where it is a code or an id.
        sought: its words; None where it is an id or an address and nothing else.
        condition: on `hits.variant_id` and `hits.nhanh_id`, in SQL.
    """
    variants = await evidence.find_variants(connection, store, terms, MOST_EXACT)
    products = await evidence.find_products(connection, store, terms, MOST_EXACT)
    found = [("shopify", row["id"], 0) for row in variants] + [("nhanh", row["id"], 0) for row in products]
    texts = await _texts(connection, store, sought) if sought is not None else []
    has_more = len(texts) >= MOST_FOUND
    if has_more and sought is not None:  # the best of them are among those that were not looked at, too
        texts += await connection.fetch(BEGINNINGS, store, sought.beginning)
    found += [(row["side"], row["id"], row["rank"]) for row in texts]
    columns = [[row[column] for row in found] for column in range(3)]
    rows = await connection.fetch(SEARCH.format(condition=condition), store, *columns, skip, limit)
    return [Found(row["variant_id"], row["nhanh_id"]) for row in rows], has_more


async def _texts(connection: Connection, store: StoreName, sought: Sought) -> list[Record]:
    statement = TEXTS.format(holds=holds(len(sought.words), first=4), most=MOST_FOUND)
    return list(await connection.fetch(statement, store, sought.beginning, sought.whole, *sought.parts))


def ids(found: Sequence[Found]) -> tuple[list[int], list[int]]:
    """The variants and the products of what was found."""
    variants = [one.variant_id for one in found if one.variant_id is not None]
    return variants, [one.nhanh_id for one in found if one.nhanh_id is not None]
