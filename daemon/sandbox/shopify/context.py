"""What the resolvers of one request share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from graphql import FieldNode, GraphQLSchema

from daemon.sandbox.shopify.bulk import BulkOperations
from daemon.sandbox.shopify.idempotency import Idempotency
from daemon.sandbox.shopify.listings import Listings
from daemon.sandbox.shopify.paging import BulkWindow
from daemon.sandbox.shopify.records import ShopProfile
from daemon.sandbox.shopify.state import ShopState
from daemon.sandbox.shopify.webhooks import ShopifyWebhooks
from daemon.sandbox.shopify.writes import AppliedWrite


@dataclass(frozen=True, slots=True)
class Context:
    """One request. Its resolvers leave in `searches` which filters they had to ignore, in `writes` what they set.

    `origin` is the address that the request came to; `window` is what a bulk operation takes of the list at its
    top, whose rows' connections it gives whole.
    """

    state: ShopState
    listings: Listings
    profile: ShopProfile
    scopes: frozenset[str]
    cursor_shape: int
    idempotency: Idempotency
    writes: list[AppliedWrite]
    now: Callable[[], datetime]
    bulk: BulkOperations
    webhooks: ShopifyWebhooks
    api_version: str
    origin: str
    window: BulkWindow | None = None
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
    @property
    def schema(self) -> GraphQLSchema: ...
    @property
    def field_nodes(self) -> list[FieldNode]: ...
    @property
    def variable_values(self) -> Any: ...
