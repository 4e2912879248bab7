"""Variants of Shopify and the products of Nhanh.vn that they are, or why none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from annotated_types import Len, MaxLen

from daemon.api.fields import (
    LENIENT,
    NUMBER_CURSOR_PATTERN,
    STORABLE,
    STORE_PATTERN,
    STRICT,
    Id,
    Limit,
    StoreText,
    Text,
)
from daemon.ids import StoreName

MOST_ENTRIES: Final = 500  # of a request


class MappingState(StrEnum):
    """What is known about a variant's product at Nhanh.vn."""

    MAPPED = "mapped"
    EXCLUDED = "excluded"  # a person has said that it has none
    AMBIGUOUS = "ambiguous"  # a person must choose among candidates
    UNMATCHED = "unmatched"  # no product has its SKU or barcode
    RETIRED = "retired"  # it had one, and has none any more


@dataclass(frozen=True, slots=True)
class Mapping:
    """A variant and its product. Times are aware UTC.

    Args:
        variant_title: of the product and the variant, "Áo thun / Đỏ".
        source: sku, barcode or manual; None where there is no mapping.
        candidates: ids of the products at Nhanh.vn that an ambiguous variant may be.
        changed_at: when the mapping was made or changed; of a retired one, when it was retired.
        reason: why there is no mapping, in words; None of one that holds.
    """

    store: StoreName
    state: MappingState
    variant_id: int
    product_id: int | None
    inventory_item_id: int | None
    sku: str | None
    barcode: str | None
    variant_title: str | None
    nhanh_id: int | None
    nhanh_code: str | None
    nhanh_name: str | None
    source: str | None
    note: str | None
    candidates: list[int]
    changed_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class MappingList:
    """Variants and their products, in the order of the variants' ids."""

    mappings: Sequence[Mapping]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Overruled:
    """An automatic mapping that gave way, because a person gave its product to another variant."""

    variant_id: int
    nhanh_id: int


@dataclass(frozen=True, slots=True)
class ManualOutcome:
    """What became of the entries of one request.

    Args:
        written: entries that hold now and did not before.
        replaced: how many of these took the place of another mapping of the same variant.
        unchanged: entries that a person had decided just so before.
        overruled: automatic mappings of other variants that gave way; these variants have no product now.
    """

    written: int
    replaced: int
    unchanged: int
    overruled: list[Overruled]


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


@dataclass(frozen=True, slots=True)
class ProductChoice:
    """A product of Nhanh.vn that somebody may mean."""

    nhanh_id: int
    code: str | None
    barcode: str | None
    name: str | None


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


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision about one variant."""

    __pydantic_config__: ClassVar[Any] = STRICT

    variant_id: Id
    nhanh_id: Id | None = field(
        metadata={"description": "The product of Nhanh.vn; null: the variant has no counterpart there."}
    )


@dataclass(frozen=True, slots=True)
class SetBody:
    """Decisions to note."""

    __pydantic_config__: ClassVar[Any] = STRICT

    store: StoreText = field(metadata={"description": "A store of the configuration."})
    mappings: Annotated[list[Entry], Len(1, MOST_ENTRIES)]
    note: Annotated[str | None, MaxLen(500), STORABLE] = field(
        default=None, metadata={"description": "Why, for whoever looks later."}
    )


@dataclass(frozen=True, slots=True)
class RemoveBody:
    """Decisions to take back."""

    __pydantic_config__: ClassVar[Any] = STRICT

    store: StoreText = field(metadata={"description": "A store of the configuration."})
    variant_ids: Annotated[list[Id], Len(1, MOST_ENTRIES)]


@dataclass(frozen=True, slots=True)
class ResolveBody:
    """Texts to look up: ids or SKUs; `id:` or `sku:` before one says which of them it is."""

    __pydantic_config__: ClassVar[Any] = STRICT

    store: StoreText = field(metadata={"description": "A store of the configuration."})
    variants: Annotated[list[Text], MaxLen(MOST_ENTRIES)] = field(
        default_factory=list,
        metadata={"description": "For variants of Shopify.", "json_schema_extra": {"default": []}},
    )
    products: Annotated[list[Text], MaxLen(MOST_ENTRIES)] = field(
        default_factory=list,
        metadata={"description": "For products of Nhanh.vn.", "json_schema_extra": {"default": []}},
    )


@dataclass(frozen=True, slots=True)
class MappingsQuery:
    """Which mappings to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
    state: MappingState | None = field(
        default=None, metadata={"description": "Without it, all variants that are there."}
    )
    search: Annotated[str | None, MaxLen(200), STORABLE] = field(
        default=None,
        metadata={"description": "A part of an SKU, a barcode, a title or a name, with or without accents; or an id."},
    )
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )
