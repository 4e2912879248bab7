"""A hundred shops with accounts of their own, and daemons on machines of their own that all of them serve."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg

from daemon.ids import ScheduleName, StoreName
from daemon.sandbox.nhanh.limits import REQUESTS, WINDOW_SECONDS
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.schedules.model import ScheduleSpec
from tests.support.fault_proxy import postgres_proxy
from tests.support.namespaces import Machine, Service, tcp_socket
from tests.support.process import Api, DaemonProcess
from tests.support.site import Site

CRON = "* * * * *"
JOBS = ("PULL_SHOPIFY_CUSTOMERS", "PULL_NHANH_CUSTOMERS")  # the one of every other store, and that of the rest
WRITING = ("APPLY_SALE", "REVERT_SALE")

REMEMBERED = """
INSERT INTO dongbo.schedule_states (store, schedule, timetable, known_since) SELECT *, now() - $4::interval
FROM unnest($1::text[], $2::text[], $3::text[])
"""
ATTEMPTS = """
SELECT job.id, job.store, job.type, attempt.worker, attempt.started_at, attempt.ended_at, attempt.result
FROM dongbo.job_attempts AS attempt JOIN dongbo.background_jobs AS job ON job.id = attempt.job_id
ORDER BY attempt.id
"""


@dataclass(frozen=True)
class Run:
    """One attempt at a job. `until` is when the next one at the same job began; None: none has."""

    job: UUID
    store: str
    type: str
    worker: str
    began: datetime
    ended: datetime | None
    until: datetime | None


@dataclass
class Member:
    """A daemon on a machine of its own, and a client of it."""

    machine: Machine
    process: DaemonProcess
    api: Api

    @property
    def name(self) -> str:
        """What the daemon is called: as its machine."""
        return self.machine.name


class Shops:
    """The accounts, each a sandbox of its own."""

    def __init__(self, sandboxes: dict[str, Sandbox]) -> None:
        self.sandboxes = sandboxes

    def configuration(self, site: Site, directory: Path) -> dict[str, Any]:
        """What the configuration of a daemon says of them, and when their data is pulled."""
        stores, schedules = {}, []
        for number, (name, sandbox) in enumerate(self.sandboxes.items()):
            site.sandbox = sandbox
            stores[name] = site.store()
            job = JOBS[number % len(JOBS)]
            schedules.append({"name": f"{name}-pull", "kind": "cron", "cron": CRON, "store": name, "job": job})
        return {
            "stores": stores,
            "schedules": schedules,
            "status": {"listen": f"unix:{directory / 'status.sock'}"},
        }

    async def remember(self, connection: asyncpg.Connection, zone: ZoneInfo, since: timedelta) -> None:
        """Have their schedules known for so long, as if the daemons had been down since."""
        specs = [
            ScheduleSpec(ScheduleName(f"{name}-pull"), StoreName(name), "cron", CRON, zone, "once", "")
            for name in self.sandboxes
        ]
        names = [spec.store for spec in specs], [spec.name for spec in specs]
        await connection.execute(REMEMBERED, *names, [spec.timetable_key for spec in specs], since)

    def check_limits(self) -> None:
        """Nobody was refused for calling too often, and no window of one of Nhanh.vn's URLs held more than it may."""
        for sandbox in self.sandboxes.values():
            assert sandbox.shopify.requests.throttled == 0, sandbox.shopify.shop
            assert {request.outcome for request in sandbox.nhanh.requests} <= {"ok"}
            calls = defaultdict(list)
            for request in sandbox.nhanh.requests:
                calls[request.path].append(request.at)
            for path, at in calls.items():
                most = max(sum(start <= other < start + WINDOW_SECONDS for other in at) for start in at)
                assert most <= REQUESTS, (sandbox.nhanh.business_id, path)

    def check_writers(self, runs: Sequence[Run], machines: Sequence[Machine]) -> int:
        """Every call that wrote came from the machine of a run that had the job then, and had not lost it; how many."""
        workers = {machine.address(Service.SHOPS): machine.name for machine in machines}
        number = 0
        for store, sandbox in self.sandboxes.items():
            for call in (each for each in sandbox.shopify.arrived if each.writes):
                at, worker = datetime.fromtimestamp(call.at, UTC), workers[call.caller or ""]
                number += 1
                assert any(
                    run.store == store
                    and run.worker == worker
                    and run.type in WRITING
                    and run.began <= at
                    and (run.until is None or at <= run.until)
                    for run in runs
                ), (store, worker, call, [run for run in runs if run.store == store and run.type in WRITING])
        return number


@asynccontextmanager
async def running_shops(names: Sequence[str], settings: SandboxSettings) -> AsyncIterator[Shops]:
    """The shops of these names, all alike but for the account."""
    async with AsyncExitStack() as stack:
        sandboxes = {}
        for number, name in enumerate(names):
            one = replace(settings, shop=name, business_id=1000 + number)
            sockets = stack.enter_context(tcp_socket()), stack.enter_context(tcp_socket())
            for each in sockets:
                each.bind((Service.SHOPS.address, 0))
            sandboxes[name] = await stack.enter_async_context(running_sandbox(one, sockets))
        yield Shops(sandboxes)


@asynccontextmanager
async def member(
    directory: Path, machine: Machine, shops: Shops, database_url: str, clock_ahead: timedelta = timedelta(0)
) -> AsyncIterator[Member]:
    """A daemon that starts on a machine, with a clock that may be wrong."""
    site = Site(directory, next(iter(shops.sandboxes.values())), database_url)
    site.settings |= shops.configuration(site, directory)
    site.write()
    async with (
        site.process(forked=True, prelude=partial(machine.enter, clock_ahead)) as process,
        aiohttp.ClientSession(
            "http://localhost",
            connector=aiohttp.UnixConnector(str(directory / "status.sock")),
            headers={"X-Dongbo-Client": "test"},
        ) as session,
    ):
        yield Member(machine, process, Api(session))


@asynccontextmanager
async def database_within_reach(url: str) -> AsyncIterator[str]:
    """The address of a database as machines reach it."""
    async with postgres_proxy(url, listen=Service.DATABASE.address, make_socket=tcp_socket) as proxy:
        yield proxy.postgres_url(url)


async def runs_of(connection: asyncpg.Connection) -> list[Run]:
    """All attempts so far, oldest first."""
    rows = await connection.fetch(ATTEMPTS)
    began: dict[Any, list[datetime]] = {}
    for row in rows:
        began.setdefault(row["id"], []).append(row["started_at"])
    next_of = {(job, first): second for job, times in began.items() for first, second in pairwise(times)}
    return [
        Run(
            UUID(int=row["id"].int),
            row["store"],
            row["type"],
            row["worker"],
            row["started_at"],
            row["ended_at"],
            next_of.get((row["id"], row["started_at"])),
        )
        for row in rows
    ]
