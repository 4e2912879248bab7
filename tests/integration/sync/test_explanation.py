"""Why Shopify says what it says: every answer that there is, out of the tables."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.api.explanation import ExplainedValue, Explanation
from daemon.api.mappings import MappingState
from daemon.api.pushes import PushKind, PushResult
from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.sync.explanation.explain import explain
from daemon.sync.explanation.search_terms import NotExplained, read_search_terms
from tests.support.mirror_tables import ITEM, NHANH, NOON, STORE, VARIANT, Tables

ASK_ABOUT_STOCK = """
WITH approval AS (
    INSERT INTO dongbo.approvals (store, type, job_id, reason) VALUES ('main', 'SYNC_PRODUCTS', $1, '') RETURNING id
)
INSERT INTO dongbo.approval_changes (approval_id, kind, owner_id, location_id, amount, is_risky, reason, asked_in)
SELECT id, 'stock', $2, 31, 1, true, '', 1 FROM approval
"""
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SETTINGS = ProductSyncSettings.model_validate(
    {"locations": {"31": [1, 2]}, "price": "retail", "compare_at_price": "old"}
)


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database)


Ask = Callable[..., Any]


@pytest.fixture
def ask(database: Database) -> Ask:
    """Asks for an explanation, which must be JSON-able."""

    async def run(
        text: str = "AO-01",
        settings: ProductSyncSettings | None = SETTINGS,
        variant_id: int | None = None,
        shop: str | None = None,
    ) -> Explanation:
        async with database.acquire() as connection:
            found = await explain(connection, STORE, settings, ZONE, text=text, variant_id=variant_id, shop=shop)
        assert orjson.loads(orjson.dumps(found)) == orjson.loads(orjson.dumps(asdict(found)))
        return found

    return run


def only(explanation: Explanation, kind: PushKind = PushKind.STOCK) -> ExplainedValue:
    """The one value of this kind of the one variant."""
    (variant,) = explanation.variants
    (value,) = [value for value in variant.values if value.kind is kind]
    return value


async def test_what_a_job_has_set_is_told_with_the_job_the_time_and_the_reason(tables: Tables, ask: Ask) -> None:
    """ "Why does Shopify say 7?" has an answer."""
    await tables.pair()
    job = await tables.push(PushKind.STOCK, "5", "7", PushResult.APPLIED)
    explanation = await ask()
    value = only(explanation)
    assert value.verdict == (
        f"Shopify has 7 available at Kho Hà Nội (31): job {job} set it from 5 to 7 on 23 Nov 2026 12:00:00, because "
        "“Nhanh.vn 77 (AO-01) has 4 + 3 available in depots 1, 2”. That is what Nhanh.vn says: Nhanh.vn has 4 + 3 in "
        "depots Kho A (1) and 2."
    )
    assert (value.sum, value.desired, value.shopify, value.obstacle) == ("7", "7", "7", None)
    assert [(push.old_value, push.new_value, push.result) for push in value.pushes] == [("5", "7", "applied")]
    (variant,) = explanation.variants
    assert variant.title == "Áo thun / Đỏ"
    assert variant.mapping.text == "mapped to product 77 of Nhanh.vn by its SKU on 23 Nov 2026 12:00:00"
    assert variant.product is not None
    assert (variant.product.code, variant.product.retail_price) == ("AO-01", "199000")


async def test_prices_that_a_sale_has_set_are_told(tables: Tables, ask: Ask) -> None:
    """The last word is a sale's, not that of an older push."""
    await tables.pair()
    await tables.push(PushKind.PRICE, "150000", "199000", PushResult.APPLIED)
    await tables.sale("ACTIVE", "APPLIED", "apply", 149_000, 199_000)
    await tables.execute("UPDATE dongbo.shopify_variants SET price = 149000, compare_at_price = 199000")
    price, compare_at = only(await ask(), PushKind.PRICE), only(await ask(), PushKind.COMPARE_AT_PRICE)
    assert price.verdict.startswith(
        "Shopify has 149000 as price: the sale tet set it to 149000 on 23 Nov 2026 12:01:00."
    )
    assert "the sale tet has its prices until a person ends it; then the price goes back to 199000" in price.verdict
    assert compare_at.verdict.startswith("Shopify has 199000 as compare-at price: the sale tet set it to 199000 on ")


