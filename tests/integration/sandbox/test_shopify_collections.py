"""Collections in the Shopify sandbox."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from daemon.sandbox.shopify.records import Collection
from tests.support.sandbox_client import NOW, Client, new_sandbox, serving

FIELDS = "id handle title updatedAt productsCount { count precision }"
BY_IDENTIFIER = f"query($it: CollectionIdentifierInput!) {{ collectionByIdentifier(identifier: $it) {{ {FIELDS} }} }}"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a sandbox without limits."""
    async with serving(new_sandbox()) as client:
        yield client


def sale(client: Client) -> Collection:
    """The collection over several types."""
    return next(each for each in client.sandbox.collections.values() if each.handle == "sale")


def gid(number: int, kind: str = "Collection") -> str:
    """The global id of a record."""
    return f"gid://shopify/{kind}/{number}"


async def products(client: Client, collection: Collection, arguments: str = "", size: int = 250) -> list[int]:
    """The ids of all products that a collection lists, page by page."""
    query = f"""query($id: ID!, $after: String) {{
        collection(id: $id) {{ products(first: {size}, after: $after{arguments}) {{
            nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} }} }}"""
    found: list[int] = []
    after = None
    while True:
        page = (await client.data(query, id=gid(collection.id), after=after))["collection"]["products"]
        assert len(page["nodes"]) <= size
        found += [int(node["id"].rpartition("/")[2]) for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def test_a_new_shop_has_collections() -> None:
    """One for each common type of its products and one over several types, the same for the same seed."""
    shop = new_sandbox()
    handles = [collection.handle for collection in shop.collections.values()]
    assert sorted(handles) == ["ao", "giay-dep", "nha-cua", "phu-kien", "quan", "sale", "vay"]
    for collection in shop.collections.values():
        types = {shop.products[number].product_type for number in collection.product_ids}
        assert types == {collection.title} or (collection.handle == "sale" and len(types) > 2)
    assert shop.collections == new_sandbox().collections
    assert all(number > 400_000_000_000 for number in shop.collections)


async def test_a_collection_is_found_by_handle_and_by_id(client: Client) -> None:
    """Both ways lead to the same one; there is none of another handle or id."""
    collection = sale(client)
    expected = {
        "id": gid(collection.id),
        "handle": "sale",
        "title": "Sale",
        "updatedAt": collection.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "productsCount": {"count": len(collection.product_ids), "precision": "EXACT"},
    }
    for identifier in ({"handle": "sale"}, {"id": gid(collection.id)}):
        assert await client.data(BY_IDENTIFIER, it=identifier) == {"collectionByIdentifier": expected}
    one = await client.data(f"query($id: ID!) {{ collection(id: $id) {{ {FIELDS} }} }}", id=gid(collection.id))
    assert one == {"collection": expected}
    assert (await client.data("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[gid(collection.id)]))["nodes"]
    for identifier in ({"handle": "Sale"}, {"id": gid(1)}):
        assert await client.data(BY_IDENTIFIER, it=identifier) == {"collectionByIdentifier": None}


@pytest.mark.parametrize(
    "identifier",
    [{}, {"handle": "sale", "id": gid(1)}, {"handle": None}, {"handle": "sale", "id": None}, {"id": gid(1, "Product")}],
)
async def test_an_identifier_that_is_none(client: Client, identifier: dict[str, Any]) -> None:
    """Exactly one of handle and id must be given, and the id must be that of a collection."""
    assert (await client.error(BY_IDENTIFIER, it=identifier))["extensions"]["code"] == "BAD_REQUEST"


async def test_the_products_come_in_pages(client: Client) -> None:
    """All of them, each once, in the collection's own order or in the one that is asked for."""
    shop = client.sandbox
    collection = sale(client)
    own = list(reversed(collection.product_ids))
    shop.change_collection(collection.id, own)
    for size in (1, 4, 250):
        assert await products(client, collection, size=size) == own
        assert await products(client, collection, ", sortKey: ID", size) == sorted(own)
    assert await products(client, collection, ", reverse: true", 3) == own[::-1]
    by_title = sorted(own, key=lambda number: (shop.products[number].title.casefold(), number))
    assert await products(client, collection, ", sortKey: TITLE", 5) == by_title
    by_price = sorted(own, key=lambda number: (min(v.price for v in shop.products[number].variants), number))
    assert await products(client, collection, ", sortKey: PRICE", 5) == by_price
    by_time = sorted(own, key=lambda number: (shop.products[number].created_at, number))
    assert await products(client, collection, ", sortKey: CREATED", 5) == by_time


async def test_collections_change(client: Client) -> None:
    """Products are put in and taken out, each is in it once, a deleted one leaves; the change is stamped and told."""
    shop = client.sandbox
    one, two, three, four = list(shop.products)[:4]
    topics: list[tuple[str, int]] = []
    collection = shop.add_collection("tet-2027", "Tết 2027", [one, two])
    shop.observers.append(lambda change: topics.append((change.topic, change.id)))
    assert collection.updated_at == NOW.replace(microsecond=0)
    shop.add_to_collection(collection.id, three, one, four)
    assert await products(client, collection) == [one, two, three, four]
    shop.remove_from_collection(collection.id, two)
    shop.delete_product(three)
    assert await products(client, collection) == [one, four]
    assert all(three not in each.product_ids for each in shop.collections.values())
    assert topics == [("collections/update", collection.id)] * 2 + [("products/delete", three)]
    with pytest.raises(KeyError):
        shop.add_to_collection(collection.id, three)
    with pytest.raises(ValueError, match="tet-2027"):
        shop.add_collection("tet-2027", "Once more")
    shop.delete_collection(collection.id)
    assert await client.data(BY_IDENTIFIER, it={"handle": "tet-2027"}) == {"collectionByIdentifier": None}
    assert one in shop.products


async def test_collections_belong_to_the_products(client: Client) -> None:
    """They are seen by whoever may see products, and by nobody else."""
    collection = sale(client)
    client.sandbox.scopes = frozenset({"read_products"})
    assert await products(client, collection)
    client.sandbox.scopes = frozenset({"read_customers", "read_inventory"})
    for query, variables in (
        (BY_IDENTIFIER, {"it": {"handle": "sale"}}),
        ("query($id: ID!) { collection(id: $id) { id } }", {"id": gid(collection.id)}),
        ("query($id: ID!) { node(id: $id) { id } }", {"id": gid(collection.id)}),
    ):
        assert (await client.error(query, **variables))["extensions"]["code"] == "ACCESS_DENIED"


async def test_what_a_page_of_a_collection_costs(client: Client) -> None:
    """A point for the collection, and a connection like any other."""
    await products(client, sale(client))
    assert client.sandbox.requests.last[-1].requested_cost == 1 + 2 + 11
