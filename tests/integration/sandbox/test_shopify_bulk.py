"""The sandbox's bulk operations: what may be run, what lies in the file, and what can go wrong with it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import BulkTrouble
from daemon.sandbox.shopify.access import ALL_SCOPES
from tests.support.sandbox_client import CATALOGUE, Client, new_sandbox, serving

RUN = """mutation Run($text: String!, $groupObjects: Boolean! = false) {
  bulkOperationRunQuery(query: $text, groupObjects: $groupObjects) {
    bulkOperation { id status objectCount url }
    userErrors { field message code }
  }
}"""
LOOK = """query Look($id: ID!) { bulkOperation(id: $id) {
  id status type query createdAt completedAt errorCode objectCount rootObjectCount fileSize url partialDataUrl
} }"""
CANCEL = "mutation($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } userErrors { field message } } }"

TITLES = "{ products { edges { node { id title } } } }"
EVERYTHING = """{ products { edges { node {
  id title
  variants { edges { node {
    id
    inventoryItem { id inventoryLevels(includeInactive: true) { edges { node { isActive location { id } } } } }
  } } }
} } } }"""


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    """The sandbox's clock."""
    return Time()


@pytest.fixture
async def client(clock: Time) -> AsyncIterator[Client]:
    """A shop without limits, whose operations take ten seconds."""
    sandbox = new_sandbox(clock=clock)
    sandbox.bulk.seconds = 10.0
    async with serving(sandbox) as running:
        yield running


async def begun(client: Client, query: str, **options: Any) -> str:
    """The id of an operation that must begin."""
    payload = await client.written(RUN, text=query, **options)
    assert payload["userErrors"] == []
    assert payload["bulkOperation"]["status"] == "CREATED"
    assert payload["bulkOperation"]["url"] is None
    return str(payload["bulkOperation"]["id"])


async def look(client: Client, number: str) -> dict[str, Any]:
    """An operation as it is."""
    operation = (await client.data(LOOK, id=number))["bulkOperation"]
    assert isinstance(operation, dict)
    return operation


async def completed(client: Client, clock: Time, query: str, **options: Any) -> tuple[dict[str, Any], list[Any]]:
    """An operation that has ended well, and the lines of its file."""
    number = await begun(client, query, **options)
    clock.now += 10
    operation = await look(client, number)
    assert operation["status"] == "COMPLETED"
    async with client.session.get(operation["url"]) as response:
        assert response.status == 200
        body = await response.read()
    assert operation["fileSize"] == str(len(body))
    return operation, [orjson.loads(line) for line in body.splitlines()]


