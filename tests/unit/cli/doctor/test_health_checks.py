"""What the doctor makes of jobs and schedules."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from daemon.api.conditions import Condition, StreamReport
from daemon.api.findings import Severity
from daemon.api.schedules import Schedule
from daemon.api.status import Status, Storage
from daemon.cli.doctor import health_checks
from daemon.cli.doctor.health_checks import judge_schedules
from daemon.cli.render import values
from daemon.jobs.model import Job
from tests.support.records import record_of

NOW = datetime.now(UTC)
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def ago(**length: float) -> str:
    return (NOW - timedelta(**length)).isoformat()


def judge_jobs(jobs: Any) -> Any:
    return health_checks.judge_jobs(jobs, NOW, ZONE)


def job(number: int = 1, **changes: Any) -> Any:
    return record_of(
        Job,
        {
            "id": f"01a20971-aaad-752d-bd81-{number:012}",
            "type": "PULL_NHANH_PRODUCTS",
            "store": "main",
            "status": "RUNNING",
            "metadata": {},
            "error": None,
            "not_before": None,
            "worker": "vm",
            "updated_at": ago(seconds=1),
            "completed_at": None,
            **changes,
        },
    )


def schedule(**changes: Any) -> Any:
    return record_of(
        Schedule,
        {
            "name": "nightly",
            "next_fire": (NOW + timedelta(hours=1)).isoformat(),
            "last_outcome": "submitted",
            "last_detail": None,
            "paused": False,
            **changes,
        },
    )


def levels(findings: Any) -> list[tuple[str, Severity]]:
    return [(finding.subject, finding.level) for finding in findings]


ALL_WELL = [("stuck jobs", Severity.OK), ("failed jobs", Severity.OK)]


def test_healthy_jobs_are_well() -> None:
    """Nothing is stuck and nothing failed."""
    assert levels(judge_jobs([])) == ALL_WELL
    assert levels(
        judge_jobs([job(), job(2, status="PENDING"), job(3, status="COMPLETED", completed_at=ago(hours=1))])
    ) == (ALL_WELL)


def test_a_job_without_progress_is_stuck() -> None:
    """RUNNING or PENDING for more than ten minutes without a change; the advice names the job."""
    running, pending, _ = judge_jobs(
        [job(updated_at=ago(minutes=11)), job(2, type="NOOP", status="PENDING", updated_at=ago(hours=3))]
    )
    assert (running.level, pending.level) == (Severity.FAILED, Severity.FAILED)
    assert "dongbo jobs cancel 01a20971-aaad-752d-bd81-000000000001" in (running.advice or "")
    assert "PENDING for 3:00:00" in pending.detail


def test_a_job_behind_other_work_of_its_type_is_not_stuck() -> None:
    """It waits for its turn in the lane: the job before it is named."""
    first = job(1, status="RUNNING", worker="vm")
    second = job(2, status="PENDING", updated_at=ago(hours=1))
    (finding,) = [one for one in judge_jobs([second, first]) if one.subject == "stuck jobs"]
    assert finding.level is Severity.WARNING
    assert str(first.id) in finding.detail


def test_waiting_as_it_should_is_not_stuck() -> None:
    """A retry that is due later is well; a job that mostly waits for a rate limit is only worth a look."""
    later = (NOW + timedelta(minutes=5)).isoformat()
    assert levels(judge_jobs([job(status="PENDING", updated_at=ago(minutes=20), not_before=later)])) == ALL_WELL
    limited = {"rate_limit_wait_seconds": 500.0, "active_seconds": 600.0}
    (finding, _) = judge_jobs([job(updated_at=ago(minutes=20), metadata=limited)])
    assert finding.level is Severity.WARNING


def test_a_failure_is_bad_until_a_later_job_goes_well() -> None:
    """What has mended itself is only mentioned, and what is older than a day is history."""
    failed = job(1, status="FAILED", error="bad token", completed_at=ago(hours=2))
    (_, alone) = judge_jobs([failed])
    assert alone.level is Severity.FAILED
    assert "bad token" in alone.detail
    assert "dongbo jobs retry 01a20971-aaad-752d-bd81-000000000001" in (alone.advice or "")
    later = job(2, status="COMPLETED", completed_at=ago(hours=1))
    assert levels(judge_jobs([failed, later])) == [("stuck jobs", Severity.OK), ("failed jobs", Severity.WARNING)]
    other = job(2, status="COMPLETED", completed_at=ago(hours=1), store="other")
    assert levels(judge_jobs([failed, other])) == [("stuck jobs", Severity.OK), ("failed jobs", Severity.FAILED)]
    assert levels(judge_jobs([job(status="FAILED", completed_at=ago(days=2))])) == ALL_WELL


def test_many_failures_are_not_all_listed() -> None:
    """A list that fills the screen hides the rest."""
    reasons = "abcdefghijklmnopqrstuvwxyz"
    failed = [job(place, status="FAILED", completed_at=ago(hours=1), error=text) for place, text in enumerate(reasons)]
    findings = judge_jobs(failed)
    assert len(findings) == 7
    assert "21 more" in findings[-1].detail


def test_failures_of_one_kind_are_one_finding() -> None:
    """A chain that fails every 15 minutes is one thing to mend; what differs from time to time does not part them."""
    failed = [
        job(
            place, status="FAILED", completed_at=ago(hours=20 - place), error=f"It broke (request {place}, {place}.5 s)"
        )
        for place in range(1, 13)
    ]
    (_, finding) = judge_jobs(failed)
    first, last = (values.moment(each.completed_at, ZONE) for each in (failed[0], failed[-1]))
    assert f"12 times since {first}, last {last}" in finding.detail
    assert f"dongbo jobs retry {failed[-1].id}" in (finding.advice or "")


def test_schedules() -> None:
    """Overdue, failed to submit; each says what to do. A pause is a condition."""

    def judge(*schedules: Any) -> list[Severity]:
        return [finding.level for finding in judge_schedules(record_of(Status, {"now": NOW, "schedules": schedules}))]

    assert judge(schedule(), schedule(next_fire=ago(seconds=5))) == [Severity.OK]
    assert judge(schedule(next_fire=ago(minutes=5))) == [Severity.FAILED]
    assert judge(schedule(paused=True, next_fire=None)) == [Severity.OK]
    assert judge(schedule(last_outcome="failed", last_detail="no store")) == [Severity.FAILED]
    assert judge() == [Severity.WARNING]


def test_a_waiting_approval_is_a_warning_with_both_commands() -> None:
    """Nothing is wrong, but nothing goes on either."""
    waiting = job(status="AWAITING_APPROVAL", error="It would zero 30 items.", updated_at=ago(days=2))
    (finding,) = health_checks.judge_waiting([waiting, job(2)], ZONE)
    assert (finding.subject, finding.level) == ("approvals", Severity.WARNING)
    assert "It would zero 30 items." in finding.detail
    assert f"dongbo jobs approve {waiting.id}" in (finding.advice or "")


def test_conditions_are_findings() -> None:
    """What, why, since when in the shop's zone, and what to do; a bad one fails the doctor."""
    condition = {
        "name": "source_unreachable",
        "store": "main",
        "severity": "bad",
        "text": "Shopify can't be reached",
        "cause": "connection refused",
        "next_step": "look at the network",
        "since": "2026-11-29T19:16:00+00:00",
    }
    (finding,) = health_checks.judge_conditions(
        record_of(Status, {"conditions": [record_of(Condition, condition)]}), ZONE
    )
    assert (finding.subject, finding.level) == ("main source unreachable", Severity.FAILED)
    assert finding.detail == "Shopify can't be reached: connection refused (since 2026-11-30 02:16:00)"
    assert finding.advice == "look at the network"
    well = health_checks.judge_conditions(record_of(Status, {"conditions": []}), ZONE)
    assert levels(well) == [("conditions", Severity.OK)]


