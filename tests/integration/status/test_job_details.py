"""The JSON API of one job: its story, failed rows, pushes and log; what people did; lists to save."""

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any

import pytest
import structlog

from daemon.api.pushes import PushResult
from daemon.jobs import failures, log_lines, store
from daemon.jobs.failures import DeadLetter
from daemon.jobs.log_lines import JobLog
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.types import JobType
from daemon.logging.job_lines import hand_on, kept_by
from daemon.status.security import CLIENT_HEADER

VIETNAMESE = {"Accept-Language": "vi"}


@pytest.fixture
async def shop(endpoint: Any) -> Any:
    """An endpoint whose mirror knows a variant, a customer of Nhanh.vn and a location."""
    for statement in (
        "INSERT INTO dongbo.shopify_products (store, id, title, tags, document, digest) "
        "VALUES ('main', 5, 'Áo dài', '{}', '{}', '')",
        "INSERT INTO dongbo.shopify_variants (store, id, product_id, sku, title, price, document, digest) "
        "VALUES ('main', 1001, 5, 'AO-01', 'Đỏ', 1, '{}', '')",
        "INSERT INTO dongbo.nhanh_customers (store, id, name, document, digest) "
        "VALUES ('main', 7, 'Nguyễn Văn A', '{}', '')",
        "INSERT INTO dongbo.shopify_locations (store, id, name, is_active) VALUES ('main', 31, 'Quận 1', true)",
    ):
        await endpoint.execute(statement)
    return endpoint


async def with_failures(shop: Any, *letters: DeadLetter) -> Job:
    """A pull of customers that has completed with these failed rows."""
    job = await shop.submit()
    token = await shop.claim(job)
    await shop.change(lambda c: failures.insert(c, job.id, letters), job.id)
    await shop.progress(job, token, Counters(updated=1, failed=len(letters)))
    await shop.finish(job, token, JobStatus.COMPLETED)
    return await shop.parts.jobs.get(job.id)


async def saved(shop: Any, path: str) -> list[dict[str, str]]:
    """The rows of a table that is saved."""
    async with shop.client.get(path) as response:
        assert response.status == 200
        assert "attachment" in response.headers["Content-Disposition"]
        content = await response.read()
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


async def test_the_story_of_a_job_tells_its_attempts_and_who_steered_it(shop: Any) -> None:
    """In the language of whoever asks."""
    page, cli = {CLIENT_HEADER: "page"}, {CLIENT_HEADER: "cli"}
    body = {"type": "PULL_NHANH_CUSTOMERS", "store": "main"}
    asked = await shop.call("POST", "/api/jobs", 202, json=body, headers=page)
    job = await shop.parts.jobs.get(asked["id"])
    token = await shop.claim(job)
    minute = timedelta(minutes=1)
    await shop.change(lambda c: store.defer(c, job.id, token, "Nhanh.vn did not answer", minute, {}), job.id)
    await shop.call("POST", f"/api/jobs/{job.id}/cancel", 202, headers=cli)
    story = await shop.get(f"/api/jobs/{job.id}/story")
    assert (story["job"]["id"], story["summary"]["outcome"]) == (str(job.id), "cancelled")
    (attempt,) = story["attempts"]
    assert (attempt["number"], attempt["result"], attempt["error"]) == (1, "retried", "Nhanh.vn did not answer")
    assert [action["text"] for action in story["actions"]] == ["started on the page", "cancelled in the terminal"]
    assert (story["pace"], story["parent"], story["approval_id"], story["schedule"]) == ([], None, None, None)
    spoken = await shop.get(f"/api/jobs/{job.id}/story", headers=VIETNAMESE)
    assert spoken["job"] == story["job"]
    await shop.get("/api/jobs/0199c3b0-5d3c-7000-8000-000000000001/story", 404)


async def test_a_step_names_its_chain_and_a_question_its_id(shop: Any) -> None:
    """From one to the other."""
    chain, step = await shop.ended(job_type=JobType.PRODUCT_CHAIN), await shop.asking()
    await shop.execute("UPDATE dongbo.background_jobs SET parent_id = $1 WHERE id = $2", chain.id, step.id)
    story = await shop.get(f"/api/jobs/{step.id}/story")
    assert story["parent"] == {"id": str(chain.id), "type": "PRODUCT_CHAIN", "name": "Product chain"}
    assert isinstance(story["approval_id"], int)


