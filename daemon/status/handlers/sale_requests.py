"""What requests about one sale campaign bring; a definition is read like the file's `[[sales]]`."""

import re
from typing import Literal

import orjson
from aiohttp import web
from pydantic import Field, JsonValue, ValidationError

from daemon.api.fields import INT64, require_storable
from daemon.api.problems import Mistake
from daemon.config import SaleSettings
from daemon.config.fields import NAME_PATTERN
from daemon.config.problems import describe, display
from daemon.i18n import gettext as _
from daemon.status.problems import Problem
from daemon.status.reading import MOST_MISTAKES, UUID_FORM, listed, read_json

BODY_LIMIT = 1024 * 1024  # bytes: ten thousand SKUs fit


class SaleBody(SaleSettings):
    """A campaign to create or to preview."""

    draft: bool = Field(default=False, description="Only save it: a person starts or plans it later.")
    origin: Literal["api", "cli"] = Field(default="api", description="Who asks.")

    @property
    def definition(self) -> SaleSettings:
        """The campaign without what is said about the request."""
        return SaleSettings(**{name: getattr(self, name) for name in SaleSettings.model_fields})


_SCHEMA = SaleBody.model_json_schema()


async def read_sale(request: web.Request) -> SaleBody:
    """The campaign in the body.

    Raises Problem 400 for what is not JSON, 413, 415, and 422 for what can't be a campaign, with the keys at fault.
    """
    document = _storable(await read_json(request, BODY_LIMIT))
    if not isinstance(document, dict):
        raise Problem(422, _("The body is wrong: it must be an object with the campaign's keys"))
    try:
        return SaleBody.model_validate(document)
    except ValidationError as error:
        found = [Mistake(display(path), detail) for path, detail in describe(error, document, _SCHEMA)]
        raise Problem(
            422,
            _("The campaign is wrong: {found}").format(found=listed(found))[:2_000],
            kind="invalid-sale",
            errors=found[:MOST_MISTAKES],
        ) from None


def read_reference(request: web.Request) -> str:
    """The campaign's id or name in the path. Raises Problem 404 for what can be neither."""
    text = request.match_info["ref"]
    if not (UUID_FORM.fullmatch(text) or re.fullmatch(NAME_PATTERN, text)):
        raise Problem(404, _("There is no such sale: this is neither an id nor a name"))
    return text


def read_item_cursor(cursor: str | None) -> tuple[int, int]:
    """The (product, variant) that the cursor comes after; (0, 0) without one."""
    product_id, variant_id = map(int, (cursor or "0.0").split("."))
    if product_id not in INT64 or variant_id not in INT64:
        raise Problem(400, _("Unknown cursor: send the one that came with the previous page"))
    return product_id, variant_id


def item_cursor(product_id: int, variant_id: int) -> str:
    """A cursor after a variant."""
    return f"{product_id}.{variant_id}"


def _storable(raw: bytes) -> JsonValue:
    try:
        document: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, _("The body is not valid JSON: {error}").format(error=error)) from None
    try:
        return require_storable(document)
    except ValueError as error:
        raise Problem(422, _("The body is wrong: it {error}").format(error=error)) from None