async def test_prices_after_a_sale_are_told(tables: Tables, ask: Ask) -> None:
    """Set back, and changed again by somebody."""
    await tables.pair()
    await tables.sale("COMPLETED", "REVERTED", "revert", 199_000)
    assert only(await ask(), PushKind.PRICE).verdict.startswith(
        "Shopify has 199000 as price: the sale tet set it back to 199000 on 23 Nov 2026 12:01:00."
    )
    await tables.execute("UPDATE dongbo.shopify_variants SET price = 180000")
    assert only(await ask(), PushKind.PRICE).verdict.startswith(
        "Shopify has 180000 as price; the sale tet set it back to 199000 on 23 Nov 2026 12:01:00, but it has been "
        "changed at Shopify since (199000 → 180000, seen "
    )


async def test_a_price_that_waits_for_a_decision_is_told(tables: Tables, ask: Ask) -> None:
    """The sale is over, and its price comes back only if a person says so."""
    await tables.pair()
    await tables.sale("NEEDS_ATTENTION", "DRIFTED", "apply", 149_000)
    verdict = only(await ask(), PushKind.PRICE).verdict
    assert "the sale tet is over, and a person must decide" in verdict
    assert "dongbo sale resume tet. Restored, it goes back to 199000" in verdict
    assert "until" not in verdict


async def test_a_change_at_shopify_since_the_push_is_told(tables: Tables, ask: Ask) -> None:
    """A sale at Shopify, or a person's hand: what the push set is not what is there."""
    await tables.pair(shopify=6)
    job = await tables.push(PushKind.STOCK, "5", "7", PushResult.APPLIED)
    verdict = only(await ask()).verdict
    assert verdict.startswith(
        f"Shopify has 6 available at Kho Hà Nội (31). Job {job} set it to 7 on 23 Nov 2026 12:00:00, but it has been "
        "changed at Shopify since (7 → 6, seen 23 Nov 2026 12:00:00)."
    )
    assert verdict.endswith(
        "A sync would set it to 7 now: Nhanh.vn has 4 + 3 in depots Kho A (1) and 2; no SYNC_PRODUCTS has completed "
        "yet."
    )


async def test_what_a_sync_has_not_seen_yet_is_told_apart_from_what_it_left(tables: Tables, ask: Ask) -> None:
    """The last sync is named with the change only if it began after it."""
    await tables.pair(shopify=5)
    await tables.sync("COMPLETED", NOON - timedelta(minutes=1))
    assert only(await ask()).verdict.endswith("no SYNC_PRODUCTS has completed since that change.")
    later = await tables.sync("COMPLETED", NOON + timedelta(minutes=1))
    assert (
        f"the last SYNC_PRODUCTS, job {later}, which completed 23 Nov 2026 12:01:05, has not"
        in only(await ask()).verdict
    )


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (PushResult.REFUSED, "was refused: the item is not stocked there."),
        (
            PushResult.STALE,
            "changed nothing, because Shopify had another value by then: the item is not stocked there.",
        ),
        (PushResult.UNKNOWN, "was interrupted, and its outcome is unknown: the item is not stocked there."),
        (PushResult.INTENDED, "is under way, or its answer was lost: the next sync will find out."),
    ],
)
async def test_a_push_that_was_not_applied_says_why(tables: Tables, ask: Ask, result: PushResult, said: str) -> None:
    """The last attempt is told beside the last one that was applied."""
    await tables.pair(shopify=5)
    await tables.push(PushKind.STOCK, "3", "5", PushResult.APPLIED)
    job = await tables.push(PushKind.STOCK, "5", "7", result, "the item is not stocked there.")
    verdict = only(await ask()).verdict
    assert "set it from 3 to 5 on" in verdict
    assert f"(5 → 7, job {job}, " in verdict
    assert said in verdict


