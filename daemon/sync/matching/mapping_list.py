"""What people see of `dongbo.product_mappings`: each variant with its product, or with why it has none."""

import re
from dataclasses import dataclass
from typing import assert_never

from asyncpg import Record

from daemon.api.mappings import Mapping, MappingState, ProductChoice
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.mirror.keys import match_key
from daemon.mirror.search_texts import Sought, holds, read_sought, searching
from daemon.sync.matching import common_keys
from daemon.sync.matching.reasons import in_words
from daemon.texts import visible

CANDIDATES = 100  # the most that are listed for one variant

_ID = re.compile(r"[1-9][0-9]{0,17}")
_GLOBAL_ID = re.compile(r"^gid://shopify/\w+/(?=[0-9]+$)")


@dataclass(frozen=True, slots=True)
class VariantChoice:
    """A variant that somebody may mean."""

    variant_id: int
    product_id: int
    sku: str | None
    barcode: str | None
    title: str | None


# Shopify gives a product without options one variant with this title.
TITLE = "concat_ws(' / ', product.title, nullif(variant.title, 'Default Title'))"

# Rows of both sides that are sought by their texts or by an id, $2.
SOUGHT = """
WITH sought AS MATERIALIZED (
    SELECT side, id FROM dongbo.item_texts WHERE store = $1 AND {holds}
    UNION
    SELECT 'shopify', id FROM dongbo.shopify_variants
    WHERE store = $1 AND (id = $2 OR product_id = $2 OR inventory_item_id = $2)
    UNION
    SELECT 'nhanh', $2 WHERE $2 IS NOT NULL
)
"""

VARIANT_IS_SOUGHT = """variant.id IN (
    SELECT id FROM sought WHERE side = 'shopify'
    UNION ALL
    SELECT mapping.variant_id FROM sought JOIN dongbo.product_mappings AS mapping
        ON mapping.store = $1 AND mapping.nhanh_id = sought.id AND mapping.retired_at IS NULL
    WHERE sought.side = 'nhanh'
)"""

RETIRED_IS_SOUGHT = """(
    mapping.variant_id IN (SELECT id FROM sought WHERE side = 'shopify')
    OR mapping.nhanh_id IN (SELECT id FROM sought WHERE side = 'nhanh')
)"""

IN_CONFLICT = """variant.id IN (
    SELECT unnest(shopify_ids) FROM dongbo.match_conflicts WHERE store = $1 AND kind IN ('sku', 'barcode')
)"""

LIST_VARIANTS = f"""
{{sought}}SELECT page.*, nhanh.code AS nhanh_code, nhanh.name AS nhanh_name
FROM (
    SELECT variant.id AS variant_id, variant.product_id, variant.inventory_item_id, variant.sku, variant.barcode,
        {TITLE} AS variant_title, mapping.nhanh_id, mapping.source, mapping.note, mapping.changed_at,
        NULL AS reason, mapping.id IS NOT NULL AS is_decided
    FROM dongbo.shopify_variants AS variant
    LEFT JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = variant.product_id
    LEFT JOIN dongbo.product_mappings AS mapping
        ON mapping.store = $1 AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
    WHERE variant.store = $1 AND variant.deleted_at IS NULL AND product.deleted_at IS NULL AND variant.id > $3
      AND {{condition}}
    ORDER BY variant.id LIMIT $4
) AS page
LEFT JOIN dongbo.nhanh_products AS nhanh ON nhanh.store = $1 AND nhanh.id = page.nhanh_id
ORDER BY page.variant_id
"""

