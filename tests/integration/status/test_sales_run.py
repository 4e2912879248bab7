"""The JSON API of sale campaigns, on a real shop: what is asked, what is refused, and what can be downloaded."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp
import jsonschema
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.api.sales import CampaignState
from daemon.checks.credentials import check_all
from daemon.credentials import report
from daemon.database.migrate import program_version
from daemon.jobs.steering import Role
from daemon.jobs.types import JobType
from daemon.status import StatusParts, serving
from daemon.status.access import Access, AccessRules, AccessToken
from daemon.status.parts import MOST_CONNECTIONS
from daemon.status.security import CLIENT_HEADER
from daemon.tasks import params_schemas
from daemon.tasks.item_reader import ItemReader
from tests.support.sale_shop import SaleShop, sandbox_settings, shop, soon
from tests.support.workshop import STORE, in_own_task

__all__ = ["sandbox_settings", "shop"]

TET = {"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}}
JSON = {"Content-Type": "application/json"}


@dataclass
class SalesApi:
    """An open endpoint of a daemon that works on a shop, and a client of it."""

    shop: SaleShop
    client: aiohttp.ClientSession

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON that a request answers."""
        async with self.client.request(method, path, **options) as response:
            assert response.status == status, await response.text()
            is_problem = response.content_type == "application/problem+json"
            assert is_problem is (status >= 400), response.content_type
            return await response.json(content_type=None)

    async def get(self, path: str, status: int = 200) -> Any:
        """The JSON that a GET answers."""
        return await self.call("GET", path, status)

    async def post(self, path: str, status: int, body: Any = None) -> Any:
        """The JSON that a POST answers."""
        return await self.call("POST", path, status, **({} if body is None else {"json": body}))

    async def create(self, status: int = 201, **changes: Any) -> Any:
        """A campaign of 20 % off everything, unless it is said otherwise."""
        return await self.post("/api/sales", status, TET | changes)

    async def file(self, path: str) -> tuple[str, str, bytes]:
        """Type, disposition and content of a download."""
        async with self.client.get(path) as response:
            assert response.status == 200
            headers = response.headers
            return headers["Content-Type"], headers["Content-Disposition"], await response.read()

    async def until(self, sale: Any, *states: CampaignState) -> Any:
        """The campaign as soon as it has reached one of these states."""
        await self.shop.until((await self.shop.sales.find(sale["id"])), *states)
        return await self.get(f"/api/sales/{sale['id']}")


@asynccontextmanager
async def _open(shop: SaleShop, token: str | None = None) -> AsyncIterator[SalesApi]:
    parts = shop.workshop.parts
    status = StatusParts(
        database=parts.database,
        jobs=parts.jobs,
        hub=parts.hub,
        scheduler=parts.scheduler,
        queue=parts.queue,
        sales=parts.sales,
        sale_clock=parts.sale_clock,
        version="9.9.9",
        started_at=datetime.now(UTC),
        stores=lambda: [STORE],
        job_types=params_schemas(),
        stores_for=parts.registry.stores_for,
        product_sync=lambda _store: None,
        credentials=lambda: report(parts.registry.stores, datetime.now(UTC)),
        zone=parts.zone,
        access=Access(AccessRules(tokens=[AccessToken(None, Role.OPERATE, token)] if token else [])),
        allowed_hosts=[],
        obstacle=lambda: None,
        schema_version=program_version(),
        clocks=list,
        most_connections=MOST_CONNECTIONS,
        shop_of=lambda _store: None,
        conditions=parts.conditions,
        alerts=parts.alerts,
        heartbeat=parts.heartbeat,
        check_credentials=lambda: check_all(parts.registry.stores, parts.settings),
        item_reader=ItemReader(parts.database, parts.registry.store),
    )
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        serving(status, "127.0.0.1:0") as url,
        aiohttp.ClientSession(url, timeout=timeout, headers={CLIENT_HEADER: "test"}) as client,
    ):
        yield SalesApi(shop, client)


@pytest.fixture
async def api(shop: SaleShop) -> AsyncIterator[SalesApi]:
    """An endpoint without a token."""
    async with in_own_task(_open(shop)) as opened:
        yield opened