async def test_to_be_stocked_somewhere_is_not_a_value(tables: Tables, ask: Ask) -> None:
    """An activation is listed among the pushes, but it has set no number."""
    await tables.pair(shopify=0)
    await tables.push(PushKind.ACTIVATION, None, "stocked", PushResult.APPLIED)
    value = only(await ask())
    assert "dongbo has never set it" in value.verdict
    assert len(value.pushes) == 1


async def test_what_waits_for_approval_is_told_with_the_job(tables: Tables, ask: Ask) -> None:
    """A waiting sync holds all changes back; the one that it asks about is told apart."""
    await tables.pair(nhanh=(0, 0), shopify=5)
    job = await tables.sync("AWAITING_APPROVAL", NOON, "This sync would set 30 items to zero.")
    value = only(await ask())
    assert value.approval_job_id == job
    assert f"waits for the approval of other changes, asked by job {job}." in value.verdict
    await tables.execute(ASK_ABOUT_STOCK, job, VARIANT)
    assert only(await ask()).verdict.endswith(
        "The change to 0 (Nhanh.vn has 0 + 0 in depots Kho A (1) and 2) waits for approval, asked by job "
        f"{job}: “This sync would set 30 items to zero”."
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE dongbo.shopify_variants SET tracked = NULL", "been pulled yet: dongbo pull shopify-products --full"),
        ("UPDATE dongbo.shopify_variants SET tracked = false", "Shopify does not track the stock of this variant"),
        ("UPDATE dongbo.shopify_variants SET deleted_at = now()", "the variant no longer exists in Shopify, noticed "),
        ("UPDATE dongbo.nhanh_products SET stock_known = false", "Nhanh.vn has not reported its stock yet"),
        ("UPDATE dongbo.nhanh_products SET deleted_at = now()", "its product no longer exists at Nhanh.vn, noticed "),
        ("DELETE FROM dongbo.nhanh_products", "its product at Nhanh.vn has not been pulled"),
        ("UPDATE dongbo.nhanh_depots SET hidden_at = now() WHERE id = 2", "can't see depot 2, or was not asked yet"),
        ("UPDATE dongbo.shopify_locations SET is_active = false", "the location is not active at Shopify"),
    ],
)  # fmt: skip
async def test_an_obstacle_is_named(tables: Tables, ask: Ask, damage: str, said: str) -> None:
    """What keeps a value from being pushed comes in words."""
    await tables.pair(shopify=5)
    await tables.execute(damage)
    value = only(await ask())
    assert value.obstacle is not None
    assert said in value.obstacle
    assert f"Not pushed: {value.obstacle}." in value.verdict


async def test_a_variant_that_is_not_mapped_says_why(tables: Tables, ask: Ask) -> None:
    """Unmatched, ambiguous with its candidates, excluded with the note, retired with the reason."""
    await tables.pair(shopify=5)

    async def state() -> tuple[MappingState, str]:
        (variant,) = (await ask(variant_id=VARIANT)).variants
        assert f"Not pushed: {variant.mapping.text}." in variant.values[0].verdict
        assert variant.values[0].desired is None
        return variant.mapping.state, variant.mapping.text

    await tables.execute(
        "UPDATE dongbo.product_mappings SET retired_at = now(), retired_reason = 'the SKU has changed'"
    )
    retired, text = await state()
    assert retired is MappingState.RETIRED
    assert text.endswith(": the SKU has changed")
    await tables.execute("DELETE FROM dongbo.product_mappings")
    assert (await state())[0] is MappingState.UNMATCHED
    await tables.execute(
        "INSERT INTO dongbo.common_keys (store, kind, key, nhanh_rows, shopify_rows) "
        "VALUES ('main', 'sku', 'ao-01', 1, 57)"
    )
    unmatched, text = await state()
    assert unmatched is MappingState.UNMATCHED
    assert text == "unmatched: its SKU AO-01 is on 57 variants of Shopify; choose with dongbo map set"
    await tables.execute("DELETE FROM dongbo.common_keys")
    await tables.execute(
        "INSERT INTO dongbo.match_conflicts (store, kind, key, nhanh_ids, shopify_ids) VALUES "
        "('main', 'sku', 'ao-01', '{77, 78}', '{1001}')"
    )
    ambiguous, text = await state()
    assert ambiguous is MappingState.AMBIGUOUS
    assert "its SKU ao-01 is not unique on both sides (candidates at Nhanh.vn: 77, 78)" in text
    await tables.mapping(None, "manual", note="chỉ bán online")
    assert await state() == (
        MappingState.EXCLUDED,
        "a person decided on 23 Nov 2026 12:00:00 that it has no counterpart at Nhanh.vn (chỉ bán online)",
    )


