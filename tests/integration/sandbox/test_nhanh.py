"""The sandbox's Nhanh.vn over real HTTP: what the fact sheet says, and what a client has to survive."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.sandbox.catalogue import Catalogue, generate
from daemon.sandbox.faults import Fault, Faults, RowFault
from daemon.sandbox.nhanh import BusinessChange, NhanhSandbox, customer_id, product_id
from daemon.sandbox.nhanh.application import make_application
from daemon.sandbox.nhanh.cursor import Cursors, InvalidCursorError, Position
from daemon.sandbox.nhanh.limits import RateLimit
from tests.support.clock import Clock

Json = dict[str, Any]
ALL_STATUSES = {"status": [1, 2, 3, 4]}


class Caller:
    """A client without any cleverness: it sends what it is told to."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, sandbox: NhanhSandbox) -> None:
        self.session = session
        self.base_url = base_url
        self.sandbox = sandbox

    async def send(self, path: str, body: Any = None, **changes: Any) -> tuple[int, str]:
        query = {"appId": self.sandbox.app_id, "businessId": self.sandbox.business_id} | changes.get("query", {})
        url = f"{self.base_url}/{changes.get('version', 'v3.0')}/{path}"
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        headers = {"Authorization": changes.get("token", self.sandbox.token), "Content-Type": "application/json"}
        params = {name: value for name, value in query.items() if value is not None}
        async with self.session.post(url, params=params, data=content, headers=headers) as response:
            return response.status, await response.text()

    async def call(self, path: str, body: Any = None, **changes: Any) -> Json:
        status, text = await self.send(path, body, **changes)
        assert status == 200
        answer: Json = json.loads(text)
        return answer

    async def pages(self, path: str, filters: Json, size: int, sort: Json | None = None) -> AsyncIterator[list[Json]]:
        paginator: Json = {"size": size, "sort": sort or {"id": "asc"}}
        while True:
            answer = await self.call(path, {"filters": filters, "paginator": paginator})
            assert answer["code"] == 1, answer
            assert len(answer["data"]) <= size
            yield answer["data"]
            paginator["next"] = (answer.get("paginator") or {}).get("next")
            if paginator["next"] is None:
                return

    async def rows(self, path: str, filters: Json, size: int = 100, sort: Json | None = None) -> list[Json]:
        return [row async for page in self.pages(path, filters, size, sort) for row in page]


@asynccontextmanager
async def calling(sandbox: NhanhSandbox) -> AsyncIterator[Caller]:
    async with (
        TestServer(make_application(sandbox)) as server,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
    ):
        yield Caller(session, str(server.make_url("")).rstrip("/"), sandbox)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return generate(3, products=60, customers=250)


@pytest.fixture
def clock() -> Clock:
    return Clock(1_760_000_000.0)


@pytest.fixture
def sandbox(catalogue: Catalogue, clock: Clock) -> NhanhSandbox:
    return NhanhSandbox(catalogue, seed=3, clock=clock)


@pytest.fixture
async def caller(sandbox: NhanhSandbox) -> AsyncIterator[Caller]:
    async with calling(sandbox) as caller:
        yield caller


def ids(rows: list[Json], field: str = "id") -> list[int]:
    return [int(row[field]) for row in rows]


# Paging


