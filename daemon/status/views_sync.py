"""What the endpoint answers about mappings, as plain records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from daemon.sync.matching.mappings import Mapping, MappingState, ProductChoice, VariantChoice
from daemon.sync.matching.variant_mappings import VariantMapping


@dataclass(frozen=True, slots=True)
class MappingList:
    """Variants and their products, in the order of the variants' ids."""

    mappings: Sequence[Mapping]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Removed:
    """What taking decisions back did."""

    removed: int  # decisions


@dataclass(frozen=True, slots=True)
class VariantMeaning:
    """A variant that a text may stand for, and how it is mapped at present."""

    variant_id: int
    product_id: int
    sku: str | None
    barcode: str | None
    title: str | None
    state: MappingState
    nhanh_id: int | None

    @classmethod
    def of(cls, choice: VariantChoice, mapping: VariantMapping) -> Self:
        """The choice with its mapping."""
        return cls(
            variant_id=choice.variant_id,
            product_id=choice.product_id,
            sku=choice.sku,
            barcode=choice.barcode,
            title=choice.title,
            state=mapping.state,
            nhanh_id=mapping.nhanh_id,
        )


@dataclass(frozen=True, slots=True)
class VariantMeanings:
    """The variants that a text may stand for."""

    text: str
    choices: Sequence[VariantMeaning]


@dataclass(frozen=True, slots=True)
class ProductMeanings:
    """The products of Nhanh.vn that a text may stand for."""

    text: str
    choices: Sequence[ProductChoice]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the texts of a request may stand for."""

    variants: Sequence[VariantMeanings]
    products: Sequence[ProductMeanings]
