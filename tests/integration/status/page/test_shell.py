"""The frame of the page: its views, its languages, its connection and its token."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from daemon.jobs.types import JobType
from daemon.status.handlers.page import ADDRESSES, page_files
from tests.support.browser import Look, Visitor, assert_usable, in_every_look


@in_every_look
async def test_the_first_view_is_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """In both languages, on a phone, in the dark; with a keyboard and a screen reader."""
    page = await visitor.open(endpoint.url, look)
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    await expect(page.locator(".view-now h2").last).to_be_visible()
    assert await page.locator("html").get_attribute("lang") == look.language
    await assert_usable(page)


@pytest.mark.parametrize("path", ADDRESSES)
async def test_every_address_of_a_view_answers_the_page(endpoint: Any, path: str) -> None:
    """So that it can be shared, and opened anew."""
    async with endpoint.client.get(path.replace("{id}", "7").replace("{name}", "x")) as response:
        assert await response.read() == page_files()["index.html"]
        assert response.content_type == "text/html"


async def test_the_language_is_that_of_the_browser_until_another_is_chosen(endpoint: Any, visitor: Visitor) -> None:
    """And stays what was chosen."""
    page = await visitor.open(endpoint.url, Look("vi"))
    await expect(page.locator("html")).to_have_attribute("lang", "vi")
    await page.get_by_role("button", name="EN").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(page.get_by_role("button", name="EN")).to_have_attribute("aria-pressed", "true")


async def test_an_address_of_no_view_says_so(endpoint: Any, visitor: Visitor) -> None:
    """With a way out, and the back button works."""
    page = await visitor.open(endpoint.url)
    await expect(page.locator(".view-now")).to_be_visible()
    await page.evaluate("history.pushState(null, '', '/nowhere'); dispatchEvent(new PopStateEvent('popstate'))")
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    await page.get_by_role("link", name="To the first page").click()
    await expect(page.locator(".view-now")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")


async def test_the_page_asks_for_the_token(open_endpoint: Any, visitor: Visitor) -> None:
    """It shows nothing before; a wrong token is said to be wrong; the right one is kept in the tab."""
    async with open_endpoint(token="tokén") as endpoint:
        await endpoint.submit(JobType.NOOP)
        page = await visitor.open(endpoint.url)
        await expect(page).to_have_title("Token needed · dongbo")
        await expect(page.locator("#view")).to_be_hidden()
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Enter").click()
        await expect(page.locator("#login-error")).to_contain_text("wrong")
        await page.get_by_label("Token").fill("tokén")
        await page.get_by_role("button", name="Enter").click()
        await expect(page.locator(".view-now")).to_be_visible()
        await expect(page.locator("body")).to_have_attribute("data-connection", "live")
        await page.reload()
        await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    visitor.complaints.clear()  # the browser logs each refusal


async def test_the_page_comes_back_within_two_seconds_of_the_daemon(open_endpoint: Any, visitor: Visitor) -> None:
    """Without one all is dimmed, the clocks stand still, and the title says as of when; nothing claims to be live."""
    async with open_endpoint() as endpoint:
        page = await visitor.open(endpoint.url)
        await expect(page.locator("body")).to_have_attribute("data-connection", "live")
        address = endpoint.url.removeprefix("http://").rstrip("/")
    await expect(page.locator("body")).to_have_attribute("data-connection", "lost")
    await expect(page).to_have_title(re.compile(r"^as of \d\d:\d\d:\d\d · dongbo$"))
    await expect(page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    shown = await page.locator("#connection").inner_text()
    assert shown.startswith("no connection · as of ")
    await page.wait_for_timeout(1_500)
    assert await page.locator("#connection").inner_text() == shown
    async with open_endpoint(listen=address):
        await expect(page.locator("body")).to_have_attribute("data-connection", "live", timeout=2_000)
        await expect(page.locator("#away")).to_be_hidden()
    visitor.complaints.clear()  # the browser logs each attempt
