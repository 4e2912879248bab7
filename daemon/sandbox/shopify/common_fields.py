"""What the resolvers of several types need."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.paging import EVERYTHING, ConnectionPage, Listing, PageRequest, take_page
from daemon.sandbox.shopify.values import gid, written_decimal, written_time

Resolver = Callable[..., Any]

OWN_APP = {"id": gid("App", 1), "title": "dongbo", "handle": "dongbo"}


def identified(kind: str) -> dict[str, Resolver]:
    """The fields that all records have."""
    return {
        "id": lambda record, _: gid(kind, record.id),
        "legacyResourceId": lambda record, _: str(record.id),
        "createdAt": lambda record, _: written_time(record.created_at),
        "updatedAt": lambda record, _: written_time(record.updated_at),
    }


def money_of(info: Info, amount: Decimal) -> dict[str, str]:
    """A MoneyV2 in the shop's currency."""
    return {"amount": written_decimal(amount), "currencyCode": info.context.profile.currency}


def count_of(total: int, limit: int | None = None) -> dict[str, Any]:
    """A Count that stops at `limit`."""
    if limit is not None and total > limit:
        return {"count": limit, "precision": "AT_LEAST"}
    return {"count": total, "precision": "EXACT"}


def page_of(info: Info, listing: Listing[Any], arguments: Mapping[str, Any]) -> ConnectionPage[Any]:
    """The page of `listing` that the arguments of a connection ask for."""
    return take_page(listing, page_request(info, arguments), info.context.cursor_shape)


def page_request(info: Info, arguments: Mapping[str, Any]) -> PageRequest:
    """The paging arguments of a connection, in bulk none; raises GraphQLError where they make no sense."""
    if info.context.window is not None:
        return EVERYTHING
    return PageRequest.parse(
        info.field_name,
        first=arguments.get("first"),
        last=arguments.get("last"),
        after=arguments.get("after"),
        before=arguments.get("before"),
    )