async def test_a_job_is_run_again_with_the_same_parameters(shop: Any) -> None:
    """As a new job; while one for the same work is live, that is named."""
    ended = await shop.submit(full=True)
    await shop.parts.jobs.cancel(ended.id)
    again = await shop.call("POST", f"/api/jobs/{ended.id}/again", 202, headers={CLIENT_HEADER: "page"})
    assert again["id"] != str(ended.id)
    assert (again["params"], again["trigger"]) == ({"full": True}, "api")
    problem = await shop.call("POST", f"/api/jobs/{ended.id}/again", 409)
    assert problem["job_id"] == again["id"]
    (action,) = (await shop.get(f"/api/jobs/{again['id']}/story"))["actions"]
    assert (action["kind"], action["subject"], action["way"]) == ("run_again", str(ended.id), "page")


async def test_failed_rows_have_names_and_groups(shop: Any) -> None:
    """Paged, by a reason, and as a table in which no text is a formula."""
    letters = [DeadLetter(str(n), "no phone", b"{}") for n in (7, 8, 9)]
    job = await with_failures(shop, *letters, DeadLetter(None, "=unreadable", b"{"), DeadLetter("x", "no phone", b"{}"))
    groups = (await shop.get(f"/api/jobs/{job.id}/failure-groups"))["groups"]
    assert groups == [
        {"reason": "no phone", "rows": 4, "unresolved": 4, "example_source_id": "7"},
        {"reason": "=unreadable", "rows": 1, "unresolved": 1, "example_source_id": None},
    ]
    path = f"/api/jobs/{job.id}/failures"
    first = await shop.get(path, params={"reason": "no phone", "limit": 3})
    second = await shop.get(path, params={"reason": "no phone", "limit": 3, "cursor": first["next_cursor"]})
    found = first["failures"] + second["failures"]
    assert [each["source_id"] for each in found] == ["7", "8", "9", "x"]
    assert [each["name"] for each in found] == ["Nguyễn Văn A", None, None, None]
    rows = await saved(shop, f"{path}.csv")
    assert [row["reason"] for row in rows] == ["no phone"] * 3 + ["'=unreadable", "no phone"]
    assert len(await saved(shop, f"{path}.csv?reason=no%20phone")) == 4


async def test_pushes_have_names_and_groups(shop: Any) -> None:
    """By kind, result and what Shopify said; and as a table."""
    job = await shop.submit(JobType.SYNC_PRODUCTS)
    for number in range(3):
        await shop.push(job, str(number), str(number + 1), "Nhanh.vn has more")
    await shop.push(job, "9", "8", "sold", PushResult.STALE)
    await shop.execute("UPDATE dongbo.pushes SET detail = 'Shopify has 7' WHERE result = 'stale'")
    path = f"/api/jobs/{job.id}/pushes"
    (push,) = (await shop.get(path, params={"result": "stale", "kind": "stock", "detail": "Shopify has 7"}))["pushes"]
    assert (push["sku"], push["title"], push["location_name"]) == ("AO-01", "Áo dài / Đỏ", "Quận 1")
    assert (await shop.get(f"/api/jobs/{job.id}/push-groups"))["groups"] == [
        {"kind": "stock", "result": "applied", "detail": None, "pushes": 3},
        {"kind": "stock", "result": "stale", "detail": "Shopify has 7", "pushes": 1},
    ]
    assert [row["sku"] for row in await saved(shop, f"{path}.csv")] == ["AO-01"] * 4
    assert (await shop.get(path, params={"kind": "price"}))["pushes"] == []


