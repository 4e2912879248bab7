"""The Shopify client against the sandbox, and against servers that misbehave in ways of their own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from daemon.errors import InvalidFilter, RateLimited, SourceRefused, SourceUnavailable
from daemon.sandbox.faults import Fault, Faults
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter, Rank
from daemon.sources.page import Page
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.filters import search_query
from daemon.sources.shopify.models import Count
from daemon.sources.shopify.shape import PageShape

# Restored at once: what an answer says of the bucket.
EMPTIED = {
    "extensions": {
        "cost": {
            "requestedQueryCost": 10,
            "throttleStatus": {"maximumAvailable": 2000, "currentlyAvailable": 0, "restoreRate": 100_000},
        }
    }
}
QUICK = Backoff(attempts=4, initial=0.01, maximum=0.02)
TOKEN = "shpat_nobody_may_see_this"
PATH = "graphql.json"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


def of_sandbox(session: aiohttp.ClientSession, sandbox: Sandbox, token: str | None = None) -> ShopifyClient:
    return ShopifyClient(
        session,
        shop=sandbox.shopify.shop,
        credential=PermanentToken(token or sandbox.shopify.token),
        base_url=sandbox.shopify_url,
        limits=LimiterRegistry(),
        backoff=QUICK,
    )


async def collect(pages: AsyncIterator[Page[Any]]) -> list[Page[Any]]:
    return [page async for page in pages]


def ids(pages: list[Page[Any]]) -> list[int]:
    return [row.value.id for page in pages for row in page.rows]


async def test_all_products_arrive_with_all_their_variants(session: aiohttp.ClientSession) -> None:
    """Every product once, by id, with each of its variants in order, also where there are hundreds."""
    settings = SandboxSettings(products=260, customers=10, big_product_variants=700, limits=False)
    async with running_sandbox(settings) as sandbox:
        shopify = of_sandbox(session, sandbox)
        meter = CallMeter()
        pages = await collect(shopify.products(None, after=None, meter=meter))
        assert ids(pages) == sorted(ids(pages))
        assert not [bad for page in pages for bad in page.bad]
        assert await shopify.products_count(None, meter=meter) == Count(len(ids(pages)), exact=True)
        products = [row.value for page in pages for row in page.rows]
        big = max(products, key=lambda product: len(product.variants))
        assert [variant.position for variant in big.variants] == list(range(1, 701))
        assert len({variant.id for product in products for variant in product.variants}) == sum(
            len(product.variants) for product in products
        )
        assert all(variant.inventory_item_id for product in products for variant in product.variants)
        document = orjson.loads(pages[0].rows[0].document)
        assert document["descriptionHtml"] is not None
        assert "variants" not in document
        assert orjson.loads(products[0].variants[0].document)["inventoryItem"]["id"]


async def test_all_customers_arrive_and_a_pull_goes_on(session: aiohttp.ClientSession) -> None:
    """Every customer once, by id; `next` of a page continues the list exactly there."""
    async with running_sandbox(SandboxSettings(products=10, customers=1200, limits=False)) as sandbox:
        shopify = of_sandbox(session, sandbox)
        pages = await collect(shopify.customers(None, after=None, meter=CallMeter()))
        assert len(pages) > 1
        assert ids(pages) == sorted(ids(pages))
        count = await shopify.customers_count(None, meter=CallMeter())
        assert (count.count, count.exact) == (len(ids(pages)), True)
        rest = await collect(shopify.customers(None, after=pages[0].next, meter=CallMeter()))
        assert ids(rest) == ids(pages[1:])


async def test_filters_by_status_and_time(session: aiohttp.ClientSession) -> None:
    """A combined search finds exactly what it says."""
    async with running_sandbox(SandboxSettings(products=200, customers=10, limits=False)) as sandbox:
        shopify = of_sandbox(session, sandbox)
        everything = [
            row.value
            for page in await collect(shopify.products(None, after=None, meter=CallMeter()))
            for row in page.rows
        ]
        since = sorted(product.updated_at for product in everything)[100]
        query = search_query(None, filters={"status": "active"}, updated_from=since)
        found = await collect(shopify.products(query, after=None, meter=CallMeter(), sort="UPDATED_AT"))
        expected = {p.id for p in everything if p.status == "ACTIVE" and p.updated_at >= since}
        assert set(ids(found)) == expected
        times = [row.value.updated_at for page in found for row in page.rows]
        assert times == sorted(times)
        assert since > datetime(2000, 1, 1, tzinfo=UTC)


async def test_rows_by_id(session: aiohttp.ClientSession) -> None:
    """Any number of ids may be asked for, in whatever portions Shopify allows; missing ones are missing."""
    settings = SandboxSettings(products=90, customers=300, big_product_variants=300, limits=False)
    async with running_sandbox(settings) as sandbox:
        shopify = of_sandbox(session, sandbox)
        products = {
            row.value.id: row
            for page in await collect(shopify.products(None, after=None, meter=CallMeter()))
            for row in page.rows
        }
        page = await shopify.products_by_ids([*products, 1], meter=CallMeter())
        assert {row.value.id: len(row.value.variants) for row in page.rows} == {
            number: len(row.value.variants) for number, row in products.items()
        }
        customers = ids(await collect(shopify.customers(None, after=None, meter=CallMeter())))
        found = await shopify.customers_by_ids([*customers, 1], meter=CallMeter())
        assert [row.value.id for row in found.rows] == customers
        assert page.bad == found.bad == []


async def test_scopes_and_shop(session: aiohttp.ClientSession) -> None:
    """What the app was granted and what the shop says of itself."""
    async with running_sandbox(SandboxSettings(products=5, customers=5)) as sandbox:
        shopify = of_sandbox(session, sandbox)
        assert await shopify.granted_scopes() == sandbox.shopify.scopes
        shop = await shopify.shop()
        assert (shop.currency, shop.timezone) == ("VND", "Asia/Ho_Chi_Minh")


async def test_points_are_used_and_nothing_is_throttled(session: aiohttp.ClientSession) -> None:
    """Two jobs of one shop use nearly all points that are restored, and none is THROTTLED."""
    settings = SandboxSettings(products=300, customers=2000, shopify_restore_rate=200, quirks=False)
    async with running_sandbox(settings) as sandbox:
        shopify, meters = of_sandbox(session, sandbox), [CallMeter(), CallMeter()]
        bucket = sandbox.shopify.bucket

        async def pull(meter: CallMeter, what: Callable[..., AsyncIterator[Page[Any]]]) -> None:
            while True:
                async for _ in what(None, after=None, meter=meter):
                    pass

        tasks = [
            asyncio.create_task(pull(meter, what), name="pull")
            for meter, what in zip(meters, (shopify.products, shopify.customers), strict=True)
        ]
        async with asyncio.timeout(30):
            while bucket.available > 1000:  # first the stock of points is used up
                await asyncio.sleep(0.05)
        start, in_stock, used = time.monotonic(), bucket.available, sandbox.shopify.requests.points
        await asyncio.sleep(4)
        restored = (time.monotonic() - start) * bucket.restore_rate
        used = sandbox.shopify.requests.points - used
        saved = bucket.available - in_stock
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert sandbox.shopify.requests.throttled == 0
        assert bucket.available < bucket.capacity
        assert used + saved >= 0.95 * restored
        assert sum(meter.rate_limit_wait_seconds for meter in meters) > 1


async def test_urgent_calls_go_before_those_that_wait_already(session: aiohttp.ClientSession) -> None:
    """A meter that is urgent takes its calls past pulls that wait for the points of their next pages."""
    async with running_sandbox(SandboxSettings(products=300, customers=5, shopify_restore_rate=1000)) as sandbox:
        shopify, pulling, urgent = of_sandbox(session, sandbox), CallMeter(), CallMeter(rank=Rank.SALE)
        assert sandbox.shopify.bucket.spend(int(sandbox.shopify.bucket.available))
        await shopify.shop(meter=CallMeter())  # from this answer on the client knows that nothing is left
        pulls = [asyncio.create_task(collect(shopify.products(None, after=None, meter=pulling))) for _ in range(2)]
        async with asyncio.timeout(10):
            while pulling.waits_for != "the rate limit":
                await asyncio.sleep(0)
            found = await shopify.present_prices(list(sandbox.shopify.variants)[:10], meter=urgent)
        assert len(found.found) == 10
        operations = [request.operation for request in sandbox.shopify.requests.last if request.actual_cost]
        assert operations == ["Shop", "PresentPrices"]
        assert urgent.rate_limit_wait_seconds < 0.3
        for pull in pulls:
            pull.cancel()
        await asyncio.wait(pulls)


async def test_a_drained_bucket_is_waited_for(session: aiohttp.ClientSession) -> None:
    """If others of the same app have used up the points, THROTTLED costs one retry, and the wait is counted."""
    async with running_sandbox(SandboxSettings(products=50, customers=5, shopify_restore_rate=400)) as sandbox:
        sandbox.shopify.bucket.spend(sandbox.shopify.bucket.available)
        meter = CallMeter()
        pages = await collect(of_sandbox(session, sandbox).products(None, after=None, meter=meter))
        assert len(ids(pages)) == 50
        assert meter.rate_limited == meter.retries == 1
        assert meter.rate_limit_wait_seconds > 0.2
        assert meter.retry_budget == 100


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.RATE_LIMITED, Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF])
async def test_passing_faults_are_retried(session: aiohttp.ClientSession, fault: Fault) -> None:
    """Trouble that passes costs retries, and no row."""
    async with running_sandbox(SandboxSettings(products=30, customers=5, limits=False)) as sandbox:
        sandbox.faults.next(fault, path=PATH)
        meter = CallMeter()
        pages = await collect(of_sandbox(session, sandbox).products(None, after=None, meter=meter))
        assert len(ids(pages)) == 30
        assert meter.retries == 1
        assert meter.rate_limited == (1 if fault is Fault.RATE_LIMITED else 0)


async def test_bad_rows_do_not_harm_the_others(session: aiohttp.ClientSession) -> None:
    """Every row is either delivered or a dead letter with a reason."""
    settings = SandboxSettings(products=200, customers=300, limits=False, faults=Faults(bad_rows=0.1, seed=5))
    async with running_sandbox(settings) as sandbox:
        shopify = of_sandbox(session, sandbox)
        for pull, count in (
            (shopify.products, shopify.products_count),
            (shopify.customers, shopify.customers_count),
        ):
            pages = await collect(pull(None, after=None, meter=CallMeter()))
            bad = [row for page in pages for row in page.bad]
            assert len(ids(pages)) + len(bad) == (await count(None, meter=CallMeter())).count
            assert len(bad) > 5
            assert all(row.reason.endswith(".") for row in bad)


async def test_a_wrong_token_is_refused(session: aiohttp.ClientSession) -> None:
    """A refusal is not retried, says what to do, and shows no secret."""
    async with running_sandbox(SandboxSettings(products=5, customers=5)) as sandbox:
        shopify = of_sandbox(session, sandbox, token=TOKEN)
        meter = CallMeter()
        with (
            capture_logs() as logs,
            pytest.raises(SourceRefused, match=r"refused the access token.*HTTP 401") as caught,
        ):
            await collect(shopify.products(None, after=None, meter=meter))
        assert meter.api_calls == 1
        assert TOKEN not in f"{shopify!r} {caught.value!r} {logs}"


async def test_an_ignored_search_filter_is_logged_once(session: aiohttp.ClientSession) -> None:
    """Shopify ignores filters that it does not know: somebody must be told."""
    async with running_sandbox(SandboxSettings(products=5, customers=5)) as sandbox:
        shopify = of_sandbox(session, sandbox)
        with capture_logs() as logs:
            for _ in range(2):
                await collect(shopify.products("colour:red", after=None, meter=CallMeter()))
        assert len([entry for entry in logs if entry["event"] == "search_filter_ignored"]) == 1


async def test_a_broken_query_is_refused_at_once(session: aiohttp.ClientSession) -> None:
    """A query whose quotes don't match is an error before anything is sent."""
    shopify = ShopifyClient(session, shop="x", credential=PermanentToken(TOKEN), limits=LimiterRegistry())
    assert shopify.account == "shopify:x"
    with pytest.raises(InvalidFilter):
        shopify.products('title:"x', after=None, meter=CallMeter())


