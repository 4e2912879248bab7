"""What people are told and what a sync does come from one plan: in any shop, under any settings, both say the same."""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
from asyncpg import Range
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.api.explanation import ExplainedValue
from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.mirror import shops
from daemon.money import VND
from daemon.sync.explanation.explain import explain
from daemon.sync.products.obstacles import OF_STOCK
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.planned_values import planned_values
from daemon.sync.products.rows import START
from tests.support.mirror_tables import NOON, STORE, Tables

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
TABLES = (
    "shopify_variants, shopify_products, nhanh_products, nhanh_inventory, nhanh_vat, nhanh_combo_items, pushes, "
    "product_mappings, shopify_inventory_levels, shopify_locations, nhanh_depots, shopify_shops, sale_campaigns CASCADE"
)
DEPOTS = (1, 2, 3)
LOCATIONS = (31, 32)
OTHER_LOCATION = 33  # with stock at Shopify, and nothing to sync to it
COMPONENT, VOUCHER = 900, 901  # products that combos are made of

amounts = st.none() | st.sampled_from(["-5", "0", "90000", "100000", "100000.4", "110000", "150000"]).map(Decimal)
quantities = st.lists(
    st.none() | st.sampled_from(["-3", "0", "0.5", "2", "7.5", "2000000000"]).map(Decimal),
    min_size=len(DEPOTS),
    max_size=len(DEPOTS),
)


@dataclass(frozen=True)
class Article:
    """A variant, what it is mapped to, and what has happened to both."""

    is_deleted: bool = False
    tracked: bool | None = True
    has_item: bool = True
    is_bundle: bool = False
    kind: str | None = None  # what the product at Shopify is
    mapping: str | None = "sku"  # None, "excluded", or the source
    nhanh: str = "there"  # or deleted, or missing
    type: int | None = None
    stock_known: bool = True
    retail: Decimal | None = Decimal(100_000)
    wholesale: Decimal | None = None
    old: Decimal | None = None
    vat_mode: int = 1
    vat: Decimal | str | None = "not read"
    combo: str = "known"  # what is known of its components: known, none, unknown
    stock: tuple[Decimal | None, ...] = (Decimal(2), None, None)
    levels: tuple[int | None, ...] = (2, None, 5)
    price: Decimal = Decimal(100_000)
    compare_at: Decimal | None = None
    is_on_sale: bool = False
    slipped_from: str | None = None  # a price and a compare-at price that Shopify made others of, twice
    twin: str | None = None  # another variant of the same item: mapped to the "same" product, or to "another" one
    twin_tracked: bool | None = True
    twin_is_bundle: bool = False


articles = st.builds(
    Article,
    is_deleted=st.sampled_from([False] * 5 + [True]),
    tracked=st.sampled_from([True] * 5 + [False, None]),
    has_item=st.sampled_from([True] * 5 + [False]),
    is_bundle=st.sampled_from([False] * 5 + [True]),
    kind=st.sampled_from([None] * 5 + ["isGiftCard", "requiresSellingPlan", "combinedListingRole"]),
    mapping=st.sampled_from(["sku", "barcode", "manual", "manual", None, "excluded"]),
    nhanh=st.sampled_from(["there"] * 6 + ["deleted", "missing"]),
    type=st.sampled_from([None, 1, 1, 2, 9, 9]),
    stock_known=st.sampled_from([True] * 4 + [False]),
    retail=amounts,
    wholesale=amounts,
    old=amounts,
    vat_mode=st.sampled_from([1, 1, 2, 2, 0]),
    vat=st.sampled_from(["not read", None, Decimal(0), Decimal(8), Decimal(10)]),
    combo=st.sampled_from(["known", "known", "none", "unknown"]),
    stock=quantities.map(tuple),
    levels=st.tuples(*[st.sampled_from([None, 0, 2, 7])] * 3),
    price=st.sampled_from(["90000", "100000", "110000"]).map(Decimal),
    compare_at=amounts.filter(lambda amount: amount is None or amount > 0),
    is_on_sale=st.sampled_from([False] * 5 + [True]),
    slipped_from=st.sampled_from([None, None, "100000", "110000", "150000", "nothing"]),
    twin=st.sampled_from([None, None, None, "same", "another"]),
    twin_tracked=st.sampled_from([True] * 5 + [False, None]),
    twin_is_bundle=st.sampled_from([False] * 5 + [True]),
)
syncs = st.fixed_dictionaries(
    {
        "locations": st.sampled_from([{"31": [1, 2], "32": [3]}, {"31": [1, 2, 3]}, {"32": [2]}, {}]),
        "stock_figure": st.sampled_from(["available", "remain"]),
        "price": st.sampled_from(["retail", "retail", "wholesale", None]),
        "compare_at_price": st.sampled_from(["old", None]),
    }
).filter(lambda made: bool(made["locations"] or made["price"] or made["compare_at_price"]))
ALL = {"locations": {"31": [1, 2], "32": [3]}, "price": "retail", "compare_at_price": "old"}


