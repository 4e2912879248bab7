"""What to say of a search for variants: what was found by what, or where it was looked, what is there instead, and what
to do next. What is in no mirror may still exist: nothing here says that it does not."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo

from asyncpg import Record

from daemon.i18n import gettext as _
from daemon.i18n import moment, ngettext
from daemon.ids import StoreName
from daemon.sync.explanation.search_terms import KNOWN, SearchTerms, shown

PARENT = -2  # Nhanh.vn: the product stands for its variants
# Where is looked, and the pull that makes it complete.
MIRRORS = {
    "shopify_products": ("Shopify", "shopify-products"),
    "nhanh_products": ("Nhanh.vn", "nhanh-products"),
}


def nothing_is_pushed(store: StoreName) -> str:
    """That a store syncs no products at all."""
    return _("No products of {store} are synced: the configuration has no [stores.{store}.product_sync].").format(
        store=store
    )


def found(named: str, terms: SearchTerms, variants: Sequence[Record], most: int) -> list[str]:
    """How many variants match, and by what; nothing where it is the one that was meant."""
    if len(variants) == 1:
        return []
    named = shown(named)
    if len(variants) > most:
        return [
            _(
                "{named} matches more than {most} variants of Shopify: these are the first {most}; ask for another "
                "one by its SKU or id."
            ).format(named=named, most=most)
        ]
    by = Counter(_found_by(variant, terms) for variant in variants)
    if len(by) == 1:
        return [_("{named} matches {n} variants of Shopify.").format(named=named, n=len(variants))]
    how = ", ".join(_("{n} by {what}").format(n=count, what=what) for what, count in by.items())
    return [_("{named} matches {n} variants of Shopify: {how}.").format(named=named, n=len(variants), how=how)]


def no_key(named: str, reason: str) -> str:
    """Why a code identifies no variant; `reason` follows its mention."""
    return _(
        "{named} {reason}, so it identifies no variant: give another code or the variant's id, which dongbo "
        "map list --search finds."
    ).format(named=shown(named), reason=reason)


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
        return [
            _("There is nothing to look for in {named}: {known}.").format(
                named=shown(named) or _("an empty text"), known=_(KNOWN)
            )
        ]
    nothing = _("No variant of Shopify in the mirror has {named} as its {attributes}").format(
        named=shown(named), attributes=_listed(attributes)
    )
    said = []
    if shopify_product is not None:
        said.append(_without_variants(shopify_product, zone))
    if not products:
        if terms.key is not None:
            nothing = _("{nothing}, and no product of Nhanh.vn either: is it spelt right?").format(nothing=nothing)
        elif terms.nhanh_id is not None:
            nothing = _("{nothing}, and no product of Nhanh.vn either.").format(nothing=nothing)
        else:
            nothing = f"{nothing}."
        return [nothing, *said]
    names = ", ".join(_product(product, zone) for product in products)
    there = ngettext(
        "{nothing}; Nhanh.vn has product {names}.", "{nothing}; Nhanh.vn has products {names}.", len(products)
    )
    return [
        there.format(nothing=nothing, names=names),
        *said,
        *_next_steps(products, has_related=has_related),
    ]


def looked_at(complete: Mapping[str, datetime], zone: tzinfo) -> str:
    """Until when the mirrors are complete that were looked at, and how what is newer comes there."""
    states, pulls = [], []
    for stream, (source, pull) in MIRRORS.items():
        until = complete.get(stream)
        never = until is None or until.timestamp() <= 0  # a migration sets it back where all must be read again
        state = _("never pulled completely") if until is None or never else moment(until, zone)
        states.append(f"{source}, {state}")
        pulls.append(f"dongbo pull {pull}{' --full' if never else ''}")
    return _(
        "Searched the mirrors, which are complete up to: {states}. For what is newer: {pulls}; dongbo map "
        "list --search finds parts of codes and names."
    ).format(states="; ".join(states), pulls=", ".join(pulls))


def _found_by(variant: Record, terms: SearchTerms) -> str:
    if terms.key is not None and variant["sku_key"] == terms.key:
        return "SKU"
    if terms.key is not None and variant["barcode_key"] == terms.key:
        return _("barcode")
    names = {
        "id": "id",
        "product_id": _("the id of the product"),
        "inventory_item_id": _("the id of the inventory item"),
    }
    sought = {"id": terms.variant_id, "product_id": terms.product_id, "inventory_item_id": terms.item_id}
    for column, name in names.items():
        if sought[column] is not None and variant[column] == sought[column]:
            return name
    return _("the product at Nhanh.vn")


def _attributes(terms: SearchTerms) -> list[str]:
    codes = ["SKU", _("barcode")] if terms.key is not None else []
    ids = {
        "id": terms.variant_id,
        _("product's id"): terms.product_id,
        _("inventory item's id"): terms.item_id,
        _("product's id at Nhanh.vn"): terms.nhanh_id,
    }
    return codes + [name for name, number in ids.items() if number is not None]


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return _("{others} or {last}").format(others=", ".join(others), last=last) if others else last


def _without_variants(product: Record, zone: tzinfo) -> str:
    named = _("Shopify's product {id} ({title})").format(id=product["id"], title=product["title"])
    if product["deleted_at"] is not None:
        return _("{named} no longer exists in Shopify, noticed {noticed}.").format(
            named=named, noticed=moment(product["deleted_at"], zone)
        )
    return _("{named} is in the mirror without a variant: dongbo pull shopify-products --full.").format(named=named)


def _product(product: Record, zone: tzinfo) -> str:
    named = f"{product['id']} ({product['name']})" if product["name"] else str(product["id"])
    if product["deleted_at"] is not None:
        return _("{named}, which no longer exists at Nhanh.vn, noticed {noticed}").format(
            named=named, noticed=moment(product["deleted_at"], zone)
        )
    if product["parent_id"] == PARENT:
        return _("{named}, which stands for its variants and has no stock of its own").format(named=named)
    return named


def _next_steps(products: Sequence[Record], *, has_related: bool) -> Iterator[str]:
    """What to do about products that are at Nhanh.vn only."""
    there = [product for product in products if product["deleted_at"] is None and product["parent_id"] != PARENT]
    if not there:
        yield _("No variant of Shopify is mapped to what is no longer sold or only groups its variants.")
        return
    yield ngettext(
        "No variant of Shopify is mapped to it.", "No variant of Shopify is mapped to any of them.", len(products)
    )
    if len(there) > 1:
        yield _("There are several, and only a person can choose among them.")
    if has_related:
        yield _("The variants below have its SKU or barcode, or were mapped to it once: choose with dongbo map set.")
    else:
        yield _("Give a variant this SKU and pull, or use dongbo map set.")