@given(
    seed=st.integers(0, 10_000),
    customers=st.integers(0, 130),
    size=st.integers(1, 100),
    quirks=st.booleans(),
    descending=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_following_next_yields_every_row_once(
    seed: int, customers: int, size: int, quirks: bool, descending: bool
) -> None:
    """Whatever the size of shop and page and the quirks: following `next` to the end gives each row once, in order."""
    sandbox = NhanhSandbox(generate(seed, products=0, customers=customers), seed=seed, limits=False, quirks=quirks)
    async with calling(sandbox) as caller:
        rows = await caller.rows("customer/list", {}, size, {"id": "desc" if descending else "asc"})
    assert ids(rows) == sorted(sandbox.customers, reverse=descending)


async def test_quirks_of_paging_all_occur(caller: Caller) -> None:
    """`next` and warnings are an object, an array and a string in turn; pages come short and empty; ends vary."""
    shapes, sizes, ends, warnings = set(), set(), set(), set()
    caller.sandbox.limits = False
    for size in range(3, 40):
        paginator: Json = {"size": size, "sort": {"id": "asc"}}
        while True:
            answer = await caller.call("customer/list", {"paginator": paginator})
            following = (answer.get("paginator") or {}).get("next")
            warnings.add(type(answer.get("warning")))
            sizes.add("empty" if not answer["data"] else "short" if len(answer["data"]) < size else "full")
            if following is None:
                ends.add(json.dumps(answer.get("paginator", "absent")))
                break
            shapes.add(type(following))
            paginator["next"] = following
    assert shapes == {dict, list, str}
    assert warnings == {dict, list, str, type(None)}
    assert sizes == {"empty", "short", "full"}
    assert ends == {'{"next": null}', "{}", '"absent"'}


async def test_next_must_come_back_verbatim(caller: Caller) -> None:
    """A `next` that was altered, reduced to its id, or belongs to another query is refused."""
    paginator = {"size": 10, "sort": {"id": "asc"}}
    first = await caller.call("customer/list", {"paginator": paginator})
    following = first["paginator"]["next"]
    altered = [following | {"page": 2}, following | {"id": "7"}, following["id"], {"id": following["id"]}, 5, [], {}]
    for wrong in altered:
        answer = await caller.call("customer/list", {"paginator": paginator | {"next": wrong}})
        assert answer["errorCode"] == "ERR_INVALID_DATA", wrong
    other = await caller.call("customer/list", {"filters": {"type": 1}, "paginator": paginator | {"next": following}})
    assert other["errorCode"] == "ERR_INVALID_DATA"
    assert (await caller.call("customer/list", {"paginator": paginator | {"next": following}}))["code"] == 1
    assert (await caller.call("customer/list", {"paginator": paginator | {"next": ""}}))["data"] == first["data"]


@given(last_id=st.none() | st.integers(1, 2**53), page=st.integers(0, 10**6), query=st.binary(max_size=40))
def test_cursors_survive_json_and_nothing_else(last_id: int | None, page: int, query: bytes) -> None:
    """A cursor that went through JSON is understood, by a server of the same seed and for the same query only."""
    position = Position(last_id, page)
    sent = json.loads(json.dumps(Cursors(1).encode(position, query)))
    assert Cursors(1).decode(sent, query) == position
    for stranger, other_query in ((Cursors(2), query), (Cursors(1), query + b"x")):
        with pytest.raises(InvalidCursorError):
            stranger.decode(sent, other_query)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_rubbish_is_no_cursor(sent: Any) -> None:
    """Any JSON that the server did not give out is refused, without an exception of another kind."""
    with pytest.raises(InvalidCursorError):
        Cursors(1).decode(sent, b"query")


async def test_rows_deleted_while_paging_do_not_disturb_the_rest(caller: Caller) -> None:
    """When rows vanish and arrive between pages, every row that stays is still given exactly once."""
    sandbox, seen = caller.sandbox, []
    staying = set(list(sandbox.customers)[::2])
    async for page in caller.pages("customer/list", {}, 20):
        seen += ids(page)
        for row_id in [row_id for row_id in sandbox.customers if row_id not in staying][:10]:
            sandbox.delete_customer(row_id)
    assert sorted(set(seen)) == sorted(seen)
    assert staying <= set(seen)


# Rows


async def test_products_carry_what_the_catalogue_says(caller: Caller, catalogue: Catalogue) -> None:
    """Every good is there by its id, with SKU, barcode, name, price and available stock, however numbers are spelt."""
    rows = {int(row["id"]): row for row in await caller.rows("product/list", ALL_STATUSES)}
    for good in catalogue.goods:
        row = rows[product_id(good.number)]
        assert (row["code"], row.get("barcode") or "", row["name"]) == (good.code, good.barcode, good.name)
        assert Decimal(str(row["prices"]["retail"])) == good.price
        assert float(row["inventory"]["available"]) == sum(good.stock.values())
        assert {int(depot["id"]): int(float(depot["available"])) for depot in row["inventory"]["depots"]} == good.stock
        assert int(row["updatedAt"]) == int(good.updated_at.timestamp())


async def test_variants_hang_on_a_parent_without_stock(caller: Caller) -> None:
    """Children name their parent, which is a row of its own (parentId -2) and absent from product/inventory."""
    rows = await caller.rows("product/list", ALL_STATUSES)
    parents = {int(row["id"]) for row in rows if int(row["parentId"]) == -2}
    assert parents
    assert {int(row["parentId"]) for row in rows} == parents | {-1, -2}
    stocked = await caller.rows("product/inventory", ALL_STATUSES, sort={"productId": "asc"})
    assert set(ids(stocked, "productId")) == set(ids(rows)) - parents


async def test_customers_carry_what_the_catalogue_says(caller: Caller, catalogue: Catalogue) -> None:
    """Every person is there, with name, phone as typed, points, amount and time."""
    rows = {int(row["id"]): row for row in await caller.rows("customer/list", {})}
    assert len(rows) == len(catalogue.people)
    for person in catalogue.people:
        row = rows[customer_id(person.number)]
        assert (row["name"], row["mobile"], row.get("email") or "") == (
            person.name,
            person.phone_spelling,
            person.email or "",
        )
        assert Decimal(str(row["totalAmount"])) == person.total_spent
        assert (int(row["points"]), int(row["type"])) == (person.points, person.type)


async def test_numbers_and_empty_values_vary_in_form(caller: Caller) -> None:
    """Numbers come as integers, floats and text; empty fields as null, "", [] and not at all."""
    rows = await caller.rows("customer/list", {})
    assert {type(row["totalAmount"]) for row in rows} == {int, float, str}
    assert {type(row["id"]) for row in rows} == {int, str}
    assert {json.dumps(row.get("taxCode", "absent")) for row in rows} == {"null", '""', "[]", '"absent"'}


async def test_without_quirks_rows_are_plain(catalogue: Catalogue) -> None:
    """Without quirks numbers are numbers and nothing is absent."""
    async with calling(NhanhSandbox(catalogue, quirks=False)) as caller:
        rows = await caller.rows("customer/list", {})
    assert {type(row["totalAmount"]) for row in rows} == {int}
    assert len({frozenset(row) for row in rows}) == 1


async def test_details_and_depots(caller: Caller, catalogue: Catalogue) -> None:
    """product/detail nests category, brand and type and lists the children; business/depot lists the depots."""
    parent = next(product for product in caller.sandbox.products.values() if product.parent_id == -2)
    detail = (await caller.call("product/detail", {"filters": {"id": str(parent.id)}}))["data"]
    assert detail["brand"]["id"] == parent.brand_id
    assert detail["childs"]
    assert detail["inventory"]["warranty"] == 0
    missing = await caller.call("product/detail", {"filters": {"id": 1}})
    assert missing["errorCode"] == "ERR_INVALID_FORM_FIELDS"
    rows = (await caller.call("business/depot", {"filters": {"ids": []}}))["data"]
    assert [(row["id"], row["name"]) for row in rows] == [(depot.id, depot.name) for depot in catalogue.depots]


# Filters


async def test_stopped_products_are_hidden_unless_asked_for(caller: Caller) -> None:
    """Status 3 appears only by its status or its exact id."""
    stopped = [product.id for product in caller.sandbox.products.values() if product.status == 3]
    assert stopped
    assert not set(stopped) & set(ids(await caller.rows("product/list", {})))
    assert ids(await caller.rows("product/list", {"status": [3]})) == stopped
    order: Json = {"productId": "asc"}
    shown = ids(await caller.rows("product/inventory", {}, sort=order), "productId")
    everything = ids(await caller.rows("product/inventory", ALL_STATUSES, sort=order), "productId")
    assert set(everything) - set(shown) == set(stopped) & set(everything) != set()
    assert ids(await caller.rows("product/list", {"ids": stopped})) == stopped


async def test_product_filters(caller: Caller) -> None:
    """ids, name, parentId, gpid, categoryIds, brandIds, price and updatedAt choose just the rows that they describe."""
    products = list(caller.sandbox.products.values())
    one = next(product for product in products if product.barcode and product.parent_id > 0)
    moment = sorted(product.updated_at for product in products)[len(products) // 2]
    expectations: list[tuple[Json, Callable[[Any], bool]]] = [
        ({"ids": [one.id, "38000020", 1]}, lambda p: p.id in (one.id, 38000020)),
        ({"name": one.barcode}, lambda p: p.barcode == one.barcode),
        ({"name": one.name[:12].upper()}, lambda p: one.name[:12].casefold() in p.name.casefold()),
        ({"parentId": one.parent_id}, lambda p: p.parent_id == one.parent_id),
        ({"gpid": -1}, lambda p: p.parent_id == -1),
        ({"gpid": -2}, lambda p: p.parent_id == -2),
        ({"gpid": 1}, lambda p: p.parent_id > 0),
        ({"gpid": 2}, lambda p: p.parent_id < 0),
        ({"gpid": 3}, lambda p: p.parent_id != -2),
        ({"categoryIds": [one.category_id]}, lambda p: p.category_id == one.category_id),
        ({"brandIds": [one.brand_id]}, lambda p: p.brand_id == one.brand_id),
        ({"price": {"from": 300000, "to": "500000"}}, lambda p: 300000 <= p.price <= 500000),
        ({"updatedAtFrom": moment}, lambda p: p.updated_at >= moment),
        ({"updatedAtTo": str(moment)}, lambda p: p.updated_at <= moment),
        ({"imei": "356938035643809"}, lambda p: False),
    ]
    for filters, expected in expectations:
        rows = await caller.rows("product/list", filters | ALL_STATUSES)
        assert ids(rows) == [product.id for product in products if expected(product)], filters


async def test_customer_filters(caller: Caller) -> None:
    """ids, mobile, type, dates of the last purchase and updatedAt choose just the rows that they describe."""
    customers = list(caller.sandbox.customers.values())
    one = next(customer for customer in customers if customer.mobile)
    expectations: list[tuple[Json, Callable[[Any], bool]]] = [
        ({"ids": [one.id]}, lambda c: c.id == one.id),
        ({"mobile": one.mobile}, lambda c: c.mobile == one.mobile),
        ({"type": 2}, lambda c: c.type == 2),
        ({"lastBoughtDateFrom": "2024-01-01"}, lambda c: c.last_bought_date >= "2024-01-01"),
        ({"lastBoughtDateTo": "2023-06-30"}, lambda c: "" < c.last_bought_date <= "2023-06-30"),
        ({"updatedAtFrom": one.updated_at}, lambda c: c.updated_at >= one.updated_at),
        ({"updatedAtTo": one.updated_at, "type": None}, lambda c: c.updated_at <= one.updated_at),
    ]
    for filters, expected in expectations:
        rows = await caller.rows("customer/list", filters)
        assert ids(rows) == [customer.id for customer in customers if expected(customer)], filters


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filters": {"type": "retail"}}, "filters.type"),
        ({"filters": {"ids": 5}}, "filters.ids"),
        ({"filters": {"ids": list(range(101))}}, "filters.ids"),
        ({"filters": {"lastBoughtDateFrom": "01/02/2024"}}, "filters.lastBoughtDateFrom"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"filters": [1]}, "filters"),
        ({"paginator": {"size": 101}}, "paginator.size"),
        ({"paginator": {"size": 0}}, "paginator.size"),
        ({"paginator": {"sort": {"name": "asc"}}}, "paginator.sort"),
        ({"paginator": {"page": 2}}, "paginator.page"),
    ],
)
async def test_wrong_fields_are_named(caller: Caller, body: Json, field: str) -> None:
    """A field of the wrong kind, or one that is not documented, is ERR_INVALID_FORM_FIELDS with its own message."""
    answer = await caller.call("customer/list", body)
    assert answer["errorCode"] == "ERR_INVALID_FORM_FIELDS"
    assert set(answer["messages"]) == {field}


