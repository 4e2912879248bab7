"""Whose calls go first."""

from typing import Any, cast

import pytest

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sources.meter import CallMeter, Rank, at_once
from daemon.tasks.pull import counted_calls


class _Job:
    def __init__(self, job_type: JobType, params: dict[str, Any]) -> None:
        self.type = job_type
        self.params = params


class _Context:
    check_before_write = staticmethod(at_once)

    def __init__(self, job: _Job) -> None:
        self.job = job

    def count_costs(self, _meter: CallMeter) -> None:
        pass


@pytest.mark.parametrize(
    ("job_type", "params", "rank"),
    [
        (JobType.REVERT_SALE, {}, Rank.SALE),
        (JobType.SYNC_CHANGED_PRODUCTS, {}, Rank.ITEMS),
        (JobType.SYNC_CUSTOMERS, {"ids": [7]}, Rank.ITEMS),
        (JobType.SYNC_CHANGED_CUSTOMERS, {}, Rank.CUSTOMERS),
        (JobType.SYNC_CUSTOMERS, {}, Rank.OTHER),
    ],
)
def test_a_hundred_customers_do_not_hold_up_the_stock_of_one_item(
    job_type: JobType, params: dict[str, Any], rank: Rank
) -> None:
    """A push of many totals is told back by as many webhooks, whose reading takes all points for seconds."""
    context = cast("JobContext", _Context(_Job(job_type, params)))

    assert counted_calls(context).rank is rank
