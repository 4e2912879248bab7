"""The sandbox's bulk operations: what may be run, what lies in the file, and what can go wrong with it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import BulkTrouble, DownloadTrouble
from daemon.sandbox.shopify.access import ALL_SCOPES
from tests.support.sandbox_client import CATALOGUE, NOW, Client, new_sandbox, serving

RUN = """mutation Run($text: String!, $groupObjects: Boolean! = false) {
  bulkOperationRunQuery(query: $text, groupObjects: $groupObjects) {
    bulkOperation { id status objectCount url }
    userErrors { field message code }
  }
}"""
LOOK = """query Look($id: ID!) { bulkOperation(id: $id) {
  id status type query createdAt completedAt errorCode objectCount rootObjectCount fileSize url partialDataUrl
} }"""
LIST = """query List($search: String, $reverse: Boolean! = false) {
  bulkOperations(first: 10, query: $search, reverse: $reverse) { nodes { id status query } }
}"""
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
    await client.sandbox.bulk.worked()
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


async def downloaded(client: Client, url: str) -> bytes:
    """All that is at an address."""
    async with client.session.get(url) as response:
        assert response.status == 200
        return await response.read()


async def cut_off(client: Client, url: str, offset: int) -> bytes:
    """What arrives from `offset` on, of a download that must not arrive whole."""
    came = b""
    async with client.session.get(url, headers={"Range": f"bytes={offset}-"}) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            async for chunk in response.content.iter_any():
                came += chunk
    return came


def is_json(line: bytes) -> bool:
    """Whether a line can be read."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


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


async def test_it_finds_no_more_in_a_second_than_it_is_told(client: Client, clock: Time) -> None:
    """Where that takes longer than an operation takes anyway."""
    client.sandbox.bulk.objects_per_second = 2.0
    number = await begun(client, TITLES)
    clock.now += 11
    running = await look(client, number)
    assert (running["status"], running["objectCount"], running["rootObjectCount"]) == ("RUNNING", "22", "22")
    clock.now += 9
    assert (await look(client, number))["status"] == "COMPLETED"


async def test_other_work_is_done_while_it_finds_its_rows(client: Client) -> None:
    """It is run piece by piece, and its counts grow with the pieces."""
    client.sandbox.bulk.roots_at_once = 1
    await client.written(RUN, text=EVERYTHING)
    (operation,) = client.sandbox.bulk.operations
    counts = set()
    while not operation.worked.is_set():
        counts.add(operation.roots)
        await asyncio.sleep(0)
    assert len(counts) > len(client.sandbox.products) // 2


async def test_what_changes_while_it_runs(client: Client, clock: Time) -> None:
    """No row comes twice and none is left out because others are deleted meanwhile."""
    shop = client.sandbox
    shop.bulk.roots_at_once = 1
    ids = sorted(shop.products)
    payload = await client.written(RUN, text=TITLES)
    shop.delete_product(ids[0])
    shop.delete_product(ids[-1])
    await shop.bulk.worked()
    clock.now += 10
    operation = await look(client, payload["bulkOperation"]["id"])
    lines = [orjson.loads(line) for line in (await downloaded(client, operation["url"])).splitlines()]
    found = sorted(int(line["id"].rpartition("/")[2]) for line in lines)
    assert [each for each in found if each != ids[0]] == ids[1:-1]


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


async def test_operations_of_others_take_up_the_places(client: Client, clock: Time) -> None:
    """They run until they are told to end, and are in the list like one's own."""
    others = client.sandbox.bulk.foreign(5)
    clock.now += 86_400
    (error,) = (await client.written(RUN, text=TITLES))["userErrors"]
    assert error["code"] == "LIMIT_REACHED"
    client.sandbox.bulk.end(others[0])
    number = await begun(client, TITLES)
    listed = await operations(client)
    assert [each["id"] for each in listed][:1] == [number]
    assert [each["status"] for each in listed] == ["RUNNING", *["RUNNING"] * 4, "COMPLETED"]


