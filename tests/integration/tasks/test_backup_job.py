"""The backup as a job: like any other it shows, fails with a sentence, can be stopped, and cleans up after itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.database.backup_folder import new_backup_in, prune_backups
from daemon.database.new_file import new_file
from daemon.database.pool import Database
from daemon.database.usage import NO_SPACE, DiskSpace
from daemon.errors import InvalidJobRequest
from daemon.ids import Lane, StoreName
from daemon.jobs.model import Aftermath, JobOutcome, JobStatus
from daemon.jobs.results import outcome_of
from daemon.jobs.sentences import sentence
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings
from daemon.tasks import JobPolicy, Store, TaskRegistry, backup_database
from tests.support.databases import NOISE, names_in
from tests.support.workshop import Workshop, in_own_task, running_workshop

BACKUP = JobType.BACKUP_DATABASE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where backups go; not there yet."""
    return tmp_path / "state" / "backups"


@pytest.fixture
async def workshop(database: Database, directory: Path) -> AsyncIterator[Workshop]:
    """A daemon's parts that keep three backups."""
    policy = JobPolicy(backup_directory=directory, backups_kept=3)
    shop = SandboxSettings(products=1, customers=1, limits=False)
    async with in_own_task(running_workshop(database, shop, policy)) as running:
        yield running


def files_in(directory: Path) -> dict[str, int]:
    """The files of a directory with their sizes."""
    return {str(path): path.stat().st_size for path in directory.iterdir()}


def mode_of(path: Path) -> int:
    """Who may do what."""
    return path.stat().st_mode & 0o777


def put(directory: Path, *names: str) -> None:
    """Make a directory with files of these names."""
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).write_text("x")


async def test_a_backup_counts_as_one_row_and_says_what_is_in_it(workshop: Workshop, directory: Path) -> None:
    """Its result tells where the file is and how much was read back from it."""
    job = await workshop.completed(BACKUP)
    assert (job.total, job.created, job.processed) == (1, 1, 1)
    assert files_in(directory) == {job.metadata["file"]: job.metadata["bytes"]}
    assert mode_of(directory) == 0o700
    said = sentence(job, outcome_of(job, Aftermath()))
    assert said == f"{job.metadata['rows']} rows backed up and read back, 1 MB"


async def test_only_old_backups_of_its_own_go(workshop: Workshop, directory: Path) -> None:
    """The newest stay, and so does whatever somebody else has put there."""
    old = [f"dongbo-2020010{day}T000000Z.dump" for day in (1, 2, 3)]
    others = ["dongbo.dump", "dongbo-before-upgrade.dump", "dongbo-20200101T000000Z.dump.gpg", "notes.txt"]
    left = ".dongbo-20200104T000000Z.dump.unfinished"
    put(directory, *old, *others, left)
    job = await workshop.completed(BACKUP)
    assert names_in(directory) == sorted([Path(job.metadata["file"]).name, *old[1:], *others])


def test_an_unfinished_backup_of_another_daemon_stays(directory: Path) -> None:
    """Several daemons may share a directory: what one writes is not cleaned up by another."""
    path = new_backup_in(directory)
    with new_file(path) as file:
        prune_backups(directory, keep=1)
        assert names_in(directory) == [file.unfinished.name]


async def test_cancelled_backup_leaves_nothing(workshop: Workshop, directory: Path) -> None:
    """Cancelling it does not wait until all is copied."""
    await workshop.value(NOISE.format(rows=1500))
    job = await workshop.submit(BACKUP)
    running = await workshop.wait(job.id, lambda job: (job.metadata.get("bytes") or 0) > 0 or not job.status.is_live)
    assert running.status is JobStatus.RUNNING
    assert "MB written so far" in sentence(running, JobOutcome.RUNNING)
    await workshop.parts.jobs.cancel(job.id)
    ended = await workshop.wait(job.id)
    assert ended.status is JobStatus.CANCELLED
    assert names_in(directory) == []


async def test_a_directory_that_can_not_be_made_fails_with_a_sentence(workshop: Workshop, directory: Path) -> None:
    """It is no bug, and trying again would not help."""
    directory.parent.write_text("in the way")
    job = await workshop.run(BACKUP)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.startswith(f"The directory of backups {directory} can't be made: Not a directory.")


async def test_what_the_database_needs_of_the_disk_is_left(
    workshop: Workshop, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup ends before it takes the last room of a disk that may be the database's."""
    space = [DiskSpace(directory, NO_SPACE + 1, 2**40), DiskSpace(directory, NO_SPACE - 1, 2**40)]
    monkeypatch.setattr(backup_database, "disk_space", lambda _path: space.pop(0) if len(space) > 1 else space[0])
    await workshop.value(NOISE.format(rows=1500))
    job = await workshop.submit(BACKUP)
    ended = await workshop.wait(job.id)
    assert ended.status is JobStatus.FAILED
    assert "no room left on the disk" in (ended.error or "")
    assert names_in(directory) == []


async def test_a_connection_that_breaks_is_tried_again(workshop: Workshop, directory: Path) -> None:
    """The next attempt makes the backup."""
    await workshop.value(NOISE.format(rows=1500))
    job = await workshop.submit(BACKUP)
    await workshop.wait(job.id, lambda job: (job.metadata.get("bytes") or 0) > 0 or not job.status.is_live)
    await workshop.value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'")
    ended = await workshop.wait(job.id)
    assert ended.status is JobStatus.COMPLETED
    assert await workshop.value("SELECT count(*) FROM dongbo.job_attempts WHERE job_id = $1", job.id) == 2
    assert len(names_in(directory)) == 1


async def test_where_it_goes_is_not_for_who_asks_to_say(workshop: Workshop) -> None:
    """A token for the API must not be one for the files of the machine."""
    with pytest.raises(InvalidJobRequest, match="takes no params"):
        await workshop.submit(BACKUP, directory="/etc")


def test_all_stores_share_the_lane() -> None:
    """Two stores with a schedule for it never copy the same database at once."""
    stores = {StoreName(name): Store(StoreName(name), None, None) for name in ("hanoi", "saigon")}
    lanes = TaskRegistry(stores, JobPolicy()).lanes()
    assert lanes[Lane("backup")] == 1
    assert not [lane for lane in lanes if lane.endswith("/backup")]
