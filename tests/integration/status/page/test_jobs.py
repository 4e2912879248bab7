"""The view of the runs: filtered, paged to the last, live, and never moving under the pointer."""

import csv
import io
from datetime import timedelta
from typing import Any

from playwright.async_api import Page, expect

from daemon.jobs import store
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.types import JobType
from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look
from tests.support.told_jobs import chain, running, with_failed_rows

PAGE = 50  # runs


def row(page: Page, job: Job) -> Any:
    """The row of a run."""
    return page.locator(f'.run[data-id="{job.id}"]')


def choice(page: Page, name: str) -> Any:
    """A filter with choices."""
    return page.get_by_role("combobox", name=name, exact=True)


@in_every_look
async def test_the_runs_are_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """In both languages, on a phone, in the dark, with their filters open; whatever came of them."""
    await endpoint.ended(JobStatus.FAILED)
    await with_failed_rows(endpoint)
    await chain(endpoint)
    await running(endpoint)
    page = await visitor.open(f"{endpoint.url}jobs", look)
    await expect(page.locator(".run")).to_have_count(4)
    await page.locator(".run details:not([hidden]) > summary").first.click()
    await assert_usable(page)
    if look.width < 700:  # on a phone the runs come first
        await page.locator(".filter-panel > summary").click()
    await expect(page.locator(".filters")).to_be_visible()
    await assert_usable(page)


async def test_filters_are_in_the_address(endpoint: Any, visitor: Visitor) -> None:
    """So they can be shared, survive a reload, and the back button undoes them."""
    failed = await endpoint.ended(JobStatus.FAILED)
    partial = await with_failed_rows(endpoint)
    await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(page.locator(".run")).to_have_count(3)

    await choice(page, "Status").select_option("Failed")
    await expect(page.locator(".run")).to_have_count(1)
    await expect(row(page, failed)).to_contain_text("it broke")
    await expect(page).to_have_url(f"{endpoint.url}jobs?status=FAILED")
    await choice(page, "Status").select_option("any")
    await choice(page, "Outcome").select_option("Completed, rows still fail")
    await expect(row(page, partial)).to_contain_text("3 rows failed")
    await expect(page.locator(".run")).to_have_count(1)
    await page.reload()
    await expect(page.locator(".run")).to_have_count(1)
    await expect(choice(page, "Outcome")).to_have_value("completed_with_failures")
    await page.go_back()
    await expect(page.locator(".run")).to_have_count(3)
    await page.go_back()
    await expect(choice(page, "Status")).to_have_value("FAILED")
    await expect(page.locator(".run")).to_have_count(1)


async def test_what_is_asked_for_most_is_a_press_away(endpoint: Any, visitor: Visitor) -> None:
    """What failed is listed with the steps of chains, which alone say what failed of them; the rest without them."""
    _, step = await chain(endpoint)
    await endpoint.execute(
        "UPDATE dongbo.background_jobs SET status = 'FAILED', completed_at = now() WHERE id = $1", step.id
    )
    await endpoint.ended(job_type=JobType.NOOP)
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(page.locator(".run")).to_have_count(1)
    await page.get_by_role("link", name="Failed", exact=True).click()
    await expect(row(page, step)).to_be_visible()
    await expect(page.get_by_role("link", name="Failed", exact=True)).to_have_attribute("aria-current", "true")
    await expect(choice(page, "Outcome")).to_have_value("failed")
    await page.get_by_role("link", name="Running", exact=True).click()
    await expect(page.locator(".run")).to_have_count(1)
    await page.get_by_role("link", name="All", exact=True).click()
    await expect(page).to_have_url(f"{endpoint.url}jobs")


async def test_a_text_a_job_and_a_day_are_filters_too(endpoint: Any, visitor: Visitor) -> None:
    """The text is looked for as it is typed; a day is that of the shop."""
    failed = await endpoint.ended(JobStatus.FAILED)
    await endpoint.ended()
    old = await endpoint.ended(job_type=JobType.MATCH_PRODUCTS)
    two_days = timedelta(days=2)
    await endpoint.execute(
        "UPDATE dongbo.background_jobs SET created_at = created_at - $1::interval WHERE id = $2", two_days, old.id
    )
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(page.locator(".run")).to_have_count(3)
    await page.get_by_label("Text").press_sequentially("broke")
    await expect(page.locator(".run")).to_have_count(1)
    await expect(row(page, failed)).to_be_visible()
    await page.get_by_label("Text").fill("")
    await expect(page.locator(".run")).to_have_count(3)
    await page.get_by_role("button", name="Today").click()
    await expect(page.locator(".run")).to_have_count(2)
    await page.get_by_role("button", name="Clear").click()
    await choice(page, "Job").select_option("Matching of products")
    await expect(page.locator(".run")).to_have_count(1)
    await expect(row(page, old)).to_be_visible()