async def _check_schema(api: SalesApi, answers: dict[tuple[str, str, int], Any]) -> None:
    """Each answer is valid against the description of its operation."""
    description = await api.get("/openapi.json")
    for (method, path, status), answer in answers.items():
        content = description["paths"][path][method]["responses"][str(status)]["content"]
        schema = next(iter(content.values()))["schema"] | {"components": description["components"]}
        jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


async def test_a_campaign_from_its_creation_to_its_report(api: SalesApi) -> None:
    """Created as a draft, looked at, started, taken back: every answer says what happened and fits the description."""
    before = api.shop.prices()
    preview = await api.post("/api/sales/preview", 200, TET)
    async with api.client.post("/api/sales", json=TET | {"draft": True, "origin": "cli"}) as response:
        assert response.status == 201
        draft = await response.json()
        assert response.headers["Location"] == f"/api/sales/{draft['id']}"
    assert (draft["state"], draft["origin"], draft["counts"]) == ("DRAFT", "cli", {})
    assert draft["definition"] == TET | {"percent": "20"}
    assert draft["overdue"] == {"start_seconds": 0, "end_seconds": 0}
    assert await api.get("/api/sales/tet") == draft == await api.get(f"/api/sales/{draft['id']}?store=main")
    assert (await api.get("/api/sales/tet/preview"))["items"] == preview["items"]

    applying = await api.post("/api/sales/tet/apply", 202)
    assert applying["state"] == "APPLYING"
    active = await api.until(draft, CampaignState.ACTIVE)
    on_sale = active["counts"]["APPLIED"]
    assert on_sale == preview["totals"]["on_sale"] > 0
    assert 0 <= active["late"]["first_on_sale_seconds"] <= active["late"]["last_on_sale_seconds"] < 60
    assert active["late"]["first_restored_seconds"] is None
    assert [event["state"] for event in active["events"]][-3:] == ["SCHEDULED", "APPLYING", "ACTIVE"]
    # Of one that has begun, the preview is what it was to do: no discount of what is discounted already.
    assert (await api.get("/api/sales/tet/preview"))["totals"] == preview["totals"]

    items = await api.get("/api/sales/tet/items?limit=7")
    seen = list(items["items"])
    while items["next"] is not None:
        items = await api.get(f"/api/sales/tet/items?limit=7&after={items['next']}")
        seen += items["items"]
    assert len(seen) == preview["totals"]["variants"]
    assert [(item["product_id"], item["variant_id"]) for item in seen] == sorted(
        (item["product_id"], item["variant_id"]) for item in preview["items"]
    )
    assert all(
        (Decimal(item["sale_price"]), Decimal(item["before_price"]))
        == (api.shop.prices()[item["variant_id"]].price, before[item["variant_id"]].price)
        for item in seen
        if item["state"] == "APPLIED"
    )
    first = next(item for item in seen if item["state"] == "APPLIED")
    detail = await api.get(f"/api/sales/tet/items/{first['variant_id']}")
    (write,) = detail.pop("writes")
    assert detail == first
    assert (write["action"], write["result"], write["old_price"], write["new_price"]) == (
        "apply",
        "applied",
        first["before_price"],
        first["sale_price"],
    )

    assert (await api.post("/api/sales/tet/revert", 202))["state"] == "REVERTING"
    done = await api.until(draft, CampaignState.COMPLETED)
    assert api.shop.prices() == before
    kind, disposition, content = await api.file("/api/sales/tet/report")
    assert (kind, disposition) == ("application/json", 'attachment; filename="tet-report.json"')
    report = orjson.loads(content)
    counts = report["counts"]
    assert counts["put_on_sale"] == counts["restored"] == counts["verified"] == on_sale
    assert counts["variants"] == len(report["items"]) == len(seen)
    assert report["start"]["planned"] == done["starts_at"]
    assert report["start"]["first"] == done["times"]["first_applied"]
    assert report["end"]["last"] == done["times"]["last_reverted"]
    assert report["end"]["last_late_seconds"] is None  # no end was planned
    await _check_schema(
        api,
        {
            ("post", "/api/sales/preview", 200): preview,
            ("post", "/api/sales", 201): draft,
            ("post", "/api/sales/{ref}/apply", 202): applying,
            ("get", "/api/sales/{ref}", 200): done,
            ("get", "/api/sales", 200): await api.get("/api/sales"),
            ("get", "/api/sales/{ref}/items", 200): items,
            ("get", "/api/sales/{ref}/items/{variant_id}", 200): detail | {"writes": [write]},
            ("get", "/api/sales/{ref}/report", 200): report,
            ("get", "/status", 200): await api.get("/status"),
        },
    )


