"""Sale campaigns on the page: made with pickers, followed, decided about on a phone."""

from typing import Any

import pytest_asyncio
from playwright.async_api import Dialog, Locator, Page, expect

from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look
from tests.support.endpoint import Endpoint

SHELF = """
INSERT INTO dongbo.shopify_products (store, id, title, vendor, product_type, tags, document, digest)
VALUES ('main', 5, $1, 'Đại Nam', 'Áo', '{tet}', '{}', '')
"""
SHELF_VARIANTS = """
INSERT INTO dongbo.shopify_variants (store, id, product_id, sku, sku_key, price, compare_at_price, document, digest)
SELECT 'main', 1000 + number, 5, 'AO-0' || number, 'ao-0' || number, 100000 * number, NULL, '{}', ''
FROM generate_series(1, 3) AS number
"""
SHELF_IS_WHOLE = """
INSERT INTO dongbo.watermarks (store, stream, complete_to, full_pull_at)
VALUES ('main', 'shopify_products', now(), now())
"""
NEEDS_DECISION = """
UPDATE dongbo.sale_campaigns SET state = 'NEEDS_ATTENTION', notice = $1, started_at = '2026-01-01T12:00:42Z',
    starts_at = '2026-01-01T12:00:00Z', ended_at = '2026-01-02T12:00:00Z', ends_at = '2026-01-02T12:00:00Z'
"""


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def shelf(endpoint: Endpoint) -> None:
    """A product with the tag tet, of three variants that cost 100,000, 200,000 and 300,000."""
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute(SHELF, HOSTILE)
        await connection.execute(SHELF_VARIANTS)
        await connection.execute(SHELF_IS_WHOLE)


async def execute(endpoint: Endpoint, sql: str, *arguments: Any) -> None:
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute(sql, *arguments)


async def flash(endpoint: Endpoint) -> Any:
    """A campaign of which two prices have been changed by others, and one is stuck."""
    definition = {"name": "flash", "store": "main", "amount": 10_000, "targets": {"products": [5]}}
    sale = await endpoint.call("POST", "/api/sales", 201, json=definition)
    drifted = "UPDATE dongbo.sale_items SET state = 'DRIFTED', found_price = 77000, note = $1 WHERE variant_id < 1003"
    await execute(endpoint, drifted, HOSTILE)
    await execute(endpoint, "UPDATE dongbo.sale_items SET state = 'STUCK', note = 'too dear' WHERE variant_id = 1003")
    await execute(endpoint, NEEDS_DECISION, HOSTILE)
    return sale


def agreeing(page: Page) -> list[str]:
    """Answers all questions of the page with yes; what they were."""
    questions: list[str] = []

    async def agree(dialog: Dialog) -> None:
        questions.append(dialog.message)
        await dialog.accept()

    page.on("dialog", agree)
    return questions


async def opened_form(page: Page) -> Locator:
    await page.get_by_role("button", name="New sale").click()
    return page.get_by_role("form", name="New sale")


async def pick(form: Locator, part: str, label: str, text: str, option: str) -> None:
    """Choose what is offered for a part of its name."""
    field = form.get_by_role("group", name=part).get_by_role("combobox", name=label)
    await field.press_sequentially(text)
    await form.get_by_role("group", name=part).get_by_role("option", name=option).click()


@in_every_look
async def test_sales_are_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """The list, the form with an open picker and a preview, and one campaign with what is to be decided."""
    await flash(endpoint)
    page = await visitor.open(f"{endpoint.url}sales", look)
    await expect(page.locator("[data-id]")).to_have_count(1)
    await page.locator("[aria-controls=sale-form]").click()
    form = page.locator("#sale-form")
    await form.locator("[name=name]").fill("tet")
    await form.locator("[name=discount]").fill("20")
    await form.locator(".picker input").nth(3).fill("tet")
    await expect(form.locator("li[role=option]")).to_have_count(1)
    await assert_usable(page)
    await form.locator(".actions button").first.click()
    await expect(form.locator(".sale-preview tbody tr")).to_have_count(3)
    await assert_usable(page)
    await page.goto(f"{endpoint.url}sales/flash")
    await expect(page.locator(".sale-decisions:visible")).to_have_count(2)
    await assert_usable(page)


async def test_a_sale_is_previewed_made_started_and_ended(endpoint: Any, visitor: Visitor) -> None:
    """From the form to the list, with the shop's time, each step confirmed and answered in its place."""
    page = await visitor.open(f"{endpoint.url}sales")
    questions = agreeing(page)
    await expect(page.locator(".empty")).to_contain_text("No sales.")
    form = await opened_form(page)
    await expect(form).to_contain_text("Asia/Ho Chi Minh")
    for name, value in {"name": "tet-2999", "discount": "20", "round_to": "1000", "starts": "2999-01-28T20:00"}.items():
        await form.locator(f"[name={name}]").fill(value)
    await pick(form, "Variants on sale", "Tags", "TẾT", "tet")
    await form.get_by_role("group", name="Variants on sale").get_by_role("combobox", name="Tags").fill("nothing")
    await form.get_by_role("group", name="Except").get_by_label("SKUs").fill("ao-03\nao-04")
    await form.get_by_role("button", name="Preview").click()
    preview = form.locator(".sale-preview")
    await expect(preview).to_contain_text("2 of 2 variants would be on sale: 300,000 → 240,000, 20.0% less")
    await expect(preview).to_contain_text(HOSTILE)
    await expect(preview).to_contain_text("Tags: nothing")
    await expect(preview.locator("tbody tr").first).to_contain_text("80,000 100,000")

    await form.get_by_role("button", name="Create", exact=True).click()
    row = page.locator("[data-id]")
    await expect(row).to_contain_text("Scheduled")
    await expect(form).to_be_hidden()
    await expect(row).to_contain_text("20% off, rounded down to 1,000")
    await expect(row).to_contain_text("Tags: tet, nothing; except SKUs: ao-03, ao-04")
    await expect(row).to_contain_text("28 Jan 2999 20:00")  # the shop's time
    await expect(row).to_contain_text("2 variants planned")
    await expect(page.locator(".head")).to_contain_text("1 to come")

    await row.get_by_role("button", name="Start now").click()
    await expect(row).to_contain_text("0 of 2 on sale")
    await expect(row.get_by_role("status")).to_have_text("It starts.")
    await row.get_by_role("button", name="End now").click()
    await expect(row).to_contain_text("Being restored")
    await row.get_by_role("link", name="tet-2999").click()
    await expect(page.locator(".sale-events")).to_contain_text("sale created on the page")
    await expect(page.locator(".sale-events")).to_contain_text("sale ended on the page")
    assert questions == [
        "Start “tet-2999” of main now?",
        "End “tet-2999” of main now? All prices are restored.",
    ]


