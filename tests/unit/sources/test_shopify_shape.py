"""What is asked for at once, and what Shopify charges for it."""

import graphql
import pytest
from graphql import OperationDefinitionNode

from daemon.sandbox.shopify import cost
from daemon.sandbox.shopify.binding import executable_schema
from daemon.sources.shopify.operations import OPERATIONS
from daemon.sources.shopify.shape import MAX_PAGE, PageShape

NAMES = dict.fromkeys(("totalSpentNamespace", "totalSpentKey", "tierNamespace", "tierKey"), "custom") | dict.fromkeys(
    ("withNames", "withEmail", "withPhone", "withAddress"), True
)


def charged(name: str, **variables: object) -> int:
    """Points that are taken at the start of a query."""
    document = graphql.parse(OPERATIONS[name].document)
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return cost.requested(cost.plan(executable_schema(), document, operation, variables))


@pytest.mark.parametrize(
    ("name", "shape", "points"),
    [
        ("products", PageShape(200, variants=50, levels=4), 842),
        ("products", PageShape(100, variants=20, levels=10), 830),
        ("products_by_ids", PageShape(10, variants=50, levels=4), 840),
        ("product_variants", PageShape(250, levels=4), 124),
        ("stock_levels", PageShape(100, levels=4), 900),
        ("customers", PageShape(250), 79),
        ("customers_by_ids", PageShape(100), 700),
        ("present_prices", PageShape(250), 250),
        ("more_levels", PageShape(250), 36),
    ],
)
def test_pages_cost_what_their_sizes_were_chosen_for(name: str, shape: PageShape, points: int) -> None:
    """Every first page is within the 1,000 points that one query may cost."""
    portion = {"first": shape.rows, "ids": ["gid"] * shape.rows}
    assert charged(name, **portion, **shape.variables, **NAMES) == points <= cost.MAX_QUERY_COST


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("products", PageShape(200, variants=50, levels=4)),
        ("products_by_ids", PageShape(10, variants=50, levels=4)),
        ("product_variants", PageShape(250, levels=4)),
        ("stock_levels", PageShape(100, levels=4)),
    ],
)
def test_any_number_of_levels_can_be_asked_for(name: str, shape: PageShape) -> None:
    """However many locations a shop has, a page of more than one row fits, and no level is given up for that."""
    while shape.grow():
        while charged(name, first=shape.rows, ids=["gid"] * shape.rows, **shape.variables) > cost.MAX_QUERY_COST:
            levels = shape.levels
            assert shape.shrink()
            assert shape.levels == levels
    assert shape.levels == MAX_PAGE
    assert shape.rows > 1
    assert not shape.grow()
