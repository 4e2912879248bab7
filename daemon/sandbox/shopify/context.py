"""What the resolvers of one request share."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from daemon.sandbox.shopify.listings import Listings
from daemon.sandbox.shopify.state import ShopState


@dataclass(frozen=True, slots=True)
class ShopProfile:
    """What `shop` tells of the shop itself."""

    name: str
    domain: str
    currency: str
    zone: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Context:
    """One request. Its resolvers leave in `searches` which filters they had to ignore."""

    state: ShopState
    listings: Listings
    profile: ShopProfile
    scopes: frozenset[str]
    cursor_shape: int
    searches: list[dict[str, Any]] = field(default_factory=list)


class _Path(Protocol):
    def as_list(self) -> list[str | int]: ...


class Info(Protocol):
    """What our resolvers use of graphql-core's GraphQLResolveInfo, which is generic in some versions only."""

    @property
    def field_name(self) -> str: ...
    @property
    def path(self) -> _Path: ...
    @property
    def context(self) -> Context: ...
