"""The job page in a real browser, driven over the DevTools protocol; skipped where there is no Chromium."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.jobs.model import Counters, JobStatus
from daemon.jobs.types import JobType
from daemon.sources.credential import CredentialKind, CredentialReport
from tests.support.workshop import STORE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
HOSTILE = "<img src=x onerror=\"document.title='broken in'\"> & <b>bold</b>"


class Page:
    """One tab of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []  # of the page's console
        self.dialogs: list[str] = []

    async def listen(self) -> None:
        """Take answers and events, until cancelled."""
        async for message in self._socket:
            content = message.json()
            match content.get("method"):
                case None:
                    self._answers.pop(content["id"]).set_result(content)
                case "Page.javascriptDialogOpening":
                    self.dialogs.append(content["params"]["message"])
                    await self._post("Page.handleJavaScriptDialog", accept=True)
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(content["params"]["exceptionDetails"]))
                case "Log.entryAdded":
                    self.complaints.append(content["params"]["entry"]["text"])
                case _:
                    pass

    async def call(self, method: str, **params: Any) -> Any:
        """A command's result."""
        answer = self._answers[await self._post(method, **params)]
        content = await asyncio.wait_for(answer, 20)
        assert "error" not in content, content
        return content["result"]

    async def _post(self, method: str, **params: Any) -> int:
        self._number += 1
        self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        return self._number

    async def open(self, url: str) -> None:
        """Go to an address."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def value(self, script: str) -> Any:
        """What an expression is on the page."""
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    async def text(self, selector: str) -> str:
        """The visible text of all elements together."""
        visible = f"[...document.querySelectorAll({selector!r})].filter(e => e.checkVisibility())"
        text: str = await self.value(f"{visible}.map(e => e.innerText).join('\\n')") or ""
        return text.replace("\u00a0", " ")

    async def click(self, selector: str, label: str) -> None:
        """Press the visible button of this label."""
        found = await self.value(
            f"(b => {{ b?.click(); return !!b }})([...document.querySelectorAll({selector + ' button'!r})]"
            f".find(b => b.innerText === {label!r} && b.checkVisibility()))"
        )
        assert found, f"there is no button {label}"

    async def until(self, selector: str, holds: Callable[[str], bool]) -> str:
        """The text as soon as it is what is waited for."""
        text = ""
        try:
            async with asyncio.timeout(20):
                while not holds(text := await self.text(selector)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{selector} shows {text!r}; {self.complaints}") from None
        return text


@asynccontextmanager
async def _browsing(directory: Path, *flags: str) -> AsyncIterator[Page]:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *FLAGS,
        *flags,
        f"--user-data-dir={directory}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port_file = directory / "DevToolsActivePort"
        async with asyncio.timeout(30):
            while not (port_file.exists() and port_file.read_text().count("\n")):
                await asyncio.sleep(0.02)
        port = port_file.read_text().split("\n")[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                target = next(one for one in await response.json() if one["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listener = asyncio.create_task(page.listen(), name="devtools")
                try:
                    yield page
                finally:
                    listener.cancel()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A browser with an empty profile."""
    async with _browsing(tmp_path / "profile") as opened:
        yield opened


