"""A bulk operation's file is read whole or not at all, in whatever order its lines come."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import graphql
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sandbox.shopify import bulk_rules
from daemon.sandbox.shopify.binding import executable_schema
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify import bulk_file as bulk_file_module
from daemon.sources.shopify import operations
from daemon.sources.shopify.bulk import written
from daemon.sources.shopify.bulk_file import BulkPortion, LineCutter
from daemon.sources.shopify.bulk_lines import LEVEL, PARENT, Assembly, HalfReadError, sorted_line
from daemon.sources.shopify.bulk_state import NotReadInBulk, read_state
from daemon.sources.shopify.customers import CustomerReader
from daemon.sources.shopify.models import CustomerMetafields
from daemon.sources.shopify.operations import GraphqlOperation
from daemon.sources.shopify.whole_list import WholeList

NO_READER: Any = None  # nothing is asked of Shopify
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


def cut(body: bytes, sizes: list[int], offset: int = 0) -> list[BulkPortion]:
    """The portions of a file that comes in chunks of these sizes, and then the rest of it, from a byte on."""
    cutter, at, portions = LineCutter(offset), offset, []
    for size in [*sizes, len(body)]:
        portions += cutter.take(body[at : at + size])
        at += size
    return [*portions, *cutter.rest(is_last=True)]


def lines_in(portions: Iterable[BulkPortion]) -> list[bytes]:
    """All of their lines."""
    return [line for portion in portions for line in portion.lines]


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
def test_a_file_that_is_cut_anywhere_is_not_read(end: int, random: Any) -> None:
    """Whichever line, and whichever byte of it, is the last one."""
    lines = list(LINES)
    random.shuffle(lines)
    body = b"".join(line + b"\n" for line in lines)
    assert len(body) == len(BODY)
    with pytest.raises(HalfReadError):
        assembled(lines_in(cut(body[:end], [])), objects=len(LINES), roots=len(WHOLE))


def test_only_the_last_line_break_may_be_missing() -> None:
    """It tells nothing."""
    assert lines_in(cut(BODY[:-1], [])) == LINES


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100), st.integers(1, 4))
def test_lines_do_not_depend_on_the_chunks(sizes: list[int], portion_bytes: int, portion_lines: int) -> None:
    """A chunk may end within a line, within a character, or on a line break."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_file_module, "PORTION_BYTES", portion_bytes)
        patch.setattr(bulk_file_module, "PORTION_LINES", portion_lines)
        portions = cut(BODY, sizes)
    assert lines_in(portions) == LINES
    assert portions[-1].end == len(BODY)
    assert max(len(portion.lines) for portion in portions) <= portion_lines


@given(st.lists(st.integers(1, 200), max_size=10), st.data())
def test_a_file_is_gone_on_with_after_any_portion(sizes: list[int], data: st.DataObject) -> None:
    """What lies behind its last byte is what has not been given out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_file_module, "PORTION_BYTES", 1)
        portions = cut(BODY, sizes)
        known = data.draw(st.integers(0, len(portions)))
        offset = portions[known - 1].end if known else 0
        assert lines_in(portions[:known]) + lines_in(cut(BODY, sizes, offset)) == LINES


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


def test_a_line_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept in memory for ever."""
    monkeypatch.setattr(bulk_file_module, "MAX_LINE_BYTES", 50)
    monkeypatch.setattr(bulk_file_module, "PORTION_BYTES", 10)
    cutter = LineCutter(0)
    assert list(cutter.take(b"x" * 50)) == []
    with pytest.raises(NotReadInBulk, match="A line of the file has more than"):
        list(cutter.take(b"x"))


# ── By their own counts ─────────────────────────────────────────────────────────────────────────────────────────────


def counted(lines: Iterable[bytes], *, precision: str = "EXACT") -> list[bytes]:
    """The lines, of which each says how many belong to it."""
    rows = [orjson.loads(line) for line in lines]
    parents = [row.get(PARENT) for row in rows]
    for row in rows:
        count = {"count": parents.count(row.get("id")), "precision": precision}
        if PARENT not in row:
            row["variantsCount"] = count
        elif "inventoryItem" in row:
            row["inventoryItem"]["locationsCount"] = count
    return [orjson.dumps(row) for row in rows]


