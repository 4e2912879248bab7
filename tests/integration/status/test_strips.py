"""How the runs of the last day went, in slots of a quarter of an hour."""

from datetime import datetime, timedelta
from typing import Any

from daemon.ids import new_job_id

INSERT = """
INSERT INTO dongbo.background_jobs
    (id, store, type, lane, status, trigger, schedule, max_attempts, failed, processed, run_token,
     started_at, completed_at, updated_at)
VALUES ($1::uuid, 'main', $2, 'x', $3::text, 'schedule', $4, 5, $5, $5,
    CASE WHEN $3 = 'RUNNING' THEN $1::uuid END, $6, $7, $8)
"""
SLOT = timedelta(minutes=15)


async def run(
    endpoint: Any,
    started_at: datetime,
    minutes: float,
    status: str = "COMPLETED",
    *,
    failed: int = 0,
    schedule: str | None = "hourly",
    job_type: str = "PULL_NHANH_PRODUCTS",
) -> None:
    """A run as it would stand in the table."""
    end = started_at + timedelta(minutes=minutes)
    ended = end if status in ("COMPLETED", "FAILED", "CANCELLED") else None
    async with endpoint.parts.database.acquire() as connection:
        await connection.execute(
            INSERT, new_job_id(), job_type, status, schedule, failed, started_at, ended, ended or started_at
        )


async def slots_of(endpoint: Any, hours: int = 24) -> tuple[datetime, dict[tuple[str | None, str], str]]:
    """When the first slot began, and the cells by schedule and type."""
    answer = await endpoint.get("/api/strips", params={"hours": hours})
    strips = {(strip["schedule"], strip["type"]): strip["cells"] for strip in answer["strips"]}
    since, until = (datetime.fromisoformat(answer[edge]) for edge in ("since", "until"))
    assert answer["slot_seconds"] == SLOT.total_seconds()
    assert until - since == timedelta(hours=hours)
    return since, strips


async def test_each_slot_tells_the_worst_that_ran_in_it(endpoint: Any) -> None:
    """Well, with failed rows, failed; a run counts from its start to its end, and what was cancelled not at all."""
    since, strips = await slots_of(endpoint)
    assert strips == {}
    await run(endpoint, since + 2 * SLOT, 1)
    await run(endpoint, since + 4 * SLOT, 40)
    await run(endpoint, since + 5 * SLOT, 1, failed=3)
    await run(endpoint, since + 8 * SLOT, 1)
    await run(endpoint, since + 8 * SLOT, 2, "FAILED")
    await run(endpoint, since + 9 * SLOT, 2, "CANCELLED")
    _, strips = await slots_of(endpoint)
    assert strips == {("hourly", "PULL_NHANH_PRODUCTS"): "..o.oao.f".ljust(96, ".")}


async def test_a_run_from_before_counts_from_the_first_slot_and_one_under_way_until_now(endpoint: Any) -> None:
    """Neither is lost, and nothing is said of slots to come."""
    since, _ = await slots_of(endpoint)
    await run(endpoint, since - 5 * SLOT, 90)
    await run(endpoint, since - 9 * SLOT, 5)
    await run(endpoint, since + 93 * SLOT, 0, "RUNNING", job_type="SYNC_PRODUCTS")
    _, strips = await slots_of(endpoint)
    assert strips[("hourly", "PULL_NHANH_PRODUCTS")] == "oo".ljust(96, ".")
    assert strips[("hourly", "SYNC_PRODUCTS")] in (".".ljust(93, ".") + "rrr", ".".ljust(93, ".") + "rr.")


async def test_schedules_types_and_runs_by_hand_have_strips_of_their_own(endpoint: Any) -> None:
    """A question to a person is amber, and tests of `dongbo doctor` are no runs."""
    since, _ = await slots_of(endpoint, 1)
    await run(endpoint, since, 1)
    await run(endpoint, since + SLOT, 1, schedule=None)
    await run(endpoint, since + SLOT, 1, "AWAITING_APPROVAL", schedule="chain", job_type="SYNC_PRODUCTS")
    await run(endpoint, since + SLOT, 1, schedule=None, job_type="NOOP")
    _, strips = await slots_of(endpoint, 1)
    assert strips == {
        ("chain", "SYNC_PRODUCTS"): ".a..",
        ("hourly", "PULL_NHANH_PRODUCTS"): "o...",
        (None, "PULL_NHANH_PRODUCTS"): ".o..",
    }


async def test_no_more_than_a_day_can_be_asked_for(endpoint: Any) -> None:
    """The strip is of the last day, and so what is read stays bounded."""
    await endpoint.get("/api/strips", 400, params={"hours": 25})
