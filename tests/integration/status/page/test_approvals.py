"""The views of questions to a person: what waits for the answer, deciding, and what was decided."""

import re
from datetime import UTC, datetime
from typing import Any

from playwright.async_api import Page, expect

from daemon.api.approvals import ChangedSetting
from daemon.api.pushes import PushKind
from daemon.sync.products.approvals import HeldChange, RiskyChange
from daemon.sync.products.question import Example, PlanQuestion
from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look

QUESTION = PlanQuestion(
    zeroed=98,
    max_zeroed=50,
    zero_examples=[Example("AO-98", "98", "0", 31), Example("AO-97", "97", "0", 31)],
    depots=[1, 2],
    changed_settings=[ChangedSetting("product_sync.locations.31", "1, 2", "1")],
    settings_since=datetime.now(UTC),
)


def zeroed(number: int) -> HeldChange:
    """A stock that would be set to zero."""
    change = RiskyChange(PushKind.STOCK, 1_000 + number, 31, "0")
    sku = HOSTILE if number == 98 else f"AO-{number}"
    return HeldChange(change, str(number), True, sku, "Nhanh.vn 77 (AO) has 0 available in depot 1")


def repriced(number: int) -> HeldChange:
    """A price that waits along."""
    change = RiskyChange(PushKind.PRICE, 2_000 + number, 0, str(100_000 + number * 1_000))
    return HeldChange(change, "100000", False, f"GIA-{number}", "Nhanh.vn 77 (AO) has the retail price")


CHANGES = [*map(zeroed, range(1, 99)), *map(repriced, range(1, 21))]


async def shown_rows(page: Page) -> int:
    """How many changes are shown."""
    return await page.locator("section[aria-labelledby=changes] tbody tr").count()


async def open_question(endpoint: Any, visitor: Visitor, look: Look | None = None) -> Page:
    """The view of the one question that waits."""
    (question,) = (await endpoint.get("/api/approvals?state=open"))["approvals"]
    page = await visitor.open(f"{endpoint.url}approvals/{question['id']}", look)
    await expect(page.locator("section[aria-labelledby=changes] tbody tr").first).to_be_visible()
    return page


@in_every_look
async def test_a_question_is_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """In both languages, on a phone, in the dark."""
    await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await open_question(endpoint, visitor, look)
    await assert_usable(page)


@in_every_look
async def test_the_list_is_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """With one that waits and one that was decided."""
    job = await endpoint.asking(question=QUESTION, changes=CHANGES)
    await endpoint.call("POST", f"/api/jobs/{job.id}/reject", 200)
    await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await visitor.open(f"{endpoint.url}approvals", look)
    await expect(page.locator(".need")).to_have_count(1)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await assert_usable(page)


async def test_all_changes_are_reached(endpoint: Any, visitor: Visitor) -> None:
    """All 118, the largest first, page by page; and the 20 prices by themselves. What is not whole says so."""
    await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await open_question(endpoint, visitor)
    section = page.locator("section[aria-labelledby=changes]")
    await expect(section.get_by_role("heading")).to_have_text("Changes that wait: 118")
    await expect(section.locator(".changes-more .quiet")).to_have_text("50 of 118")
    await expect(section.locator("tbody tr").first).to_contain_text(HOSTILE)
    for shown in ("100 of 118", "118 of 118"):
        await section.get_by_role("button", name="Show more").click()
        await expect(section.locator(".changes-more .quiet")).to_have_text(shown)
    assert await shown_rows(page) == 118
    await expect(section.get_by_role("button", name="Show more")).to_be_hidden()
    await section.get_by_role("button", name="Price · 20").click()
    await expect(section.locator(".changes-more .quiet")).to_have_text("20 of 20")
    await expect(section.locator("tbody tr").first).to_contain_text("GIA-20")
    await expect(section.locator("tbody tr").first).to_contain_text("+20%")
    assert "kind=price" in page.url
    await page.reload()
    await expect(section.locator(".changes-more .quiet")).to_have_text("20 of 20")
    async with page.expect_download() as saved:
        await section.get_by_role("button", name="CSV").click()
    path = await (await saved.value).path()
    assert path.read_text("utf-8-sig").count("\n") == 21


async def test_reason_and_settings_stand_above_the_buttons(endpoint: Any, visitor: Visitor) -> None:
    """Whoever approves has read why, what to check, and what was configured otherwise."""
    await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await open_question(endpoint, visitor)
    text = await page.locator(".verdict").inner_text()
    places = [
        text.index(part)
        for part in (
            "This sync would set 98 items to zero",
            "since ",
            "Check at Nhanh.vn first",
            "whether the access token can still see all depots (1, 2)",
            "product_sync.locations.31",
            "Approve",
            "Reject",
        )
    ]
    assert places == sorted(places)


async def test_an_approval_is_answered_in_its_place_and_leaves_its_trace(endpoint: Any, visitor: Visitor) -> None:
    """The buttons go, the answer leads to the run; the list keeps who decided by which way, and what."""
    job = await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await open_question(endpoint, visitor)
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".verdict .answer")).to_contain_text("Approved:")
    await expect(page.locator(".verdict .answer a")).to_have_attribute("href", f"/jobs/{job.id}")
    await expect(page.get_by_role("button", name="Reject")).to_be_hidden()
    await expect(page.locator(".verdict > div > .dot")).to_have_text("Approved on the page")
    await page.get_by_role("link", name="All approvals").click()
    row = page.locator("tbody tr")
    await expect(row).to_contain_text("98 stock values")
    await expect(row).to_contain_text("Approved on the page")
    await expect(page.get_by_text("Nothing waits for approval.")).to_be_visible()


async def test_what_is_asked_anew_is_not_approved_unseen(endpoint: Any, visitor: Visitor) -> None:
    """What is shown stays, with a notice; the decision about it is refused, and says what is new."""
    await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await open_question(endpoint, visitor)
    await endpoint.asking(question=QUESTION, changes=[*CHANGES, zeroed(200)])
    await expect(page.get_by_text("A newer run has asked this anew")).to_be_visible()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".verdict .answer")).to_contain_text("1 change that you have not seen: AO-200 (200 → 0)")
    await page.get_by_role("button", name="Show what it asks now").click()
    await expect(page.locator("section[aria-labelledby=changes] tbody tr").first).to_contain_text("AO-200")
    await expect(page.locator(".verdict")).to_contain_text("asked again by 1 run")
    await page.get_by_role("button", name="Reject").click()
    await expect(page.locator(".verdict .answer")).to_contain_text("Rejected")
    visitor.expect_complaint()


async def test_a_decision_elsewhere_is_shown(endpoint: Any, visitor: Visitor) -> None:
    """In the terminal, while somebody looks at the page: there is nothing left to press."""
    job = await endpoint.asking(question=QUESTION, changes=CHANGES)
    page = await open_question(endpoint, visitor)
    await endpoint.call("POST", f"/api/jobs/{job.id}/approve", 202, headers={"X-Dongbo-Client": "cli"})
    await expect(page.locator(".verdict > div > .dot")).to_have_text("Approved in the terminal")
    await expect(page.get_by_role("button", name="Approve")).to_be_hidden()


async def test_what_is_no_question_says_so(endpoint: Any, visitor: Visitor) -> None:
    """With a way to those that there are."""
    page = await visitor.open(f"{endpoint.url}approvals/4711")
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such question")
    await expect(page.get_by_role("link", name="All approvals")).to_have_attribute("href", re.compile("/approvals$"))
    visitor.expect_complaint()
