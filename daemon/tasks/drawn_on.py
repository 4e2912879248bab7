"""What a sync is made from, said with its job: until when the streams were complete that it drew on."""

from collections.abc import Sequence

from daemon.jobs.context import JobContext
from daemon.mirror import watermarks
from daemon.tasks.registry import Store


async def note_drawn_on(context: JobContext, store: Store, streams: Sequence[str], *, has_begun: bool) -> None:
    """Say it before anything is planned: what is stored meanwhile is newer than that, never older.

    A run that goes on with what an earlier one has begun (`has_begun`) is as old as that one's note.
    """
    if has_begun and "complete_to" in context.job.metadata:
        return
    async with context.database.acquire_for_work() as connection:
        complete_to = await watermarks.complete_to(connection, store.name, streams)
    said = complete_to.isoformat() if complete_to is not None else None
    await context.describe(total=context.total, complete_to=said)
