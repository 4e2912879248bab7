"""Searching items of both sides: what is found, in which order, and what each is said to be."""

import unicodedata
from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo

import pytest

from daemon.api.items import ItemHit, ItemMappingState
from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.sync.items.item_list import ItemLister
from daemon.tone import Tone
from tests.support.mirror_tables import NHANH, PRODUCT, STORE, VARIANT, Tables

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SETTINGS = ProductSyncSettings.model_validate(
    {"locations": {"31": [1, 2]}, "price": "retail", "compare_at_price": "old"}
)
DRESS, SHIRT = 88, 89  # products that only Nhanh.vn has

Search = Callable[..., Awaitable[list[ItemHit]]]


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database)


@pytest.fixture
def search(database: Database) -> Search:
    """Searches, or lists a state."""

    async def run(
        text: str | None = None, state: ItemMappingState | None = None, *, skip: int = 0, limit: int = 50
    ) -> list[ItemHit]:
        async with database.acquire() as connection:
            lister = ItemLister(connection, STORE, SETTINGS, ZONE, "ao-dai")
            if text is None:
                return await lister.of_state(state, after=skip, limit=limit)
            return (await lister.search(text, state, skip=skip, limit=limit))[0]

    return run


async def stocked(tables: Tables) -> None:
    """A variant that is mapped, and two products of Nhanh.vn without one."""
    await tables.pair()
    await tables.execute("UPDATE dongbo.shopify_variants SET barcode = '8936000000017', barcode_key = '8936000000017'")
    await tables.nhanh(DRESS, "DAM-77", name="Đầm dự tiệc", barcode="8936000000024", barcode_key="8936000000024")
    await tables.nhanh(SHIRT, "SM-100", name="Sơ mi trắng")


@pytest.mark.parametrize(
    "text",
    [
        "AO-01", "ao-0", "O-01", "áo thun", "ao thun do", "đỏ áo", "THUN", "AO\u200b THUN", "8936000000017",
        "3600000001",
        unicodedata.normalize("NFD", "Áo thun đỏ"), unicodedata.normalize("NFC", "Áo thun đỏ"), str(VARIANT),
        str(PRODUCT), str(VARIANT + 1000), f"gid://shopify/ProductVariant/{VARIANT}",
        f"gid://shopify/Product/{PRODUCT}", f"https://admin.shopify.com/store/ao-dai/products/{PRODUCT}",
        f"https://admin.shopify.com/store/ao-dai/products/{PRODUCT}/variants/{VARIANT}?locale=vi", f"id:{NHANH}",
        "sku:ao-01",
    ],
)  # fmt: skip
async def test_an_item_is_found_by_whatever_people_have_of_it(tables: Tables, search: Search, text: str) -> None:
    """Parts of codes and names of either side, whatever their case, accents and composition; ids; addresses."""
    await stocked(tables)
    hits = await search(text)
    assert [(hit.variant_id, hit.nhanh_id, hit.state) for hit in hits] == [(VARIANT, NHANH, ItemMappingState.MAPPED)]
    assert (hits[0].title, hits[0].shopify_stock, hits[0].nhanh_stock, hits[0].price) == (
        "Áo thun / Đỏ", "7", "7", "199000"
    )  # fmt: skip
    assert (hits[0].tone, hits[0].text) == (Tone.OK, "Shopify matches Nhanh.vn.")


@pytest.mark.parametrize("text", ["dam-77", "đầm", "DAM du tiec", "tiec du", "893600000002", str(DRESS)])
async def test_what_only_nhanh_has_is_found_as_well(tables: Tables, search: Search, text: str) -> None:
    """Whoever looks for a product must not be told that there is none because Shopify lacks it."""
    await stocked(tables)
    (hit,) = await search(text)
    assert (hit.variant_id, hit.nhanh_id, hit.sku, hit.state) == (
        None, DRESS, "DAM-77", ItemMappingState.NHANH_ONLY
    )  # fmt: skip
    assert hit.text == "Only Nhanh.vn has it: no variant of Shopify is mapped to it."


@pytest.mark.parametrize(
    "text",
    ["100%", "_", "%", "\\", "zz", "áo dài", "gid://shopify/Customer/5", "https://ao-dai.myshopify.com/x", "\u200b"],
)
async def test_what_nothing_has_finds_nothing(tables: Tables, search: Search, text: str) -> None:
    """Wildcards are no wildcards, and what is no item is none."""
    await stocked(tables)
    assert await search(text) == []


