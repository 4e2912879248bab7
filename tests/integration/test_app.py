"""A part that crashes ends the process loudly, and nothing is lost over it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from structlog.testing import capture_logs

from daemon.alerts.heartbeat import Heartbeat
from daemon.app import Application
from daemon.config import load_settings
from daemon.database.pool import Database
from daemon.errors import ConfigError
from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.pruning import Pruner
from daemon.roles import DaemonRole
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from tests.support.process import Api
from tests.support.site import Site, eventually


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A shop of many pages, each of which takes a while."""
    settings = SandboxSettings(products=20, customers=3_000, limits=False)
    settings.faults.slow, settings.faults.slow_seconds = 1.0, 0.1
    async with running_sandbox(settings) as running:
        yield running


@pytest.fixture
def signals() -> Iterator[None]:
    """What the application does on signals ends with the test."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
async def test_a_part_that_crashes_stops_the_daemon_in_order(
    tmp_path: Path, sandbox: Sandbox, database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log names the part, running jobs go back to the queue at a checkpoint, and the process fails."""
    site = Site(tmp_path, sandbox, database_url)
    crash, ready = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def crash_when_told(_self: Pruner) -> None:
        await crash.wait()
        raise RuntimeError("out of order")

    monkeypatch.setattr(Pruner, "_run", crash_when_told)
    application = Application(load_settings(site.config), site.config, ready.set_result)
    with capture_logs() as log:
        running = asyncio.create_task(application.run(), name="application")
        try:
            address = await asyncio.wait_for(ready, 30)
            async with aiohttp.ClientSession(address, headers={"X-Dongbo-Client": "test"}) as session:
                api = Api(session)
                job_id = JobId(UUID((await api.submit(JobType.PULL_NHANH_CUSTOMERS))["id"]))
                await api.job_when(str(job_id), lambda seen: seen["processed"] > 0)
            crash.set()
            with pytest.raises(ExceptionGroup) as failure:
                await asyncio.wait_for(running, 30)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running
    assert [str(error) for error in failure.value.exceptions] == ["out of order"]
    assert [entry["part"] for entry in log if entry["event"] == "part_crashed"] == ["pruning"]
    assert "stopping" in [entry["event"] for entry in log]

    async def put_back() -> Job | None:
        async with database.acquire() as connection:
            job = await store.get(connection, job_id)
        return job if job is not None and job.status is JobStatus.PENDING else None

    job = await eventually(put_back, what="the job is back in the queue")
    assert (job.attempt, job.worker) == (0, None)
    assert job.processed > 0


@pytest.mark.usefixtures("signals")
async def test_the_work_is_not_shared_out_on_an_embedded_database(tmp_path: Path, sandbox: Sandbox) -> None:
    """Nobody else could do what this daemon leaves undone."""
    site = Site(tmp_path, sandbox, None)
    application = Application(
        load_settings(site.config), site.config, None, roles=frozenset({DaemonRole.WORKER, DaemonRole.STATUS})
    )
    with pytest.raises(ConfigError, match=r"^--roles, or [$]DONGBO_ROLES: .*\[database\] url"):
        await application.run()
    assert not site.has_pid_file()


@pytest.mark.usefixtures("signals")
async def test_a_part_that_crashes_while_the_database_is_waited_for_is_no_stop_in_order(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process fails, so that systemd starts it again."""
    site = Site(tmp_path, sandbox, "postgresql://postgres@127.0.0.1:1/dongbo")

    async def crash(_self: Heartbeat) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(Heartbeat, "_run", crash)
    application = Application(load_settings(site.config), site.config, None)
    with capture_logs() as log, pytest.raises(ExceptionGroup) as failure:
        await asyncio.wait_for(application.run(), 30)
    assert [str(error) for error in failure.value.exceptions] == ["out of order"]
    assert "stopped" not in [entry["event"] for entry in log]