COUNTED = counted(LINES)


def of_root(line: bytes) -> str:
    """The product that a line of LINES belongs to."""
    row = orjson.loads(line)
    parent = row.get(PARENT, row.get("id"))
    variant = next((each for each in map(orjson.loads, LINES) if each.get("id") == parent), row)
    return str(variant.get(PARENT, variant["id"]))


async def read_all(lines: Iterable[bytes]) -> tuple[list[Any], list[BadRow], list[int]]:
    """What a list makes of lines, as it hands its rows on."""
    taken: list[Any] = []

    async def read(nodes: list[Any], _meter: CallMeter) -> tuple[list[SourceRow[Any]], list[BadRow]]:
        taken.extend(nodes)
        return [], []

    products_list: WholeList[Any] = WholeList(NO_READER, "query", read, page_rows=200, page_points=270.0)
    _rows, bad, incomplete = await products_list.read(list(lines), CallMeter())
    return taken, bad, incomplete


@given(st.randoms(use_true_random=False), st.sampled_from(["EXACT", "AT_LEAST"]))
async def test_lines_of_a_list_in_any_order_make_the_same_rows(random: Any, precision: str) -> None:
    """The counts have served their purpose then: a document is the same as by pages."""
    lines = counted(LINES, precision=precision)
    random.shuffle(lines)
    rows, bad, incomplete = await read_all(lines)
    assert (in_order(rows), bad, incomplete) == (in_order(WHOLE), [], [])


