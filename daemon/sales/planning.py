"""Which variants a campaign covers and what each would cost: for the preview and the journal."""

import asyncio
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

from asyncpg import Range, Record

from daemon.config import SaleSelection, SaleSettings
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import CampaignId, StoreName
from daemon.mirror.keys import match_key
from daemon.sales.model import HELD_SQL
from daemon.sales.pricing import NotOnSale, sale_prices
from daemon.sources.shopify.models import PricePair

ROWS_AT_ONCE = 500  # between two turns of the loop
PORTION = 5_000  # variants of a plan that are written at once
LARGEST_PRODUCT = 2**63 - 1  # bigint

# A variant that another campaign has on sale goes back to that campaign's base price before this one may have it: that
# is its true price. A conflict is a campaign that holds the variant at a time that overlaps.
TARGETED = """
SELECT variant.id, variant.product_id, variant.sku, variant.price, variant.compare_at_price,
    concat_ws(' - ', product.title, nullif(variant.title, 'Default Title')) AS title,
    holder.base_price, holder.base_compare_at, holder.campaign_id IS NOT NULL AS is_held, rival.name AS rival,
    product.is_gift_card, variant.is_bundle, product.is_subscription, product.is_combined_parent,
    (product.is_gift_card OR variant.is_bundle OR product.is_subscription OR product.is_combined_parent) IS NOT TRUE
        OR (product.id = ANY ($5::bigint[]) OR variant.sku_key = ANY ($8::text[])) IS TRUE AS may_be_sold
FROM dongbo.shopify_variants AS variant
JOIN dongbo.shopify_products AS product ON product.store = variant.store AND product.id = variant.product_id
LEFT JOIN LATERAL (
    SELECT item.campaign_id, item.base_price, item.base_compare_at FROM dongbo.sale_items AS item
    WHERE item.store = $1 AND item.variant_id = variant.id AND item.campaign_id <> $2 AND item.state IN {held}
    LIMIT 1
) AS holder ON true
LEFT JOIN LATERAL (
    SELECT campaign.name FROM dongbo.sale_items AS item
    JOIN dongbo.sale_campaigns AS campaign ON campaign.id = item.campaign_id
    WHERE item.store = $1 AND item.variant_id = variant.id AND item.campaign_id <> $2
      AND item.state IN ('PLANNED', 'APPLYING', 'APPLIED', 'REVERTING', 'DRIFTED', 'STUCK') AND item.held && $3
    LIMIT 1
) AS rival ON true
WHERE variant.store = $1 AND variant.deleted_at IS NULL AND product.deleted_at IS NULL
  AND ($4 OR {targeted}) AND NOT {excluded}
ORDER BY variant.product_id, variant.position, variant.id
"""

SELECTED = """(
    product.id = ANY (${ids}::bigint[]) OR product.product_type = ANY (${types}::text[])
    OR product.vendor = ANY (${vendors}::text[]) OR variant.sku_key = ANY (${skus}::text[])
    OR product.tags && ${tags}::text[] OR EXISTS (
        SELECT FROM dongbo.shopify_collection_products AS member
        WHERE member.store = $1 AND member.reference = ANY (${collections}::text[]) AND member.product_id = product.id
    )
) IS TRUE"""


def _selected(first: int) -> str:
    names = ("ids", "types", "vendors", "skus", "tags", "collections")
    return SELECTED.format(**{name: first + place for place, name in enumerate(names)})


LIST_TARGETED = TARGETED.format(held=HELD_SQL, targeted=_selected(5), excluded=f"({_selected(11)})")


# What has no plain price of its own is put on sale only if it is named.
NO_PLAIN_PRICE = {
    "is_gift_card": mark("it is a gift card, which is worth its face value"),
    "is_bundle": mark("it is a bundle, whose price the bundle app sets"),
    "is_subscription": mark("it is sold by subscription only, and the plan sets its price"),
    "is_combined_parent": mark("it is the parent of a combined listing, which has no price of its own"),
}
NAME_IT = mark("name it under products or skus to put it on sale anyway")

