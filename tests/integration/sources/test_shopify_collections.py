"""Collections as the Shopify client reads them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from daemon.errors import SourceRefused, SourceUnavailable
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.collections import CollectionProducts
from daemon.sources.shopify.credential import PermanentToken

SETTINGS = SandboxSettings(products=620, customers=5, variants_per_product=(1, 1), limits=False)
QUICK = Backoff(attempts=2, initial=0.01, maximum=0.02)


def client_at(session: aiohttp.ClientSession, url: str, token: str = "t") -> ShopifyClient:
    """A client of a server."""
    limits = LimiterRegistry()
    return ShopifyClient(
        session, shop="x", credential=PermanentToken(token), base_url=url, limits=limits, backoff=QUICK
    )


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Sandbox, ShopifyClient]]:
    """A shop and a client of it."""
    async with running_sandbox(SETTINGS) as sandbox, open_session() as session:
        yield sandbox, client_at(session, sandbox.shopify_url, sandbox.shopify.token)


@asynccontextmanager
async def answering(answer: Callable[[int], Any]) -> AsyncIterator[ShopifyClient]:
    """A client of a server whose n-th answer has this data, n from 1 on."""
    calls = 0

    async def handle(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.Response(body=orjson.dumps({"data": answer(calls)}))

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


def page(*products: int, after: str | None = None, **fields: Any) -> dict[str, Any]:
    """The data of a page of collection 7."""
    connection = {
        "pageInfo": {"hasNextPage": after is not None, "endCursor": after},
        "nodes": [{"id": f"gid://shopify/Product/{number}"} for number in products],
    }
    collection = {"id": "gid://shopify/Collection/7", "handle": "sale", "title": "Sale", "products": connection}
    return {"collectionByIdentifier": collection | fields}


async def test_all_products_of_a_collection() -> None:
    """All pages, by handle and by id, 14 points and 250 products each; a collection without products is one."""
    async with opened() as (sandbox, client):
        shop = sandbox.shopify
        everything = shop.add_collection("tat-ca", "Tất cả", list(shop.products)[::-1])
        expected = CollectionProducts(everything.id, "tat-ca", "Tất cả", tuple(sorted(shop.products)))
        for reference in ("tat-ca", str(everything.id), f" {everything.id} "):
            meter = CallMeter()
            assert await client.collection_products(reference, meter=meter) == expected
            assert meter.api_calls == 3
        assert {request.requested_cost for request in shop.requests.last} == {14}
        empty = shop.add_collection("trong", "Trống")
        found = await client.collection_products("trong", meter=CallMeter())
        assert found == CollectionProducts(empty.id, "trong", "Trống", ())


async def test_there_is_no_such_collection() -> None:
    """None for a handle or an id that does not exist, and for a collection that is deleted meanwhile."""
    async with opened() as (_, client):
        for reference in ("khong-co", "1", ""):
            assert await client.collection_products(reference, meter=CallMeter()) is None
    async with answering(lambda n: page(1, after="c") if n == 1 else {"collectionByIdentifier": None}) as client:
        assert await client.collection_products("sale", meter=CallMeter()) is None


async def test_without_the_scope() -> None:
    """A token that may not see products is refused: that is not the same as no collection."""
    async with opened() as (sandbox, client):
        sandbox.shopify.scopes = frozenset({"read_customers"})
        with pytest.raises(SourceRefused):
            await client.collection_products("sale", meter=CallMeter())


async def test_a_product_that_moves_between_pages_comes_once() -> None:
    """What two pages list is one product."""
    async with answering(lambda n: page(1, 2, after="c") if n == 1 else page(2, 3)) as client:
        found = await client.collection_products("sale", meter=CallMeter())
    assert found == CollectionProducts(7, "sale", "Sale", (1, 2, 3))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"collectionByIdentifier": []},
        page(products=None),
        page(products={"nodes": None}),
        page(products={"nodes": [None]}),
        page(products={"nodes": [{"id": "gid://shopify/Product/x"}]}),
        page(products={"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}),
        page(id=None),
        {"collectionByIdentifier": {"id": "gid://shopify/Collection/7", "products": {"nodes": []}}},
    ],
)
async def test_an_unreadable_answer_is_an_error(data: dict[str, Any]) -> None:
    """Half a collection is none: what is put on sale is decided by it."""
    async with answering(lambda _: data) as client:
        with pytest.raises(SourceUnavailable, match="can't be read"):
            await client.collection_products("sale", meter=CallMeter())


async def test_pages_without_end_are_an_error() -> None:
    """A cursor that leads back to its own page is noticed."""
    async with answering(lambda _: page(1, after="c")) as client:
        with pytest.raises(SourceUnavailable, match="its pages repeat"):
            await client.collection_products("sale", meter=CallMeter())