@asynccontextmanager
async def answering(answer: Callable[[dict[str, Any]], Any]) -> AsyncIterator[str]:
    """A server that answers each request's body with JSON, or with the bytes given."""

    async def handle(request: web.Request) -> web.Response:
        found = answer(orjson.loads(await request.read()))
        return web.Response(body=found if isinstance(found, bytes) else orjson.dumps(found))

    application = web.Application()
    application.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def call(
    session: aiohttp.ClientSession,
    answer: Callable[[dict[str, Any]], Any],
    what: Callable[[ShopifyClient], Awaitable[Any]],
) -> Any:
    async with answering(answer) as url:
        return await what(
            ShopifyClient(
                session,
                shop="x",
                credential=PermanentToken(TOKEN),
                base_url=url,
                limits=LimiterRegistry(),
                backoff=QUICK,
            )
        )


async def pull_products(shopify: ShopifyClient) -> list[Page[Any]]:
    return await collect(shopify.products(None, after=None, meter=CallMeter()))


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ({"errors": "Unavailable Shop"}, SourceUnavailable, "Unavailable Shop"),
        (
            {"errors": [{"message": "No", "extensions": {"code": "ACCESS_DENIED"}}]},
            SourceRefused,
            "lacks an access scope",
        ),
        ({"errors": [{"message": f"No {TOKEN}"}], "data": None}, SourceUnavailable, r"No \*\*\*"),
        ({"errors": [{"message": "syntax", "locations": []}]}, SourceRefused, "syntax"),
        ({"errors": [{"message": "$x", "extensions": {"value": 1, "problems": []}}]}, SourceRefused, "x"),
        ({"errors": [{"message": "Oops", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}, SourceUnavailable, "Oops"),
        ({"errors": [{"message": "Oops", "extensions": {"code": "internal_server_error"}}]}, SourceUnavailable, "Oops"),
        *(
            ({"errors": [{"message": "Later", "extensions": {"code": code}}]}, SourceUnavailable, "Later")
            for code in ("TOO_MANY_REQUESTS", "maintenance", "Service_Unavailable", "timeout", "RATE_LIMITED")
        ),
        *(
            ({"errors": [{"message": "No", "extensions": {"code": code}}]} | EMPTIED, RateLimited, "no points")
            for code in ("THROTTLED", "throttled", " Throttled")
        ),
        ({"errors": [{"message": "No", "extensions": {"code": "access_denied"}}]}, SourceRefused, "an access scope"),
        ({"errors": [{"message": "No", "extensions": {"code": "shop_inactive"}}]}, SourceRefused, "choose a plan"),
        ({"errors": [{"message": "No", "extensions": {"code": "NOT_KNOWN"}}]}, SourceRefused, "refused the request"),
        ({"data": None}, SourceUnavailable, "without data"),
        ({"data": {"products": None}}, SourceUnavailable, "can't be read"),
        ([], SourceUnavailable, "something other than data"),
        (b'{"data":{"prod', SourceUnavailable, "only a part of it"),
    ],
)
async def test_failures_are_told_apart(
    session: aiohttp.ClientSession, answer: Any, error: type[Exception], says: str
) -> None:
    """What may pass is retried and what a person must mend is not, each with a plain sentence."""
    with pytest.raises(error, match=says):
        await call(session, lambda _: answer, pull_products)


