"""A real PostgreSQL for the tests: one server for the session, a fresh migrated database for each test."""

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import settings

from daemon.database.embedded import embedded_server
from daemon.database.migrate import migrate
from daemon.database.pool import Database, open_database
from daemon.jobs import queue

# How long an example takes says something of the machine, and nothing of the rule.
settings.register_profile("dongbo", deadline=None)
settings.load_profile("dongbo")

T = TypeVar("T")
MOST_WORKERS = 4  # each has a PostgreSQL of its own
MEMORY = Path("/dev/shm")
ROOM_NEEDED = 8 * 2**30  # bytes, for all workers and whoever else uses it

# A shell starts its background processes with SIGINT ignored, and whatever these start ignores it, too: the processes
# that the tests interrupt shall not, however the tests were started.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait, for a daemon, a rate limit, a server."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


class TestServer:
    """A PostgreSQL server and an event loop that outlives the loops of the single tests."""

    __test__ = False

    def __init__(self, loop: asyncio.AbstractEventLoop, dsn: str, creation: str = "") -> None:
        self._loop = loop
        self._dsn = dsn
        self._creation = creation
        self._numbers = count(1)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the session's loop and waits for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    def url(self, name: str) -> str:
        """The URL of a database on this server."""
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()

    async def execute(self, sql: str) -> None:
        """Runs a statement in the server's maintenance database."""
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        """A database of its own name; yields the name."""
        name = f"dongbo_test_{os.getpid()}_{next(self._numbers)}"
        self.run(self.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' {self._creation}"))
        try:
            yield name
        finally:
            self.run(self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@contextmanager
def _session_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread for the whole session; the server's death signal follows that thread."""
    started: Future[asyncio.AbstractEventLoop] = Future()
    ended = asyncio.Event()

    async def serve() -> None:
        started.set_result(asyncio.get_running_loop())
        await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="session-loop", daemon=True)
    thread.start()
    loop = started.result(timeout=10)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=60)


@contextmanager
def _embedded(loop: asyncio.AbstractEventLoop, state_directory: Path) -> Iterator[str]:
    """An embedded server without safety against power cuts."""
    context = embedded_server(state_directory, durable=False)
    server = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(timeout=60)
    try:
        yield server.dsn
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(timeout=60)


@pytest.fixture(scope="session")
def server_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the server keeps its data: in memory if there is room, for each test has a database copied."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_NEEDED:
        with TemporaryDirectory(prefix="dongbo-test-", dir=MEMORY) as directory:
            yield Path(directory)
    else:
        yield tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[TestServer]:
    """The server that $DONGBO_TEST_DATABASE_URL names, whose user may create databases; else an embedded one."""
    external = os.environ.get("DONGBO_TEST_DATABASE_URL")
    with _session_loop() as loop:
        if external:
            yield TestServer(loop, external)
        else:
            with _embedded(loop, server_directory) as dsn:
                # Copying files beats writing them to the log where nothing is synced to the disk.
                yield TestServer(loop, dsn, "STRATEGY FILE_COPY")


@pytest.fixture(scope="session")
def migrated_template(postgres_server: TestServer) -> Iterator[str]:
    """The name of a migrated database, from which those of the tests are copied."""

    async def fill(url: str) -> None:
        async with open_database(url) as database:
            await migrate(database, then=[queue.install])

    with postgres_server.new_database() as name:
        postgres_server.run(fill(postgres_server.url(name)))
        yield name


@pytest.fixture
def database_url(postgres_server: TestServer, migrated_template: str) -> Iterator[str]:
    """The URL of a fresh, migrated database, dropped after the test."""
    with postgres_server.new_database(migrated_template) as name:
        yield postgres_server.url(name)


@pytest.fixture
def empty_database_url(postgres_server: TestServer) -> Iterator[str]:
    """The URL of a fresh database without any table, dropped after the test."""
    with postgres_server.new_database() as name:
        yield postgres_server.url(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on a fresh, migrated database."""
    async with open_database(database_url) as opened:
        yield opened