async def test_it_takes_its_time(client: Client, clock: Time) -> None:
    """It runs, tells how far it is, and has an address when it is completed."""
    number = await begun(client, TITLES)
    clock.now += 5
    running = await look(client, number)
    assert (running["status"], running["url"], running["completedAt"]) == ("RUNNING", None, None)
    assert running["objectCount"] == str(len(client.sandbox.products) // 2)
    clock.now += 5
    ended = await look(client, number)
    assert (ended["status"], ended["objectCount"], ended["rootObjectCount"]) == ("COMPLETED", "40", "40")
    assert ended["query"] == TITLES
    assert ended["type"] == "QUERY"
    assert ended["errorCode"] is None


async def test_children_name_the_row_around_them(client: Client, clock: Time) -> None:
    """Products, variants and levels are lines; a level is a child of the variant, not of the item in between."""
    operation, lines = await completed(client, clock, EVERYTHING)
    shop = client.sandbox
    roots = [line for line in lines if "__parentId" not in line]
    variants = [line for line in lines if line.get("__parentId", "").startswith("gid://shopify/Product/")]
    levels = [line for line in lines if line.get("__parentId", "").startswith("gid://shopify/ProductVariant/")]
    assert len(roots) == len(shop.products) == int(operation["rootObjectCount"])
    assert len(variants) == len(shop.variants)
    assert len(levels) == sum(len(v.levels) + len(v.inactive_levels) for v in shop.variants.values())
    assert len(lines) == len(roots) + len(variants) + len(levels) == int(operation["objectCount"])
    assert all(set(variant["inventoryItem"]) == {"id"} for variant in variants)
    assert {variant["__parentId"] for variant in variants} == {root["id"] for root in roots}


async def test_lines_come_in_no_order_unless_they_are_grouped(client: Client, clock: Time) -> None:
    """Some child comes before its parent; grouped, each follows its own."""
    _, shuffled = await completed(client, clock, EVERYTHING)
    _, grouped = await completed(client, clock, EVERYTHING, groupObjects=True)
    assert sorted(map(orjson.dumps, shuffled)) == sorted(map(orjson.dumps, grouped))

    def orphans(lines: list[Any]) -> int:
        seen: set[str] = set()
        count = 0
        for line in lines:
            count += line.get("__parentId", next(iter(seen), None)) not in seen if "__parentId" in line else 0
            seen.add(line.get("id"))
        return count

    assert orphans(grouped) == 0
    assert orphans(shuffled) > 0


async def test_a_search_is_honoured(client: Client, clock: Time) -> None:
    """Only what matches is in the file; where nothing does, there is none."""
    first = min(client.sandbox.products)
    _, lines = await completed(client, clock, TITLES.replace("products", f'products(query: "id:{first}")'))
    assert [line["id"] for line in lines] == [f"gid://shopify/Product/{first}"]
    number = await begun(client, TITLES.replace("products", 'products(query: "id:1")'))
    clock.now += 10
    nothing = await look(client, number)
    assert (nothing["status"], nothing["objectCount"], nothing["url"]) == ("COMPLETED", "0", None)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{ products { edges { node { nonsense } } } }", "nonsense"),
        ("{ products {", "Syntax Error"),
        ("mutation { tagsAdd(id: 1, tags: []) { userErrors { message } } }", "Only `query` operations"),
        ("query($n: String) { products(query: $n) { edges { node { id } } } }", "variables are not supported"),
        ("{ shop { id } }", "at least one connection"),
        ("{ shop { id } products { edges { node { id } } } }", "exactly one top-level field"),
        (
            '{ node(id: "gid://shopify/Product/1") { ... on Product { id variants { edges { node { id } } } } } }',
            "node",
        ),
        ("{ products { nodes { id } } }", "Selecting via 'nodes' is not supported"),
        ("{ products { pageInfo { hasNextPage } edges { node { id } } } }", "pageInfo"),
        ("{ products { edges { node { title variants { edges { node { id } } } } } } }", "without 'id': variants"),
        (
            "{ products { edges { node { id variants { edges { node { id product { variants { edges { node { id"
            " product { id variants { edges { node { id } } } } } } } } } } } } } } }",
            "nesting depth greater than 2",
        ),
        (
            "{ products { edges { node { id "
            + " ".join(f"v{n}: variants {{ edges {{ node {{ id }} }} }}" for n in range(5))
            + " } } } }",
            "more than 5 connections",
        ),
    ],
)
async def test_a_query_that_is_not_for_bulk(client: Client, query: str, said: str) -> None:
    """What breaks a rule is not begun, and the rule is named."""
    payload = await client.written(RUN, text=query)
    assert payload["bulkOperation"] is None
    assert {error["code"] for error in payload["userErrors"]} == {"INVALID"}
    assert said in payload["userErrors"][0]["message"]
    assert client.sandbox.bulk.operations == []


async def test_fragments_are_seen_through(client: Client) -> None:
    """A rule that is broken inside a fragment is broken."""
    query = "{ products { edges { node { ...F } } } } fragment F on Product { id variants { nodes { id } } }"
    (error,) = (await client.written(RUN, text=query))["userErrors"]
    assert "Invalid connection fields: 'variants'" in error["message"]


async def test_not_more_than_five_at_once(client: Client, clock: Time) -> None:
    """The sixth is refused until one has ended."""
    for _ in range(5):
        await begun(client, TITLES)
    (error,) = (await client.written(RUN, text=TITLES))["userErrors"]
    assert (error["code"], error["field"]) == ("LIMIT_REACHED", None)
    clock.now += 10
    await begun(client, TITLES)