async def test_the_page_follows_a_job_without_a_reload(endpoint: Any, page: Page) -> None:
    """A newcomer sees what will happen, then a job from its submission to its end, and the console stays empty."""
    await page.open(endpoint.url)
    assert "products-yearly" in await page.until("#jobs-empty", lambda text: "fires in" in text)
    await page.until("#live", lambda text: text == "Live")
    await page.until("#health", lambda text: text == "Ready")
    assert "Asia/Ho Chi Minh" in await page.text("#zone")

    job = await endpoint.submit()
    await page.until("#jobs .status", lambda text: text == "Pending")
    token = await endpoint.claim(job)
    await page.until("#jobs .status", lambda text: text == "Running")
    await endpoint.progress(
        job, token, Counters(created=12_345, failed=2), rows_per_second=456.0, rate_limit_wait_seconds=75.0
    )
    progress = await page.until("#jobs .progress-cell", lambda text: "12,347 rows" in text)
    assert "456 rows/s" in progress
    assert "waited 1 min 15 s for the rate limit" in progress

    await page.click("#jobs", "Cancel")
    await page.until("#jobs .status", lambda text: text == "Cancelling")
    assert page.dialogs == ['Cancel "Pull Nhanh customers" of main? What it has stored is kept.']
    await endpoint.finish(job, token, JobStatus.FAILED, HOSTILE)
    await page.until("#jobs .status", lambda text: text == "Failed")
    assert await page.text("#jobs .error") == HOSTILE

    await page.click("#jobs", "Retry")
    await page.until("#jobs .status", lambda text: text == "Pending")
    await page.click("#schedules", "Pause")
    await page.until("#schedules .status", lambda text: text == "Paused")
    await page.click("#schedules", "Resume")
    await page.click("#schedules", "Run now")
    await page.until("#jobs .toggle", lambda text: "Pull Nhanh products" in text)
    assert await page.value("document.title") == "dongbo"
    assert page.complaints == []


async def test_pruned_jobs_leave_the_open_page(endpoint: Any, page: Page) -> None:
    """Without a reload; what pruning keeps stays, and so does what has not ended."""
    await endpoint.ended(JobStatus.FAILED)
    await endpoint.ended()
    await page.open(endpoint.url)
    await page.until("#live", lambda text: text == "Live")
    await endpoint.ended()  # the page learns of this one by an event
    await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    shown = "[...document.querySelectorAll('#jobs .status')].map((one) => one.firstChild.textContent).join()"
    async with asyncio.timeout(20):
        while (await page.value(shown)).count("Completed") != 2 or "Pending" not in await page.value(shown):
            await asyncio.sleep(0.05)
        assert await endpoint.parts.jobs.prune(timedelta(0)) == 1
        while (await page.value(shown)).count("Completed") != 1:
            await asyncio.sleep(0.05)
    assert sorted((await page.value(shown)).split(",")) == ["Completed", "Failed", "Pending"]
    assert page.complaints == []


async def test_the_page_comes_back_by_itself(open_endpoint: Any, page: Page) -> None:
    """After the daemon was away, the page shows what has happened meanwhile."""
    async with open_endpoint() as endpoint:
        await page.open(endpoint.url)
        await page.until("#live", lambda text: text == "Live")
        address = endpoint.url.removeprefix("http://").rstrip("/")
        job = await endpoint.submit()
        await page.until("#jobs .status", lambda text: text == "Pending")
    await page.until("#live", lambda text: "Reconnecting" in text)
    async with open_endpoint(listen=address) as endpoint:
        await endpoint.call("POST", f"/api/jobs/{job.id}/cancel", 202)
        await page.until("#live", lambda text: text == "Live")
        await page.until("#jobs .status", lambda text: text == "Cancelled")


async def test_the_page_asks_for_the_token(open_endpoint: Any, page: Page) -> None:
    """It shows nothing before; a wrong token is said to be wrong; the right one is kept in the tab."""
    async with open_endpoint(token="tokén") as endpoint:
        await endpoint.submit(JobType.NOOP)
        await page.open(endpoint.url)

        async def enter(token: str) -> None:
            await page.value(f"document.getElementById('token').value = {token!r}")
            await page.click("#login", "Show the jobs")

        await page.until("#login", lambda text: "Show the jobs" in text)
        assert await page.text("#content") == ""
        await enter("wrong")
        await page.until("#login-error", lambda text: "wrong" in text)
        await enter("tokén")
        await page.until("#jobs .toggle", lambda text: text == "No-op")
        await page.until("#live", lambda text: text == "Live")
        await page.call("Page.reload")
        await page.until("#jobs .toggle", lambda text: text == "No-op")


