"""Rows that an earlier job of the stream could not store, and that a later one has stored now."""

from collections.abc import Collection, Sequence
from typing import TypeVar

from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.jobs import failures
from daemon.jobs import store as job_store
from daemon.jobs.context import PageTransaction
from daemon.jobs.model import Job
from daemon.sources.page import Page

T = TypeVar("T")


class Mending:
    """Resolves the dead letters of earlier jobs of a stream, as the rows come in."""

    def __init__(self, job: Job, unmended: Sequence[JobId]) -> None:
        self._job = job
        self._unmended = unmended

    @classmethod
    async def begin(cls, connection: Connection, job: Job) -> "Mending":
        """At the beginning of a run of `job`."""
        return cls(job, await failures.list_open(connection, job.store, job.type))

    async def mend(self, transaction: PageTransaction, page: Page[T], stored: Collection[int]) -> None:
        """Resolve the dead letters of the rows of a page that are stored now."""
        if not self._unmended:
            return
        mended = {str(row_id) for row_id in stored} - {bad.source_id for bad in page.bad}
        if not mended:
            return
        connection = transaction.connection
        chains = await failures.mend(connection, self._unmended, sorted(mended), self._job.id)
        await job_store.repair_chains(connection, chains)
