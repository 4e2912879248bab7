"""The webhooks of both shops of the sandbox: what they say, how they prove who sends them, and what goes wrong."""

import asyncio
import base64
import hashlib
import hmac
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from daemon.sandbox.nhanh import customer_id, product_id
from daemon.sandbox.server import VERIFY_TOKEN, Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.bulk import BulkOperation
from daemon.sandbox.webhooks import ShopSide, Webhook, WebhookFaults

PATIENCE = 20.0  # seconds
SMALL: dict[str, Any] = {"products": 12, "customers": 30, "quirks": False}


@dataclass(frozen=True)
class Arrival:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return orjson.loads(self.body)

    @property
    def topic(self) -> str:
        """Of either shop."""
        return self.headers.get("X-Shopify-Topic") or self.content["event"]


@dataclass
class Listener:
    """Takes webhooks, and answers as a test wants."""

    url: str = ""
    status: int = 200
    arrivals: list[Arrival] = field(default_factory=list)
    on_arrival: Callable[[], Awaitable[None]] | None = None

    def of(self, topic: str) -> list[Arrival]:
        """Those of one topic."""
        return [arrival for arrival in self.arrivals if arrival.topic == topic]

    async def handle(self, request: web.Request) -> web.Response:
        self.arrivals.append(Arrival(request.path, dict(request.headers), await request.read()))
        if self.on_arrival is not None:
            await self.on_arrival()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A listener on a free port."""
    listener = Listener()
    application = web.Application()
    application.router.add_post("/{path:.*}", listener.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield listener
    finally:
        await runner.cleanup()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """Takes what the sandbox sends."""
    async with listening() as found:
        yield found


@asynccontextmanager
async def sending_to(listener: Listener, **settings: Any) -> AsyncIterator[Sandbox]:
    """A sandbox that has introduced itself to the listener."""
    wanted = SandboxSettings(**{**SMALL, "webhooks": listener.url, **settings})
    async with running_sandbox(wanted) as sandbox, asyncio.timeout(PATIENCE):
        await sandbox.webhooks.settled()
        listener.arrivals.clear()
        yield sandbox


async def ask(sandbox: Sandbox, query: str, **variables: Any) -> dict[str, Any]:
    """Shopify's answer to a query."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
        session.post(
            f"{sandbox.shopify_url}/admin/api/2026-10/graphql.json",
            headers={"X-Shopify-Access-Token": sandbox.shopify.token},
            json={"query": query, "variables": variables},
        ) as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


# Nhanh.vn


async def test_nhanh_is_tried_when_somebody_enters_the_address(listener: Listener) -> None:
    """Documentation: the event webhooksEnabled comes first, with the token, and without a business."""
    async with running_sandbox(SandboxSettings(**SMALL)) as sandbox:
        sandbox.nhanh.webhooks.enable(f"{listener.url}/here", "a-token-of-sixteen")
        await sandbox.webhooks.settled()
        (arrival,) = listener.arrivals
        assert (arrival.path, arrival.content) == ("/here", {"event": "webhooksEnabled"})
        assert arrival.headers["Authorization"] == "a-token-of-sixteen"
        assert sandbox.nhanh.webhooks.enabled


async def test_nhanh_tells_of_products_stock_and_orders(listener: Listener) -> None:
    """Each event has the documented shape; stock that changes in one moment comes in one event."""
    async with sending_to(listener) as sandbox:
        nhanh, depot = sandbox.nhanh, sandbox.nhanh.depots[0].id
        nhanh.change_price(product_id(1), Decimal(123_000))
        nhanh.change_stock(product_id(2), depot, 5)
        nhanh.change_stock(product_id(3), depot, 6)
        nhanh.delete_product(product_id(4))
        await sandbox.webhooks.settled()
        assert {arrival.headers["Authorization"] for arrival in listener.arrivals} == {VERIFY_TOKEN}
        assert {arrival.content["businessId"] for arrival in listener.arrivals} == {nhanh.business_id}
        (price,) = listener.of("productUpdate")
        assert price.content["data"]["id"] == product_id(1)
        assert price.content["data"]["prices"]["retail"] == 123_000
        assert "priceVatMode" not in price.content["data"]
        (stock,) = listener.of("inventoryChange")
        assert [row["id"] for row in stock.content["data"]] == [product_id(2), product_id(3)]
        assert {row["id"]: row["available"] for row in stock.content["data"][0]["depots"]}[depot] == 5
        assert listener.of("productDelete")[0].content["data"] == [product_id(4)]


