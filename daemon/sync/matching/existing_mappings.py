"""What happens to existing mappings before anything is matched: retired, restored, moved, or kept.

Works on the temporary tables of `daemon.sync.matching.products`. What a person has decided is retired only while a row
of it is gone; an automatic mapping holds as long as both rows are there and share the key by which they were matched,
that is a key still, and nothing that is on sale wants the product of one that is not.
"""

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.sync.matching import common_keys

COLUMNS = {"sku": "sku_key", "barcode": "barcode_key"}  # the key of a kind, in the order of the kinds' weight

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
    RETURNING mapping.*,
        CASE mapping.source WHEN 'sku' THEN product.sku_key ELSE product.barcode_key END AS product_key,
        CASE mapping.source WHEN 'sku' THEN variant.sku_key ELSE variant.barcode_key END AS variant_key
), told AS (
    SELECT retired.*, btrim(CASE source WHEN 'sku' THEN variant.sku ELSE variant.barcode END) AS text
    FROM retired JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = retired.variant_id
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', id, variant_id, nhanh_id, source, CASE
    WHEN product_key IS NULL AND variant_key IS NULL AND text <> ''
    THEN format('the %s %s identifies nothing, so it matches nothing by itself',
        CASE source WHEN 'sku' THEN 'SKU' ELSE 'barcode' END, text)
    ELSE format('the %s of variant %s and of product %s no longer agree',
        CASE source WHEN 'sku' THEN 'SKUs' ELSE 'barcodes' END, variant_id, nhanh_id)
END
FROM told
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

# A product that is deleted at Shopify and created again gets other variant ids; what is left of the old variant are its
# keys. Of an automatic mapping they must still be those of the product at Nhanh.vn. An heir that is on sale comes
# before any that is not.
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
    SELECT {column} AS key, coalesce(min(id) FILTER (WHERE on_sale), min(id)) AS id
    FROM pg_temp.match_variants AS variant
    WHERE {column} IN (SELECT key FROM testament)
      AND NOT EXISTS (SELECT FROM pg_temp.match_mappings AS mapping WHERE mapping.variant_id = variant.id)
    GROUP BY {column} HAVING coalesce(nullif(count(*) FILTER (WHERE on_sale), 0), count(*)) = 1
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

# Until what is on sale is matched.
SET_ASIDE = """
WITH aside AS (
    DELETE FROM pg_temp.match_mappings AS mapping USING pg_temp.match_variants AS variant
    WHERE variant.id = mapping.variant_id AND NOT variant.on_sale
    RETURNING mapping.*
)
INSERT INTO pg_temp.match_set_aside SELECT * FROM aside
"""

EXPLAIN_TAKEN_OVER = """
UPDATE pg_temp.match_changes AS change
SET reason = format('taken over from variant %s, which is not on sale', aside.variant_id)
FROM pg_temp.match_set_aside AS aside WHERE change.kind = 'matched' AND change.nhanh_id = aside.nhanh_id
"""

RETIRE_TAKEN_OVER = """
WITH retired AS (
    DELETE FROM pg_temp.match_set_aside AS aside USING pg_temp.match_mappings AS mapping
    WHERE mapping.nhanh_id = aside.nhanh_id RETURNING aside.*, mapping.variant_id AS heir, mapping.source AS kind
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', id, variant_id, nhanh_id, source, format(
    'variant %s, which is on sale, has the same %s as product %s; variant %s is archived or a draft',
    heir, CASE kind WHEN 'sku' THEN 'SKU' ELSE 'barcode' END, nhanh_id, variant_id
)
FROM retired
"""

FIND_CONTESTED = """
INSERT INTO pg_temp.match_contested
WITH waiting AS (
    SELECT sku_key, barcode_key FROM pg_temp.match_variants AS variant
    WHERE on_sale AND NOT EXISTS (SELECT FROM pg_temp.match_mappings AS mapping WHERE mapping.variant_id = variant.id)
)
SELECT id FROM pg_temp.match_products WHERE sku_key IN (SELECT sku_key FROM waiting)
UNION
SELECT id FROM pg_temp.match_products WHERE barcode_key IN (SELECT barcode_key FROM waiting)
"""

RETIRE_CONTESTED = """
WITH retired AS (
    DELETE FROM pg_temp.match_set_aside WHERE nhanh_id IN (SELECT nhanh_id FROM pg_temp.match_contested) RETURNING *
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', id, variant_id, nhanh_id, source, format(
    'variants that are on sale have a key of product %s, so a person must choose; variant %s is archived or a draft',
    nhanh_id, variant_id
)
FROM retired
"""

TAKE_BACK = "INSERT INTO pg_temp.match_mappings SELECT * FROM pg_temp.match_set_aside"


async def settle(connection: Connection, store: StoreName) -> None:
    """Settle the mappings that are there, and leave the rows out that people have decided about.

    What frees a row comes before what takes one, so that doing it twice does no more than doing it once.
    """
    await connection.execute(RETIRE_WITHOUT_PRODUCT, store)
    await connection.execute(RETIRE_DISAGREEING, store)
    await common_keys.set_aside(connection, COLUMNS)
    await connection.execute(RESTORE)
    await connection.execute(RETIRE_OVERRULED)
    for source, kind in (("manual", "sku"), ("manual", "barcode"), ("sku", "sku"), ("barcode", "barcode")):
        await connection.execute(MOVE_TO_HEIR.format(column=COLUMNS[kind], word=common_keys.WORDS[kind]), store, source)
    await connection.execute(RETIRE_WITHOUT_VARIANT, store)
    await connection.execute(LEAVE_OUT_DECIDED)
    await connection.execute(SET_ASIDE)


async def take_back(connection: Connection) -> None:
    """Settle the mappings of what is not on sale, when all that is has been matched."""
    await connection.execute("ANALYZE match_set_aside")
    await connection.execute(EXPLAIN_TAKEN_OVER)
    await connection.execute(RETIRE_TAKEN_OVER)
    await connection.execute(FIND_CONTESTED)
    await connection.execute("ANALYZE match_contested")
    await connection.execute(RETIRE_CONTESTED)
    await connection.execute(TAKE_BACK)
