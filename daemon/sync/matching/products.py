"""Which product of Nhanh.vn a variant of Shopify is, decided for a whole store by sets.

What is there is copied into temporary tables first, so that a pull that commits meanwhile can't change the question;
the decisions are made on these, and written at the end. These tables stay with their connection, and a commit empties
them: made anew for each match, they would leave some four hundred dead rows in PostgreSQL's catalogue every time.
"""

from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.jobs.phases import JobPhase, Tell
from daemon.sync.matching import common_keys, conflicts, existing_mappings, mappings
from daemon.sync.matching.existing_mappings import COLUMNS
from daemon.sync.matching.outcome import SAMPLE, WHOLE_TABLES, MatchOutcome
from daemon.sync.matching.writing import MappingWrites

CREATE_TABLES = """
CREATE TEMPORARY TABLE IF NOT EXISTS match_products (
    id bigint PRIMARY KEY, sku_key text, barcode_key text
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS match_variants (
    id bigint PRIMARY KEY, sku_key text, barcode_key text, on_sale boolean
) ON COMMIT DELETE ROWS;
-- The mappings that hold, as the steps leave them; id is NULL of those that are new.
CREATE TEMPORARY TABLE IF NOT EXISTS match_mappings (
    id bigint, variant_id bigint, nhanh_id bigint, source text
) ON COMMIT DELETE ROWS;
-- Decisions of people that were retired while a row of them was gone.
CREATE TEMPORARY TABLE IF NOT EXISTS match_returning (LIKE match_mappings) ON COMMIT DELETE ROWS;
-- Automatic mappings of variants that are not on sale: they hold where nobody on sale wants the product.
CREATE TEMPORARY TABLE IF NOT EXISTS match_set_aside (LIKE match_mappings) ON COMMIT DELETE ROWS;
-- Products that a variant which is on sale shares a key with and did not get: they wait for a person.
CREATE TEMPORARY TABLE IF NOT EXISTS match_contested (nhanh_id bigint) ON COMMIT DELETE ROWS;
-- What the steps did: retired, restored, moved (from another variant), matched (newly).
CREATE TEMPORARY TABLE IF NOT EXISTS match_changes (
    kind text, mapping_id bigint, variant_id bigint, nhanh_id bigint, source text, reason text, from_variant_id bigint
) ON COMMIT DELETE ROWS;
-- Keys that are on both sides: how many rows have them, and one of these. Of the variants those count that are on
-- sale, if there are such.
CREATE TEMPORARY TABLE IF NOT EXISTS match_keys (
    kind text, key text, on_sale boolean, products bigint, variants bigint, nhanh_id bigint, variant_id bigint
) ON COMMIT DELETE ROWS;
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

# For writing: the changes, and whether the variant is there.
CHANGES = """
SELECT kind, mapping_id, variant_id AS shopify_id, nhanh_id, source, NULL::text AS phone, reason,
    kind <> 'retired' OR variant_id IN (SELECT id FROM pg_temp.match_variants) AS is_there
FROM pg_temp.match_changes
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


async def count_variants(connection: Connection, store: StoreName) -> int:
    """How many variants take part."""
    count: int = await connection.fetchval(COUNT_VARIANTS, store)
    return count


async def decide(connection: Connection, store: StoreName, tell: Tell, *, with_sample: bool) -> MatchOutcome:
    """Decide about all products of a store, in the caller's transaction.

    Nothing is written but temporary tables, and no lock is taken. `tell` hears what is done at the moment.
    """
    tell(JobPhase.READING_ROWS)
    await _copy(connection, store)
    total: int = await connection.fetchval("SELECT count(*) FROM pg_temp.match_variants")
    tell(JobPhase.SETTLING_MAPPINGS)
    await existing_mappings.settle(connection, store)
    tell(JobPhase.COMPARING_KEYS)
    await _match_by_keys(connection)
    tell(JobPhase.COUNTING)
    await conflicts.find_shared_keys(connection, COLUMNS)
    return await _outcome(connection, store, total, with_sample=with_sample)


async def write_findings(connection: Connection, store: StoreName) -> None:
    """Write the conflicts and common keys that were found."""
    await conflicts.write(connection, store, list(COLUMNS))
    await common_keys.write(connection, store, list(COLUMNS))


async def _copy(connection: Connection, store: StoreName) -> None:
    await connection.execute(WHOLE_TABLES)
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
    changed = await WRITES.gather(connection, store)
    counters = changed + Counters(skipped=total - changed.processed)
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


WRITES = MappingWrites(mappings.DECISIONS, CHANGES, told=("note", "reason"))
