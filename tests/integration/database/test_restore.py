"""A backup is restored whole or not at all, and never over what is there without being told."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.database import postgres_binaries
from daemon.database import restore as restoring
from daemon.database.backup import back_up
from daemon.database.embedded import embedded_server
from daemon.database.migrate import LOCK_KEY, migrate, program_version
from daemon.database.pool import Database, open_database
from daemon.database.replacement import replaced_data
from daemon.database.restore import drop_schema, old_schemas, restore_embedded, restore_into
from daemon.errors import BackupError, DatabaseUnsuitable, EmbeddedDataInUse
from daemon.jobs.queue.driver import install
from tests.support.databases import JOBS, NOISE, names_in, value_in
from tests.support.postgres import TestServer
from tests.support.site import eventually

SYSTEM = sorted(Path("/").glob("usr/lib/postgresql/*/bin"))
COUNT = "SELECT count(*) FROM dongbo.background_jobs"
TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = 'dongbo'::regnamespace AND relkind IN ('r', 'i', 'S')"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND wait_event = 'advisory'"
EXTENSIONS = """
SELECT array_agg(extname::text || ' in ' || nspname ORDER BY extname)
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname <> 'plpgsql'
"""


@pytest.fixture
async def archive(database: Database, tmp_path: Path) -> Path:
    """A backup with seven jobs in it, most of which is data."""
    async with database.acquire() as connection:
        await connection.execute(JOBS, 7)
        await connection.execute(NOISE.format(rows=100))
    await back_up(database, tmp_path / "dongbo.dump")
    return tmp_path / "dongbo.dump"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory; not there yet."""
    return tmp_path / "state"


