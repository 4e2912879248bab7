"""Shopify's search syntax, as far as the sandbox's lists understand it."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sandbox.shopify.filters import customer_filters, product_filters
from daemon.sandbox.shopify.records import CustomerRecord, Product, Variant
from daemon.sandbox.shopify.search import Search, compile_query

SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")
MOMENT = datetime(2026, 10, 1, 12, 30, tzinfo=UTC)


def product() -> Product:
    """A product on sale in the summer."""
    variant = Variant(7, 1, 70, "Đỏ", "AT-DO", "8930", Decimal(190), None, 1, ("Đỏ",), MOMENT, MOMENT)
    return Product(
        id=5,
        handle="ao-thun",
        title="Áo thun mùa hè",
        description_html="",
        vendor="Lụa Vạn Phúc",
        product_type="Áo",
        tags=["sale", "mùa hè"],
        status="ACTIVE",
        option_names=("Màu",),
        created_at=MOMENT,
        updated_at=MOMENT,
        published_at=MOMENT,
        variants=[variant],
    )


def customer() -> CustomerRecord:
    """A customer who has bought four times."""
    return CustomerRecord(
        id=9,
        first_name="An",
        last_name="Nguyễn",
        email="an@example.vn",
        phone="+84903123456",
        note=None,
        tags=["vip"],
        state="ENABLED",
        amount_spent=Decimal(1500),
        number_of_orders=4,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def search(query: str) -> Search[Product]:
    """A search for products."""
    return compile_query(query, product_filters(SAIGON))


def matches(query: str, row: Product) -> bool:
    """Whether the products' search finds `row`."""
    found = search(query)
    return found.matches is None or found.matches(row)


@pytest.mark.parametrize(
    "query",
    [
        "status:active",
        "status:draft,ACTIVE",
        "id:5",
        "id:>4 id:<=5",
        "tag:sale",
        'tag:"mùa hè"',
        "vendor:'Lụa Vạn Phúc'",
        "vendor:lụa*",
        "sku:at-do",
        "barcode:8930",
        "hè",
        "áo AND thun",
        "tag:vip OR tag:sale",
        "tag:vip OR (status:active AND -tag:vip)",
        "NOT tag:vip",
        "-status:draft,archived",
        "tag_not:vip",
        "updated_at:>='2026-10-01T12:30:00Z'",
        "updated_at:<='2026-10-01T19:30:00+07:00'",
        "updated_at:>'2026-10-01T12:29:59Z'",
        "updated_at:2026-10-01",
        "",
        "()",
    ],
)
def test_what_matches(query: str) -> None:
    """Each of these finds the product."""
    assert matches(query, product())


@pytest.mark.parametrize(
    "query",
    [
        "status:draft",
        "id:>5",
        "tag:sal",
        "-tag:sale",
        "NOT (status:active)",
        "tag:sale tag:vip",
        "updated_at:>'2026-10-01T12:30:00Z'",
        "updated_at:<'2026-10-01'",
        "updated_at:>2026-10-01",
        "nothing-of-the-kind",
    ],
)
def test_what_does_not_match(query: str) -> None:
    """None of these finds the product."""
    assert not matches(query, product())


def test_an_unknown_field_is_ignored_with_a_warning() -> None:
    """A filter that the list doesn't have decides nothing, not even negated, and is reported."""
    found = search("-colour:red status:active")
    assert found.matches is not None
    assert found.matches(product())
    assert found.warnings == (
        {"field": "colour", "message": "Invalid search field for this query.", "code": "invalid_field"},
    )


def test_an_unquoted_time_falls_apart() -> None:
    """The value of an unquoted time ends at its first colon: the rest is an unknown field, as with the real API."""
    found = search("updated_at:>=2026-01-01T00:00:00Z")
    assert [warning["field"] for warning in found.warnings] == ["00"]
    assert found.parsed == {
        "and": [{"field": "updated_at", "range_gte": "2026-01-01T00"}, {"field": "00", "match_all": "00Z"}]
    }


def test_a_value_that_makes_no_sense_is_reported() -> None:
    """A number, status or time that is none is ignored with a warning."""
    queries = [
        "id:x",
        "status:nice",
        "updated_at:'soon'",
        "updated_at:0001-01-01",
        "updated_at:'9999-12-31T23:59:59-12:00'",
    ]
    assert [search(query).warnings[0]["code"] for query in queries] == ["invalid_value"] * 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("orders_count:>3", True),
        ("orders_count:>4", False),
        ("total_spent:>=1500", True),
        ("email:AN@example.vn", True),
        ("phone:+84903123456", True),
        ("phone:'+84 903 123 456'", True),
        ("state:enabled tag:vip", True),
        ("updated_at:>'2026-10-01T23:59:59+07:00'", True),  # only the day counts, and > is >=
        ("updated_at:>='2026-10-02T00:00:00+07:00'", False),
    ],
)
def test_customers(query: str, expected: bool) -> None:
    """The customers' filters, with the days of their `updated_at`."""
    found = compile_query(query, customer_filters(SAIGON, whole_days=True))
    assert found.matches is not None
    assert found.matches(customer()) is expected


def test_customers_by_the_documentation() -> None:
    """Without quirks the customers' `updated_at` compares times."""
    found = compile_query("updated_at:>'2026-10-01T12:30:00Z'", customer_filters(SAIGON, whole_days=False))
    assert found.matches is not None
    assert not found.matches(customer())


@given(st.text(alphabet="ab:<>=()-,'\"\\ ORANDT*10\n", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_query(text: str) -> None:
    """No text is an error: what makes no sense is ignored."""
    found = search(text)
    if found.matches is not None:
        found.matches(product())


def test_deep_nesting_is_cut_off() -> None:
    """Thousands of parentheses are no way to crash the server."""
    search("(" * 100_000)
    search("-" * 100_000 + "tag:x")
