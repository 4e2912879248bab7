"""The JSON API of jobs and schedules."""

import asyncio
from typing import Any
from uuid import uuid4

import orjson
import pytest

from daemon.database.pool import open_database
from daemon.jobs import failures, listing, store
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters, JobStatus
from daemon.jobs.types import JobType

JSON = {"Content-Type": "application/json"}
OF_A_NEWER_PROGRAM = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, max_attempts, run_token)
VALUES ($1, 'main', 'BREW_TEA', 'tea', 'RUNNING', 'samovar', 3, gen_random_uuid())
"""
JOB_REQUEST = {"type": "PULL_NHANH_CUSTOMERS", "store": "main", "params": {"full": True}}


async def test_a_submitted_job_is_answered_as_its_own_address_shows_it(endpoint: Any) -> None:
    """POST /api/jobs answers 202 with the job, at whose Location the same job is found."""
    async with endpoint.client.post("/api/jobs", json=JOB_REQUEST) as response:
        assert response.status == 202
        submitted = await response.json()
        location = response.headers["Location"]
    assert location == f"/api/jobs/{submitted['id']}"
    assert submitted["status"] == "PENDING"
    assert submitted["trigger"] == "api"
    assert await endpoint.get(location) == submitted
    assert "run_token" not in submitted


async def test_the_command_line_is_kept_as_the_trigger(endpoint: Any) -> None:
    """A request of the CLI makes a job with the trigger cli."""
    job = await endpoint.call("POST", "/api/jobs", 202, json=JOB_REQUEST, headers={"X-Dongbo-Client": "cli"})
    assert job["trigger"] == "cli"


async def test_a_second_job_of_the_kind_is_refused_with_the_live_ones_id(endpoint: Any) -> None:
    """One live job for the same work: the second request is answered with the live job's id, other work is taken."""
    other = await endpoint.submit()
    job = await endpoint.call("POST", "/api/jobs", 202, json=JOB_REQUEST)
    assert str(other.id) != job["id"]
    problem = await endpoint.call("POST", "/api/jobs", 409, json=JOB_REQUEST)
    assert problem["job_id"] == job["id"]
    assert problem["type"] == "urn:dongbo:problem:live-job-exists"


