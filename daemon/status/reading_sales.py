"""What requests about sale campaigns bring; a definition is read as the file's `[[sales]]` are."""

import re
from typing import Annotated, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from daemon.api.sales import CampaignState, Decision, ItemState
from daemon.config import SaleSettings
from daemon.config.fields import NAME_PATTERN
from daemon.config.problems import describe, display
from daemon.status.problems import Problem
from daemon.status.reading import INT64, STORE_PATTERN, UUID_FORM, read_json, require_storable
from daemon.status.reading_sync import Id

BODY_LIMIT = 1024 * 1024  # bytes: ten thousand SKUs fit
MOST_VARIANTS = 50_000
ID_FORM = re.compile(r"[0-9]{1,19}", re.ASCII)
CURSOR_PATTERN = r"^[0-9]{1,19}\.[0-9]{1,19}$"

StoreFilter = Annotated[
    str | None, Field(pattern=STORE_PATTERN, description="Where campaigns of two stores share a name.")
]


class SaleBody(SaleSettings):
    """A campaign to create or to preview."""

    draft: bool = Field(default=False, description="Only keep it: a person starts or plans it later.")
    origin: Literal["api", "cli"] = Field(default="api", description="Who asks.")

    @property
    def definition(self) -> SaleSettings:
        """The campaign without what is said about the request."""
        return SaleSettings(**{name: getattr(self, name) for name in SaleSettings.model_fields})


class ResumeBody(BaseModel):
    """How to go on with a campaign that waits for a person."""

    model_config = ConfigDict(extra="forbid")

    decision: Decision | None = Field(
        default=None, description="About prices that somebody else has set; null: try again what Shopify refused."
    )
    variants: Annotated[list[Id], Field(min_length=1, max_length=MOST_VARIANTS)] | None = Field(
        default=None, description="The variants that it is about; null: all that wait for a decision."
    )


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SalesQuery(_Query):
    """Which campaigns to list."""

    store: str | None = Field(default=None, pattern=STORE_PATTERN)
    state: CampaignState | None = None
    open: bool = Field(default=False, description="Only those that have not ended.")
    limit: int = Field(default=50, ge=1, le=500)


class SaleQuery(_Query):
    """Which campaign is meant."""

    store: StoreFilter = None


class FormatQuery(_Query):
    """How to answer."""

    format: Literal["json", "csv"] = "json"


class SaleFormatQuery(FormatQuery, SaleQuery):
    """Which campaign is meant, and how to answer."""


class SaleItemsQuery(SaleQuery):
    """Which variants of a campaign to list."""

    state: ItemState | None = None
    after: str | None = Field(default=None, pattern=CURSOR_PATTERN, description="next of the page before.")
    limit: int = Field(default=100, ge=1, le=500)


_SCHEMA = SaleBody.model_json_schema()


async def read_sale(request: web.Request) -> SaleBody:
    """The campaign in the body.

    Raises Problem 400 for what is no JSON, 413, 415, and 422 for what can't be a campaign, with the keys at fault.
    """
    document = _storable(await read_json(request, BODY_LIMIT))
    if not isinstance(document, dict):
        raise Problem(422, "The body is wrong: it must be an object with the campaign's keys")
    try:
        return SaleBody.model_validate(document)
    except ValidationError as error:
        found = [{"at": display(path), "detail": detail} for path, detail in describe(error, document, _SCHEMA)]
        text = "; ".join(f"{one['at']}: {one['detail']}" if one["at"] else one["detail"] for one in found)
        raise Problem(
            422, f"The campaign is wrong: {text}"[:2_000], kind="invalid-sale", members={"errors": found[:20]}
        ) from None


def read_reference(request: web.Request) -> str:
    """The campaign's id or name in the path. Raises Problem 404 for what can be neither."""
    text = request.match_info["ref"]
    if not (UUID_FORM.fullmatch(text) or re.fullmatch(NAME_PATTERN, text)):
        raise Problem(404, "There is no such sale: this is neither an id nor a name")
    return text


def read_variant_id(request: web.Request) -> int:
    """The variant's id in the path. Raises Problem 404 for one that no variant can have."""
    text = request.match_info["variant_id"]
    if not ID_FORM.fullmatch(text) or int(text) not in INT64:
        raise Problem(404, "There is no such variant: its id is a number")
    return int(text)


def read_item_cursor(cursor: str | None) -> tuple[int, int]:
    """The (product, variant) that the cursor stands behind; (0, 0) without one."""
    product_id, variant_id = map(int, (cursor or "0.0").split("."))
    if product_id not in INT64 or variant_id not in INT64:
        raise Problem(400, "The cursor is none that this endpoint has given out")
    return product_id, variant_id


def item_cursor(product_id: int, variant_id: int) -> str:
    """A cursor behind a variant."""
    return f"{product_id}.{variant_id}"


def _storable(raw: bytes) -> JsonValue:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is no valid JSON: {error}") from None
    try:
        return require_storable(document)
    except ValueError as error:
        raise Problem(422, f"The body is wrong: it {error}") from None
