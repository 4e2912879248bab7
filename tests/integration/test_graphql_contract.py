"""Every GraphQL operation of the Shopify client against Shopify's official schema."""

import gzip
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import graphql
import orjson
import pytest
from aiohttp import web
from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, TypeInfo, TypeInfoVisitor, Visitor, visit

from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.operations import OPERATIONS

SCHEMA_VARIABLE = "DONGBO_SHOPIFY_SCHEMA"
DEFAULT_SCHEMA = Path(__file__).parents[2] / "../shared/shopify/admin_2026-10.json.gz"

pytestmark = pytest.mark.contract


@cache
def official_schema() -> GraphQLSchema:
    path = Path(os.environ.get(SCHEMA_VARIABLE, DEFAULT_SCHEMA))
    if not path.exists():
        pytest.skip(f"Shopify's schema is not at {path.resolve()}; name it in ${SCHEMA_VARIABLE}")
    with gzip.open(path) as file:
        introspection = json.load(file)["data"]
    # graphql-core 3.3 stumbles over the defaults that the file lacks, unless it need not look.
    return graphql.build_client_schema(introspection, assume_valid=True)


class Deprecations(Visitor):
    """Collects fields and arguments that Shopify has deprecated."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info
        self.found: list[str] = []

    def enter_field(self, node: Any, *_: Any) -> None:
        field = self.info.get_field_def()
        if field is not None and field.deprecation_reason:
            self.found.append(f"{self.info.get_parent_type()}.{node.name.value}: {field.deprecation_reason}")

    def enter_argument(self, node: Any, *_: Any) -> None:
        argument = self.info.get_argument()
        if argument is not None and argument.deprecation_reason:
            self.found.append(f"argument {node.name.value}: {argument.deprecation_reason}")


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_valid(name: str) -> None:
    """Fields, arguments, fragments and the types of variables are those of Shopify's schema."""
    document = graphql.parse(OPERATIONS[name].document)
    assert graphql.validate(official_schema(), document) == []


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_uses_nothing_deprecated(name: str) -> None:
    """What Shopify is about to remove is not asked for."""
    info = TypeInfo(official_schema())
    deprecations = Deprecations(info)
    visit(graphql.parse(OPERATIONS[name].document), TypeInfoVisitor(info, deprecations))
    assert deprecations.found == []


def test_the_check_can_fail() -> None:
    """A field that does not exist and one that is deprecated are noticed."""
    assert graphql.validate(official_schema(), graphql.parse("{ shop { nonsense } }"))
    info = TypeInfo(official_schema())
    deprecations = Deprecations(info)
    visit(graphql.parse("{ customer(id: 1) { email } }"), TypeInfoVisitor(info, deprecations))
    assert len(deprecations.found) == 1


PAGE = {"pageInfo": {"hasNextPage": True, "endCursor": "c"}}
LAST = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": []}
PRODUCT = {"id": "gid://shopify/Product/1", "variants": PAGE | {"nodes": []}}
DATA: dict[str, Any] = {
    "Products": {"products": LAST | {"nodes": [PRODUCT]}},
    "ProductsByIds": {"nodes": [PRODUCT]},
    "ProductVariants": {"product": {"variants": LAST}},
    "ProductsCount": {"productsCount": {"count": 1, "precision": "EXACT"}},
    "Customers": {"customers": LAST},
    "CustomersByIds": {"nodes": [None]},
    "CustomersCount": {"customersCount": {"count": 1, "precision": "EXACT"}},
    "GrantedScopes": {"currentAppInstallation": {"accessScopes": []}},
    "Shop": {
        "shop": {
            "name": "x",
            "myshopifyDomain": "x",
            "currencyCode": "VND",
            "ianaTimezone": "UTC",
            "plan": {"publicDisplayName": "Basic", "shopifyPlus": False, "partnerDevelopment": False},
        }
    },
}


async def _drain(pages: AsyncIterator[Any]) -> None:
    async for _ in pages:
        pass


async def _call_everything(shopify: ShopifyClient) -> None:
    meter = CallMeter()
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: _drain(shopify.products(None, after=None, meter=meter)),
        lambda: _drain(shopify.products("status:active", after="cursor", meter=meter, sort="UPDATED_AT")),
        lambda: _drain(shopify.customers(None, after=None, meter=meter)),
        lambda: _drain(shopify.customers("tag:vip", after="cursor", meter=meter, sort="UPDATED_AT")),
        lambda: shopify.products_count(None, meter=meter),
        lambda: shopify.customers_count("tag:vip", meter=meter),
        lambda: shopify.products_by_ids([1], meter=meter),
        lambda: shopify.customers_by_ids([1, 2], meter=meter),
        shopify.granted_scopes,
        shopify.shop,
    ]
    for call in calls:
        await call()


async def test_the_variables_that_are_sent_fit() -> None:
    """Every call of the client sends one of the operations, with variables of the types that it declares."""
    sent: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(orjson.loads(await request.read()))
        return web.json_response({"data": DATA[sent[-1]["operationName"]]})

    application = web.Application()
    application.router.add_post("/admin/api/2026-10/graphql.json", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with open_session() as session:
            url = f"http://{host}:{port}"
            await _call_everything(
                ShopifyClient(session, shop="x", access_token="t", base_url=url, limits=LimiterRegistry())
            )
    finally:
        await runner.cleanup()
    assert {request["operationName"] for request in sent} == {operation.name for operation in OPERATIONS.values()}
    for request in sent:
        assert _variable_errors(request) == [], request["operationName"]


def _variable_errors(request: dict[str, Any]) -> list[GraphQLError]:
    document = graphql.parse(request["query"])
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    declared = {definition.variable.name.value for definition in operation.variable_definitions or ()}
    assert set(request["variables"]) <= declared
    found = graphql.execution.values.get_variable_values(
        official_schema(), operation.variable_definitions or (), request["variables"]
    )
    return found if isinstance(found, list) else []
