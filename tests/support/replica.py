"""A primary and its streaming replica, both real."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from daemon.database import embedded
from daemon.database.embedded import embedded_server
from daemon.database.pool import Database, open_database
from daemon.database.postgres_binaries import Binaries, find_binaries
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.postgres_process import run_postgres_program
from daemon.database.postgres_socket import server_dsn
from daemon.database.replica import Replica
from daemon.database.usage import ReplicaStanding
from tests.support.databases import value_in

WHERE = "SELECT pg_is_in_recovery()"
REPLICATES = {"wal_level": "replica", "max_wal_senders": "5"}
STANDBY = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_directories": ".",
    "hot_standby": "on",
    "fsync": "off",
    "max_connections": "50",  # no fewer than its primary has
    "max_standby_streaming_delay": "200ms",  # for so long a read holds up what comes from the primary
    "wal_receiver_status_interval": "1",
    "wal_retrieve_retry_interval": "100ms",
}


@dataclass
class Standby:
    """A replica that can be held up, ended and started again."""

    data: Path
    binaries: Binaries
    primary: str
    process: asyncio.subprocess.Process | None = None

    @property
    def dsn(self) -> str:
        """Its address."""
        return server_dsn(str(self.data), "dongbo")

    async def start(self) -> None:
        """Start it, and wait until it can be read from."""
        settings = {**STANDBY, "primary_conninfo": self.primary}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = await run_postgres_program(
            self.binaries.postgres,
            ["-D", str(self.data), *arguments],
            data=self.data,
            output=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            while True:
                with suppress(OSError, asyncpg.PostgresError):
                    if await value_in(self.dsn, "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)"):
                        return
                await asyncio.sleep(0.05)  # it tells nobody when it can be read from

    async def stop(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(3)  # SIGQUIT: an immediate shutdown
            await self.process.wait()

    async def hold(self) -> None:
        """Let it receive what the primary writes, and show none of it."""
        await value_in(self.dsn, "SELECT pg_wal_replay_pause()")

    async def let_go(self) -> None:
        """Let it show everything again."""
        await value_in(self.dsn, "SELECT pg_wal_replay_resume()")


@asynccontextmanager
async def primary_and_replica(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Standby]]:
    """The address of a primary without tables, and its replica."""
    for name, value in REPLICATES.items():
        monkeypatch.setitem(embedded.SETTINGS, name, value)
    first, second = directory / "primary", directory / "replica"
    async with embedded_server(first, durable=False) as server:
        await server.stop()  # so that its files can be copied
        data, copy = data_directory(first), data_directory(second)
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("postmaster.pid", ".s.PGSQL*"))
        copy.chmod(0o700)
        (copy / "standby.signal").touch()
        await server.start()
        binaries = await find_binaries(major_version_of(data))
        standby = Standby(copy, binaries, f"host={data} port=5432 user=postgres")
        await standby.start()
        try:
            yield server.dsn, standby
        finally:
            await standby.stop()


@dataclass(frozen=True)
class Pair:
    """An open database with a replica to read from."""

    database: Database
    replica: Replica
    standby: Standby
    primary: str

    async def kept_up(self) -> None:
        """Wait until the replica has been found to keep up: on a busy machine it may be behind at first."""
        async with asyncio.timeout(20):
            while self.replica.state.standing is not ReplicaStanding.KEEPS_UP:
                await self.replica.look()

    async def ends_at_replica(self) -> bool:
        """Whether a read is served by the replica."""
        async with self.database.reading() as connection:
            found: bool = await connection.fetchval(WHERE)
            return found


@asynccontextmanager
async def replicated(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """A primary without tables and its replica, which has not been looked at."""
    async with (
        primary_and_replica(directory, monkeypatch) as (primary, standby),
        open_database(primary, read_dsn=standby.dsn) as database,
    ):
        assert database.replica is not None
        yield Pair(database, database.replica, standby, primary)
