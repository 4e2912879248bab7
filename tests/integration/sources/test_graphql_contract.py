"""Every GraphQL operation of the Shopify client against Shopify's official schema."""

import gzip
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import graphql
import orjson
import pytest
from aiohttp import web
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    visit,
)

from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.bulk import BUSY_CODES
from daemon.sources.shopify.bulk_state import BulkStatus
from daemon.sources.shopify.client import IN_BULK_FROM, ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.errors import CODES_OF_MESSAGES, KEY_LOST_CODES, UNDER_WAY_CODES
from daemon.sources.shopify.operations import BULK_QUERIES, OPERATIONS
from daemon.sources.shopify.writes import (
    ANY,
    CALL_CODES,
    ITEM_GONE_CODES,
    METAFIELD_STALE_CODES,
    PRICE_GONE_CODES,
    STALE_CODES,
    UNCONFIRMED,
    MetafieldChange,
    PriceChange,
    StockChange,
)

SCHEMA_VARIABLE = "DONGBO_SHOPIFY_SCHEMA"
DEFAULT_SCHEMA = Path(__file__).parents[3] / "../shared/shopify/admin_2026-10.json.gz"

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


DOCUMENTS = {operation.name: operation.document for operation in (*OPERATIONS.values(), *BULK_QUERIES.values())}


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_an_operation_is_valid(name: str) -> None:
    """Fields, arguments, fragments and the types of variables are those of Shopify's schema."""
    document = graphql.parse(DOCUMENTS[name])
    assert graphql.validate(official_schema(), document) == []


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_an_operation_uses_nothing_deprecated(name: str) -> None:
    """What Shopify is about to remove is not asked for."""
    info = TypeInfo(official_schema())
    deprecations = Deprecations(info)
    visit(graphql.parse(DOCUMENTS[name]), TypeInfoVisitor(info, deprecations))
    assert deprecations.found == []


def test_the_check_can_fail() -> None:
    """A field that does not exist and one that is deprecated are noticed."""
    assert graphql.validate(official_schema(), graphql.parse("{ shop { nonsense } }"))
    info = TypeInfo(official_schema())
    deprecations = Deprecations(info)
    visit(graphql.parse("{ customer(id: 1) { email } }"), TypeInfoVisitor(info, deprecations))
    assert len(deprecations.found) == 1