# What a definition names but the shop does not have; a collection, if nothing of the shop is in it.
LIST_UNMATCHED = """
SELECT
    ARRAY(
        SELECT named.id FROM unnest($2::bigint[]) AS named (id) WHERE NOT EXISTS (
            SELECT FROM dongbo.shopify_products AS product
            WHERE product.store = $1 AND product.id = named.id AND product.deleted_at IS NULL
        )
    ) AS products,
    ARRAY(
        SELECT named.key FROM unnest($3::text[]) AS named (key) WHERE NOT EXISTS (
            SELECT FROM dongbo.shopify_variants AS variant
            JOIN dongbo.shopify_products AS product ON product.store = variant.store AND product.id = variant.product_id
            WHERE variant.store = $1 AND variant.sku_key = named.key
              AND variant.deleted_at IS NULL AND product.deleted_at IS NULL
        )
    ) AS sku_keys,
    ARRAY(
        SELECT named.reference FROM unnest($4::text[]) AS named (reference) WHERE NOT EXISTS (
            SELECT FROM dongbo.shopify_collection_products AS member
            JOIN dongbo.shopify_products AS product ON product.store = member.store AND product.id = member.product_id
            WHERE member.store = $1 AND member.reference = named.reference AND product.deleted_at IS NULL
        )
    ) AS collections
"""

LIST_WORDS = """
SELECT array_agg(DISTINCT product_type) AS types, array_agg(DISTINCT vendor) AS vendors,
    (SELECT array_agg(DISTINCT tag) FROM dongbo.shopify_products AS tagged, unnest(tagged.tags) AS tag
     WHERE tagged.store = $1 AND tagged.deleted_at IS NULL) AS tags
FROM dongbo.shopify_products WHERE store = $1 AND deleted_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """What a campaign would do to a variant.

    Args:
        base: its prices without the sale.
        sale: its prices during it; None if it is skipped.
        reason: why it is skipped.
        rival: the name of another campaign that holds it at an overlapping time.
        is_held: whether another campaign has it on sale now.
    """

    variant_id: int
    product_id: int
    sku: str | None
    title: str
    present: PricePair
    base: PricePair
    sale: PricePair | None
    reason: str | None
    rival: str | None
    is_held: bool


# What a definition names but the shop does not have: {"targets": {"skus": ["AO-1"]}}, nothing where all is there.
Unmatched = Mapping[str, Mapping[str, Sequence[str | int]]]


async def plan(
    connection: Connection,
    definition: SaleSettings,
    campaign_id: CampaignId,
    held: Range,
) -> list[PlannedItem]:
    """All variants that the definition is for at present, by product and position.

    `held` is the time for which the campaign would hold them; `campaign_id` says whose items are no conflicts.
    """
    words = await _words(connection, definition)
    parameters = (*await _parameters(definition.targets, words), *await _parameters(definition.excludes, words))
    rows = await connection.fetch(
        LIST_TARGETED, definition.store, campaign_id, held, definition.targets.all, *parameters
    )
    outcome_of = cache(partial(sale_prices, definition))  # a shop has far fewer prices than variants
    planned: list[PlannedItem] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        planned += [_planned(row, outcome_of) for row in rows[start : start + ROWS_AT_ONCE]]
        await asyncio.sleep(0)
    return planned


@dataclass(frozen=True, slots=True)
class PlanPortion:
    """The part of a plan for the products with ids in (after, through]; all portions together are for all products."""

    after: int
    through: int
    items: Sequence[PlannedItem]


def portions_of(planned: Sequence[PlannedItem]) -> Iterator[PlanPortion]:
    """A plan, which is by product, in portions that are each written within some tenths of a second."""
    after, start = -1, 0
    while start < len(planned) - PORTION:
        through = planned[start + PORTION - 1].product_id
        end = start + PORTION
        while end < len(planned) and planned[end].product_id == through:
            end += 1
        yield PlanPortion(after, through, planned[start:end])
        after, start = through, end
    yield PlanPortion(after, LARGEST_PRODUCT, planned[start:])


async def list_unmatched(connection: Connection, definition: SaleSettings) -> Unmatched:
    """What the definition names that matches nothing in the shop: a typo, or not pulled yet."""
    words = await _words(connection, definition)
    chosen = {"targets": definition.targets, "excludes": definition.excludes}
    found = {part: await _unmatched(connection, definition.store, chosen[part], words) for part in chosen}
    return {part: kinds for part, kinds in found.items() if kinds}


async def _unmatched(
    connection: Connection, store: StoreName, selection: SaleSelection, words: "_Words"
) -> dict[str, Sequence[str | int]]:
    keys = await _sku_keys(selection)
    row = await connection.fetchrow(LIST_UNMATCHED, store, list(selection.products), keys, list(selection.collections))
    products, strange_keys, collections = map(frozenset, row or ((), (), ()))
    kinds: dict[str, Sequence[str | int]] = {
        "products": [number for number in selection.products if number in products],
        "collections": [name for name in selection.collections if name in collections],
        "product_types": list(_unlike(words.types, selection.product_types)),
        "vendors": list(_unlike(words.vendors, selection.vendors)),
        "tags": list(_unlike(words.tags, selection.tags)),
        "skus": [sku for sku, key in zip(selection.skus, keys, strict=True) if key in strange_keys],
    }
    return {kind: named for kind, named in kinds.items() if named}


def period(starts_at: datetime | None, ends_at: datetime | None, now: datetime) -> Range:
    """The time for which a campaign holds its variants: from its start, or now if that has passed, up to its end."""
    lower = max(starts_at, now) if starts_at is not None else now
    return Range(lower, ends_at) if ends_at is None or ends_at > lower else Range(empty=True)


@dataclass(frozen=True, slots=True)
class _Words:
    """The product types, vendors and tags of a shop, as it writes them."""

    types: Sequence[str] = ()
    vendors: Sequence[str] = ()
    tags: Sequence[str] = ()


async def _words(connection: Connection, definition: SaleSettings) -> _Words:
    """Read them where they are needed: PostgreSQL's lower() knows only ASCII in the locale C, so they are compared
    here."""
    chosen = (definition.targets, definition.excludes)
    if not any(part.product_types or part.vendors or part.tags for part in chosen):
        return _Words()
    row = await connection.fetchrow(LIST_WORDS, definition.store)
    return _Words(*([word for word in words or () if word is not None] for words in row))


async def _parameters(selection: SaleSelection, words: _Words) -> Sequence[object]:
    return (
        list(selection.products),
        _alike(words.types, selection.product_types),
        _alike(words.vendors, selection.vendors),
        [key for key in await _sku_keys(selection) if key is not None],
        _alike(words.tags, selection.tags),
        list(selection.collections),
    )


def _alike(words: Sequence[str], named: Sequence[str]) -> list[str]:
    """Those of the shop's words that a person would read as one that is named."""
    wanted = set(map(_folded, named))
    return [word for word in words if _folded(word) in wanted]


