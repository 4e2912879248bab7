"""Which product of Nhanh.vn a variant of Shopify is, decided for a whole store by sets.

What is there is copied into temporary tables first, so that a pull that commits meanwhile can't change the question;
the decisions are made on these, and written at the end. The order of the steps is such that a second run finds nothing
to do: what frees a row comes before what takes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.sync import conflicts, mappings

SAMPLE = 20  # rows of each kind that a dry run shows

# Until a table that a step fills has been analysed, the planner takes it for empty, and an INSERT that looks by a nested
# loop into the very table that it fills reads ever more of it. Every join here is of whole tables: a hash serves it.
ONLY_HASH_JOINS = "SET LOCAL enable_nestloop = off"

CREATE_TABLES = """
CREATE TEMPORARY TABLE match_products (id bigint PRIMARY KEY, sku_key text, barcode_key text) ON COMMIT DROP;
CREATE TEMPORARY TABLE match_variants (id bigint PRIMARY KEY, sku_key text, barcode_key text) ON COMMIT DROP;
-- The mappings that hold, as the steps leave them; id is NULL of those that are new.
CREATE TEMPORARY TABLE match_mappings (id bigint, variant_id bigint, nhanh_id bigint, source text) ON COMMIT DROP;
-- Decisions of people that were retired while a row of them was gone.
CREATE TEMPORARY TABLE match_returning (LIKE match_mappings) ON COMMIT DROP;
-- What the steps did: retired, restored, moved (from another variant), matched (anew).
CREATE TEMPORARY TABLE match_changes (
    kind text, mapping_id bigint, variant_id bigint, nhanh_id bigint, source text, reason text, from_variant_id bigint
) ON COMMIT DROP;
-- Keys that are on both sides: how many rows have them, and one of these.
CREATE TEMPORARY TABLE match_keys (
    kind text, key text, products bigint, variants bigint, nhanh_id bigint, variant_id bigint
) ON COMMIT DROP;
"""

# A parent of variants holds no stock of its own (parentId −2, Nhanh documentation).
COPY_PRODUCTS = """
INSERT INTO pg_temp.match_products
SELECT id, sku_key, barcode_key FROM dongbo.nhanh_products
WHERE store = $1 AND deleted_at IS NULL AND parent_id IS DISTINCT FROM -2
"""

COPY_VARIANTS = """
INSERT INTO pg_temp.match_variants
SELECT id, sku_key, barcode_key FROM dongbo.shopify_variants AS variant
WHERE store = $1 AND deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM dongbo.shopify_products AS product
    WHERE product.store = $1 AND product.id = variant.product_id AND product.deleted_at IS NOT NULL
)
"""

COUNT_VARIANTS = """
SELECT count(*) FROM dongbo.shopify_variants AS variant
WHERE store = $1 AND deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM dongbo.shopify_products AS product
    WHERE product.store = $1 AND product.id = variant.product_id AND product.deleted_at IS NOT NULL
)
"""

RETIRE_WITHOUT_PRODUCT = """
WITH retired AS (
    DELETE FROM pg_temp.match_mappings AS mapping
    WHERE nhanh_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_temp.match_products AS product WHERE product.id = mapping.nhanh_id)
    RETURNING *
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', retired.id, retired.variant_id, retired.nhanh_id, retired.source, CASE
    WHEN product.deleted_at IS NULL AND product.parent_id = -2
    THEN format('product %s has become a parent of variants at Nhanh.vn and holds no stock itself', retired.nhanh_id)
    ELSE format('product %s was deleted at Nhanh.vn', retired.nhanh_id)
