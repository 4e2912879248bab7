"""The schedules on the page: when they fire, how their runs went, what a person does, and a form to start any job."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import expect

from daemon.ids import JobId
from daemon.jobs.model import Counters, JobStatus
from tests.support.browser import HOSTILE, Look, Visitor, assert_usable, in_every_look
from tests.support.endpoint import STORE, Endpoint, schedule

NAME = "products-yearly"
ADD_FIRE = """
INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, job_id, outcome, detail) VALUES ($1, $2, $3, $4, $5, $6)
"""
ENDS = [(0, None), (0, "Shopify is closed."), (0, None), (3, None)]  # of runs: failed rows, and an error


async def run(endpoint: Endpoint, *, failed: int = 0, error: str | None = None) -> JobId:
    """A run of the schedule that has ended."""
    job = await endpoint.parts.jobs.get(JobId((await endpoint.call("POST", f"/api/schedules/{NAME}/run", 202))["id"]))
    token = await endpoint.claim(job)
    await endpoint.progress(job, token, Counters(updated=28, failed=failed))
    await endpoint.finish(job, token, JobStatus.FAILED if error else JobStatus.COMPLETED, error)
    return job.id


async def fire(endpoint: Endpoint, at: datetime, job_id: JobId | None, outcome: str, detail: str | None = None) -> None:
    """A fire as it would stand in the table."""
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute(ADD_FIRE, STORE, NAME, at, job_id, outcome, detail)


async def furnish(endpoint: Endpoint) -> None:
    """Three schedules, one of them a preset and one paused, with runs and fires."""
    await endpoint.parts.scheduler.apply(
        [schedule(NAME), schedule("customers-hourly", "20 7-22 * * MON-SAT"), schedule("everything-new", "")]
    )
    await endpoint.parts.scheduler.pause(endpoint.parts.scheduler.states()[1].spec.name)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for number, (failed, error) in enumerate(ENDS):
        job_id = await run(endpoint, failed=failed, error=error)
        await fire(endpoint, start + timedelta(hours=number), job_id, "submitted")
    await fire(endpoint, start + timedelta(hours=4), None, "skipped", HOSTILE)


async def test_more_schedules_than_a_page_are_shown_on_request(endpoint: Any, visitor: Visitor) -> None:
    """The first hundred at once, the rest when somebody asks; the filter of the jobs knows all of them."""
    await endpoint.parts.scheduler.apply([schedule(f"s-{number}") for number in range(150)])
    page = await visitor.open(f"{endpoint.url}schedules")
    await expect(page.locator("[data-name]")).to_have_count(100)
    more = page.get_by_role("button", name="Show more")
    await more.click()
    await expect(page.locator("[data-name]")).to_have_count(150)
    await expect(more).to_be_hidden()
    await page.goto(f"{endpoint.url}jobs")
    await expect(page.locator("select[name=schedule] option")).to_have_count(151)


@in_every_look
async def test_schedules_are_usable_by_everybody(endpoint: Any, visitor: Visitor, look: Look) -> None:
    """All of them, and one with its history."""
    await furnish(endpoint)
    page = await visitor.open(f"{endpoint.url}schedules", look)
    await expect(page.locator("[data-name]")).to_have_count(3)
    await expect(page.locator(".job-form .hint").first).to_be_attached()
    await assert_usable(page)
    await page.goto(f"{endpoint.url}schedules/{NAME}")
    await expect(page.locator("main tbody tr")).to_have_count(5)
    await assert_usable(page)


async def test_a_schedule_says_when_it_fires_and_how_its_runs_went(endpoint: Any, visitor: Visitor) -> None:
    """In words beside the expression, with the last result leading to its job; a preset stands apart."""
    await furnish(endpoint)
    page = await visitor.open(f"{endpoint.url}schedules")
    row = page.locator(f'[data-name="{NAME}"]')
    await expect(row).to_contain_text("at 03:00, on day 1 of the month, in January")
    await expect(row.locator("code")).to_have_text("0 3 1 1 *")
    await expect(row.get_by_role("img")).to_have_attribute(
        "aria-label", "Last 4 runs, newest first: completed with failures, completed, failed, completed"
    )
    last = await endpoint.get(f"/api/schedules/{NAME}")
    await expect(row.locator("a.result")).to_have_text(last["last_result"]["text"])
    await expect(row.locator("a.result")).to_have_attribute("href", f"/jobs/{last['last_result']['job_id']}")
    preset = page.get_by_role("table", name="Presets").get_by_role("row").filter(has_text="everything-new")
    await expect(preset.get_by_role("button", name="Pause")).to_be_hidden()
    await expect(page.locator('[data-name="customers-hourly"]')).to_contain_text(
        "every hour from 07:20 to 22:20, Monday to Saturday"
    )


async def test_what_a_person_does_is_answered_in_its_place(endpoint: Any, visitor: Visitor) -> None:
    """Run now leads to the job, a second time to the same one; pause and resume follow each other."""
    page = await visitor.open(f"{endpoint.url}schedules")
    row = page.locator(f'[data-name="{NAME}"]')
    await row.get_by_role("button", name="Run now").click()
    await expect(row.get_by_role("status")).to_have_text("started: view")
    (job,) = (await endpoint.get("/api/jobs"))["jobs"]
    assert job["schedule"] == NAME
    await expect(row.get_by_role("img")).to_have_attribute("aria-label", "Last run: waiting")
    await row.get_by_role("button", name="Run now").click()
    await expect(row.get_by_role("status")).to_have_text("the same is running already: view")
    await expect(row.get_by_role("link", name="view")).to_have_attribute("href", f"/jobs/{job['id']}")
    visitor.expect_complaint()
    await row.get_by_role("button", name="Pause").click()
    await expect(row).to_contain_text("paused")
    await row.get_by_role("button", name="Resume").click()
    await expect(row.get_by_role("status")).to_contain_text("It fires again")
    await expect(row.get_by_role("button", name="Pause")).to_be_visible()


async def test_one_schedule_shows_its_fires_and_who_steered_it(endpoint: Any, visitor: Visitor) -> None:
    """Newest first, page by page; what others wrote is text."""
    await furnish(endpoint)
    start = datetime(2025, 11, 1, tzinfo=UTC)
    for number in range(50):
        await fire(endpoint, start + timedelta(hours=number), None, "already_live")
    page = await visitor.open(f"{endpoint.url}schedules/{NAME}")
    fires = page.locator("main tbody tr")
    await expect(fires).to_have_count(50)
    await expect(fires.first).to_contain_text("skipped")
    await expect(fires.first).to_contain_text(HOSTILE)
    await page.get_by_role("button", name="Older").click()
    await expect(fires).to_have_count(55)
    await expect(page.get_by_role("button", name="Older")).to_be_hidden()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".head").get_by_role("status")).to_contain_text("until it is resumed")
    await expect(page.locator(".steered li").first).to_be_visible()
    await expect(page.locator("dl")).to_contain_text("paused")
    assert await page.title() != "broken in"


async def test_a_mistake_is_said_at_the_field_of_its_path(endpoint: Any, visitor: Visitor) -> None:
    """Two fields have the same name, one of them among the filters."""
    page = await visitor.open(f"{endpoint.url}schedules?type=PULL_NHANH_CUSTOMERS")
    form = page.locator(".job-form")
    within = form.get_by_role("group", name="Filters").get_by_label("Ids")
    alone = form.get_by_label("Ids").and_(form.locator(":not(fieldset *)"))
    await alone.fill("x")
    await form.get_by_role("button", name="Start").click()
    visitor.expect_complaint()
    await expect(alone).to_have_attribute("aria-invalid", "true")
    await expect(within).not_to_have_attribute("aria-invalid", "true")


async def test_any_job_is_started_from_a_form_of_its_parameters(endpoint: Any, visitor: Visitor) -> None:
    """Flags, numbers, days and times on the shop's clock; what is wrong is said at its field."""
    page = await visitor.open(f"{endpoint.url}schedules?type=PULL_NHANH_CUSTOMERS")
    form = page.locator(".job-form")
    await form.get_by_label("Type").fill("2")
    await form.get_by_label("Last bought from").fill("2026-10-01")
    await form.get_by_label("Changed from").fill("2026-10-01T07:00")
    ids = form.get_by_role("group", name="Filters").get_by_label("Ids")
    await ids.fill("7, x")
    await form.get_by_label("Read everything").check()
    await form.get_by_role("button", name="Start").click()
    mistake = form.locator(".mistake:visible")
    await expect(mistake).to_contain_text("ids")
    await expect(ids).to_have_attribute("aria-invalid", "true")
    visitor.expect_complaint()
    await ids.fill("9, 7")
    await form.get_by_role("button", name="Start").click()
    await expect(form.get_by_role("status")).to_have_text("started: view")
    await expect(mistake).to_have_count(0)
    (job,) = (await endpoint.get("/api/jobs"))["jobs"]
    assert job["params"] == {
        "full": True,
        "filters": {
            "type": 2,
            "last_bought_from": "2026-10-01",
            "updated_from": "2026-10-01T00:00:00Z",
            "ids": [7, 9],
        },
    }, json.dumps(job["params"])


async def test_a_form_offers_only_what_can_run(endpoint: Any, visitor: Visitor) -> None:
    """A job that no store is set up for says so instead of offering a button."""
    page = await visitor.open(f"{endpoint.url}schedules")
    form = page.locator(".job-form")
    await form.locator("[name=type]").select_option("SYNC_CUSTOMERS")
    await expect(form).to_contain_text("No store of the configuration has what this job needs.")
    await expect(form.get_by_role("button", name="Start")).to_be_hidden()
    await form.locator("[name=type]").select_option("PULL_SHOPIFY_PRODUCTS")
    await form.get_by_label("draft").check()
    await form.get_by_role("button", name="Start").click()
    await expect(form.get_by_role("status")).to_have_text("started: view")
    (job,) = (await endpoint.get("/api/jobs"))["jobs"]
    assert job["params"] == {"filters": {"status": ["draft"]}}