def inputs(schema_type: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Every input field that a value uses, with its definition."""
    kind = graphql.get_nullable_type(schema_type)
    if isinstance(kind, graphql.GraphQLList):
        for item in value or ():
            yield from inputs(kind.of_type, item)
    elif isinstance(kind, graphql.GraphQLInputObjectType):
        for name, item in (value or {}).items():
            yield f"{kind.name}.{name}", kind.fields[name]
            yield from inputs(kind.fields[name].type, item)


def mutation_fields(name: str) -> list[FieldNode]:
    """The top fields of an operation, if it is a mutation."""
    document = graphql.parse(OPERATIONS[name].document)
    return [
        field
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION
        for field in node.selection_set.selections
        if isinstance(field, FieldNode)
    ]


@pytest.mark.parametrize("name", sorted(name for name in OPERATIONS if mutation_fields(name)))
def test_a_mutation_carries_a_key_where_shopify_demands_one(name: str) -> None:
    """`@idempotent` is on the mutations whose description requires it, and on no others; the schema can't tell."""
    (field,) = mutation_fields(name)
    mutations = official_schema().mutation_type
    assert mutations is not None
    described = mutations.fields[field.name.value].description or ""
    demanded = "idempotency key is required" in described
    assert [directive.name.value for directive in field.directives or ()] == (["idempotent"] if demanded else [])


def test_the_messages_that_stand_for_codes_are_shopifys() -> None:
    """Where an error has no code, it is known by the schema's wording."""
    kind = official_schema().type_map["InventorySetQuantitiesUserErrorCode"]
    assert isinstance(kind, graphql.GraphQLEnumType)
    for message, code in CODES_OF_MESSAGES.items():
        assert kind.values[code].description == message


def test_the_codes_that_are_acted_on_exist() -> None:
    """Each code is one of the schema's, but for one of our own."""
    schema = official_schema()
    for enum, codes in (
        ("InventorySetQuantitiesUserErrorCode", STALE_CODES | CALL_CODES | ITEM_GONE_CODES),
        ("InventorySetQuantitiesUserErrorCode", KEY_LOST_CODES | UNDER_WAY_CODES),
        ("BulkOperationUserErrorCode", BUSY_CODES),
        ("MetafieldsSetUserErrorCode", METAFIELD_STALE_CODES),
        ("ProductVariantsBulkUpdateUserErrorCode", PRICE_GONE_CODES),
    ):
        kind = schema.type_map[enum]
        assert isinstance(kind, graphql.GraphQLEnumType)
        assert codes <= set(kind.values)
        assert UNCONFIRMED not in kind.values


def test_the_states_of_bulk_operations_are_shopifys() -> None:
    """All of them, so that none is a surprise."""
    kind = official_schema().type_map["BulkOperationStatus"]
    assert isinstance(kind, graphql.GraphQLEnumType)
    assert set(kind.values) == set(BulkStatus)


FAILS = "tag:poison"  # over these rows Shopify fails, whatever is asked of them but their ids
PAGE = {"pageInfo": {"hasNextPage": True, "endCursor": "c"}}
LAST = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": []}
QUANTITIES = [{"name": name, "quantity": 2} for name in ("available", "on_hand")]
LEVEL = {"isActive": True, "location": {"id": "gid://shopify/Location/5"}, "quantities": QUANTITIES}
ITEM = {"id": "gid://shopify/InventoryItem/3", "tracked": True, "inventoryLevels": PAGE | {"nodes": [LEVEL]}}
VARIANT = {"id": "gid://shopify/ProductVariant/2", "price": "1", "compareAtPrice": None, "inventoryItem": ITEM}
PRODUCT = {"id": "gid://shopify/Product/1", "variants": PAGE | {"nodes": [VARIANT]}}
METAFIELD = {
    "namespace": "custom",
    "key": "tier",
    "compareDigest": "d",
    "owner": {"id": "gid://shopify/Customer/1"},
}
RUNNING = {
    "id": "gid://shopify/BulkOperation/1",
    "status": "RUNNING",
    "errorCode": None,
    "objectCount": "0",
    "rootObjectCount": "0",
    "fileSize": None,
    "url": None,
    "partialDataUrl": None,
}
DATA: dict[str, Any] = {
    "RunBulkQuery": {"bulkOperationRunQuery": {"bulkOperation": RUNNING, "userErrors": []}},
    "BulkOperation": {"bulkOperation": RUNNING | {"rootObjectCount": str(IN_BULK_FROM + 1)}},
    "BulkOperations": {"bulkOperations": {"nodes": []}},
    "CancelBulkOperation": {"bulkOperationCancel": {"userErrors": []}},
    "Products": {"products": LAST | {"nodes": [PRODUCT]}},
    "ProductsByIds": {"nodes": [PRODUCT] * IN_BULK_FROM},
    "ProductVariants": {"product": {"variants": LAST}},
    "ProductsCount": {"productsCount": {"count": 1, "precision": "EXACT"}},
    "ProductChanges": {
        "products": LAST | {"nodes": [{"id": f"gid://shopify/Product/{n}"} for n in range(1, IN_BULK_FROM + 1)]}
    },
    "ProductHorizon": {"shop": {"id": "gid://shopify/Shop/1"}, "products": LAST},
    "CustomerChanges": {"customers": LAST},
    "CustomerHorizon": {"shop": {"id": "gid://shopify/Shop/1"}, "customers": LAST},
    "Customers": {"customers": LAST},
    "CustomersByIds": {"nodes": [None, None]},
    "CustomerIds": {"customers": LAST},
    "ProductIds": {"products": LAST},
    "CustomersCount": {"customersCount": {"count": 1, "precision": "EXACT"}},
    "GrantedScopes": {"currentAppInstallation": {"accessScopes": []}},
    "Shop": {
        "shop": {
            "id": "gid://shopify/Shop/1",
            "name": "x",
            "myshopifyDomain": "x",
            "currencyCode": "VND",
            "taxesIncluded": True,
            "ianaTimezone": "UTC",
            "plan": {"publicDisplayName": "Basic", "shopifyPlus": False, "partnerDevelopment": False},
        }
    },
    "MetafieldDefinitions": {"totalSpentMetafield": LAST, "tierMetafield": LAST},
    "MoreLevels": {"inventoryItem": {"inventoryLevels": LAST}},
    "StockLevels": {"nodes": [ITEM]},
    "CollectionProducts": {
        "collectionByIdentifier": {
            "id": "gid://shopify/Collection/6",
            "handle": "sale",
            "title": "Sale",
            "products": LAST | {"nodes": [PRODUCT]},
        }
    },
    "PresentPrices": {"nodes": [VARIANT]},
    "ProductVersions": {"nodes": [{"id": "gid://shopify/Product/1", "updatedAt": "2024-01-01T00:00:00Z"}]},
    "Locations": {"locations": LAST},
    "SetStock": {"inventorySetQuantities": {"userErrors": []}},
    "ActivateItem": {"inventoryActivate": {"inventoryLevel": LEVEL, "userErrors": []}},
    "ActivateItemAt": {"inventoryBulkToggleActivation": {"inventoryLevels": [LEVEL], "userErrors": []}},
    "SetPrices": {"productVariantsBulkUpdate": {"productVariants": [VARIANT], "userErrors": []}},
    "SetMetafields": {"metafieldsSet": {"metafields": [METAFIELD], "userErrors": []}},
    "AddTags": {"tagsAdd": {"userErrors": []}},
    "RemoveTags": {"tagsRemove": {"userErrors": []}},
    "WebhookSubscriptions": {"webhookSubscriptions": LAST},
    "CreateWebhookSubscription": {"webhookSubscriptionCreate": {"userErrors": []}},
    "UpdateWebhookSubscription": {"webhookSubscriptionUpdate": {"userErrors": []}},
    "DeleteWebhookSubscription": {"webhookSubscriptionDelete": {"userErrors": []}},
}


async def _drain(pages: AsyncIterator[Any]) -> None:
    async for _ in pages:
        pass


async def _call_everything(shopify: ShopifyClient) -> None:
    meter = CallMeter()

    async def nothing(_ids: Sequence[int]) -> dict[int, datetime | None]:
        return {}

    stock = [StockChange(3, 5, expected=2, quantity=7), StockChange(4, 5, expected=None, quantity=0)]
    prices = [PriceChange(2, Decimal("1E+5"), None), PriceChange(3, compare_at_price=Decimal("12.50"))]
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: _drain(shopify.products(None, after=None, meter=meter)),
        lambda: _drain(shopify.products("status:active", after="cursor", meter=meter, sort="UPDATED_AT")),
        lambda: _drain(shopify.customers(None, after=None, meter=meter)),
        lambda: _drain(shopify.products(FAILS, after=None, meter=meter)),
        lambda: _drain(shopify.customers(FAILS, after=None, meter=meter)),
        lambda: _drain(shopify.customers("tag:vip", after="cursor", meter=meter, sort="UPDATED_AT")),
        lambda: shopify.identity(meter=meter),
        lambda: shopify.product_horizon(meter=meter),
        lambda: shopify.customer_horizon(meter=meter),
        lambda: _drain(shopify.product_changes("tag:new", after=None, known=nothing, meter=meter)),
        lambda: _drain(shopify.customer_changes(None, after="cursor", known=nothing, meter=meter)),
        lambda: shopify.products_in_bulk(None).begin(meter, since=datetime.now(UTC)),
        lambda: shopify.products_count(None, meter=meter),
        lambda: shopify.customers_count("tag:vip", meter=meter),
        lambda: shopify.products_by_ids([1], meter=meter),
        lambda: shopify.customers_by_ids([1, 2], meter=meter),
        shopify.locations,
        lambda: shopify.stock_levels([3], meter=meter),
        lambda: shopify.present_prices([2], meter=meter),
        lambda: shopify.product_versions([1], meter=meter),
        lambda: shopify.collection_products("sale", meter=meter),
        lambda: shopify.collection_products("6", meter=meter),
        lambda: shopify.set_stock(stock, key=uuid4(), reference="gid://dongbo/Job/1", meter=meter),
        lambda: shopify.set_stock(stock, key=uuid4(), reference="dongbo://jobs/1", meter=meter, name="on_hand"),
        lambda: shopify.activate_item(3, 5, key=uuid4(), meter=meter),
        lambda: shopify.activate_item_at(3, [5, 6], meter=meter),
        lambda: shopify.set_prices(1, prices, meter=meter),
        shopify.customer_definitions,
        lambda: shopify.set_metafields([MetafieldChange(1, "custom.tier", "t", "GOLD", ANY)], meter=meter),
        lambda: shopify.set_metafields([MetafieldChange(1, "custom.tier", "t", "GOLD", None)], meter=meter),
        lambda: shopify.add_tags(1, ["vip"], meter=meter),
        lambda: shopify.remove_tags(1, ["vip"], meter=meter),
        lambda: shopify.webhooks.all(meter=meter),
        lambda: shopify.webhooks.create("PRODUCTS_UPDATE", "https://hooks.example.com/x", ["id"], meter=meter),
        lambda: shopify.webhooks.update("gid://shopify/WebhookSubscription/1", ["id"], meter=meter),
        lambda: shopify.webhooks.delete("gid://shopify/WebhookSubscription/1", meter=meter),
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
        name, query = sent[-1]["operationName"], sent[-1]["variables"].get("query")
        if query == FAILS and not name.endswith("Ids"):
            return web.json_response({"errors": [{"message": "No", "extensions": {"code": "TIMEOUT"}}]})
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
                ShopifyClient(
                    session,
                    shop="x",
                    credential=PermanentToken("t"),
                    base_url=url,
                    limits=LimiterRegistry(),
                    backoff=Backoff(initial=0.001, maximum=0.001),
                )
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
    for definition in operation.variable_definitions or ():
        declared_type = graphql.type_from_ast(official_schema(), definition.type)
        for name, field in inputs(declared_type, request["variables"].get(definition.variable.name.value)):
            assert not field.deprecation_reason, name
    return found if isinstance(found, list) else []
