"""What the endpoint reads from a replica: the same answers, changes seen at once, and none lost when it goes away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.database.migrate import migrate
from daemon.database.usage import ReplicaStanding
from daemon.jobs.queue.driver import install
from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.replica import Pair, replicated

LISTS = (
    "/api/jobs",
    "/api/strips",
    "/api/actions",
    "/api/approvals",
    "/api/webhooks",
    "/api/sales",
    "/api/items?store=main",
    "/api/items?store=main&q=ao",
    "/api/customers?store=main",
    "/api/customers?store=main&q=an",
    "/api/mappings?store=main",
    "/api/choices?store=main&kind=vendors",
    "/api/explain?store=main&sku=AO-01",
    "/api/schedules/other/history",
    "/api/jobs/{job}/story",
    "/api/jobs/{job}/log",
    "/api/jobs/{job}/failure-groups",
    "/api/jobs/{job}/push-groups",
)


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """A migrated primary, and its replica."""
    async with replicated(tmp_path, monkeypatch) as opened:
        await migrate(opened.database, then=[install])
        await opened.kept_up()
        yield opened


@pytest.fixture
async def endpoint(pair: Pair) -> AsyncIterator[Endpoint]:
    """An endpoint that reads from the replica."""
    async with running_endpoint(pair.database) as opened:
        yield opened


async def test_lists_and_details_come_from_the_replica_as_from_the_primary(pair: Pair, endpoint: Endpoint) -> None:
    """None of them needs more than a replica can do, and the answer is the same."""
    job = await endpoint.ended()
    for path in LISTS:
        where = path.format(job=job.id)
        served = pair.replica.reads_here
        await pair.kept_up()
        from_replica = await endpoint.get(where)
        if pair.replica.reads_here == served:  # it was behind for a moment
            await pair.kept_up()
            from_replica = await endpoint.get(where)
        assert pair.replica.reads_here > served, path
        kept, pair.database.replica = pair.database.replica, None
        from_primary = await endpoint.get(where)
        pair.database.replica = kept
        for answer in (from_replica, from_primary):
            for changing in ("now", "instance", "since", "until", "read_at"):
                answer.pop(changing, None)
        assert from_replica == from_primary, path


async def test_whoever_changes_something_sees_it_in_the_next_answer(pair: Pair, endpoint: Endpoint) -> None:
    """Even while the replica is held up: then the primary answers."""
    for number in range(20):
        if number == 10:
            await pair.standby.hold()
        job = await endpoint.call("POST", "/api/jobs", 202, json={"type": "PULL_NHANH_PRODUCTS", "store": "main"})
        found = await endpoint.get("/api/jobs?limit=1")
        assert found["jobs"][0]["id"] == job["id"]
        await endpoint.call("POST", f"/api/jobs/{job['id']}/cancel", 202, json={})
        (shown,) = (await endpoint.get("/api/jobs?limit=1"))["jobs"]
        assert shown["status"] == "CANCELLED"


async def test_no_answer_is_lost_over_a_replica_that_goes_away(pair: Pair, endpoint: Endpoint) -> None:
    """The request whose connection breaks is answered from the primary, and the probes say how it stands."""
    await endpoint.ended()
    await endpoint.get("/api/jobs")  # so that there is a connection to break
    await pair.standby.stop()
    for _ in range(3):
        assert len((await endpoint.get("/api/jobs"))["jobs"]) == 1
    status = await endpoint.get("/status")
    assert status["replica"]["standing"] == ReplicaStanding.AWAY
    assert status["replica"]["reads_at_primary"] >= 3
    (check,) = [check for check in status["checks"] if check["name"] == "replica"]
    assert check["ok"], "a daemon is ready without its replica"
    assert "reads go to the primary" in check["detail"]
    async with endpoint.client.get("/metrics") as response:
        text = await response.text()
    assert "dongbo_replica_usable 0.0" in text
    assert "dongbo_replica_lag_seconds" not in text
    await pair.standby.start()
    await pair.kept_up()
    async with endpoint.client.get("/metrics") as response:
        text = await response.text()
    assert "dongbo_replica_usable 1.0" in text
    assert "dongbo_replica_lag_seconds" in text


async def test_without_a_replica_nothing_is_said_of_one(open_endpoint) -> None:
    """Neither the probes nor the metrics know one."""
    async with open_endpoint() as endpoint:
        status = await endpoint.get("/status")
        assert status["replica"] is None
        assert "replica" not in [check["name"] for check in status["checks"]]
