"""The data of an older PostgreSQL is brought to the newest one: copied, compared, swapped; the old is kept."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from daemon.database import postgres_binaries
from daemon.database.embedded import embedded_server
from daemon.database.file_lock import is_abandoned
from daemon.database.migrate import migrate
from daemon.database.pool import open_database
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.replacement import replaced_data
from daemon.database.state_lock import LOCK
from daemon.database.upgrade import upgrade_embedded
from daemon.errors import EmbeddedDataInUse, EmbeddedServerError
from daemon.jobs.queue.driver import install
from tests.support.databases import JOBS, NOISE, value_in
from tests.support.site import eventually

SYSTEM = sorted(Path("/").glob("usr/lib/postgresql/*/bin"))
NEWEST = [path for path in postgres_binaries.binary_directories() if path.parent.name == "pginstall"]
COUNT = "SELECT count(*) FROM dongbo.background_jobs"
UPGRADE = """
import asyncio, sys
from pathlib import Path
from daemon.database.state_lock import LOCK
from daemon.database.upgrade import upgrade_embedded
asyncio.run(upgrade_embedded(Path(sys.argv[1]), old_binaries=None))
"""

pytestmark = pytest.mark.skipif(
    not SYSTEM or not NEWEST, reason="this takes an older PostgreSQL of the system beside the extra `embedded`"
)


@pytest.fixture
async def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory whose data an older PostgreSQL has made, with seven jobs."""
    with monkeypatch.context() as patch:
        patch.setattr(postgres_binaries, "binary_directories", lambda: iter(SYSTEM[:1]))
        async with embedded_server(tmp_path) as server:
            async with open_database(server.dsn) as database:
                await migrate(database, then=[install])
            await value_in(server.dsn, JOBS, 7)
    return tmp_path


def major_of(state: Path) -> int | None:
    """The PostgreSQL that the data in place is for."""
    return major_version_of(data_directory(state))


async def jobs_in(state: Path) -> int:
    """How many jobs a server finds in the data in place."""
    async with embedded_server(state) as server:
        jobs: int = await value_in(server.dsn, COUNT)
    return jobs


async def test_data_of_an_older_version_is_upgraded_and_kept(state: Path) -> None:
    """A second time there is nothing to do."""
    old = major_of(state)
    upgraded = await upgrade_embedded(state, old_binaries=None)
    assert upgraded.before == old
    assert major_of(state) != old
    assert replaced_data(state) == [upgraded.kept]
    assert major_version_of(replaced_data(state)[0]) == old
    assert await jobs_in(state) == 7
    again = await upgrade_embedded(state, old_binaries=None)
    assert (again.before, again.kept) == (major_of(state), None)


async def test_the_old_version_may_be_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not found by itself, the refusal says how to get it, and whoever has it says where it is."""
    monkeypatch.setattr(postgres_binaries, "binary_directories", lambda: iter(NEWEST))
    with pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL \d+, .* and run `dongbo database upgrade`"):
        await upgrade_embedded(state, old_binaries=None)
    await upgrade_embedded(state, old_binaries=SYSTEM[0])
    assert await jobs_in(state) == 7


async def test_data_in_use_is_left_alone(state: Path) -> None:
    """A daemon runs on it."""
    async with embedded_server(state):
        with pytest.raises(EmbeddedDataInUse):
            await upgrade_embedded(state, old_binaries=None)


async def test_no_data_no_upgrade(tmp_path: Path) -> None:
    """There is nothing to do before the first start."""
    with pytest.raises(EmbeddedServerError, match=r"no data in .* yet"):
        await upgrade_embedded(tmp_path / "none", old_binaries=None)


@pytest.mark.parametrize(
    "moment", ["postgres.replacement", "postgres.replacement/copy.dump", "postgres.replacement/postgres"]
)
async def test_killed_upgrade_leaves_the_old_data(state: Path, moment: str) -> None:
    """While it is copied and while the new data is made, nothing has happened to the old; the next upgrade succeeds."""
    old = major_of(state)
    async with embedded_server(state) as server:
        await value_in(server.dsn, NOISE.format(rows=300))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, str(state))

    async def has_come() -> bool:
        return (state / moment).exists()

    async def is_let_go_of() -> bool:
        return is_abandoned(state / LOCK)

    await eventually(has_come, 60)
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    await eventually(is_let_go_of)  # a child that is just being forked holds the lock, too, until it is a program
    assert (major_of(state), replaced_data(state)) == (old, [])
    assert await jobs_in(state) == 7
    await upgrade_embedded(state, old_binaries=None)
    assert major_of(state) != old
    assert await jobs_in(state) == 7
