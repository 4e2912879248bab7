"""The first view: the verdict, what needs a person and is done in its place, how fresh it all is, and what runs."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio
from playwright.async_api import Dialog, Page, Route, expect

from daemon.inbox import events, streams
from daemon.inbox.events import Arrival
from daemon.inbox.streams import StreamId, Unaccepted
from daemon.inbox.topics import Subject
from daemon.jobs import pauses
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.types import JobType, Source
from daemon.roles import DaemonRole
from tests.support.alarms import channel
from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look
from tests.support.endpoint import STORE
from tests.support.fleet import join
from tests.support.receivers import receiving

DEAD_LETTERS = """
INSERT INTO dongbo.job_failures (job_id, source_id, reason, payload)
SELECT $1, number::text, $2, '{}' FROM generate_series(1, 54) AS number
"""


@pytest_asyncio.fixture(loop_scope="session")
async def troubled(endpoint: Any) -> Job:
    """A shop in which a push waits for approval, rows and a stream fail, and a pull runs; the job with the rows."""
    products = await endpoint.submit(JobType.PULL_SHOPIFY_PRODUCTS)
    token = await endpoint.claim(products)
    await endpoint.progress(products, token, Counters(created=2_946, failed=54))
    await endpoint.execute(DEAD_LETTERS, products.id, HOSTILE)
    await endpoint.finish(products, token, JobStatus.COMPLETED)
    await endpoint.ended(JobStatus.FAILED, JobType.PULL_SHOPIFY_CUSTOMERS)
    await endpoint.asking(reason=f"It would set 30 items to zero. {HOSTILE}")
    customers = await endpoint.submit()
    token = await endpoint.claim(customers)
    await endpoint.execute("UPDATE dongbo.background_jobs SET total = 8000 WHERE id = $1", customers.id)
    counted = Counters(created=4_960)
    await endpoint.progress(customers, token, counted, rows_per_second=500.0, rate_limit_wait_seconds=4.1)
    return products


def need(page: Page, text: str) -> Any:
    """The thing that waits for a person and says this."""
    return page.locator(".need", has_text=text)


@in_every_look
async def test_a_troubled_shop_is_shown_to_everybody(
    endpoint: Any, troubled: Job, visitor: Visitor, look: Look
) -> None:
    """All parts of the view, in both languages, on a phone, in the dark."""
    page = await visitor.open(endpoint.url, look)
    await expect(page.locator(".verdict.tone-bad h2")).not_to_be_empty()
    await expect(page.locator(".needs .need:visible")).to_have_count(3)
    await expect(page.locator(".fresh tbody tr")).not_to_have_count(0)
    await expect(page.locator(".fresh .strip").first).to_be_visible()
    await expect(page.locator(".running li")).to_have_count(1)
    await assert_usable(page)


async def test_what_needs_somebody_is_counted_in_header_and_title(
    endpoint: Any, troubled: Job, visitor: Visitor
) -> None:
    """On every view; none of what the shop calls its things is taken for markup."""
    page = await visitor.open(endpoint.url)
    await expect(page).to_have_title("3 need you · dongbo")
    await expect(page.get_by_role("link", name="Now, 3 need you")).to_be_visible()
    await expect(need(page, "54 rows can't be stored")).to_contain_text(HOSTILE)
    await page.get_by_role("link", name="Jobs", exact=True).click()
    await expect(page).to_have_title("3 need you · Jobs · dongbo")


async def test_a_question_is_answered_where_it_stands(endpoint: Any, troubled: Job, visitor: Visitor) -> None:
    """Its reason above the buttons and again before it is approved; the answer stays and leads to the job."""
    asked: list[str] = []

    async def accept(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.accept()

    page = await visitor.open(endpoint.url)
    page.on("dialog", accept)
    question = need(page, "It would set 30 items to zero.")
    await expect(question).to_contain_text("asked by 1 run")
    before = await endpoint.get("/status")

    async def lag(route: Route) -> None:
        await route.fulfill(json=before)

    await page.route("**/status", lag, times=1)  # as if it had been asked for before the answer came
    await question.get_by_role("button", name="Approve").click()
    await expect(question.get_by_role("status")).to_have_text("approved: view")
    assert asked == [f"Approve?\n\nIt would set 30 items to zero. {HOSTILE}"]
    await expect(page).to_have_title("2 need you · dongbo")
    await expect(question.get_by_role("button", name="Reject")).to_be_hidden()
    await expect(question.get_by_role("link", name="view")).to_have_attribute(
        "href", re.compile(r"^/jobs/[0-9a-f-]{36}$")
    )


async def test_a_question_is_rejected_where_it_stands(endpoint: Any, troubled: Job, visitor: Visitor) -> None:
    """Nothing is changed then, and it is no longer asked."""
    page = await visitor.open(endpoint.url)
    question = need(page, "It would set 30 items to zero.")
    await question.get_by_role("button", name="Reject").click()
    await expect(question.get_by_role("status")).to_contain_text("rejected")
    await expect(page).to_have_title("2 need you · dongbo")
    assert (await endpoint.get("/api/approvals?state=open"))["approvals"] == []


async def test_rows_that_fail_are_seen_and_tried_again(endpoint: Any, troubled: Job, visitor: Visitor) -> None:
    """One step from the sentence to the rows, one to the job that takes them up."""
    page = await visitor.open(endpoint.url)
    rows = need(page, "54 rows can't be stored")
    seen = rows.get_by_role("link", name="See the rows")
    await expect(seen).to_have_attribute("href", f"/jobs/{troubled.id}#failed-rows")
    await rows.get_by_role("button", name="Try them again").click()
    await expect(rows.get_by_role("status")).to_have_text("started: view")
    jobs = (await endpoint.get("/api/jobs?type=PULL_SHOPIFY_PRODUCTS&status=PENDING"))["jobs"]
    assert [job["trigger"] for job in jobs] == ["retry"]


async def test_a_dead_channel_is_tried_where_it_is_named(endpoint: Any, visitor: Visitor) -> None:
    """What the service answers stands beside the button; once a message goes out, nothing is wrong any more."""
    async with receiving() as service:
        service.status = 403
        endpoint.parts.alerts.use([channel(service.alert_url())])
        await endpoint.parts.alerts.test()
        page = await visitor.open(endpoint.url)
        dead = need(page, "Alerts do not get through by phone")
        await expect(dead).to_contain_text("error=403")
        await dead.get_by_role("button", name="Send a test").click()
        await expect(dead.get_by_role("status")).to_contain_text("said by the service", timeout=30_000)
        service.status = 200
        await dead.get_by_role("button", name="Send a test").click()
        await expect(dead.get_by_role("status")).to_have_text("sent", timeout=30_000)
        assert service.titles == ["dongbo: a test"]
        await expect(page).to_have_title("dongbo")


async def test_failed_rows_of_a_sync_are_tried_again_by_themselves(endpoint: Any, visitor: Visitor) -> None:
    """As those of a pull are."""
    job = await endpoint.submit(JobType.SYNC_PRODUCTS)
    token = await endpoint.claim(job)
    await endpoint.progress(job, token, Counters(failed=54))
    await endpoint.execute(DEAD_LETTERS, job.id, "it broke")
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    page = await visitor.open(endpoint.url)
    rows = need(page, "54 rows")
    await rows.get_by_role("button", name="Try them again").click()
    await expect(rows.get_by_role("status")).to_have_text("started: view")
    (again,) = (await endpoint.get("/api/jobs?type=SYNC_PRODUCTS&status=PENDING"))["jobs"]
    assert again["params"] == {"retry_of": str(job.id)}


async def test_a_failing_stream_says_why_and_is_tried_again(endpoint: Any, troubled: Job, visitor: Visitor) -> None:
    """Where it needs somebody, and in the table of streams."""
    page = await visitor.open(endpoint.url)
    await expect(page.locator(".fresh tr", has_text="Customers of Shopify")).to_contain_text("it broke")
    stream = need(page, "it broke")
    await stream.get_by_role("button", name="Try again").click()
    await expect(stream.get_by_role("status")).to_have_text("started: view")
    assert (await endpoint.get("/api/jobs?type=PULL_SHOPIFY_CUSTOMERS&status=PENDING"))["jobs"]


async def test_what_can_not_be_done_is_said_beside_the_button(endpoint: Any, troubled: Job, visitor: Visitor) -> None:
    """In the daemon's words; the button can be pressed again."""
    page = await visitor.open(endpoint.url)
    await page.route("**/retry", lambda route: route.fulfill(status=503, json={"detail": "The database is away."}))
    stream = need(page, "it broke")
    await stream.get_by_role("button", name="Try again").click()
    await expect(stream.get_by_role("status")).to_have_text("The database is away.")
    await expect(stream.get_by_role("button", name="Try again")).to_be_enabled()
    visitor.expect_complaint()


