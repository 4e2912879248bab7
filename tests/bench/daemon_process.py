"""A daemon in a process of its own, on an embedded PostgreSQL that syncs to a real disk."""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from daemon.database.postgres_socket import running_server_dsn
from daemon.status.security import CLIENT_HEADER

REAL_DISK = "/var/tmp"  # unlike /tmp never in memory
PLAIN = ("-c", "from daemon.cli import main; main()")
UNLIMITED = (str(Path(__file__).with_name("unlimited_daemon.py")),)
READY_POLL = 0.005  # seconds
STOP_SECONDS = 30.0
ENDED = ("COMPLETED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class Bench:
    """A running daemon, a client of its endpoint, and a connection to its database."""

    process: asyncio.subprocess.Process
    state: Path
    address: str
    seconds_to_ready: float
    session: aiohttp.ClientSession
    connection: asyncpg.Connection

    @property
    def daemon_pid(self) -> int:
        """The daemon's process."""
        return self.process.pid

    @property
    def postgres_pid(self) -> int:
        """The process of the server, whose children are all its others."""
        return int((self.state / "postgres" / "postmaster.pid").read_text().split()[0])

    @property
    def postgres_version(self) -> str:
        """Such as 18.1."""
        return str(self.connection.get_settings().server_version)

    async def submit(self, job_type: str, *, store: str = "main", **params: Any) -> str:
        """Ask for a job; its id."""
        body = {"type": job_type, "store": store, "params": params}
        async with self.session.post(f"{self.address}api/jobs", json=body) as response:
            response.raise_for_status()
            return str((await response.json())["id"])

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        async with self.session.post(f"{self.address}api/jobs/{job_id}/cancel") as response:
            response.raise_for_status()

    async def ended(self, job_id: str) -> asyncpg.Record:
        """The job's row once it has ended. Its own times tell how long it took: asking for it is not exact."""
        while True:
            job = await self.connection.fetchrow("SELECT * FROM dongbo.background_jobs WHERE id = $1", job_id)
            if job is not None and job["status"] in ENDED:
                return job
            await asyncio.sleep(0.05)

    async def completed(self, job_type: str, **params: Any) -> asyncpg.Record:
        """Ask for a job, which must succeed; its row."""
        job = await self.ended(await self.submit(job_type, **params))
        if job["status"] != "COMPLETED":
            raise RuntimeError(f"{job_type} ended {job['status']}: {job['error']}\n{_log_tail(self.state)}")
        return job


@asynccontextmanager
async def state_directory() -> AsyncIterator[Path]:
    """A directory for the daemon's state, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="dongbo-bench-", dir=REAL_DISK) as directory:
        yield Path(directory)


@asynccontextmanager
async def running_daemon(
    state: Path,
    *,
    nhanh_url: str = "http://127.0.0.1:1",
    shopify_url: str | None = None,
    unlimited: bool = False,
    database_url: str | None = None,
    more_config: str = "",
) -> AsyncIterator[Bench]:
    """Start `dongbo run` with one store, wait until `/readyz` says so, stop it at the end.

    `database_url`: a server that is there already; None: the daemon's own, under `state`.
    """
    port = free_port()
    config = state / "dongbo.toml"
    database = f'[database]\nurl = "{database_url}"\n' if database_url is not None else ""
    config.write_text(_config(port, nhanh_url, shopify_url) + database + more_config)
    address = f"http://127.0.0.1:{port}/"
    environment = os.environ | {
        "STATE_DIRECTORY": str(state),
        "NHANH_TOKEN": _NHANH_TOKEN,
        "NHANH_KEY": _NHANH_KEY,
        "SHOPIFY_TOKEN": _SHOPIFY_TOKEN,
    }
    with (state / "daemon.log").open("ab") as log:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(UNLIMITED if unlimited else PLAIN),
            *("run", "--config", str(config)),
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        # What changes something needs a header that no form can send.
        async with aiohttp.ClientSession(headers={CLIENT_HEADER: "bench"}) as session:
            await _ready(session, address, process, state)
            seconds = time.perf_counter() - began
            dsn = database_url or await running_server_dsn(state)
            connection = await asyncpg.connect(dsn, server_settings={"application_name": "dongbo-bench"})
            try:
                yield Bench(process, state, address, seconds, session, connection)
            finally:
                await connection.close()
    finally:
        await _stop(process)


async def _ready(
    session: aiohttp.ClientSession, address: str, process: asyncio.subprocess.Process, state: Path
) -> None:
    while True:
        if process.returncode is not None:
            raise RuntimeError(f"the daemon ended before it was ready:\n{_log_tail(state)}")
        try:
            async with session.get(f"{address}readyz") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(READY_POLL)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


_NHANH_TOKEN = "sandbox-nhanh-access-token"
_NHANH_KEY = "sandbox-nhanh-secret-key"
_SHOPIFY_TOKEN = "shpat_sandbox"


def _config(port: int, nhanh_url: str, shopify_url: str | None) -> str:
    lines = [
        "[status]",
        f'listen = "127.0.0.1:{port}"',
        "[stores.main.nhanh]",
        "app_id = 73001",
        "business_id = 110668",
        'access_token = { env = "NHANH_TOKEN" }',
        'secret_key = { env = "NHANH_KEY" }',
        f'base_url = "{nhanh_url}"',
    ]
    if shopify_url is not None:
        lines += [
            "[stores.main.shopify]",
            'shop = "dongbo-sandbox"',
            'access_token = { env = "SHOPIFY_TOKEN" }',
            f'base_url = "{shopify_url}"',
        ]
    return "\n".join(lines) + "\n"


def _log_tail(state: Path) -> str:
    return (state / "daemon.log").read_text()[-3000:]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
