"""Writing to customers of the Shopify sandbox: metafields with compare-and-set, and tags."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sandbox.catalogue import generate
from tests.support.sandbox_client import NOW, Client, new_sandbox, serving

SET = """mutation($metafields: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $metafields) {
    metafields { id namespace key type value compareDigest owner { ... on Customer { id } } }
    userErrors { code field message elementIndex } } }"""
ADD = """mutation($id: ID!, $tags: [String!]!) { tagsAdd(id: $id, tags: $tags) {
    node { id } userErrors { field message } } }"""
REMOVE = ADD.replace("tagsAdd", "tagsRemove")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a sandbox without limits."""
    async with serving(new_sandbox()) as client:
        yield client


def customer_ids(client: Client) -> list[int]:
    """The ids of all customers."""
    return list(client.sandbox.customers)


def spent(customer_id: int, value: str, **fields: Any) -> dict[str, Any]:
    """A row of a call that sets what a customer has spent."""
    owner = f"gid://shopify/Customer/{customer_id}"
    row = {"ownerId": owner, "namespace": "custom", "key": "total_spent", "type": "number_integer", "value": value}
    return row | fields


async def set_metafields(client: Client, *rows: dict[str, Any]) -> dict[str, Any]:
    """The payload of a call."""
    return await client.written(SET, metafields=list(rows))


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The codes of the user errors, each with its field."""
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


# ── Metafields ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_metafields_are_set_and_read(client: Client) -> None:
    """A new one appears, one that exists is changed under its id; the customer is updated; lists can be narrowed."""
    one, other = customer_ids(client)[:2]
    client.sandbox.change_metafield(other, "custom", "total_spent", "5", "number_integer")
    client.sandbox.change_metafield(other, "loyalty", "tier", "GOLD")
    before = client.sandbox.customers[other].metafields["custom", "total_spent"].id
    payload = await set_metafields(client, spent(one, "1000"), spent(other, "2000", type=None))
    assert codes(payload) == []
    assert [field["value"] for field in payload["metafields"]] == ["1000", "2000"]
    assert payload["metafields"][1]["id"] == f"gid://shopify/Metafield/{before}"
    assert payload["metafields"][0]["owner"] == {"id": f"gid://shopify/Customer/{one}"}
    query = """query($id: ID!) { customer(id: $id) { updatedAt
        metafield(namespace: "custom", key: "total_spent") { value type createdAt updatedAt ownerType sizeInBytes }
        nothing: metafield(namespace: "custom", key: "nothing") { id }
        all: metafields(first: 9) { nodes { key } }
        custom: metafields(first: 9, namespace: "custom") { nodes { key } }
        tier: metafields(first: 9, keys: ["loyalty.tier"]) { nodes { key value } } } }"""
    shown = (await client.data(query, id=f"gid://shopify/Customer/{other}"))["customer"]
    now = "2026-10-01T08:00:00Z"
    assert shown == {
        "updatedAt": now,
        "metafield": {
            "value": "2000", "type": "number_integer", "createdAt": now, "updatedAt": now, "ownerType": "CUSTOMER",
            "sizeInBytes": 4,
        },
        "nothing": None,
        "all": {"nodes": [{"key": "total_spent"}, {"key": "tier"}]},
        "custom": {"nodes": [{"key": "total_spent"}]},
        "tier": {"nodes": [{"key": "tier", "value": "GOLD"}]},
    }  # fmt: skip
    assert client.sandbox.customers[one].updated_at == NOW.replace(microsecond=0)
    assert [(write.subject, write.before, write.after) for write in client.sandbox.writes] == [
        (("metafield", one, "custom.total_spent"), None, "1000"),
        (("metafield", other, "custom.total_spent"), "5", "2000"),
    ]


async def test_compare_and_set(client: Client) -> None:
    """The digest must be that of the stored value; null demands that there is none; without it anything is replaced."""
    (one,) = customer_ids(client)[:1]
    assert codes(await set_metafields(client, spent(one, "1", compareDigest=None))) == []
    assert codes(await set_metafields(client, spent(one, "2", compareDigest=None))) == [
        ("STALE_OBJECT", ["metafields", "0"])
    ]
    digest = client.sandbox.customers[one].metafields["custom", "total_spent"].compare_digest
    client.sandbox.change_metafield(one, "custom", "total_spent", "9", "number_integer")
    assert codes(await set_metafields(client, spent(one, "2", compareDigest=digest)))[0][0] == "STALE_OBJECT"
    fresh = client.sandbox.customers[one].metafields["custom", "total_spent"].compare_digest
    assert codes(await set_metafields(client, spent(one, "2", compareDigest=fresh))) == []
    client.sandbox.delete_metafield(one, "custom", "total_spent")
    assert codes(await set_metafields(client, spent(one, "3", compareDigest=digest)))[0][0] == "STALE_OBJECT"
    assert codes(await set_metafields(client, spent(one, "3", compareDigest="no digest"))) == [
        ("INVALID_COMPARE_DIGEST", ["metafields", "0", "compareDigest"])
    ]
    assert codes(await set_metafields(client, spent(one, "3"))) == []


async def test_all_metafields_or_none(client: Client) -> None:
    """One that doesn't fit keeps the others from being set, and each such one is told."""
    one, other, third = customer_ids(client)[:3]
    client.sandbox.change_metafield(other, "custom", "total_spent", "5", "number_integer")
    payload = await set_metafields(
        client, spent(one, "1"), spent(other, "2", compareDigest=None), spent(third, "three"), spent(5, "4")
    )
    assert codes(payload) == [
        ("STALE_OBJECT", ["metafields", "1"]),
        ("INVALID_VALUE", ["metafields", "2", "value"]),
        ("INVALID", ["metafields", "3", "ownerId"]),
    ]
    assert payload["metafields"] is None
    assert client.sandbox.customers[one].metafields == {}
    assert client.sandbox.writes == []


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"value": "1.5"}, "INVALID_VALUE", "value"),
        ({"value": "9007199254740992"}, "INVALID_VALUE", "value"),
        ({"value": " "}, "BLANK", "value"),
        ({"type": "single_line_text_field", "value": "a\nb"}, "INVALID_VALUE", "value"),
        ({"type": "number_decimal", "value": "a"}, "INVALID_VALUE", "value"),
        ({"type": "boolean", "value": "yes"}, "INVALID_VALUE", "value"),
        ({"type": "date", "value": "31/12/2026"}, "INVALID_VALUE", "value"),
        ({"type": "json", "value": "{"}, "INVALID_VALUE", "value"),
        ({"type": "integer"}, "INVALID_TYPE", "type"),
        ({"type": None}, "BLANK", "type"),
        ({"key": "a"}, "TOO_SHORT", "key"),
        ({"key": "a" * 65}, "TOO_LONG", "key"),
        ({"key": "total spent"}, "INVALID", "key"),
        ({"namespace": "ab"}, "TOO_SHORT", "namespace"),
    ],
)
async def test_what_is_wrong_with_a_metafield(client: Client, fields: dict[str, Any], code: str, field: str) -> None:
    """Types, values, names: each fault has its code and its field."""
    payload = await set_metafields(client, spent(customer_ids(client)[0], "1") | fields)
    assert codes(payload) == [(code, ["metafields", "0", field])]


