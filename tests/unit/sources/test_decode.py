"""Rows of both sources: what fits becomes a typed value, what doesn't a dead letter with a plain sentence."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sources.decode import RowDecoder, mend, split_list
from daemon.sources.nhanh.models import NhanhCustomer, NhanhProduct
from daemon.sources.page import BadRow
from daemon.sources.shopify.models import ShopifyCustomer, ShopifyVariant, dec_hook
from daemon.sources.shopify.products import shopify_id

CUSTOMERS = RowDecoder(NhanhCustomer)
PRODUCTS = RowDecoder(NhanhProduct)
VARIANTS = RowDecoder(ShopifyVariant, dec_hook=dec_hook, source_id=shopify_id)
SHOPIFY_CUSTOMERS = RowDecoder(ShopifyCustomer, dec_hook=dec_hook, source_id=shopify_id)


def decode_rows(decoder: RowDecoder[Any], *rows: bytes) -> tuple[list[Any], list[BadRow]]:
    body = b"[" + b",".join(rows) + b"]"
    raws, _sound = split_list(body, msgspec.json.Decoder(list[msgspec.Raw]).decode)
    good, bad = decoder.rows(raws)
    return [row.value for row in good], bad


def customer(**fields: Any) -> NhanhCustomer:
    good, bad = decode_rows(CUSTOMERS, orjson.dumps({"id": 1} | fields))
    assert bad == []
    value: NhanhCustomer = good[0]
    return value


def bad_customer(row: bytes) -> BadRow:
    good, bad = decode_rows(CUSTOMERS, b'{"id":1}', row, b'{"id":3}')
    assert [value.id for value in good] == [1, 3]
    assert len(bad) == 1
    return bad[0]


def test_a_customer_with_everything() -> None:
    """Every field that the daemon uses arrives with its type, and its digits unharmed."""
    found = customer(
        type="2",
        name="Nguyễn Thị Ánh",
        mobile="0987 747 041",
        code="KH1",
        email="a@x.vn",
        address="12 Lê Lợi",
        gender=2,
        birthday="1990-00-00",
        points=-5,
        totalAmount="123456.70",
        group={"id": 7, "name": "VIP"},
        level={"id": "3", "name": "Vàng"},
        startedDate="2024-02-29",
        lastBoughtDate="0000-00-00",
        updatedAt=1733387520,
    )
    assert (found.type, found.mobile, found.birthday, found.points) == (2, "0987 747 041", "1990-00-00", -5)
    assert found.total_amount == Decimal("123456.70")
    assert found.group is not None
    assert found.level is not None
    assert (found.group.id, found.group.name, found.level.id, found.level.name) == (7, "VIP", 3, "Vàng")
    assert (found.started, found.last_bought) == ("2024-02-29", "0000-00-00")
    assert found.updated_at == datetime(2024, 12, 5, 8, 32, tzinfo=UTC)


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_all_ways_to_say_nothing_mean_none(nothing: Any) -> None:
    """Null, an empty string, an empty array and an empty object are the same as an absent field."""
    names = ["type", "name", "mobile", "points", "totalAmount", "group", "level", "updatedAt", "email", "startedDate"]
    assert customer(**dict.fromkeys(names, nothing)) == customer()


@pytest.mark.parametrize("written", [b"912345678", b'"912345678"', b"912345678.0", b"9.12345678e8"])
def test_numbers_in_every_spelling(written: bytes) -> None:
    """A whole number may come as int, float or numeric string."""
    good, bad = decode_rows(CUSTOMERS, b'{"id":%b,"points":%b}' % (written, written))
    assert not bad
    assert (good[0].id, good[0].points) == (912345678, 912345678)


def test_a_phone_number_that_came_as_a_number_is_text() -> None:
    """A mobile or code that lost its quotes at the source is still text."""
    assert customer(mobile=912345678, code=42).mobile == "912345678"


@given(amount=st.decimals(min_value=-(10**15), max_value=10**15, places=4, allow_nan=False, allow_infinity=False))
def test_money_keeps_every_digit(amount: Decimal) -> None:
    """An amount is never rounded through a float, whether it comes as a number or as a string."""
    for written in (f"{amount:f}", f'"{amount:f}"'):
        good, bad = decode_rows(CUSTOMERS, b'{"id":1,"totalAmount":%b}' % written.encode())
        assert not bad
        assert good[0].total_amount == amount


@pytest.mark.parametrize(
    ("row", "source_id", "reason"),
    [
        (b"{}", None, "The field id is missing."),
        (b'{"id":null,"name":"x"}', None, "The field id is missing."),
        (b'{"id":0}', "0", "The field id doesn't fit: expected a whole number >= 1."),
        (b'{"id":-7}', "-7", "The field id doesn't fit: expected a whole number >= 1."),
        (b'{"id":true}', None, "The field id doesn't fit: expected a whole number, got true or false."),
        (b'{"id":99999999999999999999}', "99999999999999999999", "The field id doesn't fit"),
        (b'{"id":2,"type":99999}', "2", "The field type doesn't fit"),
        (b'{"id":2,"points":"many"}', "2", "The field points doesn't fit: expected a whole number, got a text."),
        (b'{"id":2,"points":1.5}', "2", "The field points doesn't fit"),
        (b'{"id":2,"name":["a"]}', "2", "The field name doesn't fit: expected a text, got a list."),
        (b'{"id":2,"totalAmount":"abc"}', "2", "The field totalAmount doesn't fit"),
        (b'{"id":2,"totalAmount":"NaN"}', "2", "The field totalAmount is not a number: NaN."),
        (b'{"id":2,"totalAmount":"Infinity"}', "2", "The field totalAmount is not a number: Infinity."),
        (b'{"id":2,"totalAmount":1e16}', "2", "The field totalAmount is too large or too small to be stored"),
        (b'{"id":2,"totalAmount":1e999}', "2", "The row is not valid JSON"),
        (b'{"id":2,"totalAmount":1e-99}', "2", "The field totalAmount is too large or too small to be stored"),
        (b'{"id":2,"other":1e-99999}', "2", "The row contains a number with more digits"),
        (b'{"id":2,"updatedAt":99999999999999}', "2", "The field updatedAt doesn't fit: timestamp is out of range"),
        (b'{"id":2,"updatedAt":-5}', "2", "The field updatedAt is out of range"),
        (b'{"id":2,"name":"a\\u0000b"}', "2", "The row contains a NUL or invalid character"),
        (b'{"id":2,"other":["a\\u0000b"]}', "2", "The row contains a NUL or invalid character"),
        (b'{"id":2,"name":"\\ud800 half"}', "2", "The row contains a NUL or invalid character"),
        (b'{"id":2,"name":"half \\udc00"}', "2", "The row contains a NUL or invalid character"),
        (b'{"id":2,"name":"\xff\xfe"}', "2", "The row contains a NUL or invalid character"),
        (
            b'{"id":2,"name":"%b"}' % (b"x" * 5000),
            "2",
            "The field name doesn't fit: expected a text of length <= 4096.",
        ),
        (b'{"id":2,"other":"%b"}' % (b"x" * 2**20), "2", "The row is too large"),
        (b'{"id":2,"points":1e99999999999999999999999}', None, "The row contains a number with more digits"),
        (b'{"id":2,"group":%b%b}' % (b"[" * 900, b"]" * 900), "2", "The row is nested too deeply."),
        (b"null", None, "The row is not an object."),
        (b"[1]", None, "The row is not an object."),
        (b'"x"', None, "The row is not an object."),
    ],
)
def test_a_row_that_does_not_fit_is_a_dead_letter(row: bytes, source_id: str | None, reason: str) -> None:
    """A bad row never harms its neighbours: it comes with its id, where readable, and a sentence naming the field."""
    found = bad_customer(row)
    assert found.reason.startswith(reason)
    assert found.reason.endswith(".")
    assert found.source_id == source_id
    assert found.payload


@pytest.mark.parametrize(
    "row",
    [
        b'{"id":2,"name":"a\\\\u0000b"}',
        b'{"id":2,"name":"\\ud83d\\ude00"}',
        b'{"id":2,"name":"\\\\ud800"}',
        b'{"id":2,"name":"\\u1ec7"}',
        b'{"id":2,"name":"size e-1234 1e5"}',
    ],
)
def test_escapes_that_only_look_dangerous_are_kept(row: bytes) -> None:
    """An escaped backslash before u0000, a whole surrogate pair and odd texts are ordinary characters."""
    good, bad = decode_rows(CUSTOMERS, row, b'{"id":3,"name":"\\u0000"}')
    assert [value.name for value in good] == [orjson.loads(row)["name"]]
    assert len(bad) == 1


@pytest.mark.parametrize(
    "odd",
    [
        b'{"id":2,"points":"many"}',
        b'{"id":2,"name":null,"points":"12"}',
        b'{"id":2,"group":[]}',
        b'{"id":2,"group":%b%b}' % (b"[" * 900, b"]" * 900),
        b'{"id":2,"other":"%b"}' % (b"x" * 2**20),
    ],
)
def test_sound_rows_are_read_together_as_each_by_itself(odd: bytes) -> None:
    """One that needs a closer look gets it, and its neighbours come out the same."""
    rows = [b'{"id":1,"name":"a"}', odd, b'{"id":3}']
    assert CUSTOMERS.sound_rows(rows) == CUSTOMERS.rows(rows)


@pytest.mark.parametrize(
    ("body", "is_sound"),
    [
        (b'[{"id":1,"name":"\\u1ec7 \\ud83d\\ude00"}]', True),
        (b'[{"id":1,"name":"\\ud800"}]', False),
        (b'[{"id":1,"name":"\\udc00"}]', False),
        (b'[{"id":1,"name":"\xff"}]', False),
        (b'[{"id":1,"name":"\\u0000"}]', False),
    ],
)
def test_a_list_with_a_broken_character_is_not_sound(body: bytes, is_sound: bool) -> None:
    """Also in a field that nothing reads."""
    for spelled in (body, body.replace(b"name", b"other")):
        rows, sound = split_list(spelled, msgspec.json.Decoder(list[msgspec.Raw]).decode)
        assert (len(rows), sound) == (1, is_sound)


@given(st.binary(max_size=200))
def test_mending_makes_any_bytes_readable(body: bytes) -> None:
    """Whatever bytes a text holds, it is readable JSON afterwards, if only its characters were broken."""
    text = body.replace(b"\\", b"").replace(b'"', b"")
    printable = bytes(byte for byte in text if byte >= 0x20)
    orjson.loads(mend(b'{"a":"' + printable + b'\\ud800"}'))


def test_the_document_is_the_row_as_it_came() -> None:
    """The row's own JSON is kept byte for byte."""
    row = b'{"id": 5,  "x": 0.10, "y": [1,2]}'
    good, _ = CUSTOMERS.rows([row])
    assert good[0].document == row


