"""Schedules over the API: what they are in words, how their runs went, what they do next, and who steered them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.ids import JobId, StoreName
from daemon.jobs import actions, store
from daemon.jobs.actions import ActionKind, SubjectKind, Way
from daemon.jobs.model import Counters, JobStatus
from daemon.schedules.model import FireResult
from daemon.status.reading import number_cursor
from tests.support.endpoint import STORE, Endpoint, schedule

NAME = "products-yearly"
ADD_FIRE = """
INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, job_id, outcome, detail) VALUES ($1, $2, $3, $4, $5, $6)
"""
SET_TIMES = """
UPDATE dongbo.background_jobs SET started_at = completed_at - $2::interval WHERE id = $1
"""

ADD_STEP = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, schedule, max_attempts, parent_id)
VALUES (gen_random_uuid(), 'main', 'SYNC_PRODUCTS', 'x', 'PENDING', 'schedule', $1, 5, $2)
"""


async def run(endpoint: Endpoint, seconds: float = 10, *, failed: int = 0, error: str | None = None) -> str:
    """A run of the schedule that has ended; its id."""
    job = await endpoint.call("POST", f"/api/schedules/{NAME}/run", 202)
    job_id = JobId(job["id"])
    found = await endpoint.parts.jobs.get(job_id)
    token = await endpoint.claim(found)
    await endpoint.progress(found, token, Counters(updated=3, failed=failed))
    await endpoint.finish(found, token, JobStatus.FAILED if error else JobStatus.COMPLETED, error)
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute(SET_TIMES, job_id, timedelta(seconds=seconds))
    return str(job_id)


async def fire(
    endpoint: Endpoint, at: datetime, job_id: str | None, outcome: FireResult = FireResult.SUBMITTED, detail: str = ""
) -> None:
    """A fire as it would stand in the table."""
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute(ADD_FIRE, STORE, NAME, at, job_id, outcome, detail or None)


async def test_a_schedule_tells_its_times_in_words_and_in_the_language_of_whoever_asks(endpoint: Any) -> None:
    """The expression stands beside its words; the next five fires are those of the timetable."""
    (found, _) = (await endpoint.get("/api/schedules"))["schedules"]
    assert (found["cron"], found["words"], found["is_preset"]) == (
        "0 3 1 1 *",
        "at 03:00, on day 1 of the month, in January",
        False,
    )
    assert [datetime.fromisoformat(at).month for at in found["next_fires"]] == [12] * 5  # 03:00 in the shop
    assert len(set(found["next_fires"])) == 5
    assert found["next_fires"][0] == found["next_fire"]
    assert (found["last_result"], found["last_ten"], found["usual_seconds"]) == (None, [], None)


async def test_many_schedules_come_page_by_page(endpoint: Any) -> None:
    """Rule 18: a thousand are no single answer; the pages together are all of them, in the order of the file."""
    names = [f"s-{number}" for number in range(250)]
    await endpoint.parts.scheduler.apply([schedule(name) for name in names])
    found, cursor, sizes = [], "", []
    while cursor is not None:
        page = await endpoint.get(f"/api/schedules?limit=100{cursor and f'&cursor={cursor}'}")
        found += [one["name"] for one in page["schedules"]]
        sizes.append(len(page["schedules"]))
        cursor = page["next_cursor"]
    assert found == names
    assert sizes == [100, 100, 50]
    assert len((await endpoint.get("/api/schedules"))["schedules"]) == 100
    beyond = await endpoint.get(f"/api/schedules?cursor={number_cursor(250)}")
    assert beyond == {"schedules": [], "next_cursor": None}
    await endpoint.get("/api/schedules?limit=201", 400)


async def test_the_last_runs_are_told_by_their_results(endpoint: Any) -> None:
    """The newest with its sentence, the last ten by tone, and how long a completed one usually takes."""
    runs = [await run(endpoint, seconds) for seconds in (*([7.0] * 9), 10, 20)]
    runs.append(await run(endpoint, 300, error="Shopify is closed."))
    runs.append(await run(endpoint, 400, failed=2))
    found = await endpoint.get(f"/api/schedules/{NAME}")
    assert found["last_result"]["job_id"] == runs[-1]
    assert found["last_result"]["outcome"] == "completed_with_failures"
    assert [one["job_id"] for one in found["last_ten"]] == runs[:-11:-1]
    assert found["last_ten"][0]["tone"] == "warn"
    assert {one["tone"] for one in found["last_ten"][2:]} == {"ok"}
    assert found["usual_seconds"] == 7
    assert found == (await endpoint.get("/api/schedules"))["schedules"][0]


async def test_steps_of_a_chain_are_no_runs_of_its_schedule(endpoint: Any) -> None:
    """They bear its name, but it is the chain that the schedule runs."""
    chain = await run(endpoint)
    async with endpoint.parts.database.acquire() as connection, connection.transaction():
        job = await store.get(connection, JobId(chain))
        assert job is not None
        await connection.execute(ADD_STEP, NAME, job.id)
    found = await endpoint.get(f"/api/schedules/{NAME}")
    assert [one["job_id"] for one in found["last_ten"]] == [chain]


