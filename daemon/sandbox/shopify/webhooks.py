"""What Shopify tells apps by webhooks: the subscriptions of one app, and what happens under their topics.

Sources: shopify.dev, "About webhooks", "Delivery structure", "HTTPS delivery" and "Troubleshooting webhooks": a body is
signed by HMAC-SHA256 with the client secret; an answer other than 2xx within five seconds is repeated eight times over
four hours; a subscription made by the API is deleted then; what `includeFields` leaves the same as before is dropped as
a duplicate.
"""

import base64
import hashlib
import hmac
import itertools
import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from daemon.sandbox.shopify import rest
from daemon.sandbox.shopify.bulk import BulkOperation
from daemon.sandbox.shopify.records import ShopProfile
from daemon.sandbox.shopify.state import ShopChange, ShopState
from daemon.sandbox.webhooks import ShopSide, Webhook

TOPICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "APP_SCOPES_UPDATE": ("app/scopes_update", ()),
    "APP_UNINSTALLED": ("app/uninstalled", ()),
    "BULK_OPERATIONS_FINISH": ("bulk_operations/finish", ()),
    "COLLECTIONS_CREATE": ("collections/create", ("read_products",)),
    "COLLECTIONS_DELETE": ("collections/delete", ("read_products",)),
    "COLLECTIONS_UPDATE": ("collections/update", ("read_products",)),
    "CUSTOMERS_CREATE": ("customers/create", ("read_customers",)),
    "CUSTOMERS_DELETE": ("customers/delete", ("read_customers",)),
    "CUSTOMERS_MERGE": ("customers/merge", ("read_customer_merge",)),
    "CUSTOMERS_PURCHASING_SUMMARY": ("customers/purchasing_summary", ("read_customers",)),
    "CUSTOMERS_UPDATE": ("customers/update", ("read_customers",)),
    "INVENTORY_ITEMS_UPDATE": ("inventory_items/update", ("read_inventory", "read_products")),
    "INVENTORY_LEVELS_CONNECT": ("inventory_levels/connect", ("read_inventory",)),
    "INVENTORY_LEVELS_DISCONNECT": ("inventory_levels/disconnect", ("read_inventory",)),
    "INVENTORY_LEVELS_UPDATE": ("inventory_levels/update", ("read_inventory",)),
    "LOCATIONS_ACTIVATE": ("locations/activate", ("read_locations",)),
    "LOCATIONS_CREATE": ("locations/create", ("read_locations",)),
    "LOCATIONS_DEACTIVATE": ("locations/deactivate", ("read_locations",)),
    "LOCATIONS_DELETE": ("locations/delete", ("read_locations",)),
    "LOCATIONS_UPDATE": ("locations/update", ("read_locations",)),
    "PRODUCTS_CREATE": ("products/create", ("read_products",)),
    "PRODUCTS_DELETE": ("products/delete", ("read_products",)),
    "PRODUCTS_UPDATE": ("products/update", ("read_products",)),
    "SHOP_UPDATE": ("shop/update", ()),
}
"""Topics as subscriptions name them: as webhooks name them, and any one of the scopes that opens them."""

# Shopify, changelog of 2024-09: eight times over four hours, exponentially; the single waits are not documented.
WAITS = (10.0, 30.0, 90.0, 300.0, 900.0, 2400.0, 3600.0, 7000.0)

_DELETIONS = frozenset({"collections/delete", "customers/delete", "locations/delete", "products/delete"})


@dataclass(slots=True)
class WebhookSubscription:
    """A topic that one address is told about. `id` is the number in its global id."""

    id: int
    topic: str  # such as "PRODUCTS_UPDATE"
    uri: str
    include_fields: tuple[str, ...]
    name: str | None
    filter: str | None
    created_at: datetime
    updated_at: datetime


class Signer(Protocol):
    """The app whose secret signs."""

    client_secret: str


