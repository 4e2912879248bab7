"""A real PostgreSQL for the tests: one server for the session, a fresh migrated database for each test."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from daemon.database.migrate import migrate
from daemon.database.pool import Database, open_database
from daemon.jobs.queue.driver import install
from tests.support.postgres import TestServer, embedded, session_loop

# How long an example takes says something of the machine, and nothing of the rule.
settings.register_profile("dongbo", deadline=None)
settings.load_profile("dongbo")

MOST_WORKERS = 4  # each has a PostgreSQL of its own
MEMORY = Path("/dev/shm")
ROOM_NEEDED = 8 * 2**30  # bytes, for all workers and whoever else uses it

# A shell starts its background processes with SIGINT ignored, and whatever these start ignores it, too: the processes
# that the tests interrupt shall not, however the tests were started.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Processes that are killed, browsers, terminals, servers of their own, long histories: two thirds of the time that all
# tests take.
LONG = (
    "acceptance",
    "integration/cli/test_connect.py",
    "integration/cli/test_demo.py",
    "integration/cli/test_service.py",
    "integration/cli/test_terminal.py",
    "integration/cli/test_webhooks.py",
    "integration/database/test_embedded_server.py",
    "integration/database/test_replica.py",
    "integration/database/test_restore.py",
    "integration/database/test_upgrade.py",
    "integration/sales/test_late_calls.py",
    "integration/sources/test_half_read.py",
    "integration/sources/test_shopify_bulk.py",
    "integration/sources/test_token_renewals.py",
    "integration/status/page",
    "integration/status/test_malformed.py",
    "integration/status/test_openapi.py",
    "integration/status/test_replica_reads.py",
    "integration/sync/test_histories.py",
    "integration/sync/test_killed_item_runs.py",
    "integration/tasks/test_bulk_downloads.py",
    "integration/webhooks/test_histories.py",
    "integration/webhooks/test_killed_rounds.py",
)
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long ones."""
    places = [HERE / name for name in LONG]
    for item in items:
        if any(place == item.path or place in item.path.parents for place in places):
            item.add_marker(pytest.mark.long)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait, for a daemon, a rate limit, a server."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


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
    with session_loop() as loop:
        if external:
            yield TestServer(loop, external)
        else:
            with embedded(loop, server_directory) as dsn:
                # Copying files beats writing them to the log where nothing is synced to the disk.
                yield TestServer(loop, dsn, "STRATEGY FILE_COPY")


@pytest.fixture(scope="session")
def migrated_template(postgres_server: TestServer) -> Iterator[str]:
    """The name of a migrated database, from which those of the tests are copied."""

    async def fill(url: str) -> None:
        async with open_database(url) as database:
            await migrate(database, then=[install])

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
