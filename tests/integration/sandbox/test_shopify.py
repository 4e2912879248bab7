"""The Shopify sandbox over HTTP: what Shopify does, as far as dongbo can tell."""

import csv
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_abstract_type, is_leaf_type
from hypothesis import given, settings
from hypothesis import strategies as st

import daemon.sources.shopify
from daemon.sandbox.catalogue import generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import catalogue_from_csv
from daemon.sandbox.shopify.binding import executable_schema
from daemon.sandbox.shopify.paging import encode_cursor
from daemon.sandbox.shopify.state import ShopChange
from tests.support.clock import Clock
from tests.support.sandbox_client import CATALOGUE, Client, new_sandbox, serving

EXPORTS = Path(__file__).parents[3].parent / "shared" / "data" / "shopify-products"
OPERATIONS = Path(daemon.sources.shopify.__file__).parent / "operations"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a sandbox without limits."""
    async with serving(new_sandbox()) as client:
        yield client


# ── The transport ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_token_is_refused(client: Client) -> None:
    """HTTP 401, with Shopify's words."""
    assert await client.post(b'{"query": "{ shop { id } }"}', token="shpat_other") == (
        401,
        {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"},
    )


async def test_an_unknown_version_is_not_there(client: Client) -> None:
    """HTTP 404 for a version of the API that the sandbox does not serve."""
    assert await client.post(b'{"query": "{ shop { id } }"}', version="2019-04") == (404, {"errors": "Not Found"})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"query": 1}', b'{"query": "{a}", "variables": []}x', b"\xff"]
)
async def test_what_is_no_request(client: Client, body: bytes) -> None:
    """HTTP 400 for a body that is no JSON, or holds no query."""
    status, answer = await client.post(body)
    assert status == 400
    assert "query" in answer["errors"]


async def test_errors_in_the_query_come_with_status_200(client: Client) -> None:
    """Syntax errors, unknown fields, misfit variables and missing operations are told in `errors`."""
    assert (await client.error("{ shop "))["locations"]
    unknown = await client.error("{ shop { colour } }")
    assert unknown["message"] == "Field 'colour' doesn't exist on type 'Shop'"
    assert unknown["extensions"] == {"code": "undefinedField", "typeName": "Shop", "fieldName": "colour"}
    misfit = await client.error("query($id: ID!) { product(id: $id) { id } }")
    assert misfit["message"] == "Variable $id of type ID! was provided invalid value"
    assert misfit["extensions"]["problems"] == [{"path": [], "explanation": "Expected value to not be null"}]
    assert (await client.error("query A { shop { id } } query B { shop { id } }"))["message"]
    assert (await client.error("fragment F on Shop { id }"))["message"]
    assert (await client.error("{" * 5000))["message"]


async def test_missing_scopes(client: Client) -> None:
    """A list that the token may not see is an ACCESS_DENIED that names the scope; the granted ones can be read."""
    client.sandbox.scopes = frozenset({"read_products", "write_inventory"})
    denied = await client.error("{ customers(first: 1) { nodes { id } } }")
    assert denied["message"] == "Access denied for customers field. Required access: `read_customers` access scope."
    assert denied["extensions"]["code"] == "ACCESS_DENIED"
    assert denied["path"] == ["customers"]
    granted = await client.data("{ currentAppInstallation { accessScopes { handle } } }")
    assert [scope["handle"] for scope in granted["currentAppInstallation"]["accessScopes"]] == [
        "read_products",
        "write_inventory",
    ]
    await client.data("{ products(first: 1) { nodes { variants(first: 1) { nodes { inventoryItem { id } } } } } }")
    client.sandbox.scopes = frozenset({"read_products"})
    levels = "{ productVariants(first: 1) { nodes { inventoryItem { inventoryLevels(first: 1) { nodes { id } } } } } }"
    assert (await client.error(levels))["extensions"]["requiredAccess"] == "`read_inventory` access scope."
    customer = next(iter(client.sandbox.customers))
    found = await client.ask(f'{{ nodes(ids: ["gid://shopify/Customer/{customer}"]) {{ id }} }}')
    assert found["errors"][0]["extensions"]["code"] == "ACCESS_DENIED"


