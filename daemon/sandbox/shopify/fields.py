"""Where the root fields get their values from, and the resolvers of all types together."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

from daemon.sandbox.shopify.access import SCOPE_DESCRIPTIONS, TYPE_ACCESS, check_access
from daemon.sandbox.shopify.bulk import BulkOperation
from daemon.sandbox.shopify.bulk_fields import BULK_MUTATIONS, BULK_OPERATION, bulk_operation, bulk_operations
from daemon.sandbox.shopify.collection_fields import COLLECTION, collection_by_identifier
from daemon.sandbox.shopify.common_fields import OWN_APP, Resolver, count_of, page_request
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.customer_fields import ADDRESS, CUSTOMER
from daemon.sandbox.shopify.inventory_fields import INVENTORY_ITEM, LEVEL, LOCATION, StockedItem, StockLevel
from daemon.sandbox.shopify.inventory_writes import ADJUSTMENT_GROUP, INVENTORY_MUTATIONS
from daemon.sandbox.shopify.listings import Found, Listings
from daemon.sandbox.shopify.metafields import DEFINITION, METAFIELD, METAFIELD_MUTATIONS, definition_of, definitions_of
from daemon.sandbox.shopify.paging import ConnectionPage, bad_request, take_page
from daemon.sandbox.shopify.product_fields import MEDIA_IMAGE, PRODUCT, VARIANT, MediaImage
from daemon.sandbox.shopify.product_writes import PRODUCT_MUTATIONS
from daemon.sandbox.shopify.records import (
    Collection,
    CustomerRecord,
    LocationRecord,
    MetafieldDefinitionRecord,
    MetafieldRecord,
    Product,
    Variant,
)
from daemon.sandbox.shopify.tag_writes import TAG_MUTATIONS
from daemon.sandbox.shopify.values import gid, parse_gid, written_time
from daemon.sandbox.shopify.webhook_fields import (
    WEBHOOK_MUTATIONS,
    WEBHOOK_SUBSCRIPTION,
    webhook_subscription,
    webhook_subscriptions,
)
from daemon.sandbox.shopify.webhooks import WebhookSubscription

MAX_IDS = 250  # Shopify: "Input arguments that accept an array have a maximum size of 250"

KINDS: Mapping[type, str] = {
    BulkOperation: "BulkOperation",
    Product: "Product",
    Variant: "ProductVariant",
    StockedItem: "InventoryItem",
    StockLevel: "InventoryLevel",
    Collection: "Collection",
    CustomerRecord: "Customer",
    LocationRecord: "Location",
    MediaImage: "MediaImage",
    MetafieldRecord: "Metafield",
    MetafieldDefinitionRecord: "MetafieldDefinition",
    WebhookSubscription: "WebhookSubscription",
}


def _lists(find: Callable[..., Found[Any]]) -> Resolver:
    def resolve(_: object, info: Info, **arguments: Any) -> ConnectionPage[Any]:
        request = page_request(info, arguments)
        reverse = bool(arguments.get("reverse"))
        found = find(info.context.listings, arguments.get("query"), arguments.get("sortKey") or "ID", reverse=reverse)
        _report_search(info, arguments, found)
        shape, window = info.context.cursor_shape, info.context.window
        return take_page(found.listing, request, shape) if window is None else window.take(found.listing, shape)

    return resolve


def _counts(find: Callable[..., Found[Any]]) -> Resolver:
    def resolve(_: object, info: Info, **arguments: Any) -> dict[str, Any]:
        found = find(info.context.listings, arguments.get("query"))
        _report_search(info, arguments, found)
        return count_of(len(found.listing.rows), arguments.get("limit"))

    return resolve


def _report_search(info: Info, arguments: Mapping[str, Any], found: Found[Any]) -> None:
    if found.search is None or not found.search.warnings:
        return
    info.context.searches.append(
        {
            "path": info.path.as_list(),
            "query": arguments["query"],
            "parsed": found.search.parsed,
            "warnings": list(found.search.warnings),
        }
    )


def _record(kind: str) -> Resolver:
    def resolve(_: object, info: Info, **arguments: str | None) -> object:
        text = arguments.get("id")
        if text is None:  # only `location` may go without: the shop's first
            return next(iter(info.context.state.locations.values()), None)
        found_kind, number = parse_gid(text)
        if found_kind != kind:
            raise bad_request(f"Invalid id: {text}")
        return _find(info, kind, number)

    return resolve


def _node(_: object, info: Info, **arguments: str) -> object:
    return _any_record(info, arguments["id"])


def _nodes(_: object, info: Info, ids: Sequence[str]) -> list[object]:
    if len(ids) > MAX_IDS:
        raise bad_request(f"The input array size of {len(ids)} is greater than the maximum allowed of {MAX_IDS}.")
    return [_any_record(info, each) for each in ids]


def _any_record(info: Info, text: str) -> object:
    kind, number = parse_gid(text)
    check_access(info.field_name, TYPE_ACCESS.get(kind, ()), info.context.scopes)
    return _find(info, kind, number)


def _find(info: Info, kind: str, number: int) -> object:
    state = info.context.state
    match kind:
        case "Product":
            return state.products.get(number)
        case "ProductVariant":
            return state.variants.get(number)
        case "InventoryItem":
            variant = state.inventory_items.get(number)
            return None if variant is None else StockedItem(variant)
        case "Collection":
            return state.collections.get(number)
        case "BulkOperation":
            return info.context.bulk.find(number)
        case "Customer":
            return state.customers.get(number)
        case "Location":
            return state.locations.get(number)
        case _:
            return None


def _shop(_: object, info: Info) -> dict[str, Any]:
    profile = info.context.profile
    now = datetime.now(ZoneInfo(profile.zone))
    url = f"https://{profile.domain}"
    plan = {"displayName": "Basic", "publicDisplayName": "Basic", "partnerDevelopment": False, "shopifyPlus": False}
    return {
        "id": gid("Shop", 60_000_000_000 + crc32(profile.domain.encode())),
        "name": profile.name,
        "email": f"chu-shop@{profile.domain}",
        "contactEmail": f"chu-shop@{profile.domain}",
        "myshopifyDomain": profile.domain,
        "primaryDomain": {"id": gid("Domain", 1), "host": profile.domain, "url": url, "sslEnabled": True},
        "url": url,
        "currencyCode": profile.currency,
        "ianaTimezone": profile.zone,
        "timezoneOffset": now.strftime("%z"),
        "timezoneOffsetMinutes": int((now.utcoffset() or now - now).total_seconds() // 60),
        "taxesIncluded": profile.taxes_included,
        "weightUnit": "KILOGRAMS",
        "plan": plan,
        "createdAt": written_time(profile.opened_at),
        "updatedAt": written_time(profile.opened_at),
    }


def _installation(_: object, info: Info) -> dict[str, Any]:
    return {
        "id": gid("AppInstallation", 1),
        "app": OWN_APP,
        "accessScopes": [
            {"handle": scope, "description": SCOPE_DESCRIPTIONS.get(scope, scope)}
            for scope in sorted(info.context.scopes)
        ],
    }


_QUERIES: dict[str, Resolver] = {
    "bulkOperation": bulk_operation,
    "bulkOperations": bulk_operations,
    "collection": _record("Collection"),
    "collectionByIdentifier": collection_by_identifier,
    "currentAppInstallation": _installation,
    "customer": _record("Customer"),
    "customers": _lists(Listings.customers),
    "customersCount": _counts(Listings.customers),
    "inventoryItem": _record("InventoryItem"),
    "location": _record("Location"),
    "locations": _lists(Listings.locations),
    "metafieldDefinition": definition_of,
    "metafieldDefinitions": definitions_of,
    "node": _node,
    "nodes": _nodes,
    "product": _record("Product"),
    "productVariant": _record("ProductVariant"),
    "productVariants": _lists(Listings.variants),
    "productVariantsCount": _counts(Listings.variants),
    "products": _lists(Listings.products),
    "productsCount": _counts(Listings.products),
    "shop": _shop,
    "webhookSubscription": webhook_subscription,
    "webhookSubscriptions": webhook_subscriptions,
}


RESOLVERS: Mapping[str, Mapping[str, Resolver]] = {
    "QueryRoot": _QUERIES,
    "Mutation": {
        **BULK_MUTATIONS,
        **INVENTORY_MUTATIONS,
        **PRODUCT_MUTATIONS,
        **METAFIELD_MUTATIONS,
        **TAG_MUTATIONS,
        **WEBHOOK_MUTATIONS,
    },
    "BulkOperation": BULK_OPERATION,
    "InventoryAdjustmentGroup": ADJUSTMENT_GROUP,
    "Metafield": METAFIELD,
    "MetafieldDefinition": DEFINITION,
    "Product": PRODUCT,
    "ProductVariant": VARIANT,
    "InventoryItem": INVENTORY_ITEM,
    "InventoryLevel": LEVEL,
    "Location": LOCATION,
    "Collection": COLLECTION,
    "Customer": CUSTOMER,
    "MailingAddress": ADDRESS,
    "MediaImage": MEDIA_IMAGE,
    "WebhookSubscription": WEBHOOK_SUBSCRIPTION,
}
