"""A year in minutes: installed on a minimal Debian under a real systemd, and what happens to a service there.

The shop is a sandbox of this process, which the machine reaches over the loopback that both share.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.machine import MUST, Machine, NoMachine, booted_machine, wheels
from tests.support.prober import Prober
from tests.support.process import Api, Job
from tests.support.site import eventually

PROGRAM = "/opt/dongbo/bin/dongbo"
UNIT = "dongbo.service"
WHEELS = "/srv/wheels"
CONFIG = "/etc/dongbo/dongbo.toml"
STATE = "/var/lib/dongbo"
CREDENTIALS = "/etc/dongbo/credentials"
SHOPIFY_TOKEN = "/etc/dongbo/shopify-token"
NEXT_VERSION = "99.0.0"
PULL = "PULL_NHANH_CUSTOMERS"
CUSTOMERS = 900
PATIENCE = 60.0  # seconds
PROBES_AFTERWARDS = 20

STORE = """
[stores.main.nhanh]
app_id = {app_id}
business_id = {business_id}
access_token = {{ credential = "nhanh-token" }}
base_url = "{nhanh_url}"
[stores.main.shopify]
shop = "{shop}"
access_token = {{ file = "{token_file}" }}
base_url = "{shopify_url}"
"""
BACKUP = """
[[schedules]]
name = "backup"
kind = "cron"
store = "main"
job = "BACKUP_DATABASE"
"""
QUICK = f"/etc/systemd/system/{UNIT}.d/quick.conf"
QUICK_WATCHDOG = "[Service]\nWatchdogSec=4\nRestartSec=1\n"  # as by `systemctl edit`

pytestmark = pytest.mark.timeout(1200)  # debootstrap on a machine with other things to do


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop of some ten pages of customers."""
    return SandboxSettings(products=20, customers=CUSTOMERS, limits=False)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    """A machine that has booted, with what can be installed on it."""
    try:
        async with booted_machine() as booted:
            yield booted
    except NoMachine as reason:
        if MUST:
            pytest.fail(str(reason))
        pytest.skip(str(reason))