async def test_stock_follows_the_configured_figure_in_whole_pieces_from_zero_on(tables: Tables, ask: Ask) -> None:
    """Fractions are cut, what is oversold counts as none, a depot without a record holds nothing."""
    await tables.pair(nhanh=(2.5, -4), shopify=0)
    value = only(await ask())
    assert (value.sum, value.desired) == ("-1.5", "0")
    assert "Shopify takes whole pieces from 0 on" in value.verdict
    remain = only(await ask(settings=SETTINGS.model_copy(update={"stock_figure": "remain"})))
    assert (remain.sum, remain.desired) == ("0.5", "0")
    one = SETTINGS.model_copy(update={"locations": {"31": (1, 9)}})
    assert [depot.quantity for depot in only(await ask(settings=one)).depots] == ["2.5", "0"]


async def test_what_is_nowhere_and_should_be_nowhere_is_right(tables: Tables, ask: Ask) -> None:
    """An item that is not stocked at a location, where Nhanh.vn has none of it."""
    await tables.pair(nhanh=(0, 0), shopify=None)
    assert "That is what Nhanh.vn says" in only(await ask()).verdict


async def test_a_location_that_is_not_configured_is_left_alone(tables: Tables, ask: Ask) -> None:
    """It is listed all the same, for a person sees its stock in Shopify."""
    await tables.pair()
    await tables.level(3, location=99)
    (variant,) = (await ask()).variants
    other = next(value for value in variant.values if value.location_id == 99)
    assert other.verdict.endswith("does not name this location, so its stock is left alone.")


async def test_without_a_configuration_nothing_is_pushed(tables: Tables, ask: Ask) -> None:
    """The store lacks its table."""
    await tables.pair()
    assert "has no [stores.….product_sync]" in only(await ask(settings=None)).verdict


async def test_prices_are_explained_likewise(tables: Tables, ask: Ask) -> None:
    """Price and compare-at price, each with its pushes, as exact as the shop's currency."""
    await tables.pair()
    await tables.push(PushKind.PRICE, "150000", "199000", PushResult.APPLIED)
    price, compare_at = only(await ask(), PushKind.PRICE), only(await ask(), PushKind.COMPARE_AT_PRICE)
    assert price.verdict.startswith("Shopify has 199000 as price: job ")
    assert price.verdict.endswith("That is what Nhanh.vn says: Nhanh.vn has the retail price 199000.")
    assert compare_at.verdict.endswith("That is what Nhanh.vn says: Nhanh.vn has no old price.")
    await tables.execute("UPDATE dongbo.nhanh_products SET old_price = 250000, retail_price = 189000.5")
    explanation = await ask()
    assert "A sync would set it to 189001 now" in only(explanation, PushKind.PRICE).verdict
    assert only(explanation, PushKind.COMPARE_AT_PRICE).desired == "250000"
    await tables.execute("UPDATE dongbo.nhanh_products SET old_price = 150000")
    lower = only(await ask(), PushKind.COMPARE_AT_PRICE)
    assert lower.desired is None
    assert "the old price 150000, which is not above 189001" in lower.verdict
    await tables.execute("UPDATE dongbo.nhanh_products SET retail_price = 0")
    assert "Nhanh.vn has no retail price for it" in only(await ask(), PushKind.PRICE).verdict


@pytest.mark.parametrize("text", ["AO-01", " ao-01 ", "1001", "8936000000017", "MA-KHAC"])
async def test_a_variant_is_found_by_whatever_a_person_has_at_hand(tables: Tables, ask: Ask, text: str) -> None:
    """Its SKU in any spelling, its id, its barcode, the code of its product at Nhanh.vn."""
    await tables.places()
    await tables.variant(barcode="8936000000017")
    await tables.nhanh(code="MÃ-KHÁC" if text != "MA-KHAC" else text)
    await tables.mapping(source="manual")
    explanation = await ask(text)
    assert [variant.variant_id for variant in explanation.variants] == [VARIANT]
    assert explanation.verdict == ""