def test_streams_that_are_not_well_are_named() -> None:
    """Those that are late or fail, each in a line; none of those that are on time."""
    stream = {"store": "main", "name": "Stock at Nhanh.vn", "tone": "ok", "text": "on time"}
    late = stream | {"name": "Customers of Shopify", "tone": "warn", "text": "late by 2 hours"}
    failing = stream | {"name": "Push to Shopify", "tone": "bad", "text": "failing since 02:16: it broke"}

    def judge(*streams: Any) -> Any:
        records = [record_of(StreamReport, {"type": "SYNC_PRODUCTS", "state": "late", **each}) for each in streams]
        return health_checks.judge_streams(record_of(Status, {"streams": records}))

    findings = judge(stream, late, failing)
    assert [(each.level, each.detail) for each in findings] == [
        (Severity.WARNING, "Customers of Shopify: late by 2 hours"),
        (Severity.FAILED, "Push to Shopify: failing since 02:16: it broke"),
    ]
    assert levels(judge(stream)) == [("streams", Severity.OK)]
    assert health_checks.judge_streams(record_of(Status, {"streams": None})) == []


def test_what_the_database_takes_up_is_told_as_far_as_it_is_known() -> None:
    """Of a database elsewhere nobody knows the disk; of one that is away, nothing."""
    known = Storage(300 * 2**20, 3 * 2**30, 40 * 2**30, 0.0, 0.0)
    assert [each.detail for each in health_checks.judge_storage(known)] == [
        "the database takes up 300 MiB; 3.0 GiB of 40.0 GiB are free on its disk"
    ]
    elsewhere = Storage(300 * 2**20, None, None, 0.0, 0.0)
    assert [each.detail for each in health_checks.judge_storage(elsewhere)] == ["the database takes up 300 MiB"]
    assert health_checks.judge_storage(Storage(None, 3 * 2**30, 40 * 2**30, None, None)) == []