async def test_a_query_that_costs_too_much_is_asked_for_less(session: aiohttp.ClientSession) -> None:
    """After MAX_COST_EXCEEDED the page shrinks until it fits, and stays so."""
    sizes: list[tuple[int, int]] = []

    def answer(request: dict[str, Any]) -> Any:
        variables = request["variables"]
        sizes.append((variables["first"], variables["variants"]))
        if variables["first"] * variables["variants"] * 5 > 1000:
            return {"errors": [{"message": "too dear", "extensions": {"code": "MAX_COST_EXCEEDED"}}]}
        return {"data": {"products": {"nodes": [], "pageInfo": {"hasNextPage": False}}}}

    async def twice(shopify: ShopifyClient) -> None:
        await pull_products(shopify)
        await pull_products(shopify)

    await call(session, answer, twice)
    assert sizes[-1] == sizes[-2]
    assert sizes[-1][0] > 1
    assert len(sizes) < 12


def test_a_page_shape_shrinks_to_one_and_no_further() -> None:
    """Shrinking ends: at one row with one variant there is nothing left to halve."""
    shape = PageShape(200, variants=50, levels=4)
    steps = 0
    while shape.shrink():
        steps += 1
    assert (shape.rows, shape.variants, shape.levels) == (1, 1, 4)
    assert steps < 20


async def test_a_product_with_a_bad_variant_is_a_dead_letter(session: aiohttp.ClientSession) -> None:
    """Half a product would look like deleted variants: the whole of it waits for a retry."""
    variant = {"id": "gid://shopify/ProductVariant/7", "price": "-5"}
    connection = {"nodes": [variant], "pageInfo": {"hasNextPage": False}}
    nodes: list[Any] = [
        {"id": "gid://shopify/Product/1", "variants": connection},
        None,
        {"id": "gid://shopify/Product/2"},
    ]
    pages = await call(
        session,
        lambda _: {"data": {"products": {"nodes": nodes, "pageInfo": {"hasNextPage": False}}}},
        pull_products,
    )
    assert [(row.source_id, row.reason) for row in pages[0].bad] == [
        ("1", "Variant 7: The field price is negative: -5."),
        (None, "The row is not an object."),
        ("2", "The field variants is missing."),
    ]


async def test_pages_that_go_round_in_a_circle_are_given_up(session: aiohttp.ClientSession) -> None:
    """The same cursor again is an error and not an endless pull."""
    page = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    with pytest.raises(SourceUnavailable, match="its pages repeat"):
        await call(session, lambda _: {"data": {"products": page}}, pull_products)