def test_a_product_with_stock_in_depots() -> None:
    """Prices, SKU and the stock of every depot arrive exactly, fractions and oversold stock included."""
    row = {
        "id": 9,
        "parentId": -1,
        "code": "SP-01",
        "barcode": "",
        "name": "Cà phê",
        "status": 2,
        "type": "1",
        "prices": {"retail": "150000", "import": 90000.5, "old": None, "wholesale": ""},
        "categoryId": 3,
        "brandId": None,
        "inventory": {
            "remain": 2.5,
            "transfering": "1",
            "available": -3,
            "depots": [{"id": 1001, "remain": "2.5", "available": -3, "holding": None}],
        },
        "createdAt": 1600000000,
        "updatedAt": 0,
    }
    (found,), bad = decode_rows(PRODUCTS, orjson.dumps(row))
    assert not bad
    assert (found.parent_id, found.code, found.barcode, found.updated_at) == (-1, "SP-01", None, None)
    assert found.prices is not None
    assert (found.prices.retail, found.prices.import_) == (Decimal(150000), Decimal("90000.5"))
    assert (found.prices.old, found.prices.wholesale) == (None, None)
    stock = found.inventory
    assert (stock.remain, stock.transferring, stock.available, stock.damaged) == (Decimal("2.5"), 1, -3, 0)
    assert [(depot.depot_id, depot.remain, depot.available, depot.holding) for depot in stock.depots] == [
        (1001, Decimal("2.5"), -3, 0)
    ]


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ({"retail": -1}, "The field prices.retail is negative: -1."),
        ({"import": 10**30}, "The field prices.import is too large or too small to be stored: 1.000000E+30."),
    ],
)
def test_impossible_prices_are_dead_letters(prices: dict[str, Any], reason: str) -> None:
    """A negative or absurd price is not stored."""
    _, (bad,) = decode_rows(PRODUCTS, msgspec.json.encode({"id": 4, "prices": prices}))
    assert (bad.source_id, bad.reason) == ("4", reason)