async def test_a_stock_change_shows_only_in_inventory(caller: Caller, clock: Clock) -> None:
    """`updatedAt` of a product does not move with its stock, but product/inventory can be asked for the change."""
    sandbox, row_id = caller.sandbox, product_id(2)
    clock.now += 50
    sandbox.change_stock(row_id, sandbox.depots[0].id, 77)
    since = {"updatedAtFrom": int(clock.now)}
    assert await caller.rows("product/list", since | ALL_STATUSES) == []
    changed = await caller.rows("product/inventory", since | ALL_STATUSES, sort={"productId": "asc"})
    assert ids(changed, "productId") == [row_id]
    sandbox.change_price(row_id, Decimal(123000))
    rows = await caller.rows("product/list", since | ALL_STATUSES)
    assert [Decimal(str(row["prices"]["retail"])) for row in rows] == [123000]
    assert any(float(depot["available"]) == 77 for depot in rows[0]["inventory"]["depots"])


async def test_a_token_for_some_depots_sees_only_their_stock(caller: Caller, catalogue: Catalogue) -> None:
    """A token limited to a depot silently sums just that one, and may not ask for another."""
    depot, other = catalogue.depots[:2]
    await caller.rows("product/list", ALL_STATUSES)
    caller.sandbox.depot_ids = frozenset({depot.id})
    rows = {int(row["id"]): row for row in await caller.rows("product/list", ALL_STATUSES)}
    for good in catalogue.goods:
        assert float(rows[product_id(good.number)]["inventory"]["available"]) == good.stock[depot.id]
    stock = await caller.rows("product/inventory", ALL_STATUSES, sort={"productId": "asc"})
    shown = {int(row["productId"]): float(row["inventory"]["available"]) for row in stock}
    assert shown == {product_id(good.number): good.stock[depot.id] for good in catalogue.goods}
    refused = await caller.call("product/inventory", {"filters": {"depotIds": [other.id]}})
    assert refused["errorCode"] == "ERR_INVALID_DEPOT_ID"
    assert ids((await caller.call("business/depot"))["data"]) == [depot.id]
    checked = await caller.call("app/checkaccesstoken", {"secretKey": caller.sandbox.secret_key})
    assert checked["data"]["depotIds"] == [depot.id]


