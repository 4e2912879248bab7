"""All that the tables say of some variants: what was found at both sides, pushed, and held back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.store import IS_WHOLE
from daemon.mirror import shops
from daemon.sales import items, journal
from daemon.sales.items import Holder
from daemon.sales.journal import LastWrite
from daemon.sync import pushes
from daemon.sync.explanation.search_terms import SearchTerms
from daemon.sync.explanation.verdicts import Approval, LastSync
from daemon.sync.matching.mapping_list import TITLE
from daemon.sync.matching.variant_mappings import VariantMapping, mappings_of
from daemon.sync.products.planned_values import PlannedValues, planned_values
from daemon.sync.products.rules import DEFAULT_SHOP
from daemon.sync.pushes import RecordedPush

SHOWN_PUSHES = 5  # of each value
KINDS = (PushKind.STOCK, PushKind.ACTIVATION, PushKind.PRICE, PushKind.COMPARE_AT_PRICE)
STREAMS = ("nhanh_products", "nhanh_inventory", "shopify_products")

# With the keys by which they are found.
VARIANT_COLUMNS = f"""
    variant.id, variant.product_id, variant.inventory_item_id, variant.sku, variant.barcode, variant.tracked,
    variant.sku_key, variant.barcode_key, {TITLE} AS title,
    variant.price, variant.compare_at_price, variant.changed_at, variant.deleted_at
FROM dongbo.shopify_variants AS variant
LEFT JOIN dongbo.shopify_products AS product ON product.store = variant.store AND product.id = variant.product_id
"""

# Deleted variants are found as well, and come last.
FIND_VARIANTS = f"""
WITH named AS MATERIALIZED (
    SELECT id FROM dongbo.nhanh_products WHERE store = $1 AND (sku_key = $2 OR barcode_key = $2 OR id = $6)
), meant AS (
    SELECT id FROM named
    UNION
    SELECT part.id FROM named JOIN dongbo.nhanh_products AS part
        ON part.store = $1 AND part.parent_id = named.id AND part.parent_id > 0
)
SELECT {VARIANT_COLUMNS}
WHERE variant.store = $1 AND variant.id IN (
    SELECT id FROM dongbo.shopify_variants
    WHERE store = $1 AND (sku_key = $2 OR barcode_key = $2 OR id = $3 OR product_id = $4 OR inventory_item_id = $5)
    UNION
    SELECT variant_id FROM meant JOIN dongbo.product_mappings AS mapping
        ON mapping.store = $1 AND mapping.nhanh_id = meant.id AND mapping.retired_at IS NULL
)
ORDER BY variant.deleted_at IS NOT NULL, variant.id LIMIT $7
"""

LIST_VARIANTS = f"SELECT {VARIANT_COLUMNS} WHERE variant.store = $1 AND variant.id = ANY ($2)"

# Variants that are not what products of Nhanh.vn are mapped to, but have a code of theirs or were mapped to them once.
FIND_RELATED = f"""
SELECT {VARIANT_COLUMNS}
WHERE variant.store = $1 AND variant.id IN (
    SELECT variant.id FROM dongbo.nhanh_products AS nhanh JOIN dongbo.shopify_variants AS variant
        ON variant.store = $1 AND (variant.sku_key = nhanh.sku_key OR variant.barcode_key = nhanh.barcode_key)
    WHERE nhanh.store = $1 AND nhanh.id = ANY ($2)
    UNION
    SELECT variant_id FROM dongbo.product_mappings WHERE store = $1 AND nhanh_id = ANY ($2) AND retired_at IS NOT NULL
)
ORDER BY variant.deleted_at IS NOT NULL, variant.id LIMIT $3
"""

FIND_PRODUCTS = """
SELECT id, code, name, parent_id, deleted_at FROM dongbo.nhanh_products
WHERE store = $1 AND (sku_key = $2 OR barcode_key = $2 OR id = $3) ORDER BY deleted_at IS NOT NULL, id LIMIT $4
"""

GET_SHOPIFY_PRODUCT = "SELECT id, title, deleted_at FROM dongbo.shopify_products WHERE store = $1 AND id = $2"

LIST_PRODUCTS = """
SELECT id, code, barcode, name, retail_price, wholesale_price, old_price, changed_at, deleted_at
FROM dongbo.nhanh_products WHERE store = $1 AND id = ANY ($2)
"""

LIST_STOCK = """
SELECT product_id, depot_id, changed_at FROM dongbo.nhanh_inventory
WHERE store = $1 AND product_id = ANY ($2) AND deleted_at IS NULL
"""

LIST_DEPOTS = "SELECT id, name, hidden_at FROM dongbo.nhanh_depots WHERE store = $1"

# By the item, which several variants may share.
LIST_LEVELS = """
SELECT variant.id AS variant_id, level.location_id, level.available, level.on_hand, level.changed_at, level.deleted_at
FROM dongbo.shopify_variants AS variant
JOIN dongbo.shopify_inventory_levels AS level
    ON level.store = variant.store AND level.inventory_item_id = variant.inventory_item_id