async def test_an_order_at_nhanh_moves_stock_and_its_customers_total(listener: Listener) -> None:
    """Orders name their products and, in `shippingAddress`, the customer; there is no event of customers."""
    async with sending_to(listener) as sandbox:
        nhanh, depot = sandbox.nhanh, sandbox.nhanh.depots[0].id
        product, customer = nhanh.products[product_id(2)], nhanh.customers[customer_id(5)]
        order = nhanh.place_order(customer.id, {product.id: 2}, depot)
        await sandbox.webhooks.settled()
        assert nhanh.products[product.id].stock[depot] == product.stock[depot] - 2
        assert nhanh.customers[customer.id].total_amount == customer.total_amount + 2 * product.price
        assert sorted(arrival.topic for arrival in listener.arrivals) == ["inventoryChange", "orderAdd"]
        data = listener.of("orderAdd")[0].content["data"]
        assert (data["info"]["id"], data["shippingAddress"]["id"]) == (order.id, str(customer.id))
        assert [(row["id"], row["quantity"]) for row in data["products"]] == [(product.id, 2)]
        nhanh.cancel_order(order.id)
        nhanh.delete_order(order.id)
        await sandbox.webhooks.settled()
        assert nhanh.products[product.id].stock[depot] == product.stock[depot]
        assert nhanh.customers[customer.id].total_amount == customer.total_amount
        assert listener.of("orderUpdate")[0].content["data"]["info"]["status"] == 63
        assert listener.of("orderDelete")[0].content["data"] == [order.id]


async def test_a_combos_stock_is_told_with_that_of_its_components(listener: Listener) -> None:
    """Documentation: the combo and the products in it."""
    async with sending_to(listener) as sandbox:
        nhanh, depot = sandbox.nhanh, sandbox.nhanh.depots[0].id
        nhanh.change_product(product_id(1), type=9, stock={}, combo=((product_id(2), 2),))
        nhanh.change_stock(product_id(2), depot, 40)
        await sandbox.webhooks.settled()
        (stock,) = listener.of("inventoryChange")
        assert [row["id"] for row in stock.content["data"]] == [product_id(2), product_id(1)]


async def test_many_changes_at_nhanh_are_told_by_the_hundred(listener: Listener) -> None:
    """Nothing is left out of a burst, and no event names more than a hundred products."""
    async with sending_to(listener, products=150, variants_per_product=(1, 1)) as sandbox:
        depot = sandbox.nhanh.depots[0].id
        ids = [product_id(number) for number in range(1, 131)]
        for each in ids:
            sandbox.nhanh.change_stock(each, depot, 7)
        await sandbox.webhooks.settled()
        told = [[row["id"] for row in arrival.content["data"]] for arrival in listener.of("inventoryChange")]
        assert sorted(len(rows) for rows in told) == [30, 100]
        assert sorted(each for rows in told for each in rows) == ids


async def test_nhanh_repeats_what_is_not_answered_by_200(listener: Listener) -> None:
    """Documentation: three further attempts with the same body; a redirect is a failure like any other."""
    async with sending_to(listener, webhook_time_scale=0.0) as sandbox:
        listener.status = 302
        sandbox.nhanh.change_price(product_id(1), Decimal(5000))
        await sandbox.webhooks.settled()
        assert len(listener.arrivals) == 4
        assert len({arrival.body for arrival in listener.arrivals}) == 1
        assert {arrival.path for arrival in listener.arrivals} == {"/webhooks/nhanh/sandbox"}


async def test_nhanh_switches_webhooks_off_that_often_fail(listener: Listener) -> None:
    """Documentation: it asks by webhooksEnabled first; then nothing comes any more."""
    async with sending_to(listener, webhook_time_scale=0.0) as sandbox:
        listener.status = 500
        for _ in range(25):
            sandbox.nhanh.change_price(product_id(1), Decimal(5000))
        await sandbox.webhooks.settled()
        assert listener.of("webhooksEnabled")
        assert not sandbox.nhanh.webhooks.enabled
        listener.arrivals.clear()
        sandbox.nhanh.change_price(product_id(1), Decimal(6000))
        await sandbox.webhooks.settled()
        assert listener.arrivals == []


