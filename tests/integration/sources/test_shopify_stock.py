"""Stock levels, prices, locations and metafields as the Shopify client reads them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from daemon.errors import SourceUnavailable
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.records import LocationRecord
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.page import Page
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.models import (
    CustomerMetafields,
    ItemStock,
    Location,
    Metafield,
    Quantities,
    Reading,
    gid,
)

QUICK = Backoff(attempts=3, initial=0.01, maximum=0.02)
SMALL = SandboxSettings(products=30, customers=20, limits=False, unstocked_share=0.3)
NAMES = CustomerMetafields(total_spent="custom.total_spent", tier="loyalty.tier")


@dataclass
class Shop:
    """A sandbox and a client of it."""

    sandbox: Sandbox
    client: ShopifyClient

    def stock(self) -> dict[int, ItemStock]:
        """The truth."""
        return {
            variant.inventory_item_id: ItemStock(
                variant.tracked,
                {level.location_id: Quantities(level.available, level.on_hand) for level in variant.levels},
            )
            for variant in self.sandbox.shopify.variants.values()
        }

    def calls(self, operation: str) -> int:
        """How often it was asked for."""
        return sum(request.operation == operation for request in self.sandbox.shopify.requests.last)

    def open_locations(self, total: int) -> None:
        """Stock every variant at so many locations."""
        shop = self.sandbox.shopify
        first = next(iter(shop.locations.values()))
        for number in range(1, total - len(shop.locations) + 1):
            shop.add_location(
                LocationRecord(90_000 + number, f"Kho {number}", 0, "Huế", first.created_at, first.updated_at)
            )
        for variant in list(shop.variants.values()):
            for location in shop.locations:
                if variant.level_at(location) is None:
                    shop.start_stocking(variant.id, location, location % 100)


@asynccontextmanager
async def opened(settings: SandboxSettings = SMALL) -> AsyncIterator[Shop]:
    async with running_sandbox(settings) as sandbox, open_session() as session:
        yield Shop(sandbox, client_at(session, sandbox.shopify_url, sandbox.shopify.token))


def client_at(session: aiohttp.ClientSession, url: str, token: str = "t") -> ShopifyClient:
    limits = LimiterRegistry()
    return ShopifyClient(
        session,
        shop="x",
        credential=PermanentToken(token),
        base_url=url,
        customer_metafields=NAMES,
        limits=limits,
        backoff=QUICK,
    )


@asynccontextmanager
async def answering(answer: Callable[[dict[str, Any]], Any]) -> AsyncIterator[ShopifyClient]:
    """A client of a server that answers each request's body with JSON."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(answer(orjson.loads(await request.read()))))

    application = web.Application()
    application.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with open_session() as session:
            yield client_at(session, f"http://{host}:{port}")
    finally:
        await runner.cleanup()


async def pages_of(pages: AsyncIterator[Page[Any]]) -> list[Page[Any]]:
    return [page async for page in pages]


def levels_of(pages: list[Page[Any]]) -> dict[int, ItemStock]:
    assert not [bad for page in pages for bad in page.bad]
    return {
        variant.inventory_item_id: ItemStock(variant.tracked, variant.levels)
        for page in pages
        for row in page.rows
        for variant in row.value.variants
    }


async def test_variants_come_with_their_stock_at_each_location() -> None:
    """All levels arrive, those of variants beyond the first page of a product too, and only where it is stocked."""
    settings = SandboxSettings(products=60, customers=5, big_product_variants=300, limits=False, unstocked_share=0.3)
    async with opened(settings) as shop:
        shop.sandbox.shopify.inventory_items[next(iter(shop.stock()))].tracked = False
        pages = await pages_of(shop.client.products(None, after=None, meter=CallMeter()))
        assert levels_of(pages) == shop.stock()
        ids = [row.value.id for page in pages for row in page.rows]
        assert levels_of([await shop.client.products_by_ids(ids, meter=CallMeter())]) == shop.stock()
        assert len({len(stock.levels) for stock in shop.stock().values()}) > 1


async def test_stock_levels_are_no_part_of_a_document() -> None:
    """Levels are no part of a variant's document; the rest of its inventory item is."""
    async with opened() as shop:
        (page,) = await pages_of(shop.client.products(None, after=None, meter=CallMeter()))
        item = orjson.loads(page.rows[0].value.variants[0].document)["inventoryItem"]
        assert "inventoryLevels" not in item
        assert {"id", "tracked", "measurement"} <= item.keys()