class TestIntoTheEmbeddedServer:
    """Restoring on a machine of its own."""

    async def test_on_a_new_machine(self, archive: Path, state: Path, database: Database) -> None:
        """All tables, indexes and sequences are there, and the daemon migrates what it finds as ever."""
        restored = await restore_embedded(archive, state, overwrite=False, dry_run=False)
        assert (restored.schema_version, restored.kept) == (program_version(), None)
        assert names_in(state) == ["daemon.lock", "postgres"]
        async with embedded_server(state) as server:
            assert await value_in(server.dsn, COUNT) == 7
            assert await value_in(server.dsn, TABLES) == await value_in(database.dsn, TABLES)
            assert await value_in(server.dsn, EXTENSIONS) == await value_in(database.dsn, EXTENSIONS)
            async with open_database(server.dsn) as opened:
                assert await migrate(opened, then=[install]) == program_version()

    async def test_data_that_is_there_is_replaced_only_when_told_and_kept(self, archive: Path, state: Path) -> None:
        """What is replaced can be taken back by renaming it."""
        async with embedded_server(state) as server:
            await value_in(server.dsn, "CREATE TABLE mine AS SELECT 1")
        with pytest.raises(BackupError, match=r"There is data in .* already: add --overwrite"):
            await restore_embedded(archive, state, overwrite=False, dry_run=False)
        restored = await restore_embedded(archive, state, overwrite=True, dry_run=False)
        assert [str(path) for path in replaced_data(state)] == [restored.kept]
        async with embedded_server(state) as server:
            assert await value_in(server.dsn, COUNT) == 7
            assert await value_in(server.dsn, "SELECT to_regclass('mine')") is None
        take_back(state)
        async with embedded_server(state) as server:
            assert await value_in(server.dsn, "SELECT count(*) FROM mine") == 1

    async def test_while_a_daemon_runs_it_is_only_tried(self, archive: Path, state: Path) -> None:
        """A restore waits for nobody: it is refused. That it could be done can be seen at any time."""
        async with embedded_server(state) as server:
            before = names_in(state)
            with pytest.raises(EmbeddedDataInUse, match="another daemon"):
                await restore_embedded(archive, state, overwrite=True, dry_run=False)
            tried = await restore_embedded(archive, state, overwrite=False, dry_run=True)
            assert (tried.rows > 7, tried.kept) == (True, None)
            assert names_in(state) == before
            assert await value_in(server.dsn, "SELECT to_regnamespace('dongbo')") is None

    async def test_damaged_archive_changes_nothing(self, archive: Path, state: Path) -> None:
        """An archive that is cut off or has wrong bytes in it is told before anything takes the place of data."""
        async with embedded_server(state) as server:
            await value_in(server.dsn, "CREATE TABLE mine AS SELECT 1")
        for damage in damages(archive):
            damage()
            with pytest.raises(BackupError, match="is damaged and can't be read to its end"):
                await restore_embedded(archive, state, overwrite=True, dry_run=False)
            assert replaced_data(state) == []
            assert names_in(state) == ["daemon.lock", "postgres", "postgres.log"]
        async with embedded_server(state) as server:
            assert await value_in(server.dsn, "SELECT count(*) FROM mine") == 1

    async def test_backup_of_a_newer_dongbo_is_refused(
        self, archive: Path, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its tables may mean what this program does not know."""
        monkeypatch.setattr(restoring, "program_version", lambda: program_version() - 1)
        with pytest.raises(DatabaseUnsuitable, match="is of a newer dongbo"):
            await restore_embedded(archive, state, overwrite=False, dry_run=False)
        assert names_in(state.parent) == [archive.name]


class TestIntoAnotherServer:
    """Restoring into a database that `[database] url` names."""

    @pytest.fixture
    def target(self, postgres_server: TestServer, migrated_template: str) -> Iterator[str]:
        """A migrated database with a job."""
        with postgres_server.new_database(migrated_template) as name:
            url = postgres_server.url(name)
            postgres_server.run(value_in(url, JOBS, 1))
            yield url

    async def test_into_an_empty_database(self, archive: Path, empty_database_url: str, database: Database) -> None:
        """The database need only be there."""
        restored = await restore_into(archive, empty_database_url, overwrite=False, dry_run=False)
        assert restored.kept is None
        assert await value_in(empty_database_url, COUNT) == 7
        assert await value_in(empty_database_url, TABLES) == await value_in(database.dsn, TABLES)
        assert await value_in(empty_database_url, EXTENSIONS) == await value_in(database.dsn, EXTENSIONS)

    async def test_what_is_there_is_kept_under_another_name(self, archive: Path, target: str) -> None:
        """It goes when it is removed, and takes nothing of the restored with it."""
        with pytest.raises(BackupError, match=r"There is a schema dongbo in .* already: add --overwrite"):
            await restore_into(archive, target, overwrite=False, dry_run=False)
        restored = await restore_into(archive, target, overwrite=True, dry_run=False)
        assert restored.kept is not None
        assert await value_in(target, COUNT) == 7
        assert await value_in(target, f"SELECT count(*) FROM {restored.kept}.background_jobs") == 1
        assert await old_schemas(target) == [restored.kept]
        tables = await value_in(target, TABLES)
        await drop_schema(target, restored.kept)
        assert await value_in(target, TABLES) == tables
        async with open_database(target) as opened:
            assert await migrate(opened, then=[install]) == program_version()

    async def test_as_a_user_who_is_no_superuser(
        self, archive: Path, postgres_server: TestServer, empty_database_url: str
    ) -> None:
        """To own the database is enough, also to keep what is there: extensions belong to a superuser, and stay."""
        role = f"owner_{urlsplit(empty_database_url).path[1:]}"
        await value_in(empty_database_url, f"CREATE ROLE {role} LOGIN")
        try:
            await value_in(empty_database_url, f"ALTER DATABASE {role.removeprefix('owner_')} OWNER TO {role}")
            url = empty_database_url.replace("//postgres@", f"//{role}@")
            await restore_into(archive, url, overwrite=False, dry_run=False)
            tables = await value_in(url, TABLES)
            restored = await restore_into(archive, url, overwrite=True, dry_run=False)
            assert restored.kept is not None
            assert await value_in(url, f"SELECT count(*) FROM {restored.kept}.background_jobs") == 7
            await drop_schema(url, restored.kept)
            assert await value_in(url, TABLES) == tables
            async with open_database(url) as opened:
                assert await migrate(opened, then=[install]) == program_version()
        finally:
            await value_in(empty_database_url, f"REASSIGN OWNED BY {role} TO CURRENT_USER")
            await value_in(empty_database_url, f"DROP ROLE {role}")

    @pytest.mark.skipif(not SYSTEM, reason="this takes a PostgreSQL of the system")
    async def test_into_an_older_postgresql(self, archive: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The script of a newer pg_dump is for every server that dongbo works with."""
        with monkeypatch.context() as patch:
            patch.setattr(postgres_binaries, "binary_directories", lambda: iter(SYSTEM[:1]))
            older = await postgres_binaries.find_binaries(None)
            async with embedded_server(state) as server:
                patch.undo()
                await restore_into(archive, server.dsn, overwrite=False, dry_run=False)
                restored = await restore_into(archive, server.dsn, overwrite=True, dry_run=False)
                assert await value_in(server.dsn, COUNT) == 7
                assert await old_schemas(server.dsn) == [restored.kept]
                assert older.version in await value_in(server.dsn, "SELECT version()")

    async def test_user_who_may_not_make_schemas_is_told_what_it_takes(
        self, archive: Path, empty_database_url: str
    ) -> None:
        """Who has but a schema in another's database can't keep the old one beside the new."""
        role = f"guest_{urlsplit(empty_database_url).path[1:]}"
        await value_in(empty_database_url, f"CREATE ROLE {role} LOGIN")
        try:
            url = empty_database_url.replace("//postgres@", f"//{role}@")
            with pytest.raises(BackupError, match=r"may not do this: permission denied .*GRANT CREATE ON DATABASE"):
                await restore_into(archive, url, overwrite=False, dry_run=False)
            await restore_into(archive, empty_database_url, overwrite=False, dry_run=False)
            async with open_database(url) as database:
                with pytest.raises(BackupError, match=r"may not do this: permission denied .*own the schema dongbo"):
                    await back_up(database, archive.with_name("guests.dump"))
            with pytest.raises(BackupError, match=r"may not do this: must be owner of schema dongbo"):
                await drop_schema(url, "dongbo")
        finally:
            await value_in(empty_database_url, f"DROP ROLE {role}")

    async def test_trial_changes_nothing(self, archive: Path, target: str) -> None:
        """All that it has made is taken back."""
        tried = await restore_into(archive, target, overwrite=False, dry_run=True)
        assert (tried.rows > 7, tried.kept) == (True, None)
        assert await value_in(target, COUNT) == 1
        assert await old_schemas(target) == []

    async def test_damaged_archive_changes_nothing(self, archive: Path, target: str) -> None:
        """What was restored before the damage was met is taken back with all the rest."""
        for damage in damages(archive):
            damage()
            with pytest.raises(BackupError, match="is damaged and can't be read to its end"):
                await restore_into(archive, target, overwrite=True, dry_run=False)
            assert await value_in(target, COUNT) == 1
            assert await old_schemas(target) == []

    async def test_a_restore_that_is_cut_off_changes_nothing(self, archive: Path, target: str) -> None:
        """The database takes back what was not committed."""
        holder = await asyncpg.connect(target)
        await holder.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")  # as a daemon that migrates
        restore = asyncio.create_task(restore_into(archive, target, overwrite=True, dry_run=False), name="restore")

        async def waits() -> bool:
            assert not restore.done()
            return await value_in(target, WAITING) == 1

        await eventually(waits)
        restore.cancel()
        await asyncio.gather(restore, return_exceptions=True)
        await holder.close()
        assert await value_in(target, COUNT) == 1
        assert await old_schemas(target) == []

    async def test_daemons_that_run_are_not_surprised(self, archive: Path, target: str) -> None:
        """A database that daemons work on is left alone."""
        async with open_database(target):
            with pytest.raises(EmbeddedDataInUse, match=r"is in use .* stop all daemons first"):
                await restore_into(archive, target, overwrite=True, dry_run=False)


def damages(archive: Path) -> list[Callable[[], object]]:
    """What does harm to an archive: cut off at its end or in its middle, and wrong bytes in its data."""
    whole = archive.read_bytes()
    half = len(whole) // 2
    spoilt = whole[:half] + bytes(byte ^ 0xFF for byte in whole[half : half + 64]) + whole[half + 64 :]
    return [partial(archive.write_bytes, content) for content in (whole[:-10], whole[:half], spoilt)]


def take_back(state: Path) -> None:
    """As a person would: the old data by its old name."""
    (old,) = replaced_data(state)
    (state / "postgres").rename(state / "postgres.restored")
    old.rename(state / "postgres")
