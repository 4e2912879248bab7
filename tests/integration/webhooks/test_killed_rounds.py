"""A daemon that dies in a round of events, at any point: each event ends once, and each value is written once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from daemon.ids import JobId
from daemon.inbox import events
from daemon.inbox.topics import EventState
from daemon.jobs import store
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.shopify.client import ShopifyClient
from tests.support.sync_history import History, begun_history
from tests.support.told_webhooks import arrival, settled, tell

JOBS = "SELECT id FROM dongbo.background_jobs WHERE type = $1 ORDER BY id"
MOMENTS = [
    (owner, name, is_after)
    for owner, name in (
        (events, "take"),
        (NhanhClient, "rows_by_ids"),
        (ShopifyClient, "set_stock"),
        (events, "settle"),
        (store, "finish"),
    )
    for is_after in (False, True)
]


def dying(history: History, original: Callable[..., Any], *, is_after: bool) -> Callable[..., Any]:
    """The daemon dies the first time that this is called, before it or once it is done."""
    has_died = False

    async def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal has_died
        answer = await original(*arguments, **keywords) if is_after or has_died else None
        if has_died:
            return answer
        has_died = True
        history.machine.die()
        raise asyncio.CancelledError("the daemon is dead")

    return call


@pytest.mark.parametrize(("owner", "name", "is_after"), MOMENTS)
async def test_the_next_daemon_ends_the_round(
    database_url: str, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, is_after: bool
) -> None:
    """It goes on with the very same events; what has come meanwhile is for the round after."""
    async with begun_history(database_url, monkeypatch, replays=True) as history:
        product = next(iter(history.memory.sold()))
        location, depots = next(iter(history.memory.depots_of.items()))
        wanted = history.memory.desired(product.id, location) + 5
        history.memory.nhanh.change_stock(product.id, depots[0], wanted)
        history.memory.nhanh.change_stock(product.id, depots[1], 0)
        written = len(history.memory.journal)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, dying(history, getattr(owner, name), is_after=is_after))
            await tell(history.machine.parts.database, [arrival("inventoryChange", product.id)])
            async with asyncio.timeout(30):
                await history.machine.died.wait()
            parts = await history.machine.alive()
            await tell(parts.database, [arrival("inventoryChange", product.id)])
            first, second = await settled(parts.database, 60.0)
        assert [(event.state, event.attempts) for event in (first, second)] == [(EventState.DONE, 1)] * 2
        assert (first.outcome, second.outcome) == (
            "1 value was pushed.",
            "It was read again: nothing was to be pushed." if first.job_id != second.job_id else first.outcome,
        )
        effects = [write for write in history.memory.journal[written:] if write.has_effect]
        assert len(effects) == 1
        rows = await history.connection.fetch(JOBS, JobType.SYNC_CHANGED_PRODUCTS)
        jobs = [await history.finished(JobId(row["id"])) for row in rows]
        assert {job.status for job in jobs} == {JobStatus.COMPLETED}
        assert sum(job.updated for job in jobs) == 1
        assert all(job.processed == job.successful + job.skipped + job.failed == job.total for job in jobs)