async def test_what_waits_for_approval_is_on_top_and_decided_on_the_page(endpoint: Any, page: Page) -> None:
    """With its reason, counted in the title; approving repeats the reason, rejecting ends it."""
    job = await endpoint.asking(reason=f"It would set 30 items to zero. {HOSTILE}")
    await endpoint.ended()
    await page.open(endpoint.url)
    status = await page.until("#jobs .status", lambda text: text.count("\n") == 1)
    assert status.split("\n") == ["Needs approval", "Completed"]
    assert await page.text("#jobs .error") == job.error
    assert await page.value("document.title") == "1 needs approval · dongbo"
    assert await page.text("#jobs-summary") == "1 needs approval"

    await page.click("#jobs", "Approve")
    await page.until("#jobs .status", lambda text: sorted(text.split("\n")) == ["Completed", "Pending"])
    assert page.dialogs == [f'Approve "Sync products" of main?\n\n{job.error}']
    assert (await page.text("#jobs .toggle")).split("\n") == ["Pull Nhanh customers", "Sync products"]
    await endpoint.call("POST", f"/api/jobs/{job.id}/cancel", 202)

    await endpoint.asking()
    await page.until("#jobs .status", lambda text: text.startswith("Needs approval"))
    await page.click("#jobs", "Reject")
    await page.until("#jobs .status", lambda text: "Needs approval" not in text)
    assert page.complaints == []


async def test_a_chain_lists_its_steps_and_leads_to_them(endpoint: Any, page: Page) -> None:
    """Each step with its status and rows; the step says what it is a step of, and a sync lists its pushes."""
    chain = await endpoint.submit(JobType.PRODUCT_CHAIN)
    token = await endpoint.claim(chain)
    step = await endpoint.asking()
    await endpoint.execute("UPDATE dongbo.background_jobs SET parent_id = $1 WHERE id = $2", chain.id, step.id)
    await endpoint.push(step, "5", "7", "Nhanh.vn 77 has 4 + 3")
    steps = [
        {"type": "MATCH_PRODUCTS", "job_id": None, "status": "COMPLETED"},
        {"type": "SYNC_PRODUCTS", "job_id": str(step.id), "status": "AWAITING_APPROVAL"},
        {"type": "SYNC_CUSTOMERS", "job_id": None, "status": None},
    ]
    await endpoint.progress(chain, token, Counters(updated=1), steps=steps)
    await page.open(endpoint.url)
    await page.until("#jobs .job-cell", lambda text: "step of product chain" in text)
    await page.click("#jobs", "Product chain")
    shown = await page.until("#jobs .steps", lambda text: "Sync customers" in text)
    assert shown.split("\n")[0] == "Match products Completed"
    assert "Sync products Needs approval 0 rows" in shown
    assert "not begun" in shown
    await page.click("#jobs .steps", "Show")
    pushes = await page.until("#jobs .failures", lambda text: "Pushes to Shopify: 1" in text)
    assert "Nhanh.vn 77 has 4 + 3" in pushes
    assert page.complaints == []


async def test_a_dry_run_shows_figures_and_sample(endpoint: Any, page: Page) -> None:
    """Whatever the shop calls its things."""
    job = await endpoint.submit(JobType.MATCH_PRODUCTS, dry_run=True)
    token = await endpoint.claim(job)
    sample = {"matched": [{"variant_id": 1001, "sku": HOSTILE, "nhanh_id": 77, "reason": None}]}
    await endpoint.progress(
        job, token, Counters(skipped=3), mapped=1, unmatched=2, left_alone={"no_sku": 4}, sample=sample
    )
    await page.open(endpoint.url)
    await page.until("#jobs .job-cell", lambda text: "dry run" in text)
    await page.click("#jobs", "Match products")
    shown = await page.until("#jobs .detail-row", lambda text: "Dry run: what would be done" in text)
    assert "1 mapped · 2 unmatched · left alone: 4 no sku" in shown
    assert HOSTILE in shown
    assert page.complaints == []


