"""Each situation is switched on and off over the socket of a running sandbox, and shows its effect in between."""

import asyncio
import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from daemon.cli import app
from daemon.cli.exits import run_guarded
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.situations import SITUATIONS
from daemon.sandbox.staging.stage import ShopTooSmall

ODD = {430, 408, 425, *range(520, 531)}
PRODUCTS = """query Products { products(first: 100) { nodes {
    id title status isGiftCard requiresSellingPlan combinedListingRole
    variants(first: 5) { nodes { id sku barcode price requiresComponents inventoryItem { id
        inventoryLevels(first: 9, includeInactive: true) { nodes { isActive location { id }
            quantities(names: ["available"]) { quantity } } } } } } } } }"""
SET_STOCK = """mutation SetStock($key: String!, $input: InventorySetQuantitiesInput!) {
    inventorySetQuantities(input: $input) @idempotent(key: $key) { userErrors { code field } } }"""
SET_PRICE = """mutation SetPrices($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
    productVariantsBulkUpdate(productId: $product, variants: $variants) { userErrors { message } } }"""


@dataclass
class Visitor:
    """Asks a running sandbox as a client would, and nothing else."""

    sandbox: Sandbox
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def post(self, query: str, seconds: float = 10.0, **variables: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Shopify's answer, whatever it is."""
        async with self.session.post(
            f"{self.sandbox.shopify_url}/admin/api/2026-10/graphql.json",
            headers={"X-Shopify-Access-Token": self.sandbox.shopify.token},
            json={"query": query, "variables": variables},
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            yield response

    async def shopify(self, query: str, **variables: Any) -> dict[str, Any]:
        """The JSON of Shopify's answer."""
        async with self.post(query, **variables) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def nhanh(self, path: str, filters: dict[str, Any], **paginator: Any) -> dict[str, Any]:
        """The JSON of Nhanh.vn's answer."""
        shop = self.sandbox.nhanh
        async with self.session.post(
            f"{self.sandbox.nhanh_url}/v3.0/{path}",
            params={"appId": 73001, "businessId": 110668},
            headers={"Authorization": shop.token},
            json={"filters": filters, "paginator": {"size": 100} | paginator},
        ) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def products(self) -> list[dict[str, Any]]:
        """Shopify's products."""
        nodes: list[dict[str, Any]] = (await self.shopify(PRODUCTS))["data"]["products"]["nodes"]
        return nodes

    async def variants(self) -> list[dict[str, Any]]:
        """Shopify's variants."""
        return [variant for product in await self.products() for variant in product["variants"]["nodes"]]

    async def goods(self) -> list[dict[str, Any]]:
        """Nhanh.vn's products."""
        found, answer = [], await self.nhanh("product/list", {"status": [1, 2, 4]})
        while True:
            found += answer["data"]
            if not (following := answer.get("paginator", {}).get("next")):
                return found
            answer = await self.nhanh("product/list", {"status": [1, 2, 4]}, next=following)

    async def control(self, method: str, name: str = "") -> tuple[int, dict[str, Any]]:
        """What the control address says."""
        url = f"{self.sandbox.shopify_url}/_sandbox/situations"
        async with self.session.request(method, f"{url}/{name}" if name else url) as response:
            return response.status, await response.json()


Check = Callable[[Visitor], Awaitable[bool]]


# ── What to look at ─────────────────────────────────────────────────────────────────────────────────────────────────


def shop_says(field: str, value: object) -> Check:
    """Whether `shop` has this value."""

    async def check(visitor: Visitor) -> bool:
        found = (await visitor.shopify(f"{{ shop {{ {field} }} }}"))["data"]["shop"][field]
        return bool(found == value)

    return check


def some_product(is_so: Callable[[dict[str, Any]], bool]) -> Check:
    """Whether there is such a product at Shopify."""

    async def check(visitor: Visitor) -> bool:
        return any(map(is_so, await visitor.products()))

    return check


def some_good(is_so: Callable[[dict[str, Any]], bool]) -> Check:
    """Whether there is such a product at Nhanh.vn."""

    async def check(visitor: Visitor) -> bool:
        return any(map(is_so, await visitor.goods()))

    return check


def clocks(nhanh: int, shopify: int) -> Check:
    """Whether the answers' dates are so many minutes away from now."""

    async def check(visitor: Visitor) -> bool:
        apart = []
        for url in (visitor.sandbox.nhanh_url, visitor.sandbox.shopify_url):
            async with visitor.session.get(f"{url}/nowhere") as response:
                date = parsedate_to_datetime(response.headers["Date"])
            apart.append(round((date - datetime.now(UTC)).total_seconds() / 60))
        return apart == [nhanh, shopify]

    return check


def answers(is_so: Callable[[dict[str, Any]], bool], query: str = PRODUCTS, **variables: Any) -> Check:
    """Whether one of five answers is so."""

    async def check(visitor: Visitor) -> bool:
        return any([is_so(await visitor.shopify(query, **variables)) for _ in range(5)])

    return check


def header(name: str, value: str) -> Check:
    """Whether an answer says so in a header."""

    async def check(visitor: Visitor) -> bool:
        async with visitor.post("{ shop { name } }") as response:
            return value in response.headers.get(name, "")

    return check


def always(status: int) -> Check:
    """Whether Shopify answers by this status, and Nhanh.vn as ever."""

    async def check(visitor: Visitor) -> bool:
        async with visitor.post("{ shop { name } }") as response:
            found = response.status
        assert (await visitor.nhanh("business/depot", {}))["code"] == 1
        return found == status

    return check


async def odd_statuses(visitor: Visitor) -> bool:
    found = set()
    for _ in range(5 * len(ODD)):
        async with visitor.post("{ shop { name } }") as response:
            found.add(response.status)
    return found == {200, *ODD}


async def other_business(visitor: Visitor) -> bool:
    return (await visitor.nhanh("business/depot", {})).get("errorCode") == "ERR_INVALID_BUSINESS_ID"


async def closed_location(visitor: Visitor) -> bool:
    query = "{ locations(first: 9, includeInactive: true) { nodes { id isActive } } }"
    nodes = (await visitor.shopify(query))["data"]["locations"]["nodes"]
    assert len(nodes) == 3
    closed = {node["id"] for node in nodes if not node["isActive"]}
    return bool(closed) and not closed & set(stocking(await visitor.variants()))


async def deleted_location(visitor: Visitor) -> bool:
    nodes = (await visitor.shopify("{ locations(first: 9, includeInactive: true) { nodes { id } } }"))["data"]
    return len(nodes["locations"]["nodes"]) == 2 == len(set(stocking(await visitor.variants())))


def levels(variants: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """All levels."""
    return (level for variant in variants for level in variant["inventoryItem"]["inventoryLevels"]["nodes"])


def stocking(variants: Iterable[dict[str, Any]]) -> Iterable[str]:
    """The locations that stock something."""
    return (level["location"]["id"] for level in levels(variants) if level["isActive"])


async def protected_fields(visitor: Visitor) -> bool:
    answer = await visitor.shopify("{ customers(first: 50) { nodes { id defaultPhoneNumber { phoneNumber } } } }")
    denied = [error for error in answer.get("errors", ()) if error["extensions"]["code"] == "ACCESS_DENIED"]
    return bool(denied) and not any(node["defaultPhoneNumber"] for node in answer["data"]["customers"]["nodes"])


async def metafield_type(visitor: Visitor) -> bool:
    query = """{ metafieldDefinition(identifier: {ownerType: CUSTOMER, namespace: "custom", key: "total_spent"})
        { type { name } } }"""
    found = (await visitor.shopify(query))["data"]["metafieldDefinition"]
    return found is not None and found["type"]["name"] == "boolean"


async def odd_phones(visitor: Visitor) -> bool:
    phones = [row["mobile"] for row in (await visitor.nhanh("customer/list", {}))["data"]]
    forms = ("-0987654321", " 0987 654 321", ".0", " ext 12", "02838251234-12", "\u202c")
    return all(any(phone.endswith(form) for phone in phones) for form in forms)


async def placeholder_keys(visitor: Visitor) -> bool:
    variants, goods = await visitor.variants(), await visitor.goods()
    ours = {variant["barcode"] for variant in variants} | {variant["sku"] for variant in variants}
    theirs = {good.get("barcode") for good in goods} | {good["code"] for good in goods}
    return {"N/A", "0", "-"} <= ours & theirs


async def archived_copy(visitor: Visitor) -> bool:
    products = await visitor.products()
    for copy in products:
        original = next((each for each in products if copy["title"] == f"Copy of {each['title']}"), None)
        if original is not None:
            skus = [[variant["sku"] for variant in each["variants"]["nodes"]] for each in (copy, original)]
            return skus[0] == skus[1] and (copy["status"], original["status"]) == ("ACTIVE", "ARCHIVED")
    return False


async def combo(visitor: Visitor) -> bool:
    found = [good for good in await visitor.goods() if good["type"] == 9]
    return any(
        [part["quantity"] for part in good["combos"]] == [2, 1] and not good["inventory"]["depots"] for good in found
    )


async def voucher_and_service(visitor: Visitor) -> bool:
    return {2, 6} <= {
        good["type"] for good in await visitor.goods() if not good["inventory"] or not good["inventory"]["depots"]
    }


def weighs(good: dict[str, Any]) -> bool:
    return bool(good["type"] == 3 and 2.6 in [depot["available"] for depot in good["inventory"]["depots"]])


async def inactive_levels(visitor: Visitor) -> bool:
    left = [level["quantities"][0]["quantity"] for level in levels(await visitor.variants()) if not level["isActive"]]
    nowhere = [variant for variant in await visitor.variants() if not list(levels([variant]))]
    return left == [7] * 6 and len(nowhere) == 1


async def set_stock(visitor: Visitor, key: str, quantity: int, expected: int, item: str, location: str) -> list[Any]:
    """The errors of setting one quantity."""
    row = {"inventoryItemId": item, "locationId": location, "quantity": quantity, "changeFromQuantity": expected}
    payload = {"name": "available", "reason": "correction", "quantities": [row]}
    answer = await visitor.shopify(SET_STOCK, key=key, input=payload)
    errors: list[Any] = answer["data"]["inventorySetQuantities"]["userErrors"]
    return errors


async def adding_quantities(visitor: Visitor) -> bool:
    left = [(variant, level) for variant in await visitor.variants() for level in levels([variant]) if is_left(level)]
    for variant, level in left[:1]:
        item, place = variant["inventoryItem"]["id"], level["location"]["id"]
        assert not await set_stock(visitor, str(uuid4()), 5, 7, item, place)
        after = next(each for each in await visitor.variants() if each["id"] == variant["id"])
        (found,) = [each for each in levels([after]) if each["location"]["id"] == place]
        return bool(found["quantities"][0]["quantity"] == 12)
    return False


def is_left(level: dict[str, Any]) -> bool:
    """Whether there is a quantity of before at a location that does not stock the item any more."""
    return not level["isActive"] and level["quantities"][0]["quantity"] != 0


async def shared_stock(visitor: Visitor) -> bool:
    items = [variant["inventoryItem"]["id"] for variant in await visitor.variants()]
    return len(items) == len(set(items)) + 1


async def refusals(visitor: Visitor) -> list[tuple[str, bool]]:
    """The codes by which stock is refused one by one, and whether the row is named."""
    found = []
    for variant in await visitor.variants():
        level = next(level for level in levels([variant]) if level["isActive"])
        before = level["quantities"][0]["quantity"]
        item, place = variant["inventoryItem"]["id"], level["location"]["id"]
        errors = await set_stock(visitor, str(uuid4()), max(before, 0), before, item, place)
        found += [(error["code"], error["field"][-1] == "inventoryItemId") for error in errors]
    return found


async def refused_stock_rows(visitor: Visitor) -> bool:
    return await refusals(visitor) == [("NON_MUTABLE_INVENTORY_ITEM", True)] * 2


async def unnamed_refusals(visitor: Visitor) -> bool:
    return await refusals(visitor) == [("NON_MUTABLE_INVENTORY_ITEM", False)] * 2


async def rounded_prices(visitor: Visitor) -> bool:
    return await price_after(visitor, visitor.shopify) == "777000" and await some_good(
        lambda good: good["prices"]["retail"] % 1000 == 500
    )(visitor)


async def price_after(visitor: Visitor, call: Callable[..., Awaitable[object]], price: str = "777500") -> str:
    """What a variant costs after its price was set; the last one, of which no situation makes anything."""
    product = (await visitor.products())[-1]
    variant = product["variants"]["nodes"][-1]
    await call(SET_PRICE, product=product["id"], variants=[{"id": variant["id"], "price": price}])
    return await price_of(visitor, variant["id"])


async def price_of(visitor: Visitor, variant_id: str) -> str:
    """What a variant costs."""
    query = "query($id: ID!) { productVariant(id: $id) { price } }"
    price: str = (await visitor.shopify(query, id=variant_id))["data"]["productVariant"]["price"]
    return price.removesuffix(".00")


async def large_pages_fail(visitor: Visitor) -> bool:
    query = "query($first: Int!) { products(first: $first) { nodes { id } } }"
    small, large = [await visitor.shopify(query, first=size) for size in (20, 21)]
    assert "errors" not in small
    return "errors" in large and large["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


def one_unreadable(answer: dict[str, Any]) -> bool:
    if answer["data"] is None:
        return False
    lost = [node["variants"] for node in answer["data"]["products"]["nodes"]].count(None)
    return lost == 1 and answer["errors"][0]["path"][-1] == "variants"


async def poisonous_row(visitor: Visitor) -> bool:
    assert "errors" not in await visitor.shopify("{ products(first: 100) { nodes { id } } }")
    return (await visitor.shopify(PRODUCTS))["data"] is None


async def unreadable_variants(visitor: Visitor) -> bool:
    query = "{ products(first: 100) { nodes { id variantsCount { count } } } }"
    nodes = (await visitor.shopify(query))["data"]["products"]["nodes"]
    big = max(nodes, key=lambda node: node["variantsCount"]["count"])
    more = "query ProductVariants($id: ID!) { product(id: $id) { variants(first: 9) { nodes { id } } } }"
    answer = await visitor.shopify(more, id=big["id"])
    return big["variantsCount"]["count"] > 300 and answer["data"] == {"product": None}


async def refused_cursor(visitor: Visitor) -> bool:
    query = "query($after: String) { products(first: 5, after: $after) { pageInfo { endCursor } } }"
    cursor = (await visitor.shopify(query))["data"]["products"]["pageInfo"]["endCursor"]
    first, second = [await visitor.shopify(query, after=cursor) for _ in range(2)]
    assert "errors" not in second
    return "errors" in first


async def late_writes(visitor: Visitor) -> bool:
    product = (await visitor.products())[-1]
    variant = product["variants"]["nodes"][-1]["id"]
    before = await price_of(visitor, variant)
    wanted = str(int(before) + 1000)
    changed = asyncio.Event()
    visitor.sandbox.shopify.observers.append(lambda _: changed.set())
    rows = [{"id": variant, "price": wanted}]
    call = asyncio.create_task(visitor.shopify(SET_PRICE, product=product["id"], variants=rows), name="write")
    done, _ = await asyncio.wait([call], timeout=2)  # nothing is to happen, so there is nothing to wait for
    if done:
        return False
    assert await price_of(visitor, variant) == before
    assert not changed.is_set()
    call.cancel()
    await asyncio.wait_for(changed.wait(), 10)
    return await price_of(visitor, variant) == wanted


async def lost_answers(visitor: Visitor) -> bool:
    lost = []

    async def call(query: str, **variables: Any) -> None:
        try:
            await visitor.shopify(query, **variables)
        except aiohttp.ClientConnectionError:
            lost.append(True)

    price = str(900_000 + len(visitor.sandbox.shopify.writes))
    assert await price_after(visitor, call, price) == price
    return bool(lost)


async def forgotten_keys(visitor: Visitor) -> bool:
    variant = (await visitor.variants())[-1]
    level = next(level for level in levels([variant]) if level["isActive"])
    before, key = level["quantities"][0]["quantity"], str(uuid4())
    place = (variant["inventoryItem"]["id"], level["location"]["id"])
    first, second = [await set_stock(visitor, key, abs(before) + 3, before, *place) for _ in range(2)]
    assert not first
    return bool(second)


def has_error(value: object) -> Callable[[dict[str, Any]], bool]:
    return lambda answer: answer.get("errors") == value


CHECKS: dict[str, Check] = {
    "other-currency": shop_says("currencyCode", "USD"),
    "prices-without-tax": shop_says("taxesIncluded", False),
    "prices-without-vat": some_good(lambda good: good["priceVatMode"] == 2),
    "nhanh-clock-ahead": clocks(20, 0),
    "nhanh-clock-behind": clocks(-20, 0),
    "shopify-clock-ahead": clocks(0, 20),
    "shopify-clock-behind": clocks(0, -20),
    "clocks-ahead": clocks(20, 20),
    "clocks-behind": clocks(-20, -20),
    "other-shop": shop_says("myshopifyDomain", "other-dongbo-sandbox.myshopify.com"),
    "other-business": other_business,
    "closed-location": closed_location,
    "deleted-location": deleted_location,
    "protected-fields": protected_fields,
    "metafield-type": metafield_type,
    "odd-phones": odd_phones,
    "placeholder-keys": placeholder_keys,
    "invisible-characters": some_good(lambda good: good["code"][0] + good["code"][-1] == "\u202a\u202c"),
    "archived-copy": archived_copy,
    "gift-card": some_product(lambda product: product["isGiftCard"]),
    "bundle": some_product(lambda product: any(each["requiresComponents"] for each in product["variants"]["nodes"])),
    "subscription": some_product(lambda product: product["requiresSellingPlan"]),
    "combined-listing": some_product(lambda product: product["combinedListingRole"] == "PARENT"),
    "combo": combo,
    "voucher-and-service": voucher_and_service,
    "goods-by-weight": some_good(weighs),
    "fractional-prices": some_good(lambda good: good["prices"]["retail"] % 1000 == pytest.approx(333.4)),
    "rounded-prices": rounded_prices,
    "inactive-levels": inactive_levels,
    "adding-quantities": adding_quantities,
    "shared-stock": shared_stock,
    "refused-stock-rows": refused_stock_rows,
    "unnamed-refusals": unnamed_refusals,
    "odd-statuses": odd_statuses,
    "locked-shop": always(423),
    "frozen-shop": always(402),
    "large-pages-fail": large_pages_fail,
    "errors-without-code": answers(has_error([{"message": "Something went wrong"}])),
    "errors-as-text": answers(has_error("Something went wrong")),
    "unreadable-row": answers(one_unreadable),
    "poisonous-row": poisonous_row,
    "unreadable-variants": unreadable_variants,
    "refused-cursor": refused_cursor,
    "older-api-version": header("X-Shopify-API-Version", "2026-07"),
    "later-api-version": header("X-Shopify-API-Version", "2027-07"),
    "deprecated-calls": header("X-Shopify-API-Deprecated-Reason", "shopify.dev"),
    "late-writes": late_writes,
    "lost-answers": lost_answers,
    "forgotten-keys": forgotten_keys,
}


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    """A visitor of a running sandbox."""
    settings = SandboxSettings(products=30, customers=60, quirks=False, limits=False)
    async with running_sandbox(settings) as sandbox, aiohttp.ClientSession() as session:
        yield Visitor(sandbox, session)


@pytest.mark.parametrize("name", SITUATIONS)
async def test_situation_shows_while_it_is_on(visitor: Visitor, name: str) -> None:
    """Not before it is switched on and not after it is switched off, but in between, to whoever asks the shops."""
    is_so = CHECKS[name]
    assert not await is_so(visitor)
    for _ in range(2):
        status, described = await visitor.control("PUT", name)
        assert (status, described["on"]) == (200, True)
        assert await is_so(visitor)
        status, described = await visitor.control("DELETE", name)
        assert (status, described["on"]) == (200, False)
        assert not await is_so(visitor)


def test_every_check_is_of_a_situation() -> None:
    """None is left over."""
    assert CHECKS.keys() == SITUATIONS.keys()


# ── Several, and how they are steered ───────────────────────────────────────────────────────────────────────────────


def everything(sandbox: Sandbox) -> dict[str, Any]:
    """Both shops as they are, but for the times of their changes."""
    nhanh, shopify = sandbox.nhanh, sandbox.shopify
    times = {"updated_at": 0, "stock_updated_at": 0}
    return {
        "goods": {row.id: replace(row, **times) for row in nhanh.products.values()},
        "people": {row.id: row.mobile for row in nhanh.customers.values()},
        "business": nhanh.business_id,
        "clocks": (nhanh.clock_offset, shopify.clock_offset),
        "profile": replace(shopify.profile),
        "products": {
            each.id: (
                each.title,
                each.status,
                each.is_gift_card,
                each.requires_selling_plan,
                each.combined_listing_role,
            )
            for each in shopify.products.values()
        },
        "variants": {
            each.id: (
                *(each.sku, each.barcode, each.price, each.inventory_item_id, each.requires_components, each.position),
                {level.location_id: level.available for level in each.levels},
                len(each.inactive_levels),
            )
            for each in shopify.variants.values()
        },
        "items": {number: each.id for number, each in shopify.inventory_items.items()},
        "locations": {each.id: each.is_active for each in shopify.locations.values()},
        "definitions": dict(shopify.definitions),
        "behaviour": (
            *(shopify.adds_unconnected, shopify.names_immutable, shopify.price_step, set(shopify.immutable)),
            *(repr(shopify.troubles), repr(shopify.deliveries), shopify.idempotency.replays, repr(sandbox.faults)),
        ),
    }


@pytest.mark.parametrize("seed", range(4))
async def test_all_at_once_in_any_order_leave_the_shops_as_they_were(seed: int) -> None:
    """No two take part in the same goods or locations, so that each can end whenever it is told to."""
    order = random.Random(seed)
    names = list(SITUATIONS)
    async with running_sandbox(SandboxSettings(products=150, customers=100, seed=seed)) as sandbox:
        before = everything(sandbox)
        for _ in range(2):
            for act in (sandbox.rehearsal.switch_on, sandbox.rehearsal.switch_off):
                order.shuffle(names)
                for name in names:
                    act(name)
        after = everything(sandbox)
        variants = {number for number, each in after["variants"].items() if each != before["variants"][number]}
        assert not variants, [(before["variants"][number], after["variants"][number]) for number in variants]
        assert after == before


async def test_what_is_gone_meanwhile_is_no_hindrance() -> None:
    """Somebody deletes everything while all is on: it can be switched off all the same."""
    async with running_sandbox(SandboxSettings(products=150, customers=100)) as sandbox:
        for name in SITUATIONS:
            sandbox.rehearsal.switch_on(name)
        for product in list(sandbox.shopify.products):
            sandbox.shopify.delete_product(product)
        for rows, delete in (
            (sandbox.nhanh.products, sandbox.nhanh.delete_product),
            (sandbox.nhanh.customers, sandbox.nhanh.delete_customer),
        ):
            for number in list(rows):
                delete(number)
        sandbox.rehearsal.close()
        assert not any(map(sandbox.rehearsal.is_on, SITUATIONS))


async def test_the_control_address_says_what_is_on(visitor: Visitor) -> None:
    """All situations with their sentences, and the state of each; switching twice is as good as once."""
    assert (await visitor.control("PUT", "gift-card"))[0] == 200
    assert (await visitor.control("PUT", "gift-card"))[1] == (await visitor.control("GET", "gift-card"))[1]
    status, answer = await visitor.control("GET")
    assert status == 200
    assert [each["name"] for each in answer["situations"] if each["on"]] == ["gift-card"]
    assert [(each["text"], each["expect"]) for each in answer["situations"]] == [
        (each.text, each.expect) for each in SITUATIONS.values()
    ]
    for _ in range(2):
        assert (await visitor.control("DELETE", "gift-card"))[1]["on"] is False
    assert sum(product["isGiftCard"] for product in await visitor.products()) == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_wrong_name_is_answered_by_those_that_may_be_meant(visitor: Visitor, method: str) -> None:
    """And with where they all are."""
    status, answer = await visitor.control(method, "closed-locations")
    assert status == 404
    assert "did you mean closed-location" in answer["error"]
    assert "--list-situations" in answer["error"]


async def test_no_fault_strikes_the_control_address(visitor: Visitor) -> None:
    """A shop that answers nothing but errors can be put in order again."""
    visitor.sandbox.faults.error_500 = 1.0
    await visitor.control("PUT", "odd-statuses")
    assert (await visitor.control("DELETE", "odd-statuses"))[1]["on"] is False


async def test_a_shop_that_is_too_small_says_so_and_stays_as_it_is() -> None:
    """Whether at the start or later."""
    tiny = SandboxSettings(products=1, customers=1, depots=1)
    async with running_sandbox(tiny) as sandbox, aiohttp.ClientSession() as session:
        before = everything(sandbox)
        for name in ("combo", "closed-location", "odd-phones", "adding-quantities", "rounded-prices"):
            status, answer = await Visitor(sandbox, session).control("PUT", name)
            assert status == 409
            assert "the sandbox has" in answer["error"]
        assert everything(sandbox) == before
    with pytest.raises(ShopTooSmall, match="--products"):
        async with running_sandbox(replace(tiny, situations=("combo",))):
            pass


async def test_nhanh_refuses_the_cursors_of_before(visitor: Visitor) -> None:
    """Whoever goes on behind one has to begin afresh; new ones are as good as ever."""
    old = (await visitor.nhanh("customer/list", {}, size=10))["paginator"]["next"]
    assert (await visitor.nhanh("customer/list", {}, size=10, next=old))["code"] == 1
    await visitor.control("PUT", "refused-cursor")
    assert (await visitor.nhanh("customer/list", {}, size=10, next=old))["code"] == 0
    new = (await visitor.nhanh("customer/list", {}, size=10))["paginator"]["next"]
    await visitor.control("DELETE", "refused-cursor")
    assert (await visitor.nhanh("customer/list", {}, size=10, next=new))["code"] == 1


# ── The command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def dongbo(*arguments: str) -> int:
    """The exit code of a command."""
    return run_guarded(lambda: app(list(arguments), prog_name="dongbo"))


def test_the_command_lists_all_situations(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, with what to expect; as JSON, too."""
    assert dongbo("sandbox", "--list-situations") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    for line, situation in zip(lines, SITUATIONS.values(), strict=True):
        assert line.startswith(f"{situation.name} ")
        assert situation.text in line
        assert line.endswith(situation.expect)
    assert dongbo("sandbox", "--list-situations", "--json") == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == list(SITUATIONS)


def test_a_wrong_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """One line with those that may be meant, and exit code 2."""
    assert dongbo("sandbox", "--products", "3", "--customers", "3", "--situation", "gift-cards") == 2
    assert 'there is no situation "gift-cards": did you mean gift-card?' in capsys.readouterr().err


def test_the_command_begins_in_situations() -> None:
    """As many as are named."""
    command = [
        sys.executable,
        "-c",
        "from daemon.cli import main; main()",
        "sandbox",
        "--json",
        "--products",
        "20",
        "--customers",
        "9",
    ]
    options = ["--situation", "gift-card", "--situation", "other-currency"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["shopify"]["base_url"]
            with urllib.request.urlopen(f"{url}/_sandbox/situations", timeout=10) as answer:
                found = json.load(answer)["situations"]
        finally:
            process.terminate()
    assert {each["name"] for each in found if each["on"]} == {"gift-card", "other-currency"}