async def test_the_address_is_entered_over_http(listener: Listener) -> None:
    """As somebody does it at open.nhanh.vn; what has been sent is told there, too."""
    async with (
        running_sandbox(SandboxSettings(**SMALL)) as sandbox,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
    ):
        entered = {"callback_url": f"{listener.url}/here", "verify_token": "a-token-of-sixteen"}
        control = f"{sandbox.shopify_url}/_sandbox/webhooks"
        async with session.put(f"{control}/nhanh", json=entered) as answer:
            assert (await answer.json())["nhanh"]["enabled"] is True
        async with session.get(control) as answer:
            assert (await answer.json())["answers"] == {"200": 1}
        assert [arrival.topic for arrival in listener.arrivals] == ["webhooksEnabled"]


# Shopify


async def test_shopify_signs_its_bodies(listener: Listener) -> None:
    """The headers of a delivery, and base64(HMAC-SHA256(body, client secret))."""
    async with sending_to(listener) as sandbox:
        variant = next(iter(sandbox.shopify.variants.values()))
        sandbox.shopify.change_price(variant.id, Decimal(77_000))
        await sandbox.webhooks.settled()
        (arrival,) = listener.arrivals
        digest = hmac.digest(sandbox.shopify.app.client_secret.encode(), arrival.body, hashlib.sha256)
        assert arrival.headers["X-Shopify-Hmac-SHA256"] == base64.b64encode(digest).decode()
        assert arrival.headers["X-Shopify-Shop-Domain"] == "dongbo-sandbox.myshopify.com"
        assert arrival.headers["X-Shopify-API-Version"] == "2026-10"
        assert arrival.headers["X-Shopify-Webhook-Id"] != arrival.headers["X-Shopify-Event-Id"]
        assert arrival.headers["X-Shopify-Triggered-At"].endswith("Z")
        assert arrival.topic == "products/update"
        told = {row["id"]: row for row in arrival.content["variants"]}[variant.id]
        assert (told["price"], told["inventory_item_id"]) == ("77000", variant.inventory_item_id)


async def test_shopify_tells_of_stock_together_with_its_product(listener: Listener) -> None:
    """A level's event names item, location and figure; the product was updated as well, as at Shopify."""
    async with sending_to(listener) as sandbox:
        shop = sandbox.shopify
        variant = next(iter(shop.variants.values()))
        location = variant.levels[-1].location_id
        shop.change_stock(variant.id, 41, location)
        shop.stop_stocking(variant.id, location)
        shop.start_stocking(variant.id, location)
        await sandbox.webhooks.settled()
        (first, _) = listener.of("inventory_levels/update")
        assert first.content["inventory_item_id"] == variant.inventory_item_id
        assert (first.content["location_id"], first.content["available"]) == (location, 41)
        assert first.content["updated_at"]
        gone = {"inventory_item_id": variant.inventory_item_id, "location_id": location}
        assert [each.content for each in listener.of("inventory_levels/disconnect")] == [gone]
        assert len(listener.of("inventory_levels/connect")) == 1
        assert len(listener.of("products/update")) == 3


async def test_what_the_api_writes_is_told_as_well(listener: Listener) -> None:
    """One's own writes come back as events, like anybody's."""
    async with sending_to(listener) as sandbox:
        customer = next(iter(sandbox.shopify.customers.values()))
        gid = f"gid://shopify/Customer/{customer.id}"
        await ask(sandbox, 'mutation($id: ID!) { tagsAdd(id: $id, tags: ["vip"]) { userErrors { message } } }', id=gid)
        sandbox.shopify.delete_customer(customer.id)
        await sandbox.webhooks.settled()
        (update,) = listener.of("customers/update")
        assert (update.content["id"], "tags" in update.content) == (customer.id, False)
        assert [each.content for each in listener.of("customers/delete")] == [{"id": customer.id}]