async def test_an_operation_is_cancelled(client: Client, clock: Time) -> None:
    """It is about to be cancelled, then it is; what has ended can't be, and what does not exist neither."""
    number = await begun(client, TITLES)
    payload = await client.written(CANCEL, id=number)
    assert (payload["bulkOperation"]["status"], payload["userErrors"]) == ("CANCELING", [])
    clock.now += 10
    assert (await look(client, number))["status"] == "CANCELED"
    (error,) = (await client.written(CANCEL, id=number))["userErrors"]
    assert error["message"] == "A bulk operation cannot be canceled when it is canceled"
    (error,) = (await client.written(CANCEL, id="gid://shopify/BulkOperation/1"))["userErrors"]
    assert error["field"] == ["id"]
    assert (await client.data(LOOK, id="gid://shopify/BulkOperation/1"))["bulkOperation"] is None


def fail_over_a_row(client: Client) -> None:
    """Let one product have a field that can't be had."""
    client.sandbox.troubles.broken[f"gid://shopify/Product/{min(client.sandbox.products)}"] = "title"


def poison(client: Client) -> None:
    """Let an answer with one product fail."""
    client.sandbox.troubles.poisonous.add(f"gid://shopify/Product/{min(client.sandbox.products)}")


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (lambda client: client.sandbox.bulk.next(BulkTrouble.FAILS), "FAILED", "INTERNAL_SERVER_ERROR"),
        (lambda client: client.sandbox.bulk.next(BulkTrouble.FAILS_IN_PART), "FAILED", "TIMEOUT"),
        (lambda client: client.sandbox.bulk.next(BulkTrouble.IS_DENIED), "FAILED", "ACCESS_DENIED"),
        (lambda client: client.sandbox.bulk.next(BulkTrouble.IS_CANCELED), "CANCELED", None),
        (lambda client: client.sandbox.bulk.next(BulkTrouble.EXPIRES), "EXPIRED", None),
        (lambda client: client.sandbox.bulk.next(BulkTrouble.HANGS), "RUNNING", None),
        (fail_over_a_row, "FAILED", "INTERNAL_SERVER_ERROR"),
        (poison, "FAILED", "INTERNAL_SERVER_ERROR"),
    ],
)
async def test_what_can_become_of_it(
    client: Client, clock: Time, trouble: Callable[[Client], None], status: str, code: str | None
) -> None:
    """Each trouble ends in its own state, and in none of them there is a whole file."""
    trouble(client)
    number = await begun(client, TITLES)
    clock.now += 20
    operation = await look(client, number)
    assert (operation["status"], operation["errorCode"], operation["url"]) == (status, code, None)
    assert (operation["partialDataUrl"] is not None) == (code == "TIMEOUT")


async def test_a_file_without_one_of_its_rows(client: Client, clock: Time) -> None:
    """It is counted, and it is not there."""
    client.sandbox.bulk.next(BulkTrouble.LOSES_ROWS)
    operation, lines = await completed(client, clock, TITLES)
    assert len(lines) == int(operation["objectCount"]) - 1


async def test_an_app_without_the_scope(clock: Time) -> None:
    """An operation over what the app may not read fails for that; beginning one needs no scope."""
    sandbox = new_sandbox(clock=clock, scopes=set(ALL_SCOPES) - {"read_customers", "write_customers"})
    async with serving(sandbox) as client:
        number = await begun(client, "{ customers { edges { node { id } } } }")
        clock.now += 10
        operation = await look(client, number)
    assert (operation["status"], operation["errorCode"]) == ("FAILED", "ACCESS_DENIED")


async def test_an_address_that_is_not_one(client: Client, clock: Time) -> None:
    """Whoever does not know the signature gets nothing."""
    operation, _ = await completed(client, clock, TITLES)
    async with client.session.get(operation["url"].replace("/result", "0/result")) as response:
        assert response.status == 403


async def test_a_download_that_is_cut_off(clock: Time) -> None:
    """The faults of every request can befall a download, too."""
    faults = Faults()
    async with serving(new_sandbox(CATALOGUE, clock=clock, faults=faults)) as client:
        whole, _ = await completed(client, clock, TITLES)
        faults.next("truncated", path="result.jsonl")
        async with client.session.get(whole["url"]) as response:
            assert len(await response.read()) == int(whole["fileSize"]) // 2


async def test_what_it_costs(client: Client, clock: Time) -> None:
    """Ten points to begin, one to look."""
    number = await begun(client, EVERYTHING)
    assert client.sandbox.requests.points == 10
    await look(client, number)
    assert client.sandbox.requests.points == 11
