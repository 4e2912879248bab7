"""The view of one job: what came of it and what to do, how it went, its rows and its log; live while it runs."""

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

from playwright.async_api import expect

from daemon.api.pushes import PushResult
from daemon.ids import new_job_id
from daemon.jobs import store
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.types import JobType
from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look
from tests.support.told_jobs import chain, running, with_failed_rows

PAGE = 25  # rows


async def tried_twice(endpoint: Any) -> Job:
    """A job whose first attempt failed, and whose second did not."""
    job: Job = await endpoint.submit()
    token = await endpoint.claim(job)
    await endpoint.change(lambda c: store.defer(c, job.id, token, HOSTILE, timedelta(0), {}), job.id)
    token = await endpoint.claim(job)
    await endpoint.progress(job, token, Counters(created=7))
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    return job


async def with_pushes(endpoint: Any, count: int = 3) -> Job:
    """A push to Shopify that has ended, with values of which the last was refused."""
    job: Job = await endpoint.submit(JobType.SYNC_PRODUCTS)
    token = await endpoint.claim(job)
    for number in range(count):
        result = PushResult.REFUSED if number == count - 1 else PushResult.APPLIED
        await endpoint.push(job, str(number), str(number + 1), "Nhanh.vn 77 has 4 + 3", result)
    await endpoint.progress(job, token, Counters(updated=count))
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    return job


@in_every_look
async def test_a_job_is_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """In both languages, on a phone, in the dark: with attempts, failed rows, steps, pushes, its log and its JSON."""
    failing = await with_failed_rows(endpoint)
    run, _ = await chain(endpoint)
    pushing = await with_pushes(endpoint)
    for job in (failing, run, await running(endpoint), pushing):
        page = await visitor.open(f"{endpoint.url}jobs/{job.id}", look)
        await expect(page.locator(".verdict h2")).not_to_be_empty()
        for fold in await page.locator(".fold summary").all():
            await fold.click()
        await expect(page.locator("pre").last).to_contain_text(str(job.id))
        await assert_usable(page)


async def test_attempts_are_told_in_order(endpoint: Any, visitor: Visitor) -> None:
    """Who asked for the job, and each attempt with its error, whatever that is made of."""
    job = await tried_twice(endpoint)
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    events = page.locator(".events li")
    await expect(events).to_have_count(3)
    await expect(events.nth(0)).to_contain_text("Asked for: by hand")
    await expect(events.nth(1)).to_contain_text("Attempt 1: failed, to be tried again")
    await expect(events.nth(1).locator(".event-error")).to_have_text(HOSTILE)
    await expect(events.nth(2)).to_contain_text("Attempt 2: completed")


async def test_a_running_job_is_live_and_is_cancelled(endpoint: Any, visitor: Visitor) -> None:
    """Its progress, its speed and what it waits for; the answer to the button stands beside it."""
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    await expect(page.locator(".verdict")).to_contain_text("Running")
    waiting = {"for": "the rate limit", "since": "2026-11-24T02:00:00+00:00"}
    told = {"rows_per_second": 456.0, "rate_limit_wait_seconds": 75.0, "waiting": waiting}
    await endpoint.progress(job, token, Counters(created=12_345), **told)
    await expect(page.locator(".run-progress")).to_contain_text("12,345 rows · 456 a second")
    await expect(page.locator(".run-progress")).to_contain_text("waits for the rate limit since")
    await expect(page.locator(".run-progress")).to_contain_text("waited 1 min 15 s")

    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept())[1])
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".answer")).to_have_text("It stops at its next checkpoint.")
    assert asked == ["Cancel “Customers of Nhanh.vn” of main? What it has stored is kept."]
    await expect(page.locator(".verdict")).to_contain_text("Being cancelled")
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    await expect(page.locator(".events")).to_contain_text("Cancelled on the page")
    await endpoint.finish(job, token, JobStatus.CANCELLED)
    await expect(page.locator(".verdict")).to_contain_text("Cancelled")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator(".answer")).to_have_text("It runs again.")


async def test_the_pace_is_drawn_and_said(endpoint: Any, visitor: Visitor) -> None:
    """With the waits for limits; the drawing library meets the page's policy."""
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    await endpoint.progress(job, token, Counters(created=3_000))
    began = (await endpoint.parts.jobs.get(job.id)).started_at.timestamp()
    points = [[began + 10 * n, 1_000 * n, 4.0 * n] for n in range(1, 4)]
    await endpoint.execute(
        "INSERT INTO dongbo.job_pace (job_id, points) VALUES ($1, $2)"
        " ON CONFLICT (job_id) DO UPDATE SET points = excluded.points",
        job.id,
        json.dumps(points),
    )
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    await expect(page.locator(".pace canvas")).to_be_visible()
    await expect(page.locator(".pace figcaption")).to_contain_text("3,000 rows from")
    await expect(page.locator(".pace figcaption")).to_contain_text("100 a second on average, at most 100.")
    await expect(page.locator(".pace figcaption")).to_contain_text("It waited 12 s for limits (marked).")
    assert await page.evaluate("document.querySelector('.pace canvas').getContext('2d') !== null")


async def test_failed_rows_are_retried_by_a_job_of_their_own(endpoint: Any, visitor: Visitor) -> None:
    """They are listed by reason; the answer leads to the job that takes them up."""
    job = await with_failed_rows(endpoint, rows=PAGE + 2)
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    section = page.get_by_role("region", name="Failed rows")
    await expect(section.get_by_role("heading")).to_have_text(f"Failed rows: {PAGE + 2}")
    await expect(section.locator("tbody tr")).to_have_count(PAGE)
    await section.get_by_role("button", name="Show more").click()
    await expect(section.locator("tbody tr")).to_have_count(PAGE + 2)
    await section.get_by_text("Show", exact=True).first.click()
    await expect(section.locator("pre").first).to_be_visible()
    await section.get_by_role("button", name="Retry the failed rows").click()
    await section.get_by_role("link", name="View").click()
    await expect(page).not_to_have_url(f"{endpoint.url}jobs/{job.id}")
    await expect(page.locator(".verdict")).to_contain_text("Waiting")