async def test_the_end_of_a_bulk_operation_is_told(listener: Listener) -> None:
    """Whether anybody asks for it or not."""
    async with sending_to(listener) as sandbox:
        sandbox.shopify.bulk.seconds = 0.05
        ended = asyncio.Event()
        tell = sandbox.shopify.bulk.on_end

        def end(operation: BulkOperation) -> None:
            tell(operation)
            ended.set()

        sandbox.shopify.bulk.on_end = end
        query = "{ customers { edges { node { id } } } }"
        await ask(sandbox, f'mutation {{ bulkOperationRunQuery(query: "{query}") {{ userErrors {{ message }} }} }}')
        await ended.wait()
        await sandbox.webhooks.settled()
        (arrival,) = listener.of("bulk_operations/finish")
        assert arrival.content["status"] == "completed"
        assert arrival.content["admin_graphql_api_id"].startswith("gid://shopify/BulkOperation/")


async def test_subscriptions_are_made_listed_changed_and_deleted_by_the_api(listener: Listener) -> None:
    """Only what is subscribed to is told; the same address for a topic is taken only once."""
    create = """mutation($topic: WebhookSubscriptionTopic!, $input: WebhookSubscriptionInput!) {
        webhookSubscriptionCreate(topic: $topic, webhookSubscription: $input) {
            webhookSubscription { id topic uri includeFields apiVersion { handle } } userErrors { field message } } }"""
    wanted = {"uri": f"{listener.url}/a", "includeFields": ["id", "updated_at", "variants.id"]}
    async with running_sandbox(SandboxSettings(**SMALL)) as sandbox, asyncio.timeout(PATIENCE):
        made = (await ask(sandbox, create, topic="PRODUCTS_UPDATE", input=wanted))["data"]["webhookSubscriptionCreate"]
        assert made["userErrors"] == []
        number = made["webhookSubscription"].pop("id")
        assert made["webhookSubscription"] == {
            "topic": "PRODUCTS_UPDATE",
            "apiVersion": {"handle": "2026-10"},
            **wanted,
        }
        again = (await ask(sandbox, create, topic="PRODUCTS_UPDATE", input=wanted))["data"]["webhookSubscriptionCreate"]
        assert again["userErrors"][0]["message"] == "Address for this topic has already been taken"
        product = next(iter(sandbox.shopify.products.values()))
        sandbox.shopify.change_title(product.id, "Tên mới")
        sandbox.shopify.touch_customer(next(iter(sandbox.shopify.customers)))
        await sandbox.webhooks.settled()
        (arrival,) = listener.arrivals
        assert set(arrival.content) == {"id", "updated_at", "variants"}
        assert arrival.content["variants"] == [{"id": variant.id} for variant in product.variants]
        moved = """mutation($id: ID!, $input: WebhookSubscriptionInput!) {
            webhookSubscriptionUpdate(id: $id, webhookSubscription: $input) { userErrors { message } } }"""
        await ask(sandbox, moved, id=number, input={"uri": f"{listener.url}/b"})
        found = (await ask(sandbox, "{ webhookSubscriptions(first: 5) { nodes { id uri } } }"))["data"]
        assert found["webhookSubscriptions"]["nodes"] == [{"id": number, "uri": f"{listener.url}/b"}]
        gone = "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId } }"
        deleted = await ask(sandbox, gone, id=number)
        assert deleted["data"]["webhookSubscriptionDelete"] == {"deletedWebhookSubscriptionId": number}
        assert sandbox.shopify.webhooks.subscriptions == {}


@pytest.mark.parametrize(
    ("topic", "uri", "scopes", "said"),
    [
        ("PRODUCTS_UPDATE", "http://hooks.example.com/x", None, "Address protocol http:// is not supported"),
        ("PRODUCTS_UPDATE", "hooks.example.com", None, "Address is invalid"),
        ("CUSTOMERS_UPDATE", "https://hooks.example.com/x", {"read_products"}, "You do not have permission"),
    ],
)
async def test_a_subscription_may_be_refused(topic: str, uri: str, scopes: set[str] | None, said: str) -> None:
    """Addresses without TLS, such as are none, and topics whose scope the app lacks."""
    create = """mutation($topic: WebhookSubscriptionTopic!, $uri: String!) {
        webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri}) { userErrors { message } } }"""
    async with running_sandbox(SandboxSettings(**SMALL)) as sandbox:
        if scopes is not None:
            sandbox.shopify.scopes = frozenset(scopes)
        answer = (await ask(sandbox, create, topic=topic, uri=uri))["data"]["webhookSubscriptionCreate"]
        assert answer["userErrors"][0]["message"].startswith(said)


