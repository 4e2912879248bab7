"""One item: its document says what the explanation and the plan say, and no more."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from daemon.api.items import Item
from daemon.api.pushes import PushKind, PushResult
from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.i18n import Language, moment, spoken
from daemon.sync.explanation.explain import explain
from daemon.sync.items import push_list, readings
from daemon.sync.items.document import ItemWriter
from daemon.sync.items.readings import LastReadings
from daemon.tone import Tone
from tests.support.mirror_tables import NHANH, NOON, STORE, VARIANT, Tables

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SETTINGS = ProductSyncSettings.model_validate(
    {"locations": {"31": [1, 2]}, "price": "retail", "compare_at_price": "old"}
)

Read = Callable[..., Awaitable[Item]]


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database)


@pytest.fixture
def read(database: Database) -> Read:
    """Reads the document of the variant."""

    async def run(settings: ProductSyncSettings | None = SETTINGS) -> Item:
        async with database.acquire() as connection:
            item = await ItemWriter(connection, STORE, settings, ZONE, NOON).write(VARIANT)
        assert item is not None
        return item

    return run


async def test_an_item_that_is_equal_says_so(tables: Tables, read: Read) -> None:
    """Both sides, what should be, and since when that is known."""
    await tables.pair()
    await tables.execute(
        "INSERT INTO dongbo.watermarks (store, stream, complete_to) VALUES ('main', 'nhanh_inventory', $1), "
        "('main', 'shopify_products', $2), ('main', 'nhanh_products', 'epoch')",
        NOON + timedelta(hours=1),
        NOON + timedelta(hours=2),
    )
    item = await read()
    assert (item.verdict.tone, item.verdict.text) == (
        Tone.OK, f"Shopify matches Nhanh.vn as of {moment(NOON + timedelta(hours=1), ZONE)}."
    )  # fmt: skip
    (place,) = item.places
    assert (place.location_name, place.nhanh, place.shopify, place.should_be, place.equal) == (
        "Kho Hà Nội", "7", "7", "7", True
    )  # fmt: skip
    assert (place.seen_at_nhanh, place.seen_at_shopify) == (NOON + timedelta(hours=1), NOON + timedelta(hours=2))
    prices = {price.kind: (price.nhanh, price.shopify, price.should_be, price.equal) for price in item.prices}
    assert prices == {
        PushKind.PRICE: ("199000", "199000", "199000", True),
        PushKind.COMPARE_AT_PRICE: (None, None, None, True),
    }
    assert (item.mapping.nhanh_id, item.mapping.code, item.mapping.name) == (NHANH, "AO-01", "Áo thun")
    assert item.next == ["Nothing: the next sync finds nothing to do."]


async def test_what_differs_is_counted_and_what_comes_next_is_said(tables: Tables, read: Read) -> None:
    """The next sync, each of its changes, and when it is due."""
    await tables.pair(shopify=5)
    await tables.execute("UPDATE dongbo.shopify_variants SET price = 150000")
    item = await read()
    assert (item.verdict.tone, item.verdict.text) == (
        Tone.WARN, "2 values differ from Nhanh.vn: the next sync sets them."
    )  # fmt: skip
    assert item.next == [
        "Stock at Kho Hà Nội: 5 → 7",
        "Price: 150000 → 199000",
        "The next sync is due at 23 Nov 2026 12:00:00.",
    ]


async def test_what_was_refused_is_said_first(tables: Tables, read: Read) -> None:
    """A sync alone does not help."""
    await tables.pair(shopify=5)
    await tables.push(PushKind.STOCK, "5", "7", PushResult.REFUSED, "the item is not stocked there")
    item = await read()
    assert (item.verdict.tone, item.verdict.text) == (
        Tone.BAD, "Shopify refused the last change: the item is not stocked there."
    )  # fmt: skip


async def test_what_waits_for_approval_waits(tables: Tables, read: Read) -> None:
    """Nothing is promised that a person has not decided yet."""
    await tables.pair(shopify=5)
    await tables.sync("AWAITING_APPROVAL", NOON, "It would change much.")
    item = await read()
    assert (item.verdict.tone, item.verdict.text) == (Tone.ASK, "1 value waits for approval.")
    assert item.next[-1] == "Nothing is pushed before a person has decided about the approval that is asked for."


async def test_a_sale_holds_the_prices(tables: Tables, read: Read) -> None:
    """That is meant so, and is no difference."""
    await tables.pair()
    await tables.sale("ACTIVE", "APPLIED", "apply", 149_000, 199_000)
    await tables.execute("UPDATE dongbo.shopify_variants SET price = 149000, compare_at_price = 199000")
    item = await read()
    assert (item.verdict.tone, item.verdict.text) == (
        Tone.OK, "The sale tet has its prices; all else is as Nhanh.vn says."
    )  # fmt: skip
    assert {price.sale for price in item.prices} == {"tet"}


async def test_what_can_not_be_pushed_says_why(tables: Tables, read: Read) -> None:
    """The reason is the plan's."""
    await tables.pair(shopify=5)
    await tables.execute("UPDATE dongbo.shopify_variants SET tracked = false")
    item = await read()
    assert item.verdict.text == "Not pushed: Shopify does not track the stock of this variant."
    assert item.next == ["Shopify does not track the stock of this variant."]
    await tables.execute("UPDATE dongbo.shopify_variants SET deleted_at = $1", NOON)
    assert (await read()).verdict.text == "It no longer exists in Shopify, noticed 23 Nov 2026 12:00:00."