async def test_what_a_sale_can_not_be_is_said_in_its_form(endpoint: Any, visitor: Visitor) -> None:
    """In the daemon's words, beside the buttons; what was filled in stays."""
    page = await visitor.open(f"{endpoint.url}sales")
    form = await opened_form(page)
    await form.locator("[name=name]").fill("too-much")
    await form.locator("[name=discount]").fill("120")
    targets = form.get_by_role("group", name="Variants on sale")
    await targets.get_by_role("combobox", name="Tags").fill("tet")
    for label in ("Preview", "Create draft"):
        await form.get_by_role("button", name=label).click()
        await expect(form.get_by_role("status")).to_contain_text("percent")
    visitor.expect_complaint()
    await form.locator("[name=discount]").fill("20")
    await targets.get_by_role("combobox", name="Products").fill("gid")
    await targets.get_by_role("combobox", name="Products").press("Enter")
    await form.get_by_role("button", name="Preview").click()
    await expect(form.get_by_role("status")).to_contain_text("“gid” is not a product id")
    await targets.get_by_role("button", name="Remove gid").click()
    await pick(form, "Variants on sale", "Products", "img", HOSTILE)
    await form.get_by_role("button", name="Preview").click()
    await expect(form.locator(".sale-preview")).to_contain_text("3 of 3 variants")
    await expect(form.get_by_role("status")).to_have_count(0)


async def test_a_picker_works_with_the_keyboard_alone(endpoint: Any, visitor: Visitor) -> None:
    """Arrows move, Enter chooses, Escape closes, Backspace takes the last one back; accents are not needed."""
    page = await visitor.open(f"{endpoint.url}sales")
    form = await opened_form(page)
    field = form.get_by_role("group", name="Variants on sale").get_by_role("combobox", name="Vendors")
    await field.press_sequentially("dai")
    await expect(form.get_by_role("option", name="Đại Nam")).to_contain_text("1")
    await field.press("ArrowDown")
    active = await form.locator("li[role=option]").get_attribute("id")
    await expect(field).to_have_attribute("aria-activedescendant", active or "")
    await field.press("Enter")
    await expect(form.get_by_role("button", name="Remove Đại Nam")).to_be_visible()
    await field.press_sequentially("May, Co.")
    await field.press("Enter")
    await expect(form.get_by_role("button", name="Remove May, Co.")).to_be_visible()
    await field.press("Backspace")
    await expect(form.get_by_role("button", name="Remove May, Co.")).to_have_count(0)
    await field.press_sequentially("d")
    await field.press("Escape")
    await expect(field).to_have_attribute("aria-expanded", "false")
    await expect(form).to_be_visible()


async def test_foreign_prices_are_decided_about_on_a_phone(endpoint: Any, visitor: Visitor) -> None:
    """Each with what it has now and goes back to; one by one or all, and what is stuck is listed beside."""
    sale = await flash(endpoint)
    page = await visitor.open(f"{endpoint.url}sales", Look("en", 390))
    questions = agreeing(page)
    row = page.locator("[data-id]")
    await expect(row).to_contain_text("2 changed by somebody else")
    await expect(row).to_contain_text("began 42 s late")
    await expect(row).to_contain_text(HOSTILE)
    await expect(page.locator(".head")).to_contain_text("1 needs a decision")
    await row.get_by_role("link", name="Decide").click()

    drifted = page.get_by_role("table", name="Changed by somebody else")
    await expect(drifted.get_by_role("row").nth(1)).to_contain_text("77,000")
    await expect(drifted.get_by_role("row").nth(1)).to_contain_text("90,000 100,000")
    await expect(drifted.get_by_role("row").nth(1)).to_contain_text(HOSTILE)
    await expect(page.get_by_role("table", name="Stuck")).to_contain_text("too dear")
    await drifted.get_by_role("button", name="Restore 100,000 of AO-01").click()
    await expect(page.locator(".chip")).to_have_text("Being restored")
    assert questions == ["Set AO-01 from 77,000 back to 100,000?"]
    found = (await endpoint.get(f"/api/sales/{sale['id']}/items"))["items"]
    assert [item["decision"] for item in found] == ["restore", None, None]

    await execute(endpoint, "UPDATE dongbo.sale_campaigns SET state = 'NEEDS_ATTENTION'")
    await page.reload()
    await page.get_by_role("button", name="Keep all").click()
    await expect(page.locator(".chip")).to_have_text("Being restored")
    assert questions[1:] == ["Leave all 2 prices as somebody else has set them?"]
