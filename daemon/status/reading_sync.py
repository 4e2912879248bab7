"""What requests about mappings and explanations bring."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from daemon.api.mappings import MappingState
from daemon.status.reading import NUMBER_CURSOR_PATTERN, STORE_PATTERN, Storable

MOST_ENTRIES = 500
LARGEST_ID = 2**63 - 1  # bigint

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
StoreField = Annotated[str, Field(max_length=63, description="A store of the configuration."), Storable]
Text = Annotated[str, Field(min_length=1, max_length=300), Storable]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Entry(_Body):
    """A decision about one variant."""

    variant_id: Id
    nhanh_id: Id | None = Field(description="The product of Nhanh.vn; null: the variant has no counterpart there.")


class SetBody(_Body):
    """Decisions to note."""

    store: StoreField
    mappings: list[Entry] = Field(min_length=1, max_length=MOST_ENTRIES)
    note: Annotated[str | None, Field(max_length=500, description="Why, for whoever looks later."), Storable] = None


class RemoveBody(_Body):
    """Decisions to take back."""

    store: StoreField
    variant_ids: list[Id] = Field(min_length=1, max_length=MOST_ENTRIES)


class ResolveBody(_Body):
    """Texts to look up: ids or SKUs; `id:` or `sku:` before one says which of them it is."""

    store: StoreField
    variants: list[Text] = Field(default=[], max_length=MOST_ENTRIES, description="For variants of Shopify.")
    products: list[Text] = Field(default=[], max_length=MOST_ENTRIES, description="For products of Nhanh.vn.")


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MappingsQuery(_Query):
    """Which mappings to list."""

    store: str = Field(pattern=STORE_PATTERN)
    state: MappingState | None = Field(default=None, description="Without it, all variants that are there.")
    search: Annotated[
        str | None,
        Field(
            max_length=200,
            description="A part of an SKU, a barcode, a title or a name, with or without accents; or an id.",
        ),
        Storable,
    ] = None
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(
        default=None, pattern=NUMBER_CURSOR_PATTERN, description="next_cursor of the page before."
    )


class ExplainQuery(_Query):
    """What to explain."""

    store: str = Field(pattern=STORE_PATTERN)
    sku: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            description="An SKU, a barcode, an id (of a variant, product or inventory item of Shopify, also as gid://…,"
            " or of a product of Nhanh.vn), an address of a product or variant in Shopify's admin or shop, or a code at"
            " Nhanh.vn; `sku:` or `id:` before it says which.",
            examples=["AO-01", "gid://shopify/Product/632910392"],
        ),
        Storable,
    ] = None
    variant_id: int | None = Field(default=None, ge=1, le=LARGEST_ID, description="Instead: this variant alone.")