async def test_inventory_sums_the_depots_asked_for(caller: Caller, catalogue: Catalogue) -> None:
    """product/inventory with depotIds sums just those."""
    depot = catalogue.depots[1]
    filters = {"depotIds": [depot.id]} | ALL_STATUSES
    rows = {
        int(row["productId"]): row for row in await caller.rows("product/inventory", filters, sort={"productId": "asc"})
    }
    for good in catalogue.goods:
        assert float(rows[product_id(good.number)]["inventory"]["available"]) == good.stock[depot.id]


# Access


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"query": {"appId": 1}}, "ERR_INVALID_APP_ID"),
        ({"query": {"appId": None}}, "ERR_INVALID_APP_ID"),
        ({"query": {"appId": "x"}}, "ERR_INVALID_APP_ID"),
        ({"query": {"businessId": 1}}, "ERR_INVALID_BUSINESS_ID"),
        ({"token": "wrong"}, "ERR_INVALID_ACCESS_TOKEN"),
        ({"token": "đỏ"}, "ERR_INVALID_ACCESS_TOKEN"),
        ({"token": "Bearer sandbox-nhanh-access-token"}, "ERR_INVALID_ACCESS_TOKEN"),
        ({"version": "v2.0"}, "ERR_INVALID_VERSION"),
        ({"body": b"{broken"}, "ERR_INVALID_DATA"),
        ({"body": b"[1, 2]"}, "ERR_INVALID_DATA"),
    ],
)
async def test_refusals_have_http_200_and_their_code(caller: Caller, changes: Json, code: str) -> None:
    """Each wrong call gets its own error code, with HTTP status 200 as Nhanh does."""
    answer = await caller.call("customer/list", changes.pop("body", None), **changes)
    assert (answer["code"], answer["errorCode"]) == (0, code)
    assert answer["messages"]
    assert caller.sandbox.outcomes == {("customer/list", code): 1}


