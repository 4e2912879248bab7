"""The page beside a real daemon that is killed, and beside shops that do not answer."""

import re

from playwright.async_api import Page, expect

from daemon.sandbox.server import Sandbox
from tests.support.browser import Visitor, chromium
from tests.support.site import Site

SOON = 5_000  # milliseconds: the page itself tries again within a second and a half


async def test_a_killed_daemon_leaves_no_claim_behind(site: Site, unused_port: int) -> None:
    """All is as of a moment until there is a daemon again; then it is live by itself, and the job it ran goes on."""
    site.settings["status"] = {"listen": f"127.0.0.1:{unused_port}"}
    site.write()
    async with chromium() as browser:
        visitor = Visitor(browser)
        async with site.daemon() as daemon:
            page = await visitor.open(daemon.address)
            await expect(page.locator("body")).to_have_attribute("data-connection", "live")
            await daemon.process.kill()
            await expect(page.locator("body")).to_have_attribute("data-connection", "lost")
            await expect(page).to_have_title(re.compile(r"^as of \d\d:\d\d:\d\d · dongbo$"))
        async with site.daemon():
            await expect(page.locator("body")).to_have_attribute("data-connection", "live", timeout=SOON)
            await expect(page.locator(".verdict h2").first).to_be_visible()
        await visitor.close()


async def test_with_both_shops_down_nothing_is_green(site: Site, sandbox: Sandbox) -> None:
    """The verdict names what can't be reached and since when, and says as of when the data is."""
    async with chromium() as browser, site.daemon() as daemon:
        for job_type in ("PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS"):
            await daemon.api.completed((await daemon.api.submit(job_type))["id"])
        sandbox.faults.reset = 1.0
        for job_type in ("PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS"):
            job = await daemon.api.submit(job_type)
            await daemon.api.job_when(job["id"], lambda seen: seen["error"] is not None)
        visitor = Visitor(browser)
        page = await visitor.open(daemon.address)
        await expect(page.locator(".verdict")).to_contain_text(re.compile(r"unreachable since|can't be reached since"))
        assert await _greens(page) == 0
        await visitor.close()


async def _greens(page: Page) -> int:
    return await page.locator(".verdict.tone-ok").count()