async def test_a_job_is_run_again_with_the_same_parameters(endpoint: Any, visitor: Visitor) -> None:
    """Where one for the same work is live already, the answer leads to that one."""
    job = await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    again = page.get_by_role("button", name="Run again with the same parameters")
    await again.click()
    await expect(page.locator(".answer")).to_have_text("Started: View")
    started = await page.get_by_role("link", name="View").first.get_attribute("href")
    await again.click()
    await expect(page.locator(".answer.tone-bad, .answer")).not_to_contain_text("Started")
    assert await page.locator(".answer").get_by_role("link", name="View").get_attribute("href") == started
    visitor.expect_complaint()


async def test_pushes_are_grouped_paged_and_saved(endpoint: Any, visitor: Visitor) -> None:
    """By kind and result; those of one group are shown, and saved as CSV, at a press."""
    job = await with_pushes(endpoint, PAGE + 5)
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    section = page.get_by_role("region", name="Set at Shopify")
    await expect(section.locator("tbody tr")).to_have_count(PAGE)
    await expect(section.locator("tbody tr").first).to_contain_text("0 → 1")
    await section.get_by_role("button", name="Show more").click()
    await expect(section.locator("tbody tr")).to_have_count(PAGE + 5)
    await section.get_by_role("button", name="1 × Stock · refused").click()
    await expect(section.locator("tbody tr")).to_have_count(1)
    async with page.expect_download() as downloading:
        await section.get_by_role("button", name="CSV").click()
    path = await (await downloading.value).path()
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    assert [row["result"] for row in rows] == ["refused"]


async def test_a_chain_leads_to_its_steps_and_they_lead_back(endpoint: Any, visitor: Visitor) -> None:
    """Each with its result in a sentence; the question of a step is led to."""
    run, step = await chain(endpoint)
    page = await visitor.open(f"{endpoint.url}jobs/{run.id}")
    await page.locator(".run-steps").get_by_role("link", name="Push to Shopify").click()
    await expect(page).to_have_url(f"{endpoint.url}jobs/{step.id}")
    await page.get_by_role("link", name="Step of Product chain").click()
    await expect(page).to_have_url(f"{endpoint.url}jobs/{run.id}")


async def test_a_dry_run_shows_figures_and_examples(endpoint: Any, visitor: Visitor) -> None:
    """Whatever the shop calls its things."""
    job = await endpoint.submit(JobType.MATCH_PRODUCTS, dry_run=True)
    token = await endpoint.claim(job)
    sample = {"matched": [{"variant_id": 1001, "sku": HOSTILE, "nhanh_id": 77, "reason": None}]}
    figures = {"mapped": 1, "unmatched": 2, "left_alone": {"no_sku": 4}}
    await endpoint.progress(job, token, Counters(skipped=3), sample=sample, **figures)
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}")
    plan = page.locator(".job-plan")
    await expect(plan.get_by_role("heading", level=2)).to_have_text("What would be done")
    await expect(plan).to_contain_text("mapped: 1 · without a counterpart: 2 · left alone: no sku 4")
    await expect(plan.locator("tbody tr")).to_contain_text(HOSTILE)


async def test_a_job_that_is_not_known_says_so(endpoint: Any, visitor: Visitor) -> None:
    """And so does one that is pruned while somebody looks at it."""
    for unknown in (str(new_job_id()), "no-id"):
        page = await visitor.open(f"{endpoint.url}jobs/{unknown}")
        await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such job")
    pruned = await endpoint.ended()
    await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs/{pruned.id}")
    await expect(page.locator(".verdict")).to_contain_text("Completed")
    assert await endpoint.parts.jobs.prune(timedelta(0)) == 1
    await expect(page.locator(".verdict")).to_contain_text("It is no longer kept")
    visitor.expect_complaint()


async def test_a_pull_in_bulk_tells_how_far_its_file_is(endpoint: Any, visitor: Visitor) -> None:
    """What Shopify has gathered, and then how much of it is here, by the bar and in words; then its rows."""
    job: Job = await endpoint.submit(JobType.PULL_SHOPIFY_PRODUCTS)
    token = await endpoint.claim(job)

    async def tell(**bulk: Any) -> None:
        metadata = {"method": "bulk", "bulk": bulk}
        await endpoint.change(lambda c: store.describe(c, job.id, token, 100_000, metadata), job.id)

    await tell(state="RUNNING", objects=120_000, roots=30_000, bytes=0, file_bytes=0)
    page = await visitor.open(f"{endpoint.url}jobs/{job.id}", Look(width=390, scheme="dark"))
    sentence, bar = page.locator(".verdict h2"), page.get_by_role("progressbar")
    await expect(sentence).to_have_text("Shopify gathers everything: 120,000 objects so far")
    await expect(bar).not_to_have_attribute("value", re.compile(".*"))
    await tell(state="downloading", objects=850_000, roots=100_000, bytes=45_000_000, file_bytes=130_000_000)
    await expect(sentence).to_have_text("downloading what Shopify has gathered: 45 of 130 MB")
    await expect(bar).to_have_attribute("value", "0.3462")
    await assert_usable(page)
    await page.goto(endpoint.url)
    await expect(page.get_by_text("45 of 130 MB downloaded")).to_be_visible()
    await page.goto(f"{endpoint.url}jobs/{job.id}")
    await tell(state="storing")
    await expect(sentence).to_have_text("0 of 100,000 rows")