async def test_an_sku_is_explained_on_the_page(endpoint: Any, page: Page) -> None:
    """The verdict on each value, or that there is no such thing."""
    await endpoint.execute(
        "INSERT INTO dongbo.shopify_variants (store, id, product_id, sku, sku_key, price, document, digest) "
        "VALUES ('main', 1001, 5, 'AO-01', 'ao-01', 199000, '{}', '')"
    )
    await page.open(endpoint.url)
    await page.until("#why", lambda text: "Why does Shopify say that?" in text)
    answers = {
        "ao-01": "Shopify has 199000 as price",
        "gid://shopify/ProductVariant/1001": "Shopify has 199000 as price",
        "https://admin.shopify.com/store/x/customers/1": "is a customer",
        "<b>none</b>": "No variant of Shopify in the mirror has <b>none</b>",
    }
    for text, answer in answers.items():
        await page.value(f"document.getElementById('why-text').value = {text!r}")
        await page.click("#why", "Explain")
        await page.until("#why-answer", lambda shown, answer=answer: answer in shown)
        await page.value(CLEAR_QUESTION)
        assert await page.text("#why-answer") == ""
    assert page.complaints == []


CLEAR_QUESTION = """(field => { field.value = ''; field.dispatchEvent(new Event('input')) })(
    document.getElementById('why-text'))"""
HOLD_FIRST_ANSWER = """(ask => {
    let asked = 0
    window.fetch = (path, options) => {
        const answer = ask(path, options)
        if (!path.startsWith('/api/explain') || asked++) return answer
        return new Promise((resolve) => {
            window.letCome = async () => {
                const held = await answer
                const content = await held.json()
                return new Promise((isRead) => {
                    // What waits for the content has it before the browser's next task.
                    held.json = async () => { setTimeout(isRead); return content }
                    resolve(held)
                })
            }
        })
    }
})(window.fetch)"""


async def test_the_answer_to_the_last_question_stays(endpoint: Any, page: Page) -> None:
    """Also when the answer to an earlier one comes after it, or when the question was cleared away."""
    await page.open(endpoint.url)
    await page.until("#why", lambda text: "Why does Shopify say that?" in text)
    for later in ("second", None):
        await page.value(HOLD_FIRST_ANSWER)
        await page.value("document.getElementById('why-text').value = 'first'")
        await page.click("#why", "Explain")
        await page.value(CLEAR_QUESTION)
        if later:
            await page.value(f"document.getElementById('why-text').value = {later!r}")
            await page.click("#why", "Explain")
            await page.until("#why-answer", lambda shown: "second" in shown)
        await page.value("letCome()")
        assert "first" not in await page.text("#why-answer")
    assert page.complaints == []


