"""What a delivery names."""

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.ids import StoreName
from daemon.inbox.events import Arrival
from daemon.inbox.topics import TOPICS, EventState, Subject
from daemon.jobs.types import Source
from daemon.webhooks.reading import (
    LARGEST_ID,
    LONGEST_BODY,
    MOST_IDS,
    NO_TOPIC,
    DeliveryHeaders,
    NhanhDelivery,
    UnreadableDelivery,
    read_shopify,
)

MAIN = StoreName("main")


def nhanh(event: str, data: object = None) -> list[Arrival]:
    """What a delivery of Nhanh.vn says."""
    body = orjson.dumps({"event": event, "businessId": 64692, "data": data})
    return NhanhDelivery.of(body).arrivals(MAIN)


def shopify(topic: str, document: Mapping[str, Any], **headers: str) -> Arrival:
    """What a delivery of Shopify says."""
    envelope = DeliveryHeaders.of({"X-Shopify-Topic": topic} | headers)
    [arrival] = read_shopify(MAIN, envelope, json.dumps(document).encode())
    return arrival


def test_stock_of_several_products_is_one_row() -> None:
    """A call of Nhanh.vn may bring many products; of their figures nothing is kept."""
    [row] = nhanh("inventoryChange", [{"id": 3, "available": 5, "depots": [{"id": 9}]}, {"id": "4"}, {"id": 3}])
    assert (row.subject, row.subject_ids, row.hint, row.state) == (
        Subject.NHANH_PRODUCT,
        (3, 4),
        None,
        EventState.WAITING,
    )


def test_very_many_products_are_several_rows_of_one_delivery() -> None:
    """No row of the inbox is larger than a job can read at once."""
    rows = nhanh("inventoryChange", [{"id": number} for number in range(1, 2 * MOST_IDS + 2)])
    assert [len(row.subject_ids) for row in rows] == [MOST_IDS, MOST_IDS, 1]
    assert [row.is_first for row in rows] == [True, False, False]


def test_an_order_names_products_and_its_customer() -> None:
    """Components of a combo and gifts move stock as well."""
    order = {
        "info": {"id": 1, "depotId": 2},
        "shippingAddress": {"id": "77", "name": "Lan", "mobile": "0901234567"},
        "products": [
            {"id": 10, "combos": [{"id": 11, "quantity": 2}], "gifts": [{"id": 12}]},
            {"id": 13, "combos": None},
        ],
        "gifts": [{"id": 14}],
    }
    products, customer = nhanh("orderUpdate", order)
    assert (products.subject, products.subject_ids) == (Subject.NHANH_PRODUCT, (10, 11, 12, 13, 14))
    assert (customer.subject, customer.subject_ids) == (Subject.NHANH_CUSTOMER, (77,))
    assert (products.is_first, customer.is_first) == (True, False)
    assert "Lan" not in repr((products, customer))


def test_an_order_of_nobody_is_about_its_products() -> None:
    """And one that names nothing is noted once."""
    [row] = nhanh("orderAdd", {"products": [{"id": 10}]})
    assert row.subject is Subject.NHANH_PRODUCT
    [row] = nhanh("orderAdd", {})
    assert (row.state, row.outcome) == (EventState.NOTED, "it names nothing")


@pytest.mark.parametrize(
    ("event", "data", "ids"),
    [
        ("productUpdate", {"id": 5, "childs": [{"id": 6}, {"id": 7}]}, (5, 6, 7)),
        ("productAdd", '{"id": 5}', (5,)),  # "data: (json string)"
        ("productDelete", [100, "101", {"id": 102}], (100, 101, 102)),
    ],
)
def test_products_are_named_however_they_are_written(event: str, data: object, ids: tuple[int, ...]) -> None:
    """The documentation is not of one mind."""
    [row] = nhanh(event, data)
    assert row.subject_ids == ids


def test_what_nhanh_says_of_a_time_is_a_hint() -> None:
    """A job that knows this state already need not read it."""
    [row] = nhanh("productUpdate", {"id": 5, "updatedAt": 1_790_000_000})
    assert row.hint == {"updatedAt": 1_790_000_000}


