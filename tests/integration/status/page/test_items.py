"""Items and customers on the page: found, looked at, mapped by hand, in every look."""

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import expect

from daemon.api.pushes import PushKind, PushResult
from daemon.config import CustomerSyncSettings, ProductSyncSettings
from daemon.ids import JobId
from daemon.jobs.model import Counters, JobStatus
from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look
from tests.support.endpoint import Endpoint
from tests.support.mirror_tables import VARIANT, Tables


@pytest_asyncio.fixture(loop_scope="session")
async def tables(endpoint: Endpoint) -> Tables:
    """A mapped item that differs, one that may be either of two products, one without any; three customers."""
    tables = Tables(endpoint.parts.database)
    await tables.pair(shopify=5)
    await tables.push(PushKind.STOCK, "4", "5", PushResult.APPLIED)
    await tables.nhanh(88, "DAM-1", name="Đầm dự tiệc")
    await tables.nhanh(89, "DAM-2", name=HOSTILE)
    await tables.variant(2, "DAM", title="Default Title")
    await tables.execute(
        "INSERT INTO dongbo.match_conflicts (store, kind, key, nhanh_ids, shopify_ids) "
        "VALUES ('main', 'sku', 'dam', '{88, 89}', '{2}')"
    )
    await tables.variant(3, "X-3", product_id=600, title=HOSTILE)
    for table, name in (("shopify_customers", "display_name"), ("nhanh_customers", "name")):
        for number, called in ((7, "Nguyễn Văn Ân"), (8, HOSTILE)):
            values: dict[str, Any] = {
                "store": "main", "id": number, name: called, "document": "{}", "digest": b"", "email": "an@example.com"
            }  # fmt: skip
            await tables.insert(table, values | ({"tags": ["VIP"]} if table == "shopify_customers" else {}))
    await tables.note_customer_texts()
    return tables


@in_every_look
async def test_items_are_usable_in_every_look(tables: Tables, endpoint: Endpoint, visitor: Visitor, look: Look) -> None:
    """The list with candidates, and one item with all its parts."""
    page = await visitor.open(f"{endpoint.url}items?store=main", look)
    await expect(page.get_by_role("link", name="Áo thun / Đỏ")).to_be_visible()
    await expect(page.locator(".choices button")).to_have_count(3)
    await assert_usable(page)
    await page.get_by_role("link", name="Áo thun / Đỏ").click()
    await expect(page.locator(".verdict")).to_be_visible()
    await expect(page.locator(".verdict + .actions button")).to_have_count(2)
    await page.locator("details summary").first.click()
    await assert_usable(page)


@in_every_look
async def test_customers_are_usable_in_every_look(
    tables: Tables, endpoint: Endpoint, visitor: Visitor, look: Look
) -> None:
    """The list and one customer."""
    page = await visitor.open(f"{endpoint.url}customers?store=main", look)
    await expect(page.get_by_role("link", name="Nguyễn Văn Ân")).to_be_visible()
    await assert_usable(page)
    await page.get_by_role("link", name="Nguyễn Văn Ân").click()
    await expect(page.locator(".verdict")).to_be_visible()
    await assert_usable(page)


async def test_an_item_is_found_by_typing_and_the_address_says_so(
    tables: Tables, endpoint: Endpoint, visitor: Visitor
) -> None:
    """What was looked for can be shared, and is there again after going back."""
    page = await visitor.open(f"{endpoint.url}items")
    await page.get_by_label("Look for").fill("dam")
    await expect(page).to_have_url(re.compile(r"/items\?q=dam$"))
    await expect(page.get_by_role("row")).to_have_count(4)  # with the head: the variant and both products
    await page.get_by_label("State").select_option("ambiguous")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.goto(f"{endpoint.url}items?q=ao+thun")
    await page.get_by_role("link", name="Áo thun / Đỏ").click()
    await expect(page.locator(".verdict")).to_contain_text("1 value differs from Nhanh.vn")
    await page.go_back()
    await expect(page.get_by_label("Look for")).to_have_value("ao thun")
    await expect(page.get_by_role("link", name="Áo thun / Đỏ")).to_be_visible()


async def test_an_item_is_mapped_in_the_list(tables: Tables, endpoint: Endpoint, visitor: Visitor) -> None:
    """The answer stands where the button was pressed."""
    page = await visitor.open(f"{endpoint.url}items?state=ambiguous")
    await page.get_by_role("button", name="It is DAM-1 · Đầm dự tiệc").click()
    await expect(page.locator(".choices .answer")).to_have_text("mapped to DAM-1 · Đầm dự tiệc")
    assert await mapping_of(endpoint, 2) == ("manual", 88)