async def operations(client: Client, query: str | None = None, **options: Any) -> list[dict[str, Any]]:
    """The operations that are listed."""
    nodes = (await client.data(LIST, search=query, **options))["bulkOperations"]["nodes"]
    assert isinstance(nodes, list)
    return nodes


async def test_operations_are_listed(client: Client, clock: Time) -> None:
    """The newest first unless it is reversed, by state, kind, time and id."""
    first, second = await begun(client, TITLES), await begun(client, EVERYTHING)
    await client.written(CANCEL, id=second)
    clock.now += 10
    assert [each["id"] for each in await operations(client)] == [second, first]
    assert [each["query"] for each in await operations(client, reverse=True)] == [TITLES, EVERYTHING]
    assert [each["id"] for each in await operations(client, "status:completed")] == [first]
    assert [each["id"] for each in await operations(client, "status:canceled operation_type:query")] == [second]
    assert await operations(client, "operation_type:mutation") == []
    assert len(await operations(client, f"created_at:>='{NOW:%Y-%m-%dT%H:%M:%SZ}'")) == 2
    assert await operations(client, f"created_at:>'{NOW:%Y-%m-%dT%H:%M:%SZ}'") == []
    assert [each["id"] for each in await operations(client, f"id:{first.rpartition('/')[2]}")] == [first]


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


@pytest.mark.parametrize(
    ("trouble", "is_of_root"), [(BulkTrouble.LOSES_ROWS, True), (BulkTrouble.LOSES_A_CHILD, False)]
)
async def test_a_row_that_is_lost(client: Client, clock: Time, trouble: BulkTrouble, is_of_root: bool) -> None:
    """One root, or one child: counted, and not in the file."""
    client.sandbox.bulk.next(trouble)
    operation, lines = await completed(client, clock, EVERYTHING)
    assert len(lines) == int(operation["objectCount"]) - 1
    roots = sum("__parentId" not in line for line in lines)
    assert roots == int(operation["rootObjectCount"]) - is_of_root


async def test_a_row_that_is_overlooked(client: Client, clock: Time) -> None:
    """The counts agree with the file, and only the product's own count tells that a variant is missing."""
    query = EVERYTHING.replace("title", "title variantsCount { count precision }")
    client.sandbox.bulk.next(BulkTrouble.OVERLOOKS_A_CHILD)
    operation, lines = await completed(client, clock, query)
    assert len(lines) == int(operation["objectCount"])
    counted = {line["id"]: line["variantsCount"]["count"] for line in lines if "__parentId" not in line}
    found = Counter(line["__parentId"] for line in lines if line.get("__parentId") in counted)
    assert sum(counted.values()) == found.total() + 1
    assert {line["__parentId"] for line in lines if "__parentId" in line} <= {
        line["id"] for line in lines if "id" in line
    }


@pytest.mark.parametrize("trouble", [BulkTrouble.SPOILS_A_ROOT, BulkTrouble.SPOILS_A_CHILD])
async def test_a_line_that_is_spoilt(client: Client, clock: Time, trouble: BulkTrouble) -> None:
    """All lines are there, and one of them is no JSON."""
    client.sandbox.bulk.next(trouble)
    number = await begun(client, EVERYTHING)
    clock.now += 10
    operation = await look(client, number)
    lines = (await downloaded(client, operation["url"])).splitlines()
    (bad,) = (line for line in lines if not is_json(line))
    assert (b"__parentId" not in bad, len(lines)) == (True, int(operation["objectCount"]))
    assert (b"/Product/" in bad) == (trouble is BulkTrouble.SPOILS_A_ROOT)


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


async def test_an_address_is_another_at_each_look_and_good_for_a_time(client: Client, clock: Time) -> None:
    """All that were told are good, until their time is over."""
    client.sandbox.bulk.address_seconds = 60
    first, lines = await completed(client, clock, TITLES)
    clock.now += 30
    second = await look(client, first["id"])
    assert first["url"] != second["url"]
    assert len((await downloaded(client, first["url"])).splitlines()) == len(lines)
    clock.now += 31
    async with client.session.get(first["url"]) as response:
        assert response.status == 403
    assert await downloaded(client, second["url"])


