"""Backs up the whole database into the directory of backups, and keeps the newest ones."""

import asyncio

from daemon.database.backup import back_up
from daemon.database.backup_folder import new_backup_in, prune_backups
from daemon.database.new_file import no_room
from daemon.database.storage import disk_space
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JobType
from daemon.tasks import params
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.BACKUP_DATABASE, params.none)
async def backup_database(context: JobContext, _store: Store, policy: JobPolicy) -> None:
    """One row of the counters is one backup. Where to is for the configuration alone to say, and not for who asks.

    A run that was stopped leaves nothing, and the next one begins anew.
    """

    path = await asyncio.to_thread(new_backup_in, policy.backup_directory)

    async def show(size: int) -> None:
        disk = disk_space(policy.backup_directory)
        if disk is not None and disk.is_out:  # the database may be on it, and needs what is left
            raise no_room(path)
        await context.describe(total=1, bytes=size)

    await show(0)
    backup = await context.unless_stopped(back_up(context.database, path, progress=show))
    await asyncio.to_thread(prune_backups, policy.backup_directory, policy.backups_kept)
    async with context.page(checkpoint=None) as page:
        page.count(Counters(created=1))
        page.metadata |= {"file": str(backup.file), "bytes": backup.bytes, "rows": backup.rows}