async def test_placeholder_stands_for_no_variant_in_particular(tables: Tables, ask: Ask) -> None:
    """Whoever asks for it is told why; a variant that has nothing else says so, too."""
    await tables.variant(sku="N/A")
    asked = await ask("N/A")
    assert asked.variants == []
    assert asked.verdict == (
        "N/A is a placeholder, so it identifies no variant: give another code or the variant's id, which "
        "dongbo map list --search finds."
    )
    (variant,) = (await ask(variant_id=VARIANT)).variants
    assert variant.mapping.text == "unmatched: its SKU N/A is a placeholder; choose with dongbo map set"


async def test_several_variants_of_one_sku_are_all_explained(tables: Tables, ask: Ask) -> None:
    """And counted, so that nobody overlooks the second."""
    for number in range(1001, 1004):
        await tables.variant(number)
    explanation = await ask()
    assert len(explanation.variants) == 3
    assert explanation.verdict == "AO-01 matches 3 variants of Shopify."


async def test_what_is_not_there_is_told_for_both_sides(tables: Tables, ask: Ask) -> None:
    """Neither side has it, or only Nhanh.vn."""
    assert "no product of Nhanh.vn either" in (await ask()).verdict
    await tables.nhanh()
    assert "Nhanh.vn has product 77 (Áo thun)." in (await ask()).verdict
    for odd in ("", " ", "9" * 40, "\u200b", "%", "'; --"):
        assert (await ask(odd)).variants == []


async def test_it_says_how_fresh_the_data_is(tables: Tables, ask: Ask) -> None:
    """A stream without a watermark was never pulled."""
    await tables.execute(
        "INSERT INTO dongbo.watermarks (store, stream, complete_to) VALUES ('main', 'nhanh_products', $1)", NOON
    )
    freshness = {one.stream: one.complete_to for one in (await ask()).freshness}
    assert freshness == {"nhanh_products": NOON, "nhanh_inventory": None, "shopify_products": None}


@pytest.mark.parametrize(
    "text",
    [
        "77",
        "id:77",
        "500",
        "2001",
        "gid://shopify/ProductVariant/1001",
        "gid://shopify/Product/500",
        "gid://shopify/InventoryItem/2001",
        "https://admin.shopify.com/store/my-shop/products/500/variants/1001",
        "https://admin.shopify.com/store/my-shop/products/500?selectedView=all",
        "admin.shopify.com/store/MY-SHOP/products/500",
        "https://my-shop.myshopify.com/admin/products/500/variants/1001",
        "https://my-shop.myshopify.com/products/ao-thun?variant=1001",
        "https://ao.example.com/vi/collections/tet/products/ao-thun?variant=1001",
        "\u200bgid://shopify/ProductVariant/1001 ",
    ],
)
async def test_a_variant_is_found_by_ids_and_addresses_of_both_sides(tables: Tables, ask: Ask, text: str) -> None:
    """What a person copies out of Nhanh.vn, out of Shopify's admin, out of a log, or out of the shop."""
    await tables.pair()
    explanation = await ask(text, shop="my-shop")
    assert [variant.variant_id for variant in explanation.variants] == [VARIANT]
    assert explanation.verdict == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "gid://shopify/Customer/1001",
            "is a customer, and only the stock and prices of variants are explained",
        ),
        ("https://admin.shopify.com/store/my-shop/orders/1001", "is an order"),
        ("https://my-shop.myshopify.com/admin/customers/1001", "is a customer"),
        ("gid://shopify/Metafield/1001", "is of the kind Metafield"),
        ("gid://shopify/ProductVariant/x", "not a valid id of Shopify's"),
        ("https://admin.shopify.com/store/my-shop/products/new", "without an id"),
        ("https://admin.shopify.com/store/my-shop/settings", "unknown here"),
        (
            "https://admin.shopify.com/store/other/products/500",
            "belongs to the shop other, and this store's shop is my-shop",
        ),
        ("https://other.myshopify.com/admin/products/500", "belongs to the shop other"),
        ("https://[", "not a valid address"),
    ],
)
async def test_what_has_no_stock_and_no_price_is_told_as_what_it_is(
    tables: Tables, ask: Ask, text: str, said: str
) -> None:
    """The same number as a variant's explains nothing: it is a customer's, an order's, another shop's."""
    await tables.pair()
    explanation = await ask(text, shop="my-shop")
    assert explanation.variants == []
    assert said in explanation.verdict