async def test_expired_tokens_permissions_and_switched_off_businesses(caller: Caller, clock: Clock) -> None:
    """Tokens past their year, of v2.0, or without the permission, and businesses without the API, are refused."""
    sandbox = caller.sandbox
    sandbox.permissions.discard("customer/list")
    assert (await caller.call("customer/list"))["errorCode"] == "ERR_403"
    assert (await caller.call("product/list"))["code"] == 1
    sandbox.token_version = "2.0"
    assert (await caller.call("product/list"))["errorCode"] == "ERR_INVALID_VERSION"
    sandbox.business_enabled = False
    assert (await caller.call("product/list"))["errorCode"] == "ERR_BUSINESS_NOT_ENABLE_API"
    sandbox.business_enabled = True
    clock.now = sandbox.expires_at
    assert (await caller.call("product/list"))["errorCode"] == "ERR_INVALID_ACCESS_TOKEN"


async def test_check_access_token(caller: Caller) -> None:
    """app/checkaccesstoken tells expiry, depots and permissions to whoever knows the secret key."""
    answer = await caller.call("app/checkaccesstoken", {"secretKey": caller.sandbox.secret_key})
    assert answer["data"]["expiredAt"] == caller.sandbox.expires_at
    assert answer["data"]["depotIds"] == []
    assert "product/list" in answer["data"]["permissions"]
    wrong = await caller.call("app/checkaccesstoken", {"secretKey": "guess"})
    assert wrong["errorCode"] == "ERR_INVALID_FORM_FIELDS"