# ── Everything that can be asked ────────────────────────────────────────────────────────────────────────────────────


ARGUMENTS = {
    "first": "(first: 2)",
    "id": '(id: "gid://shopify/Product/1")',
    "key": '(namespace: "custom", key: "tier")',
    "locationId": "(locationId: $location)",
    "names": '(names: ["available", "on_hand", "committed"])',
}


def selection(definition: GraphQLObjectType, depth: int) -> str:
    """Every field of a type, with the arguments that it needs, and `depth` levels of objects in it."""
    fields = []
    for name, field in definition.fields.items():
        returned = get_named_type(field.type)
        arguments = next((text for argument, text in ARGUMENTS.items() if argument in field.args), "")
        if is_leaf_type(returned):
            fields.append(name + arguments)
        elif depth and is_abstract_type(returned):
            concrete = executable_schema().get_possible_types(returned)
            inner = " ".join(f"... on {each.name} {{ {selection(each, depth - 1)} }}" for each in concrete)
            fields.append(f"{name} {{ __typename {inner} }}")
        elif depth and isinstance(returned, GraphQLObjectType):
            fields.append(f"{name}{arguments} {{ {selection(returned, depth - 1)} }}")
    return " ".join(fields) or "__typename"


@pytest.mark.parametrize(
    ("root", "kind", "depth"),
    [
        ("collection", "Collection", 2),
        ("product", "Product", 2),
        ("productVariant", "ProductVariant", 1),
        ("inventoryItem", "InventoryItem", 2),
        ("customer", "Customer", 2),
        ("location", "Location", 1),
    ],
)
async def test_every_field_has_a_value(client: Client, root: str, kind: str, depth: int) -> None:
    """Every field of every kind of record resolves without an error, in records with and without dirt."""
    sandbox = client.sandbox
    records = {
        "collection": sandbox.collections,
        "product": sandbox.products,
        "productVariant": sandbox.variants,
        "inventoryItem": sandbox.inventory_items,
        "customer": sandbox.customers,
        "location": sandbox.locations,
    }[root]
    definition = executable_schema().type_map[kind]
    assert isinstance(definition, GraphQLObjectType)
    fields = selection(definition, depth).replace(
        "$location", f'"gid://shopify/Location/{next(iter(sandbox.locations))}"'
    )
    sandbox.change_metafield(next(iter(sandbox.customers)), "custom", "tier", "GOLD")
    for number in list(records)[:25]:
        found = await client.data(
            f"query($id: ID!) {{ {root}(id: $id) {{ {fields} }} }}", id=f"gid://shopify/{kind}/{number}"
        )
        assert found[root]["legacyResourceId"] == str(number)


async def test_the_shop(client: Client) -> None:
    """The shop tells its currency and time zone."""
    definition = executable_schema().type_map["Shop"]
    assert isinstance(definition, GraphQLObjectType)
    shop = (await client.data(f"{{ shop {{ {selection(definition, 2)} }} }}"))["shop"]
    assert (shop["currencyCode"], shop["ianaTimezone"], shop["timezoneOffset"]) == ("VND", "Asia/Ho_Chi_Minh", "+0700")
    assert shop["myshopifyDomain"] == f"{client.sandbox.shop}.myshopify.com"