async def test_all_that_is_filtered_is_saved(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages that is; a table of nothing has its columns."""
    monkeypatch.setattr("daemon.status.handlers.jobs.ROWS_AT_ONCE", 3)
    made = [await shop.ended() for _ in range(7)]
    failed = await shop.ended(JobStatus.FAILED)
    rows = await saved(shop, "/api/jobs.csv?type=PULL_NHANH_CUSTOMERS")
    assert [row["id"] for row in rows] == [str(job.id) for job in (failed, *reversed(made))]
    assert (rows[0]["outcome"], rows[0]["error"]) == ("failed", "it broke")
    assert await saved(shop, "/api/jobs.csv?outcome=superseded") == []
    async with shop.client.head("/api/jobs.csv") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_what_people_did_is_listed(shop: Any) -> None:
    """All of it, newest first, or what was done to one thing."""
    jobs = [await shop.submit(JobType.NOOP)]
    await shop.call("POST", f"/api/jobs/{jobs[0].id}/cancel", 202)
    await shop.call("POST", "/api/schedules/other/pause", 200)
    everything = await shop.get("/api/actions", params={"store": "main"})
    assert [each["kind"] for each in everything["actions"]] == ["pause", "cancel"]
    first = await shop.get("/api/actions", params={"limit": 1})
    rest = await shop.get("/api/actions", params={"limit": 1, "cursor": first["next_cursor"]})
    assert first["actions"] + rest["actions"] == everything["actions"]
    assert rest["next_cursor"] is None
    of_schedule = await shop.get("/api/actions", params={"subject_kind": "schedule", "subject": "other"})
    assert [each["text"] for each in of_schedule["actions"]] == ["paused over the API"]
    assert (await shop.get("/api/actions", params={"store": "none"}))["actions"] == []


# ── The log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_logged_about_a_job_is_kept_with_it(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest lines, without secrets and whatever is in them; lines of jobs that are gone harm nothing."""
    monkeypatch.setattr(log_lines, "MOST_KEPT", 3)
    job = await shop.submit()
    job_log = JobLog(shop.parts.database)
    lines = [
        {"event": "job_attempt_failed", "level": "warning", "error": f"broken {n}", "nul": "\x00", "token": "secret"}
        for n in range(5)
    ]
    with kept_by(job_log._waiting.append):
        for line in lines:
            hand_on({**line, "job_id": str(job.id), "store": "main"})
        hand_on({"event": "ready", "level": "info"})
        hand_on({"event": "x", "level": "info", "job_id": "0199c3b0-5d3c-7000-8000-000000000001"})
        hand_on({"event": "x", "level": "info", "job_id": "no id"})
    await job_log.flush()
    path = f"/api/jobs/{job.id}/log"
    first = await shop.get(path, params={"limit": 2})
    second = await shop.get(path, params={"limit": 2, "cursor": first["next_cursor"]})
    found = first["lines"] + second["lines"]
    assert [line["text"] for line in found] == [f"the attempt failed: broken {n}" for n in (2, 3, 4)]
    assert found[0]["fields"] == {"error": "broken 2", "nul": "\ufffd", "token": "***"}
    assert second["next_cursor"] is None


async def test_lines_are_kept_until_the_daemon_stops(shop: Any) -> None:
    """Those of the last second, too."""
    job = await shop.submit()
    async with JobLog(shop.parts.database):
        await asyncio.sleep(0)  # it begins
        hand_on({"event": "job_released", "level": "info", "job_id": str(job.id), "reason": "the daemon stops"})
    (line,) = (await shop.get(f"/api/jobs/{job.id}/log"))["lines"]
    assert (line["event"], line["text"]) == ("job_released", "stopped; it goes on later: the daemon stops")
    hand_on({"event": "late", "level": "info", "job_id": str(job.id)})  # nobody keeps it


async def test_losing_lines_harms_nothing(shop: Any) -> None:
    """While the database is away they are dropped."""
    job_log = JobLog(shop.parts.database)
    with kept_by(job_log._waiting.append):
        hand_on({"event": "x", "level": "info", "job_id": "0199c3b0-5d3c-7000-8000-000000000001"})
    shop.parts.database.pool.terminate()
    with structlog.testing.capture_logs() as logged:
        await job_log.flush()
    assert [line["event"] for line in logged] == ["job_lines_lost"]