async def test_the_history_tells_what_came_of_each_fire(endpoint: Any) -> None:
    """Newest first, page by page, with the result of its job; one without a job says why."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    job_id = await run(endpoint)
    await fire(endpoint, start, job_id)
    await fire(endpoint, start + timedelta(hours=1), None, FireResult.SKIPPED, "missed by 900 s")
    await fire(endpoint, start + timedelta(hours=2), "01234567-89ab-7def-8123-456789abcdef")
    first = await endpoint.get(f"/api/schedules/{NAME}/history", params={"limit": 2})
    assert [(one["outcome"], one["detail"], one["summary"]) for one in first["fires"]] == [
        ("submitted", None, None),  # its job has been pruned
        ("skipped", "missed by 900 s", None),
    ]
    second = await endpoint.get(f"/api/schedules/{NAME}/history", params={"limit": 2, "cursor": first["next_cursor"]})
    (one,) = second["fires"]
    assert (one["job_id"], one["summary"]["job_id"], one["summary"]["tone"]) == (job_id, job_id, "ok")
    assert second["next_cursor"] is None
    beyond_all_times = number_cursor(2**63 - 1)
    assert (await endpoint.get(f"/api/schedules/{NAME}/history?limit=2&cursor={beyond_all_times}")) == first
    await endpoint.get("/api/schedules/nowhere/history", 404)


async def test_what_people_do_to_a_schedule_is_kept_with_the_way_they_came(endpoint: Any) -> None:
    """Run, pause and resume, each by page, terminal or API."""
    for act, client in (("pause", "page"), ("resume", "cli"), ("run", "curl")):
        status = 202 if act == "run" else 200
        await endpoint.call("POST", f"/api/schedules/{NAME}/{act}", status, headers={"X-Dongbo-Client": client})
    async with endpoint.parts.database.acquire() as connection:
        noted = await actions.list_of(connection, StoreName("main"), SubjectKind.SCHEDULE, NAME)
    assert [(one.way, one.kind) for one in noted] == [
        (Way.API, ActionKind.RUN_SCHEDULE),
        (Way.CLI, ActionKind.RESUME),
        (Way.PAGE, ActionKind.PAUSE),
    ]


async def test_a_preset_runs_by_name_and_cannot_be_paused(endpoint: Any) -> None:
    """It has no fires, but results like any other."""
    await endpoint.parts.scheduler.apply([schedule(NAME, "")])
    job_id = await run(endpoint)
    found = await endpoint.get(f"/api/schedules/{NAME}")
    assert (found["is_preset"], found["cron"], found["next_fire"], found["next_fires"]) == (True, "", None, [])
    assert found["last_result"]["job_id"] == job_id
    problem = await endpoint.call("POST", f"/api/schedules/{NAME}/pause", 409)
    assert "it is a preset" in problem["detail"]


async def test_a_paused_schedule_has_no_next_fires(endpoint: Any) -> None:
    """Nothing is announced that will not be."""
    await endpoint.call("POST", f"/api/schedules/{NAME}/pause", 200)
    assert (await endpoint.get(f"/api/schedules/{NAME}"))["next_fires"] == []
    await endpoint.call("POST", f"/api/schedules/{NAME}/resume", 200)
    assert len((await endpoint.get(f"/api/schedules/{NAME}"))["next_fires"]) == 5


async def test_types_of_jobs_are_described_for_a_form(endpoint: Any) -> None:
    """Each with its name, its params with titles, and the stores that can run it."""
    types = {one["type"]: one for one in (await endpoint.get("/api/job-types"))["types"]}
    pull = types["PULL_NHANH_CUSTOMERS"]
    assert (pull["name"], pull["stores"]) == ("Customers of Nhanh.vn", ["main"])
    assert pull["params"]["properties"]["full"]["title"] == "Read everything"
    assert (pull["retries_rows"], types["MATCH_PRODUCTS"]["retries_rows"]) == (True, False)
    filters = pull["params"]["properties"]["filters"]["properties"]
    assert filters["last_bought_from"]["title"] == "Last bought from"
    assert types["SYNC_CUSTOMERS"]["stores"] == []  # the store has no [stores.main.customer_sync]


async def test_choices_are_of_one_store_and_one_kind(endpoint: Any) -> None:
    """Unknown stores and kinds are told so."""
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute("INSERT INTO dongbo.nhanh_depots (store, id, name) VALUES ('main', 7, 'Kho Huế')")
    answer = await endpoint.get("/api/choices", params={"store": "main", "kind": "depots", "q": "hue"})
    assert answer == {"choices": [{"value": "7", "label": "Kho Huế", "count": None}]}
    await endpoint.get("/api/choices", 404, params={"store": "other", "kind": "depots"})
    await endpoint.get("/api/choices", 400, params={"store": "main", "kind": "cats"})
