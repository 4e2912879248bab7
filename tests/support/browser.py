"""The page in a real browser: Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, async_playwright, expect

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MUST: Final = bool(os.environ.get("CI")) or os.environ.get("DONGBO_BROWSER_TESTS") == "must"
REBOUND: Final = "rebound.example"  # the browser takes this name for 127.0.0.1
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
)
FAILED_REQUEST: Final = "Failed to load resource"  # what Chromium says of each answer that is an error
PATIENCE: Final = 20_000  # milliseconds that a loaded machine may take
HEIGHT: Final = 860
SMALLEST_TARGET: Final = 24  # CSS pixels: WCAG 2.2, 2.5.8
HOSTILE: Final = "<img src=x onerror=\"document.title='broken in'\"> & <b>bold</b>"

expect.set_options(timeout=PATIENCE)

# Of what can be pressed, that is smaller than a finger or a shaky hand needs. A link within a sentence is exempt, and a
# label or row that is pressed in its place counts as the target.
TOO_SMALL = """least => [...document.querySelectorAll('button, select, summary, input:not([type=hidden]), a[href]')]
    .filter(one => one.checkVisibility() && !one.closest('.hidden-text, .skip'))
    .filter(one => !(one.tagName === 'A' && getComputedStyle(one).display === 'inline'))
    .filter(one => !(one.labels?.[0]?.getBoundingClientRect().height >= least))
    .filter(one => { const box = one.getBoundingClientRect(); return box.width < least || box.height < least })
    .map(one => `${one.tagName} "${one.innerText || one.name || one.id}"`)"""
# What stands fixed, such as the bar of views on a phone, does not make a document scroll: it is cut off.
WIDER_THAN_THE_SCREEN = """() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return [...document.querySelectorAll(scrollWidth > clientWidth ? 'body *' : 'nav a')]
        .filter(one => one.getBoundingClientRect().right > clientWidth + 1)
        .slice(0, 5).map(one => `${one.tagName}.${one.getAttribute('class')} "${one.textContent.slice(0, 40)}"`)
}"""


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody looks at the page."""

    language: Literal["en", "vi"] = "en"
    width: int = 1180
    scheme: Literal["light", "dark"] = "light"

    def __str__(self) -> str:
        return f"{self.language}-{self.width}-{self.scheme}"


LOOKS: Final[Sequence[Look]] = [
    Look(language, width, scheme)
    for language, width, scheme in product(("en", "vi"), (1180, 390), ("light", "dark"))  # type: ignore[arg-type]
]
in_every_look = pytest.mark.parametrize("look", LOOKS, ids=str)


class Visitor:
    """Opens tabs, each with a profile of its own, and keeps what their consoles complain of."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._heard: list[str] = []
        self._expected: list[str] = []

    @property
    def complaints(self) -> list[str]:
        """What the consoles said, but for what the test expects them to say."""
        return [said for said in self._heard if not any(text in said for text in self._expected)]

    def expect_complaint(self, text: str = FAILED_REQUEST) -> None:
        """What a console may say in this test, before or after this call: Chromium reports when it gets to it."""
        self._expected.append(text)

    async def open(self, url: str, look: Look | None = None) -> Page:
        """A new tab at an address, in the look of a reader; a wide light English one unless told otherwise."""
        look = look or Look()
        context = await self._browser.new_context(
            locale={"en": "en-GB", "vi": "vi-VN"}[look.language],
            viewport={"width": look.width, "height": HEIGHT},
            color_scheme=look.scheme,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", self._fail)
        await page.goto(url)
        return page

    async def close(self) -> None:
        """Close all tabs."""
        for context in self._contexts:
            await context.close()

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._heard.append(message.text)

    def _fail(self, error: Error) -> None:
        self._heard.append(str(error))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium. Where there is none the test is skipped, or fails where skipping is not allowed."""
    if CHROMIUM is None:
        reason = "needs Chromium (apt-get install chromium)"
        pytest.fail(reason) if MUST else pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


async def assert_usable(page: Page) -> None:
    """Nothing that axe-core finds, no scrolling sideways, and nothing too small to be pressed."""
    found = await Axe().run(page)
    findings = [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found.response["violations"]
        for node in one["nodes"][:3]
    ]
    assert not findings, "\n".join(findings)
    too_wide = await page.evaluate(WIDER_THAN_THE_SCREEN)
    assert not too_wide, f"it is wider than the screen: {too_wide}"
    too_small = await page.evaluate(TOO_SMALL, SMALLEST_TARGET)
    assert not too_small, f"too small to be pressed: {too_small}"