END
FROM retired LEFT JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = retired.nhanh_id
"""

RETIRE_DISAGREEING = """
WITH retired AS (
    DELETE FROM pg_temp.match_mappings AS mapping
    USING pg_temp.match_variants AS variant, pg_temp.match_products AS product
    WHERE variant.id = mapping.variant_id AND product.id = mapping.nhanh_id AND CASE mapping.source
        WHEN 'sku' THEN variant.sku_key IS DISTINCT FROM product.sku_key OR variant.sku_key IS NULL
        WHEN 'barcode' THEN variant.barcode_key IS DISTINCT FROM product.barcode_key OR variant.barcode_key IS NULL
        ELSE false
    END
    RETURNING mapping.*
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', id, variant_id, nhanh_id, source, format(
    'the %s of variant %s and of product %s do not agree any more',
    CASE source WHEN 'sku' THEN 'SKUs' ELSE 'barcodes' END, variant_id, nhanh_id
)
FROM retired
"""

RESTORE = """
WITH restored AS (
    INSERT INTO pg_temp.match_mappings
    SELECT DISTINCT ON (back.variant_id) back.*
    FROM pg_temp.match_returning AS back JOIN pg_temp.match_variants AS variant ON variant.id = back.variant_id
    WHERE (back.nhanh_id IS NULL OR back.nhanh_id IN (SELECT id FROM pg_temp.match_products))
      AND NOT EXISTS (
          SELECT FROM pg_temp.match_mappings AS mapping
          WHERE mapping.variant_id = back.variant_id AND mapping.source = 'manual'
      )
    ORDER BY back.variant_id, back.id DESC
    RETURNING *
)
INSERT INTO pg_temp.match_changes
SELECT 'restored', id, variant_id, nhanh_id, source, 'what was gone is back' FROM restored
"""

RETIRE_OVERRULED = """
WITH decided AS (
    SELECT variant_id, nhanh_id FROM pg_temp.match_mappings WHERE source = 'manual'
), retired AS (
    DELETE FROM pg_temp.match_mappings AS mapping
    WHERE source <> 'manual' AND (
        variant_id IN (SELECT variant_id FROM decided)
        OR nhanh_id IN (SELECT nhanh_id FROM decided WHERE nhanh_id IS NOT NULL)
    )
    RETURNING *
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', id, variant_id, nhanh_id, source, CASE
    WHEN variant_id IN (SELECT variant_id FROM decided)
    THEN format('what a person has decided about variant %s holds again', variant_id)
    ELSE format('a person has given product %s to another variant', nhanh_id)
END
FROM retired
"""

# A product that is deleted at Shopify and made anew gets other variant ids; what is left of the old variant are its
# keys. Of an automatic mapping they must still be those of the product at Nhanh.vn.
MOVE_TO_HEIR = """
WITH gone AS (
    SELECT mapping.id, variant.id AS variant_id, variant.{column} AS key
    FROM pg_temp.match_mappings AS mapping
    JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = mapping.variant_id
    LEFT JOIN pg_temp.match_products AS product ON product.id = mapping.nhanh_id
    WHERE mapping.source = $2 AND variant.{column} IS NOT NULL
      AND ($2 = 'manual' OR product.{column} = variant.{column})
      AND NOT EXISTS (SELECT FROM pg_temp.match_variants AS live WHERE live.id = mapping.variant_id)
), testament AS (
    SELECT key, min(id) AS id, min(variant_id) AS from_variant_id FROM gone GROUP BY key HAVING count(*) = 1
), heir AS (
    SELECT {column} AS key, min(id) AS id FROM pg_temp.match_variants AS variant
    WHERE {column} IN (SELECT key FROM testament)
      AND NOT EXISTS (SELECT FROM pg_temp.match_mappings AS mapping WHERE mapping.variant_id = variant.id)
    GROUP BY {column} HAVING count(*) = 1
), moved AS (
    UPDATE pg_temp.match_mappings AS mapping SET variant_id = heir.id
    FROM testament JOIN heir USING (key) WHERE mapping.id = testament.id
    RETURNING mapping.*, testament.from_variant_id
)
INSERT INTO pg_temp.match_changes
SELECT 'moved', id, variant_id, nhanh_id, source,
    format('moved from variant %s, which was deleted and had the same {word}', from_variant_id), from_variant_id
FROM moved
"""

RETIRE_WITHOUT_VARIANT = """
WITH retired AS (
    DELETE FROM pg_temp.match_mappings AS mapping
    WHERE NOT EXISTS (SELECT FROM pg_temp.match_variants AS variant WHERE variant.id = mapping.variant_id)
    RETURNING *
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', retired.id, variant_id, nhanh_id, source, CASE
    WHEN variant.deleted_at IS NULL AND variant.id IS NOT NULL
    THEN format('product %s was deleted at Shopify, and variant %s with it', variant.product_id, variant_id)
    ELSE format('variant %s was deleted at Shopify', variant_id)
END
FROM retired LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = retired.variant_id
"""

# About these rows a person has decided: they take part no further, on neither side.
LEAVE_OUT_DECIDED = """
DELETE FROM pg_temp.match_variants WHERE id IN (
    SELECT variant_id FROM pg_temp.match_mappings WHERE source = 'manual'
);
DELETE FROM pg_temp.match_products WHERE id IN (
    SELECT nhanh_id FROM pg_temp.match_mappings WHERE source = 'manual' AND nhanh_id IS NOT NULL
);
"""

COUNT_KEYS = """
INSERT INTO pg_temp.match_keys
SELECT '{kind}', key, product.amount, variant.amount, product.id, variant.id
FROM (
    SELECT {column} AS key, count(*) AS amount, min(id) AS id FROM pg_temp.match_products
    WHERE {column} IS NOT NULL GROUP BY {column}
) AS product
JOIN (
    SELECT {column} AS key, count(*) AS amount, min(id) AS id FROM pg_temp.match_variants
    WHERE {column} IS NOT NULL GROUP BY {column}
) AS variant USING (key)
"""

MATCH = """
WITH matched AS (
    INSERT INTO pg_temp.match_mappings
    SELECT NULL, variant_id, nhanh_id, kind FROM pg_temp.match_keys AS found
    WHERE kind = '{kind}' AND products = 1 AND variants = 1
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

COLUMNS = {"sku": "sku_key", "barcode": "barcode_key"}  # the key of a kind, in the order of the kinds' weight
WORDS = {"sku": "SKU", "barcode": "barcode"}


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
    await mappings.lock(connection, store)
    await _copy(connection, store)
    total: int = await connection.fetchval("SELECT count(*) FROM pg_temp.match_variants")
    await _settle_existing(connection, store)
    await _match_by_keys(connection)
    await conflicts.find_shared_keys(connection, COLUMNS)
    await conflicts.write(connection, store, list(COLUMNS))
    await mappings.write_changes(connection, store)
    return await _outcome(connection, store, total, with_sample=with_sample)


async def _copy(connection: Connection, store: StoreName) -> None:
    await connection.execute(ONLY_HASH_JOINS)
    await connection.execute(CREATE_TABLES)
    await connection.execute(COPY_PRODUCTS, store)
    await connection.execute(COPY_VARIANTS, store)
    await mappings.copy(connection, store)
    await connection.execute("ANALYZE match_products, match_variants, match_mappings, match_returning")


async def _settle_existing(connection: Connection, store: StoreName) -> None:
    """Retire, restore and repair the mappings that are there; leave out what people have decided."""
    await connection.execute(RETIRE_WITHOUT_PRODUCT, store)
    await connection.execute(RETIRE_DISAGREEING)
    await connection.execute(RESTORE)
    await connection.execute(RETIRE_OVERRULED)
    for source, kind in (("manual", "sku"), ("manual", "barcode"), ("sku", "sku"), ("barcode", "barcode")):
        await connection.execute(MOVE_TO_HEIR.format(column=COLUMNS[kind], word=WORDS[kind]), store, source)
    await connection.execute(RETIRE_WITHOUT_VARIANT, store)
    await connection.execute(LEAVE_OUT_DECIDED)


async def _match_by_keys(connection: Connection) -> None:
    """SKUs first, then barcodes among what is left; a key counts for all rows that no person has decided about."""
    for kind, column in COLUMNS.items():
        await connection.execute(COUNT_KEYS.format(kind=kind, column=column))
    await connection.execute("ANALYZE match_keys")
    for kind in COLUMNS:
        await connection.execute(MATCH.format(kind=kind))
        await connection.execute("ANALYZE match_mappings")


async def _outcome(connection: Connection, store: StoreName, total: int, *, with_sample: bool) -> MatchOutcome:
    changed = await connection.fetchrow(COUNT_CHANGED)
    counters = Counters(
        created=changed["created"],
        updated=changed["updated"],
        skipped=total - changed["created"] - changed["updated"],
    )
    figures = dict(await connection.fetchrow(FIGURES))
    figures |= await conflicts.count(connection)
    figures["unmatched"] = total - figures["mapped"] - figures["excluded"] - figures["ambiguous"]
    sample = await _sample(connection, store) if with_sample else {}
    return MatchOutcome(counters, figures, sample)


async def _sample(connection: Connection, store: StoreName) -> dict[str, list[dict[str, Any]]]:
    sample: dict[str, list[dict[str, Any]]] = {}
    for row in await connection.fetch(SAMPLE_CHANGES, store, SAMPLE):
        columns = dict(row)
        sample.setdefault(columns.pop("kind"), []).append(columns)
    sample["ambiguous"] = await conflicts.sample(connection, SAMPLE)
    sample["unmatched"] = [dict(row) for row in await connection.fetch(SAMPLE_UNMATCHED, store, SAMPLE)]
    return {kind: rows for kind, rows in sample.items() if rows}
