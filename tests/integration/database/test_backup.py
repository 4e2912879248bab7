"""A backup is whole, of one moment, and there under its name only when it has been read back."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.database.backup import back_up
from daemon.database.migrate import program_version
from daemon.database.pool import Database, open_database
from daemon.errors import BackupError, BackupInterrupted, NoRoom
from tests.support.databases import JOBS, NOISE, names_in
from tests.support.site import eventually


async def fill(database: Database, statement: str, *arguments: int) -> None:
    """Have something to back up."""
    async with database.acquire() as connection:
        await connection.execute(statement, *arguments)


async def test_backup_is_whole_and_for_its_owner_alone(database: Database, tmp_path: Path) -> None:
    """It has all rows of all tables, and others of the machine can't read the customers' data in it."""
    await fill(database, JOBS, 500)
    backup = await back_up(database, tmp_path / "dongbo.dump")
    assert names_in(tmp_path) == ["dongbo.dump"]
    assert backup.file.stat().st_mode & 0o777 == 0o600
    assert backup.bytes == backup.file.stat().st_size
    assert backup.schema_version == program_version()
    assert backup.rows >= 500
    assert backup.tables > 20


async def test_backup_is_of_one_moment(database: Database, tmp_path: Path) -> None:
    """Rows that are written while it is made, by the thousand, neither get into it in part nor make it look broken."""
    await fill(database, JOBS, 1000)
    writing = asyncio.create_task(_write_on(database), name="writer")
    try:
        backup = await back_up(database, tmp_path / "dongbo.dump")
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    assert backup.rows >= 1000


async def _write_on(database: Database) -> None:
    while True:
        await fill(database, JOBS, 100)


async def test_what_was_there_stays_until_the_new_one_is_whole(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that fails, here because what is read back is not what was written, leaves the last one as it was."""
    file = tmp_path / "dongbo.dump"
    await back_up(database, file)
    before = file.read_bytes()
    await fill(database, JOBS, 10)
    monkeypatch.setattr("daemon.database.backup.rows_in", _nothing)
    with pytest.raises(BackupError, match=r"was not whole when it was read back \(0 of \d+ rows of "):
        await back_up(database, file)
    assert file.read_bytes() == before
    assert names_in(tmp_path) == [file.name]


async def _nothing(*_given: object) -> dict[str, int]:
    return {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for hardly anything."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


async def test_full_disk_is_said_and_left_as_it_was(database: Database, small_disk: Path) -> None:
    """No half file stays, and the sentence says what to do."""
    await fill(database, NOISE.format(rows=100))
    with pytest.raises(NoRoom, match=r"no room left on the disk.*Make room, and try again"):
        await back_up(database, small_disk / "dongbo.dump")
    assert names_in(small_disk) == []


async def test_broken_connection_is_worth_a_retry(database: Database, tmp_path: Path) -> None:
    """Where pg_dump loses its connection, the backup may be tried again."""
    await fill(database, NOISE.format(rows=1500))

    async def cut(_size: int) -> None:
        async with database.acquire() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
            )

    with pytest.raises(BackupInterrupted, match="The connection to the database broke"):
        await back_up(database, tmp_path / "dongbo.dump", progress=cut)
    assert names_in(tmp_path) == []


async def test_cancelled_backup_ends_pg_dump(database: Database, tmp_path: Path) -> None:
    """Nothing goes on behind the back of whoever has cancelled it."""
    await fill(database, NOISE.format(rows=1500))
    sizes: asyncio.Queue[int] = asyncio.Queue()
    backup = asyncio.create_task(back_up(database, tmp_path / "dongbo.dump", progress=sizes.put), name="backup")
    await sizes.get()
    backup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await backup
    assert names_in(tmp_path) == []

    async def none_left() -> bool:
        async with database.acquire() as connection:
            return not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
            )

    await eventually(none_left)


async def test_backup_of_nothing_is_refused(empty_database_url: str, tmp_path: Path) -> None:
    """A file that looks like a backup and holds nothing would be worse than none."""
    async with open_database(empty_database_url) as database:
        with pytest.raises(BackupError, match="nothing to back up yet"):
            await back_up(database, tmp_path / "dongbo.dump")
    assert names_in(tmp_path) == []


async def test_place_that_can_not_be_written_is_named(database: Database, tmp_path: Path) -> None:
    """The sentence names the file and the reason."""
    with pytest.raises(BackupError, match=r"missing/dongbo\.dump can't be written: No such file or directory"):
        await back_up(database, tmp_path / "missing" / "dongbo.dump")


async def test_what_is_read_in_bulk_is_no_part_of_it(database: Database, tmp_path: Path) -> None:
    """It comes and goes while others are copied, and is gathered again; who drops it does not wait for the backup."""
    async with database.acquire() as connection:
        await connection.execute("CREATE UNLOGGED TABLE dongbo.bulk_lines_7 (line bytea)")
        await connection.execute("INSERT INTO dongbo.bulk_lines_7 SELECT '' FROM generate_series(1, 100)")
    backup = await back_up(database, tmp_path / "dongbo.dump")
    assert backup.rows < 100
    async with database.acquire() as connection:
        await connection.execute("DROP TABLE dongbo.bulk_lines_7")
