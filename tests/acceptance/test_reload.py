"""SIGHUP: the whole new file is checked first, and only what differs is touched."""

import signal
from typing import Any

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.acceptance.test_fires import schedule
from tests.support.process import RunningDaemon
from tests.support.site import Site

TIMETABLES = "SELECT schedule, timetable, known_since FROM dongbo.schedule_states ORDER BY schedule"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=20, customers=40, limits=False)


async def schedules(daemon: RunningDaemon) -> dict[str, dict[str, Any]]:
    """The schedules that the daemon shows, by name."""
    return {one["name"]: one for one in (await daemon.api.get("/api/schedules"))["schedules"]}


async def test_a_reload_touches_only_what_differs(site: Site, connection: asyncpg.Connection) -> None:
    """A changed, a new and a removed schedule take effect, the others stay as they are; a new store can be pulled."""
    kept, changed = schedule("kept", "0 2 * * *", "PULL_NHANH_CUSTOMERS"), schedule("moved", "0 3 * * *", "NOOP")
    site.settings["schedules"] = [kept, changed, schedule("dropped", "0 4 * * *", "PULL_NHANH_PRODUCTS")]
    site.write()
    async with site.daemon() as daemon:
        before, remembered = await schedules(daemon), await connection.fetch(TIMETABLES)
        await daemon.api.post("/api/schedules/kept/pause", status=200)
        site.settings["stores"]["second"] = site.store()
        site.settings["schedules"] = [
            schedule("new", "0 5 * * *", "PULL_SHOPIFY_CUSTOMERS", store="second"),
            changed | {"cron": "30 3 * * *"},
            kept,
        ]
        site.write()
        daemon.process.send(signal.SIGHUP)
        told = await daemon.process.logged("reloaded")
        assert (told["added"], told["changed"], told["removed"]) == (["new"], ["moved"], ["dropped"])
        assert (told["unchanged"], told["stores_changed"]) == (1, ["second"])
        after = await schedules(daemon)
        assert list(after) == ["new", "moved", "kept"]
        assert after["kept"] == before["kept"] | {"paused": True, "next_fire": None, "next_fires": []}
        assert after["moved"]["next_fire"] != before["moved"]["next_fire"]
        rows = {row["schedule"]: row for row in await connection.fetch(TIMETABLES)}
        assert rows["kept"] == remembered[1]
        assert rows["moved"]["known_since"] > remembered[2]["known_since"]
        job = await daemon.api.submit("PULL_NHANH_CUSTOMERS", store="second")
        assert (await daemon.api.completed(job["id"]))["created"] == 40
        assert daemon.process.events("restart_required") == []


async def test_a_running_job_is_not_disturbed(site: Site, sandbox: Sandbox) -> None:
    """A reload that changes the store of a running pull lets the pull go on."""
    sandbox.faults.slow, sandbox.faults.slow_seconds = 1.0, 0.5
    async with site.daemon() as daemon:
        job = await daemon.api.submit("PULL_NHANH_CUSTOMERS")
        await daemon.process.logged("job_started")
        del site.settings["stores"]["main"]["shopify"]
        site.write()
        daemon.process.send(signal.SIGHUP)
        assert (await daemon.process.logged("reloaded"))["stores_changed"] == ["main"]
        assert (await daemon.api.completed(job["id"]))["created"] == 40
        refusal = await daemon.api.post(
            "/api/jobs", {"type": "PULL_SHOPIFY_PRODUCTS", "store": "main", "params": {}}, status=422
        )
        assert "[stores.main.shopify]" in refusal["detail"]


async def test_a_removed_store_can_no_longer_be_pulled(site: Site) -> None:
    """After a reload a store that is no longer configured is refused, with those that are."""
    site.settings["stores"]["second"] = site.store()
    site.write()
    async with site.daemon() as daemon:
        del site.settings["stores"]["second"]
        site.write()
        daemon.process.send(signal.SIGHUP)
        await daemon.process.logged("reloaded")
        refusal = await daemon.api.post("/api/jobs", {"type": "NOOP", "store": "second", "params": {}}, status=422)
        assert "main" in refusal["detail"]


async def test_another_language_is_spoken_at_once(site: Site) -> None:
    """What is answered without anybody's asking for a language is in the one that is configured now."""
    async with site.daemon() as daemon:
        assert (await daemon.api.get("/api/jobs/1", 404))["detail"] == "There is no such job: its id is not a UUID"
        site.settings["language"] = "vi"
        site.write()
        daemon.process.send(signal.SIGHUP)
        await daemon.process.logged("reloaded")
        assert (await daemon.api.get("/api/jobs/1", 404))["detail"] == "Không có tác vụ này: ID không phải UUID"
        assert daemon.process.events("restart_required") == []


async def test_a_broken_file_is_refused_as_a_whole(site: Site) -> None:
    """A file with mistakes changes nothing: each mistake is logged with its line, and the old configuration stays."""
    site.settings["schedules"] = [schedule("kept", "0 2 * * *", "PULL_NHANH_CUSTOMERS")]
    site.write()
    async with site.daemon() as daemon:
        before = await schedules(daemon)
        good = site.config.read_text()
        site.settings["schedules"].append(schedule("new", "0 5 * * *", "NOOP"))
        site.write()
        lines = site.config.read_text().count("\n")
        with site.config.open("a") as file:
            file.write('colour = "red"\n')
        daemon.process.send(signal.SIGHUP)
        refused = await daemon.process.logged("reload_refused")
        assert refused["problems"] == [problem for problem in refused["problems"] if f"{site.config}:" in problem]
        assert any(f":{lines + 1}: colour" in problem for problem in refused["problems"])
        site.config.write_text("schedules = [")
        daemon.process.send(signal.SIGHUP)
        assert "not valid TOML" in (await daemon.process.logged("reload_refused", times=2))["problems"][0]
        site.config.unlink()
        daemon.process.send(signal.SIGHUP)
        assert "no such file" in (await daemon.process.logged("reload_refused", times=3))["problems"][0]
        assert await schedules(daemon) == before
        site.config.write_text(good)
        daemon.process.send(signal.SIGHUP)
        assert (await daemon.process.logged("reloaded"))["unchanged"] == 1


async def test_what_needs_a_restart_is_said(site: Site) -> None:
    """Settings that only a restart applies are named, while the log's level changes at once."""
    async with site.daemon() as daemon:
        site.settings["status"]["listen"] = "127.0.0.1:1"
        site.settings["jobs"]["max_attempts"] = 3
        site.settings["log"]["level"] = "warning"
        site.write()
        daemon.process.send(signal.SIGHUP)
        told = await daemon.process.logged("restart_required")
        assert set(told["keys"]) == {"status.listen", "jobs.max_attempts"}
        assert daemon.process.events("reloaded") == [], "which is said at level info"


async def test_an_emptied_file_is_refused(site: Site) -> None:
    """A file that an editor has emptied and not yet written takes no store and no schedule away."""
    site.settings["schedules"] = [schedule("kept", "0 2 * * *", "NOOP")]
    site.write()
    async with site.daemon() as daemon:
        site.config.write_text("")
        daemon.process.send(signal.SIGHUP)
        refused = await daemon.process.logged("reload_refused")
        assert "no stores are left" in refused["problems"][0]
        assert list(await schedules(daemon)) == ["kept"]