async def test_an_unmapped_item_has_candidates_by_name(tables: Tables, read: Read) -> None:
    """Where no code agrees, the products whose names have the most of its words."""
    await tables.pair()
    await tables.execute("UPDATE dongbo.product_mappings SET retired_at = now(), retired_reason = 'they parted'")
    await tables.nhanh(88, "X-1", name="Áo thun trắng Đỏ")
    await tables.nhanh(89, "X-2", name="Đầm đỏ")
    item = await read()
    assert item.verdict.tone is Tone.WARN
    assert "they parted" in item.verdict.text
    assert [choice.nhanh_id for choice in item.mapping.candidates] == [88]


async def test_nothing_is_said_to_be_right_where_nothing_is_pushed(tables: Tables, read: Read) -> None:
    """A store that syncs no products says so first."""
    await tables.pair()
    item = await read(None)
    assert (item.verdict.tone, item.verdict.text) == (Tone.OFF, "No products of this store are pushed.")
    assert (item.places[0].equal, item.places[0].is_configured) == (None, False)


async def test_the_document_agrees_with_the_explanation(tables: Tables, read: Read, database: Database) -> None:
    """There is one truth: each value has the explanation's words and figures."""
    await tables.pair(shopify=5)
    item = await read()
    async with database.acquire() as connection:
        (variant,) = (await explain(connection, STORE, SETTINGS, ZONE, text="AO-01")).variants
    shown = [*item.places, *item.prices]
    assert [(value.text, value.should_be, value.shopify) for value in shown] == [
        (value.verdict, value.desired, value.shopify) for value in variant.values
    ]


async def test_an_item_speaks_the_language_of_who_asks(tables: Tables, read: Read) -> None:
    """Times as the language writes them, at least."""
    await tables.pair()
    await tables.execute("UPDATE dongbo.shopify_variants SET deleted_at = $1", NOON)
    with spoken(Language.VIETNAMESE):
        assert "12:00:00 23/11/2026" in (await read()).verdict.text


async def test_a_reading_tells_since_when_a_side_is_known(tables: Tables, read: Read, database: Database) -> None:
    """A side that was not read keeps the time that it had."""
    await tables.pair()
    async with database.acquire() as connection:
        await readings.note(connection, STORE, VARIANT, LastReadings(nhanh=NOON))
        await readings.note(connection, STORE, VARIANT, LastReadings(shopify=NOON + timedelta(hours=3)))
    (place,) = (await read()).places
    assert (place.seen_at_nhanh, place.seen_at_shopify) == (NOON, NOON + timedelta(hours=3))


async def test_all_pushes_are_listed_newest_first(tables: Tables, database: Database) -> None:
    """Page by page, whatever their kinds."""
    await tables.pair()
    for number in range(4):
        await tables.push(PushKind.STOCK, str(number), str(number + 1), PushResult.APPLIED)
        await tables.push(PushKind.PRICE, str(number), str(number + 1), PushResult.STALE)
    seen = []
    async with database.acquire() as connection:
        before = None
        while page := await push_list.of_item(connection, STORE, VARIANT, before=before, limit=3):
            seen += page
            before = page[-1].id
    assert [push.id for push in seen] == sorted((push.id for push in seen), reverse=True)
    assert len(seen) == 8
    assert {(push.kind, push.location_name) for push in seen} == {
        (PushKind.STOCK, "Kho Hà Nội"), (PushKind.PRICE, None)
    }  # fmt: skip
