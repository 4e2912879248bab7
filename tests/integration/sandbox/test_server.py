"""Both sandbox servers together: one shop behind two addresses."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import aiohttp
import pytest

from daemon.errors import ListenError
from daemon.sandbox.faults import Faults
from daemon.sandbox.nhanh.limits import REQUESTS as RATE_LIMIT
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox, serve
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.nhanh.lists import CUSTOMERS

SMALL = {"products": 12, "customers": 30}
TIMEOUT = aiohttp.ClientTimeout(total=10)


async def nhanh_products(sandbox: Sandbox) -> list[str]:
    """The codes on the first page of product/list."""
    nhanh = sandbox.nhanh
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.post(
            f"{sandbox.nhanh_url}/v3.0/product/list",
            params={"appId": nhanh.app_id, "businessId": nhanh.business_id},
            headers={"Authorization": nhanh.token},
            json={"filters": {"status": [1, 2, 3, 4]}, "paginator": {"size": 100, "sort": {"id": "asc"}}},
        ) as response,
    ):
        return [row["code"] for row in (await response.json())["data"]]


async def shopify_skus(sandbox: Sandbox) -> list[str]:
    """The SKUs on the first page of Shopify's variants."""
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.post(
            f"{sandbox.shopify_url}/admin/api/2026-10/graphql.json",
            headers={"X-Shopify-Access-Token": sandbox.shopify.token},
            json={"query": "{ products(first: 20) { nodes { variants(first: 10) { nodes { sku } } } } }"},
        ) as response,
    ):
        products = (await response.json())["data"]["products"]["nodes"]
        return [variant["sku"] for product in products for variant in product["variants"]["nodes"]]


async def test_both_servers_sell_the_same_goods() -> None:
    """The SKUs of Nhanh, its parents aside, are those of Shopify up to case and blanks."""
    async with running_sandbox(SandboxSettings(**SMALL, quirks=False)) as sandbox:
        codes = {code.replace(" ", "").strip().upper() for code in await nhanh_products(sandbox)}
        skus = {sku.strip().upper() for sku in await shopify_skus(sandbox)}
    assert skus
    assert codes - skus == {code for code in codes if code.startswith("SP0000")}
    assert skus <= codes


async def test_same_settings_same_shop() -> None:
    """Two sandboxes of one seed answer alike."""
    async with running_sandbox(SandboxSettings(**SMALL)) as first, running_sandbox(SandboxSettings(**SMALL)) as second:
        assert first.nhanh_url != second.nhanh_url
        assert await nhanh_products(first) == await nhanh_products(second)


async def test_a_shop_from_shopify_exports(tmp_path: Path) -> None:
    """With product exports, Nhanh sells what they list."""
    export = tmp_path / "products.csv"
    lines = [
        "Handle,Title,Vendor,Type,Tags,Published,Option1 Name,Option1 Value,"
        "Variant SKU,Variant Inventory Qty,Variant Price",
        "ao,Áo,May Việt,Áo,nam,true,Size,S,AO-S,3,99000",
        "ao,,,,,,,M,AO-M,4,109000",
        "mu,Mũ,May Việt,Mũ,,true,Title,Default Title,MU,1,59000",
    ]
    export.write_text("\n".join(lines) + "\n", encoding="utf-8")
    async with running_sandbox(SandboxSettings(customers=3, quirks=False, shopify_csv=(export,))) as sandbox:
        codes = await nhanh_products(sandbox)
        assert len(sandbox.nhanh.customers) == 3
    assert {code.strip().upper() for code in codes} == {"AO-S", "AO-M", "MU", "SP000001"}


async def test_churn_runs_as_long_as_the_sandbox() -> None:
    """With churn both shops change by themselves, and the tasks end with the sandbox."""
    changed, changed_too = asyncio.Event(), asyncio.Event()
    settings = SandboxSettings(**SMALL, churn_per_second=500, shopify_churn_per_second=500)
    async with running_sandbox(settings) as sandbox:
        sandbox.nhanh.listeners.append(lambda _: changed.set())
        sandbox.shopify.observers.append(lambda _: changed_too.set())
        assert len(churning_tasks()) == 2
        await asyncio.wait_for(asyncio.gather(changed.wait(), changed_too.wait()), 10)
        assert sandbox.shopify.writes == []
    assert not churning_tasks()


def churning_tasks() -> list[str]:
    """The names of the running tasks that change a shop."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("sandbox-churn")]


async def test_one_set_of_faults_strikes_both_servers() -> None:
    """A scripted fault hits the server whose path it names."""
    faults = Faults()
    async with running_sandbox(SandboxSettings(**SMALL, faults=faults)) as sandbox:
        faults.next("error_500", path="graphql.json")
        assert await nhanh_products(sandbox)
        with pytest.raises(aiohttp.ContentTypeError):
            await shopify_skus(sandbox)
        assert await shopify_skus(sandbox)


async def test_a_taken_port_is_one_clear_line() -> None:
    """A port that is in use is a ListenError that names it and says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}.*another port"):
            async with running_sandbox(SandboxSettings(**SMALL, nhanh_port=port)):
                pass


async def test_sockets_that_are_handed_over() -> None:
    """Both servers listen on the sockets that they are given, and close them."""
    with socket.socket() as at_nhanh, socket.socket() as at_shopify:
        ports = []
        for each in (at_nhanh, at_shopify):
            each.bind(("127.0.0.1", 0))
            ports.append(each.getsockname()[1])
        async with running_sandbox(SandboxSettings(**SMALL), (at_nhanh, at_shopify)) as sandbox:
            assert [sandbox.nhanh_url, sandbox.shopify_url] == [f"http://127.0.0.1:{port}" for port in ports]
            assert await nhanh_products(sandbox)
            assert await shopify_skus(sandbox)
        assert at_nhanh.fileno() == at_shopify.fileno() == -1


async def test_serve_tells_its_addresses_and_ends_when_cancelled() -> None:
    """`serve` calls back once both servers answer, and runs until it is cancelled."""
    ready: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(SandboxSettings(**SMALL), ready.set_result))
    sandbox = await asyncio.wait_for(ready, 10)
    assert await nhanh_products(sandbox)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with pytest.raises(aiohttp.ClientConnectionError):
        await nhanh_products(sandbox)


async def test_an_error_in_the_body_comes_out_as_it_is() -> None:
    """What is raised while the sandbox runs is not wrapped, even while the shop churns."""
    with pytest.raises(LookupError, match="mine"):
        async with running_sandbox(SandboxSettings(**SMALL, churn_per_second=1)):
            raise LookupError("mine")


async def test_a_locked_client_is_let_in_at_its_first_retry() -> None:
    """One ERR_429 costs one wait: the client does not knock before the lock has ended, which would make it longer."""
    async with running_sandbox(SandboxSettings(products=1, customers=5)) as sandbox, open_session() as session:
        nhanh = sandbox.nhanh
        for _ in range(RATE_LIMIT):
            nhanh.rate_limit.admit((nhanh.app_id, nhanh.business_id, "customer/list"), time.time())
        client = NhanhClient(
            session,
            app_id=nhanh.app_id,
            business_id=nhanh.business_id,
            credential=NhanhCredential(nhanh.token),
            base_url=sandbox.nhanh_url,
            limits=LimiterRegistry(),
        )
        meter = CallMeter()
        pages = [page async for page in client.rows(CUSTOMERS, {}, after=None, meter=meter)]
        assert sum(len(page.rows) for page in pages) == 5
        assert meter.rate_limited == 1
