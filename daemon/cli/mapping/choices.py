"""What a text for a variant or a product may mean, and what to say where it matches none or several."""

from collections.abc import Sequence
from typing import TypeVar

from daemon.api.mappings import ProductChoice, VariantMeaning
from daemon.cli.render.output import plain
from daemon.mirror.keys import why_no_key

T = TypeVar("T")

SHOWN_CHOICES = 5


def only_variant(text: str, choices: Sequence[VariantMeaning]) -> VariantMeaning:
    """The one variant that a text means; raises ValueError with what it may mean instead."""
    return _only(text, "variant of Shopify", choices, [_describe_variant(choice) for choice in choices])


def only_product(text: str, choices: Sequence[ProductChoice]) -> ProductChoice:
    """The one product that a text means; raises ValueError with what it may mean instead."""
    return _only(text, "product of Nhanh.vn", choices, [_describe_product(choice) for choice in choices])


def _only(text: str, what: str, choices: Sequence[T], descriptions: Sequence[str]) -> T:
    if len(choices) == 1:
        return choices[0]
    if not choices and (reason := why_no_key(text.removeprefix("sku:"))) is not None:
        raise ValueError(f"{plain(text.removeprefix('sku:'))} {reason}, so it does not name a {what}: use the id")
    if not choices:
        raise ValueError(f"there is no {what} {_said(text)}: is that correct, and has it been pulled?")
    listed = "; ".join(descriptions[:SHOWN_CHOICES])
    more = f"; and {len(choices) - SHOWN_CHOICES} more" if len(choices) > SHOWN_CHOICES else ""
    raise ValueError(f"there is more than one {what} {_said(text)}: choose one by its id: {listed}{more}")


def _describe_variant(variant: VariantMeaning) -> str:
    return f"{variant.variant_id} ({plain(variant.title or variant.sku or '')})"


def _describe_product(product: ProductChoice) -> str:
    return f"{product.nhanh_id} ({plain(product.name or product.code or '')})"


def _said(text: str) -> str:
    kind, _, rest = text.partition(":")
    match kind:
        case "id":
            return f"with the id {plain(rest)}"
        case "sku":
            return f"with the SKU {plain(rest)}"
        case _:
            return plain(text)