SHELF = """
INSERT INTO dongbo.shopify_products (store, id, title, tags, document, digest)
VALUES ('main', 5, $1, '{tet}', '{}', '')
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


@pytest.fixture
async def shelf(endpoint: Any) -> None:
    """A product with the tag tet, of three variants that cost 100,000, 200,000 and 300,000."""
    await endpoint.execute(SHELF, HOSTILE)
    await endpoint.execute(SHELF_VARIANTS)
    await endpoint.execute(SHELF_IS_WHOLE)


async def fill(page: Page, form: str, **values: str) -> None:
    """Write into the fields of a form by their names."""
    for name, value in values.items():
        field = f"document.getElementById({form!r}).elements[{name.replace('__', '.')!r}]"
        await page.value(f"{field}.value = {value!r}; {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


async def test_a_sale_is_previewed_made_started_and_ended_on_the_page(endpoint: Any, shelf: None, page: Page) -> None:
    """From the form to the table, with the shop's time, each step confirmed, the console empty."""
    await page.open(endpoint.url)
    await page.until("#sales-empty", lambda text: "No sale" in text)
    await page.until("#sale-zone, #sales-section", lambda text: "New sale" in text)
    await page.click("#sales-section", "New sale")
    await page.until("#sale-zone", lambda text: "Asia/Ho Chi Minh" in text)
    await fill(page, "sale-form", name="tet-2999", discount="20", round_to="1000", starts="2999-01-28T20:00")
    await fill(page, "sale-form", targets__tags='nothing, "tet"', excludes__skus="ao-03\nao-04")
    await page.click("#sale-form", "Preview")
    preview = await page.until("#sale-preview-answer", lambda text: "would be on sale" in text)
    assert "2 of 2 variants would be on sale: 300,000 → 240,000, 20.0 % less" in preview
    assert HOSTILE in preview
    assert "100,000\t80,000 100,000" in preview
    assert "Nothing in the shop matches:" in preview
    assert "Tags: nothing\n" in preview

    await page.click("#sale-form", "Create")
    await page.until("#sales .status", lambda text: text == "Scheduled")
    assert await page.text("#sale-form") == ""
    row = await page.text("#sales .main-row")
    assert "20 % off, to 1,000" in row
    assert "tags nothing, tet, except SKUs ao-03, ao-04" in row
    assert "28 Jan 2999 20:00" in row  # the shop's time
    assert "2 variants planned" in row
    assert await page.text("#sales-badge") == "Sales: 1 to come"

    await page.click("#sales", "Start now")
    await page.until("#sales .status", lambda text: text == "Applying")
    assert "0 of 2 on sale" in await page.text("#sales .progress-cell")
    await page.until("#jobs .toggle", lambda text: "Apply sale" in text)
    await page.click("#sales", "End now")
    await page.until("#sales .status", lambda text: text == "Reverting")
    assert page.dialogs == [
        'Start "tet-2999" of main now?',
        'End "tet-2999" of main now? All prices are restored.',
    ]
    assert page.complaints == []


async def test_what_a_sale_can_not_be_is_said_in_its_form(endpoint: Any, shelf: None, page: Page) -> None:
    """In the daemon's words, below what was filled in, which stays."""
    await page.open(endpoint.url)
    await page.until("#sales-section", lambda text: "New sale" in text)
    await page.click("#sales-section", "New sale")
    await fill(page, "sale-form", name="too-much", discount="120", targets__tags="tet")
    refusals = {
        "Preview": "percent",  # 100 and over
        "Create draft": "percent",
    }
    for label, refusal in refusals.items():
        await page.click("#sale-form", label)
        await page.until("#sale-form-error", lambda text, refusal=refusal: refusal in text)
    await fill(page, "sale-form", discount="20", targets__products="5, gid")
    await page.click("#sale-form", "Preview")
    await page.until("#sale-form-error", lambda text: '"gid" is not a product id' in text)
    await fill(page, "sale-form", targets__products="5")
    await page.click("#sale-form", "Preview")
    await page.until("#sale-preview-answer", lambda text: "3 of 3 variants" in text)
    assert await page.text("#sale-form-error") == ""