@pytest.mark.parametrize("locations", [8, 40, 260])
async def test_shops_with_many_locations_are_asked_for_more_levels(locations: int) -> None:
    """The client learns how many levels there are, and from then on needs no call for a single item."""
    async with opened(SandboxSettings(products=12, customers=5, limits=False)) as shop:
        shop.open_locations(locations)
        for _ in range(2):
            before = shop.calls("MoreLevels")
            pages = await pages_of(shop.client.products(None, after=None, meter=CallMeter()))
            assert levels_of(pages) == shop.stock()
        expected = len(shop.stock()) if locations > 250 else 0
        assert shop.calls("MoreLevels") - before == expected
        before = shop.calls("MoreLevels")
        assert await shop.client.stock_levels(list(shop.stock()), meter=CallMeter()) == Reading(shop.stock())
        assert shop.calls("MoreLevels") - before == expected


async def test_one_item_with_more_levels_costs_one_call() -> None:
    """The pages stay as they are for the sake of a single item, whose other levels are read by themselves."""
    async with opened(SandboxSettings(products=12, customers=5, limits=False)) as shop:
        shop.open_locations(30)
        for variant in list(shop.sandbox.shopify.variants.values())[1:]:
            variant.levels = variant.levels[:2]
        pages = await pages_of(shop.client.products(None, after=None, meter=CallMeter()))
        assert levels_of(pages) == shop.stock()
        assert (shop.calls("Products"), shop.calls("MoreLevels")) == (1, 1)


LAST = {"pageInfo": {"hasNextPage": False}}
ACTIVE = {"isActive": True, "location": {"id": "gid://shopify/Location/1"}}


def of(available: Any, on_hand: Any = 9) -> list[dict[str, Any]]:
    """The quantities of a level as they come."""
    return [{"name": "available", "quantity": available}, {"name": "on_hand", "quantity": on_hand}]


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        (None, "inventoryItem.inventoryLevels is missing"),
        (
            LAST | {"nodes": [ACTIVE | {"location": None, "quantities": of(1)}]},
            "does not name its location",
        ),
        (LAST | {"nodes": [ACTIVE | {"quantities": []}]}, "lacks what is available"),
        (LAST | {"nodes": [ACTIVE | {"quantities": of(1)[:1]}]}, "lacks what is available or on hand"),
        (LAST | {"nodes": [{"location": ACTIVE["location"], "quantities": []}]}, "whether it is active"),
        (
            LAST | {"nodes": [ACTIVE | {"quantities": of(6, "7")}]},
            "on_hand of a stock level is not a whole number: '7'",
        ),
        ({"nodes": [ACTIVE | {"quantities": of(7)}]}, "not say whether there is more"),
        ({"nodes": [], "pageInfo": {"hasNextPage": True}}, "levels are incomplete"),
    ],
)
async def test_a_product_with_an_unreadable_level_is_a_dead_letter(levels: Any, says: str) -> None:
    """A level that is lost would look like an item that is not stocked."""
    item = {"id": "gid://shopify/InventoryItem/3", "tracked": True, "inventoryLevels": levels}
    variant = {"id": "gid://shopify/ProductVariant/2", "price": "1", "inventoryItem": item}
    product = {"id": "gid://shopify/Product/1", "variants": {"nodes": [variant], "pageInfo": {"hasNextPage": False}}}
    answer = {"data": {"products": {"nodes": [product], "pageInfo": {"hasNextPage": False}}, "nodes": [item]}}
    async with answering(lambda _: answer) as client:
        (page,) = await pages_of(client.products(None, after=None, meter=CallMeter()))
        assert page.rows == []
        assert [bad.source_id for bad in page.bad] == ["1"]
        assert page.bad[0].reason.startswith("Variant 2: ")
        assert says in page.bad[0].reason
        reading = await client.stock_levels([3], meter=CallMeter())
        assert (reading.found, list(reading.unread)) == ({}, [3])
        assert says in reading.unread[3]


async def test_missing_pages_of_variants_are_noticed() -> None:
    """A product that says that it has more variants, but not where, is a dead letter and not a smaller product."""
    product = {"id": "gid://shopify/Product/1", "variants": {"nodes": [], "pageInfo": {"hasNextPage": True}}}
    answer = {"data": {"products": {"nodes": [product], "pageInfo": {"hasNextPage": False}}}}
    async with answering(lambda _: answer) as client:
        (page,) = await pages_of(client.products(None, after=None, meter=CallMeter()))
        assert "variants are incomplete" in page.bad[0].reason


