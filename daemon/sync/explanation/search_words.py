"""What to say of a search for variants: what was found by what, or where it was looked, what is there instead, and what
to do next. What is in no mirror may still exist: nothing here says that it does not."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo

from asyncpg import Record

from daemon.ids import StoreName
from daemon.sync.explanation.search_terms import KNOWN, SearchTerms, shown
from daemon.sync.explanation.verdicts import moment

PARENT = -2  # Nhanh.vn: the product stands for its variants
# Where is looked, and the pull that makes it complete.
MIRRORS = {
    "shopify_products": ("Shopify", "shopify-products"),
    "nhanh_products": ("Nhanh.vn", "nhanh-products"),
}


def nothing_is_pushed(store: StoreName) -> str:
    """That a store syncs no products at all."""
    return f"No products of {store} are synced: the configuration has no [stores.{store}.product_sync]."


def found(named: str, terms: SearchTerms, variants: Sequence[Record], most: int) -> list[str]:
    """How many variants match, and by what; nothing where it is the one that was meant."""
    if len(variants) == 1:
        return []
    named = shown(named)
    if len(variants) > most:
        return [
            f"{named} matches more than {most} variants of Shopify: these are the first {most}; ask for another one "
            "by its SKU or id."
        ]
    by = Counter(_found_by(variant, terms) for variant in variants)
    how = f": {', '.join(f'{count} by {what}' for what, count in by.items())}" if len(by) > 1 else ""
    return [f"{named} matches {len(variants)} variants of Shopify{how}."]


def no_key(named: str, reason: str) -> str:
    """Why a code identifies no variant; `reason` follows its mention."""
    return (
        f"{shown(named)} {reason}, so it identifies no variant: give another code or the variant's id, "
        "which dongbo map list --search finds."
    )


def not_found(
    named: str,
    terms: SearchTerms,
    shopify_product: Record | None,
    products: Sequence[Record],
    *,
    has_related: bool,
    zone: tzinfo,
) -> list[str]:
    """What is there where no variant of Shopify is.

    Args:
        shopify_product: the product of Shopify with this id, in the mirror.
        products: of Nhanh.vn, with this code or id.
        has_related: whether variants are shown that have to do with these products.
    """
    attributes = _attributes(terms)
    if not attributes:
        return [f"There is nothing to look for in {shown(named) or 'an empty text'}: {KNOWN}."]
    nothing = f"No variant of Shopify in the mirror has {shown(named)} as its {_listed(attributes)}"
    said = []
    if shopify_product is not None:
        said.append(_without_variants(shopify_product, zone))
    if not products:
        either = ", and no product of Nhanh.vn either" if terms.key is not None or terms.nhanh_id is not None else ""
        return [f"{nothing}{either}{': is it spelt right?' if terms.key is not None else '.'}", *said]
    plural = "s" if len(products) > 1 else ""
    names = ", ".join(_product(product, zone) for product in products)
    return [f"{nothing}; Nhanh.vn has product{plural} {names}.", *said, *_next_steps(products, has_related=has_related)]


def looked_at(complete: Mapping[str, datetime], zone: tzinfo) -> str:
    """Until when the mirrors are complete that were looked at, and how what is newer comes there."""
    states, pulls = [], []
    for stream, (source, pull) in MIRRORS.items():
        until = complete.get(stream)
        never = until is None or until.timestamp() <= 0  # a migration sets it back where all must be read again
        states.append(f"{source}, {'never pulled completely' if until is None or never else moment(until, zone)}")
        pulls.append(f"dongbo pull {pull}{' --full' if never else ''}")
    return (
        f"Searched the mirrors, which are complete up to: {'; '.join(states)}. For what is newer: "
        f"{', '.join(pulls)}; dongbo map list --search finds parts of codes and names."
    )


def _found_by(variant: Record, terms: SearchTerms) -> str:
    if terms.key is not None and variant["sku_key"] == terms.key:
        return "SKU"
    if terms.key is not None and variant["barcode_key"] == terms.key:
        return "barcode"
    names = {"id": "id", "product_id": "the id of the product", "inventory_item_id": "the id of the inventory item"}
    sought = {"id": terms.variant_id, "product_id": terms.product_id, "inventory_item_id": terms.item_id}
    for column, name in names.items():
        if sought[column] is not None and variant[column] == sought[column]:
            return name
    return "the product at Nhanh.vn"


def _attributes(terms: SearchTerms) -> list[str]:
    codes = ["SKU", "barcode"] if terms.key is not None else []
    ids = {
        "id": terms.variant_id,
        "product's id": terms.product_id,
        "inventory item's id": terms.item_id,
        "product's id at Nhanh.vn": terms.nhanh_id,
    }
    return codes + [name for name, number in ids.items() if number is not None]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _without_variants(product: Record, zone: tzinfo) -> str:
    named = f"Shopify's product {product['id']} ({product['title']})"
    if product["deleted_at"] is not None:
        return f"{named} no longer exists in Shopify, noticed {moment(product['deleted_at'], zone)}."
    return f"{named} is in the mirror without a variant: dongbo pull shopify-products --full."


def _product(product: Record, zone: tzinfo) -> str:
    named = f"{product['id']} ({product['name']})" if product["name"] else str(product["id"])
    if product["deleted_at"] is not None:
        named += f", which no longer exists at Nhanh.vn, noticed {moment(product['deleted_at'], zone)}"
    elif product["parent_id"] == PARENT:
        named += ", which stands for its variants and has no stock of its own"
    return named


def _next_steps(products: Sequence[Record], *, has_related: bool) -> Iterator[str]:
    """What to do about products that are at Nhanh.vn only."""
    there = [product for product in products if product["deleted_at"] is None and product["parent_id"] != PARENT]
    if not there:
        yield "No variant of Shopify is mapped to what is no longer sold or only groups its variants."
        return
    yield f"No variant of Shopify is mapped to {'it' if len(products) == 1 else 'any of them'}."
    if len(there) > 1:
        yield "There are several, and only a person can choose among them."
    if has_related:
        yield "The variants below have its SKU or barcode, or were mapped to it once: choose with dongbo map set."
    else:
        yield "Give a variant this SKU and pull, or use dongbo map set."
