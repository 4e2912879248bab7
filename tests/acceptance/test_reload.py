"""SIGHUP: the whole new file is checked first, and only what differs is touched."""

import signal
from typing import Any

import asyncpg
import pytest

from daemon.errors import ExitCode
from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.acceptance.test_fires import schedule
from tests.support.process import RunningDaemon
from tests.support.site import Site, eventually

HOLD_UP_SALES = "LOCK TABLE dongbo.sale_campaigns IN SHARE MODE"
# By the lock that is waited for: others may wait for a moment, too, such as who notifies for who notifies.
END_WAITING = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE NOT granted AND relation = 'dongbo.sale_campaigns'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
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


async def test_who_may_do_what_changes_at_once(site: Site) -> None:
    """A token that is added guards a daemon that was open; a renewed one lets nobody in with the old; a role counts."""
    lan, wall = "the-token-of-lan-0123", "the-token-of-the-wall"
    async with site.daemon() as daemon:
        await daemon.api.get("/api/jobs")
        site.settings["status"]["tokens"] = [
            {"name": "Lan", "token": site.secret("lan", lan), "role": "operate"},
            {"name": "wall", "token": site.secret("wall", wall), "role": "read"},
        ]
        site.write()
        daemon.process.send(signal.SIGHUP)
        await daemon.process.logged("reloaded")
        assert await statuses(daemon, None, lan, wall) == [(401, 401), (200, 202), (200, 403)]
        site.secret("lan", "another-token-of-lan-1")
        told = await daemon.process.logged("status_tokens_renewed")
        assert (told["names"], told["unnamed"]) == (["Lan"], False)
        assert await statuses(daemon, lan, "another-token-of-lan-1", wall) == [(401, 401), (200, 202), (200, 403)]
        site.settings["status"]["tokens"][1]["role"] = "operate"
        site.write()
        daemon.process.send(signal.SIGHUP)
        await daemon.process.logged("reloaded", times=2)
        assert await statuses(daemon, wall) == [(200, 202)]
        assert daemon.process.events("restart_required") == []


async def test_no_reload_opens_the_door_to_other_machines(site: Site) -> None:
    """The address changes with a restart only: until then the last token stays, whatever the file says of both."""
    token = site.secret("lan", "the-token-of-lan-0123")
    site.settings["status"] = {"listen": "0.0.0.0:0", "tokens": [{"name": "Lan", "token": token, "role": "operate"}]}
    site.write()
    async with site.daemon() as daemon:
        site.settings["status"] = {"listen": "127.0.0.1:0"}
        site.write()
        daemon.process.send(signal.SIGHUP)
        refused = await daemon.process.logged("reload_refused")
        assert "open to other machines" in refused["problems"][0]
        assert await statuses(daemon, None) == [(401, 401)]


async def statuses(daemon: RunningDaemon, *tokens: str | None) -> list[tuple[int, int]]:
    """What those who show these tokens are answered when they read, and when they start a job."""
    found = []
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"type": "NOOP", "store": "main", "params": {}}
        async with daemon.api.session.get("/api/jobs", headers=headers) as answer:
            read = answer.status
        async with daemon.api.session.post("/api/jobs", json=body, headers=headers) as answer:
            found.append((read, answer.status if answer.status != 409 else 202))  # one is live already
    return found


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