async def test_foreign_prices_are_decided_about_on_the_page(endpoint: Any, shelf: None, page: Page) -> None:
    """Each with what it has now and goes back to; one by one or all, and what is stuck is listed beside."""
    definition = {"name": "flash", "store": "main", "amount": 10_000, "targets": {"products": [5]}}
    sale = await endpoint.call("POST", "/api/sales", 201, json=definition)
    drifted = "UPDATE dongbo.sale_items SET state = 'DRIFTED', found_price = 77000, note = $1 WHERE variant_id < 1003"
    await endpoint.execute(drifted, HOSTILE)
    await endpoint.execute("UPDATE dongbo.sale_items SET state = 'STUCK', note = 'too dear' WHERE variant_id = 1003")
    late = (
        "UPDATE dongbo.sale_campaigns SET state = 'NEEDS_ATTENTION', notice = $1, started_at = '2026-01-01T12:00:42Z', "
        "starts_at = '2026-01-01T12:00:00Z', ended_at = '2026-01-02T12:00:00Z', ends_at = '2026-01-02T12:00:00Z'"
    )
    await endpoint.execute(late, HOSTILE)
    await page.open(endpoint.url)
    row = await page.until("#sales .main-row", lambda text: "Needs a decision" in text)
    assert "2 changed by somebody else" in row
    assert "began 42 s late" in row
    assert await page.text("#sales-badge") == "Sales: 1 needs a decision"
    assert await page.text("#sales .error-row") == HOSTILE

    await page.click("#sales", "Decide")
    parts = ("too dear", "What happened", "Changed by somebody else: 2")  # asked for side by side
    details = await page.until("#sales .detail-row", lambda text: all(part in text for part in parts))
    assert f"77,000\t100,000\t90,000 100,000\t{HOSTILE}" in details
    await page.click("#sales .decide", "Restore")
    await page.until("#sales .status", lambda text: text.startswith("Reverting"))
    assert page.dialogs == ["Set AO-01 from 77,000 back to 100,000?"]
    found = (await endpoint.get(f"/api/sales/{sale['id']}/items"))["items"]
    assert [item["decision"] for item in found] == ["restore", None, None]

    await endpoint.execute("UPDATE dongbo.sale_campaigns SET state = 'NEEDS_ATTENTION'")
    await page.value("document.dispatchEvent(new Event('visibilitychange'))")
    await page.until("#sales .status", lambda text: text.startswith("Needs a decision"))
    await page.until("#sales .detail-row", lambda text: "Keep all" in text)
    await page.click("#sales", "Keep all")
    await page.until("#sales .status", lambda text: text.startswith("Reverting"))
    assert page.complaints == []


async def test_a_credential_that_needs_somebody_is_told_on_the_page(open_endpoint: Any, page: Page) -> None:
    """On top, in the sentence that says what to do; gone as soon as it has been done."""
    problem = (
        "The access token of Nhanh.vn expires on 2026-12-20: get a new one with `dongbo connect nhanh --store main`."
    )
    told = CredentialReport(
        STORE, "nhanh", CredentialKind.ACCESS_TOKEN, True, datetime.now(UTC), None, None, (problem,)
    )
    reports = [told]
    async with open_endpoint(credentials=lambda: reports) as endpoint:
        await page.open(endpoint.url)
        assert await page.until("#credentials li", bool) == f"main: {problem}"
        assert await page.value("document.getElementById('credentials').dataset.tone") == "wait"
        reports[0] = replace(told, refused_since=datetime.now(UTC), problems=(problem, HOSTILE))
        await page.value("document.dispatchEvent(new Event('visibilitychange'))")
        await page.until("#credentials", lambda text: HOSTILE in text)
        assert await page.value("document.getElementById('credentials').dataset.tone") == "bad"
        reports.clear()
        await page.value("document.dispatchEvent(new Event('visibilitychange'))")
        await page.until("#credentials", lambda text: text == "")
    assert page.complaints == []


async def test_a_daemon_without_sales_shows_no_section(endpoint: Any, page: Page) -> None:
    """Where the endpoint knows nothing of sales, neither does the page."""
    absent = "const real = fetch; fetch = (path, options) => path.startsWith('/api/sales') ? %s : real(path, options)"
    await page.call("Page.enable")
    await page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source=absent % "(window.asked = true, Promise.resolve(new Response('{}', {status: 404})))",
    )
    await page.open(endpoint.url)
    await page.until("#schedules", lambda text: "products-yearly" in text)
    async with asyncio.timeout(20):
        while not await page.value("window.asked"):
            await asyncio.sleep(0.02)
    assert await page.text("#sales-section") == ""
    assert page.complaints == []