async def test_present_stock_and_prices_of_many() -> None:
    """Any number of ids, in whatever portions Shopify allows; what is gone is absent."""
    async with opened(SandboxSettings(products=200, customers=5, limits=False, unstocked_share=0.2)) as shop:
        items, variants = shop.stock(), shop.sandbox.shopify.variants
        assert len(items) > 250
        shop.sandbox.shopify.change_stock(next(iter(variants)), -3)
        assert await shop.client.stock_levels([*items, 1, *items], meter=CallMeter()) == Reading(shop.stock())
        assert await shop.client.present_prices([*variants, 1, *variants], meter=CallMeter()) == Reading(
            {variant.id: (variant.price, variant.compare_at_price) for variant in variants.values()}
        )
        assert await shop.client.stock_levels([], meter=CallMeter()) == Reading()
        assert await shop.client.present_prices([], meter=CallMeter()) == Reading()
        products = shop.sandbox.shopify.products
        assert await shop.client.product_versions([*products, 1], meter=CallMeter()) == Reading(
            {product.id: product.updated_at.replace(microsecond=0) for product in products.values()}
        )
        assert all(
            (request.requested_cost or 0) <= 1000
            for request in shop.sandbox.shopify.requests.last
            if request.actual_cost
        )


@pytest.mark.parametrize("price", [None, "x", "-1", "NaN", True, []])
async def test_an_unreadable_price_is_none(price: Any) -> None:
    """What is compared with a price must be one; without one the variant is named, and not taken for gone."""
    variant = {"id": "gid://shopify/ProductVariant/2", "price": price, "compareAtPrice": None}
    async with answering(lambda _: {"data": {"nodes": [variant]}}) as client:
        reading = await client.present_prices([2], meter=CallMeter())
    assert (reading.found, list(reading.unread)) == ({}, [2])


@pytest.mark.parametrize("moment", [None, "x", "2024-01-01", 5, True, []])
async def test_an_unreadable_version_is_none(moment: Any) -> None:
    """Whether a product has changed must not be guessed."""
    product = {"id": "gid://shopify/Product/2", "updatedAt": moment}
    async with answering(lambda _: {"data": {"nodes": [product]}}) as client:
        reading = await client.product_versions([2], meter=CallMeter())
    assert (reading.found, list(reading.unread)) == ({}, [2])


async def test_rows_that_can_not_be_had_keep_no_others_back() -> None:
    """Whether one has an error of its own or fails every answer that it is in: it is named, and the others are read."""
    async with opened() as shop:
        shopify, stock = shop.sandbox.shopify, shop.stock()
        broken, poisonous, *_ = shopify.variants.values()
        shopify.troubles.broken[gid("ProductVariant", broken.id)] = "price"
        shopify.troubles.poisonous |= {
            gid("ProductVariant", poisonous.id),
            gid("InventoryItem", poisonous.inventory_item_id),
            gid("Product", poisonous.product_id),
        }
        shopify.troubles.broken[gid("InventoryItem", broken.inventory_item_id)] = "inventoryLevels"
        levels = await shop.client.stock_levels(list(stock), meter=CallMeter())
        prices = await shop.client.present_prices(list(shopify.variants), meter=CallMeter())
        versions = await shop.client.product_versions(list(shopify.products), meter=CallMeter())
    assert levels.unread.keys() == {broken.inventory_item_id, poisonous.inventory_item_id}
    assert levels.found == {number: item for number, item in stock.items() if number not in levels.unread}
    assert prices.unread.keys() == {broken.id, poisonous.id}
    assert len(prices.found) == len(shopify.variants) - 2
    assert versions.unread.keys() == {poisonous.product_id}
    assert all("Shopify could not give the row" in reason for reason in prices.unread.values())


async def test_where_most_can_not_be_had_the_answer_is_no_good() -> None:
    """Then it is Shopify that is in trouble, and not a row."""
    variants = [{"id": f"gid://shopify/ProductVariant/{number}", "price": None} for number in range(1, 11)]
    async with answering(lambda _: {"data": {"nodes": variants}}) as client:
        with pytest.raises(SourceUnavailable, match="could not answer PresentPrices for 10 of 10"):
            await client.present_prices(list(range(1, 11)), meter=CallMeter())


async def test_the_price_of_reading_prices() -> None:
    """A point for each variant, and as many at once as Shopify takes."""
    async with opened(SandboxSettings(products=200, customers=5, limits=False)) as shop:
        ids = list(shop.sandbox.shopify.variants)[:300]
        await shop.client.present_prices(ids, meter=CallMeter())
        costs = [request.actual_cost for request in shop.sandbox.shopify.requests.last]
    assert costs == [250, 50]