async def test_files_for_spreadsheets_hold_no_formulas(api: SalesApi) -> None:
    """Preview and report come as CSV, too; a SKU that a spreadsheet would compute is text there."""
    variant = api.shop.variants[0]
    api.shop.shopify.change_sku(variant.id, '=HYPERLINK("http://127.0.0.1","x")')
    await api.shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    preview = await api.post("/api/sales/preview", 200, TET)
    async with api.client.post("/api/sales/preview?format=csv", json=TET) as response:
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"] == 'attachment; filename="tet-preview.csv"'
        content = await response.read()
    assert not content.startswith(b"\xef\xbb\xbf")
    rows = _rows(content)
    assert [row["variant_id"] for row in rows] == [str(item["variant_id"]) for item in preview["items"]]
    assert [row["new_price"] or None for row in rows] == [item["new_price"] for item in preview["items"]]
    (strange,) = (row for row in rows if row["variant_id"] == str(variant.id))
    assert strange["sku"] == '\'=HYPERLINK("http://127.0.0.1","x")'
    sale = await api.create(starts=soon(3600), ends=soon(7200))
    kind, disposition, content = await api.file(f"/api/sales/{sale['id']}/report?format=csv")
    assert (kind, disposition) == ("text/csv; charset=utf-8", 'attachment; filename="tet-report.csv"')
    assert {row["planned_end"] for row in _rows(content)} == {sale["ends_at"]}
    _, disposition, content = await api.file("/api/sales/tet/preview?format=csv")
    assert disposition == 'attachment; filename="tet-preview.csv"'
    assert len(_rows(content)) == len(rows)