def test_products_without_stock_or_prices() -> None:
    """PHP's empty arrays in the place of objects mean none."""
    (found,), bad = decode_rows(PRODUCTS, orjson.dumps({"id": 4, "prices": [], "inventory": []}))
    assert not bad
    assert (found.prices, found.inventory) == (None, None)


def test_a_shopify_variant() -> None:
    """Global ids become numbers, money keeps its digits, and the weight its unit."""
    row = {
        "id": "gid://shopify/ProductVariant/43",
        "sku": "",
        "price": "9.90",
        "compareAtPrice": None,
        "position": 1,
        "inventoryQuantity": -2,
        "selectedOptions": [{"name": "Màu", "value": "Đỏ"}],
        "inventoryItem": {
            "id": "gid://shopify/InventoryItem/77",
            "measurement": {"weight": {"unit": "KILOGRAMS", "value": 0.1}},
        },
        "updatedAt": "2026-10-01T00:00:00Z",
    }
    (found,), bad = decode_rows(VARIANTS, orjson.dumps(row))
    assert not bad
    assert (found.id, found.inventory_item_id, found.sku) == (43, 77, None)
    assert str(found.price) == "9.90"
    assert found.weight is not None
    assert (found.weight.unit, str(found.weight.value)) == ("KILOGRAMS", "0.1")


