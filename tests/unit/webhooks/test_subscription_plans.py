"""What a store is to be told of: by what its configuration uses, and with the fields that are read."""

import gzip
import os
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from daemon.config import StoreSettings
from daemon.ids import StoreName
from daemon.inbox.topics import topics_of
from daemon.jobs.types import Source
from daemon.sources.shopify.webhooks import SubscribedTopic
from daemon.webhooks.subscriptions import (
    FIELDS,
    MERGE,
    compare,
    topic_name,
    wanted_events,
    wanted_topics,
    webhook_address,
)

PRODUCTS = {"product_sync": {"locations": {"1": [1]}}}
CUSTOMERS: dict[str, Any] = {"customer_sync": {}}
NHANH = {"app_id": 1, "business_id": 2, "access_token": {"env": "N"}, "secret_key": {"env": "K"}}
SHOPIFY = {"shop": "x", "access_token": {"env": "S"}}
ALL_SCOPES = frozenset({"write_products", "write_inventory", "write_customers", "read_customer_merge"})
SCHEMA = Path(
    os.environ.get(
        "DONGBO_SHOPIFY_SCHEMA", Path(__file__).parents[3].parent / "shared" / "shopify" / "admin_2026-10.json.gz"
    )
)


def a_store(**sections: Any) -> StoreSettings:
    """A store with both sides and these sections."""
    return StoreSettings.model_validate({"nhanh": NHANH, "shopify": SHOPIFY, **sections})


def names(store: StoreSettings) -> set[str]:
    """The topics of Shopify that a store is to be told of."""
    return {wanted.name for wanted in wanted_topics(store, ALL_SCOPES)}


def test_a_store_that_syncs_nothing_is_told_of_little() -> None:
    """Of the end of bulk operations, which pulls run, and of its app's removal."""
    assert names(a_store()) == {"bulk_operations/finish", "app/uninstalled"}
    assert wanted_events(a_store()) == ("appUninstalled",)


def test_a_store_with_one_side_only_pushes_nothing() -> None:
    """So nothing has to be known at once."""
    store = StoreSettings.model_validate({"shopify": SHOPIFY, **PRODUCTS, **CUSTOMERS})
    assert names(store) == {"bulk_operations/finish", "app/uninstalled"}


def test_each_sync_brings_its_topics() -> None:
    """Products with their stock; customers, whose totals move with orders at Nhanh.vn."""
    products, customers = a_store(**PRODUCTS), a_store(**CUSTOMERS)
    assert {"products/update", "inventory_levels/update"} <= names(products)
    assert not any(name.startswith("customers/") for name in names(products))
    assert {"customers/update", MERGE} <= names(customers)
    assert not any(name.startswith("products/") for name in names(customers))
    assert {"inventoryChange", "productUpdate", "orderAdd"} <= set(wanted_events(products))
    assert set(wanted_events(customers)) == {"appUninstalled", "orderAdd", "orderUpdate", "orderPartialReturn"}


def test_a_merge_is_told_only_where_its_scope_is_granted_anyway() -> None:
    """Nobody is asked to grant a scope for it alone."""
    store = a_store(**CUSTOMERS)
    assert MERGE not in {wanted.name for wanted in wanted_topics(store, ALL_SCOPES - {"read_customer_merge"})}


def test_the_fields_asked_for_are_enough() -> None:
    """Without `updated_at`, Shopify drops what is the same under the other fields; no personal data is asked for."""
    for name, fields in FIELDS.items():
        assert "updated_at" in fields, name
        assert not {"email", "phone", "first_name", "addresses"} & set(fields), name
    assert set(FIELDS) <= {topic.name for topic in topics_of(Source.SHOPIFY)}


def test_a_topic_that_is_there_twice_is_deleted_once() -> None:
    """The first stays."""
    wanted = [each for each in wanted_topics(a_store(), ALL_SCOPES) if each.name == "app/uninstalled"]
    present = [
        msgspec.convert(
            {
                "id": f"gid://shopify/WebhookSubscription/{number}",
                "topic": "APP_UNINSTALLED",
                "uri": "https://a/",
                "format": "JSON",
                "filter": "",
                "include_fields": (),
                "api_version": "2026-10",
                "updated_at": "2026-10-01T00:00:00Z",
            },
            SubscribedTopic,
        )
        for number in (1, 2)
    ]
    plan = compare("https://a/", wanted, present, ALL_SCOPES)
    assert [each.id[-1] for each in plan.right] == ["1"]
    assert [each.id[-1] for each in plan.stale] == ["2"]


def test_addresses_and_names() -> None:
    """A store's address on each side; a topic that nobody here knows keeps Shopify's name."""
    assert webhook_address("https://a.example/", Source.NHANH, StoreName("main")) == (
        "https://a.example/webhooks/nhanh/main"
    )
    assert topic_name("PRODUCTS_UPDATE") == "products/update"
    assert topic_name("ORDERS_PAID") == "ORDERS_PAID"


@pytest.mark.contract
def test_topics_and_scopes_are_shopifys() -> None:
    """Every topic exists, and what its description says of scopes is what is asked for."""
    if not SCHEMA.is_file():
        pytest.skip(f"Shopify's official schema is not at {SCHEMA}: set DONGBO_SHOPIFY_SCHEMA to run the contract test")
    types = orjson.loads(gzip.decompress(SCHEMA.read_bytes()))["data"]["__schema"]["types"]
    (enum,) = (each for each in types if each["name"] == "WebhookSubscriptionTopic")
    described = {value["name"]: value["description"] for value in enum["enumValues"]}
    store = a_store(**PRODUCTS, **CUSTOMERS)
    for wanted in wanted_topics(store, ALL_SCOPES):
        text = described[wanted.topic.shopify_name]
        assert f"`{wanted.name}`" in text
        for scope in wanted.scopes:
            assert f"`{scope}` scope" in text
        assert bool(wanted.scopes) == ("Requires the" in text)