async def test_what_is_no_news_under_the_fields_asked_for_is_dropped(listener: Listener) -> None:
    """Without `updated_at` among them, a change of anything else is a duplicate to Shopify."""
    async with running_sandbox(SandboxSettings(**SMALL)) as sandbox, asyncio.timeout(PATIENCE):
        shop = sandbox.shopify
        shop.webhooks.subscribe("PRODUCTS_UPDATE", f"{listener.url}/x", ["id", "title"])
        number = next(iter(shop.products))
        shop.change_title(number, "Một")
        shop.change_tags(number, ["mới"])
        await sandbox.webhooks.settled()
        assert (len(listener.arrivals), shop.webhooks.dropped) == (1, 1)


async def test_shopify_deletes_a_subscription_that_fails_nine_times(listener: Listener) -> None:
    """Eight further attempts, with the same id and time; then the subscription is gone, and the others stay."""
    async with sending_to(listener, webhook_time_scale=0.0) as sandbox:
        listener.status = 500
        before = len(sandbox.shopify.webhooks.subscriptions)
        sandbox.shopify.touch_product(next(iter(sandbox.shopify.products)))
        await sandbox.webhooks.settled()
        assert len(listener.arrivals) == 9
        assert len({arrival.headers["X-Shopify-Webhook-Id"] for arrival in listener.arrivals}) == 1
        assert len({arrival.headers["X-Shopify-Triggered-At"] for arrival in listener.arrivals}) == 1
        topics = {each.topic for each in sandbox.shopify.webhooks.subscriptions.values()}
        assert (len(topics), "PRODUCTS_UPDATE" in topics) == (before - 1, False)


async def test_a_removed_app_hears_of_it_last(listener: Listener) -> None:
    """Both shops tell, and Shopify's subscriptions are gone."""
    async with sending_to(listener) as sandbox:
        sandbox.nhanh.webhooks.uninstall()
        sandbox.shopify.webhooks.uninstall()
        await sandbox.webhooks.settled()
        assert listener.of("appUninstalled")[0].content == {
            "event": "appUninstalled",
            "businessId": sandbox.nhanh.business_id,
        }
        assert listener.of("app/uninstalled")[0].content["myshopify_domain"] == "dongbo-sandbox.myshopify.com"
        assert sandbox.shopify.webhooks.subscriptions == {}


# On the way


def touch_products(sandbox: Sandbox, count: int) -> list[int]:
    """Change `count` products at Shopify, one event each."""
    ids = list(sandbox.shopify.products)[:count]
    for number in ids:
        sandbox.shopify.touch_product(number)
    return ids


async def test_what_is_held_leaves_only_by_hand(listener: Listener) -> None:
    """In any order, again, or not at all."""
    async with sending_to(listener) as sandbox:
        with sandbox.webhooks.holding() as held:
            ids = touch_products(sandbox, 4)
        assert [webhook.content["id"] for webhook in held] == ids
        await sandbox.webhooks.settled()
        assert listener.arrivals == []
        assert await sandbox.webhooks.deliver(held[2], held[0], held[2]) == [200, 200, 200]
        assert [arrival.content["id"] for arrival in listener.arrivals] == [ids[2], ids[0], ids[2]]
        first, _, last = (arrival.headers["X-Shopify-Webhook-Id"] for arrival in listener.arrivals)
        assert first == last


async def test_webhooks_get_lost(listener: Listener) -> None:
    """They are counted, and never come."""
    async with sending_to(listener, webhook_faults=WebhookFaults(lost=0.0)) as sandbox:
        sandbox.webhooks.faults.lost = 1.0
        touch_products(sandbox, 5)
        await sandbox.webhooks.settled()
        assert (listener.arrivals, sandbox.webhooks.counts["lost"]) == ([], 5)


