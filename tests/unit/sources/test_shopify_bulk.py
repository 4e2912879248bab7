"""A bulk operation's file is read whole or not at all, in whatever order its lines come."""

from collections.abc import AsyncIterator, Iterable
from copy import deepcopy
from typing import Any

import graphql
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sandbox.shopify import bulk_rules
from daemon.sandbox.shopify.binding import executable_schema
from daemon.sources.shopify import operations
from daemon.sources.shopify.bulk import read_state, written
from daemon.sources.shopify.bulk_lines import PARENT, Assembly, HalfReadError, lines_of
from daemon.sources.shopify.customers import CustomerReader
from daemon.sources.shopify.models import CustomerMetafields
from daemon.sources.shopify.operations import GraphqlOperation

LIMIT = 10_000
CUSTOMER_VARIABLES = CustomerReader(CustomerMetafields()).variables


def gid(kind: str, number: int) -> str:
    """A global id."""
    return f"gid://shopify/{kind}/{number}"


def page(nodes: list[Any]) -> dict[str, Any]:
    """A connection of which this is all."""
    return {"pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": nodes}


def products(shape: list[list[int]]) -> list[dict[str, Any]]:
    """Products as pages have them: for each of them, for each variant, the number of its levels."""
    made = []
    for number, variants in enumerate(shape, start=1):
        nodes = []
        for index, levels in enumerate(variants):
            variant = number * 100 + index
            stock = [{"isActive": True, "location": {"id": gid("Location", place)}} for place in range(1, levels + 1)]
            item = {"id": gid("InventoryItem", variant), "tracked": True, "inventoryLevels": page(stock)}
            nodes.append({"id": gid("ProductVariant", variant), "sku": "Áo", "inventoryItem": item})
        made.append({"id": gid("Product", number), "title": f"Áo {number}", "variants": page(nodes)})
    return made


def file_of(rows: list[dict[str, Any]]) -> list[bytes]:
    """The same as lines."""
    lines: list[Any] = []
    for product in deepcopy(rows):
        variants = product.pop("variants")["nodes"]
        lines.append(product)
        for variant in variants:
            levels = variant["inventoryItem"].pop("inventoryLevels")["nodes"]
            lines.append(variant | {PARENT: product["id"]})
            lines += [level | {PARENT: variant["id"]} for level in levels]
    return [orjson.dumps(line) for line in lines]


def in_order(rows: Iterable[Any]) -> Any:
    """Rows and what belongs to them, sorted."""
    found = deepcopy(sorted(rows, key=lambda row: str(row["id"])))
    for product in found:
        variants = product["variants"]["nodes"]
        variants.sort(key=lambda variant: str(variant["id"]))
        for variant in variants:
            variant["inventoryItem"]["inventoryLevels"]["nodes"].sort(key=str)
    return found


def assembled(lines: Iterable[bytes], *, objects: int, roots: int) -> list[Any]:
    """What comes of lines."""
    assembly = Assembly()
    for line in lines:
        assembly.add(line)
    return assembly.rows(objects=objects, roots=roots)


async def split(body: bytes, sizes: list[int], limit: int = LIMIT) -> list[bytes]:
    """The lines of a file that comes in chunks of these sizes, and then the rest of it."""

    async def chunks() -> AsyncIterator[bytes]:
        at = 0
        for size in sizes:
            yield body[at : at + size]
            at += size
        yield body[at:]

    return [line async for line in lines_of(chunks(), limit=limit)]


SHAPE = [[2, 0, 1], [], [3]]
WHOLE = products(SHAPE)
LINES = file_of(WHOLE)
BODY = b"".join(line + b"\n" for line in LINES)
shapes = st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=5)


@given(shapes, st.randoms(use_true_random=False))
def test_lines_in_any_order_make_the_same_rows(shape: list[list[int]], random: Any) -> None:
    """Children before their parents, and far from them: the rows are those that pages would have had."""
    rows = products(shape)
    lines = file_of(rows)
    random.shuffle(lines)
    assert in_order(assembled(lines, objects=len(lines), roots=len(rows))) == in_order(rows)


@given(st.integers(0, len(BODY) - 2), st.randoms(use_true_random=False))
async def test_a_file_that_is_cut_anywhere_is_not_read(cut: int, random: Any) -> None:
    """Whichever line, and whichever byte of it, is the last one."""
    lines = list(LINES)
    random.shuffle(lines)
    body = b"".join(line + b"\n" for line in lines)
    assert len(body) == len(BODY)
    with pytest.raises(HalfReadError):
        assembled(await split(body[:cut], []), objects=len(LINES), roots=len(WHOLE))


async def test_only_the_last_line_break_may_be_missing() -> None:
    """It tells nothing."""
    lines = await split(BODY[:-1], [])
    assert in_order(assembled(lines, objects=len(LINES), roots=len(WHOLE))) == in_order(WHOLE)


@given(st.lists(st.integers(1, 40), max_size=30))
async def test_lines_do_not_depend_on_the_chunks(sizes: list[int]) -> None:
    """A chunk may end within a line, within a character, or on a line break."""
    assert await split(BODY, sizes) == LINES


@pytest.mark.parametrize("index", range(len(LINES)))
def test_a_line_that_is_missing(index: int) -> None:
    """A root, a variant or a level: the count tells."""
    with pytest.raises(HalfReadError):
        assembled([*LINES[:index], *LINES[index + 1 :]], objects=len(LINES), roots=len(WHOLE))


