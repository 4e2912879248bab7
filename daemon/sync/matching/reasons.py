"""Why a mapping ended, as the statements of this folder write it, in the language of whoever reads it."""

import re

from daemon.i18n import gettext as _
from daemon.i18n import mark

REASONS = (
    mark("variant {id} was deleted at Shopify"),
    mark("product {product} was deleted at Shopify, and variant {variant} with it"),
    mark("product {id} was deleted at Nhanh.vn"),
    mark("product {id} has become a parent of variants at Nhanh.vn and holds no stock itself"),
    mark("the SKU {code} identifies nothing, so it matches nothing by itself"),
    mark("the barcode {code} identifies nothing, so it matches nothing by itself"),
    mark("the SKUs of variant {variant} and of product {product} no longer agree"),
    mark("the barcodes of variant {variant} and of product {product} no longer agree"),
    mark("the {word} {code} is on {n} products of Nhanh.vn and {m} variants of Shopify, so it identifies none of them"),
    mark(
        "variant {seller}, which is on sale, has the same {word} as product {product}; variant {variant} is archived "
        "or a draft"
    ),
    mark(
        "variants that are on sale have a key of product {product}, so a person must choose; variant {variant} is "
        "archived or a draft"
    ),
    mark("moved from variant {id}, which was deleted and had the same {word}"),
    mark("taken over from variant {id}, which is not on sale"),
    mark("what was gone is back"),
    mark("what a person has decided about variant {id} holds again"),
    mark("a person has decided otherwise about variant {id}"),
    mark("a person has given product {id} to another variant"),
    mark("a person has taken the decision back"),
    mark("customer {id} was deleted at Shopify"),
    mark("customer {id} was deleted at Nhanh.vn"),
    mark("what a person has decided about customer {id} holds again"),
    mark("a person has decided otherwise about customer {id}"),
    mark("a person has given customer {id} of Nhanh.vn to another one"),
    mark("the two customers no longer share the phone number by which they were matched"),
)
_PATTERNS = {reason: re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(reason))) for reason in REASONS}


def in_words(reason: str | None) -> str | None:
    """A reason as it was stored, in the language that is spoken; one that is not known here stays as it is."""
    for known, pattern in _PATTERNS.items():
        if (found := pattern.fullmatch(reason or "")) is not None:
            return _(known).format(**found.groupdict())
    return reason
