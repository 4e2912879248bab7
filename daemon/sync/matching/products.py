"""Which product of Nhanh.vn a variant of Shopify is, decided for a whole store by sets.

What is there is copied into temporary tables first, so that a pull that commits meanwhile can't change the question;
the decisions are made on these, and written at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.sync.matching import common_keys, conflicts, existing_mappings, mappings
from daemon.sync.matching.existing_mappings import COLUMNS

SAMPLE = 20  # rows of each kind that a dry run shows

# Until a table that a step fills has been analysed, the planner takes it for empty, and an INSERT that looks by a
# nested loop into the very table that it fills reads ever more of it. Every join here is of whole tables: hash them.
ONLY_HASH_JOINS = "SET LOCAL enable_nestloop = off"

CREATE_TABLES = """
CREATE TEMPORARY TABLE match_products (id bigint PRIMARY KEY, sku_key text, barcode_key text) ON COMMIT DROP;
CREATE TEMPORARY TABLE match_variants (
    id bigint PRIMARY KEY, sku_key text, barcode_key text, on_sale boolean
) ON COMMIT DROP;
-- The mappings that hold, as the steps leave them; id is NULL of those that are new.
CREATE TEMPORARY TABLE match_mappings (id bigint, variant_id bigint, nhanh_id bigint, source text) ON COMMIT DROP;
-- Decisions of people that were retired while a row of them was gone.
CREATE TEMPORARY TABLE match_returning (LIKE match_mappings) ON COMMIT DROP;
-- Automatic mappings of variants that are not on sale: they hold where nobody on sale wants the product.
CREATE TEMPORARY TABLE match_set_aside (LIKE match_mappings) ON COMMIT DROP;
-- Products that a variant which is on sale shares a key with and did not get: they wait for a person.
CREATE TEMPORARY TABLE match_contested (nhanh_id bigint) ON COMMIT DROP;
-- What the steps did: retired, restored, moved (from another variant), matched (newly).
CREATE TEMPORARY TABLE match_changes (
    kind text, mapping_id bigint, variant_id bigint, nhanh_id bigint, source text, reason text, from_variant_id bigint
) ON COMMIT DROP;
-- Keys that are on both sides: how many rows have them, and one of these. Of the variants those count that are on
-- sale, if there are such.
CREATE TEMPORARY TABLE match_keys (
    kind text, key text, on_sale boolean, products bigint, variants bigint, nhanh_id bigint, variant_id bigint
) ON COMMIT DROP;
"""

# A parent of variants holds no stock of its own (parentId −2, Nhanh documentation).
COPY_PRODUCTS = """
INSERT INTO pg_temp.match_products
SELECT id, sku_key, barcode_key FROM dongbo.nhanh_products
WHERE store = $1 AND deleted_at IS NULL AND parent_id IS DISTINCT FROM -2
"""

# Of Shopify's statuses (ProductStatus), ACTIVE and UNLISTED are on sale, the latter for whoever has the link.
COPY_VARIANTS = """
INSERT INTO pg_temp.match_variants
SELECT variant.id, sku_key, barcode_key, product.status IS NULL OR product.status NOT IN ('ARCHIVED', 'DRAFT')
FROM dongbo.shopify_variants AS variant
LEFT JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = variant.product_id
WHERE variant.store = $1 AND variant.deleted_at IS NULL AND product.deleted_at IS NULL
"""

COUNT_VARIANTS = """
SELECT count(*) FROM dongbo.shopify_variants AS variant
WHERE store = $1 AND deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM dongbo.shopify_products AS product
    WHERE product.store = $1 AND product.id = variant.product_id AND product.deleted_at IS NOT NULL
)
"""

COUNT_KEYS = """
INSERT INTO pg_temp.match_keys
SELECT '{kind}', key, variant.on_sale, product.amount, variant.amount, product.id, variant.id
FROM (
    SELECT {column} AS key, count(*) AS amount, min(id) AS id FROM pg_temp.match_products
    WHERE {column} IS NOT NULL GROUP BY {column}
) AS product
JOIN (
    SELECT {column} AS key, bool_or(on_sale) AS on_sale,
        coalesce(nullif(count(*) FILTER (WHERE on_sale), 0), count(*)) AS amount,
        coalesce(min(id) FILTER (WHERE on_sale), min(id)) AS id
    FROM pg_temp.match_variants
    WHERE {column} IS NOT NULL GROUP BY {column}
) AS variant USING (key)
"""

MATCH = """
WITH matched AS (
    INSERT INTO pg_temp.match_mappings
    SELECT NULL, variant_id, nhanh_id, kind FROM pg_temp.match_keys AS found
    WHERE kind = '{kind}' AND on_sale = $1 AND products = 1 AND variants = 1
      AND NOT EXISTS (SELECT FROM pg_temp.match_contested AS contested WHERE contested.nhanh_id = found.nhanh_id)
      AND NOT EXISTS (SELECT FROM pg_temp.match_mappings AS mapping WHERE mapping.variant_id = found.variant_id)
      AND NOT EXISTS (SELECT FROM pg_temp.match_mappings AS mapping WHERE mapping.nhanh_id = found.nhanh_id)
    RETURNING variant_id, nhanh_id, source
)
INSERT INTO pg_temp.match_changes SELECT 'matched', NULL, variant_id, nhanh_id, source FROM matched
"""

# One row for each variant that is there: newly mapped, or changed in another way.
COUNT_CHANGED = """
SELECT count(*) FILTER (WHERE is_new) AS created, count(*) FILTER (WHERE NOT is_new) AS updated
FROM (
    SELECT bool_and(kind = 'matched') AS is_new FROM pg_temp.match_changes
    WHERE kind <> 'retired' OR variant_id IN (SELECT id FROM pg_temp.match_variants)
    GROUP BY variant_id
) AS variant
"""

FIGURES = """
SELECT
    (SELECT count(*) FROM pg_temp.match_mappings WHERE nhanh_id IS NOT NULL) AS mapped,
    (SELECT count(*) FROM pg_temp.match_mappings WHERE nhanh_id IS NULL) AS excluded,
    (SELECT count(*) FROM pg_temp.match_changes WHERE kind = 'retired') AS retired,
    (SELECT count(*) FROM pg_temp.match_changes WHERE kind = 'moved') AS repaired,
    (SELECT count(*) FROM pg_temp.match_changes WHERE kind = 'restored') AS restored
