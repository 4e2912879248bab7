"""Why does Shopify say 7? All that is known of an SKU on both sides, and a verdict on each of its values."""

from collections.abc import Sequence
from datetime import tzinfo

from asyncpg import Record

from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.keys import match_key, why_no_key
from daemon.sync.explanation import evidence
from daemon.sync.explanation.explained import ExplainedFreshness, Explanation
from daemon.sync.explanation.variant_explainer import VariantExplainer
from daemon.texts import visible

MOST_VARIANTS = 20
IDS = range(1, 2**63)


async def explain(
    connection: Connection,
    store: StoreName,
    settings: ProductSyncSettings | None,
    zone: tzinfo,
    *,
    text: str = "",
    variant_id: int | None = None,
) -> Explanation:
    """All that is known of the variants that a person may mean.

    Args:
        settings: what of the products is synced; None where nothing is.
        zone: of the times in the sentences.
        text: an SKU, a barcode, a variant's id, or the code of a product at Nhanh.vn.
        variant_id: one variant, whatever `text` is.
    """
    asked = text if variant_id is None else str(variant_id)
    key = match_key(text) if variant_id is None else None
    variants = await evidence.find_variants(connection, store, key, _number(asked), MOST_VARIANTS)
    found = await evidence.gather(connection, store, settings, variants)
    complete = await evidence.list_watermarks(connection, store)
    return Explanation(
        store=store,
        asked=asked,
        verdict=_found(asked, variants) if variants else await _missing(connection, store, asked, key),
        variants=[VariantExplainer(found, settings, zone, variant).explain() for variant in variants],
        freshness=[ExplainedFreshness(stream, complete.get(stream)) for stream in evidence.STREAMS],
    )


def _number(text: str) -> int | None:
    """The text as an id, if it can be one."""
    stripped = visible(text).strip()
    number = int(stripped) if stripped.isascii() and stripped.isdecimal() and len(stripped) < 20 else 0
    return number if number in IDS else None


def _found(asked: str, variants: Sequence[Record]) -> str:
    if len(variants) == 1:
        return ""
    most = "at least " if len(variants) == MOST_VARIANTS else ""
    return f"{asked} stands for {most}{len(variants)} variants of Shopify."


async def _missing(connection: Connection, store: StoreName, asked: str, key: str | None) -> str:
    """What to say where no variant was found."""
    if (reason := why_no_key(asked)) is not None:
        return (
            f"{asked} {reason}, so it stands for no variant in particular: give another code or the variant's id, "
            "which dongbo map list --search finds."
        )
    nothing = f"No variant of Shopify in the mirror has {asked} as its SKU, barcode or id"
    products = await evidence.find_products(connection, store, key, MOST_VARIANTS)
    if not products:
        return f"{nothing}, and no product of Nhanh.vn either: is it spelt right, and were both sides pulled?"
    named = ", ".join(f"{row['id']} ({row['name']})" if row["name"] else str(row["id"]) for row in products)
    plural = "s" if len(products) > 1 else ""
    return f"{nothing}; Nhanh.vn has product{plural} {named}. Give a variant this SKU, or use dongbo map set."