def operations() -> list[str]:
    """The names of the operations that dongbo sends."""
    return [path.stem for path in sorted(OPERATIONS.glob("*.graphql")) if "query " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", operations())
async def test_the_operations_of_the_client_are_answered(client: Client, name: str) -> None:
    """Each operation of the Shopify client, with the fragments that it uses, is valid and has an answer here."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in OPERATIONS.glob("*.graphql")}
    query, used = texts[name], {name}
    while missing := [
        stem
        for stem, text in texts.items()
        for fragment in fragments(text)
        if f"...{fragment}" in query and stem not in used
    ]:
        used.add(missing[0])
        query += texts[missing[0]]
    product = f"gid://shopify/Product/{next(iter(client.sandbox.products))}"
    item = f"gid://shopify/InventoryItem/{next(iter(client.sandbox.inventory_items))}"
    values = {"first": 5, "variants": 5, "levels": 5, "sortKey": "ID", "ids": [product]}
    values |= {"identifier": {"handle": "sale"}}
    values |= {"id": item if "inventoryItem(" in query else product}
    if "bulkOperation(" in query:
        run = "mutation($text: String!) { bulkOperationRunQuery(query: $text) { bulkOperation { id } } }"
        begun = await client.written(run, text="{ products { edges { node { id } } } }")
        values |= {"id": begun["bulkOperation"]["id"]}
    values |= {"after": encode_cursor((0, 0), 0)} if "$after: String!" in query else {}
    values |= {"query": "created_at:>=2020-01-01"} if "$query: String!" in query else {}
    values |= {f"{field}Namespace": "custom" for field in ("totalSpent", "tier")}
    values |= {f"{field}Key": field for field in ("totalSpent", "tier")}
    variables = {variable: value for variable, value in values.items() if f"${variable}:" in query}
    answer = await client.data(query, **variables)
    assert all(value is not None for value in answer.values())


def fragments(text: str) -> list[str]:
    """The names of the fragments defined in `text`."""
    return [line.split()[1] for line in text.splitlines() if line.startswith("fragment ")]


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SANDBOX = new_sandbox()


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 250),
    field=st.sampled_from(["products", "customers", "locations"]),
    order=st.sampled_from(["ID", "UPDATED_AT", "CREATED_AT", "NAME", "TITLE"]),
    reverse=st.booleans(),
)
async def test_pages_hold_everything_once_in_order(size: int, field: str, order: str, reverse: bool) -> None:
    """Whatever the page size and the order, a list read to its end holds each record exactly once, in order."""
    orders = {
        "products": ["ID", "UPDATED_AT", "CREATED_AT", "TITLE"],
        "customers": ["ID", "UPDATED_AT", "CREATED_AT", "NAME"],
    }
    order = order if order in orders.get(field, ["ID", "NAME"]) else "ID"
    async with serving(SANDBOX) as client:
        pages = [
            page async for page in client.pages(field, size, f", sortKey: {order}, reverse: {str(reverse).lower()}")
        ]
    records: dict[int, Any] = getattr(SANDBOX, field)
    key = {
        "ID": lambda row: (row.id,),
        "UPDATED_AT": lambda row: (row.updated_at, row.id),
        "CREATED_AT": lambda row: (row.created_at, row.id),
        "TITLE": lambda row: (row.title.casefold(), row.id),
        "NAME": lambda row: (
            row.name.casefold()
            if field == "locations"
            else f"{row.last_name or ''}, {row.first_name or ''}".casefold(),
            row.id,
        ),
    }[order]
    expected = [row.id for row in sorted(records.values(), key=key, reverse=reverse)]
    assert [int(row["id"].rsplit("/")[-1]) for page in pages for row in page] == expected
    assert all(len(page) == size for page in pages[:-1])


async def test_pages_backwards(client: Client) -> None:
    """`last` and `before` read a list from its end."""
    query = """query($before: String) { products(last: 15, before: $before) {
        edges { cursor node { id } } pageInfo { hasPreviousPage startCursor } } }"""
    found: list[str] = []
    before = None
    while True:
        page = (await client.data(query, before=before))["products"]
        found = [edge["node"]["id"] for edge in page["edges"]] + found
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        before = page["edges"][0]["cursor"]
    assert found == [f"gid://shopify/Product/{number}" for number in client.sandbox.products]


async def test_cursors_change_their_shape(client: Client) -> None:
    """With quirks the same cursor looks different from page to page; without, it is always the same."""
    query = "{ products(first: 1) { pageInfo { endCursor } } }"
    shapes = {(await client.data(query))["products"]["pageInfo"]["endCursor"] for _ in range(6)}
    assert len(shapes) == 3
    async with serving(new_sandbox(quirks=False)) as plain:
        assert len({(await plain.data(query))["products"]["pageInfo"]["endCursor"] for _ in range(6)}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "you must provide one of first or last"),
        ("first: 1, last: 1", "providing both first and last is not supported"),
        ("first: 251", "Argument 'first' on Field 'products' has an invalid value (251)"),
        ("first: -1", "Argument 'first' on Field 'products' has an invalid value (-1)"),
        ('first: 1, after: "nonsense"', "Invalid cursor for current pagination sort."),
        ('first: 1, after: "W10="', "Invalid cursor for current pagination sort."),
        ('first: 1, sortKey: TITLE, after: "WzEsMV0="', "Invalid cursor for current pagination sort."),
    ],
)
async def test_misuse_of_paging(client: Client, arguments: str, message: str) -> None:
    """Wrong page sizes and cursors, and those of a list in another order, are errors of the field."""
    error = await client.error(f"{{ products{f'({arguments})' if arguments else ''} {{ nodes {{ id }} }} }}")
    assert error["message"].startswith(message)
    assert error["path"] == ["products"]


async def test_a_product_of_many_variants(client: Client) -> None:
    """Variants come in pages of at most 250, in their order."""
    product = next(iter(client.sandbox.products.values()))
    query = """query($id: ID!, $after: String) { product(id: $id) { variantsCount { count }
        variants(first: 250, after: $after) { nodes { position sku } pageInfo { hasNextPage endCursor } } } }"""
    gid = f"gid://shopify/Product/{product.id}"
    first = (await client.data(query, id=gid))["product"]
    rest = (await client.data(query, id=gid, after=first["variants"]["pageInfo"]["endCursor"]))["product"]
    assert first["variantsCount"] == {"count": 270}
    assert first["variants"]["pageInfo"]["hasNextPage"]
    assert not rest["variants"]["pageInfo"]["hasNextPage"]
    positions = [node["position"] for part in (first, rest) for node in part["variants"]["nodes"]]
    assert positions == list(range(1, 271))


async def test_searching_and_counting(client: Client) -> None:
    """A count is that of the list with the same query; beyond its limit it is AT_LEAST, with a null limit exact."""
    active = [p for p in client.sandbox.products.values() if p.status == "ACTIVE"]
    counts = await client.data("""{
        active: productsCount(query: "status:active") { count precision }
        limited: productsCount(query: "status:active", limit: 3) { count precision }
        exact: customersCount(limit: null) { count precision }
    }""")
    assert counts["active"] == {"count": len(active), "precision": "EXACT"}
    assert counts["limited"] == {"count": 3, "precision": "AT_LEAST"}
    assert counts["exact"] == {"count": len(client.sandbox.customers), "precision": "EXACT"}
    listed = [row["id"] async for page in client.pages("products", 7, ', query: "status:active"') for row in page]
    assert len(listed) == len(active)


async def test_ignored_filters_are_reported(client: Client) -> None:
    """What a search had to ignore is in `extensions.search`; a search that was understood leaves nothing there."""
    answer = await client.ask('{ found: products(first: 1, query: "colour:red") { nodes { id } } }')
    (report,) = answer["extensions"]["search"]
    assert report["path"] == ["found"]
    assert report["warnings"][0]["field"] == "colour"
    understood = await client.ask(
        "{ products(first: 1, query: \"updated_at:>='2020-01-01T00:00:00Z'\") { nodes { id } } }"
    )
    assert "search" not in understood["extensions"]


async def test_records_by_id(client: Client) -> None:
    """`nodes` gives null for what is not there, and refuses what is no id, or too many of them."""
    product = next(iter(client.sandbox.products))
    ids = [f"gid://shopify/Product/{product}", "gid://shopify/Product/1", "gid://shopify/Unheard/1"]
    assert (await client.data("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids))["nodes"] == [
        {"id": ids[0]},
        None,
        None,
    ]
    too_many = await client.error("query($ids: [ID!]!) { nodes(ids: $ids) { __typename } }", ids=ids[1:2] * 251)
    assert too_many["message"] == "The input array size of 251 is greater than the maximum allowed of 250."
    assert (await client.error('{ product(id: "5") { id } }'))["message"] == "Invalid global id '5'"
    wrong_kind = await client.error('{ product(id: "gid://shopify/Customer/5") { id } }')
    assert wrong_kind["message"] == "Invalid id: gid://shopify/Customer/5"


# ── Costs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_points_run_out_and_come_back() -> None:
    """The requested cost is charged, the difference refunded; without points the answer is THROTTLED, at HTTP 200."""
    clock = Clock(0.0)
    query = '{ products(first: 250, query: "id:1") { nodes { variants(first: 250) { nodes { id } } } } }'
    async with serving(new_sandbox(limits=True, restore_rate=10, clock=clock)) as client:
        assert (await client.ask(query))["extensions"]["cost"] == {
            "requestedQueryCost": 156,
            "actualQueryCost": 2,
            "throttleStatus": {"maximumAvailable": 200.0, "currentlyAvailable": 198, "restoreRate": 10.0},
        }
        client.sandbox.bucket.spend(50)
        answer = await client.ask(query)
        assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
        assert "data" not in answer
        assert answer["extensions"]["cost"]["actualQueryCost"] is None
        assert answer["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"] == 148
        clock.now += 0.8
        assert "errors" not in await client.ask(query)
        log = client.sandbox.requests
        assert (log.calls, log.throttled, log.points) == (3, 1, 4)
        assert [request.throttled for request in log.last] == [False, True, False]


async def test_too_dear_a_query(client: Client) -> None:
    """A query of more than 1,000 points is refused, limits or not."""
    variants = "variants(first: 250) { nodes { inventoryItem { inventoryLevels(first: 250) { nodes { id } } } } }"
    error = await client.error(f"{{ products(first: 250) {{ nodes {{ {variants} }} }} }}")
    assert error["extensions"]["code"] == "MAX_COST_EXCEEDED"
    assert error["extensions"]["cost"] > error["extensions"]["maxCost"] == 1000


# ── Changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_changes_are_seen_at_once(client: Client) -> None:
    """A change moves `updatedAt`, is in the next answer, and is told to observers under its webhook topic."""
    sandbox = client.sandbox
    changes: list[ShopChange] = []
    sandbox.observers.append(changes.append)
    product = list(sandbox.products.values())[5]
    variant = product.variants[0]
    await client.data("{ products(first: 1, sortKey: UPDATED_AT, reverse: true) { nodes { id } } }")
    sandbox.change_price(variant.id, Decimal(123456), None)
    sandbox.change_stock(variant.id, 77, list(sandbox.locations)[1])
    found = await client.data("""{ products(first: 1, sortKey: UPDATED_AT, reverse: true) { nodes { id updatedAt
        variants(first: 1) { nodes { price compareAtPrice inventoryItem { inventoryLevels(first: 2) {
            nodes { quantities(names: ["available"]) { quantity } } } } } } } } }""")
    (newest,) = found["products"]["nodes"]
    (shown,) = newest["variants"]["nodes"]
    assert (newest["id"], newest["updatedAt"]) == (f"gid://shopify/Product/{product.id}", "2026-10-01T08:00:00Z")
    assert (shown["price"], shown["compareAtPrice"]) == ("123456", None)
    levels = shown["inventoryItem"]["inventoryLevels"]["nodes"]
    assert levels[1]["quantities"] == [{"quantity": 77}]
    assert [change.topic for change in changes] == ["products/update", "inventory_levels/update", "products/update"]


async def test_deletions_during_a_pull(client: Client) -> None:
    """What is deleted or added while a list is read neither hides nor repeats the records that stay."""
    stay = set(client.sandbox.products)
    seen: list[int] = []
    async for page in client.pages("products", 6):
        seen += [int(row["id"].rsplit("/")[-1]) for row in page]
        for number in (seen[-1], seen[-1] + 1):
            if number in client.sandbox.products:
                client.sandbox.delete_product(number)
        stay &= set(client.sandbox.products) | set(seen)
    added = client.sandbox.duplicate_product(seen[0])
    assert len(seen) == len(set(seen))
    assert set(seen) == stay
    assert (await client.data("{ products(last: 1) { nodes { id } } }"))["products"]["nodes"] == [
        {"id": f"gid://shopify/Product/{added.id}"}
    ]
    assert not [
        variant for variant in client.sandbox.variants.values() if variant.product_id not in client.sandbox.products
    ]


async def test_other_changes(client: Client) -> None:
    """Every kind of change leaves a shop that can be asked for everything."""
    sandbox = client.sandbox
    product_id, customer_id = next(iter(sandbox.products)), next(iter(sandbox.customers))
    variant_id = sandbox.products[product_id].variants[1].id
    sandbox.change_sku(variant_id, None)
    sandbox.change_title(product_id, "Đổi tên")
    sandbox.change_status(product_id, "ARCHIVED")
    sandbox.change_tags(product_id, ["a", "b"])
    sandbox.delete_variant(variant_id)
    sandbox.change_customer(customer_id, note="đã gọi", tags=["vip"])
    sandbox.delete_customer(list(sandbox.customers)[1])
    new = sandbox.register_customer("An", "Nguyễn", email="an@example.vn", phone="+84903000111")
    found = await client.data(f"""{{
        product(id: "gid://shopify/Product/{product_id}") {{
            title status tags variants(last: 1) {{ nodes {{ position }} }} }}
        productVariant(id: "gid://shopify/ProductVariant/{variant_id}") {{ id }}
        customer(id: "gid://shopify/Customer/{customer_id}") {{ note tags updatedAt }}
        customers(last: 1) {{ nodes {{ id displayName defaultEmailAddress {{ emailAddress }} }} }}
    }}""")
    assert found["product"] == {
        "title": "Đổi tên", "status": "ARCHIVED", "tags": ["a", "b"], "variants": {"nodes": [{"position": 269}]}
    }  # fmt: skip
    assert found["productVariant"] is None
    assert found["customer"] == {"note": "đã gọi", "tags": ["vip"], "updatedAt": "2026-10-01T08:00:00Z"}
    assert found["customers"]["nodes"] == [
        {
            "id": f"gid://shopify/Customer/{new.id}",
            "displayName": "An Nguyễn",
            "defaultEmailAddress": {"emailAddress": "an@example.vn"},
        }
    ]


# ── The shop's content ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_makes_the_same_shop() -> None:
    """Ids included; another seed makes another one."""
    assert new_sandbox().products == new_sandbox().products
    assert new_sandbox().customers == new_sandbox().customers
    assert list(new_sandbox(seed=4).products) != list(new_sandbox().products)


def test_the_shop_has_the_goods_of_the_catalogue() -> None:
    """Every good is a variant with its price and stock; ids ascend with gaps; a few SKUs are spelt differently."""
    sandbox = new_sandbox()
    variants = list(sandbox.variants.values())
    assert [v.price for v in variants] == [good.price for good in CATALOGUE.goods]
    assert [v.inventory_quantity for v in variants] == [sum(good.stock.values()) for good in CATALOGUE.goods]
    differing = [v for v, good in zip(variants, CATALOGUE.goods, strict=True) if v.sku != good.sku]
    assert 0 < len(differing) < len(variants) / 10
    ids = list(sandbox.products)
    assert ids == sorted(ids)
    assert ids[-1] - ids[0] > len(ids)
    many = new_sandbox(generate(3, products=300, customers=0)).products.values()
    assert {product.status for product in many} == {"ACTIVE", "DRAFT", "ARCHIVED"}


def test_customers_are_as_untidy_as_real_ones() -> None:
    """A share of the people; phones are E.164, unique, and elsewhere or missing in some; some have no name."""
    sandbox = new_sandbox(generate(3, products=1, customers=2000))
    customers = list(sandbox.customers.values())
    assert 1000 < len(customers) < 1400
    phones = [c.phone for c in customers if c.phone]
    assert all(phone.startswith("+84") for phone in phones)
    assert len(phones) == len(set(phones)) < len(customers)
    assert any(c.phone is None and c.addresses and c.addresses[0].phone for c in customers)
    assert any(c.note and "SĐT" in c.note for c in customers)
    assert any(c.first_name is None and c.last_name is None for c in customers)
    assert any(not c.addresses for c in customers)
    assert all(c.created_at <= c.updated_at for c in customers)


def exports() -> list[Path]:
    """The public sample exports, where they are present."""
    paths = sorted(EXPORTS.glob("*.csv"))
    if not paths:
        pytest.skip(f"there are no Shopify product exports in {EXPORTS}")
    return paths


async def test_the_shop_of_an_export() -> None:
    """Every product, variant, price, SKU and tag that is served is that of the file; Nhanh has the same goods."""
    paths = exports()
    rows = [row for path in paths for row in csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(True))]
    catalogue = catalogue_from_csv(paths, 1)
    node = """handle title vendor productType tags descriptionHtml publishedAt variants(first: 100) { nodes {
        sku price compareAtPrice inventoryQuantity inventoryPolicy taxable selectedOptions { value }
        inventoryItem { tracked requiresShipping } } }"""
    async with serving(new_sandbox(catalogue, csv=paths)) as client:
        products = {p["handle"]: p async for page in client.pages("products", 9, node=node) for p in page}
    assert set(products) == {row["Handle"] for row in rows}
    for row in rows:
        if row["Title"]:
            product = products[row["Handle"]]
            assert product["title"] == row["Title"]
            assert product["vendor"] == row["Vendor"]
            assert product["productType"] == row["Type"]
            assert product["descriptionHtml"] == row["Body (HTML)"]
            assert product["tags"] == [tag.strip() for tag in row["Tags"].split(",") if tag.strip()]
            assert (product["publishedAt"] is not None) == (row["Published"] == "true")
    served = [(handle, variant) for handle, product in products.items() for variant in product["variants"]["nodes"]]
    expected = [row for row in rows if row["Variant Price"]]
    assert len(served) == len(expected) == len(catalogue.goods)
    for (handle, variant), row in zip(served, expected, strict=True):
        assert handle == row["Handle"]
        assert variant["sku"] == row["Variant SKU"]
        assert Decimal(variant["price"]) == Decimal(row["Variant Price"])
        assert (variant["compareAtPrice"] or "") == (
            row["Variant Compare At Price"] and f"{Decimal(row['Variant Compare At Price']):.2f}"
        )
        assert variant["inventoryQuantity"] == int(row["Variant Inventory Qty"])
        assert variant["inventoryPolicy"].lower() == row["Variant Inventory Policy"]
        assert [o["value"] for o in variant["selectedOptions"]] == [
            row[f"Option{n} Value"] for n in (1, 2, 3) if row[f"Option{n} Value"]
        ]
        assert variant["inventoryItem"]["tracked"] == bool(row["Variant Inventory Tracker"])
        assert variant["inventoryItem"]["requiresShipping"] == (row["Variant Requires Shipping"] == "true")


# ── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_faults_on_demand() -> None:
    """Errors of the server and of its gateway come when ordered, and then no more."""
    faults = Faults()
    async with serving(new_sandbox(faults=faults)) as client:
        faults.next("rate_limited", path="graphql.json")
        assert (await client.post(b'{"query": "{ shop { id } }"}'))[0] == 429
        await client.data("{ shop { id } }")


async def test_bad_rows() -> None:
    """Rows are spoilt in the way that was ordered, the same ones every time, and the answer stays JSON."""
    async with serving(new_sandbox(faults=Faults(bad_rows=0.5))) as client:
        query = "{ customers(first: 60) { nodes { id displayName numberOfOrders updatedAt } } }"
        spoilt = (await client.data(query))["customers"]["nodes"]
        assert spoilt == (await client.data(query))["customers"]["nodes"]
        whole = [row for row in spoilt if row and str(row.get("id", "")).startswith("gid:")]
        assert 0 < len(whole) < len(spoilt) == 60