async def test_prices_keep_every_digit() -> None:
    """Amounts are decimal numbers, as they are written."""
    variant = {"id": "gid://shopify/ProductVariant/2", "price": "0.10", "compareAtPrice": "1234567890.01"}
    async with answering(lambda _: {"data": {"nodes": [variant, None]}}) as client:
        present = await client.present_prices([2], meter=CallMeter())
    assert present.found == {2: (Decimal("0.10"), Decimal("1234567890.01"))}


async def test_locations_include_the_deactivated_ones() -> None:
    """All locations, over all pages."""
    async with opened() as shop:
        shop.open_locations(260)
        places = shop.sandbox.shopify.locations
        next(iter(places.values())).is_active = False
        found = await shop.client.locations()
        assert found == [
            Location(id=place.id, name=place.name, is_active=place.is_active)
            for place in sorted(places.values(), key=lambda place: place.id)
        ]
        assert not all(location.is_active for location in found)


async def test_customers_come_with_their_metafields() -> None:
    """Both metafields by their configured names, None where they are not set, and neither in the document."""
    async with opened() as shop:
        first, second, *_ = shop.sandbox.shopify.customers
        shop.sandbox.shopify.change_metafield(first, "custom", "total_spent", "1250000", "number_integer")
        shop.sandbox.shopify.change_metafield(first, "loyalty", "tier", "SILVER", "single_line_text_field")
        set_ones = shop.sandbox.shopify.customers[first].metafields
        pages = await pages_of(shop.client.customers(None, after=None, meter=CallMeter()))
        pages.append(await shop.client.customers_by_ids([first, second], meter=CallMeter()))
        for page in pages:
            rows = {row.value.id: row for row in page.rows}
            assert rows[first].value.metafields == {
                "custom.total_spent": Metafield(
                    value="1250000",
                    digest=set_ones["custom", "total_spent"].compare_digest,
                    type="number_integer",
                ),
                "loyalty.tier": Metafield(
                    value="SILVER",
                    digest=set_ones["loyalty", "tier"].compare_digest,
                    type="single_line_text_field",
                ),
            }
            assert rows[second].value.metafields == {"custom.total_spent": None, "loyalty.tier": None}
            assert b"etafield" not in rows[first].document


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "The metafield custom.total_spent is missing."),
        (
            {"totalSpentMetafield": None, "tierMetafield": {"value": 7, "type": "x"}},
            "Metafield loyalty.tier: The field",
        ),
        (
            {"totalSpentMetafield": {"value": "\0", "type": "x", "compareDigest": "d"}, "tierMetafield": None},
            "Metafield custom.total_spent: The row contains a NUL",
        ),
    ],
)
async def test_a_customer_with_an_unreadable_metafield_is_a_dead_letter(fields: dict[str, Any], says: str) -> None:
    """A metafield that is lost would look like one that is not set."""
    connection = {"nodes": [{"id": "gid://shopify/Customer/1"} | fields], "pageInfo": {"hasNextPage": False}}
    async with answering(lambda _: {"data": {"customers": connection}}) as client:
        (page,) = await pages_of(client.customers(None, after=None, meter=CallMeter()))
        assert page.bad[0].source_id == "1"
        assert page.bad[0].reason.startswith(says)


@pytest.mark.parametrize("name", ["tier", "custom.", ".tier", "custom.loyal.tier", "$app:x.tier", "custom.tier "])
async def test_a_metafield_without_a_namespace_is_refused_at_once(name: str) -> None:
    """A name that Shopify would not take is an error before anything is sent."""
    async with open_session() as session:
        with pytest.raises(ValueError, match=r"namespace\.key"):
            ShopifyClient(
                session,
                shop="x",
                credential=PermanentToken("t"),
                customer_metafields=CustomerMetafields(tier=name),
                limits=LimiterRegistry(),
            )


async def test_reading_the_present_state_survives_faults() -> None:
    """Trouble that passes costs retries."""
    async with opened() as shop:
        meter = CallMeter()
        for fault in (Fault.ERROR_500, Fault.TRUNCATED, Fault.RESET):
            shop.sandbox.faults.next(fault, path="graphql.json")
            assert await shop.client.stock_levels(list(shop.stock()), meter=meter) == Reading(shop.stock())
        assert meter.retries == 3