@pytest.mark.parametrize("index", [index for index, line in enumerate(LINES) if PARENT.encode() in line])
@pytest.mark.parametrize("broken", ["missing", "cut", "twice", "foreign"])
async def test_a_child_that_is_not_whole_makes_its_product_incomplete(index: int, broken: str) -> None:
    """It would look like a deleted variant, or one that is stocked nowhere: all others are read."""
    line = COUNTED[index]
    instead = {
        "missing": [],
        "cut": [line[: len(line) // 3]],
        "twice": [line, line],
        "foreign": [line.replace(b'"}', b'0"}')],
    }[broken]
    root = of_root(LINES[index])
    rows, bad, incomplete = await read_all([*COUNTED[:index], *COUNTED[index + 1 :], *instead])
    assert [gid("Product", number) for number in incomplete] == [root]
    assert in_order(rows) == in_order(row for row in WHOLE if row["id"] != root)
    assert len(bad) == (broken == "cut")


async def test_a_broken_child_that_names_its_parent_is_no_row() -> None:
    """Its product is read in another way; nothing is left to be told of it."""
    (index,) = (i for i, line in enumerate(LINES) if gid("ProductVariant", 100).encode() in line and b"sku" in line)
    line = COUNTED[index].replace(b'"sku":', b'"sku"')
    assert await read_all([*COUNTED[:index], line, *COUNTED[index + 1 :]]) == (
        [row for row in WHOLE if row["id"] != gid("Product", 1)],
        [],
        [1],
    )


@pytest.mark.parametrize(
    ("line", "identifier"),
    [(b'{"id":"gid://shopify/Product/9","title":"\xc3', "9"), (b'{"title":"x","id":"gid', None), (b"null", None)],
)
async def test_a_root_that_can_not_be_read_is_a_row_that_does_not_fit(line: bytes, identifier: str | None) -> None:
    """With its id, where that can be found."""
    rows, bad, incomplete = await read_all([*COUNTED, line])
    assert (in_order(rows), incomplete) == (in_order(WHOLE), [])
    assert [(each.source_id, each.payload) for each in bad] == [(identifier, line)]


async def test_a_product_that_comes_twice() -> None:
    """Which of the two is right is asked of Shopify."""
    rows, bad, incomplete = await read_all([*COUNTED, COUNTED[0]])
    assert (len(rows), bad, incomplete) == (2, [], [1])


async def test_what_does_not_say_how_much_belongs_to_it_has_all() -> None:
    """A count may be null."""
    rows, bad, incomplete = await read_all(LINES)
    assert (in_order(rows), bad, incomplete) == (in_order(WHOLE), [], [])


@pytest.mark.parametrize("are_counted", [False, True])
@pytest.mark.parametrize("lacks", [False, True])
async def test_inactive_levels_may_be_counted_or_not(are_counted: bool, lacks: bool) -> None:
    """Shopify does not say; either way a product is short that lacks one of the others."""
    rows = [orjson.loads(line) for line in counted(file_of(products([[3]] * 5)))]
    items = [row["inventoryItem"] for row in rows if "inventoryItem" in row]
    levels = [row for row in rows if "isActive" in row]
    for level in levels[::3]:
        level["isActive"] = False
    for item in items:
        item["locationsCount"]["count"] = 3 if are_counted else 2
    if lacks:
        rows.remove(levels[1])
    _rows, bad, incomplete = await read_all(map(orjson.dumps, rows))
    assert (bad, incomplete) == ([], [1] if lacks else [])


# ── What a line is ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": gid("Product", 1), "title": "x"}, ("Product", 1, None)),
        ({"id": gid("Customer", 2)}, ("Customer", 2, None)),
        ({"id": gid("ProductVariant", 3), PARENT: gid("Product", 1)}, ("ProductVariant", 3, 1)),
        (
            {"isActive": True, "location": {"id": gid("Location", 5)}, PARENT: gid("ProductVariant", 3)},
            (LEVEL, None, 3),
        ),
        ({"id": f"{gid(LEVEL, 5)}?inventory_item_id=7", PARENT: gid("ProductVariant", 3)}, (LEVEL, 5, 3)),
        ({"id": gid("Collection", 1)}, ("", None, None)),
        ({"id": gid("ProductVariant", 3)}, ("", None, None)),
        ({"id": gid("ProductVariant", 3), PARENT: gid("Customer", 1)}, ("", None, 1)),
        ({"id": gid("Product", 1), PARENT: gid("Product", 2)}, ("", 1, 2)),
        ({"id": "x"}, ("", None, None)),
        ({"id": 5}, ("", None, None)),
        ({"title": gid("Product", 1)}, ("", None, None)),
        ([], ("", None, None)),
        (None, ("", None, None)),
    ],
)
def test_what_a_line_is(row: Any, expected: tuple[str, int | None, int | None]) -> None:
    """Told by its own id and the one around it."""
    line = orjson.dumps(row)
    assert sorted_line(line) == (*expected, line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"id": "gid://shopify/Product/1", "title": "x', ("", 1, None)),
        (b'{"sku" "x","__parentId":"gid://shopify/Product/1"}', ("", None, 1)),
        (b'{"id":"gid://shopify/ProductVariant/1","ti', ("", None, None)),
        (b"", ("", None, None)),
        (b"[" * 100_000, ("", None, None)),
    ],
)
def test_what_a_line_that_can_not_be_read_shows(line: bytes, expected: tuple[str, int | None, int | None]) -> None:
    """Its root, or what is around it, as far as that can be found."""
    assert sorted_line(line) == (*expected, line)


def test_half_a_character_does_not_hide_what_a_line_is() -> None:
    """The row does not fit, and says why when it is read."""
    for line in (
        b'{"id":"gid://shopify/Customer/1","note":"\\ud83d"}',
        b'{"id":"gid://shopify/Customer/1","note":"\xff"}',
    ):
        assert sorted_line(line) == ("Customer", 1, None, line)


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
    """A field that one of the two lacked would come and go in the mirror. Besides, there are the counts."""
    counts = {"products.variantsCount", "products.variants.inventoryItem.locationsCount"}
    counts |= {f"{count}.{name}" for count in counts for name in ("count", "precision")}
    assert asked_for(bulk) - counts == asked_for(pages)


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


def test_a_whole_list_is_asked_for_without_a_search() -> None:
    """Null is not what somebody who wants all of it would write."""
    text = written(operations.PRODUCTS_IN_BULK, {"query": None})
    assert bulk_rules.problems(executable_schema(), text) == []
    assert "products {" in text
    assert "(query: $query)" in written(operations.PRODUCTS_IN_BULK, {"query": "(query: $query)"})


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