# The last mapping that a variant had, of those without one now; the variant itself may be gone.
LIST_RETIRED = f"""
{{sought}}SELECT mapping.variant_id, variant.product_id, variant.inventory_item_id, variant.sku, variant.barcode,
    {TITLE} AS variant_title, mapping.nhanh_id, nhanh.code AS nhanh_code, nhanh.name AS nhanh_name,
    mapping.source, mapping.note, mapping.retired_at AS changed_at, mapping.retired_reason AS reason
FROM (
    SELECT DISTINCT ON (variant_id) * FROM dongbo.product_mappings AS retired
    WHERE store = $1 AND variant_id > $3 AND retired_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM dongbo.product_mappings AS live
        WHERE live.store = $1 AND live.variant_id = retired.variant_id AND live.retired_at IS NULL
    )
    ORDER BY variant_id, id DESC
) AS mapping
LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = mapping.variant_id
LEFT JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = variant.product_id
LEFT JOIN dongbo.nhanh_products AS nhanh ON nhanh.store = $1 AND nhanh.id = mapping.nhanh_id
WHERE {{condition}}
ORDER BY mapping.variant_id LIMIT $4
"""

CONFLICTS_OF = f"""
SELECT variant_id, kind, key, nhanh_ids[:{CANDIDATES}] AS nhanh_ids,
    cardinality(nhanh_ids) AS products, cardinality(shopify_ids) AS variants
FROM dongbo.match_conflicts, unnest(shopify_ids) AS variant_id
WHERE store = $1 AND kind IN ('sku', 'barcode') AND variant_id = ANY ($2::bigint[])
ORDER BY variant_id, kind DESC
"""

RESOLVE_VARIANT = f"""
SELECT variant.id AS variant_id, variant.product_id, variant.sku, variant.barcode, {TITLE} AS title
FROM dongbo.shopify_variants AS variant
LEFT JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = variant.product_id
WHERE variant.store = $1 AND (
    variant.id = $2 OR (variant.sku_key = $3 AND variant.deleted_at IS NULL AND product.deleted_at IS NULL)
)
ORDER BY variant.id LIMIT $4
"""

RESOLVE_PRODUCT = """
SELECT id AS nhanh_id, code, barcode, name FROM dongbo.nhanh_products
WHERE store = $1 AND (
    id = $2 OR (sku_key = $3 AND deleted_at IS NULL AND parent_id IS DISTINCT FROM -2)
)
ORDER BY id LIMIT $4
"""


async def list_mappings(
    connection: Connection, store: StoreName, *, state: MappingState | None, search: str | None, after: int, limit: int
) -> list[Mapping]:
    """Variants and their products, in the order of the variants' ids.

    Args:
        state: only these; None: all variants that are there. RETIRED lists the last mapping of variants that have none
            now, whether they still exist or not.
        search: words, each a part of a SKU, a barcode, a title or a name, whatever its case and accents; or an id of
            either side.
        after: the last variant id of the previous page; 0 for the first.
        limit: rows.
    """
    async with searching(connection):
        sought = await read_sought(connection, _bare(search or ""))
        statement = _statement(state, sought)
        patterns = sought.parts if sought is not None else []
        rows = await connection.fetch(statement, store, _number(search), after, limit, *patterns)
    if state is MappingState.RETIRED:
        return [_mapping(store, MappingState.RETIRED, row) for row in rows]
    waiting = [row["variant_id"] for row in rows if not row["is_decided"]]
    conflicts: dict[int, list[Record]] = {}
    for conflict in await connection.fetch(CONFLICTS_OF, store, waiting) if waiting else ():
        conflicts.setdefault(conflict["variant_id"], []).append(conflict)
    obstacles = await common_keys.obstacles(connection, store, [row for row in rows if not row["is_decided"]])
    return [_listed(store, row, conflicts.get(row["variant_id"], []), obstacles.get(row["variant_id"])) for row in rows]


async def resolve_variant(
    connection: Connection, store: StoreName, text: str, *, limit: int = 20
) -> list[VariantChoice]:
    """The variants that a text may mean: an id, `gid://shopify/ProductVariant/…`, or a SKU.

    Digits may be both an id and a SKU; `id:` or `sku:` before them says which. An id also finds what was deleted.
    """
    number, key = _meanings(_bare(text))
    rows = await connection.fetch(RESOLVE_VARIANT, store, number, key, limit)
    return [VariantChoice(**dict(row)) for row in rows]


async def resolve_product(
    connection: Connection, store: StoreName, text: str, *, limit: int = 20
) -> list[ProductChoice]:
    """The products of Nhanh.vn that a text may mean: an id or a SKU, as with `resolve_variant`."""
    number, key = _meanings(_bare(text))
    rows = await connection.fetch(RESOLVE_PRODUCT, store, number, key, limit)
    return [ProductChoice(**dict(row)) for row in rows]


