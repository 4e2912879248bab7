"""The frame of the page: its views, its languages and its connection."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Request, expect

from daemon.status.handlers.page import ADDRESSES, page_files
from tests.support.browser import Look, Visitor, assert_usable, in_every_look

SOON = 5_000  # milliseconds on a loaded machine; on an idle one it is less than two seconds
LOOK_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
}"""


@in_every_look
async def test_the_first_view_is_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """In both languages, on a phone, in the dark; with a keyboard and a screen reader."""
    page = await visitor.open(endpoint.url, look)
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    await expect(page.locator(".view-now h2").first).to_be_visible()
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


async def test_the_page_comes_back_soon_after_the_daemon(open_endpoint: Any, visitor: Visitor) -> None:
    """Without one all is dimmed, the clocks stand still, and the title says as of when; nothing claims to be live."""
    attempts = asyncio.Semaphore(0)

    def count(request: Request) -> None:
        if request.url.endswith("/api/events"):
            attempts.release()

    async with open_endpoint() as endpoint:
        page = await visitor.open(endpoint.url)
        page.on("requestfailed", count)
        await expect(page.locator("body")).to_have_attribute("data-connection", "live")
        address = endpoint.url.removeprefix("http://").rstrip("/")
    await expect(page.locator("body")).to_have_attribute("data-connection", "lost")
    await expect(page).to_have_title(re.compile(r"^as of \d\d:\d\d:\d\d · dongbo$"))
    await expect(page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    shown = await page.locator("#connection").inner_text()
    assert shown.startswith("no connection · as of ")
    for _ in range(6):
        await attempts.acquire()
    assert await page.locator("#connection").inner_text() == shown
    async with open_endpoint(listen=address):
        await expect(page.locator("body")).to_have_attribute("data-connection", "live", timeout=SOON)
        await expect(page.locator("#away")).to_be_hidden()
        await page.close()
    visitor.expect_complaint()


async def test_a_daemon_that_does_not_say_how_it_stands_is_not_called_live(endpoint: Any, visitor: Visitor) -> None:
    """Though its events come: all is as of the last answer, until there is another one."""
    page = await visitor.open(endpoint.url)
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    await page.route("**/status", lambda route: route.fulfill(status=503, json={"detail": "busy"}))
    await page.evaluate(LOOK_AGAIN)
    await expect(page.locator("body")).to_have_attribute("data-connection", "lost")
    await expect(page).to_have_title(re.compile(r"^as of \d\d:\d\d:\d\d · dongbo$"))
    await page.unroute("**/status")
    await page.evaluate(LOOK_AGAIN)
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    visitor.expect_complaint()


async def test_a_daemon_that_starts_is_seen_within_seconds(endpoint: Any, visitor: Visitor) -> None:
    """It answers 503 while it waits for its database; that is no crowd, which the page would leave alone for longer."""
    page = await visitor.open(endpoint.url)
    away = {"type": "urn:dongbo:problem:database-unavailable", "detail": "The daemon is starting."}
    await page.route("**/api/events", lambda route: route.fulfill(status=503, json=away), times=3)
    await page.reload()
    await expect(page.locator("body")).to_have_attribute("data-connection", "lost")
    await expect(page.locator("body")).to_have_attribute("data-connection", "live", timeout=SOON)
    visitor.expect_complaint()


async def test_a_hidden_tab_gives_its_connection_back(endpoint: Any, visitor: Visitor) -> None:
    """A browser has six for all tabs together; whoever comes back to it sees the present within a moment."""
    page = await visitor.open(endpoint.url)
    await page.clock.install()
    await page.reload()
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
    await page.evaluate(HIDE, True)
    await page.clock.fast_forward(61_000)
    await expect(page.locator("#connection")).to_contain_text("paused · as of")
    await expect(page.locator("#away")).to_be_hidden()
    await page.evaluate(HIDE, False)
    await page.clock.run_for(1_000)
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")