def test_the_test_of_the_address_has_neither_business_nor_data() -> None:
    """It is noted, and answered like all others."""
    delivery = NhanhDelivery.of(b'{"event": "webhooksEnabled"}')
    assert delivery.business_id is None
    [row] = delivery.arrivals(MAIN)
    assert (row.topic, row.subject, row.state, row.body) == (
        "webhooksEnabled",
        Subject.NOTHING,
        EventState.NOTED,
        None,
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"event": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_kept_as_unreadable(body: bytes) -> None:
    """Nhanh.vn takes any answer but 200 ill."""
    [row] = NhanhDelivery.of(body).arrivals(MAIN)
    assert (row.topic, row.state) == (NO_TOPIC, EventState.NOTED)
    assert row.body is not None
    assert len(row.body) <= LONGEST_BODY
    with pytest.raises(UnreadableDelivery):
        read_shopify(MAIN, DeliveryHeaders.of({}), body)


def test_an_unknown_event_keeps_the_beginning_of_its_body() -> None:
    """So that somebody can see what it is."""
    [row] = nhanh("invoiceAdd", "x" * 10_000)
    assert (row.topic, row.subject, row.state) == ("invoiceAdd", Subject.NOTHING, EventState.NOTED)
    assert row.body is not None
    assert row.body.startswith('{"event":"invoiceAdd"')
    assert len(row.body) == LONGEST_BODY


@pytest.mark.parametrize("end", [b'", "data": 1}', b'", "data"', b""])
def test_the_verify_token_in_a_body_is_not_kept(end: bytes) -> None:
    """Rule 11: Nhanh.vn may show it there, and the inbox is in every backup; also of what is cut off, or no JSON."""
    body = b'{"event": "billAdd", "webhooksVerifyToken" : "hush/0123\\"456789' + end
    (arrival,) = NhanhDelivery.of(body).arrivals(MAIN)
    assert arrival.body is not None
    assert "hush" not in arrival.body
    assert "456789" not in arrival.body
    assert arrival.body.startswith('{"event": "billAdd", "webhooksVerifyToken" : "***')


def test_a_product_of_shopify_brings_its_figures_as_a_hint() -> None:
    """Ids, SKUs and prices of its variants, and what rules ask about."""
    variant = {"id": 8, "sku": "AD-1", "barcode": None, "price": "90.00", "compare_at_price": None, "title": "S"}
    row = shopify(
        "products/update",
        {
            "id": 7,
            "title": "Áo dài",
            "vendor": "Dongbo",
            "product_type": "",
            "tags": "sale, tet",
            "status": "active",
            "updated_at": "2026-10-03T12:11:57+07:00",
            "body_html": "<p>",
            "variants": [variant | {"inventory_item_id": 9}],
        },
        **{
            "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "X-Shopify-Triggered-At": "2026-10-03T05:11:57.123456789Z",
        },
    )
    assert (row.subject, row.subject_ids) == (Subject.SHOPIFY_PRODUCT, (7,))
    assert row.event_id == "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"
    assert row.triggered_at == datetime(2026, 10, 3, 5, 11, 57, 123456, tzinfo=UTC)
    assert row.hint == {
        "updated_at": "2026-10-03T12:11:57+07:00",
        "variants": [[8, "AD-1", None, "90.00", None, 9]],
        "title": "Áo dài",
        "vendor": "Dongbo",
        "product_type": "",
        "tags": "sale, tet",
        "status": "active",
    }


def test_a_level_names_its_item() -> None:
    """Its place and figure are hints."""
    level = {"inventory_item_id": 30, "location_id": 4, "available": 6, "updated_at": "2026-10-03T12:11:57+07:00"}
    row = shopify("inventory_levels/update", level)
    assert (row.subject, row.subject_ids) == (Subject.SHOPIFY_ITEM, (30,))
    assert row.hint == {"location_id": 4, "available": 6, "updated_at": "2026-10-03T12:11:57+07:00"}


def test_a_customer_is_named_and_nothing_of_them_is_kept() -> None:
    """No personal data stands in the inbox."""
    row = shopify("customers/update", {"id": 5, "email": "lan@example.com", "updated_at": "2026-10-03T05:11:57Z"})
    assert (row.subject, row.subject_ids) == (Subject.SHOPIFY_CUSTOMER, (5,))
    assert row.hint == {"updated_at": "2026-10-03T05:11:57Z"}
    assert "lan@" not in repr(row)


def test_of_merged_customers_both_are_named() -> None:
    """One of them is gone; a job that reads them sees which."""
    row = shopify(
        "customers/merge",
        {
            "admin_graphql_api_customer_kept_id": "gid://shopify/Customer/1",
            "admin_graphql_api_customer_deleted_id": "gid://shopify/Customer/2",
        },
    )
    assert row.subject_ids == (1, 2)


def test_what_needs_no_job_says_why() -> None:
    """A bulk operation, and an app that is gone."""
    bulk = shopify("bulk_operations/finish", {"admin_graphql_api_id": "gid://shopify/BulkOperation/147595010"})
    assert (bulk.subject, bulk.subject_ids, bulk.state) == (Subject.BULK_OPERATION, (147595010,), EventState.NOTED)
    app = shopify("app/uninstalled", {"id": 548380009, "name": "Super Toys", "email": "super@supertoys.com"})
    assert (app.subject, app.subject_ids, app.outcome, app.body) == (Subject.APP, (), "the app was removed", None)


@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 1.5, "", "1.0", "x", "9" * 19, LARGEST_ID + 1, 2**64, [], {}, [1], "１"]
)
def test_what_is_no_id_names_nothing(value: object) -> None:
    """However strange it is, the delivery is noted."""
    row = shopify("products/update", {"id": value})
    assert (row.subject_ids, row.state) == ((), EventState.NOTED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=30),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4),
    max_leaves=20,
)
NAMES = ("id", "products", "combos", "gifts", "childs", "shippingAddress", "customer", "updatedAt", "variants", "tags")
SHAPED = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6)
DATA = SHAPED | st.lists(SHAPED | JSON, max_size=5) | JSON