@pytest.mark.parametrize(
    "row",
    [
        {"id": "gid://shopify/ProductVariant/x", "price": "1"},
        {"id": 43, "price": "1"},
        {"id": "gid://shopify/ProductVariant/0", "price": "1"},
        {"id": "gid://shopify/ProductVariant/43"},
        {"id": "gid://shopify/ProductVariant/43", "price": "-1"},
        {"id": "gid://shopify/ProductVariant/43", "price": "1", "updatedAt": "yesterday"},
    ],
)
def test_shopify_rows_that_do_not_fit(row: dict[str, Any]) -> None:
    """Ids of another form, missing or negative prices and unreadable times are dead letters."""
    good, bad = decode_rows(VARIANTS, orjson.dumps(row))
    assert not good
    assert len(bad) == 1


def test_a_shopify_customer_with_a_long_note() -> None:
    """A note may be longer than other texts, and numbers of orders come as strings."""
    row = {
        "id": "gid://shopify/Customer/5",
        "note": "x" * 5000,
        "numberOfOrders": "12",
        "amountSpent": {"amount": "1500000.0", "currencyCode": "VND"},
        "defaultPhoneNumber": {"phoneNumber": "+84987747041"},
        "defaultAddress": {"phone": "0987 747 041", "countryCodeV2": "VN"},
    }
    (found,), bad = decode_rows(SHOPIFY_CUSTOMERS, orjson.dumps(row))
    assert not bad
    assert (found.number_of_orders, found.phone, found.address_phone) == (12, "+84987747041", "0987 747 041")
    assert found.amount_spent is not None
    assert found.amount_spent.amount == 1500000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ["id", "type", "name", "mobile", "points", "totalAmount", "group", "level", "updatedAt", "prices", "inventory"]


@given(rows=st.lists(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=5))
def test_no_row_ever_raises(rows: list[Any]) -> None:
    """Whatever JSON a list holds, every row of it is either a value or a dead letter."""
    written = [msgspec.json.encode(row) for row in rows]
    for decoder in (CUSTOMERS, PRODUCTS, SHOPIFY_CUSTOMERS):
        good, bad = decode_rows(decoder, *written)
        assert len(good) + len(bad) == len(rows)
        assert all(row.reason for row in bad)