async def test_the_best_comes_first(tables: Tables, search: Search) -> None:
    """The SKU itself, then SKUs that begin with it, then what holds it, then what holds its words."""
    for number, sku in ((1, "1-AO"), (2, "AO-2"), (3, "AO"), (4, "x-ao-2")):
        await tables.variant(number, sku, title="Default Title")
    await tables.variant(5, "o-1-a", title="Default Title")
    assert [hit.variant_id for hit in await search("ao")] == [3, 2, 1, 4]
    assert [hit.variant_id for hit in await search("o a")] == [1, 2, 3, 4, 5]
    assert [hit.variant_id for hit in await search("o-1")] == [5]


async def test_pages_hold_all_that_is_found_once(tables: Tables, search: Search) -> None:
    """The number of hits to skip leads on."""
    for number in range(1, 8):
        await tables.variant(number, f"AO-{number}")
    pages = [await search("ao", skip=skip, limit=3) for skip in (0, 3, 6, 9)]
    assert [[hit.variant_id for hit in page] for page in pages] == [[1, 2, 3], [4, 5, 6], [7], []]


async def test_renamed_products_are_found_by_their_new_names_alone(tables: Tables, search: Search) -> None:
    """The texts follow both tables that a variant's name comes from."""
    await stocked(tables)
    await tables.execute("UPDATE dongbo.shopify_products SET title = 'Váy hoa'")
    await tables.execute("UPDATE dongbo.nhanh_products SET name = 'Váy' WHERE id = $1", NHANH)
    assert await search("áo thun") == []
    assert [hit.variant_id for hit in await search("hoa đỏ")] == [VARIANT]
    await tables.execute("UPDATE dongbo.shopify_variants SET title = 'Xanh'")
    assert await search("hoa đỏ") == []
    assert [hit.variant_id for hit in await search("vay hoa xanh")] == [VARIANT]


async def test_deleted_items_are_found_by_their_own_codes_alone(tables: Tables, search: Search) -> None:
    """Who asks for one is told that it is gone; nobody else meets it."""
    await stocked(tables)
    await tables.execute("UPDATE dongbo.shopify_variants SET deleted_at = now()")
    await tables.execute("UPDATE dongbo.product_mappings SET retired_at = now()")
    await tables.execute("UPDATE dongbo.nhanh_products SET deleted_at = now()")
    assert await search("áo") == await search("tiec") == []
    (hit, product) = await search("AO-01")
    assert hit.text.startswith("It no longer exists in Shopify")
    assert product.text == "It no longer exists at Nhanh.vn."


async def test_a_search_may_be_of_one_state(tables: Tables, search: Search) -> None:
    """Each item is in just one of them."""
    await stocked(tables)
    await tables.variant(5, "ao-5")
    await tables.variant(6, "ao-6")
    await tables.variant(7, "ao-7")
    await tables.mapping(None, "manual", variant_id=6)
    await tables.execute(
        "INSERT INTO dongbo.match_conflicts (store, kind, key, nhanh_ids, shopify_ids) "
        "VALUES ('main', 'sku', 'ao-7', '{88, 89}', '{7}')"
    )
    by_state = {state: [hit.variant_id for hit in await search("ao", state)] for state in ItemMappingState}
    assert by_state == {
        ItemMappingState.MAPPED: [VARIANT],
        ItemMappingState.EXCLUDED: [6],
        ItemMappingState.AMBIGUOUS: [7],
        ItemMappingState.UNMATCHED: [5],
        ItemMappingState.RETIRED: [],
        ItemMappingState.NHANH_ONLY: [],
    }
    (ambiguous,) = await search(state=ItemMappingState.AMBIGUOUS)
    assert [choice.code for choice in ambiguous.candidates] == ["DAM-77", "SM-100"]
    assert ambiguous.tone is Tone.ASK
    assert [hit.nhanh_id for hit in await search(state=ItemMappingState.NHANH_ONLY)] == [DRESS, SHIRT]


async def test_unmatched_items_come_with_products_of_the_same_name(tables: Tables, search: Search) -> None:
    """Where neither SKU nor barcode matches, the name may."""
    await stocked(tables)
    await tables.insert(
        "shopify_products",
        {"store": STORE, "id": 600, "title": "Đầm dự tiệc", "tags": [], "document": "{}", "digest": b""},
    )
    await tables.variant(5, "khac", product_id=600, title="Default Title")
    (hit,) = await search(state=ItemMappingState.UNMATCHED)
    assert [choice.nhanh_id for choice in hit.candidates] == [DRESS]
