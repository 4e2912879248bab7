"""Rule 6: one job per fire, on however many daemons; a missed fire is made up once, if its policy says so."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.process import RunningDaemon
from tests.support.site import Site, eventually

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
PULLS = ("PULL_NHANH_PRODUCTS", "PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_PRODUCTS", "PULL_SHOPIFY_CUSTOMERS")
FIRES = "SELECT schedule, fire_time, outcome, job_id FROM dongbo.schedule_fires ORDER BY schedule, fire_time"
JOBS = "SELECT id, schedule, fire_time, trigger, status FROM dongbo.background_jobs ORDER BY schedule, fire_time"
DOWN_SINCE = "UPDATE dongbo.schedule_states SET known_since = $1"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that is pulled in no time."""
    return SandboxSettings(products=20, customers=40, limits=False)


def schedule(name: str, cron: str, job: str, store: str = "main", **more: Any) -> dict[str, Any]:
    """A table of the configuration."""
    return {"name": name, "kind": "cron", "cron": cron, "store": store, "job": job, **more}


def daily(at: datetime) -> str:
    """The cron expression of the minute of a time, each day."""
    local = at.astimezone(ZONE)
    return f"{local.minute} {local.hour} * * *"


async def remembered(site: Site, connection: asyncpg.Connection, down_since: datetime) -> None:
    """Let a daemon get to know the schedules, and have it gone since `down_since`."""
    async with site.daemon() as daemon:
        assert await daemon.process.terminate() == 0
    await connection.execute(DOWN_SINCE, down_since)
    assert await connection.fetchval("SELECT count(*) FROM dongbo.schedule_fires") == 0


async def settled(connection: asyncpg.Connection, number: int) -> None:
    """Wait until so many fires are recorded and all jobs have ended."""

    async def is_settled() -> bool:
        jobs = await connection.fetch(JOBS)
        fires = await connection.fetchval("SELECT count(*) FROM dongbo.schedule_fires")
        return fires >= number and all(job["status"] not in ("PENDING", "RUNNING") for job in jobs)

    await eventually(is_settled, 90, what=f"{number} fires with their jobs")


async def shows(daemon: RunningDaemon, fires: dict[str, datetime]) -> bool:
    """Whether a daemon shows these as the last fires of its schedules."""
    listed = (await daemon.api.get("/api/schedules"))["schedules"]
    last = {one["name"]: one["last_fire"] and datetime.fromisoformat(one["last_fire"]) for one in listed}
    return last == fires


async def test_two_daemons_fire_each_schedule_once(site: Site, connection: asyncpg.Connection) -> None:
    """Rule 6: of two daemons with the same schedules exactly one submits a fire's job, on the minute; both show it."""
    site.settings["schedules"] = [schedule(job.lower(), "* * * * *", job) for job in PULLS]
    site.write()
    async with site.daemon() as first, site.daemon() as second:
        await settled(connection, len(PULLS))
        fires, jobs = await connection.fetch(FIRES), await connection.fetch(JOBS)
        if len(fires) == len(PULLS):  # else the next minute has come in between
            times = {fire["schedule"]: fire["fire_time"] for fire in fires}
            for daemon in (first, second):
                await eventually(lambda daemon=daemon: shows(daemon, times), 20, what="the fires at both daemons")
                shown = (await daemon.api.get("/api/jobs"))["jobs"]
                assert {job["id"] for job in shown} == {str(job["id"]) for job in jobs}
    assert {fire["schedule"] for fire in fires} == {job.lower() for job in PULLS}
    assert [(fire["schedule"], fire["fire_time"], fire["job_id"]) for fire in fires] == [
        (job["schedule"], job["fire_time"], job["id"]) for job in jobs
    ]
    assert all(fire["fire_time"].second == 0 for fire in fires)
    assert {(job["trigger"], job["status"]) for job in jobs} == {("schedule", "COMPLETED")}
    assert {fire["outcome"] for fire in fires} == {"submitted"}
    told = [line for daemon in (first, second) for line in daemon.process.events("schedule_fired")]
    assert len(told) == len(fires), "one daemon has the fire, and the other leaves it alone"


async def test_missed_fires_are_made_up_once(site: Site, connection: asyncpg.Connection) -> None:
    """A schedule that missed three fires while all daemons were down gets one job, for the last of them; one whose
    policy is to skip gets none. So it is with two daemons that start at the same time, and a restart adds nothing."""
    missed = (datetime.now(UTC) - timedelta(minutes=90)).replace(second=0, microsecond=0)
    site.settings["schedules"] = [
        schedule("made-up", daily(missed), "PULL_NHANH_CUSTOMERS"),
        schedule("also-made-up", daily(missed), "PULL_SHOPIFY_CUSTOMERS", misfire="once"),
        schedule("skipped", daily(missed), "PULL_NHANH_PRODUCTS", misfire="skip"),
        schedule("not-missed", daily(missed - timedelta(hours=2)), "PULL_SHOPIFY_PRODUCTS", store="other"),
    ]
    site.settings["stores"]["other"] = site.store()
    site.write()
    await remembered(site, connection, missed - timedelta(days=2, hours=1))
    await connection.execute(f"{DOWN_SINCE} WHERE schedule = 'not-missed'", missed - timedelta(hours=1))
    expected = [("also-made-up", "submitted"), ("made-up", "submitted"), ("skipped", "skipped")]
    async with site.process() as one, site.process() as another:
        for process in (one, another):
            await process.logged("ready")
        await settled(connection, len(expected))
        for process in (one, another):
            assert await process.terminate() == 0
    async with site.daemon() as daemon:
        await eventually(
            lambda: shows(daemon, {"made-up": missed, "also-made-up": missed, "skipped": missed, "not-missed": None})
        )
        assert await daemon.process.terminate() == 0
    fires = await connection.fetch(FIRES)
    assert [(fire["schedule"], fire["outcome"]) for fire in fires] == expected
    assert {fire["fire_time"] for fire in fires} == {missed}
    jobs = await connection.fetch(JOBS)
    assert [(job["schedule"], job["fire_time"], job["status"]) for job in jobs] == [
        ("also-made-up", missed, "COMPLETED"),
        ("made-up", missed, "COMPLETED"),
    ]