async def test_other_paths_and_methods(caller: Caller) -> None:
    """An unknown resource is 404, and GET is 405."""
    assert (await caller.send("order/list"))[0] == 404
    async with caller.session.get(f"{caller.base_url}/v3.0/customer/list") as response:
        assert response.status == 405


# The rate limit


async def test_the_request_over_the_limit_is_locked_out(caller: Caller, clock: Clock) -> None:
    """150 calls in 30 s pass, the next is ERR_429 with `message` and the end of the lock; other URLs go on."""
    small = {"paginator": {"size": 1}}
    for _ in range(150):
        assert (await caller.call("customer/list", small))["code"] == 1
    refused = await caller.call("customer/list", small)
    assert refused["errorCode"] == "ERR_429"
    assert "message" in refused
    assert "messages" not in refused
    assert refused["data"] == {"lockedSeconds": 10, "unlockedAt": int(clock.now) + 10}
    assert (await caller.call("product/list", small))["code"] == 1
    clock.now = refused["data"]["unlockedAt"]
    assert (await caller.call("customer/list", small))["code"] == 1
    assert caller.sandbox.outcomes["customer/list", "ERR_429"] == 1


def test_calling_while_locked_extends_the_lock() -> None:
    """Each call during a lock doubles it, counted from that call; after a quiet end the next lock is short again."""
    limit = RateLimit()
    assert all(limit.admit("url", 1000.0) is None for _ in range(150))
    locks = [limit.admit("url", now) for now in (1000.5, 1005.0, 1006.0)]
    assert [(lock.locked_seconds, lock.unlocked_at) for lock in locks if lock] == [(10, 1011), (20, 1025), (40, 1046)]
    assert limit.admit("url", 1045.9) is not None
    assert all(limit.admit("url", 2000.0) is None for _ in range(150))
    again = limit.admit("url", 2000.0)
    assert again is not None
    assert again.locked_seconds == 10