async def test_the_totals_of_a_preview_are_those_of_its_items(api: SalesApi) -> None:
    """What is skipped, and why, is counted; the discount is that of the sums."""
    floor = sorted(prices.price for prices in api.shop.prices().values())[len(api.shop.prices()) // 2]
    preview = await api.post("/api/sales/preview", 200, TET | {"floor": str(floor)})
    totals, items = preview["totals"], preview["items"]
    sold = [item for item in items if item["skipped"] is None]
    assert 0 < len(sold) < len(items)
    assert (totals["variants"], totals["on_sale"], totals["skipped"]) == (len(items), len(sold), len(items) - len(sold))
    assert sum(preview["skipped"].values()) == totals["skipped"]
    old, new = (sum(Decimal(item[key]) for item in sold) for key in ("price", "new_price"))
    assert (Decimal(totals["old_total"]), Decimal(totals["new_total"])) == (old, new)
    assert totals["average_discount_percent"] == round(float((old - new) / old * 100), 2)


async def test_what_matches_nothing_is_named(api: SalesApi) -> None:
    """By the preview, and in the history of the campaign that is made nevertheless; a name is compared as a person
    would."""
    variant = next(variant for variant in api.shop.variants if variant.sku)
    product = api.shop.shopify.products[variant.product_id]
    there = {"products": [product.id], "skus": [str(variant.sku).lower()], "vendors": [f" {product.vendor.upper()} "]}
    unknown: dict[str, list[Any]] = {
        "products": [7],
        "skus": ["NO-1", "—"],
        "vendors": ["Nobody"],
        "product_types": ["?"],
    }
    targets = {kind: [*there.get(kind, ()), *names] for kind, names in unknown.items()}
    definition = TET | {"targets": targets, "excludes": {"tags": ["no such tag"]}}
    preview = await api.post("/api/sales/preview", 200, definition)
    assert preview["unmatched"] == {"targets": unknown, "excludes": {"tags": ["no such tag"]}}
    assert preview["totals"]["on_sale"] > 0

    await api.create(**definition, starts=soon(3600), ends=soon(7200))
    details = [event["detail"] or "" for event in (await api.get("/api/sales/tet"))["events"]]
    (planned,) = (detail for detail in details if detail.startswith("planned for"))
    assert "nothing in the shop matches targets products 7;" in planned
    assert "targets skus NO-1, —" in planned
    assert planned.endswith("excludes tags no such tag")


async def test_an_emptied_collection_matches_nothing(api: SalesApi) -> None:
    """One that Shopify has, with none of the shop's products in it."""
    shopify = api.shop.shopify
    full, emptied = list(shopify.collections.values())[:2]
    product_ids = {variant.product_id for variant in api.shop.variants}
    for product_id in product_ids:
        shopify.remove_from_collection(emptied.id, product_id)
    shopify.add_to_collection(full.id, min(product_ids))
    chosen = {"targets": {"collections": [full.handle, emptied.handle]}}
    preview = await api.post("/api/sales/preview", 200, TET | chosen)
    assert preview["unmatched"] == {"targets": {"collections": [emptied.handle]}}


async def test_campaigns_are_listed_newest_first_and_filtered(api: SalesApi) -> None:
    """By store and state, or only those that have not ended."""
    first = await api.create(name="first", starts=soon(3600), ends=soon(7200))
    second = await api.create(name="second", draft=True)
    cancelled = await api.post("/api/sales/first/cancel", 202)
    assert (cancelled["state"], cancelled["notice"]) == ("CANCELLED", "cancelled by a person")

    async def names(query: str) -> list[str]:
        return [sale["name"] for sale in (await api.get(f"/api/sales{query}"))["sales"]]

    assert await names("") == ["second", "first"]
    assert await names("?limit=1") == ["second"]
    assert await names("?open=true&store=main") == ["second"]
    assert await names("?state=CANCELLED") == ["first"]
    assert await names("?store=other") == []
    listed = (await api.get("/api/sales"))["sales"]
    assert [sale["id"] for sale in listed] == [second["id"], first["id"]]
    assert listed[1]["counts"] == {"SKIPPED": sum(first["counts"].values())}


async def test_an_overlap_is_refused_with_both_names_and_shown_by_a_preview(api: SalesApi) -> None:
    """409 at creation; the preview says which campaign has each variant."""
    await api.create(name="first", starts=soon(3600), ends=soon(7200))
    later = TET | {"name": "second", "starts": soon(7000), "ends": soon(9000)}
    preview = await api.post("/api/sales/preview", 200, later)
    assert preview["conflicts"] == {"first": preview["totals"]["conflicts"]}
    assert preview["totals"]["on_sale"] == 0
    assert preview["totals"]["average_discount_percent"] is None
    assert {item["conflict"] for item in preview["items"] if not item["skipped"]} == {"first"}
    problem = await api.post("/api/sales", 409, later)
    assert problem["type"] == "urn:dongbo:problem:sale-conflict"
    assert "second" in problem["detail"]
    assert "first" in problem["detail"]
    assert "already has a sale first that has not ended" in (await api.create(409, name="first", draft=True))["detail"]


async def test_a_person_decides_about_prices_of_others(api: SalesApi) -> None:
    """Drifted variants are listed with both values, and kept or restored one by one or all."""
    before = api.shop.prices()
    sale = await api.until(await api.create(), CampaignState.ACTIVE)
    applied = [item["variant_id"] for item in (await api.get("/api/sales/tet/items?state=APPLIED"))["items"]]
    for number in applied[:3]:
        api.shop.shopify.change_price(number, Decimal(77_000), None)
    await api.shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (await api.get("/api/sales/tet"))["drifting"] == 3
    assert (await _metrics(api))["dongbo_sale_drifted_variants"] == {("tet", "main"): 3}
    await api.post("/api/sales/tet/resume", 409, {"decision": "keep"})
    await api.post("/api/sales/tet/revert", 202)
    asking = await api.until(sale, CampaignState.NEEDS_ATTENTION)
    assert "3 prices" in asking["notice"]
    assert (await _metrics(api))["dongbo_sale_drifted_variants"] == {("tet", "main"): 3}
    drifted = (await api.get("/api/sales/tet/items?state=DRIFTED"))["items"]
    assert [(item["variant_id"], item["found_price"]) for item in drifted] == [(n, "77000") for n in applied[:3]]
    await api.post("/api/sales/tet/resume", 422, {"variants": applied[:1]})
    await api.post("/api/sales/tet/resume", 409, {"decision": "keep", "variants": [*applied[:1], applied[4]]})
    await api.post("/api/sales/tet/resume", 202, {"decision": "keep", "variants": applied[:1]})
    await api.until(sale, CampaignState.NEEDS_ATTENTION)
    await api.post("/api/sales/tet/resume", 202, {"decision": "restore", "variants": None})
    await api.until(sale, CampaignState.COMPLETED)
    assert {n: p for n, p in api.shop.prices().items() if p != before[n]}.keys() == {applied[0]}
    counts = orjson.loads((await api.file("/api/sales/tet/report"))[2])["counts"]
    assert (counts["kept"], counts["drifted"], counts["restored"]) == (1, 0, counts["put_on_sale"] - 1)
    assert counts["changed_by_others"] == 3


async def test_a_new_campaign_is_started_on_time_by_the_clock(api: SalesApi) -> None:
    """The clock hears of it at once: it need not wait for its next sweep."""
    async with asyncio.timeout(30), api.shop.clock:
        with api.shop.workshop.parts.hub.subscribe() as news:
            sale = await api.create(starts=soon(1), ends=soon(3600))
            while (sale := await api.get("/api/sales/tet"))["state"] != "ACTIVE":
                await news.take()
    assert 0 <= sale["late"]["first_on_sale_seconds"] < 5
    assert sale["times"]["first_applied"] >= sale["starts_at"]


REFUSED: list[tuple[Any, int, str]] = [
    ([], 422, "must be an object"),
    (None, 422, "must be an object"),
    ({}, 422, "name: is missing"),
    (TET | {"percent": 100}, 422, "percent: must be less than 100"),
    (TET | {"percent": "much"}, 422, "percent: is not a number"),
    (TET | {"amount": 5}, 422, "say either percent or amount"),
    (TET | {"precent": 5}, 422, 'precent: unknown key; did you mean "percent"?'),
    (TET | {"name": "Tet sale"}, 422, "name: must be 1 to 63 of a-z"),
    (TET | {"targets": {}}, 422, "targets: it names nothing"),
    (TET | {"targets": {"products": [0]}}, 422, "targets.products[0]: must be at least 1"),
    (TET | {"targets": {"skus_file": "/etc/passwd"}}, 422, "skus_file is for the configuration file"),
    (TET | {"targets": {"vendors": ["\0"]}}, 422, "NUL"),
    (TET | {"targets": {"vendors": ["nobody"]}}, 422, "No variant matches"),
    (TET | {"targets": {"collections": ["none"]}}, 422, "no collection none"),
    (TET | {"amount": 10**9, "percent": None}, 422, "None of"),
    (TET | {"store": "elsewhere"}, 422, "There is no such store"),
    (TET | {"starts": "2020-01-01T00:00:00"}, 422, "has passed"),
    (TET | {"starts": "0001-01-01T00:00:00"}, 422, ""),
    (TET | {"ends": "2020-01-01T00:00:00"}, 422, "has passed"),
    (TET | {"starts": "2090-01-02T00:00:00", "ends": "2090-01-01T00:00:00"}, 422, "before it has begun"),
    (TET | {"starts": "2090-01-01T00:00:00", "ends": "2090-01-01T00:00:00+09:00"}, 422, "before it has begun"),
    (TET | {"starts": "tomorrow"}, 422, "is not understood"),
    (TET | {"draft": "yes"}, 422, "draft: must be true or false"),
    (TET | {"origin": "file"}, 422, "origin:"),
]


async def test_what_can_be_no_campaign_is_refused_with_the_keys_at_fault(api: SalesApi) -> None:
    """In the words in which a configuration file is refused; nothing is kept of it."""
    for body, status, words in REFUSED:
        problem = await api.call("POST", "/api/sales", status, data=orjson.dumps(body), headers=JSON)
        assert words in problem["detail"], body
    problem = await api.create(422, percent=0, floor=-1)
    assert {error["at"] for error in problem["errors"]} == {"percent", "floor"}
    for content, status in ((b"{", 400), (b'{"name": "a", "name": "b"}', 400), (b'{"percent": NaN}', 400)):
        await api.call("POST", "/api/sales", status, data=content, headers=JSON)
    await api.call("POST", "/api/sales", 415, data=b"{}")
    await api.call("POST", "/api/sales/preview", 413, data=io.BytesIO(b" " * (1024 * 1024 + 1)), headers=JSON)
    assert (await api.get("/api/sales"))["sales"] == []


async def test_a_list_of_ten_thousand_skus_fits(api: SalesApi) -> None:
    """It is larger than other bodies may be."""
    known = [variant.sku for variant in api.shop.variants if variant.sku]
    skus = [*known[:1], *(f"SKU-OF-AN-ORDINARY-LENGTH-{number}" for number in range(9_999))]
    preview = await api.post("/api/sales/preview", 200, TET | {"targets": {"skus": skus}})
    assert known[0] in {item["sku"] for item in preview["items"]}


async def test_what_is_not_there_is_not_found(api: SalesApi) -> None:
    """As is rubbish for a name or a number; what can't be read of a query is 400."""
    await api.create(draft=True)
    for reference in ("none", "x" * 80, "%00", "..%2F", "T%C3%A9t", str(uuid4()), f"urn:uuid:{uuid4()}"):
        for path in ("", "/preview", "/items", "/items/1", "/report"):
            await api.get(f"/api/sales/{reference}{path}", 404)
        for action in ("apply", "revert", "cancel", "resume"):
            await api.post(f"/api/sales/{reference}/{action}", 404)
    for variant in ("1", "x", "-1", "9" * 19, "9" * 20, "%00"):
        await api.get(f"/api/sales/tet/items/{variant}", 404)
    await api.get("/api/sales/tet?store=other", 404)
    for path in (
        "?limit=0",
        "?limit=501",
        "?state=active",
        "?open=maybe",
        "?surplus=1",
        "/tet?store=%00",
        "/tet/items?after=1",
        f"/tet/items?after={'9' * 19}.1",
        "/tet/items?state=GREEN",
        "/tet/preview?format=xml",
        "/tet/report?format=",
    ):
        await api.get(f"/api/sales{path}", 400)
    await api.post("/api/sales/tet/revert", 409)
    await api.post("/api/sales/tet/resume", 422, {"decision": "maybe"})
    await api.post("/api/sales/tet/resume", 422, {"decision": "keep", "variants": []})


async def test_a_source_that_fails_is_no_bug(api: SalesApi) -> None:
    """A collection that Shopify does not tell about is answered with 502 and the reason."""
    api.shop.workshop.sandbox.shopify.token = "changed"
    problem = await api.create(502, targets={"collections": ["summer"]})
    assert problem["type"] == "urn:dongbo:problem:source-failed"
    assert "token" in problem["detail"]


async def test_pages_of_others_and_people_without_the_token_change_nothing(shop: SaleShop) -> None:
    """The rules of the other addresses hold."""
    async with _open(shop, token="s3cret") as api:
        for method, path in (("POST", "/api/sales"), ("GET", "/api/sales"), ("GET", "/api/sales/tet/report")):
            await api.call(method, path, 401)
        headers = {"Authorization": "Bearer s3cret", "Origin": "https://evil.example"}
        await api.call("POST", "/api/sales", 403, json=TET, headers=headers)
        assert await api.call("GET", "/api/sales", headers={"Authorization": "Bearer s3cret"}) == {"sales": []}


async def test_probes_see_what_is_late(api: SalesApi) -> None:
    """/status and /metrics tell of open campaigns, and for how long a start or an end has been due."""
    sale = await api.create(starts=soon(3600), ends=soon(7200))
    (shown,) = (await api.get("/status"))["sales"]
    assert shown == {
        "name": "tet",
        "store": "main",
        "state": "SCHEDULED",
        "starts_at": sale["starts_at"],
        "ends_at": sale["ends_at"],
        "overdue_start_seconds": 0,
        "overdue_end_seconds": 0,
        "notice": None,
    }
    moved = "UPDATE dongbo.sale_campaigns SET starts_at = now() - interval '40 s' RETURNING 1"
    await api.shop.workshop.value(moved)
    assert 40 <= (await api.get("/api/sales/tet"))["overdue"]["start_seconds"] < 60
    assert 40 <= (await api.get("/status"))["sales"][0]["overdue_start_seconds"] < 60
    metrics = await _metrics(api)
    assert metrics["dongbo_sale_campaigns"] == {("SCHEDULED", "main"): 1}
    assert 40 <= metrics["dongbo_sale_overdue_seconds"][("tet", "start", "main")] < 60
    assert metrics["dongbo_sale_overdue_seconds"][("tet", "end", "main")] == 0
    await api.post("/api/sales/tet/cancel", 202)
    assert (await api.get("/status"))["sales"] == []
    assert (await _metrics(api))["dongbo_sale_overdue_seconds"] == {}


async def _metrics(api: SalesApi) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric and by the values of the labels, in the alphabetical order of the labels' names."""
    async with api.client.get("/metrics") as response:
        text = await response.text()
    return {
        family.name: {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }
