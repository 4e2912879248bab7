"""What Nhanh.vn tells an app by webhooks, and when it no longer does.

Source: Nhanh documentation v3, "Webhooks": an event goes to the one address of the app, with the app's verify token in
the header `Authorization`; an answer other than 200 is repeated up to three times; an app that often fails is asked by
`webhooksEnabled` whether it still listens, and its webhooks are switched off if it does not. There are no events of
customers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from daemon.sandbox.nhanh.records import NhanhOrderRecord
from daemon.sandbox.nhanh.rendering import Spelling
from daemon.sandbox.nhanh.shop import BusinessChange, ChangeKind, NhanhShop
from daemon.sandbox.webhooks import ShopSide, Webhook

ENABLED = "webhooksEnabled"
APP_UNINSTALLED = "appUninstalled"
EVENTS = frozenset(
    {kind.value for kind in ChangeKind if not kind.value.startswith("customer")}
    | {APP_UNINSTALLED, "orderPartialReturn"}
)  # there is none of customers
WAITS = (300.0, 600.0, 1800.0)  # Nhanh documentation v2: "up to 3 times, after 5, 10 and 30 minutes"
LARGEST_GROUP = 100  # Nhanh documentation v2: "up to 100 products"; v3 does not say how many
# What counts as often failing is not documented.
JUDGED = 50
FEWEST_JUDGED = 20
POOR_SHARE = 0.5


class NhanhWebhooks:
    """The webhooks of one app at one business.

    Args:
        shop: whose changes are told.
        spelling: how rows are written at present.
        business_id: named in each event.

    `callback_url`, `verify_token` and `events` are what somebody enters at open.nhanh.vn; `enable` enters them. `post`
    takes what is to be sent; None: nobody does. `group` is how many products one `inventoryChange` may name: changes
    of the same moment are told together.
    """

    def __init__(self, shop: NhanhShop, spelling: Callable[[], Spelling], business_id: Callable[[], int]) -> None:
        self.callback_url = ""
        self.verify_token = ""
        self.events: frozenset[str] = EVENTS
        self.enabled = False
        self.group = LARGEST_GROUP
        self.post: Callable[[Webhook], None] | None = None
        self.waits = WAITS
        self._shop = shop
        self._spelling = spelling
        self._business_id = business_id
        self._stock_changed: dict[int, None] = {}  # products, in the order of their changes
        self._recent: deque[bool] = deque(maxlen=JUDGED)  # whether each was taken
        shop.listeners.append(self._hear)

    def enable(self, callback_url: str, verify_token: str, events: Iterable[str] = EVENTS) -> None:
        """Enter address, token and events, as somebody does at open.nhanh.vn; the address is tried at once."""
        self.callback_url, self.verify_token, self.events = callback_url, verify_token, frozenset(events)
        self.enabled = True
        self._recent.clear()
        self.check()

    def check(self) -> None:
        """Ask whether the address still works; if not, webhooks are switched off."""
        self._send({"event": ENABLED})

    def uninstall(self) -> None:
        """Tell that the business has removed the app."""
        self.tell(APP_UNINSTALLED)

    def tell(self, event: str, **content: Any) -> None:
        """Send an event of this business, if the app has asked for such."""
        if self.enabled and event in self.events:
            self._send({"event": event, "businessId": self._business_id(), **content})

    def takes(self, status: int) -> bool:
        """Nhanh documentation: the status must be 200; a redirect is a failure."""
        return status == 200

    def concluded(self, webhook: Webhook, *, taken: bool) -> None:
        """Judge the app by what it took lately."""
        if webhook.topic == ENABLED:
            self.enabled = self.enabled and taken
            return
        self._recent.append(taken)
        failed = self._recent.count(False)
        if self.enabled and len(self._recent) >= FEWEST_JUDGED and failed > POOR_SHARE * len(self._recent):
            self._recent.clear()
            self.check()

    def _hear(self, change: BusinessChange) -> None:
        if not self.enabled or self.post is None:
            return
        match change.kind:
            case ChangeKind.INVENTORY_CHANGE:
                self._hear_of_stock(change.row_id)
            case ChangeKind.PRODUCT_ADD | ChangeKind.PRODUCT_UPDATE:
                self.tell(change.kind, data=self._spelling().told_product(self._shop.products[change.row_id]))
            case ChangeKind.PRODUCT_DELETE | ChangeKind.ORDER_DELETE:
                self.tell(change.kind, data=[change.row_id])
            case ChangeKind.ORDER_ADD | ChangeKind.ORDER_UPDATE:
                self.tell(change.kind, data=self._order(self._shop.orders[change.row_id]))

    def _hear_of_stock(self, product_id: int) -> None:
        """Documentation v3, "Tồn kho": changes close to each other come together, a combo's with its components'."""
        if not self._stock_changed:
            asyncio.get_running_loop().call_soon(self._tell_stock)
        for changed_id in (product_id, *self._shop.combos_of(product_id)):
            self._stock_changed[changed_id] = None

    def _tell_stock(self) -> None:
        changed = [self._shop.products[each] for each in self._stock_changed if each in self._shop.products]
        self._stock_changed.clear()
        for start in range(0, len(changed), self.group):
            rows = [self._spelling().told_stock(product) for product in changed[start : start + self.group]]
            self.tell(ChangeKind.INVENTORY_CHANGE, data=rows)

    def _order(self, order: NhanhOrderRecord) -> dict[str, Any]:
        customer = self._shop.customers.get(order.customer_id)
        return self._spelling().order(order, customer, [self._shop.products.get(each) for each in order.quantities])

    def _send(self, content: dict[str, Any]) -> None:
        if self.post is None:
            return
        token = self.verify_token
        self.post(
            Webhook(
                ShopSide.NHANH,
                content["event"],
                self.callback_url,
                {"Content-Type": "application/json"},
                orjson.dumps(content),
                proof="Authorization",
                prove=lambda _: token,
            )
        )