def _unlike(words: Sequence[str], named: Sequence[str]) -> Iterator[str]:
    """Those that are named and that a person would read as none of the shop's words."""
    known = set(map(_folded, words))
    return (name for name in named if _folded(name) not in known)


async def _sku_keys(selection: SaleSelection) -> list[str | None]:
    """By what each SKU is found; None for one of blanks alone, or too long."""
    keys: list[str | None] = []
    for start in range(0, len(selection.skus), ROWS_AT_ONCE):
        keys += map(match_key, selection.skus[start : start + ROWS_AT_ONCE])
        await asyncio.sleep(0)
    return keys


def _folded(word: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold()).strip()


def _planned(row: Record, outcome_of: Callable[[PricePair], PricePair | NotOnSale]) -> PlannedItem:
    present = PricePair(row["price"], row["compare_at_price"])
    base = PricePair(row["base_price"], row["base_compare_at"]) if row["is_held"] else present
    outcome = outcome_of(base) if row["may_be_sold"] else _not_plain(row)
    is_sold = isinstance(outcome, PricePair)
    return PlannedItem(
        variant_id=row["id"],
        product_id=row["product_id"],
        sku=row["sku"],
        title=row["title"],
        present=present,
        base=base,
        sale=outcome if isinstance(outcome, PricePair) else None,
        reason=outcome.reason if isinstance(outcome, NotOnSale) else None,
        rival=row["rival"] if is_sold else None,
        is_held=row["is_held"],
    )


def _not_plain(row: Record) -> NotOnSale:
    """Why a variant is not put on sale unless a person names it or its product."""
    reason = next(reason for flag, reason in NO_PLAIN_PRICE.items() if row[flag])
    return NotOnSale(f"{_(reason)}: {_(NAME_IT)}")


def stores_collections(definition: SaleSettings) -> tuple[StoreName, tuple[str, ...]]:
    """The store, and the collections that must have been read before its campaign can be planned."""
    named = (*definition.targets.collections, *definition.excludes.collections)
    return definition.store, tuple(dict.fromkeys(named))