async def test_too_many_metafields(client: Client) -> None:
    """Twenty-five at most."""
    rows = [spent(customer_id, "1") for customer_id in customer_ids(client)[:26]]
    assert codes(await set_metafields(client, *rows)) == [("LESS_THAN_OR_EQUAL_TO", ["metafields"])]
    assert codes(await set_metafields(client, *rows[:25])) == []


async def test_a_metafield_without_a_namespace_is_the_apps_own(client: Client) -> None:
    """None and what is below `$app` are read and written as the app's own."""
    (one,) = customer_ids(client)[:1]
    row = spent(one, "1")
    del row["namespace"]
    assert codes(await set_metafields(client, row, spent(one, "2", namespace="$app:loyalty"))) == []
    query = f"""{{ customer(id: "gid://shopify/Customer/{one}") {{ metafield(key: "total_spent") {{ value }}
        below: metafield(key: "total_spent", namespace: "$app:loyalty") {{ value }} }} }}"""
    assert (await client.data(query))["customer"] == {"metafield": {"value": "1"}, "below": {"value": "2"}}


DIGESTS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["right", "null", "absent", "old"]), st.integers(0, 3)))
PEOPLE = generate(3, products=0, customers=20)


@settings(max_examples=25, deadline=None)
@given(DIGESTS)
async def test_any_writes_of_metafields_do_what_a_simple_model_says(steps: list[tuple[int, str, int]]) -> None:
    """Whatever digests come in, a value is replaced exactly if its digest is right or absent."""
    sandbox = new_sandbox(PEOPLE)
    values: dict[int, str] = {}
    digests: dict[int, list[str]] = {0: [], 1: [], 2: []}
    async with serving(sandbox) as client:
        customers = customer_ids(client)
        for person, kind, value in steps:
            stored = sandbox.customers[customers[person]].metafields.get(("custom", "total_spent"))
            sent: dict[str, Any] = {} if kind == "absent" else {"compareDigest": None}
            if kind == "right" and stored:
                sent = {"compareDigest": stored.compare_digest}
            if kind == "old" and digests[person]:
                sent = {"compareDigest": digests[person][0]}
            fits = not sent or sent["compareDigest"] == (stored.compare_digest if stored else None)
            payload = await set_metafields(client, spent(customers[person], str(value), **sent))
            assert (payload["userErrors"] == []) == fits
            if fits:
                values[person] = str(value)
                digests[person].append(payload["metafields"][0]["compareDigest"])
    for person in range(3):
        field = sandbox.customers[customers[person]].metafields.get(("custom", "total_spent"))
        assert (field.value if field else None) == values.get(person)


# ── Tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tags_are_added_and_removed(client: Client) -> None:
    """Case makes no difference, an element may hold several, they are kept in order, and the customer is updated."""
    (one,) = customer_ids(client)[:1]
    customer = client.sandbox.customers[one]
    client.sandbox.change_customer(one, tags=["VIP", "Sỉ"])
    gid = f"gid://shopify/Customer/{one}"
    added = await client.written(ADD, id=gid, tags=["vip", "Hạng Vàng", "b, a ", ""])
    assert added == {"node": {"id": gid}, "userErrors": []}
    assert customer.tags == ["a", "b", "Hạng Vàng", "Sỉ", "VIP"]
    assert customer.updated_at == NOW.replace(microsecond=0)
    await client.written(REMOVE, id=gid, tags=["HẠNG VÀNG", "Vip", "unknown"])
    assert customer.tags == ["a", "b", "Sỉ"]
    await client.written(ADD, id=gid, tags=["A"])
    assert customer.tags == ["a", "b", "Sỉ"]
    assert [(write.operation, write.subject, write.before, write.after) for write in client.sandbox.writes] == [
        ("tagsAdd", ("tags", one), ("Sỉ", "VIP"), ("a", "b", "Hạng Vàng", "Sỉ", "VIP")),
        ("tagsRemove", ("tags", one), ("a", "b", "Hạng Vàng", "Sỉ", "VIP"), ("a", "b", "Sỉ")),
        ("tagsAdd", ("tags", one), ("a", "b", "Sỉ"), ("a", "b", "Sỉ")),
    ]


async def test_tags_of_products(client: Client) -> None:
    """Products have tags too."""
    product = next(iter(client.sandbox.products.values()))
    await client.written(ADD, id=f"gid://shopify/Product/{product.id}", tags=["sale"])
    assert "sale" in product.tags
    assert client.sandbox.writes[0].subject == ("product_tags", product.id)


async def test_tags_that_are_refused(client: Client) -> None:
    """An unknown record and a tag that is too long are user errors; too many tags are an error of the call."""
    gid = f"gid://shopify/Customer/{customer_ids(client)[0]}"
    unknown = await client.written(ADD, id="gid://shopify/Customer/5", tags=["a"])
    assert unknown == {"node": None, "userErrors": [{"field": ["id"], "message": "Customer does not exist"}]}
    assert (await client.written(ADD, id=gid, tags=["a" * 256]))["userErrors"][0]["field"] == ["tags"]
    many = [f"tag-{number}" for number in range(251)]
    assert (await client.error(ADD, id=gid, tags=many))["extensions"]["code"] == "MAX_INPUT_SIZE_EXCEEDED"
    assert (await client.written(ADD, id=gid, tags=[",".join(many)]))["userErrors"][0]["field"] == ["tags"]
    assert client.sandbox.writes == []


async def test_scopes(client: Client) -> None:
    """Customers can't be written to with the scope for reading them."""
    client.sandbox.scopes = frozenset({"read_customers", "write_products"})
    (one,) = customer_ids(client)[:1]
    for call, variables in (
        (ADD, {"id": f"gid://shopify/Customer/{one}", "tags": ["a"]}),
        (SET, {"metafields": [spent(one, "1")]}),
    ):
        error = await client.error(call, **variables)
        assert error["extensions"]["code"] == "ACCESS_DENIED"
        assert error["extensions"]["requiredAccess"] == "`write_customers` access scope."
    assert client.sandbox.writes == []
