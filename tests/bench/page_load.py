"""Opening the page in a browser with an empty cache: when something is seen, when its rows are, and how much was sent.

It is opened in Vietnamese, for English needs no catalogue.
"""

import asyncio
from collections.abc import AsyncIterator
from statistics import median

from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say
from playwright.async_api import Browser, async_playwright
from sse_return import FILL

from tests.support.browser import CHROMIUM, FLAGS

JOBS = 100_000
ROUNDS = 15
PATIENCE = 30.0  # seconds
PAINT_TARGET = 150.0  # milliseconds
ROWS_TARGET = 400.0
SIZE_TARGET = 150.0  # KB, of all that was sent
ROWS = {"now": ("/", ".view-now .running, .view-now .running + p"), "jobs": ("/jobs", ".view-jobs .run")}

# Without what makes them as large as they can be.
SHORTEN = "UPDATE dongbo.background_jobs SET metadata = metadata - 'note'"

# When the first row stands in the page, and when anything did. It runs before the page's own scripts.
WATCH = """
window.firstRow = new Promise((resolve) => new MutationObserver((_, watcher) => {
  if (!document.querySelector(%r)?.checkVisibility()) return;
  watcher.disconnect();
  resolve(performance.now());
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true }));
window.firstPaint = new Promise((resolve) => new PerformanceObserver((list, watcher) => {
  const [paint] = list.getEntriesByName("first-contentful-paint");
  if (paint) resolve(paint.startTime);
}).observe({ type: "paint", buffered: true }));
"""
SENT = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .filter(one => !one.name.endsWith('/api/events')).reduce((sum, one) => sum + one.transferSize, 0) / 1000"""


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """The first view, and the list of a hundred thousand jobs."""
    rounds = 5 if quick else ROUNDS
    assert CHROMIUM is not None, "apt-get install chromium"
    async with state_directory() as state, running_daemon(state) as bench, async_playwright() as playwright:
        await bench.connection.execute(FILL, JOBS, timeout=600)
        await bench.connection.execute(SHORTEN, timeout=600)
        await bench.connection.execute("VACUUM ANALYZE dongbo.background_jobs", timeout=600)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            await _visit(browser, bench, "now")  # the daemon has packed its files, and the browser is warm
            for view in ROWS:
                say(f"page_load: {view}, {rounds} times")
                found = [await _visit(browser, bench, view) for _ in range(rounds)]
                paints, rows, sizes = ([values[part] for values in found] for part in range(3))
                yield Figure(f"{view}_first_paint", median(paints), "ms", Bound.LESS_THAN, PAINT_TARGET, paints)
                yield Figure(f"{view}_first_rows", median(rows), "ms", Bound.LESS_THAN, ROWS_TARGET, rows)
                yield Figure(f"{view}_size", max(sizes), "KB", Bound.LESS_THAN, SIZE_TARGET)
        finally:
            await browser.close()


async def _visit(browser: Browser, bench: Bench, view: str) -> tuple[float, float, float]:
    """Milliseconds to the first paint and to the first row, and kilobytes, of somebody who has never been there."""
    path, row = ROWS[view]
    context = await browser.new_context(locale="vi-VN", viewport={"width": 1180, "height": 860})
    try:
        page = await context.new_page()
        await page.add_init_script(WATCH % row)
        async with asyncio.timeout(PATIENCE):
            await page.goto(bench.address.rstrip("/") + path)
            rows = await page.evaluate("firstRow")
            return await page.evaluate("firstPaint"), rows, await page.evaluate(SENT)
    finally:
        await context.close()