async def test_webhooks_come_twice_and_in_another_order(listener: Listener) -> None:
    """Each as often as it was sent, with the same id; not in the order of the changes."""
    async with sending_to(listener) as sandbox:
        faults = sandbox.webhooks.faults
        faults.repeated, faults.reordered, faults.reorder_seconds = 1.0, 1.0, 0.2
        ids = touch_products(sandbox, 10)
        await sandbox.webhooks.settled()
        told = [arrival.content["id"] for arrival in listener.arrivals]
        assert sorted(told) == sorted(ids * 2)
        assert list(dict.fromkeys(told)) != ids
        assert len({arrival.headers["X-Shopify-Webhook-Id"] for arrival in listener.arrivals}) == 10


async def test_a_forged_webhook_proves_nothing(listener: Listener) -> None:
    """It comes beside the true one, with other figures, and with a signature of nobody's."""
    async with sending_to(listener) as sandbox:
        sandbox.webhooks.faults.forged = 1.0
        variant = next(iter(sandbox.shopify.variants.values()))
        sandbox.shopify.change_stock(variant.id, 3)
        await sandbox.webhooks.settled()
        told = listener.of("inventory_levels/update")
        assert {each.content["inventory_item_id"] for each in told} == {variant.inventory_item_id}
        secret = sandbox.shopify.app.client_secret.encode()
        proved = {
            each.content["available"]: each.headers["X-Shopify-Hmac-SHA256"]
            == base64.b64encode(hmac.digest(secret, each.body, hashlib.sha256)).decode()
            for each in told
        }
        assert proved.pop(3) is True
        assert list(proved.values()) == [False]


async def test_a_misleading_webhook_is_signed_all_the_same(listener: Listener) -> None:
    """What it names is right; its figures are not."""
    async with sending_to(listener) as sandbox:
        sandbox.webhooks.faults.misleading = 1.0
        variant = next(iter(sandbox.shopify.variants.values()))
        sandbox.shopify.change_stock(variant.id, 3)
        await sandbox.webhooks.settled()
        (arrival,) = listener.of("inventory_levels/update")
        assert arrival.content["inventory_item_id"] == variant.inventory_item_id
        assert arrival.content["available"] != 3
        digest = hmac.digest(sandbox.shopify.app.client_secret.encode(), arrival.body, hashlib.sha256)
        assert arrival.headers["X-Shopify-Hmac-SHA256"] == base64.b64encode(digest).decode()


async def test_a_body_that_was_cut_is_sent_again_if_it_is_refused(listener: Listener) -> None:
    """Half of it under the signature of the whole, and at the next attempt all of it."""
    async with sending_to(listener, webhook_time_scale=0.0) as sandbox:
        sandbox.webhooks.faults.cut = 1.0
        listener.status = 401

        async def take_the_next() -> None:
            listener.status = 200 if len(listener.arrivals) > 1 else 401

        listener.on_arrival = take_the_next
        touch_products(sandbox, 1)
        await sandbox.webhooks.settled()
        half, whole = (arrival.body for arrival in listener.arrivals)
        assert whole.startswith(half)
        assert len(half) == len(whole) // 2


async def test_nobody_listens_at_the_address() -> None:
    """A refused connection is an attempt without an answer."""
    async with running_sandbox(SandboxSettings(**SMALL, webhook_time_scale=0.0)) as sandbox, asyncio.timeout(PATIENCE):
        sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", "http://127.0.0.1:9/x")
        touch_products(sandbox, 1)
        await sandbox.webhooks.settled()
        assert [attempt.status for attempt in sandbox.webhooks.attempts] == [None] * 9


def test_the_same_seed_commits_the_same_faults() -> None:
    """So that a history can be told again."""
    first, second = (WebhookFaults(lost=0.5, seed=3) for _ in range(2))
    assert [first.strikes(0.5) for _ in range(50)] == [second.strikes(0.5) for _ in range(50)]


def test_wrong_figures_leave_the_ids_alone() -> None:
    """Whatever they are nested in."""
    from_nhanh = {"event": "inventoryChange", "data": [{"id": 7, "available": 3, "depots": [{"id": 1, "remain": "4"}]}]}
    webhook = Webhook(
        ShopSide.NHANH, "inventoryChange", "", {}, orjson.dumps(from_nhanh), "Authorization", lambda _: "t"
    )
    webhook = webhook.misleading(random.Random(1))
    (row,) = webhook.content["data"]
    assert (row["id"], row["depots"][0]["id"]) == (7, 1)
    assert row["available"] != 3
    assert isinstance(row["depots"][0]["remain"], str)
