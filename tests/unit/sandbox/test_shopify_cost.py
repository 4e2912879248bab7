"""What queries cost: the documented rules, and costs that were measured with the real API."""

from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse
from hypothesis import given
from hypothesis import strategies as st

from daemon.sandbox.shopify import cost
from daemon.sandbox.shopify.binding import executable_schema


def plan(query: str, variables: dict[str, Any] | None = None) -> tuple[cost.CostedField, ...]:
    """The costed fields of the only operation in `query`."""
    document = parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return cost.plan(executable_schema(), document, operation, variables or {})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ shop { name currencyCode } }", 1),
        ("{ products(first: 1) { edges { node { title } } } }", 3),  # in Shopify's reference
        ('{ product(id: "x") { variants(first: 250) { nodes { inventoryItem { id tracked } } } } }', 25),  # measured
        ("{ products { edges { node { id } } } }", 2),  # measured: neither first nor last
        ("{ products(first: 10) { nodes { id } pageInfo { hasNextPage endCursor } } }", 6),  # pageInfo is free
        ("{ products(last: 10) { nodes { id } edges { cursor } } }", 6),
        ("{ a: shop { id } b: shop { id } }", 2),
        ("{ shop { id } ...on QueryRoot { shop { name } } }", 1),  # the same field twice is one field
        ("{ shop @skip(if: true) { id } }", 0),
    ],
)
def test_requested_cost(query: str, expected: int) -> None:
    """A query costs what Shopify says or was seen to charge."""
    assert cost.requested(plan(query)) == expected


def test_page_size_in_a_variable() -> None:
    """The size of a page counts when it comes in a variable, or from the variable's default."""
    query = "query($n: Int = 1) { products(first: $n) { nodes { id } } }"
    assert cost.requested(plan(query)) == 3
    assert cost.requested(plan(query, {"n": 250})) == 13


def test_a_second_quantity_of_a_level_is_free() -> None:
    """Their names are an argument of one list: what is on hand comes at the price of what is available."""
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on InventoryItem { inventoryLevels(first: 4) { nodes {
        location { id } quantities(names: [NAMES]) { name quantity } } } } } }"""
    one, both = (
        cost.requested(plan(query.replace("NAMES", names), {"ids": ["a"] * 100}))
        for names in ('"available"', '"available", "on_hand"')
    )
    assert one == both == 900


def test_an_interface_costs_as_much_as_its_dearest_type() -> None:
    """Of the fragments on an interface, only the dearest counts."""
    query = """{ node(id: "x") {
        ... on Product { variants(first: 250) { nodes { id } } }
        ... on Customer { defaultAddress { city } }
    } }"""
    assert cost.requested(plan(query)) == 1 + 13


def test_a_list_of_ids_costs_each_of_them() -> None:
    """`nodes` costs its objects one by one, however the ids arrive."""
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Product { seo { title } } } }"
    assert cost.requested(plan(query, {"ids": ["a", "b", "c"]})) == 6


def test_nothing_found_costs_little() -> None:
    """A product that does not exist costs 1, an empty page 2, as was measured."""
    fields = plan('{ product(id: "x") { variants(first: 250) { nodes { id } } } }')
    assert cost.actual(fields, {"product": None}) == 1
    assert cost.actual(fields, {"product": {"variants": {"nodes": []}}}) == 3


def test_a_full_page_costs_what_was_requested() -> None:
    """When everything that was asked for comes back, nothing is refunded."""
    fields = plan("{ products(first: 3) { nodes { options { id } } } }")
    nodes = [{"options": [{"id": "1"}]}] * 3
    assert cost.actual(fields, {"products": {"nodes": nodes}}) == cost.requested(fields)


@given(
    st.integers(0, 250).flatmap(
        lambda first: st.tuples(st.just(first), st.lists(st.integers(0, 5), max_size=min(first, 20)))
    )
)
def test_actual_never_exceeds_requested(sizes: tuple[int, list[int]]) -> None:
    """However full the pages are, a query never costs more than it was charged in advance."""
    first, variants = sizes
    fields = plan(f"{{ products(first: {first}) {{ nodes {{ id variants(first: 5) {{ nodes {{ id }} }} }} }} }}")
    nodes = [{"id": "p", "variants": {"nodes": [{"id": "v"}] * count}} for count in variants]
    assert cost.actual(fields, {"products": {"nodes": nodes}}) <= cost.requested(fields)