WHERE variant.store = $1 AND variant.id = ANY ($2)
ORDER BY level.location_id
"""

LIST_LOCATIONS = "SELECT id, name, is_active FROM dongbo.shopify_locations WHERE store = $1"

WAITING_SYNC = """
SELECT id, error FROM dongbo.background_jobs
WHERE store = $1 AND type = 'SYNC_PRODUCTS' AND status = 'AWAITING_APPROVAL'
"""

LIST_APPROVALS = """
SELECT kind, owner_id, location_id
FROM dongbo.approvals AS approval JOIN dongbo.approval_changes AS change ON change.approval_id = approval.id
WHERE job_id = $1 AND state = 'open' AND is_risky AND kind = ANY ($3) AND owner_id = ANY ($2)
"""

LAST_SYNC = f"""
SELECT id, started_at, completed_at FROM dongbo.background_jobs AS job
WHERE store = $1 AND type = 'SYNC_PRODUCTS' AND {IS_WHOLE}
ORDER BY completed_at DESC LIMIT 1
"""

LIST_WATERMARKS = "SELECT stream, complete_to FROM dongbo.watermarks WHERE store = $1 AND stream = ANY ($2)"


# A value of a variant: what, whose, where (0 where there is no place).
ValueKey = tuple[PushKind, int, int]


@dataclass(slots=True)
class Evidence:
    """What the tables say of variants, as their rows."""

    variants: Sequence[Record]
    mappings: Mapping[int, VariantMapping]  # by variant
    last_sync: LastSync | None
    waiting_sync: Approval | None  # it pushes nothing before a person has decided
    products: dict[int, Record] = field(default_factory=dict)  # of Nhanh.vn
    stock_changed_at: dict[tuple[int, int], datetime] = field(default_factory=dict)  # by product and depot
    depots: dict[int, Record] = field(default_factory=dict)
    levels: dict[int, dict[int, Record]] = field(default_factory=dict)  # by variant, then location
    locations: dict[int, Record] = field(default_factory=dict)
    asked: set[ValueKey] = field(default_factory=set)  # what the person is asked about
    pushes: dict[ValueKey, list[RecordedPush]] = field(default_factory=dict)  # newest first
    holders: dict[int, Holder] = field(default_factory=dict)  # the sales that have variants, by variant
    sale_writes: dict[int, LastWrite] = field(default_factory=dict)  # the last of any sale, by variant
    planned: PlannedValues = field(default_factory=PlannedValues)  # what the plan says


async def find_variants(connection: Connection, store: StoreName, asked: SearchTerms, limit: int) -> list[Record]:
    """Variants that may be meant: by a code or an id of their own, of their product, of their product at Nhanh.vn or of
    the one there that stands for it."""
    ids = asked.variant_id, asked.product_id, asked.item_id, asked.nhanh_id
    return list(await connection.fetch(FIND_VARIANTS, store, asked.key, *ids, limit))


async def list_variants(connection: Connection, store: StoreName, variant_ids: Sequence[int]) -> list[Record]:
    """The variants of these ids, in their order; deleted ones as well."""
    known = {row["id"]: row for row in await connection.fetch(LIST_VARIANTS, store, variant_ids)}
    return [known[number] for number in variant_ids if number in known]


async def find_related(connection: Connection, store: StoreName, nhanh_ids: Sequence[int], limit: int) -> list[Record]:
    """Variants that have a code of these products of Nhanh.vn, or were mapped to them once."""
    return list(await connection.fetch(FIND_RELATED, store, nhanh_ids, limit))


async def find_products(connection: Connection, store: StoreName, asked: SearchTerms, limit: int) -> list[Record]:
    """Products of Nhanh.vn of this code, barcode or id; those that are gone come last."""
    return list(await connection.fetch(FIND_PRODUCTS, store, asked.key, asked.nhanh_id, limit))


async def get_shopify_product(connection: Connection, store: StoreName, asked: SearchTerms) -> Record | None:
    """The product of Shopify, with or without variants."""
    return await connection.fetchrow(GET_SHOPIFY_PRODUCT, store, asked.product_id)


async def list_watermarks(connection: Connection, store: StoreName) -> dict[str, datetime]:
    """Until when the streams that a sync draws on are complete."""
    rows = await connection.fetch(LIST_WATERMARKS, store, STREAMS)
    return {row["stream"]: row["complete_to"] for row in rows}


async def gather(
    connection: Connection,
    store: StoreName,
    settings: ProductSyncSettings | None,
    variants: Sequence[Record],
    *,
    with_pushes: bool = True,
) -> Evidence:
    """What there is to know of variants that `find_variants` has found; `settings`: what of products is synced."""
    variant_ids = [row["id"] for row in variants]
    found = Evidence(
        variants,
        await mappings_of(connection, store, variant_ids),
        await _last_sync(connection, store),
        await _waiting_sync(connection, store),
    )
    nhanh_ids = [mapping.nhanh_id for mapping in found.mappings.values() if mapping.nhanh_id is not None]
    for row in await connection.fetch(LIST_PRODUCTS, store, nhanh_ids):
        found.products[row["id"]] = row
    for row in await connection.fetch(LIST_STOCK, store, nhanh_ids):
        found.stock_changed_at[row["product_id"], row["depot_id"]] = row["changed_at"]
    for row in await connection.fetch(LIST_DEPOTS, store):
        found.depots[row["id"]] = row
    for row in await connection.fetch(LIST_LEVELS, store, variant_ids):
        found.levels.setdefault(row["variant_id"], {})[row["location_id"]] = row
    for row in await connection.fetch(LIST_LOCATIONS, store):
        found.locations[row["id"]] = row
    if settings is not None:
        shop = await shops.get(connection, store) or DEFAULT_SHOP
        found.planned = await planned_values(connection, store, settings, shop, variant_ids)
    found.holders = await items.holders(connection, store, variant_ids)
    found.sale_writes = await journal.last_applied(connection, store, variant_ids)
    if found.waiting_sync is not None:
        for row in await connection.fetch(LIST_APPROVALS, found.waiting_sync.job_id, variant_ids, KINDS):
            found.asked.add((_kind(PushKind(row["kind"])), row["owner_id"], row["location_id"]))
    pushed = variant_ids if with_pushes else []
    for push in await pushes.list_of_owners(connection, store, pushed, KINDS, limit=SHOWN_PUSHES):
        value = push.push
        found.pushes.setdefault((_kind(value.kind), value.owner_id, value.location_id or 0), []).append(push)
    return found


async def _last_sync(connection: Connection, store: StoreName) -> LastSync | None:
    row = await connection.fetchrow(LAST_SYNC, store)
    return LastSync(_job_id(row["id"]), row["started_at"], row["completed_at"]) if row else None


async def _waiting_sync(connection: Connection, store: StoreName) -> Approval | None:
    row = await connection.fetchrow(WAITING_SYNC, store)
    return Approval(_job_id(row["id"]), row["error"] or "") if row else None


def _kind(kind: PushKind) -> PushKind:
    """To be stocked at a place belongs to the stock there."""
    return PushKind.STOCK if kind is PushKind.ACTIVATION else kind


def _job_id(value: UUID) -> JobId:
    return JobId(UUID(int=value.int))  # asyncpg's own kind of UUID is unknown to JSON encoders
