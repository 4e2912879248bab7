"""The embedded PostgreSQL: a server of our own under the state directory, which lives and dies with the daemon.

<state>/daemon.lock    held while a daemon runs on this data
<state>/postgres/      the data directory
<state>/run/           the socket, the only way in: nothing listens on TCP
<state>/postgres.log   what the server says
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import asyncpg
import structlog

from daemon.database.ownership import give_to_owner_of
from daemon.database.postgres_binaries import Binaries, find_binaries
from daemon.database.postgres_data import data_directory, initialize, major_version_of
from daemon.database.postgres_process import describe_exit, run_postgres_program
from daemon.database.postgres_remains import clear_remains
from daemon.database.postgres_socket import server_dsn, socket_host
from daemon.database.replacement import settle
from daemon.database.state_lock import state_lock
from daemon.errors import EmbeddedServerError
from daemon.lifecycle import Part
from daemon.logging.faults import Fault

log = structlog.get_logger()

DATABASE = "dongbo"
READY_DEADLINE = 60.0  # seconds; crash recovery replays at most max_wal_size
WORTH_SAYING = 2.0  # seconds of waiting after which a person wants to know why
FAST_SHUTDOWN_DEADLINE = 30.0  # seconds; the last checkpoint writes at most shared_buffers
IMMEDIATE_SHUTDOWN_DEADLINE = 5.0
REMAINS_DEADLINE = 10.0  # seconds for a server whose daemon was killed to finish its own shutdown
SHORTEST_BACKOFF = 0.1
LONGEST_BACKOFF = 30.0
STABLE_AFTER = 60.0  # seconds of running after which a crash counts as the first one again
LOG_LIMIT = 10 * 2**20
CONNECT_TIMEOUT = 10.0

# Sized for a small virtual machine which the shop also uses for other things.
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",  # names the socket file; $PGPORT must not
    # The data directory, by the name that it has for who works in it: never too long, never in need of quotes.
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "max_connections": "50",  # the daemon's pool, a few commands, psql
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "wal_level": "minimal",  # nobody replicates it; a backup is a pg_dump
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",  # a large pull should not wait for checkpoints
    "max_parallel_workers_per_gather": "0",  # short statements on few cores
    "autovacuum_max_workers": "2",
    "jit": "off",  # would need writable and executable memory, and takes longer than our statements
    "dynamic_shared_memory_type": "mmap",  # logind removes /dev/shm/* of a user who logs out
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
    # The daemon reports errors of its statements itself; the server's log shall not hold the customers' data.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "checkpoint_warning": "0",
    "cluster_name": "dongbo",
}
SETTINGS_SINCE_18 = {"io_method": "sync"}  # three processes fewer


class EmbeddedServer:
    """A running server. `dsn` stays valid for the life of this process, also over restarts of the server."""

    def __init__(self, state_directory: Path, binaries: Binaries, dsn: str, *, durable: bool) -> None:
        self.dsn = dsn
        self.version = binaries.version
        self._data = data_directory(state_directory)
        self._log_path = self._data.with_name("postgres.log")
        self._log_offset = 0
        self._binaries = binaries
        self._settings = SETTINGS | (SETTINGS_SINCE_18 if binaries.major >= 18 else {})
        if not durable:
            self._settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        self._process: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.version} pid={self.pid} data={str(self._data)!r}>"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def wait_closed(self) -> NoReturn:
        """Waits until the server ends by itself.

        Raises:
            EmbeddedServerError: it has ended; with the last lines of its log.
        """
        assert self._process is not None  # noqa: S101
        code = await self._process.wait()
        raise EmbeddedServerError(f"PostgreSQL ended by itself ({describe_exit(code)}):\n{self._log_tail()}")

    async def start(self) -> None:
        """Starts PostgreSQL and waits until it is ready. Raises EmbeddedServerError."""
        began = time.monotonic()
        await clear_remains(self._data, REMAINS_DEADLINE)
        while True:
            await self._launch()
            try:
                await self._wait_until_ready(began)
                break
            except EmbeddedServerError:
                # A process of the last server that we may not look into (clear_remains can't see it) still ends.
                in_use = "pre-existing shared memory block" in self._log_tail()
                if not in_use or time.monotonic() - began > REMAINS_DEADLINE:
                    raise
            await asyncio.sleep(0.2)
        log.info("postgres_started", version=self.version, pid=self.pid, seconds=round(time.monotonic() - began, 3))

    async def _launch(self) -> None:
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_LIMIT:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        arguments = ["-D", str(self._data)]
        for name, value in self._settings.items():
            arguments += ["-c", f"{name}={value}"]
        output = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            give_to_owner_of(self._log_path.parent, output)
            self._log_offset = os.fstat(output).st_size
            self._process = await run_postgres_program(
                self._binaries.postgres, arguments, data=self._data, output=output
            )
        finally:
            os.close(output)

    async def _wait_until_ready(self, began: float) -> None:
        assert self._process is not None  # noqa: S101
        said = False
        while not self._is_ready(self._process.pid):
            waited = time.monotonic() - began
            if self._process.returncode is not None:
                code = self._process.returncode
                raise EmbeddedServerError(f"PostgreSQL did not start ({describe_exit(code)}):\n{self._log_tail()}")
            if waited > READY_DEADLINE:
                await self.stop()
                raise EmbeddedServerError(
                    f"PostgreSQL was not ready after {READY_DEADLINE:.0f} s, see {self._log_path}:\n{self._log_tail()}"
                )
            if waited > WORTH_SAYING and not said:
                said = True
                log.warning("postgres_starts_slowly", log=self._log_tail(), hint="it may be recovering from a crash")
            await asyncio.sleep(0.01)

    def _is_ready(self, pid: int) -> bool:
        """What `pg_ctl start` looks at: line 1 of the pid file is the process, line 8 its state."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    async def stop(self) -> None:
        """Ends the server: its sessions are cut off, what they committed is on disk. Does nothing where none runs."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            for number, deadline in (
                (signal.SIGINT, FAST_SHUTDOWN_DEADLINE),
                (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_DEADLINE),
            ):
                _send(process, number)
                try:
                    async with asyncio.timeout(deadline):
                        await process.wait()
                    return
                except TimeoutError:
                    log.warning("postgres_stops_slowly", signal=number.name, seconds=deadline)
            _send(process, signal.SIGKILL)
            await process.wait()
        except asyncio.CancelledError:
            # Whoever cancels the stopping is in a hurry; the log on disk holds every commit.
            _send(process, signal.SIGQUIT)
            raise

    def _log_tail(self, lines: int = 5) -> str:
        try:
            with self._log_path.open("rb") as file:
                file.seek(max(self._log_offset, self._log_path.stat().st_size - 65536))
                text = file.read().decode(errors="replace").strip()
        except OSError as error:
            return f"(its log can't be read: {error})"
        return "\n".join(text.splitlines()[-lines:]) or f"(nothing in {self._log_path})"


class Supervisor(Part):
    """Starts the server again whenever it has ended by itself."""

    name = "embedded-postgres"

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._ended = Fault(log, "postgres_ended", over="postgres_recovered", next_step="started again")

    async def _run(self) -> None:
        backoff = SHORTEST_BACKOFF
        while True:
            began = time.monotonic()
            try:
                if self._server.pid is None:
                    await self._server.start()
                    self._ended.passed()
                await self._server.wait_closed()
            except (EmbeddedServerError, OSError) as error:
                if time.monotonic() - began > STABLE_AFTER:
                    backoff = SHORTEST_BACKOFF
                # The lines of the server's log differ each time, by their times alone.
                problem, _separator, last_lines = str(error).partition(":\n")
                self._ended.happened(problem, last_lines=last_lines, restart_in=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)


@asynccontextmanager
async def embedded_server(state_directory: Path, *, durable: bool = True) -> AsyncIterator[EmbeddedServer]:
    """Starts PostgreSQL under the state directory, with a database `dongbo`, and stops it at the end.

    Args:
        state_directory: where the data is or shall be; made if it does not exist.
        durable: False gives up safety against a power cut for speed, for tests only.

    Raises:
        StateDirectoryError: the directory can't be made or written.
        EmbeddedDataInUse: another daemon runs on it.
        EmbeddedServerError: there are no binaries for it, or PostgreSQL does not start.
    """
    with state_lock(state_directory):
        await asyncio.to_thread(settle, state_directory)
        data = data_directory(state_directory)
        binaries = await find_binaries(made_by := major_version_of(data))
        if made_by is None:
            await initialize(binaries, data)
        async with server_of(state_directory, binaries, durable=durable) as server:
            yield server


@asynccontextmanager
async def server_of(
    state_directory: Path, binaries: Binaries, *, durable: bool = True
) -> AsyncIterator[EmbeddedServer]:
    """As `embedded_server`, with these programs, on data that is there and whose lock is held. Raises as that does."""
    with socket_host(state_directory) as host:
        server = EmbeddedServer(state_directory, binaries, server_dsn(host, DATABASE), durable=durable)
        try:
            await server.start()
            await _create_database(server_dsn(host, "postgres"))
            yield server
        finally:
            await server.stop()


async def _create_database(maintenance_dsn: str) -> None:
    connection = await asyncpg.connect(maintenance_dsn, timeout=CONNECT_TIMEOUT, command_timeout=READY_DEADLINE)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended in this moment
        process.send_signal(number)