async def test_a_running_job_is_followed_without_a_reload(endpoint: Any, visitor: Visitor) -> None:
    """From its start to its end, with its progress, its speed and what it waits for; it is cancelled right there."""
    page = await visitor.open(endpoint.url)
    page.on("dialog", lambda dialog: dialog.accept())
    running = page.locator(".running li")
    await expect(page.get_by_text("Nothing runs at the moment.")).to_be_visible()
    job = await endpoint.submit()
    await expect(page.get_by_text("1 job waits for its turn")).to_be_visible()
    token = await endpoint.claim(job)
    await expect(running).to_contain_text("Customers of Nhanh.vn")
    await endpoint.progress(
        job, token, Counters(created=12_345, failed=2), rows_per_second=456.0, rate_limit_wait_seconds=75.0
    )
    await expect(running).to_contain_text("12,347 rows · 456 a second")
    await expect(running).to_contain_text("waited 1 min 15 s for the rate limit")
    await running.get_by_role("button", name="Cancel").click()
    await expect(running.get_by_role("status")).to_have_text("It stops at its next checkpoint.")
    await endpoint.finish(job, token, JobStatus.CANCELLED)
    await expect(running).to_have_count(0)


async def test_a_chain_is_shown_by_the_step_that_it_is_at(endpoint: Any, visitor: Visitor) -> None:
    """Of a chain and its step only the step is listed, and says what it is a step of."""
    chain = await endpoint.submit(JobType.PRODUCT_CHAIN)
    await endpoint.claim(chain)
    step = await endpoint.submit(JobType.MATCH_PRODUCTS)
    await endpoint.execute("UPDATE dongbo.background_jobs SET parent_id = $1 WHERE id = $2", chain.id, step.id)
    await endpoint.claim(step)
    page = await visitor.open(endpoint.url)
    await expect(page.locator(".running li")).to_have_count(1)
    await expect(page.locator(".running li")).to_contain_text("step of Product chain")