async def test_all_variants_of_a_product_are_explained_in_bounds(tables: Tables, ask: Ask) -> None:
    """At most twenty, and the answer says that there are more."""
    for number in range(1001, 1021):
        await tables.variant(number, sku=f"AO-{number}")
    whole = await ask("gid://shopify/Product/500")
    assert len(whole.variants) == 20
    assert whole.verdict == "gid://shopify/Product/500 matches 20 variants of Shopify."
    await tables.variant(1021, sku="AO-1021")
    cut = await ask("500")
    assert len(cut.variants) == 20
    assert "500 matches more than 20 variants of Shopify: these are the first 20" in cut.verdict


async def test_digits_that_mean_several_things_are_told_apart(tables: Tables, ask: Ask) -> None:
    """One variant has them as its SKU, another is the product with this id at Nhanh.vn."""
    await tables.pair()
    await tables.variant(1002, sku="77")
    explanation = await ask("77")
    assert [variant.variant_id for variant in explanation.variants] == [1001, 1002]
    assert explanation.verdict == ("77 matches 2 variants of Shopify: 1 by the product at Nhanh.vn, 1 by SKU.")
    assert [variant.variant_id for variant in (await ask("sku:77")).variants] == [1002]
    assert [variant.variant_id for variant in (await ask("id:77")).variants] == [1001]


async def test_what_is_at_nhanh_only_is_told_with_what_it_may_belong_to(tables: Tables, ask: Ask) -> None:
    """An id of Nhanh.vn without a mapping: alone, beside a variant of the same code, after its mapping was retired."""
    await tables.nhanh()
    alone = await ask("77")
    assert alone.variants == []
    assert (
        "Nhanh.vn has product 77 (Áo thun). No variant of Shopify is mapped to it. "
        "Give a variant this SKU and pull, or use dongbo map set." in alone.verdict
    )
    await tables.variant()
    related = await ask("77")
    assert [variant.mapping.state for variant in related.variants] == [MappingState.UNMATCHED]
    assert "The variants below have its SKU or barcode" in related.verdict
    await tables.execute("UPDATE dongbo.shopify_variants SET sku = 'NEU', sku_key = 'neu'")
    assert (await ask("77")).variants == []
    await tables.mapping(retired_at=NOON, retired_reason="the SKU has changed")
    (variant,) = (await ask("77")).variants
    assert "was retired" in variant.mapping.text


async def test_what_is_gone_is_told_as_gone(tables: Tables, ask: Ask) -> None:
    """A variant that was deleted is shown with that; so are products of either side."""
    await tables.pair()
    await tables.execute("UPDATE dongbo.shopify_variants SET deleted_at = $1", NOON)
    assert "the variant no longer exists in Shopify, noticed 23 Nov 2026 12:00:00" in only(await ask("500")).verdict
    await tables.execute("DELETE FROM dongbo.shopify_variants")
    await tables.execute("UPDATE dongbo.product_mappings SET retired_at = $1", NOON)
    await tables.execute("UPDATE dongbo.nhanh_products SET deleted_at = $1", NOON)
    assert "77 (Áo thun), which no longer exists at Nhanh.vn, noticed 23 Nov 2026 12:00:00" in (await ask()).verdict
    assert "product 500 (Áo thun) is in the mirror without a variant" in (await ask("500")).verdict
    await tables.execute("UPDATE dongbo.shopify_products SET deleted_at = $1", NOON)
    assert (
        "product 500 (Áo thun) no longer exists in Shopify, noticed" in (await ask("gid://shopify/Product/500")).verdict
    )


