"""Records as Shopify's webhooks tell them: in the shape of the REST Admin API.

Source: shopify.dev, "Webhooks". Enumerations are in small letters, tags are one text, times in the shop's zone. Of a
product with more than 100 variants only 100 come whole, and all by id in `variant_gids`. Since 2025-01 the tags and
totals of customers are told by topics of their own.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from daemon.sandbox.shopify.bulk import BulkOperation
from daemon.sandbox.shopify.records import (
    AddressRecord,
    Collection,
    CustomerRecord,
    LevelRecord,
    LocationRecord,
    Product,
    ShopProfile,
    Variant,
)
from daemon.sandbox.shopify.values import gid, written_money

WHOLE_VARIANTS = 100

Json = dict[str, Any]


def product(record: Product, profile: ShopProfile) -> Json:
    """The body of products/create and products/update."""
    return {
        "id": record.id,
        "admin_graphql_api_id": gid("Product", record.id),
        "title": record.title,
        "handle": record.handle,
        "body_html": record.description_html,
        "vendor": record.vendor,
        "product_type": record.product_type,
        "tags": ", ".join(record.tags),
        "status": record.status.lower(),
        "published_scope": "global",
        "published_at": _time(record.published_at, profile),
        "created_at": _time(record.created_at, profile),
        "updated_at": _time(record.updated_at, profile),
        "template_suffix": None,
        "options": [
            {"name": name, "product_id": record.id, "position": position}
            for position, name in enumerate(record.option_names, start=1)
        ],
        "variants": [_variant(variant, profile) for variant in record.variants[:WHOLE_VARIANTS]],
        "variant_gids": [
            {"admin_graphql_api_id": gid("ProductVariant", v.id), "updated_at": _time(v.updated_at, profile)}
            for v in record.variants
        ],
        "has_variants_that_requires_components": any(v.requires_components for v in record.variants),
        "images": [],
        "image": None,
        "media": [],
        "category": None,
    }


def _variant(record: Variant, profile: ShopProfile) -> Json:
    options = (*record.option_values, None, None, None)
    return {
        "id": record.id,
        "admin_graphql_api_id": gid("ProductVariant", record.id),
        "product_id": record.product_id,
        "title": record.title,
        "sku": record.sku,
        "barcode": record.barcode,
        "price": written_money(record.price, profile.currency),
        "compare_at_price": written_money(record.compare_at_price, profile.currency),
        "position": record.position,
        "option1": options[0],
        "option2": options[1],
        "option3": options[2],
        "inventory_item_id": record.inventory_item_id,
        "inventory_policy": record.inventory_policy.lower(),
        "inventory_quantity": record.inventory_quantity,
        "old_inventory_quantity": record.inventory_quantity,
        "taxable": record.taxable,
        "image_id": None,
        "created_at": _time(record.created_at, profile),
        "updated_at": _time(record.updated_at, profile),
    }


def level(variant: Variant, record: LevelRecord, profile: ShopProfile) -> Json:
    """The body of inventory_levels/connect and inventory_levels/update."""
    item_id = variant.inventory_item_id
    return {
        "inventory_item_id": item_id,
        "location_id": record.location_id,
        "available": record.available,
        "updated_at": _time(record.updated_at, profile),
        "admin_graphql_api_id": f"{gid('InventoryLevel', record.location_id)}?inventory_item_id={item_id}",
    }


def customer(record: CustomerRecord, profile: ShopProfile) -> Json:
    """The body of customers/create and customers/update."""
    addresses = [_address(address, record.id) for address in record.addresses]
    return {
        "id": record.id,
        "admin_graphql_api_id": gid("Customer", record.id),
        "first_name": record.first_name,
        "last_name": record.last_name,
        "email": record.email,
        "phone": record.phone,
        "note": record.note,
        "state": record.state.lower(),
        "verified_email": record.state == "ENABLED",
        "tax_exempt": False,
        "tax_exemptions": [],
        "currency": profile.currency,
        "created_at": _time(record.created_at, profile),
        "updated_at": _time(record.updated_at, profile),
        "addresses": addresses,
        "default_address": addresses[0] | {"default": True} if addresses else None,
    }


def _address(record: AddressRecord, customer_id: int) -> Json:
    names = ("id", "first_name", "last_name", "company", "address1", "address2", "city", "province", "country", "zip")
    written = {name: getattr(record, name) for name in (*names, "phone", "province_code", "country_code")}
    return written | {"customer_id": customer_id, "country_name": record.country, "default": False}


def location(record: LocationRecord, profile: ShopProfile) -> Json:
    """The body of the locations' events, but for locations/delete."""
    return {
        "id": record.id,
        "admin_graphql_api_id": gid("Location", record.id),
        "name": record.name,
        "city": record.city,
        "country": "VN",
        "active": record.is_active,
        "legacy": record.is_fulfillment_service,
        "created_at": _time(record.created_at, profile),
        "updated_at": _time(record.updated_at, profile),
    }


def collection(record: Collection, profile: ShopProfile) -> Json:
    """The body of collections/create and collections/update."""
    return {
        "id": record.id,
        "admin_graphql_api_id": gid("Collection", record.id),
        "handle": record.handle,
        "title": record.title,
        "updated_at": _time(record.updated_at, profile),
    }


def shop(profile: ShopProfile) -> Json:
    """The body of app/uninstalled and shop/update."""
    return {
        "name": profile.name,
        "domain": profile.domain,
        "myshopify_domain": profile.domain,
        "currency": profile.currency,
        "iana_timezone": profile.zone,
        "taxes_included": profile.taxes_included,
        "created_at": _time(profile.opened_at, profile),
    }


def bulk_operation(record: BulkOperation, profile: ShopProfile) -> Json:
    """The body of bulk_operations/finish."""
    return {
        "admin_graphql_api_id": gid("BulkOperation", record.id),
        "status": record.status.lower(),
        "type": "query",
        "error_code": record.error_code.lower() if record.error_code else None,
        "created_at": _time(record.created_at, profile),
        "completed_at": _time(record.completed_at, profile),
    }


def only(content: Mapping[str, Any], fields: frozenset[str]) -> Json:
    """The body of a subscription that asks for these fields; "variants.id" is a field of each of the variants."""
    kept: Json = {}
    for name, value in content.items():
        inner = frozenset(field.removeprefix(f"{name}.") for field in fields if field.startswith(f"{name}."))
        if name in fields:
            kept[name] = value
        elif inner and isinstance(value, list):
            kept[name] = [only(each, inner) for each in value]
        elif inner and isinstance(value, dict):
            kept[name] = only(value, inner)
    return kept


def _time(moment: datetime | None, profile: ShopProfile) -> str | None:
    return None if moment is None else moment.astimezone(ZoneInfo(profile.zone)).isoformat(timespec="seconds")