async def test_a_job_that_only_a_newer_program_knows_is_left_out(endpoint: Any) -> None:
    """While machines are upgraded one by one, the older daemon lives on: hub, lists, status, metrics."""
    older = await endpoint.ended()
    unknown = uuid4()
    await endpoint.execute(OF_A_NEWER_PROGRAM, unknown)
    with endpoint.parts.hub.subscribe() as events:
        endpoint.parts.notifier.changed(unknown, at_once=True)
        newer = await endpoint.submit()
        async with asyncio.timeout(10):
            while newer.id not in {event.job.id for event in await events.take()}:
                pass
    page = await endpoint.get("/api/jobs", params={"limit": 10})
    assert [job["id"] for job in page["jobs"]] == [str(newer.id), str(older.id)]
    seen, cursor = [], None
    while True:  # a page that shows none of its jobs is not the last one
        page = await endpoint.get("/api/jobs", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        seen += [job["id"] for job in page["jobs"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [str(newer.id), str(older.id)]
    await endpoint.get(f"/api/jobs/{unknown}", 404)
    assert (await endpoint.get("/status"))["running"] == []
    async with endpoint.client.get("/metrics") as response:
        assert response.status == 200
    assert (await endpoint.get("/readyz", headers={"Accept": "application/json"}))["ready"] is True


async def test_pages_of_jobs_hold_each_job_once_newest_first(endpoint: Any) -> None:
    """Following next_cursor leads through all jobs."""
    jobs = [await endpoint.ended() for _ in range(7)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = await endpoint.get("/api/jobs", params=query)
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [str(job.id) for job in reversed(jobs)]


async def test_jobs_are_filtered(endpoint: Any) -> None:
    """store, type and status narrow the list."""
    failed = await endpoint.ended(JobStatus.FAILED)
    live = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)

    async def ids(**query: str) -> list[str]:
        return [job["id"] for job in (await endpoint.get("/api/jobs", params=query))["jobs"]]

    assert await ids(status="FAILED") == [str(failed.id)]
    assert await ids(type="PULL_NHANH_PRODUCTS") == [str(live.id)]
    assert await ids(store="main") == [str(live.id), str(failed.id)]
    assert await ids(store="other") == []


async def test_dead_letters_are_paged(endpoint: Any) -> None:
    """A job's failures come oldest first, page by page."""
    job = await endpoint.submit()
    letters = [DeadLetter(str(number), "broken", b'{"a":1}') for number in range(5)]
    await endpoint.change(lambda c: failures.insert(c, job.id, letters), job.id)
    first = await endpoint.get(f"/api/jobs/{job.id}/failures", params={"limit": 3})
    second = await endpoint.get(f"/api/jobs/{job.id}/failures", params={"limit": 3, "cursor": first["next_cursor"]})
    assert [letter["source_id"] for letter in first["failures"] + second["failures"]] == list("01234")
    assert second["next_cursor"] is None
    assert first["failures"][0]["payload"] == '{"a":1}'


async def test_a_pending_job_is_cancelled_and_only_once(endpoint: Any) -> None:
    """Cancelling what has ended is a conflict."""
    job = await endpoint.submit()
    cancelled = await endpoint.call("POST", f"/api/jobs/{job.id}/cancel", 202)
    assert cancelled["status"] == "CANCELLED"
    await endpoint.call("POST", f"/api/jobs/{job.id}/cancel", 409)


async def test_a_failed_job_is_retried(endpoint: Any) -> None:
    """Retry needs no body; a completed job can't be retried."""
    failed = await endpoint.ended(JobStatus.FAILED)
    job = await endpoint.call("POST", f"/api/jobs/{failed.id}/retry", 202)
    assert (job["id"], job["status"]) == (str(failed.id), "PENDING")
    completed = await endpoint.ended(job_type=JobType.PULL_NHANH_PRODUCTS)
    await endpoint.call("POST", f"/api/jobs/{completed.id}/retry", 409, json={})


async def test_failed_rows_are_retried_by_a_job_of_their_own(endpoint: Any) -> None:
    """Retry with `failed` makes a new job."""
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    await endpoint.change(lambda c: failures.insert(c, job.id, [DeadLetter("1", "x", b"{}")]), job.id)
    await endpoint.progress(job, token, Counters(failed=1))
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    retry = await endpoint.call("POST", f"/api/jobs/{job.id}/retry", 202, json={"failed": True})
    assert retry["id"] != str(job.id)
    assert retry["trigger"] == "retry"


async def test_pruning_tells_how_much_it_deleted(endpoint: Any) -> None:
    """The newest job of a stream stays."""
    for _ in range(3):
        await endpoint.ended()
    plan = await endpoint.get("/api/jobs/prune?older_than_days=0")
    assert plan == {"prunable": 2, "unended": 0, "recent": 0, "newest": 1, "needed": 0}
    assert await endpoint.call("POST", "/api/jobs/prune", 200, json={"older_than_days": 0}) == {"deleted": 2}
    for days in ("-1", "nan", "x", "1e9"):
        await endpoint.get(f"/api/jobs/prune?older_than_days={days}", 400)


async def test_schedules_are_listed_run_paused_and_resumed(endpoint: Any) -> None:
    """A manual run answers 202 with the job, a second one 409 with the live job's id."""
    listed = (await endpoint.get("/api/schedules"))["schedules"]
    assert [one["name"] for one in listed] == ["products-yearly", "other"]
    assert listed[0]["cron"] == "0 3 1 1 *"
    assert listed[0]["timezone"] == "Asia/Ho_Chi_Minh"
    assert listed[0]["next_fire"].endswith("-12-31T20:00:00+00:00")

    job = await endpoint.call("POST", "/api/schedules/products-yearly/run", 202)
    assert (job["type"], job["params"]["full"]) == ("PULL_NHANH_PRODUCTS", True)
    problem = await endpoint.call("POST", "/api/schedules/products-yearly/run", 409)
    assert problem["job_id"] == job["id"]

    paused = await endpoint.call("POST", "/api/schedules/products-yearly/pause", 200)
    assert (paused["paused"], paused["next_fire"]) == (True, None)
    resumed = await endpoint.call("POST", "/api/schedules/products-yearly/resume", 200)
    assert resumed["paused"] is False


async def test_an_unknown_schedule_is_not_found(endpoint: Any) -> None:
    """Also by a name that no schedule can have."""
    for action in ("run", "pause", "resume"):
        await endpoint.call("POST", f"/api/schedules/nothing/{action}", 404)
        await endpoint.call("POST", f"/api/schedules/%00%ff/{action}", 404)


BAD_BODIES = [
    (b"", 415),
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b'{"type": NaN}', 400),
    (b'{"type": "NOOP", "type": "NOOP", "store": "main"}', 400),
    (b"[" * 60_000, 400),
    (b'{"params": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, 400),
    (b'{"type":"NOOP","store":"main","params":' + b'{"a":' * 50 + b"1" + b"}" * 51, 422),
    (b"[]", 422),
    (b"1" * 5_000, 400),
    (b"null", 422),
    (b"{}", 422),
    (b'{"type": "NOTHING", "store": "main"}', 422),
    (b'{"type": 1, "store": "main"}', 422),
    (b'{"type": "NOOP", "store": "elsewhere"}', 422),
    (b'{"type": "NOOP", "store": "\\u0000"}', 422),
    (b'{"type": "NOOP", "store": ["main"]}', 422),
    (b'{"type": "NOOP", "store": "main", "surplus": 1}', 422),
    (b'{"type": "NOOP", "store": "main", "params": []}', 422),
    (b'{"type": "NOOP", "store": "main", "params": {"a": "\\u0000"}}', 422),
    (b'{"type": "NOOP", "store": "main", "params": {"a": "\\ud800"}}', 400),
    (b'{"type": "NOOP", "store": "main", "params": {"a": 1' + b"0" * 40 + b"}}", 422),
    (b'{"type": "NOOP", "store": "main", "params": {"a": 1e999}}', 422),
    (b'{"type": "PULL_NHANH_CUSTOMERS", "store": "main", "params": {"filters": {"no": 1}}}', 422),
    (b" " * 70_000, 413),
]


async def test_a_bad_body_is_the_clients_fault(endpoint: Any) -> None:
    """Whatever is wrong with a body is a 4xx problem, and makes no job."""
    for body, status in BAD_BODIES:
        headers = JSON if body else {}
        async with endpoint.client.post("/api/jobs", data=body, headers=headers) as response:
            assert response.status == status, (body[:80], await response.text())
            _assert_problem(response, await response.read())
    assert (await endpoint.get("/api/jobs"))["jobs"] == []


async def test_only_json_is_taken(endpoint: Any) -> None:
    """A form of a foreign page can't make a job."""
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "rubbish", ""):
        headers = {"Content-Type": media_type}
        async with endpoint.client.post("/api/jobs", data=orjson.dumps(JOB_REQUEST), headers=headers) as response:
            assert response.status == 415


async def test_a_bad_parameter_is_the_clients_fault(endpoint: Any) -> None:
    """Unknown, repeated and ill-formed parameters are 400."""
    for path in (
        "/api/jobs?limit=0",
        "/api/jobs?limit=501",
        "/api/jobs?limit=x",
        "/api/jobs?limit=1&limit=2",
        "/api/jobs?status=running",
        "/api/jobs?type=NOTHING",
        "/api/jobs?store=%00",
        "/api/jobs?store=" + "a" * 5_000,
        "/api/jobs?cursor=x",
        "/api/jobs?cursor=%00",
        "/api/jobs?cursor=AAAA",
        "/api/jobs?stat=RUNNING",
    ):
        problem = await endpoint.get(path, 400)
        assert problem["status"] == 400


async def test_rubbish_for_an_id_is_not_found(endpoint: Any) -> None:
    """As is an id that no job has."""
    for job_id in ("x", "%00", "..", "{}", "0" * 32, "A" * 4_000, f"urn:uuid:{uuid4()}", str(uuid4())):
        for path in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/failures"):
            async with endpoint.client.get(path) as response:
                assert response.status == 404
        for action in ("cancel", "retry"):
            async with endpoint.client.post(f"/api/jobs/{job_id}/{action}") as response:
                assert response.status == 404


async def test_failures_cursor_is_checked(endpoint: Any) -> None:
    """A cursor of the other list is refused."""
    job = await endpoint.submit()
    for cursor in ("x", "_" * 11, "A" * 22):
        await endpoint.get(f"/api/jobs/{job.id}/failures?cursor={cursor}", 400)


async def test_a_wrong_method_names_the_right_ones(endpoint: Any) -> None:
    """405 with Allow; OPTIONS says the same without being an error."""
    async with endpoint.client.delete("/api/jobs") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        _assert_problem(response, await response.read())
    async with endpoint.client.options("/api/jobs") as response:
        assert response.status == 204
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_head_answers_as_get_without_the_body(endpoint: Any) -> None:
    """HEAD works on every GET route, the stream included."""
    for path in ("/", "/livez", "/readyz", "/status", "/metrics", "/api/jobs", "/api/schedules", "/api/events"):
        async with endpoint.client.head(path) as response:
            assert response.status == 200
            assert await response.read() == b""


async def test_a_bug_shows_nothing_of_itself(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error is a 500 problem without internals."""

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(listing, "find", broken)
    async with endpoint.client.get("/api/jobs") as response:
        body = await response.read()
        assert response.status == 500
        _assert_problem(response, body)
        assert b"internals" not in body


async def test_without_the_database_the_api_says_when_to_come_back(endpoint: Any) -> None:
    """503 with Retry-After, as a problem."""
    endpoint.parts.database.pool.terminate()
    async with endpoint.client.get("/api/jobs") as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        _assert_problem(response, await response.read())


async def test_a_statement_that_takes_too_long_is_no_bug(
    open_endpoint: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that the server ended answers 503."""
    async with open_database(database_url, statement_timeout=0.5) as hasty, open_endpoint(on=hasty) as endpoint:
        job = await endpoint.submit()
        monkeypatch.setattr(store, "GET", f"{store.GET} AND pg_sleep(20) IS NOT NULL")
        await endpoint.get(f"/api/jobs/{job.id}", 503)


def _assert_problem(response: Any, body: bytes) -> None:
    assert response.content_type == "application/problem+json"
    problem = orjson.loads(body)
    assert problem.keys() >= {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == response.status
    assert problem["instance"].startswith("urn:uuid:")