async def test_an_item_is_mapped_by_hand_and_taken_back(tables: Tables, endpoint: Endpoint, visitor: Visitor) -> None:
    """With why; another product is found by its code; the decision is shown, and can be taken back."""
    page = await visitor.open(f"{endpoint.url}items/{VARIANT}?store=main")
    await expect(page.locator(".card", has_text="Mapped to product 77")).to_be_visible()
    await page.get_by_label("Why (kept with the decision)").fill("by eye")
    await page.get_by_label("Another product of Nhanh.vn").fill("DAM-1")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("button", name="It is DAM-1 · Đầm dự tiệc").click()
    await expect(page.locator(".card", has_text="Mapped to product 88 of Nhanh.vn by a person")).to_be_visible()
    assert await mapping_of(endpoint, VARIANT) == ("manual", 88)
    await page.get_by_role("button", name="Take the decision back").click()
    await expect(page.locator(".verdict")).to_contain_text("Its mapping to product 88 was retired")
    await expect(page.locator(".deeds li")).to_have_count(2)
    await expect(page.locator(".deeds li").last).to_contain_text(
        "mapped by hand to 88 of Nhanh.vn (on the page) · by eye"
    )


async def test_check_now_answers_in_place(tables: Tables, endpoint: Endpoint, visitor: Visitor) -> None:
    """Where neither side answers, each says why, and what was known stays."""
    page = await visitor.open(f"{endpoint.url}items/{VARIANT}?store=main")
    await page.get_by_role("button", name="Check now").click()
    await expect(page.get_by_role("alert")).to_have_count(2, timeout=60_000)
    await expect(page.get_by_role("alert").first).to_contain_text("Nhanh.vn")
    await expect(page.get_by_role("cell", name="Kho Hà Nội", exact=True)).to_be_visible()


async def test_a_customer_is_decided_about(tables: Tables, endpoint: Endpoint, visitor: Visitor) -> None:
    """By an id, and told at once."""
    page = await visitor.open(f"{endpoint.url}customers?q=van+an")
    await page.get_by_role("link", name="Nguyễn Văn Ân").click()
    await page.get_by_label("Another customer of Nhanh.vn").fill("id 7")
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_text("Nhanh.vn has no such customer.")).to_be_visible()
    await page.get_by_label("Another customer of Nhanh.vn").fill("nguyen")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="It is Nguyễn Văn Ân · 7").click()
    await expect(page.locator(".verdict")).to_contain_text("this is customer 7 of Nhanh.vn")
    await expect(page.get_by_role("button", name="Take the decision back")).to_be_visible()


async def test_a_customer_is_pushed_now(tables: Tables, endpoint: Endpoint, visitor: Visitor) -> None:
    """Just this one, and what came of it stands beside the button."""
    registry = endpoint.parts.registry
    stores = {
        name: replace(one, customer_sync_settings=CustomerSyncSettings()) for name, one in registry.stores.items()
    }
    endpoint.parts.use_stores(stores, registry.policy)
    page = await visitor.open(f"{endpoint.url}customers/7?store=main")
    async with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        await page.get_by_role("button", name="Push now").click()
    asked = await (await answered.value).json()
    assert (asked["type"], asked["params"]) == ("SYNC_CUSTOMERS", {"ids": [7]})
    job = await endpoint.parts.jobs.get(JobId(UUID(asked["id"])))
    token = await endpoint.claim(job)
    await endpoint.progress(job, token, Counters(), unmapped=1)
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    await expect(page.locator(".verdict + .actions .answer")).to_have_text("1 without a counterpart view")
    await page.get_by_role("link", name="view").click()
    await expect(page).to_have_url(re.compile(rf"/jobs/{job.id}$"))


@pytest.mark.parametrize("place", [f"items/{VARIANT}?store=main", "items?q=ao+thun"])
async def test_an_item_is_pushed_now(tables: Tables, endpoint: Endpoint, visitor: Visitor, place: str) -> None:
    """From the item itself and from the list, where it differs; what came of it stands beside the button."""
    registry = endpoint.parts.registry
    settings = ProductSyncSettings.model_validate({"price": "retail"})
    stores = {name: replace(one, product_sync_settings=settings) for name, one in registry.stores.items()}
    endpoint.parts.use_stores(stores, registry.policy)
    page = await visitor.open(f"{endpoint.url}{place}")
    async with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        await page.get_by_role("button", name="Push now").click()
    asked = await (await answered.value).json()
    assert (asked["type"], asked["params"]) == ("SYNC_PRODUCTS", {"variants": [VARIANT]})
    job = await endpoint.parts.jobs.get(JobId(UUID(asked["id"])))
    token = await endpoint.claim(job)
    await endpoint.progress(job, token, Counters(updated=1), applied={"stock": 1})
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    await expect(page.locator(".actions .answer", has_text="view")).to_contain_text("1 stock value")


async def test_what_is_not_there_leads_on(tables: Tables, endpoint: Endpoint, visitor: Visitor) -> None:
    """An address that is old, or wrong."""
    page = await visitor.open(f"{endpoint.url}items?q=nothing+of+it")
    await expect(page.get_by_text("There are no such items.")).to_be_visible()
    visitor.expect_complaint()
    await page.goto(f"{endpoint.url}items/99?store=main")
    await expect(page.get_by_role("heading", name="There is no such item")).to_be_visible()
    visitor.expect_complaint()


async def mapping_of(endpoint: Endpoint, variant_id: int) -> tuple[str, int]:
    """Source and product of the mapping that holds."""
    async with endpoint.parts.database.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT source, nhanh_id FROM dongbo.product_mappings WHERE variant_id = $1 AND retired_at IS NULL",
            variant_id,
        )
    assert row is not None
    return row["source"], row["nhanh_id"]
