"""Field case 19: what fires while other work of its type runs waits for its turn; the very same work is live once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.ids import ScheduleName, WorkerName
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings
from daemon.schedules.firing import Firing
from daemon.schedules.model import DueFire, FireResult, ScheduleSpec
from tests.support.workshop import STORE, Workshop

NIGHT = datetime(2026, 9, 30, 19, tzinfo=UTC)
CUSTOMERS, PRODUCTS = JobType.PULL_NHANH_CUSTOMERS, JobType.PULL_NHANH_PRODUCTS


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop whose answers can be slow."""
    return SandboxSettings(products=20, customers=150, limits=False)


def spec(name: str, job: JobType, **params: Any) -> ScheduleSpec:
    """A schedule."""
    zone = ZoneInfo("Asia/Ho_Chi_Minh")
    return ScheduleSpec(ScheduleName(name), STORE, "cron", "0 2 * * *", zone, "once", job, params)


def firing(workshop: Workshop) -> Firing:
    """What carries fires out."""
    return Firing(workshop.database, workshop.parts.jobs, WorkerName("test"))


async def test_two_schedules_of_one_minute_with_other_parameters_both_run(workshop: Workshop) -> None:
    """One after the other, in the order in which they fired."""
    fires, made = firing(workshop), []
    for kind in (1, 2, 3):
        wholesale = spec(f"type-{kind}", CUSTOMERS, filters={"type": kind})
        (outcome,) = await fires.fire([DueFire(wholesale, NIGHT)])
        assert outcome.result is FireResult.SUBMITTED
        made.append(outcome.job_id)
    ended = [await workshop.wait(job_id) for job_id in made if job_id is not None]
    assert [job.status for job in ended] == [JobStatus.COMPLETED] * 3
    for before, after in pairwise(ended):
        assert before.completed_at is not None
        assert after.started_at is not None
        assert before.completed_at <= after.started_at
    assert sum(job.processed for job in ended) == len(workshop.sandbox.nhanh.customers)


async def test_fires_of_one_moment_each_come_to_something(workshop: Workshop) -> None:
    """In one transaction: a job for each, the same one for the same work; one that is refused keeps no other back."""
    refused = spec("refused", CUSTOMERS, filters={"type": "none"})
    twice = [spec(name, PRODUCTS, full=True) for name in ("once", "twice")]
    due = [DueFire(each, NIGHT) for each in (spec("customers", CUSTOMERS), refused, *twice)]
    outcomes = await firing(workshop).fire(due)
    assert [outcome.result for outcome in outcomes] == [
        FireResult.SUBMITTED, FireResult.FAILED, FireResult.SUBMITTED, FireResult.ALREADY_LIVE,
    ]  # fmt: skip
    assert outcomes[3].job_id == outcomes[2].job_id
    assert "type" in (outcomes[1].detail or "")
    for outcome in outcomes[0], outcomes[2]:
        assert outcome.job_id is not None
        assert (await workshop.wait(outcome.job_id)).status is JobStatus.COMPLETED
    again = await firing(workshop).fire(due)
    assert [outcome.result for outcome in again] == [FireResult.NOT_CLAIMED] * 4
    assert await workshop.value("SELECT count(*) FROM dongbo.schedule_fires WHERE fire_time = $1", NIGHT) == 4


async def test_a_nightly_full_pull_runs_after_the_incremental_one_that_is_under_way(workshop: Workshop) -> None:
    """And so does every fire of it, while a second fire for the very same work does not pile up behind the first."""
    workshop.sandbox.faults.next("slow", path="product/list")
    incremental = await workshop.submit(PRODUCTS)
    await workshop.wait(incremental.id, lambda job: job.status is JobStatus.RUNNING)
    fires, nightly = firing(workshop), spec("nightly", PRODUCTS, full=True)
    (first,) = await fires.fire([DueFire(nightly, NIGHT)])
    (second,) = await fires.fire([DueFire(nightly, NIGHT + timedelta(days=1))])
    assert (first.result, second.result) == (FireResult.SUBMITTED, FireResult.ALREADY_LIVE)
    assert first.job_id is not None
    assert second.job_id == first.job_id
    full = await workshop.wait(first.job_id)
    before = await workshop.parts.jobs.get(incremental.id)
    assert (before.status, full.status) == (JobStatus.COMPLETED, JobStatus.COMPLETED)
    assert full.metadata["mode"] == "full"
    assert full.processed == len(workshop.sandbox.nhanh.products)


async def test_a_chain_s_step_waits_behind_a_full_pull(workshop: Workshop) -> None:
    """The chain asks for its own pull although one with other parameters runs, and neither takes the other's place."""
    workshop.sandbox.faults.next("slow", path="product/inventory")
    full = await workshop.submit(JobType.PULL_NHANH_INVENTORY, full=True)
    await workshop.wait(full.id, lambda job: job.status is JobStatus.RUNNING)
    step = await workshop.submit(JobType.PULL_NHANH_INVENTORY)
    assert step.id != full.id
    assert (await workshop.wait(step.id)).status is JobStatus.COMPLETED
    assert (await workshop.parts.jobs.get(full.id)).status is JobStatus.COMPLETED


async def test_a_full_pull_that_is_overtaken_while_it_is_put_back_finds_what_is_gone(workshop: Workshop) -> None:
    """A failed attempt lets other work of the lane pass. What that sees at the source is not gone, whatever the pages
    before the failure have lacked; what nobody has seen is."""
    nhanh = workshop.sandbox.nhanh
    await workshop.completed(CUSTOMERS, full=True)
    first, second, *_ = sorted(nhanh.customers)
    back = nhanh.customers[first]
    nhanh.delete_customer(first)
    nhanh.delete_customer(second)
    workshop.sandbox.faults.next("slow", path="customer/list")
    full = await workshop.submit(CUSTOMERS, full=True)
    other = await workshop.submit(CUSTOMERS, filters={"ids": [first]})
    await workshop.wait(full.id, lambda job: job.processed > 0)
    nhanh.add_customer(back)
    workshop.sandbox.faults.next("error_500", path="customer/list", times=6)
    ended = await workshop.wait(full.id)
    assert ended.status is JobStatus.COMPLETED
    assert (await workshop.wait(other.id)).processed == 1
    gone = await workshop.rows("SELECT id FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL")
    assert [row["id"] for row in gone] == [second]
