"""Where the fields of collections get their values from."""

from collections.abc import Mapping
from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver, count_of, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.listings import collection_sort_value, sorted_listing
from daemon.sandbox.shopify.paging import ConnectionPage, bad_request
from daemon.sandbox.shopify.records import Collection, Product
from daemon.sandbox.shopify.values import gid, parse_gid, written_time


def collection_by_identifier(_: object, info: Info, identifier: Mapping[str, str | None]) -> Collection | None:
    """The collection of a handle or an id; exactly one of them must be given (the input is `@oneOf` at Shopify)."""
    collections: Mapping[int, Collection] = info.context.state.collections
    match identifier:
        case {"handle": str(handle), **rest} if not rest:
            return next((each for each in collections.values() if each.handle == handle), None)
        case {"id": str(text), **rest} if not rest:
            kind, number = parse_gid(text)
            if kind != "Collection":
                raise bad_request(f"Invalid id: {text}")
            return collections.get(number)
        case _:
            raise bad_request("OneOf Input Object 'CollectionIdentifierInput' must specify exactly one key.")


def _products(collection: Collection, info: Info, **arguments: Any) -> ConnectionPage[Product]:
    sort_value = collection_sort_value(arguments.get("sortKey") or "COLLECTION_DEFAULT", collection.product_ids)
    products = [info.context.state.products[number] for number in collection.product_ids]
    return page_of(info, sorted_listing(products, sort_value, reverse=bool(arguments.get("reverse"))), arguments)


def _has_product(collection: Collection, _: Info, **arguments: str) -> bool:
    return parse_gid(arguments["id"]) in {("Product", number) for number in collection.product_ids}


COLLECTION: dict[str, Resolver] = {
    "hasProduct": _has_product,
    "id": lambda collection, _: gid("Collection", collection.id),
    "legacyResourceId": lambda collection, _: str(collection.id),
    "products": _products,
    "productsCount": lambda collection, _: count_of(len(collection.product_ids)),
    "updatedAt": lambda collection, _: written_time(collection.updated_at),
}
