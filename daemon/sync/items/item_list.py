"""Lists of items: what a search finds, or what is unmapped, ambiguous and so on, each with its verdict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from decimal import Decimal

from asyncpg import Record

from daemon.api.explanation import ExplainedVariant
from daemon.api.items import ItemHit, ItemMappingState
from daemon.api.mappings import MappingState, ProductChoice
from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.mirror import search_texts
from daemon.mirror.search_texts import read_sought, searching
from daemon.money import amount_text, amount_text_or_none
from daemon.sync.explanation import evidence
from daemon.sync.explanation.explain import explained
from daemon.sync.explanation.search_terms import NotExplained, read_search_terms
from daemon.sync.items import candidates
from daemon.sync.items.verdict import is_configured, item_verdict
from daemon.sync.matching import mapping_list
from daemon.sync.search import ITEMS, Exact, Found, search
from daemon.tone import Tone

MOST_EXACT = 200  # variants that have a text as a code or id

PRODUCTS = """
SELECT id, code, barcode, name, retail_price, (
    SELECT sum(available) FROM dongbo.nhanh_inventory AS held
    WHERE held.store = $1 AND held.product_id = product.id AND held.deleted_at IS NULL
) AS stock, deleted_at IS NOT NULL AS is_deleted
FROM dongbo.nhanh_products AS product WHERE store = $1 AND id = ANY ($2)
"""

NHANH_ONLY = """
SELECT id FROM dongbo.nhanh_products AS product
WHERE store = $1 AND id > $2 AND deleted_at IS NULL AND parent_id IS DISTINCT FROM -2 AND NOT EXISTS (
    SELECT FROM dongbo.product_mappings AS mapping
    WHERE mapping.store = $1 AND mapping.nhanh_id = product.id AND mapping.retired_at IS NULL
)
ORDER BY id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class ItemLister:
    """Lists items of a store.

    Args:
        settings: what of the products is synced; None where nothing is.
        zone: of the times in sentences.
        shop: the handle of the store's shop, to tell addresses of others; None where it is not known.
    """

    connection: Connection
    store: StoreName
    settings: ProductSyncSettings | None
    zone: tzinfo
    shop: str | None

    async def search(
        self, text: str, state: ItemMappingState | None, *, skip: int, limit: int
    ) -> tuple[list[ItemHit], str | None]:
        """What a text may mean, the best first; and what there is to say of the search.

        Args:
            skip: how many hits the pages before have had.
            state: only these.
        """
        try:
            terms = read_search_terms(text, self.shop)
        except NotExplained as error:
            return [], str(error)
        async with searching(self.connection):
            variants = await evidence.find_variants(self.connection, self.store, terms, MOST_EXACT)
            products = await evidence.find_products(self.connection, self.store, terms, MOST_EXACT)
            exact = Exact([row["id"] for row in variants], [row["id"] for row in products])
            sought = await read_sought(self.connection, text) if terms.code is not None else None
            found, said = await search(
                self.connection, self.store, ITEMS, exact, sought, _condition(state), skip=skip, limit=limit
            )
            return await self._hits(found), said

    async def of_state(self, state: ItemMappingState | None, *, after: int, limit: int) -> list[ItemHit]:
        """Items in the order of their ids, those of variants unless only Nhanh.vn's are asked for."""
        if state is ItemMappingState.NHANH_ONLY:
            async with searching(self.connection):
                rows = await self.connection.fetch(NHANH_ONLY, self.store, after, limit)
                return await self._hits([Found(None, row["id"]) for row in rows])
        listed = await mapping_list.list_mappings(
            self.connection,
            self.store,
            state=None if state is None else MappingState(state),
            search=None,
            after=after,
            limit=limit,
        )
        async with searching(self.connection):
            hits = await self._hits([Found(mapping.variant_id, None) for mapping in listed])
            return await self._with_namesakes(hits) if state is ItemMappingState.UNMATCHED else hits

    async def _hits(self, found: Sequence[Found]) -> list[ItemHit]:
        """In the order of what was found."""
        variant_ids = [one.shopify_id for one in found if one.shopify_id is not None]
        nhanh_ids = [one.nhanh_id for one in found if one.nhanh_id is not None]
        variants = await explained(
            self.connection, self.store, self.settings, self.zone, variant_ids, with_pushes=False
        )
        by_key = {variant.variant_id: variant.mapping.candidates for variant in variants}
        choices = await candidates.choices(self.connection, self.store, by_key)
        by_variant = {variant.variant_id: self._hit(variant, choices) for variant in variants}
        rows = await self.connection.fetch(PRODUCTS, self.store, nhanh_ids) if nhanh_ids else ()
        by_product = {row["id"]: self._nhanh_only(row) for row in rows}
        hits = [by_variant.get(one.shopify_id or 0) or by_product.get(one.nhanh_id or 0) for one in found]
        return [hit for hit in hits if hit is not None]

    async def _with_namesakes(self, hits: Sequence[ItemHit]) -> list[ItemHit]:
        """With candidates by name where that costs little; of a single item more are looked for."""
        if not await search_texts.has_index(self.connection):
            return list(hits)
        titles = {hit.variant_id: hit.title for hit in hits if hit.variant_id is not None and hit.title}
        found = await candidates.namesakes(self.connection, self.store, titles)
        return [replace(hit, candidates=hit.candidates or found.get(hit.variant_id or 0, ())) for hit in hits]

    def _hit(self, variant: ExplainedVariant, choices: Mapping[int, Sequence[ProductChoice]]) -> ItemHit:
        verdict = item_verdict(variant, self.settings, self.zone)
        stock = [value for value in variant.values if value.kind is PushKind.STOCK]
        pushed = [value for value in stock if is_configured(value, self.settings)]
        price = next((value.shopify for value in variant.values if value.kind is PushKind.PRICE), None)
        return ItemHit(
            store=self.store,
            variant_id=variant.variant_id,
            nhanh_id=variant.mapping.nhanh_id if variant.product is not None else None,
            title=variant.title,
            sku=variant.sku,
            barcode=variant.barcode,
            state=ItemMappingState(variant.mapping.state),
            shopify_stock=_total(value.shopify for value in (pushed or stock)),
            nhanh_stock=_total(value.sum for value in pushed),
            price=price,
            tone=verdict.tone,
            text=verdict.text,
            candidates=choices.get(variant.variant_id, []),
        )

    def _nhanh_only(self, product: Record) -> ItemHit:
        text = (
            _("It no longer exists at Nhanh.vn.")
            if product["is_deleted"]
            else _("Only Nhanh.vn has it: no variant of Shopify is mapped to it.")
        )
        return ItemHit(
            store=self.store,
            variant_id=None,
            nhanh_id=product["id"],
            title=product["name"],
            sku=product["code"],
            barcode=product["barcode"],
            state=ItemMappingState.NHANH_ONLY,
            shopify_stock=None,
            nhanh_stock=amount_text_or_none(product["stock"]),
            price=amount_text_or_none(product["retail_price"]),
            tone=Tone.OFF,
            text=text,
            candidates=[],
        )


def _condition(state: ItemMappingState | None) -> str:
    """Which hits of a search are in a state, in SQL."""
    is_open = f"hits.shopify_id IS NOT NULL AND NOT {ITEMS.is_mapped()}"
    match state:
        case None:
            return "true"
        case ItemMappingState.NHANH_ONLY:
            return "hits.shopify_id IS NULL"
        case ItemMappingState.MAPPED:
            return ITEMS.is_mapped("mapping.nhanh_id IS NOT NULL")
        case ItemMappingState.EXCLUDED:
            return ITEMS.is_mapped("mapping.nhanh_id IS NULL")
        case ItemMappingState.AMBIGUOUS:
            return f"{is_open} AND {ITEMS.in_conflict}"
        case ItemMappingState.UNMATCHED:
            return f"{is_open} AND NOT {ITEMS.in_conflict}"
        case ItemMappingState.RETIRED:
            return f"{is_open} AND {ITEMS.was_mapped()}"


def _total(figures: Iterable[str | None]) -> str | None:
    known = [Decimal(figure) for figure in figures if figure is not None]
    return amount_text(sum(known, Decimal(0))) if known else None
