"""Every type of job has its row and its task."""

import pytest

from daemon.errors import InvalidJobRequest
from daemon.jobs.types import ITEMS_FIRST, JOB_TYPES, JobType
from daemon.tasks import registry


def test_every_type_has_a_row_and_a_lane_of_its_own() -> None:
    """Jobs of two types never wait for each other."""
    assert JOB_TYPES.keys() == set(JobType)
    lanes = {spec.lane for spec in JOB_TYPES.values()}
    assert len(lanes) == len(JobType)
    assert lanes.isdisjoint(spec.item_lane for spec in JOB_TYPES.values())


def test_sales_leave_the_queue_first_and_what_webhooks_tell_next() -> None:
    """Neither waits behind a pull, and a failed run of one is tried again within seconds; no other job is urgent."""
    sales = {JobType.APPLY_SALE, JobType.REVERT_SALE}
    changes = {JobType.SYNC_CHANGED_PRODUCTS, JobType.SYNC_CHANGED_CUSTOMERS}
    assert {job_type for job_type, spec in JOB_TYPES.items() if spec.is_urgent} == sales | changes
    assert JOB_TYPES[JobType.SYNC_CHANGED_PRODUCTS].priority == ITEMS_FIRST
    assert 0 < JOB_TYPES[JobType.SYNC_CHANGED_CUSTOMERS].priority < ITEMS_FIRST
    assert all(JOB_TYPES[job_type].priority > ITEMS_FIRST for job_type in sales)
    assert {spec.priority for spec in JOB_TYPES.values() if not spec.is_urgent} == {0}


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
