"""How the values of Shopify's scalars are written, and its global ids."""

import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from graphql import GraphQLError

_GLOBAL_ID = re.compile(r"gid://shopify/(\w+)/(\d{1,19})(?:\?.*)?")
_NO_MINOR_UNIT = frozenset({"VND", "JPY", "KRW"})

Path = Sequence[str | int]
"""Where in its input a mutation found an error."""


def gid(kind: str, number: int | str) -> str:
    """The global id of a record."""
    return f"gid://shopify/{kind}/{number}"


def parse_gid(text: str) -> tuple[str, int]:
    """The kind and number in a global id; raises GraphQLError for what is none."""
    found = _GLOBAL_ID.fullmatch(text)
    if not found:
        raise GraphQLError(f"Invalid global id '{text}'", extensions={"code": "argumentLiteralsIncompatible"})
    return found[1], int(found[2])


def written_time(moment: datetime | None) -> str | None:
    """A DateTime: UTC, to the second."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def written_money(amount: Decimal | None, currency: str) -> str | None:
    """A Money: two digits, or none in currencies without a minor unit, where the amount has none either."""
    if amount is None:
        return None
    if currency in _NO_MINOR_UNIT and amount == amount.to_integral_value():
        return f"{amount:.0f}"
    return f"{amount:.2f}"


def written_decimal(amount: Decimal) -> str:
    """A Decimal: at least one digit behind the point, and no more than needed."""
    whole, _, fraction = f"{amount:f}".partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def plain_text(markup: str) -> str:
    """HTML without its tags, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def user_error(field: Path | None, message: str, code: str | None = None) -> dict[str, Any]:
    """A user error of any type; indexes in the path are texts, as Shopify writes them."""
    return {"field": None if field is None else [str(step) for step in field], "message": message, "code": code}
