"""The work shared out among daemons with one role each: nothing is missed, and what nobody does is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from daemon.conditions import detectors
from daemon.fleet import members, membership
from daemon.sandbox.server import SandboxSettings
from tests.support.process import RunningDaemon
from tests.support.site import Site, eventually

SCHEDULE = {"name": "customers", "kind": "cron", "cron": "* * * * *", "store": "main", "job": "PULL_NHANH_CUSTOMERS"}
OF_ALL = {"database", "schema", "listener"}


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that is pulled in no time."""
    return SandboxSettings(products=20, customers=40, limits=False)


def hasten() -> None:
    """A daemon is missed after two seconds."""
    membership.INTERVAL = 0.3  # type: ignore[misc]
    members.LIVE_FOR = 1.5  # type: ignore[misc]
    detectors.FLEET_GRACE = timedelta(seconds=2)  # type: ignore[misc]


@asynccontextmanager
async def daemon_with(site: Site, roles: str) -> AsyncIterator[RunningDaemon]:
    """A daemon that does this of the work."""
    async with site.daemon({"DONGBO_ROLES": roles}, prelude=hasten) as daemon:
        yield daemon


async def checks(daemon: RunningDaemon) -> set[str]:
    """What `/readyz` looks at; all of it is well."""
    status, text = await daemon.api.text("/readyz?verbose")
    assert status == 200, text
    return {line.split(":")[0].removeprefix("[+] ") for line in text.splitlines() if line.startswith("[")}


async def fleet(daemon: RunningDaemon) -> dict[str, Any]:
    """The daemons that live, by their roles."""
    listed = (await daemon.api.get("/status"))["fleet"]
    return {",".join(each["roles"]): each for each in listed if each["is_live"]}


async def holds(daemon: RunningDaemon, condition: str) -> bool:
    """Whether a daemon says so."""
    _status, text = await daemon.api.text("/metrics")
    return f'id="{condition}"' in text


async def test_three_daemons_with_one_role_each(site: Site) -> None:
    """A schedule fires at the one, its job runs at the other, and the third shows it."""
    site.settings["schedules"] = [SCHEDULE]
    site.write()
    async with (
        daemon_with(site, "worker") as worker,
        daemon_with(site, "schedules") as schedules,
        daemon_with(site, "status") as status,
    ):
        assert await checks(worker) == OF_ALL | {"worker"}
        assert await checks(schedules) == OF_ALL | {"scheduler", "sale_clock"}
        assert await checks(status) == OF_ALL
        for one in (worker, schedules):
            problem = await one.api.get("/status", 404)
            assert "Ask one with the role status" in problem["detail"]

        async def complete() -> dict[str, Any] | None:
            found = await fleet(status)
            return found if len(found) == 3 else None

        known = await eventually(complete, what="three daemons")
        assert {roles: each["is_self"] for roles, each in known.items()} == {
            "worker": False,
            "schedules": False,
            "status": True,
        }
        await eventually(lambda: _has_tried_credentials(status), what="what the third knows of the sources by itself")
        run = await status.api.post("/api/schedules/customers/run")
        by_hand = await status.api.completed(run["id"])
        assert by_hand["worker"] == known["worker"]["name"]

        async def fired() -> str | None:
            (shown,) = (await status.api.get("/api/schedules"))["schedules"]
            job_id: str | None = shown["last_job_id"]
            return job_id

        job = await status.api.completed(await eventually(fired, 90, what="the fire"))
        assert (job["trigger"], job["worker"]) == ("schedule", known["worker"]["name"])
        assert schedules.process.events("schedule_fired")
        assert not status.process.events("schedule_fired")
        assert not worker.process.events("schedule_fired")
        for one in (worker, schedules, status):
            assert await one.process.terminate() == 0


async def test_what_nobody_does_is_told(site: Site) -> None:
    """Each is killed in turn: the others are ready, and say what is missing until it is back."""
    async with daemon_with(site, "status") as status, daemon_with(site, "schedules") as schedules:
        async with daemon_with(site, "worker") as worker:
            await eventually(lambda: _covered(status, "worker", "schedules"), what="both roles")
            await worker.process.kill()
            await eventually(lambda: holds(status, "role_uncovered:worker"), what="that nobody takes jobs")
            assert not await holds(status, "role_uncovered:schedules")
            assert await checks(schedules) == OF_ALL | {"scheduler", "sale_clock"}
            assert await checks(status) == OF_ALL
        async with daemon_with(site, "worker") as worker:
            await eventually(lambda: _covered(status, "worker", "schedules"), what="a worker again")
            assert not await holds(status, "role_uncovered:worker")
            await schedules.process.kill()
            await eventually(lambda: holds(worker, "role_uncovered:schedules"), what="that nothing fires")
            gone = f"daemon_gone:{await _name(status, 'schedules')}"
            assert await holds(status, gone)
            assert await checks(worker) == OF_ALL | {"worker"}
            name = await _name(status, "status")
            await status.process.kill()
            await eventually(lambda: holds(worker, f"daemon_gone:{name}"), what="that nobody shows anything")
            assert await checks(worker) == OF_ALL | {"worker"}


async def _has_tried_credentials(daemon: RunningDaemon) -> bool:
    found = (await daemon.api.get("/status"))["credentials"]
    return bool(found) and all(each["works"] and each["missing_scopes"] in ([], None) for each in found)


async def _covered(daemon: RunningDaemon, *roles: str) -> bool:
    found = await fleet(daemon)
    return all(role in found for role in roles)


async def _name(daemon: RunningDaemon, roles: str) -> str:
    """By which a daemon with these roles is known, living or not."""
    listed = (await daemon.api.get("/status"))["fleet"]
    name: str = next(each["name"] for each in listed if each["roles"] == [roles])
    return name
