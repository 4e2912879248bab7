"""Matching 100,000 products of Nhanh.vn with 200,000 variants of Shopify, first without any mapping, then again.

5 % of the keys are ambiguous and 5 % are missing. The reference is one bare hash join of the same SKUs, on the same
server in the same round.
"""

import time
from collections.abc import AsyncIterator

import asyncpg
import orjson
from daemon_process import running_daemon, state_directory
from figures import Figure, of_seconds, say

PRODUCTS, VARIANTS = 100_000, 200_000
AMBIGUOUS = PRODUCTS // 40  # products that no key settles
TARGET = 10.0  # seconds
FILL_TIMEOUT = 300.0  # seconds

# Of 20 products one has no SKU and only a barcode, and one shares its SKU with another; of these, every second has no
# barcode that would settle it. Every product has a variant with its keys. Documents are as long as real ones: the rows
# have to be read past them.
PUT_PRODUCTS = f"""
INSERT INTO dongbo.nhanh_products (store, id, parent_id, code, barcode, sku_key, barcode_key, name, document, digest)
SELECT 'main', 38000000 + n, -1, upper(sku), barcode, sku, barcode, 'Áo thun ' || n,
    jsonb_build_object('name', 'Áo thun ' || n, 'description', repeat(md5(n::text), 24)), decode(md5(n::text), 'hex')
FROM (
    SELECT n, CASE WHEN n % 40 <> 21 THEN (893 * 10 ^ 10)::bigint + n::bigint * 7919 || '' END AS barcode, CASE n % 20
        WHEN 0 THEN NULL
        WHEN 1 THEN 'at-' || lpad((n / 40)::text, 6, '0') || '-chung'
        ELSE 'at-' || lpad(n::text, 6, '0') || '-đỏ-xl'
    END AS sku
    FROM generate_series(1, {PRODUCTS}) AS n
) AS row
"""

# The second half of the variants are of products that only Shopify has.
PUT_VARIANTS = f"""
INSERT INTO dongbo.shopify_variants
    (store, id, product_id, inventory_item_id, sku, barcode, sku_key, barcode_key, title, price, document, digest)
SELECT 'main', 47000000000000 + n, 8000000000000 + n / 4, 49000000000000 + n, sku, barcode, sku, barcode, 'Đỏ / XL', 1,
    jsonb_build_object('title', 'Đỏ / XL', 'description', repeat(md5(n::text), 16)), decode(md5(n::text), 'hex')
FROM (
    SELECT n, CASE WHEN n <= {PRODUCTS} AND n % 40 <> 21 THEN (893 * 10 ^ 10)::bigint + n::bigint * 7919 || '' END
        AS barcode, CASE n % 20
        WHEN 0 THEN NULL
        WHEN 1 THEN 'at-' || lpad((n / 40)::text, 6, '0') || '-chung'
        ELSE 'at-' || lpad(n::text, 6, '0') || '-đỏ-xl'
    END AS sku
    FROM generate_series(1, {VARIANTS}) AS n
) AS row
"""

PUT_SHOPIFY_PRODUCTS = """
INSERT INTO dongbo.shopify_products (store, id, title, tags, document, digest)
SELECT DISTINCT 'main', product_id, 'Áo thun', '{}'::text[], '{}'::jsonb, ''::bytea FROM dongbo.shopify_variants
"""

PULLED_IN_FULL = """
INSERT INTO dongbo.watermarks (store, stream, complete_to, full_pull_at)
SELECT 'main', stream, now(), now() FROM unnest(ARRAY['nhanh_products', 'shopify_products']) AS stream
"""

EMPTY = "TRUNCATE dongbo.product_mappings, dongbo.match_conflicts"

HASH_JOIN = """
SELECT count(*) FROM dongbo.nhanh_products AS product
JOIN dongbo.shopify_variants AS variant ON variant.sku_key = product.sku_key
WHERE product.store = 'main' AND variant.store = 'main'
"""

PLACES = "SELECT md5(string_agg(concat_ws(' ', ctid, xmin), ',' ORDER BY id)) FROM dongbo.product_mappings"


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Rounds of hash join, first match, match again; a single one with `quick`."""
    joins: list[float] = []
    firsts: list[float] = []
    agains: list[float] = []
    async with state_directory() as state, running_daemon(state, shopify_url="http://127.0.0.1:1") as bench:
        say(f"matching: writing {PRODUCTS:,} products and {VARIANTS:,} variants")
        for statement in (PUT_PRODUCTS, PUT_VARIANTS, PUT_SHOPIFY_PRODUCTS, PULLED_IN_FULL, "ANALYZE"):
            await bench.connection.execute(statement, timeout=FILL_TIMEOUT)
        for number in range(1 if quick else 3):
            await bench.connection.execute(EMPTY)
            await bench.connection.execute("CHECKPOINT")
            joins.append(await hash_join(bench.connection, HASH_JOIN))
            first = await bench.completed("MATCH_PRODUCTS")
            places = await bench.connection.fetchval(PLACES)
            again = await bench.completed("MATCH_PRODUCTS")
            check(first, again)
            assert await bench.connection.fetchval(PLACES) == places, "the second run has rewritten mappings"
            firsts.append(seconds(first))
            agains.append(seconds(again))
            say(f"matching: round {number + 1}: join {joins[-1]:.2f}, first {firsts[-1]:.2f}, again {agains[-1]:.2f} s")
    yield of_seconds("match_products", firsts, joins, TARGET)
    yield of_seconds("match_products_again", agains, joins, TARGET)


async def hash_join(connection: asyncpg.Connection, join: str) -> float:
    """Seconds for the bare join; once before it, so that both find the tables in memory."""
    async with connection.transaction():
        await connection.execute("SET LOCAL enable_mergejoin = off; SET LOCAL enable_nestloop = off")
        await connection.fetchval(join)
        began = time.perf_counter()
        await connection.fetchval(join)
        return time.perf_counter() - began


def check(first: asyncpg.Record, again: asyncpg.Record) -> None:
    """What must come out: every product is mapped, by SKU or by barcode, but for those that wait for a person."""
    assert (first["created"], first["processed"]) == (PRODUCTS - AMBIGUOUS, VARIANTS), dict(first)
    assert orjson.loads(first["metadata"])["ambiguous"] == AMBIGUOUS, first["metadata"]
    assert (again["skipped"], again["successful"]) == (VARIANTS, 0), dict(again)


def seconds(job: asyncpg.Record) -> float:
    """From the job's claim to the commit of its end, by the database's clock."""
    return float((job["completed_at"] - job["started_at"]).total_seconds())
