"""A job of the sales that fails again and again is asked for ever more rarely, until something is different."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.ids import StoreName, new_job_id
from daemon.jobs.model import Job, JobStatus, JobTrigger
from daemon.jobs.types import JobType
from daemon.schedules.pauses import LONGEST_PAUSE, PAUSE_AFTER_FAILURE, pause_after

NOW = datetime(2026, 10, 1, tzinfo=UTC)
ERROR = "1 price of the sale tet could not be read from Shopify (variants such as 17)."


def failed(age: float, **different: Any) -> Job:
    """A job that was asked for so many minutes ago and has failed."""
    columns = dict.fromkeys(Job.__slots__) | {
        "id": new_job_id(),
        "store": StoreName("main"),
        "type": JobType.APPLY_SALE,
        "status": JobStatus.FAILED,
        "trigger": JobTrigger.SCHEDULE,
        "error": ERROR,
        "successful": 0,
        "created_at": NOW - timedelta(minutes=age),
    }
    return Job(**(columns | different))  # type: ignore[arg-type]


def jobs(count: int) -> list[Job]:
    """So many that have failed in the same way, newest first."""
    return [failed(minute) for minute in range(1, count + 1)]


@pytest.mark.parametrize(("count", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 600), (60, 600)])
def test_the_pause_grows_with_each_job_that_fails_in_the_very_same_way(count: int, seconds: float) -> None:
    """From 30 s to 10 minutes."""
    assert pause_after(jobs(count), None) == timedelta(seconds=seconds)


def test_ids_of_requests_and_waits_make_no_other_failure() -> None:
    """They differ each time in what Shopify says of the same trouble."""
    said = "Shopify is in trouble: Internal error. Request ID: {}. It allows no more calls for {} s."
    ids = ("1b355a21-7117-44c5-8d8b-8948082f40a8", "0C355A21-7117-44C5-8D8B-8948082F40A9")
    found = [failed(age, error=said.format(ids[age % 2], age * 1.5)) for age in range(1, 7)]
    assert pause_after(found, None) == LONGEST_PAUSE


@pytest.mark.parametrize(
    "different",
    [
        {"error": ERROR.replace("17", "18")},
        {"successful": 1},
        {"trigger": JobTrigger.API},
        {"trigger": JobTrigger.RETRY},
        {"status": JobStatus.COMPLETED},
        {"status": JobStatus.CANCELLED},
    ],
    ids=str,
)
def test_it_begins_anew_where_a_job_is_different(different: dict[str, Any]) -> None:
    """Another variant, progress, or a person's act: the jobs before it count no more."""
    newest, *older = jobs(6)
    assert pause_after([replace(newest, **different), *older], None) == PAUSE_AFTER_FAILURE
    assert pause_after([newest, replace(older[0], **different), *older[1:]], None) <= 2 * PAUSE_AFTER_FAILURE


def test_it_begins_anew_where_a_campaign_has_changed() -> None:
    """By its end, or by a person: what was tried before does not count."""
    found = jobs(6)
    assert pause_after(found, NOW) == PAUSE_AFTER_FAILURE
    assert pause_after(found, NOW - timedelta(minutes=2.5)) == 2 * PAUSE_AFTER_FAILURE
    assert pause_after(found, NOW - timedelta(days=1)) == LONGEST_PAUSE