class Service:
    """The service on the machine, as an administrator deals with it."""

    def __init__(self, machine: Machine, sandbox: Sandbox, port: int) -> None:
        self.machine = machine
        self.sandbox = sandbox
        self.url = f"http://127.0.0.1:{port}"

    async def command(self, *arguments: str, check: bool = True) -> str:
        """What `dongbo` prints, found on the path by root."""
        return await self.machine.run("dongbo", *arguments, check=check)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """Its endpoint, with the token that systemd has handed to it."""
        token = await self.machine.run("cat", f"/run/credentials/{UNIT}/status-token")
        headers = {"X-Dongbo-Client": "test", "Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(self.url, headers=headers, timeout=timeout) as session:
            yield Api(session)

    async def systemctl(self, *arguments: str, check: bool = True) -> str:
        """What systemd says to it."""
        return await self.machine.run("systemctl", *arguments, check=check)

    async def property(self, name: str) -> str:
        """What systemd knows of the service."""
        return await self.systemctl("show", "--property", name, "--value", UNIT)

    async def journal(self, *arguments: str) -> str:
        """The journal of the service since the last boot."""
        return await self.machine.run("journalctl", "-b", "-o", "cat", "--no-pager", "-u", UNIT, *arguments)

    async def logged(self, event: str, **keys: object) -> dict[str, Any]:
        """The newest line of the log with this event, as soon as there is one."""

        async def find() -> dict[str, Any] | None:
            for line in reversed((await self.journal()).splitlines()):
                if f'"event":"{event}"' in line:
                    found: dict[str, Any] = json.loads(line[line.index("{") :])
                    if keys.items() <= found.items():
                        return found
            return None

        found: dict[str, Any] = await eventually(find, 60, what=f"{event} in the journal")
        return found

    async def is_up(self) -> None:
        """Wait until systemd takes it for started."""

        async def active() -> bool:
            return await self.systemctl("is-active", UNIT, check=False) == "active"

        await eventually(active, 90, 0.2, what="the start of the service")

    async def pull(self) -> Job:
        """A full pull of all customers, to its end."""
        async with self.api() as api:
            job = await api.submit(PULL, full=True)
            return await api.completed(job["id"], PATIENCE)

    async def jobs(self) -> list[str]:
        """The ids of the newest jobs."""
        async with self.api() as api:
            return [job["id"] for job in (await api.get("/api/jobs"))["jobs"]]


async def test_a_year_in_minutes(machine: Machine, sandbox: Sandbox, unused_port: int) -> None:
    """Installation, restart, renewed secrets, kill -9, a hung process, a wrong configuration, a reboot, an upgrade and
    the end: each as an administrator does it or as it happens, with nothing lost and nothing left over."""
    service = Service(machine, sandbox, unused_port)
    try:
        for step in (
            is_installed,
            pulls_what_is_connected,
            restarts_without_a_dropped_probe,
            takes_over_renewed_secrets,
            survives_a_kill_in_a_pull,
            is_restarted_when_it_hangs,
            is_not_restarted_for_ever_when_misconfigured,
            comes_back_after_a_reboot,
            is_restored_from_its_backup,
            is_upgraded_in_place,
            is_uninstalled,
        ):
            began = time.monotonic()
            await step(service)
            print(f"{step.__name__}: {time.monotonic() - began:.1f} s")  # noqa: T201
    except BaseException:
        print(await machine.run("journalctl", "-b", "--no-pager", "-n", "200", check=False))  # noqa: T201
        raise


async def is_installed(service: Service) -> None:
    """From wheels into a virtual environment; then one command makes a service of it, and starts it."""
    machine, address = service.machine, service.url.removeprefix("http://")
    folder = machine.path(WHEELS)
    folder.mkdir()
    await asyncio.to_thread(wheels, folder)
    await machine.run("python3", "-m", "venv", "/opt/dongbo")
    await pip_installs(machine)
    before = listing(machine)
    said = await machine.run(PROGRAM, "install-service", "--listen", address, "--dry-run")
    assert "would write" in said
    assert listing(machine) == before
    said = await machine.run(PROGRAM, "install-service", "--listen", address, "--now")
    print(said)  # noqa: T201 - the transcript
    await service.is_up()
    assert await service.systemctl("is-enabled", UNIT) == "enabled"
    assert await service.systemctl("is-active", "dongbo.socket") == "active"
    assert (await service.logged("ready"))["address"] == f"{service.url}/"


async def pip_installs(machine: Machine) -> None:
    """The newest version that there is a wheel of."""
    await machine.run(
        *("/opt/dongbo/bin/pip", "install", "--quiet", "--upgrade", "--no-index", f"--find-links={WHEELS}"),
        "dongbo[embedded]",
    )


def listing(machine: Machine) -> set[str]:
    """What lies where services, their configuration and programs are kept."""
    places = [machine.path(place) for place in ("/etc", "/usr/local", "/var/lib")]
    return {f"/{path.relative_to(machine.root)}" for place in places for path in place.rglob("*")}


async def pulls_what_is_connected(service: Service) -> None:
    """A store is added, one secret as a credential and one in a file that the service may read; an administrator sees
    all of it through the daemon."""
    nhanh, shopify, machine = service.sandbox.nhanh, service.sandbox.shopify, service.machine
    store = STORE.format(
        app_id=nhanh.app_id,
        business_id=nhanh.business_id,
        nhanh_url=service.sandbox.nhanh_url,
        shop=shopify.shop,
        token_file=SHOPIFY_TOKEN,
        shopify_url=service.sandbox.shopify_url,
    )
    machine.write(CONFIG, machine.read(CONFIG) + store)
    machine.write(f"{CREDENTIALS}/nhanh-token", nhanh.token, 0o600)
    machine.write(SHOPIFY_TOKEN, shopify.token, 0o640)
    await machine.run("chgrp", await service.property("User"), SHOPIFY_TOKEN)
    machine.write(QUICK, QUICK_WATCHDOG)
    await machine.run(PROGRAM, "install-service", "--now")  # finds the credential, and restarts
    await service.is_up()
    await service.command("check", "--live")
    await service.command("doctor")
    await service.command("pull", "nhanh-customers", "--full", "--wait")
    assert (await service.pull())["skipped"] == CUSTOMERS
    assert service.sandbox.nhanh.token not in await service.journal()


async def restarts_without_a_dropped_probe(service: Service) -> None:
    """systemd keeps the port open: who comes while the daemon restarts waits, and is answered."""
    prober = Prober(service.url)
    async with asyncio.TaskGroup() as tasks:
        probing = tasks.create_task(prober.probe())
        for _ in range(2):
            await prober.answered(PROBES_AFTERWARDS)
            await service.systemctl("restart", UNIT)
        await prober.answered(PROBES_AFTERWARDS)
        probing.cancel()
    print(f"{prober.answers} probes answered across two restarts, the slowest in {prober.slowest:.2f} s")  # noqa: T201


async def takes_over_renewed_secrets(service: Service) -> None:
    """A token in a file is used without a signal. One that is a credential takes a restart with this systemd, which a
    reload says, and so does the condition of the refused token."""
    nhanh, shopify, machine = service.sandbox.nhanh, service.sandbox.shopify, service.machine
    shopify.token = "shpat_renewed-meanwhile"
    machine.path(SHOPIFY_TOKEN).write_text(shopify.token)
    assert (await service.logged("secrets_renewed"))["stores"] == ["main"]
    await service.command("pull", "shopify-customers", "--wait")
    nhanh.token = "renewed-meanwhile"
    machine.write(f"{CREDENTIALS}/nhanh-token", nhanh.token, 0o600)
    assert "nhanh-token" in await service.command("reload")
    assert "nhanh-token" in (await service.logged("secrets_kept"))["credentials"]
    async with service.api() as api:
        failed = await api.ended((await api.submit(PULL, full=True))["id"], PATIENCE)
    assert failed["status"] == "FAILED"
    assert "systemctl restart dongbo" in await service.command("status", check=False)
    await service.systemctl("restart", UNIT)
    assert (await service.pull())["skipped"] == CUSTOMERS


async def survives_a_kill_in_a_pull(service: Service) -> None:
    """`kill -9` in the middle of a pull: systemd restarts the daemon, and the pull ends with exact counters."""
    faults, nhanh = service.sandbox.faults, service.sandbox.nhanh
    faults.slow, faults.slow_seconds = 1.0, 3.0
    async with service.api() as api:
        job = await api.submit(PULL, full=True)
        await api.job_when(job["id"], lambda seen: 0 < seen["processed"] < len(nhanh.customers), PATIENCE)
        restarts = int(await service.property("NRestarts"))
        await service.systemctl("kill", "--kill-who=main", "--signal=KILL", UNIT)
    faults.slow = 0.0
    await is_restarted(service, restarts)
    async with service.api() as api:
        job = await api.completed(job["id"], PATIENCE)
    assert job["processed"] == job["skipped"] == CUSTOMERS
    assert (await service.logged("job_started", resumed=True))["job_id"] == job["id"]


async def is_restarted(service: Service, restarts: int) -> None:
    """Wait until systemd has started the service once more than so often, by itself."""

    async def again() -> bool:
        return int(await service.property("NRestarts")) > restarts

    await eventually(again, 60, 0.2, what="another start")
    await service.is_up()


async def is_restarted_when_it_hangs(service: Service) -> None:
    """A process that does nothing any more is ended by the watchdog, with its stacks in the journal, and restarted."""
    restarts = int(await service.property("NRestarts"))
    await service.systemctl("kill", "--kill-who=main", "--signal=STOP", UNIT)
    await is_restarted(service, restarts)
    journal = await service.journal()
    assert "Watchdog timeout" in journal
    assert "(most recent call first)" in journal
    assert "run_in_loop" in journal
    assert (await service.pull())["skipped"] == CUSTOMERS


async def is_not_restarted_for_ever_when_misconfigured(service: Service) -> None:
    """What only a person can mend ends the service, at once and at the priority of an error; a probe does not wake it.
    Mended, it starts."""
    right = service.machine.read(CONFIG)
    service.machine.write(CONFIG, f"colour = 'red'\n{right}")
    assert "failed" in await service.systemctl("reload", UNIT, check=False)
    assert await service.systemctl("is-active", UNIT, check=False) == "active"
    assert "colour" in await service.command("reload", check=False)
    await service.systemctl("restart", UNIT, check=False)
    assert await service.systemctl("is-active", UNIT, check=False) == "failed"
    assert await service.property("ExecMainStatus") == "78"
    assert await service.property("NRestarts") == "0"
    assert "colour" in await service.journal("-p", "err")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    assert await service.systemctl("is-active", UNIT, check=False) == "failed"
    service.machine.write(CONFIG, right)
    await service.systemctl("start", UNIT)


async def comes_back_after_a_reboot(service: Service) -> None:
    """It starts with the machine, with all of its data."""
    before = await service.jobs()
    await service.machine.reboot()
    await service.is_up()
    assert await service.jobs() == before
    assert await service.property("NRestarts") == "0"


async def is_restored_from_its_backup(service: Service) -> None:
    """The service backs up by a schedule, within what its unit allows; root restores for it, after the loss of all."""
    machine = service.machine
    machine.write(CONFIG, machine.read(CONFIG) + BACKUP)
    await service.systemctl("reload", UNIT)
    await service.logged("schedules_applied", names=["backup"])
    await service.command("schedules", "run", "backup", "--wait")
    (made,) = machine.path(f"{STATE}/backups").iterdir()
    await service.command("database", "restore", f"{STATE}/backups/{made.name}", "--dry-run")
    before = await service.jobs()
    await service.command("database", "backup", "/root/dongbo.dump")
    await service.systemctl("stop", UNIT)
    await machine.run("rm", "-r", f"{STATE}/postgres")
    await service.command("database", "restore", "/root/dongbo.dump")
    await service.systemctl("start", UNIT)
    await service.is_up()
    assert await service.jobs() == before
    assert await service.command("database", "shell", "--", "-Atc", "SELECT current_user") == "postgres"


async def is_upgraded_in_place(service: Service) -> None:
    """A newer version over the old one; the unit is renewed, while local changes and data stay."""
    machine = service.machine
    before = await service.jobs()
    unit = f"/etc/systemd/system/{UNIT}"
    shipped = machine.read(unit)
    machine.write(unit, shipped.replace("RestartSec=5", "RestartSec=7"))  # as an older version had it
    await asyncio.to_thread(wheels, machine.path(WHEELS), version=NEXT_VERSION)
    await pip_installs(machine)
    await machine.run(PROGRAM, "install-service", "--now")
    await service.is_up()
    assert machine.read(unit) == shipped
    async with service.api() as api:
        assert (await api.get("/status"))["version"] == NEXT_VERSION
    assert await service.jobs() == before
    assert await service.property("WatchdogUSec") == "4s"


async def is_uninstalled(service: Service) -> None:
    """The service goes, its data and configuration stay until they are purged; then nothing is left over but what a
    person has changed of the unit."""
    machine = service.machine
    await machine.run(PROGRAM, "uninstall-service")
    assert await service.systemctl("is-active", UNIT, check=False) == "inactive"
    assert not machine.path(f"/etc/systemd/system/{UNIT}").exists()
    assert machine.path(CONFIG).exists()
    await machine.run(PROGRAM, "install-service", "--now")
    await service.is_up()
    assert len(await service.jobs()) > 0
    await machine.run(PROGRAM, "uninstall-service", "--purge", "--yes")
    left = {path for path in listing(machine) if "dongbo" in path}
    assert left == {QUICK, QUICK.removesuffix("/quick.conf")}
