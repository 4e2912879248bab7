"""A shop comes back from its backup: the daemon starts on what was restored, and goes on."""

import os
import shutil
from pathlib import Path

import pytest

from daemon.database.postgres_data import data_directory
from tests.support.databases import NOISE, names_in
from tests.support.site import Site

PULL, BACKUP = "PULL_NHANH_CUSTOMERS", "BACKUP_DATABASE"
CUSTOMERS = "SELECT count(*) FROM dongbo.nhanh_customers"
LIVE = "SELECT id::text FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING')"


async def run(site: Site, *arguments: str, code: int = 0) -> str:
    """Run a command to its end; what it said."""
    async with site.process("database", *arguments) as command:
        assert await command.exited(60) == code, command.text
    return command.text


async def test_a_lost_disk_is_restored_from_a_backup(embedded_site: Site) -> None:
    """The backup is made while the daemon runs. What was in it is there again, the jobs of before too."""
    site, file = embedded_site, embedded_site.directory / "dongbo.dump"
    async with site.daemon() as daemon:
        pulled = await daemon.api.completed((await daemon.api.submit(PULL))["id"])
        await run(site, "backup", str(file))
        await run(site, "restore", str(file), "--overwrite", code=75)
        await daemon.process.terminate()
    shutil.rmtree(data_directory(site.state))
    await run(site, "restore", str(file))
    async with site.daemon() as daemon:
        assert await daemon.api.get(f"/api/jobs/{pulled['id']}") == pulled
        async with site.connection() as connection:
            assert await connection.fetchval(CUSTOMERS) == pulled["created"]
        again = await daemon.api.completed((await daemon.api.submit(PULL, full=True))["id"])
        assert (again["created"], again["skipped"]) == (0, pulled["processed"] - pulled["failed"])
        await daemon.process.terminate()


async def test_a_daemon_killed_in_a_backup_makes_another_one(embedded_site: Site) -> None:
    """The job begins anew, and the half file goes."""
    site = embedded_site
    folder = site.state / "backups"
    async with site.daemon() as daemon:
        async with site.connection() as connection:
            await connection.execute(NOISE.format(rows=1500))
        job = await daemon.api.submit(BACKUP)
        await daemon.api.job_when(job["id"], lambda job: (job["metadata"].get("bytes") or 0) > 0)
        await daemon.process.kill()
    assert len(names_in(folder)) == 1
    assert names_in(folder)[0].endswith(".dump.unfinished")
    async with site.daemon() as daemon:
        ended = await daemon.api.completed(job["id"], seconds=90)
        assert names_in(folder) == [Path(ended["metadata"]["file"]).name]
        await daemon.process.terminate()


async def test_a_stop_does_not_wait_for_a_backup(embedded_site: Site) -> None:
    """It is cut short, at no cost in attempts, and made after the next start."""
    site = embedded_site
    async with site.daemon() as daemon:
        async with site.connection() as connection:
            await connection.execute(NOISE.format(rows=1500))
        job = await daemon.api.submit(BACKUP)
        await daemon.api.job_when(job["id"], lambda job: (job["metadata"].get("bytes") or 0) > 0)
        assert await daemon.process.terminate() == 0
        assert not daemon.process.events("runs_cut_off")
    assert names_in(site.state / "backups") == []
    async with site.daemon() as daemon:
        await daemon.api.completed(job["id"], seconds=90)
        await daemon.process.terminate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can restore for another user")
async def test_what_root_restores_is_the_daemon_s(embedded_site: Site) -> None:
    """An administrator backs up and restores as root; all of it belongs to the owner of the state directory."""
    site, file, owner = embedded_site, embedded_site.directory / "dongbo.dump", 61234  # has no name, as under systemd
    async with site.daemon() as daemon:
        await daemon.process.terminate()
    give(site.state, owner)
    await run(site, "backup", str(file))
    await run(site, "restore", str(file), "--overwrite")
    assert owners_in(site.state) == {owner}
    await run(site, "remove-old", "--yes")
    assert owners_in(site.state) == {owner}


def give(directory: Path, owner: int) -> None:
    """As systemd does with a state directory."""
    for path in (directory, *directory.rglob("*")):
        os.lchown(path, owner, owner)


def owners_in(directory: Path) -> set[int]:
    """Whose a directory is, and all that is in it."""
    return {path.lstat().st_uid for path in (directory, *directory.rglob("*"))}
