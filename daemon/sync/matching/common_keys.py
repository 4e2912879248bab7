"""All SQL on `dongbo.common_keys`: keys that more than a few rows of one side share, so that they match nothing.

Those of a run are gathered in the temporary table `found_common`; only what differs is written. Why a single text is
no key says `daemon.mirror.keys`; both reasons are put into words for people here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.ids import StoreName
from daemon.mirror.keys import MOST_ROWS, match_key, why_no_key

CREATE_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS found_common (
    kind text, key text, nhanh_rows bigint, shopify_rows bigint
) ON COMMIT DELETE ROWS
"""

# What is not on sale does not count where something is: a shop may keep any number of archived copies.
FIND = """
INSERT INTO pg_temp.found_common
SELECT '{kind}', key, product.amount, variant.amount
FROM (
    SELECT {column} AS key, count(*) AS amount FROM pg_temp.match_products
    WHERE {column} IS NOT NULL GROUP BY {column}
) AS product
JOIN (
    SELECT {column} AS key, coalesce(nullif(count(*) FILTER (WHERE on_sale), 0), count(*)) AS amount
    FROM pg_temp.match_variants WHERE {column} IS NOT NULL GROUP BY {column}
) AS variant USING (key)
WHERE greatest(product.amount, variant.amount) > $1
"""

RETIRE = """
WITH retired AS (
    DELETE FROM pg_temp.match_mappings AS mapping
    USING pg_temp.match_products AS product, pg_temp.found_common AS common
    WHERE product.id = mapping.nhanh_id AND mapping.source = '{kind}'
      AND common.kind = '{kind}' AND common.key = product.{column}
    RETURNING mapping.*, common.key, common.nhanh_rows, common.shopify_rows
)
INSERT INTO pg_temp.match_changes
SELECT 'retired', id, variant_id, nhanh_id, source, format(
    'the {word} %s is on %s products of Nhanh.vn and %s variants of Shopify, so it identifies none of them',
    key, nhanh_rows, shopify_rows
)
FROM retired
"""

FORGET = """
UPDATE pg_temp.match_{rows} SET {column} = NULL
WHERE {column} IN (SELECT key FROM pg_temp.found_common WHERE kind = '{kind}')
"""

DELETE_SETTLED = """
DELETE FROM dongbo.common_keys AS known
WHERE store = $1 AND kind = ANY ($2) AND ($3::text[] IS NULL OR key = ANY ($3)) AND NOT EXISTS (
    SELECT FROM pg_temp.found_common AS found WHERE found.kind = known.kind AND found.key = known.key
)
"""

WRITE_CHANGED = """
INSERT INTO dongbo.common_keys AS known (store, kind, key, nhanh_rows, shopify_rows)
SELECT $1, kind, key, nhanh_rows, shopify_rows FROM pg_temp.found_common
ON CONFLICT (store, kind, key) DO UPDATE
SET nhanh_rows = excluded.nhanh_rows, shopify_rows = excluded.shopify_rows
WHERE (known.nhanh_rows, known.shopify_rows) <> (excluded.nhanh_rows, excluded.shopify_rows)
"""

COUNT = "SELECT count(*) FROM pg_temp.found_common"

TAKE_SAMPLE = """
SELECT kind, key, nhanh_rows, shopify_rows FROM pg_temp.found_common
ORDER BY nhanh_rows + shopify_rows DESC, kind DESC, key LIMIT $1
"""

LIST_KNOWN = """
SELECT kind, key, nhanh_rows, shopify_rows FROM dongbo.common_keys
WHERE store = $1 AND kind IN ('sku', 'barcode') AND key = ANY ($2::text[])
"""

WORDS = {"sku": mark("SKU"), "barcode": mark("barcode")}


async def create_table(connection: Connection) -> None:
    """Make room for the common keys of a run, until the end of the caller's transaction."""
    await connection.execute(CREATE_TABLE)


async def set_aside(connection: Connection, columns: Mapping[str, str]) -> None:
    """Gather the common keys {kind: column} of products and variants, retire what rests on them, and forget them."""
    await create_table(connection)
    for kind, column in columns.items():
        await connection.execute(FIND.format(kind=kind, column=column), MOST_ROWS)
    if not await connection.fetchval(COUNT):
        return
    await connection.execute("ANALYZE found_common")
    for kind, column in columns.items():
        await connection.execute(RETIRE.format(kind=kind, column=column, word=WORDS[kind]))
        for rows in ("products", "variants"):
            await connection.execute(FORGET.format(kind=kind, column=column, rows=rows))


async def write(
    connection: Connection, store: StoreName, kinds: Sequence[str], keys: Sequence[str] | None = None
) -> None:
    """Let the store's common keys of these kinds be the gathered ones; those that were known keep `first_seen_at`.

    `keys`: those that it is about; None: all.
    """
    await connection.execute(DELETE_SETTLED, store, kinds, keys)
    await connection.execute(WRITE_CHANGED, store)


async def count(connection: Connection) -> dict[str, int]:
    """How many `common_keys` were gathered."""
    return {"common_keys": await connection.fetchval(COUNT)}


async def sample(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The gathered keys that the most rows share."""
    return [dict(row) for row in await connection.fetch(TAKE_SAMPLE, limit)]


async def obstacles(
    connection: Connection, store: StoreName, variants: Iterable[Record | Mapping[str, Any]]
) -> dict[int, str]:
    """Why the SKU or barcode of a variant {variant_id, sku, barcode} matches nothing; only of those where one is so.

    As the rest of a sentence about the variant: "its SKU N/A is a placeholder".
    """
    texts = {row["variant_id"]: {"sku": row["sku"], "barcode": row["barcode"]} for row in variants}
    keys = {key for codes in texts.values() for key in map(match_key, codes.values()) if key is not None}
    rows = await connection.fetch(LIST_KNOWN, store, list(keys)) if keys else ()
    common = {(row["kind"], row["key"]): row for row in rows}
    found = {}
    for variant_id, codes in texts.items():
        reasons = [(kind, text, _obstacle(text, common.get((kind, match_key(text))))) for kind, text in codes.items()]
        said = [
            _("its {word} {code} {reason}").format(word=_(WORDS[kind]), code=text.strip(), reason=reason)
            for kind, text, reason in reasons
            if reason is not None
        ]
        if said:
            found[variant_id] = _(" and ").join(said)
    return found


def _obstacle(text: str | None, common: Record | None) -> str | None:
    if common is None:
        return why_no_key(text)
    if common["shopify_rows"] >= common["nhanh_rows"]:
        return _("is on {n} variants of Shopify").format(n=number_text(common["shopify_rows"]))
    return _("is on {n} products of Nhanh.vn").format(n=number_text(common["nhanh_rows"]))