@pytest.mark.parametrize("index", [index for index, line in enumerate(LINES) if b'"id":"gid://shopify/Pr' in line])
def test_a_row_that_comes_twice(index: int) -> None:
    """In the place of another one, it would go unnoticed by the count."""
    with pytest.raises(HalfReadError, match="twice"):
        assembled([*LINES, LINES[index]], objects=len(LINES) + 1, roots=len(WHOLE))


def test_a_child_without_its_parent() -> None:
    """Also where the count is right, for something else came in the place of the parent."""
    other = orjson.dumps({"id": gid("Product", 99)})
    with pytest.raises(HalfReadError, match=r"lack their parent, such as gid://shopify/Product/1\."):
        assembled([other, *LINES[1:]], objects=len(LINES), roots=len(WHOLE))


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"[]",
        b'{"id": 1',
        b'{"id": "gid://shopify/Product/5", "__parentId": 7}',
        b'{"id": "gid://shopify/ProductVariant/5", "inventoryItem": null, "__parentId": "gid://shopify/Product/1"}',
    ],
)
def test_a_line_that_is_no_row(line: bytes) -> None:
    """It may be half of one."""
    with pytest.raises(HalfReadError):
        Assembly().add(line)


def test_a_row_that_was_not_asked_for() -> None:
    """A search that is ignored finds the whole shop: that is noticed at the first row, and not in memory."""
    assembly = Assembly(lambda row: row["id"] == gid("Product", 1))
    with pytest.raises(HalfReadError, match="not asked for"):
        for line in LINES:
            assembly.add(line)


def test_a_row_with_half_a_character() -> None:
    """It is mended as in answers, and becomes a dead letter of its own: the file is whole."""
    (row,) = assembled([b'{"id":"gid://shopify/Customer/1","note":"\\ud83d"}'], objects=1, roots=1)
    assert row["note"] == "\0"


@pytest.mark.parametrize("body", [BODY, b"x" * 60])
async def test_memory_is_bounded(body: bytes) -> None:
    """A file that does not end is left alone, and so is one of which a line does not."""
    with pytest.raises(HalfReadError, match="larger than"):
        await split(body, [], limit=len(body) - 1)


# ── The queries ─────────────────────────────────────────────────────────────────────────────────────────────────────


def asked_for(operation: GraphqlOperation) -> set[str]:
    """The paths of all fields, without what belongs to the form of a connection."""
    document = graphql.parse(operation.document)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, graphql.FragmentDefinitionNode)}

    def walk(selection: graphql.SelectionSetNode, path: tuple[str, ...]) -> Iterable[str]:
        for node in selection.selections:
            if isinstance(node, graphql.FragmentSpreadNode):
                yield from walk(fragments[node.name.value].selection_set, path)
            elif isinstance(node, graphql.FieldNode) and node.name.value in ("edges", "node", "nodes"):
                assert node.selection_set is not None
                yield from walk(node.selection_set, path)
            elif isinstance(node, graphql.FieldNode) and node.name.value != "pageInfo":
                name = f"{node.alias.value}:{node.name.value}" if node.alias else node.name.value
                yield ".".join((*path, name))
                if node.selection_set is not None:
                    yield from walk(node.selection_set, (*path, name))

    (operation_node,) = (d for d in document.definitions if isinstance(d, graphql.OperationDefinitionNode))
    return set(walk(operation_node.selection_set, ()))


@pytest.mark.parametrize(
    ("bulk", "pages"),
    [
        (operations.PRODUCTS_IN_BULK, operations.PRODUCTS),
        (operations.CUSTOMERS_IN_BULK, operations.CUSTOMERS),
    ],
)
def test_the_same_is_asked_for_as_of_pages(bulk: GraphqlOperation, pages: GraphqlOperation) -> None:
    """A field that one of the two lacked would come and go in the mirror."""
    assert asked_for(bulk) == asked_for(pages)


@pytest.mark.parametrize(
    ("query", "variables"),
    [(operations.PRODUCTS_IN_BULK, {}), (operations.CUSTOMERS_IN_BULK, CUSTOMER_VARIABLES)],
)
def test_a_query_is_written_for_bulk(query: GraphqlOperation, variables: dict[str, Any]) -> None:
    """Without variables and fragments, with connections by edges, and valid."""
    text = written(query, variables | {"query": 'id:1 OR id:2 "x"'})
    assert bulk_rules.problems(executable_schema(), text) == []
    assert "$" not in text
    assert "..." not in text
    assert r'(query: "id:1 OR id:2 \"x\"")' in text


def state(**changed: Any) -> dict[str, Any]:
    """An operation as Shopify writes it."""
    return {
        "id": gid("BulkOperation", 1),
        "status": "COMPLETED",
        "errorCode": None,
        "objectCount": "7",
        "rootObjectCount": "3",
        "fileSize": "100",
        "url": "https://storage.example.com/x",
        "partialDataUrl": None,
    } | changed


def test_part_of_the_data_is_none() -> None:
    """Whatever the status says."""
    assert read_state(state()).status == "COMPLETED"
    assert read_state(state(partialDataUrl="https://storage.example.com/part")).status == "FAILED"


@pytest.mark.parametrize("wrong", [{"status": "DANCING"}, {"objectCount": None}, {"objectCount": "many"}])
def test_a_state_that_can_not_be_read(wrong: dict[str, Any]) -> None:
    """It counts as an answer that failed, and is asked for again."""
    with pytest.raises((TypeError, ValueError)):
        read_state(state(**wrong))
