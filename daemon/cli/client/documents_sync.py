"""The daemon's JSON answers about mappings and explanations, as far as the command line reads them."""

from typing import TypedDict

from daemon.cli.client.documents import PushDocument


class MappingDocument(TypedDict):
    """A variant and the product of Nhanh.vn that it is, or why none."""

    state: str
    variant_id: int
    sku: str | None
    variant_title: str | None
    nhanh_id: int | None
    nhanh_code: str | None
    nhanh_name: str | None
    source: str | None
    note: str | None
    candidates: list[int]
    reason: str | None


class OverruledDocument(TypedDict):
    """An automatic mapping that gave way to a person's word."""

    variant_id: int
    nhanh_id: int


class ManualOutcomeDocument(TypedDict):
    """What became of the decisions of one request."""

    written: int
    replaced: int
    unchanged: int
    overruled: list[OverruledDocument]


class VariantDocument(TypedDict):
    """A variant that a text may mean, and how it is mapped at present."""

    variant_id: int
    sku: str | None
    title: str | None
    state: str
    nhanh_id: int | None


class ProductDocument(TypedDict):
    """A product of Nhanh.vn that a text may mean."""

    nhanh_id: int
    code: str | None
    name: str | None


class VariantsDocument(TypedDict):
    """The variants that a text may mean."""

    text: str
    choices: list[VariantDocument]


class ProductsDocument(TypedDict):
    """The products that a text may mean."""

    text: str
    choices: list[ProductDocument]


class ResolvedDocument(TypedDict):
    """What the texts of a request may mean, in its order."""

    variants: list[VariantsDocument]
    products: list[ProductsDocument]


class ValueDocument(TypedDict):
    """A value at Shopify: stock at a location, the price, the compare-at price."""

    kind: str
    location_id: int | None
    location_name: str | None
    desired: str | None
    shopify: str | None
    obstacle: str | None
    pushes: list[PushDocument]
    verdict: str


class ExplainedMappingDocument(TypedDict):
    """How a variant is mapped, in words."""

    state: str
    text: str


class ExplainedProductDocument(TypedDict):
    """The product at Nhanh.vn."""

    id: int
    code: str | None
    name: str | None
    deleted_at: str | None


class ExplainedVariantDocument(TypedDict):
    """A variant with all that is synced to it."""

    variant_id: int
    product_id: int
    title: str
    sku: str | None
    barcode: str | None
    deleted_at: str | None
    mapping: ExplainedMappingDocument
    product: ExplainedProductDocument | None
    values: list[ValueDocument]


class StreamDocument(TypedDict):
    """Until when a pull's data is complete."""

    stream: str
    complete_to: str | None


class ExplanationDocument(TypedDict):
    """Why Shopify says what it says."""

    store: str
    asked: str
    verdict: str
    variants: list[ExplainedVariantDocument]
    freshness: list[StreamDocument]
