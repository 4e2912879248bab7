"""Rule 12 with webhooks: whatever becomes of them, when all is quiet Shopify equals what Nhanh.vn and the rules say.

A failing history is printed, and can be shortened by leaving out steps. `DONGBO_TEST_SEED`, such as 7 or 100-200, runs
others.
"""

import os
import sys
from collections.abc import Sequence

import pytest

from daemon.jobs import runner
from daemon.jobs.queue import worker as queue_worker
from daemon.sync import recording
from daemon.sync.products import stock_push
from daemon.webhooks import dispatcher
from tests.support.post_office import check_inbox
from tests.support.sync_history import Step, begun_history, make_history
from tests.support.sync_ledger import MAPPED, check_equal, check_quiet, check_written_once
from tests.support.webhook_history import (
    WEBHOOKS_ALONE,
    WITH_WEBHOOKS,
    ListeningMachine,
    TradeHistory,
    WebhookHistory,
)


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queue and inbox are looked at often, little patience with what is lost, and small batches."""
    monkeypatch.setattr(queue_worker, "POLL_INTERVAL", queue_worker.BUSY_POLL_INTERVAL / 10)
    monkeypatch.setattr(stock_push, "BATCH", 9)
    monkeypatch.setattr(runner, "OUTCOME_DELAYS", ())
    monkeypatch.setattr(recording, "PATIENCE", 2.0)
    monkeypatch.setattr(dispatcher, "INTERVAL", 0.5)
    monkeypatch.setattr(dispatcher, "REST", 0.2)


def seeds(*usual: int) -> Sequence[int]:
    """Some in which much happens; of a campaign, such as `DONGBO_TEST_SEED=100-200`, others."""
    first, _, last = os.environ.get("DONGBO_TEST_SEED", "").partition("-")
    return range(int(first), int(last or first) + 1) if first else usual


async def live_through(
    steps: Sequence[Step], database_url: str, monkeypatch: pytest.MonkeyPatch, *, replays: bool, **settings: object
) -> None:
    """Live through a history with two daemons, and check what must hold when all is quiet."""
    async with begun_history(
        database_url,
        monkeypatch,
        replays=replays,
        daemons=2,
        kind=WebhookHistory,
        machine=ListeningMachine,
        **settings,
    ) as history:
        try:
            await history.live(steps)
            await history.become_quiet()
            in_step = await check_quiet(history.memory, history.connection.fetch)
            await check_inbox(history.post, history.connection.fetch)
        except BaseException:
            sys.stdout.write(f"steps = {steps!r}\nsprung = {history.sprung}\n")
            raise
    assert in_step > 10, "a shop in which nothing is mapped proves nothing"


@pytest.mark.usefixtures("brisk")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", seeds(1, 2, 3, 7, 14))
async def test_shopify_equals_nhanh_whatever_becomes_of_webhooks(
    database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Beside full syncs, syncs of a few items and pulls on two daemons, which die; by different settings."""
    settings: list[dict[str, object]] = [
        {},
        {"reserve": 1, "maximum": 30},
        {"quantity": "on_hand", "stock_figure": "available"},
    ]
    steps = make_history(seed, weights=WITH_WEBHOOKS)
    await live_through(steps, database_url, monkeypatch, replays=seed % 2 == 0, **settings[seed % 3])


@pytest.mark.usefixtures("brisk")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", seeds(1, 2))
async def test_webhooks_alone_bring_shopify_in_step_where_none_is_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """However late, often and in whatever order they come, and however often the daemons die: no schedule is needed."""
    steps = make_history(seed, weights=WEBHOOKS_ALONE)
    settings = {"quantity": "on_hand", "stock_figure": "available"} if seed % 2 == 0 else {}
    async with begun_history(
        database_url, monkeypatch, replays=True, daemons=2, kind=TradeHistory, machine=ListeningMachine, **settings
    ) as history:
        try:
            await history.live(steps)
            await history.hear_all()
            pairs = {row["variant_id"]: row["nhanh_id"] for row in await history.connection.fetch(MAPPED)}
            assert check_equal(history.memory, pairs) > 10
            check_written_once(history.memory.journal)
            await check_inbox(history.post, history.connection.fetch)
        except BaseException:
            sys.stdout.write(f"steps = {steps!r}\nsprung = {history.sprung}\n")
            raise