@given(st.lists(st.floats(0, 5, allow_nan=False), max_size=400))
def test_never_more_than_150_in_any_30_seconds(gaps: list[float]) -> None:
    """However calls are spaced, as long as none is refused no window of 30 s holds more than 150 admitted ones."""
    limit, now, admitted = RateLimit(), 0.0, []
    for gap in gaps:
        now += gap / 20
        if limit.admit("url", now) is not None:
            break
        admitted.append(now)
    assert all(later - earlier >= 30 for earlier, later in zip(admitted, admitted[150:], strict=False))


def test_the_whole_allowance_can_be_used() -> None:
    """A client that sends 150 at once, every 30 s, is never refused."""
    limit = RateLimit()
    assert all(limit.admit("url", start + 30.0 * turn) is None for turn in range(4) for start in [0.0] * 150)


async def test_limits_can_be_switched_off(catalogue: Catalogue) -> None:
    """Without limits any number of calls passes."""
    async with calling(NhanhSandbox(catalogue, limits=False)) as caller:
        for _ in range(160):
            assert (await caller.call("business/depot"))["code"] == 1


# Changes


async def test_every_change_is_seen_by_the_next_call_and_announced(caller: Caller, clock: Clock) -> None:
    """Additions, changes and deletions show at once, move `updatedAt`, and are told to listeners."""
    sandbox, told = caller.sandbox, []
    sandbox.listeners.append(told.append)
    await caller.rows("customer/list", {})
    first, second = customer_id(1), customer_id(2)
    clock.now += 100
    sandbox.change_customer(first, name="Tên mới")
    sandbox.touch_customer(second)
    sandbox.delete_customer(customer_id(3))
    sandbox.delete_product(product_id(1))
    rows = {int(row["id"]): row for row in await caller.rows("customer/list", {})}
    assert rows[first]["name"] == "Tên mới"
    assert int(rows[second]["updatedAt"]) == int(clock.now)
    assert customer_id(3) not in rows
    assert ids(await caller.rows("product/list", {"ids": [product_id(1)]})) == []
    kinds = ["customerUpdate", "customerUpdate", "customerDelete", "productDelete"]
    assert [change.kind for change in told if isinstance(change, BusinessChange)] == kinds


async def test_churn_changes_the_shop_by_itself(sandbox: NhanhSandbox) -> None:
    """Random changes of every kind happen, and the shop stays readable."""
    kinds = set()
    sandbox.listeners.append(lambda change: kinds.add(change.kind.value))
    for _ in range(300):
        sandbox.change_something()
    assert kinds == {"inventoryChange", "productUpdate", "customerUpdate", "customerAdd", "customerDelete"}
    async with calling(sandbox) as caller:
        assert ids(await caller.rows("customer/list", {})) == list(sandbox.customers)


# Faults


async def _expect_500(caller: Caller) -> None:
    status, text = await caller.send("customer/list")
    assert status == 500
    assert "<html>" in text


async def _expect_429(caller: Caller) -> None:
    answer = await caller.call("customer/list")
    assert answer["errorCode"] == "ERR_429"
    assert answer["data"]["unlockedAt"] > caller.sandbox.clock()


async def _expect_nonsense(caller: Caller) -> None:
    status, text = await caller.send("customer/list")
    assert status == 200
    assert text.startswith("<!DOCTYPE html>")


async def _expect_reset(caller: Caller) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.send("customer/list")


async def _expect_truncated(caller: Caller) -> None:
    status, text = await caller.send("customer/list")
    assert status == 200
    assert text.startswith('{"code":1')
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


async def _expect_cut_off(caller: Caller) -> None:
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
        await caller.send("customer/list")


async def _expect_slow(caller: Caller) -> None:
    assert (await caller.call("customer/list"))["code"] == 1


