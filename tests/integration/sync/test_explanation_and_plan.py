"""What people are told and what a sync does come from one plan: in any shop, under any settings, both say the same."""

from collections import Counter
from collections.abc import Sequence
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
from daemon.sync.products import queries
from daemon.sync.products.obstacles import OF_PAIR, of_item
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.planned_values import planned_values
from daemon.sync.products.rows import START
from daemon.sync.products.ruling import AppliedRule
from daemon.sync.products.safety_limits import PlanSurvey, SafetyLimits
from tests.support import rule_model
from tests.support.mirror_tables import NOON, STORE, Tables
from tests.support.rule_model import RuleModel

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
TABLES = (
    "shopify_variants, shopify_products, nhanh_products, nhanh_inventory, nhanh_vat, nhanh_combo_items, pushes, "
    "product_mappings, shopify_inventory_levels, shopify_locations, nhanh_depots, shopify_shops, sale_items, "
    "sale_campaigns CASCADE"
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
    committed: int | None = 0  # to open orders at Shopify; None: what is on hand is not known
    price: Decimal = Decimal(100_000)
    compare_at: Decimal | None = None
    is_on_sale: bool = False
    slipped_from: str | None = None  # a price and a compare-at price that Shopify made others of, twice
    twin: str | None = None  # another variant of the same item: mapped to the "same" product, or to "another" one
    twin_tracked: bool | None = True
    twin_is_bundle: bool = False
    vendor: str | None = None
    tags: tuple[str, ...] = ()
    product_type: str | None = None
    category: int | None = None
    brand: int | None = None


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
    committed=st.sampled_from([0, 0, 1, 2, None]),
    price=st.sampled_from(["90000", "100000", "110000"]).map(Decimal),
    compare_at=amounts.filter(lambda amount: amount is None or amount > 0),
    is_on_sale=st.sampled_from([False] * 5 + [True]),
    slipped_from=st.sampled_from([None, None, "100000", "110000", "150000", "nothing"]),
    twin=st.sampled_from([None, None, None, "same", "another"]),
    twin_tracked=st.sampled_from([True] * 5 + [False, None]),
    twin_is_bundle=st.sampled_from([False] * 5 + [True]),
    vendor=st.none() | rule_model.words,
    tags=st.lists(rule_model.words, max_size=2, unique=True).map(tuple),
    product_type=st.none() | rule_model.words,
    category=st.sampled_from([None, 301, 302]),
    brand=st.sampled_from([None, 301, 302]),
)