async def test_several_products_of_nhanh_are_a_choice_for_a_person(tables: Tables, ask: Ask) -> None:
    """And one that stands for its variants is told as such."""
    await tables.nhanh()
    await tables.nhanh(78)
    assert "There are several, and only a person can choose among them." in (await ask()).verdict
    await tables.execute("UPDATE dongbo.nhanh_products SET parent_id = -2 WHERE id = 78")
    assert "78 (Áo thun), which stands for its variants" in (await ask()).verdict


async def test_a_product_of_nhanh_that_stands_for_others_is_these(tables: Tables, ask: Ask) -> None:
    """Its id and code are what a person sees at Nhanh.vn; what is mapped is each of its variants."""
    await tables.pair()
    await tables.nhanh(70, "AO", parent_id=-2)
    assert "stands for its variants" in (await ask("70")).verdict
    await tables.execute("UPDATE dongbo.nhanh_products SET parent_id = 70 WHERE id = $1", NHANH)
    for text in ("70", "AO"):
        assert [variant.variant_id for variant in (await ask(text)).variants] == [VARIANT]


async def test_a_stock_level_is_of_an_item(tables: Tables, ask: Ask) -> None:
    """Its gid has the item's id in its query; without that it can't be told whose it is."""
    await tables.pair()
    assert only(await ask(f"gid://shopify/InventoryLevel/9?inventory_item_id={ITEM}"))
    assert "is a stock level" in (await ask("gid://shopify/InventoryLevel/9?inventory_item_id=x")).verdict


async def test_a_text_of_blanks_is_told_as_empty(ask: Ask) -> None:
    """So is one of what nobody sees."""
    for text in ("   ", "\t", "\u200b\u202e"):
        assert (await ask(text)).verdict.startswith("There is nothing to look for in an empty text")


async def test_a_search_without_result_says_where_it_looked(tables: Tables, ask: Ask) -> None:
    """In both mirrors, and how complete they are: what is not there may still exist."""
    never = (await ask("KHONG-CO-DAU")).verdict
    assert "Shopify, never pulled completely; Nhanh.vn, never pulled completely" in never
    assert "dongbo pull shopify-products --full, dongbo pull nhanh-products --full" in never
    for stream in ("nhanh_products", "shopify_products"):
        await tables.execute(
            "INSERT INTO dongbo.watermarks (store, stream, complete_to) VALUES ('main', $1, $2)", stream, NOON
        )
    known = (await ask("KHONG-CO-DAU")).verdict
    assert "Shopify, 23 Nov 2026 12:00:00; Nhanh.vn, 23 Nov 2026 12:00:00" in known
    assert "dongbo map list --search" in known
    assert "--full" not in known
    for text in ("KHONG-CO-DAU", "4711", "gid://shopify/Product/4711", "123456"):
        verdict = (await ask(text)).verdict
        assert "Searched the mirrors" in verdict
        assert "exist" not in verdict
    assert "As an SKU or barcode it is a placeholder" in verdict


async def test_nothing_is_pushed_without_product_sync_and_it_says_so(tables: Tables, ask: Ask) -> None:
    """Also of a variant that is stocked nowhere, which has no value to say it of, and of a search without result."""
    await tables.variant()
    (variant,) = (explanation := await ask(settings=None)).variants
    assert variant.values == []
    said = "No products of main are synced: the configuration has no [stores.main.product_sync]."
    assert explanation.verdict == said
    assert (await ask("KHONG-CO-DAU", settings=None)).verdict.startswith(said)
    assert said not in (await ask()).verdict


@given(
    text=st.text(max_size=60) | st.from_regex(r"(gid://shopify/|https://admin\.shopify\.com/|id:|sku:)[\w/?&=%\[\]:.]*")
)
def test_whatever_is_asked_can_be_looked_for(text: str) -> None:
    """Rubbish is either something to look for or a sentence, and never a crash."""
    try:
        asked = read_search_terms(text, "my-shop")
    except NotExplained as refusal:
        said = str(refusal)
    else:
        said = "."
        assert all(number is None or 0 < number < 2**63 for number in (asked.variant_id, asked.nhanh_id))
    assert said.endswith(".")