"""

SAMPLE_CHANGES = """
SELECT kind, variant_id, variant.sku, change.nhanh_id, product.code AS nhanh_code, source, reason
FROM (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY variant_id, mapping_id) AS place FROM pg_temp.match_changes
) AS change
LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = change.variant_id
LEFT JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = change.nhanh_id
WHERE place <= $2 ORDER BY kind, place
"""

SAMPLE_UNMATCHED = """
SELECT unmatched.id AS variant_id, variant.sku, variant.barcode
FROM pg_temp.match_variants AS unmatched
JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = unmatched.id
WHERE NOT EXISTS (SELECT FROM pg_temp.match_mappings AS mapping WHERE mapping.variant_id = unmatched.id)
  AND unmatched.id NOT IN (SELECT unnest(shopify_ids) FROM pg_temp.found_conflicts)
ORDER BY unmatched.id LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class MatchOutcome:
    """What a run of matching did.

    Args:
        counters: one row for each variant or customer of Shopify that is there.
        figures: how many are mapped, unmatched, ambiguous and so on.
        sample: the first rows of each kind of change, for a person to look at; empty unless asked for.
    """

    counters: Counters
    figures: Mapping[str, int]
    sample: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


async def count_variants(connection: Connection, store: StoreName) -> int:
    """How many variants take part."""
    count: int = await connection.fetchval(COUNT_VARIANTS, store)
    return count


async def match_products(connection: Connection, store: StoreName, *, with_sample: bool) -> MatchOutcome:
    """Match the products of a store, in the caller's transaction; nobody else maps products until that has ended."""
    await mappings.DECISIONS.lock(connection, store)
    await _copy(connection, store)
    total: int = await connection.fetchval("SELECT count(*) FROM pg_temp.match_variants")
    await existing_mappings.settle(connection, store)
    await _match_by_keys(connection)
    await conflicts.find_shared_keys(connection, COLUMNS)
    await conflicts.write(connection, store, list(COLUMNS))
    await common_keys.write(connection, store, list(COLUMNS))
    await mappings.write_changes(connection, store)
    return await _outcome(connection, store, total, with_sample=with_sample)


async def _copy(connection: Connection, store: StoreName) -> None:
    await connection.execute(ONLY_HASH_JOINS)
    await connection.execute(CREATE_TABLES)
    await connection.execute(COPY_PRODUCTS, store)
    await connection.execute(COPY_VARIANTS, store)
    await mappings.copy(connection, store)
    await connection.execute("ANALYZE match_products, match_variants, match_mappings, match_returning")


async def _match_by_keys(connection: Connection) -> None:
    """SKUs first, then barcodes among what is left; a key counts for all rows that no person has decided about.

    First for what is on sale, as if there were nothing else; what is not, such as the archived original of a copy,
    gets or keeps what is left.
    """
    for kind, column in COLUMNS.items():
        await connection.execute(COUNT_KEYS.format(kind=kind, column=column))
    await connection.execute("ANALYZE match_keys")
    for on_sale in (True, False):
        if not on_sale:
            await existing_mappings.take_back(connection)
        for kind in COLUMNS:
            await connection.execute(MATCH.format(kind=kind), on_sale)
            await connection.execute("ANALYZE match_mappings")


async def _outcome(connection: Connection, store: StoreName, total: int, *, with_sample: bool) -> MatchOutcome:
    changed = await connection.fetchrow(COUNT_CHANGED)
    counters = Counters(
        created=changed["created"],
        updated=changed["updated"],
        skipped=total - changed["created"] - changed["updated"],
    )
    figures = dict(await connection.fetchrow(FIGURES))
    figures |= await conflicts.count(connection) | await common_keys.count(connection)
    figures["unmatched"] = total - figures["mapped"] - figures["excluded"] - figures["ambiguous"]
    sample = await _sample(connection, store) if with_sample else {}
    return MatchOutcome(counters, figures, sample)


async def _sample(connection: Connection, store: StoreName) -> dict[str, list[dict[str, Any]]]:
    sample: dict[str, list[dict[str, Any]]] = {}
    for row in await connection.fetch(SAMPLE_CHANGES, store, SAMPLE):
        columns = dict(row)
        sample.setdefault(columns.pop("kind"), []).append(columns)
    sample["ambiguous"] = await conflicts.sample(connection, SAMPLE)
    sample["common_keys"] = await common_keys.sample(connection, SAMPLE)
    unmatched = await connection.fetch(SAMPLE_UNMATCHED, store, SAMPLE)
    reasons = await common_keys.obstacles(connection, store, unmatched)
    sample["unmatched"] = [{**row, "reason": reasons.get(row["variant_id"])} for row in unmatched]
    return {kind: rows for kind, rows in sample.items() if rows}