@pytest.mark.parametrize(
    ("fault", "expect"),
    [
        (Fault.ERROR_500, _expect_500),
        (Fault.RATE_LIMITED, _expect_429),
        (Fault.NONSENSE, _expect_nonsense),
        (Fault.RESET, _expect_reset),
        (Fault.TRUNCATED, _expect_truncated),
        (Fault.CUT_OFF, _expect_cut_off),
        (Fault.SLOW, _expect_slow),
    ],
)
async def test_scripted_faults(catalogue: Catalogue, fault: Fault, expect: Callable[[Caller], Awaitable[None]]) -> None:
    """A scripted fault strikes exactly the next calls of its path, is counted and logged, and then all is well."""
    faults = Faults(slow_seconds=0.01)
    async with calling(NhanhSandbox(catalogue, faults=faults)) as caller:
        faults.next(fault.value, path="customer/list", times=2)
        assert (await caller.call("product/list"))["code"] == 1
        await expect(caller)
        await expect(caller)
        assert (await caller.call("customer/list"))["code"] == 1
        assert faults.counts == {fault: 2}
        outcome = "ok" if fault is Fault.SLOW else fault.value
        assert caller.sandbox.outcomes["customer/list", outcome] == (3 if fault is Fault.SLOW else 2)


async def test_random_faults_follow_their_rates_and_seed(catalogue: Catalogue) -> None:
    """Faults strike at their rates, and the same seed strikes the same requests."""

    async def outcomes(seed: int) -> list[str]:
        sandbox = NhanhSandbox(catalogue, limits=False, faults=Faults(error_500=0.2, nonsense=0.1, seed=seed))
        async with calling(sandbox) as caller:
            for _ in range(200):
                await caller.send("business/depot")
        return [request.outcome for request in sandbox.requests]

    first = await outcomes(1)
    assert first == await outcomes(1)
    assert first != await outcomes(2)
    assert 20 <= first.count("error_500") <= 60
    assert 8 <= first.count("nonsense") <= 35


async def test_bad_rows_are_the_same_each_time_and_of_every_kind() -> None:
    """The rows chosen by `bad_row` come spoilt, each in its way, and equally so at the second pull."""
    faults = Faults(bad_rows=0.15, seed=5)
    sandbox = NhanhSandbox(generate(1, products=0, customers=150), faults=faults)
    expected = {row_id: faults.bad_row("customers", row_id) for row_id in sandbox.customers}
    assert set(expected.values()) == {None, *RowFault}
    async with calling(sandbox) as caller:
        first = await caller.rows("customer/list", {})
        assert first == await caller.rows("customer/list", {})
    for row, (row_id, bad) in zip(first, expected.items(), strict=True):
        match bad:
            case None:
                assert int(row["id"]) == row_id
            case RowFault.NULL_ROW:
                assert row is None
            case RowFault.MISSING_ID:
                assert "id" not in row
            case RowFault.WRONG_TYPES:
                assert isinstance(row["name"], dict)
            case RowFault.HUGE_NUMBER:
                assert row["totalAmount"] == 10**30
            case RowFault.NEGATIVE_NUMBER:
                assert row["id"] == -1
            case RowFault.NUL_CHARACTER:
                assert "\0" in row["name"]
            case RowFault.LONG_TEXT:
                assert len(row["name"]) == 2**20


async def test_every_request_is_logged_once(caller: Caller, clock: Clock) -> None:
    """The log holds the time, path and outcome of each request, refused and unknown ones too."""
    await caller.call("customer/list")
    clock.now += 1
    await caller.call("customer/list", token="wrong")
    await caller.send("order/list")
    logged = [(request.at, request.path, request.outcome) for request in caller.sandbox.requests]
    start = clock.now - 1
    assert logged == [
        (start, "customer/list", "ok"),
        (start + 1, "customer/list", "ERR_INVALID_ACCESS_TOKEN"),
        (start + 1, "order/list", "HTTP 404"),
    ]