def assert_can_be_stored(rows: list[Arrival]) -> None:
    """Whatever came of it fits into the inbox."""
    assert rows
    assert sum(row.is_first for row in rows) == 1
    for row in rows:
        assert all(0 < number <= LARGEST_ID for number in row.subject_ids)
        assert len(row.subject_ids) <= MOST_IDS
        assert (row.state is EventState.WAITING) == (bool(row.subject_ids) and row.subject.concern is not None)
        assert "\0" not in f"{row.topic}{row.body}{row.event_id}"
        assert b"\\u0000" not in orjson.dumps(row.hint)


@settings(max_examples=100, deadline=None)
@given(event=st.sampled_from([name for source, name in TOPICS if source is Source.NHANH]) | JSON, data=DATA)
def test_nothing_that_nhanh_may_send_is_too_much(event: object, data: object) -> None:
    """Neither nonsense in the place of a figure nor a shape that nobody has documented fails."""
    assert_can_be_stored(NhanhDelivery.of(orjson.dumps({"event": event, "data": data})).arrivals(MAIN))


@settings(max_examples=100, deadline=None)
@given(
    topic=st.sampled_from([name for source, name in TOPICS if source is Source.SHOPIFY]) | st.text(max_size=20),
    document=SHAPED | st.dictionaries(st.text(max_size=12), JSON, max_size=4),
    triggered_at=st.text(max_size=45) | st.datetimes().map(datetime.isoformat),
)
def test_nothing_that_shopify_may_send_is_too_much(topic: str, document: dict[str, Any], triggered_at: str) -> None:
    """As above; its headers, too, may hold anything."""
    headers = {"X-Shopify-Topic": topic, "X-Shopify-Webhook-Id": topic, "X-Shopify-Triggered-At": triggered_at}
    rows = read_shopify(MAIN, DeliveryHeaders.of(headers), orjson.dumps(document))
    assert_can_be_stored(rows)


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_bytes_are_too_much(body: bytes) -> None:
    """What is no JSON is unreadable, and nothing else."""
    assert_can_be_stored(NhanhDelivery.of(body).arrivals(MAIN))
    with contextlib.suppress(UnreadableDelivery):
        assert_can_be_stored(read_shopify(MAIN, DeliveryHeaders.of({}), body))
