"""Every type of job has its row and its task."""

import pytest

from daemon.errors import InvalidJobRequest
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.tasks import registry


def test_every_type_has_a_row_and_a_lane_of_its_own() -> None:
    """Jobs of two types never wait for each other."""
    assert JOB_TYPES.keys() == set(JobType)
    assert len({spec.lane for spec in JOB_TYPES.values()}) == len(JobType)


def test_only_sales_are_urgent_and_leave_the_queue_first() -> None:
    """A sale waits behind no pull, and a failed run of one is tried again within seconds."""
    sales = {JobType.APPLY_SALE, JobType.REVERT_SALE}
    assert {job_type for job_type, spec in JOB_TYPES.items() if spec.is_urgent} == sales
    least = min(JOB_TYPES[job_type].priority for job_type in sales)
    assert all(spec.priority < least for job_type, spec in JOB_TYPES.items() if job_type not in sales)


@pytest.mark.parametrize("job_type", JobType)
def test_types_retry_rows_where_their_tasks_do(job_type: JobType) -> None:
    """What the page offers is what the task takes."""
    params = {"retry_of": "01a20971-aaad-752d-bd81-172a061e849c"}
    if JOB_TYPES[job_type].retries_rows:
        assert registry.read_params(job_type, params) == params
    else:
        with pytest.raises(InvalidJobRequest):
            registry.read_params(job_type, params)


def test_a_type_without_a_task_is_an_error_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the type and what is missing, before any job could be asked for."""
    registry.check_completeness()
    monkeypatch.delitem(registry._TASKS, JobType.NOOP)
    with pytest.raises(RuntimeError, match=r"no task for NOOP; it needs a file in daemon/tasks with @task"):
        registry.check_completeness()
