"""Why does Shopify say 7? All that is known of an SKU on both sides, and a verdict on each of its values."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from asyncpg import Record

from daemon.api.explanation import ExplainedFreshness, ExplainedVariant, Explanation
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.sync.explanation import evidence, search_words
from daemon.sync.explanation.search_terms import NotExplained, SearchTerms, read_search_terms
from daemon.sync.explanation.variant_explainer import VariantExplainer

MOST_VARIANTS = 20


async def explain(
    connection: Connection,
    store: StoreName,
    settings: ProductSyncSettings | None,
    zone: tzinfo,
    *,
    text: str = "",
    variant_id: int | None = None,
    shop: str | None = None,
) -> Explanation:
    """All that is known of the variants that a person may mean.

    Args:
        settings: what of the products is synced; None where nothing is.
        zone: of the times in the sentences.
        text: an SKU, a barcode, an id or an address of a product or variant; see `read_search_terms`.
        variant_id: one variant, whatever `text` is.
        shop: the handle of the store's shop, to tell addresses of others; None where it is not known.
    """
    # One snapshot: what the plan decides and what is shown of it belong together, whatever is pulled meanwhile.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        complete = await evidence.list_watermarks(connection, store)
        said = [] if settings is not None else [search_words.nothing_is_pushed(store)]
        named = text if variant_id is None else str(variant_id)
        variants: Sequence[Record] = ()
        try:
            terms = SearchTerms(variant_id=variant_id) if variant_id is not None else read_search_terms(text, shop)
        except NotExplained as error:
            said.append(str(error))
        else:
            variants, verdict = await _look_for(connection, store, terms, named, complete, zone)
            said += verdict
        found = await evidence.gather(connection, store, settings, variants)
    return Explanation(
        store=store,
        asked=named,
        verdict=" ".join(said),
        variants=[VariantExplainer(found, settings, zone, variant).explain() for variant in variants],
        freshness=[ExplainedFreshness(stream, complete.get(stream)) for stream in evidence.STREAMS],
    )


async def explained(
    connection: Connection,
    store: StoreName,
    settings: ProductSyncSettings | None,
    zone: tzinfo,
    variant_ids: Sequence[int],
    *,
    with_pushes: bool,
) -> list[ExplainedVariant]:
    """The variants of these ids that are mirrored, in their order and in the caller's transaction."""
    variants = await evidence.list_variants(connection, store, variant_ids)
    found = await evidence.gather(connection, store, settings, variants, with_pushes=with_pushes)
    return [VariantExplainer(found, settings, zone, variant).explain() for variant in variants]


async def _look_for(
    connection: Connection,
    store: StoreName,
    terms: SearchTerms,
    named: str,
    complete: Mapping[str, datetime],
    zone: tzinfo,
) -> tuple[Sequence[Record], list[str]]:
    """The variants to explain, and what to say of the search."""
    variants = await evidence.find_variants(connection, store, terms, MOST_VARIANTS + 1)
    if variants:
        return variants[:MOST_VARIANTS], search_words.found(named, terms, variants, MOST_VARIANTS)
    if terms.no_key_reason is not None and not terms.has_id:
        return (), [search_words.no_key(named, terms.no_key_reason)]
    products = await evidence.find_products(connection, store, terms, MOST_VARIANTS)
    related = await evidence.find_related(connection, store, [row["id"] for row in products], MOST_VARIANTS)
    said = search_words.not_found(
        named,
        terms,
        await evidence.get_shopify_product(connection, store, terms),
        products,
        has_related=bool(related),
        zone=zone,
    )
    if terms.no_key_reason is not None:
        said.append(
            _("As an SKU or barcode it {no_key_reason}, and identifies no variant.").format(
                no_key_reason=terms.no_key_reason
            )
        )
    return related, [*said, search_words.looked_at(complete, zone)]