def with_rules(sync: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A sync with rules besides, and with what holds stock back in the whole store."""
    shares = (
        st.dictionaries(st.sampled_from(sorted(sync["locations"])), st.sampled_from([0, 50, 100]))
        if (sync["locations"])
        else st.just({})
    )
    return st.fixed_dictionaries(
        {
            **{key: st.just(value) for key, value in sync.items()},
            "reserve": st.sampled_from([0, 0, 1]),
            "maximum": st.sampled_from([None, None, 3]),
            "shares": shares,
            "rules": rule_model.rules(with_prices=sync["price"] is not None),
        }
    )


syncs = st.fixed_dictionaries(
    {
        "locations": st.sampled_from([{"31": [1, 2], "32": [3]}, {"31": [1, 2, 3]}, {"32": [2]}, {}]),
        "stock_figure": st.sampled_from(["available", "remain"]),
        "quantity": st.sampled_from(["available", "on_hand"]),
        "price": st.sampled_from(["retail", "retail", "wholesale", None]),
        "compare_at_price": st.sampled_from(["old", None]),
    }
).filter(lambda made: bool(made["locations"] or made["price"] or made["compare_at_price"]))
# With nothing in the way but rules.
plain_articles = st.builds(
    Article,
    retail=amounts,
    stock=quantities.map(tuple),
    vendor=rule_model.words,
    tags=st.lists(rule_model.words, max_size=2, unique=True).map(tuple),
    product_type=rule_model.words,
    category=st.sampled_from([301, 302]),
    brand=st.sampled_from([301, 302]),
)
ruled_syncs = syncs.flatmap(with_rules)
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
            {"store": STORE, "id": number, "title": "Áo", "vendor": article.vendor, "tags": list(article.tags),
             "product_type": article.product_type, "digest": b"", "document": orjson.dumps(document).decode()},
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
                         "available": available,
                         "on_hand": None if article.committed is None else available + article.committed},
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
            category_id=article.category,
            brand_id=article.brand,
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


async def stocked(tables: Tables, articles: Sequence[Article], *, taxes_included: bool) -> Shop:
    """A shop with these articles, numbered from 1."""
    shop = Shop(tables)
    await shop.open(taxes_included=taxes_included)
    for number, article in enumerate(articles, start=1):
        await shop.add(number, article)
    return shop


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database)


@given(some=st.lists(articles, min_size=1, max_size=4), sync=ruled_syncs, taxes_included=st.booleans())
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
    shop = await stocked(tables, some, taxes_included=taxes_included)
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
    await check_survey(database, product_sync, known)


async def check_survey(database: Database, product_sync: ProductSyncSettings, known: shops.Shop) -> None:
    """A survey of which only what is risky comes back finds the same as one that looks at every row."""
    usual, queries.SAMPLE = queries.SAMPLE, 0
    try:
        plan = ProductPlan(database, STORE, product_sync, known)
    finally:
        queries.SAMPLE = usual
    whole, counted = (PlanSurvey(SafetyLimits(product_sync, ())) for _ in range(2))
    for stock_windows, survey in ((plan.stock_windows, whole), (plan.stock_survey, counted)):
        async for stock in stock_windows(START):
            survey.rows += stock.population
            survey.add_other_stock(stock)
            for stock_row in stock.rows:
                survey.add_stock(stock_row)
    for price_windows, survey in ((plan.price_windows, whole), (plan.price_survey, counted)):
        async for prices in price_windows(START):
            survey.rows += prices.population
            survey.add_other_prices(prices)
            for price_row in prices.rows:
                survey.add_price(price_row)
    assert (counted.rows, counted.figures()) == (whole.rows, whole.figures())
    assert counted.sample["sample_of"] == whole.sample["sample_of"]
    assert (counted.needs_approval, counted.left_out) == (whole.needs_approval, whole.left_out)
    assert counted.question().to_json() == whole.question().to_json()


@pytest.mark.parametrize("one", rule_model.WORDS)
async def test_words_are_alike_as_people_compare_them(database: Database, one: str) -> None:
    """Upper and lower case and the encoding of accents make no difference, in any locale; accents do."""
    async with database.acquire() as connection:
        found = await connection.fetch(
            "SELECT word FROM unnest($2::text[]) AS word WHERE dongbo.alike(word) = dongbo.alike($1)",
            one,
            rule_model.WORDS,
        )
    assert {row["word"] for row in found} == {
        word for word in rule_model.WORDS if rule_model.alike(word) == rule_model.alike(one)
    }


@given(
    some=st.lists(plain_articles | articles, min_size=1, max_size=4),
    sync=ruled_syncs.filter(lambda made: bool(made["rules"])),
    taxes_included=st.booleans(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_rules_decide_as_they_are_written(
    tables: Tables, database: Database, some: list[Article], sync: dict[str, Any], taxes_included: bool
) -> None:
    """What is left alone, held back, limited or asked about: as plain Python reads the same rules."""
    shop = await stocked(tables, some, taxes_included=taxes_included)
    ruled = ProductSyncSettings.model_validate(sync)
    plain = ruled.model_copy(update={"reserve": 0, "maximum": None, "shares": {}, "rules": ()})
    known, numbers = shops.Shop(VND, taxes_included), list(shop.items)
    async with database.acquire() as connection:
        planned = await planned_values(connection, STORE, ruled, known, numbers)
        otherwise = await planned_values(connection, STORE, plain, known, numbers)
    for number in numbers:
        article = some[(number - 1) % 100]
        quoted = otherwise.prices.get(number)
        price = quoted.price.desired if quoted is not None and ruled.price is not None else None
        if number > 100 and article.twin == "another":
            article = replace(article, category=None, brand=None)
        model = RuleModel(
            ruled,
            rule_model.Facts(
                article.vendor,
                article.tags,
                article.product_type,
                article.category,
                article.brand,
                price,
                lacks_price=quoted is not None and price is None and (quoted.quoted or 0) > 0,
            ),
        )
        for location in ruled.depots_of:
            found, plan = planned.stock[number, location], otherwise.stock[number, location]
            assert found.obstacle == model.obstacle(plan.obstacle, of_prices=False)
            if found.obstacle is None and plan.total is not None:
                assert found.desired == model.desired(location, plan.total)
                assert is_asked(found.applied) == bool(model.first("ask", plan.total)[1])
                for effect in ("reserve", "maximum"):
                    name, value = model.first(effect, plan.total)
                    assert [(rule.name, rule.value) for rule in found.applied if rule.effect == effect] == (
                        [] if name is None else [(name, value)]
                    )
        if quoted is not None:
            prices = planned.prices[number]
            for amount, unruled in ((prices.price, quoted.price), (prices.compare_at_price, quoted.compare_at_price)):
                assert amount.obstacle == model.obstacle(unruled.obstacle, of_prices=True)
                assert amount.desired == unruled.desired
            if prices.price.obstacle not in rule_model.OF_THE_PAIR:
                assert is_asked(prices.applied) == bool(model.first("ask")[1])


def is_asked(applied: Sequence[AppliedRule]) -> bool:
    """Whether a person is asked."""
    return any(rule.effect == "ask" for rule in applied)


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
    of_stock = {obstacle for obstacle, _ in (*OF_PAIR, *of_item("on_hand"))} | {"by_rule"}
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