class ShopifyWebhooks:
    """The subscriptions of the app, as its API calls made them.

    Args:
        state: the shop whose changes are told.
        profile: the shop as it is at present.
        app: whose client secret signs.
        version: of the API that bodies are written in.
        now: the shop's clock.
        seed: of the ids.

    `post` takes what is to be sent; None: nobody does. `secret` signs instead of the client secret where it is not
    empty. `dropped` counts what was no news under the fields that a subscription asks for.
    """

    def __init__(
        self,
        state: ShopState,
        profile: Callable[[], ShopProfile],
        app: Signer,
        *,
        version: str,
        now: Callable[[], datetime],
        seed: int,
    ) -> None:
        self.subscriptions: dict[int, WebhookSubscription] = {}
        self.post: Callable[[Webhook], None] | None = None
        self.secret = ""
        self.waits = WAITS
        self.dropped = 0
        self._state = state
        self._profile = profile
        self._app = app
        self._version = version
        self._now = now
        self._numbers = itertools.count(1_400_000_000_001)
        self._draw = random.Random(f"{seed}/shopify webhooks")
        self._of: dict[str, list[WebhookSubscription]] = {}  # topics as webhooks name them
        self._last: dict[tuple[int, int], bytes] = {}  # by subscription and record, where only some fields are told
        state.observers.append(self._observe)

    def subscribe(
        self,
        topic: str,
        uri: str,
        include_fields: Iterable[str] = (),
        *,
        name: str | None = None,
    ) -> WebhookSubscription:
        """Tell an address about a topic, such as "PRODUCTS_UPDATE"."""
        now = self._now()
        subscription = WebhookSubscription(next(self._numbers), topic, uri, tuple(include_fields), name, None, now, now)
        self.subscriptions[subscription.id] = subscription
        self._index()
        return subscription

    def subscribe_to_all(self, uri: str) -> None:
        """Tell an address about every topic, with whole bodies."""
        for topic in TOPICS:
            self.subscribe(topic, uri)

    def unsubscribe(self, number: int) -> None:
        """Delete a subscription."""
        del self.subscriptions[number]
        self._index()

    def uninstall(self) -> None:
        """Tell that the app has been removed; then its subscriptions are gone."""
        self.tell("app/uninstalled", 0, rest.shop(self._profile()))
        self.subscriptions.clear()
        self._index()

    def finish(self, operation: BulkOperation) -> None:
        """Tell that a bulk operation has ended."""
        self.tell("bulk_operations/finish", operation.id, rest.bulk_operation(operation, self._profile()))

    def tell(self, topic: str, record_id: int, content: Mapping[str, Any]) -> None:
        """Send an event to all who subscribed to its topic.

        Args:
            topic: such as "products/update".
            record_id: what it is about.
            content: the whole body.
        """
        subscribed = self._of.get(topic)
        if not subscribed or self.post is None:
            return
        event_id = self._new_id()
        for subscription in subscribed:
            body = orjson.dumps(self._asked_for(subscription, content))
            if subscription.include_fields and self._last.get((subscription.id, record_id)) == body:
                self.dropped += 1
                continue
            self._last[subscription.id, record_id] = body
            self.post(self._webhook(subscription, topic, event_id, body))

    def takes(self, status: int) -> bool:
        """Shopify: any of 200 to 299; a redirect is a failure."""
        return 200 <= status < 300

    def concluded(self, webhook: Webhook, *, taken: bool) -> None:
        """Shopify, "Troubleshooting webhooks": after eight failures in a row the subscription is deleted."""
        if taken:
            return
        for subscription in [each for each in self._of.get(webhook.topic, ()) if each.uri == webhook.url]:
            self.unsubscribe(subscription.id)

    def _observe(self, change: ShopChange) -> None:
        if change.topic in self._of and self.post is not None:
            self.tell(change.topic, change.id, self._content(change))

    def _content(self, change: ShopChange) -> Mapping[str, Any]:
        """The whole body of what happened in the shop."""
        state, profile = self._state, self._profile()
        kind, _, action = change.topic.partition("/")
        if change.topic in _DELETIONS:
            return {"id": change.id}
        match kind:
            case "products":
                return rest.product(state.products[change.id], profile)
            case "collections":
                return rest.collection(state.collections[change.id], profile)
            case "customers":
                return rest.customer(state.customers[change.id], profile)
            case "locations":
                return rest.location(state.locations[change.id], profile)
            case "inventory_levels" if action == "disconnect":
                return {"inventory_item_id": change.id, "location_id": change.location_id}
            case "inventory_levels":
                return self._level(change, profile)
            case _:
                raise AssertionError(f"nobody wrote down what is told of {change.topic}")

    def _level(self, change: ShopChange, profile: ShopProfile) -> Mapping[str, Any]:
        variant = self._state.inventory_items[change.id]
        location_id = change.location_id or 0
        level = variant.level_at(location_id) or variant.inactive_level_at(location_id)
        if level is None:
            raise AssertionError(f"there is no level of {change}")
        return rest.level(variant, level, profile)

    def _asked_for(self, subscription: WebhookSubscription, content: Mapping[str, Any]) -> Mapping[str, Any]:
        fields = frozenset(subscription.include_fields)
        return rest.only(content, fields) if fields else content

    def _webhook(self, subscription: WebhookSubscription, topic: str, event_id: str, body: bytes) -> Webhook:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": self._profile().domain,
            "X-Shopify-API-Version": self._version,
            "X-Shopify-Webhook-Id": self._new_id(),
            "X-Shopify-Event-Id": event_id,
            "X-Shopify-Triggered-At": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z"),
        }
        return Webhook(
            ShopSide.SHOPIFY,
            topic,
            subscription.uri,
            headers,
            body,
            proof="X-Shopify-Hmac-SHA256",
            prove=self._signature,
        )

    def _signature(self, body: bytes) -> str:
        secret = self.secret or self._app.client_secret
        return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))

    def _index(self) -> None:
        self._of = {}
        for subscription in self.subscriptions.values():
            self._of.setdefault(TOPICS[subscription.topic][0], []).append(subscription)
