"""Taking up the dead letters of an ended job: just those rows are asked for again, by their ids."""

from typing import TypeVar
from uuid import UUID

from daemon.database.pool import Connection
from daemon.errors import InvalidJobRequest
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs import failures, store
from daemon.jobs.context import JobContext
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters, JobFailure
from daemon.mirror import deletions
from daemon.sources.meter import CallMeter
from daemon.tasks.checkpoint import is_id, known_ids
from daemon.tasks.stream import UNSTORABLE, SnapshotClock, Stream, dead_letter, store_one_by_one

T = TypeVar("T")

BATCH = 100  # rows: what Nhanh takes in one call


async def retry_rows(context: JobContext, stream: Stream[T], meter: CallMeter) -> None:
    """Move the dead letters of the job named by `retry_of` to this one, and store the rows that fit now.

    A row that is gone at the source counts as skipped. A row without an id can't be asked for: it fails again.
    """
    origin = JobId(UUID(context.params["retry_of"]))
    after: int = context.job.checkpoint or 0
    if context.job.checkpoint is None:
        async with context.database.acquire_for_work() as connection:
            await check_origin(connection, context, origin)
            total = await failures.count_unresolved(connection, origin)
        await context.describe(total=total, mode="retry", retry_of=str(origin))
    while True:
        async with context.database.acquire_for_work() as connection:
            letters = await failures.list_unresolved(connection, origin, after, BATCH)
        if not letters:
            return
        await _retry_batch(context, stream, meter, origin, letters)
        after = letters[-1].id


async def check_origin(connection: Connection, context: JobContext, origin: JobId) -> None:
    """Raises InvalidJobRequest for a job of another kind: the ids in dead letters mean nothing to another source."""
    asked = await store.get(connection, origin)
    if asked is None or (asked.store, asked.type) != (context.job.store, context.job.type):
        raise InvalidJobRequest(
            _("params.retry_of: {origin} is no {type} job of store {store}.").format(
                origin=origin, type=context.job.type, store=context.job.store
            )
        )


async def _retry_batch(
    context: JobContext, stream: Stream[T], meter: CallMeter, origin: JobId, letters: list[JobFailure]
) -> None:
    wanted = {letter.source_id for letter in letters if letter.source_id and is_id(letter.source_id)}
    async with context.database.acquire_for_work() as connection:
        questions = await SnapshotClock.begin(connection, context.job.store, stream.clock)
    page = await context.unless_stopped(stream.fetch_by_ids(sorted(int(number) for number in wanted), meter))
    nameless = [letter for letter in letters if letter.source_id not in wanted]
    repeated = len(letters) - len(nameless) - len(wanted)
    async with context.page(checkpoint=letters[-1].id) as transaction:
        try:
            async with transaction.connection.transaction():
                counted = await stream.store(
                    transaction.connection, context.job.store, page.rows, questions.asked(page)
                )
            transaction.count(counted)
        except UNSTORABLE:
            await store_one_by_one(transaction, stream, context.job.store, page.rows, questions.asked(page))
        if stream.table is not None:
            await deletions.take_back(transaction.connection, context.job.store, stream.table, known_ids(page))
        transaction.reject([dead_letter(bad) for bad in page.bad])
        if page.notices:
            transaction.metadata["notices"] = sorted(page.notices)
        transaction.reject([_still_nameless(letter) for letter in nameless])
        gone = len(wanted) - len(page.rows) - len(page.bad)
        transaction.count(Counters(skipped=max(gone, 0) + repeated))
        await failures.resolve(transaction.connection, origin, [letter.id for letter in letters])


def _still_nameless(letter: JobFailure) -> DeadLetter:
    reason = _("The row has no readable id, so it can't be asked for again: fix it at the source and pull.")
    return DeadLetter(letter.source_id, reason, letter.payload.encode())