async def test_an_empty_result_says_how_to_widen_it(endpoint: Any, visitor: Visitor) -> None:
    """It names what was asked for, and takes away a filter at a press."""
    await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs?status=FAILED&schedule=gone")
    await expect(page.locator(".empty")).to_contain_text("No run fits Status: Failed · Schedule: gone.")
    await page.get_by_role("button", name="Without “Schedule”").click()
    await expect(page.locator(".empty")).to_contain_text("No run fits Status: Failed.")
    await page.get_by_role("button", name="Without “Status”").click()
    await expect(page.locator(".run")).to_have_count(1)


async def test_new_runs_are_announced_and_push_nothing_away(endpoint: Any, visitor: Visitor) -> None:
    """What changes of those shown is shown where they stand."""
    first = await endpoint.submit()
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(row(page, first)).to_contain_text("Waiting")
    second = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    await endpoint.submit(JobType.NOOP)  # of `dongbo doctor`: no run
    await expect(page.locator(".run-news")).to_have_text("1 new run: show")
    await expect(page.locator(".run")).to_have_count(1)

    token = await endpoint.claim(first)
    await expect(row(page, first)).to_contain_text("Running")
    await endpoint.progress(first, token, Counters(created=12_345), rows_per_second=456.0)
    await expect(row(page, first).locator(".run-text")).to_have_text("12,345 rows so far")
    await expect(row(page, first).locator(".run-progress")).to_contain_text("456 a second")
    await endpoint.finish(first, token, JobStatus.FAILED, HOSTILE)
    await expect(row(page, first).locator(".run-text")).to_have_text(HOSTILE)

    await page.locator(".run-news").click()
    await expect(page.locator(".run")).to_have_count(2)
    await expect(page.locator(".run").first).to_have_attribute("data-id", str(second.id))
    await expect(page.locator(".run-news")).to_be_hidden()


async def test_a_later_run_turns_a_failure_grey(endpoint: Any, visitor: Visitor) -> None:
    """With a link to the run that has made up for it."""
    failed = await endpoint.ended(JobStatus.FAILED)
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(row(page, failed).locator(".tone-bad")).to_have_text("Failed")
    repairing = await endpoint.submit()
    await endpoint.finish(repairing, await endpoint.claim(repairing), JobStatus.COMPLETED)
    await endpoint.change(lambda c: store.repair(c, repairing), repairing.id)
    await expect(row(page, failed).locator(".tone-off")).to_have_text("Repaired since")
    way = row(page, failed).get_by_role("link", name="See the run that repaired it")
    await expect(way).to_have_attribute("href", f"/jobs/{repairing.id}")


async def test_every_run_is_reached_page_by_page(endpoint: Any, visitor: Visitor) -> None:
    """Down to the oldest, and back."""
    oldest = await endpoint.ended()
    for _ in range(PAGE):
        await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(page.locator(".run")).to_have_count(PAGE)
    await page.get_by_role("link", name="Older").click()
    await expect(page.locator(".run")).to_have_count(1)
    await expect(row(page, oldest)).to_be_visible()
    await expect(page.locator(".run-pages")).to_contain_text("That was the oldest.")
    await page.get_by_role("link", name="Newer").click()
    await expect(page.locator(".run")).to_have_count(PAGE)
    await page.go_back()
    await expect(page.locator(".run")).to_have_count(1)
    await page.get_by_role("link", name="Newest").click()
    await expect(page).to_have_url(f"{endpoint.url}jobs")


async def test_a_chain_holds_its_steps(endpoint: Any, visitor: Visitor) -> None:
    """They are no rows of their own, unless they are asked for; each leads to its job."""
    run, step = await chain(endpoint)
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(page.locator(".run")).to_have_count(1)
    await row(page, run).get_by_text("3 steps").click()
    await expect(row(page, run).locator(".run-steps li")).to_have_count(3)
    await expect(row(page, run).locator(".run-steps")).to_contain_text("not begun")
    await choice(page, "Job").select_option("Push to Shopify")
    await expect(row(page, step).get_by_role("link", name="step of a chain")).to_be_visible()
    name = row(page, step).get_by_role("link", name="Push to Shopify")
    await expect(name).to_have_attribute("href", f"/jobs/{step.id}")


async def test_what_is_filtered_is_saved(endpoint: Any, visitor: Visitor) -> None:
    """As CSV: what the list would show down to the last, and no more."""
    failed = await endpoint.ended(JobStatus.FAILED)
    await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs?status=FAILED")
    await expect(page.locator(".run")).to_have_count(1)
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="CSV").click()
    path = await (await downloading.value).path()
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    assert [each["id"] for each in rows] == [str(failed.id)]
    await expect(page.locator(".answer")).to_have_text("saved")


async def test_pruned_runs_say_so_in_place(endpoint: Any, visitor: Visitor) -> None:
    """Nothing moves; what is no longer kept is no longer claimed to be there."""
    pruned = await endpoint.ended()
    kept = await endpoint.ended()
    page = await visitor.open(f"{endpoint.url}jobs")
    await expect(page.locator(".run")).to_have_count(2)
    assert await endpoint.parts.jobs.prune(timedelta(0)) == 1
    await expect(row(page, pruned)).to_contain_text("It is no longer kept.")
    await expect(row(page, kept)).not_to_contain_text("It is no longer kept.")