async def test_a_reload_survives_that_the_database_is_lost(site: Site, connection: asyncpg.Connection) -> None:
    """A session that ends in the middle of a reload ends no daemon. What has been taken over by then is in force, and
    the answer does not deny it; the next reload takes over the rest."""
    runtime = site.directory / "run"
    runtime.mkdir()
    environment = {"RUNTIME_DIRECTORY": str(runtime)}
    async with site.daemon(environment) as daemon:
        environment["MAINPID"] = str(daemon.process.pid)
        site.settings["schedules"] = [schedule("new", "0 5 * * *", "NOOP")]
        site.settings["sales"] = [{"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}}]
        site.write()
        async with site.process("reload", environment=environment) as reload:
            async with connection.transaction():
                await connection.execute(HOLD_UP_SALES)
                await eventually(lambda: connection.fetchval(END_WAITING), what="the reload waits, and is cut off")
            assert await reload.exited() == ExitCode.UNAVAILABLE
            assert "in force" in reload.text
            assert "Nothing has changed" not in reload.text
        assert (await daemon.process.logged("reload_incomplete"))["next_step"] == "reload again once the cause is fixed"
        assert list(await schedules(daemon)) == ["new"]
        async with site.process("reload", environment=environment) as reload:
            assert await reload.exited() == 0
        assert await connection.fetchval("SELECT name FROM dongbo.sale_campaigns") == "tet"


async def test_a_reload_while_the_database_is_waited_for_is_answered(site: Site, unused_port: int) -> None:
    """At once, with what is waited for."""
    runtime = site.directory / "run"
    runtime.mkdir()
    site.settings["database"] = {"url": f"postgresql://postgres@127.0.0.1:{unused_port}/dongbo"}
    site.write()
    environment = {"RUNTIME_DIRECTORY": str(runtime)}
    async with site.process(environment=environment, forked=True) as daemon:
        await daemon.logged("database_awaited")
        environment["MAINPID"] = str(daemon.pid)
        async with site.process("reload", environment=environment) as reload:
            assert await reload.exited() == ExitCode.UNAVAILABLE
            assert "no PostgreSQL listens there" in reload.text
            assert "once it has started" in reload.text


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


async def test_secrets_that_a_reload_can_not_renew_are_named(site: Site) -> None:
    """A credential takes effect when systemd has made a new copy for the reload; otherwise, as always for a variable,
    the log says that it needs a restart. What is in force stays in force."""
    credentials = site.directory / "credentials"
    renewed = site.directory / "renewed"
    for directory, token in ((credentials, "wrong"), (renewed, site.sandbox.nhanh.token)):
        directory.mkdir()
        (directory / "nhanh-token").write_text(token)
    nhanh, shopify = site.settings["stores"]["main"]["nhanh"], site.settings["stores"]["main"]["shopify"]
    nhanh["access_token"] = {"credential": "nhanh-token"}
    shopify["access_token"] = {"env": "SHOPIFY_TOKEN"}
    site.write()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials), "SHOPIFY_TOKEN": site.sandbox.shopify.token}
    async with site.daemon(environment) as daemon:
        daemon.process.send(signal.SIGHUP)
        told = await daemon.process.logged("secrets_kept")
        assert (told["credentials"], told["variables"]) == (["nhanh-token"], ["SHOPIFY_TOKEN"])
        failed = await daemon.api.ended((await daemon.api.submit("PULL_NHANH_CUSTOMERS"))["id"])
        assert failed["status"] == "FAILED"
        credentials.rename(site.directory / "old")
        renewed.rename(credentials)
        daemon.process.send(signal.SIGHUP)
        told = await daemon.process.logged("secrets_kept", times=2)
        assert (told["credentials"], told["variables"]) == ([], ["SHOPIFY_TOKEN"])
        job = await daemon.api.submit("PULL_NHANH_CUSTOMERS")
        assert (await daemon.api.completed(job["id"]))["created"] == 40


async def test_a_reload_that_waits_tells_how_it_ended(site: Site) -> None:
    """`dongbo reload`, as the unit runs it, ends when the reload has, with what a restart is needed for, and fails with
    all that is wrong where the file is refused."""
    runtime = site.directory / "run"
    runtime.mkdir()
    site.settings["stores"]["main"]["shopify"]["access_token"] = {"env": "SHOPIFY_TOKEN"}
    site.write()
    environment = {"RUNTIME_DIRECTORY": str(runtime), "SHOPIFY_TOKEN": site.sandbox.shopify.token}
    async with site.daemon(environment) as daemon:
        environment["MAINPID"] = str(daemon.process.pid)
        for _ in range(2):
            async with site.process("reload", environment=environment) as reload:
                assert await reload.exited() == 0
                assert "SHOPIFY_TOKEN" in reload.text
                assert "Only a restart applies" not in reload.text
        site.settings["jobs"]["max_attempts"] = 3
        site.write()
        async with site.process("reload", environment=environment) as reload:
            assert await reload.exited() == 0
            assert "Only a restart applies: jobs.max_attempts" in reload.text
        site.config.write_text("colour = 'red'\nsize = 2\n")
        async with site.process("reload", environment=environment) as reload:
            assert await reload.exited() == ExitCode.CONFIG
            assert "dongbo.toml:1: colour" in reload.text
            assert "dongbo.toml:2: size" in reload.text
    async with site.process("reload", environment=environment) as reload:
        assert await reload.exited() == ExitCode.FAILED
        assert "can't be told" in reload.text