class Shop:
    """Writes articles into the tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.items: dict[int, int | None] = {}  # by variant

    async def open(self, *, taxes_included: bool) -> None:
        await self._tables.execute(f"TRUNCATE dongbo.{TABLES.replace(', ', ', dongbo.')}")
        shop = {"store": STORE, "currency": VND.code, "taxes_included": taxes_included}
        await self._tables.insert("shopify_shops", shop)
        for location in (*LOCATIONS, OTHER_LOCATION):
            place = {"store": STORE, "id": location, "name": f"Kho {location}", "is_active": True}
            await self._tables.insert("shopify_locations", place)
        for depot in DEPOTS:
            await self._tables.insert("nhanh_depots", {"store": STORE, "id": depot, "name": None})
        await self._tables.nhanh(COMPONENT, "COMPONENT")
        await self._tables.nhanh(VOUCHER, "VOUCHER", type=2, stock_known=False)
        await self._stock(COMPONENT, (Decimal(9), Decimal(2), None))

    async def add(self, number: int, article: Article) -> None:
        """The variant `number` of the product `number`, mapped to the product of Nhanh.vn of 1000 more."""
        nhanh_id, item = 1000 + number, 2000 + number if article.has_item else None
        document = {} if article.kind is None else {article.kind: "PARENT" if "combined" in article.kind else True}
        await self._tables.insert(
            "shopify_products",
            {"store": STORE, "id": number, "title": "Áo", "tags": [], "digest": b"",
             "document": orjson.dumps(document).decode()},
        )  # fmt: skip
        await self._variant(number, number, item, article)
        await self._nhanh(nhanh_id, article)
        await self._map(number, nhanh_id, article.mapping)
        if article.twin is not None and item is not None:
            twin = replace(article, tracked=article.twin_tracked, is_bundle=article.twin_is_bundle)
            await self._variant(number + 100, number, item, twin)
            other = nhanh_id if article.twin == "same" else COMPONENT
            # A product stands for several variants only where a person says so.
            await self._map(number + 100, other, "manual")
        if item is not None:
            for location, available in zip((*LOCATIONS, OTHER_LOCATION), article.levels, strict=True):
                if available is not None:
                    await self._tables.insert(
                        "shopify_inventory_levels",
                        {"store": STORE, "inventory_item_id": item, "location_id": location, "variant_id": number,
                         "available": available},
                    )  # fmt: skip
        if article.is_on_sale:
            await self._put_on_sale(number)
        if article.slipped_from is not None:
            await self._slip(number, article)

    async def _variant(self, number: int, product: int, item: int | None, article: Article) -> None:
        self.items[number] = item
        await self._tables.variant(
            number,
            f"SKU-{number}",
            product_id=product,
            inventory_item_id=item,
            tracked=article.tracked,
            price=article.price,
            compare_at_price=article.compare_at,
            document=orjson.dumps({"requiresComponents": article.is_bundle}).decode(),
            deleted_at=NOON if article.is_deleted else None,
        )

    async def _nhanh(self, number: int, article: Article) -> None:
        if article.nhanh == "missing":
            return
        await self._tables.nhanh(
            number,
            f"CODE-{number}",
            type=article.type,
            stock_known=article.stock_known,
            retail_price=article.retail,
            wholesale_price=article.wholesale,
            old_price=article.old,
            document=orjson.dumps({"priceVatMode": article.vat_mode}).decode(),
            deleted_at=NOON if article.nhanh == "deleted" else None,
        )
        await self._stock(number, article.stock)
        if article.vat != "not read":
            await self._tables.insert("nhanh_vat", {"store": STORE, "product_id": number, "rate": article.vat})
        parts = {"known": (COMPONENT, VOUCHER), "none": (), "unknown": (COMPONENT, 4711)}[article.combo]
        for part in parts if article.type == 9 else ():
            item = {"store": STORE, "combo_id": number, "item_id": part, "quantity": 2}
            await self._tables.insert("nhanh_combo_items", item)

    async def _stock(self, product: int, stock: tuple[Decimal | None, ...]) -> None:
        others = dict.fromkeys(("holding", "shipping", "damaged", "transferring"), 0)
        for depot, quantity in zip(DEPOTS, stock, strict=True):
            if quantity is not None:
                held = {"available": quantity, "remain": quantity + 1, **others}
                row = {"store": STORE, "product_id": product, "depot_id": depot, **held}
                await self._tables.insert("nhanh_inventory", row)

    async def _map(self, variant: int, nhanh_id: int, mapping: str | None) -> None:
        if mapping == "excluded":
            await self._tables.mapping(None, "manual", variant_id=variant)
        elif mapping is not None:
            await self._tables.mapping(nhanh_id, mapping, variant_id=variant)

    async def _put_on_sale(self, number: int) -> None:
        campaign_id = uuid4()
        await self._tables.insert(
            "sale_campaigns",
            {"id": campaign_id, "store": STORE, "name": f"sale-{number}", "origin": "api", "state": "ACTIVE",
             "definition": "{}"},
        )  # fmt: skip
        await self._tables.insert(
            "sale_items",
            {"campaign_id": campaign_id, "variant_id": number, "product_id": number, "store": STORE,
             "state": "APPLIED", "held": Range(empty=True), "before_price": 90_000, "base_price": 90_000},
        )  # fmt: skip

    async def _slip(self, number: int, article: Article) -> None:
        """Two pushes of each price, of which Shopify has made what it has now."""
        sent = None if article.slipped_from == "nothing" else article.slipped_from
        for kind, present in (("price", article.price), ("compare_at_price", article.compare_at)):
            made = "" if present is None else str(present)
            for _ in range(2 if made != (sent or "") and not (kind == "price" and sent is None) else 0):
                await self._tables.insert(
                    "pushes",
                    {"store": STORE, "job_id": uuid4(), "kind": kind, "owner_id": number, "new_value": sent,
                     "reason": "because", "call_key": uuid4(), "result": "applied", "settled_at": NOON,
                     "made_value": made},
                )  # fmt: skip


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database)


@given(some=st.lists(articles, min_size=1, max_size=4), sync=syncs, taxes_included=st.booleans())
@example(some=[Article(old=Decimal(-1), retail=Decimal(-5))], sync=ALL, taxes_included=True)
@example(some=[Article(is_bundle=True, stock=(Decimal(9), None, None), twin="same")], sync=ALL, taxes_included=True)
@example(some=[Article(tracked=None, stock=(Decimal(9), None, None), twin="same")], sync=ALL, taxes_included=True)
@example(
    some=[Article(old=Decimal(90_000), compare_at=Decimal(150_000), slipped_from="nothing")],
    sync=ALL,
    taxes_included=True,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_explanation_says_what_the_plan_does(
    tables: Tables, database: Database, some: list[Article], sync: dict[str, Any], taxes_included: bool
) -> None:
    """What Shopify should have, and whether it is pushed: for each value of each variant as in the plan of a sync."""
    shop = Shop(tables)
    await shop.open(taxes_included=taxes_included)
    for number, article in enumerate(some, start=1):
        await shop.add(number, article)
    product_sync = ProductSyncSettings.model_validate(sync)
    told_stock: dict[tuple[int | None, int], str | None] = {}
    told_prices: dict[tuple[int, PushKind], str | None] = {}
    async with database.acquire() as connection:
        for variant_id in shop.items:
            found = await explain(connection, STORE, product_sync, ZONE, variant_id=variant_id)
            for value in filter(would_push, found.variants[0].values):
                if value.location_id is not None:
                    told_stock[shop.items[variant_id], value.location_id] = value.desired
                else:
                    told_prices[variant_id, value.kind] = value.desired
    known = shops.Shop(VND, taxes_included)
    plan = ProductPlan(database, STORE, product_sync, known)
    planned_stock = {
        (row.item_id, row.key.location_id): str(row.desired)
        async for window in plan.stock_windows(START)
        for row in window.rows
    }
    planned_prices: dict[tuple[int, PushKind], str | None] = {}
    async for prices in plan.price_windows(START):
        for row in prices.rows:
            if row.changes_price:
                planned_prices[row.key.variant_id, PushKind.PRICE] = text(row.desired_price)
            if row.changes_compare_at_price:
                planned_prices[row.key.variant_id, PushKind.COMPARE_AT_PRICE] = text(row.desired_compare_at_price)
    assert told_stock == planned_stock
    assert told_prices == planned_prices
    await check_counts(database, plan, product_sync, known, list(shop.items))


async def check_counts(
    database: Database, plan: ProductPlan, product_sync: ProductSyncSettings, shop: shops.Shop, variants: list[int]
) -> None:
    """A sync counts the obstacles of stock that are named of single variants."""
    if not product_sync.locations:
        return
    async with database.acquire() as connection:
        planned = await planned_values(connection, STORE, product_sync, shop, variants)
    location = min(product_sync.depots_of)
    obstacles = Counter(
        planned.obstacle for (_, at), planned in planned.stock.items() if at == location and planned.obstacle
    )
    counted = {reason: left.variants for reason, left in (await plan.left_alone()).items()}
    of_stock = {obstacle for obstacle, _ in OF_STOCK}
    assert {reason: count for reason, count in counted.items() if reason in of_stock} == {
        reason: count for reason, count in obstacles.items() if reason != "variant_deleted"
    }


def would_push(value: ExplainedValue) -> bool:
    """Whether people are told that a sync would set the value."""
    says_so = "A sync would set it to" in value.verdict
    assert says_so == (value.obstacle is None and "That is what Nhanh.vn says" not in value.verdict)
    return says_so


def text(amount: Decimal | None) -> str | None:
    """An amount as it is told."""
    return None if amount is None else f"{amount.normalize():f}"