def _statement(state: MappingState | None, sought: Sought | None) -> str:
    is_retired = state is MappingState.RETIRED
    template, condition = (LIST_RETIRED, "true") if is_retired else (LIST_VARIANTS, _condition(state))
    if sought is None:
        return template.format(sought="", condition=f"$2::bigint IS NULL AND {condition}")
    is_sought = RETIRED_IS_SOUGHT if is_retired else VARIANT_IS_SOUGHT
    found = SOUGHT.format(holds=holds(len(sought.words), first=5))
    return template.format(sought=found, condition=f"{is_sought} AND {condition}")


def _condition(state: MappingState | None) -> str:
    match state:
        case None:
            return "true"
        case MappingState.MAPPED:
            return "mapping.nhanh_id IS NOT NULL"
        case MappingState.EXCLUDED:
            return "mapping.id IS NOT NULL AND mapping.nhanh_id IS NULL"
        case MappingState.AMBIGUOUS:
            return f"mapping.id IS NULL AND {IN_CONFLICT}"
        case MappingState.UNMATCHED:
            return f"mapping.id IS NULL AND NOT {IN_CONFLICT}"
        case MappingState.RETIRED:
            raise AssertionError("retired mappings have a statement of their own")
        case _:
            assert_never(state)


def _number(search: str | None) -> int | None:
    text = _bare(search or "")
    return int(text) if _ID.fullmatch(text) else None


def _bare(text: str) -> str:
    """What somebody has pasted, without what came along; of Shopify's global ids only the number."""
    return _GLOBAL_ID.sub("", visible(text).strip())


def _meanings(text: str) -> tuple[int | None, str | None]:
    """The id and the SKU's key that a text may be."""
    meaning, _, rest = text.partition(":")
    if meaning == "id" and _ID.fullmatch(rest):
        return int(rest), None
    if meaning == "sku" and rest:
        return None, match_key(rest)
    return int(text) if _ID.fullmatch(text) else None, match_key(text)


def _listed(store: StoreName, row: Record, conflicts: list[Record], obstacle: str | None) -> Mapping:
    if row["is_decided"]:
        return _mapping(store, MappingState.EXCLUDED if row["nhanh_id"] is None else MappingState.MAPPED, row)
    if conflicts:
        candidates = dict.fromkeys(number for conflict in conflicts for number in conflict["nhanh_ids"])
        shared = "; ".join(_shared(conflict) for conflict in conflicts)
        return _mapping(store, MappingState.AMBIGUOUS, row, list(candidates)[:CANDIDATES], shared)
    return _mapping(store, MappingState.UNMATCHED, row, reason=why_unmatched(row["sku"], row["barcode"], obstacle))


def why_unmatched(sku: str | None, barcode: str | None, obstacle: str | None) -> str:
    """Why a variant has no product and no candidates.

    Args:
        obstacle: what `common_keys.obstacles` says of it.
    """
    if obstacle is not None:
        return _("no product at Nhanh.vn matches: {obstacle}").format(obstacle=obstacle)
    if match_key(sku) is None and match_key(barcode) is None:
        return _("the variant has neither SKU nor barcode")
    return _("no product at Nhanh.vn that is still free has this SKU or barcode")


def _shared(conflict: Record) -> str:
    return _("{word} {key} belongs to {products} at Nhanh.vn and {variants} at Shopify").format(
        word=_(common_keys.WORDS[conflict["kind"]]),
        key=conflict["key"],
        products=conflict["products"],
        variants=conflict["variants"],
    )


def _mapping(
    store: StoreName,
    state: MappingState,
    row: Record,
    candidates: list[int] | None = None,
    reason: str | None = None,
) -> Mapping:
    columns = {name: row[name] for name in Mapping.__slots__ if name in row}
    columns["reason"] = reason or in_words(columns["reason"])
    return Mapping(store=store, state=state, candidates=candidates or [], **columns)