async def test_a_part_of_a_file(client: Client, clock: Time) -> None:
    """From a byte on, or up to one; beyond the end there is nothing; what is no range is not heeded."""
    operation, _ = await completed(client, clock, TITLES)
    url, whole = operation["url"], await downloaded(client, operation["url"])
    for asked, status, part, told in (
        ("bytes=100-", 206, whole[100:], f"bytes 100-{len(whole) - 1}/{len(whole)}"),
        ("bytes=0-9", 206, whole[:10], f"bytes 0-9/{len(whole)}"),
        ("bytes=-5", 206, whole[-5:], f"bytes {len(whole) - 5}-{len(whole) - 1}/{len(whole)}"),
        (f"bytes={len(whole)}-", 416, b"", f"bytes */{len(whole)}"),
        ("bytes=9-1", 200, whole, None),
        ("lines=1-2", 200, whole, None),
    ):
        async with client.session.get(url, headers={"Range": asked}) as response:
            answer = (response.status, await response.read(), response.headers.get("Content-Range"))
        assert answer == (status, part, told), asked


async def test_a_file_is_compressed_only_for_those_who_accept_that(client: Client, clock: Time) -> None:
    """And only where the sandbox is told to, and the whole file is asked for."""
    operation, _ = await completed(client, clock, TITLES)
    client.sandbox.bulk.downloads.compresses = True
    for headers, encoding in (
        ({"Accept-Encoding": "gzip"}, "gzip"),
        ({"Accept-Encoding": "identity"}, None),
        ({"Accept-Encoding": "gzip", "Range": "bytes=1-"}, None),
    ):
        async with client.session.get(operation["url"], headers=headers) as response:
            assert response.headers.get("Content-Encoding") == encoding
            assert len(await response.read()) == int(operation["fileSize"]) - ("Range" in headers)


async def test_a_download_is_cut_at_a_byte(client: Client, clock: Time) -> None:
    """As often as is said, wherever it begins; by default in the middle of what was asked for."""
    operation, _ = await completed(client, clock, TITLES)
    url, whole = operation["url"], await downloaded(client, operation["url"])
    client.sandbox.bulk.downloads.next(DownloadTrouble.IS_CUT, at=1000, times=3)
    client.sandbox.bulk.downloads.next("is_cut")
    assert [len(await cut_off(client, url, offset)) for offset in (0, 400, 1200)] == [1000, 600, 0]
    assert await cut_off(client, url, 100) == whole[100 : (100 + len(whole)) // 2]
    assert await downloaded(client, url) == whole


async def test_what_can_become_of_a_download(client: Client, clock: Time) -> None:
    """It is gone, it is another file, or it begins where it was not asked to."""
    operation, _ = await completed(client, clock, TITLES)
    url, whole = operation["url"], await downloaded(client, operation["url"])
    for trouble in (DownloadTrouble.IS_GONE, DownloadTrouble.IS_ANOTHER, DownloadTrouble.IGNORES_RANGE):
        client.sandbox.bulk.downloads.next(trouble)
    answers = []
    for _ in range(3):
        async with client.session.get(url, headers={"Range": "bytes=100-"}) as response:
            answers.append((response.status, await response.read()))
    assert answers == [
        (403, b"<Error><Code>ExpiredToken</Code></Error>"),
        (206, whole[100 : len(whole) * 9 // 10]),
        (200, whole),
    ]


async def test_a_download_that_stalls(client: Client, clock: Time) -> None:
    """What there is comes, and then nothing, until somebody gives up."""
    operation, _ = await completed(client, clock, TITLES)
    client.sandbox.bulk.downloads.next(DownloadTrouble.STALLS, at=500)
    async with client.session.get(operation["url"]) as response:
        assert len(await response.content.readexactly(500)) == 500
        rest = asyncio.ensure_future(response.content.read(1))
        await downloaded(client, operation["url"])  # meanwhile another one is answered whole
        assert not rest.done()
        rest.cancel()


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