async def test_a_new_shop_is_told_its_first_steps(endpoint: Any, visitor: Visitor) -> None:
    """That nothing has been pulled yet, with a button that starts every pull, and what the configuration lacks."""
    page = await visitor.open(endpoint.url)
    await expect(need(page, "Nothing has been pushed to Shopify yet")).to_contain_text("[[schedules]]")
    first = need(page, "Nothing has been pulled yet")
    await first.get_by_role("button", name="Start the pulls").click()
    await expect(first.get_by_role("status")).to_contain_text("Products of Shopify · started: view")
    pending = (await endpoint.get("/api/jobs?status=PENDING"))["jobs"]
    pulls = {job_type for job_type in JobType if job_type.startswith("PULL_")}
    assert {job["type"] for job in pending} == pulls


async def test_a_token_that_expires_is_told(endpoint: Any, visitor: Visitor) -> None:
    """With what to do, its command set apart; gone as soon as it has been renewed."""
    credential = endpoint.parts.registry.stores[STORE].nhanh.credential
    credential.expires_at = datetime.now(UTC) + timedelta(days=3)
    page = await visitor.open(endpoint.url)
    expiring = need(page, "The access token of Nhanh.vn expires")
    await expect(expiring.locator("code")).to_have_text("dongbo connect nhanh --store main")
    await expect(page).to_have_title("1 needs you · dongbo")
    credential.expires_at = None
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(expiring).to_have_count(0)
    await expect(page).to_have_title("dongbo")


async def test_with_both_shops_down_the_verdict_says_so(endpoint: Any, visitor: Visitor) -> None:
    """Each is named with what it answered; the connection to the daemon is a matter of its own."""
    store = endpoint.parts.registry.stores[STORE]
    for client in (store.nhanh, store.shopify):
        client.health.is_lost(f"it answered 502 {HOSTILE}")
    page = await visitor.open(endpoint.url)
    await expect(page.locator(".verdict.tone-bad h2")).to_contain_text("unreachable")
    for name in ("Nhanh.vn", "Shopify"):
        await expect(need(page, f"{name} can't be reached")).to_contain_text(f"it answered 502 {HOSTILE}")
    await expect(page.locator("#connection")).to_contain_text("live")
    for client in (store.nhanh, store.shopify):
        client.health.answers()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(need(page, "can't be reached")).to_have_count(0)


