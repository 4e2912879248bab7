"""Setting prices in the Shopify sandbox."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from daemon.sandbox.shopify.records import Product
from tests.support.sandbox_client import NOW, Client, new_sandbox, serving

UPDATE = """mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!, $partial: Boolean) {
    productVariantsBulkUpdate(productId: $product, variants: $variants, allowPartialUpdates: $partial) {
        product { id } productVariants { id price compareAtPrice } userErrors { code field message } } }"""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a sandbox without limits."""
    async with serving(new_sandbox()) as client:
        yield client


def product(client: Client) -> Product:
    """A product with several variants."""
    return max(client.sandbox.products.values(), key=lambda product: len(product.variants))


def gid(variant_id: int) -> str:
    """The global id of a variant."""
    return f"gid://shopify/ProductVariant/{variant_id}"


async def update(client: Client, owner: Product, *rows: dict[str, Any], partial: bool = False) -> dict[str, Any]:
    """The payload of a call for one product's variants."""
    return await client.written(
        UPDATE, product=f"gid://shopify/Product/{owner.id}", variants=list(rows), partial=partial
    )


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The codes of the user errors, each with its field."""
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def test_prices_are_set(client: Client) -> None:
    """A price as text or number, a compare-at price set and cleared; what is left out stays; the product is updated."""
    owner = product(client)
    one, two, three = owner.variants[:3]
    client.sandbox.change_price(three.id, Decimal(5000), Decimal(9000))
    before = one.price, one.compare_at_price, two.price
    payload = await update(
        client,
        owner,
        {"id": gid(one.id), "price": "123000"},
        {"id": gid(two.id), "compareAtPrice": 250_000.5},
        {"id": gid(three.id), "price": "6000.129", "compareAtPrice": None},
    )
    assert codes(payload) == []
    assert [variant["id"] for variant in payload["productVariants"]] == [gid(v.id) for v in (one, two, three)]
    assert (one.price, one.compare_at_price) == (Decimal(123000), before[1])
    assert (two.price, two.compare_at_price) == (before[2], Decimal("250000.5"))
    assert (three.price, three.compare_at_price) == (Decimal("6000.13"), None)
    assert owner.updated_at == one.updated_at == NOW.replace(microsecond=0)
    assert [(write.subject, write.before, write.after) for write in client.sandbox.writes] == [
        (("price", one.id), before[0], Decimal(123000)),
        (("compare_at_price", two.id), None, Decimal("250000.5")),
        (("price", three.id), Decimal(5000), Decimal("6000.13")),
        (("compare_at_price", three.id), Decimal(9000), None),
    ]


async def test_a_price_that_is_there_already_changes_nothing(client: Client) -> None:
    """It is in the journal without an effect, and nothing is updated."""
    owner = product(client)
    stamp = owner.updated_at
    assert (
        codes(await update(client, owner, {"id": gid(owner.variants[0].id), "price": str(owner.variants[0].price)}))
        == []
    )
    assert owner.updated_at == stamp
    assert [write.has_effect for write in client.sandbox.writes] == [False]


@pytest.mark.parametrize("partial", [False, True])
async def test_rows_that_do_not_fit(client: Client, partial: bool) -> None:
    """Each has its code and field; the others are set only if partial updates are allowed."""
    owner = product(client)
    stranger = next(v for v in client.sandbox.variants.values() if v.product_id != owner.id)
    good, bad = owner.variants[0], gid(owner.variants[1].id)
    payload = await update(
        client,
        owner,
        {"price": "1"},
        {"id": gid(stranger.id), "price": "1"},
        {"id": gid(good.id), "price": "77000"},
        {"id": bad, "price": "-1"},
        {"id": bad, "compareAtPrice": -0.01},
        {"id": bad, "price": "cheap"},
        {"id": bad, "price": None},
        partial=partial,
    )
    assert codes(payload) == [
        ("PRODUCT_VARIANT_ID_MISSING", ["variants", "0", "id"]),
        ("PRODUCT_VARIANT_DOES_NOT_EXIST", ["variants", "1", "id"]),
        ("GREATER_THAN_OR_EQUAL_TO", ["variants", "3", "price"]),
        ("GREATER_THAN_OR_EQUAL_TO", ["variants", "4", "compareAtPrice"]),
        ("INVALID_INPUT", ["variants", "5", "price"]),
        ("BLANK", ["variants", "6", "price"]),
    ]
    assert (good.price == Decimal(77000)) is partial
    assert [write.subject for write in client.sandbox.writes] == ([("price", good.id)] if partial else [])
    assert (payload["productVariants"] is not None) is partial


async def test_one_variant_twice(client: Client) -> None:
    """Two rows for one variant are carried out one after the other."""
    owner = product(client)
    variant = owner.variants[0]
    rows = {"id": gid(variant.id), "compareAtPrice": "900000"}, {"id": gid(variant.id), "price": "800000"}
    assert codes(await update(client, owner, *rows)) == []
    assert (variant.price, variant.compare_at_price) == (Decimal(800000), Decimal(900000))


async def test_calls_that_are_refused(client: Client) -> None:
    """An unknown product is a user error; too many rows and a missing scope are errors of the call."""
    owner = product(client)
    payload = await client.written(UPDATE, product="gid://shopify/Product/5", variants=[])
    assert codes(payload) == [("PRODUCT_DOES_NOT_EXIST", ["productId"])]
    rows = [{"id": gid(owner.variants[0].id), "price": "1"}] * 251
    variables = {"product": f"gid://shopify/Product/{owner.id}", "variants": rows}
    assert (await client.error(UPDATE, **variables))["extensions"]["code"] == "MAX_INPUT_SIZE_EXCEEDED"
    client.sandbox.scopes = frozenset({"read_products", "write_inventory"})
    denied = await client.error(UPDATE, **variables | {"variants": rows[:1]})
    assert denied["extensions"]["requiredAccess"] == "`write_products` access scope."
    assert client.sandbox.writes == []