@pytest_asyncio.fixture(loop_scope="session")
async def told(endpoint: Any) -> None:
    """A store that both sides tell what changes, Shopify twice."""
    nhanh, shopify = (StreamId(STORE, source) for source in Source)
    stock = Arrival(STORE, Source.NHANH, None, "inventoryChange", Subject.NHANH_PRODUCT, (1,))
    level = Arrival(STORE, Source.SHOPIFY, "1", "inventory_levels/update", Subject.SHOPIFY_ITEM, (30,))
    async with endpoint.parts.database.acquire() as connection:
        await streams.listened(connection, {nhanh: Unaccepted(refused=1_234), shopify: Unaccepted()})
        await events.insert(connection, [stock, level, level])


@in_every_look
async def test_webhooks_of_both_sides_are_shown(endpoint: Any, told: None, visitor: Visitor, look: Look) -> None:
    """What came last, how much, and how much of it nobody believed."""
    page = await visitor.open(endpoint.url, look)
    nhanh, shopify = (page.locator(".webhooks tbody tr").nth(place) for place in range(2))
    await expect(nhanh).to_contain_text("inventoryChange")
    await expect(nhanh).to_contain_text("1.234" if look.language == "vi" else "1,234")
    await expect(shopify).to_contain_text("inventory_levels/update")
    await assert_usable(page)


async def test_a_store_without_webhooks_has_no_table_of_them(endpoint: Any, visitor: Visitor) -> None:
    """Nobody need know of what they do not use."""
    page = await visitor.open(endpoint.url)
    await expect(page.locator(".verdict h2")).not_to_be_empty()
    await expect(page.locator(".webhooks")).to_be_hidden()


@in_every_look
async def test_the_daemons_of_a_fleet_are_shown(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """What each does, which is gone, and whose clock is off."""
    database = endpoint.parts.database
    await join(database, "web1", {DaemonRole.STATUS, DaemonRole.SCHEDULES})
    await join(database, "web2", {DaemonRole.WORKER}, clock_offset=-601.2)
    await join(database, HOSTILE, silent=timedelta(minutes=5))
    page = await visitor.open(endpoint.url, look)
    rows = page.locator(".fleet tbody tr")
    await expect(rows).to_have_count(3)
    await expect(rows.filter(has_text="web1").locator(".dot.tone-ok")).to_have_count(1)
    await expect(rows.filter(has_text="web2")).to_contain_text("601")
    await expect(rows.filter(has_text=HOSTILE).locator(".dot.tone-bad")).to_have_count(1)
    await assert_usable(page)


async def test_one_daemon_alone_is_no_news(endpoint: Any, visitor: Visitor) -> None:
    """Nobody need know of what they do not use."""
    await join(endpoint.parts.database, "web1")
    page = await visitor.open(endpoint.url)
    await expect(page.locator(".verdict h2")).not_to_be_empty()
    await expect(page.locator(".fleet")).to_be_hidden()


@in_every_look
async def test_writing_to_a_store_is_paused_and_resumed(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """For a reason, and until somebody resumes it; the verdict says so."""
    page = await visitor.open(endpoint.url, look)
    pausing = page.locator(".pausing")
    await pausing.locator("summary").click()
    await pausing.locator("input").last.fill(HOSTILE)
    await assert_usable(page)
    await pausing.locator("form button").click()
    await expect(pausing.get_by_role("status")).not_to_be_empty()
    await expect(page.locator(".need", has_text=HOSTILE)).to_be_visible()
    await assert_usable(page)
    await pausing.locator("button").first.click()
    await expect(page.locator(".need", has_text=HOSTILE)).to_have_count(0)


async def test_a_pause_is_ended_where_it_is_told(endpoint: Any, visitor: Visitor) -> None:
    """By the button beside it, which then says what has come of it."""
    async with endpoint.status.database.acquire() as connection:
        await pauses.pause(connection, STORE, None, "stock-taking", None)
    page = await visitor.open(endpoint.url)
    told = need(page, "stock-taking")
    await told.get_by_role("button", name="Resume writing").click()
    await expect(told.get_by_role("status")).to_have_text("Shopify is written to again.")
    async with endpoint.status.database.acquire() as connection:
        assert await pauses.active(connection, STORE) is None
