"""The customers that a sync of some is about, a portion at a time: named by people, or failed in another job."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from daemon.ids import JobId
from daemon.jobs import failures
from daemon.jobs.context import JobContext
from daemon.jobs.model import JobFailure
from daemon.sources.meter import CallMeter
from daemon.tasks.checkpoint import is_id
from daemon.tasks.customer_selection import Selection, select_customers
from daemon.tasks.identity import CUSTOMER_STREAMS, check_identities
from daemon.tasks.registry import Store
from daemon.tasks.retry_rows import check_origin

PORTION = 250  # failed customers that are read and pushed at once


class NamedCustomers:
    """Reads portion after portion at both sides, and keeps with the job's checkpoint what each consists of.

    A checkpoint holds the `customers` of the portion, up to which of them all are counted (`after`), and up to which
    dead letter of the other job all were taken up (`letters`).
    """

    def __init__(self, context: JobContext, store: Store, meter: CallMeter) -> None:
        self._context = context
        self._store = store
        self._meter = meter
        self._interrupted: Mapping[str, Any] | None = context.job.checkpoint
        self._taken_up: int = self._interrupted["letters"] if self._interrupted is not None else 0
        self._unmapped: int = context.job.metadata.get("unmapped", 0)
        self._has_all = False

    async def next_portion(self) -> Mapping[str, Any] | None:
        """The checkpoint that the next portion begins at, or an interrupted one continues at; None after the last.

        What is nobody's, or could not be read, has been counted by then.

        Raises:
            OtherShop, InvalidJobRequest: it can't be read, or taken up.
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
            RunStopped.
        """
        params = self._context.params
        if self._interrupted is not None:
            checkpoint, self._interrupted = self._interrupted, None
            self._has_all = "retry_of" not in params
            return checkpoint
        if self._has_all:
            return None
        await check_identities(self._context, self._store, self._meter, CUSTOMER_STREAMS)
        if "retry_of" in params:
            return await self._next_failed(JobId(UUID(params["retry_of"])))
        self._has_all = True
        return await self._begin(await self._select(params.get("customers", ()), params.get("ids", ())))

    async def _next_failed(self, origin: JobId) -> Mapping[str, Any] | None:
        async with self._context.database.acquire_for_work() as connection:
            await check_origin(connection, self._context, origin)
            letters = await failures.list_unresolved(connection, origin, self._taken_up, PORTION)
        if not letters:
            return None
        self._taken_up = letters[-1].id
        named = {letter.source_id for letter in letters if letter.source_id is not None}
        ids = sorted(int(name) for name in named if is_id(name))
        phones = sorted(name for name in named if not is_id(name))
        return await self._begin(await self._select(phones, ids), letters)

    async def _select(self, phones: Sequence[str], ids: Sequence[int]) -> Selection:
        return await select_customers(self._context, self._store, self._meter, phones=phones, ids=ids)

    async def _begin(self, selection: Selection, taken_up: Sequence[JobFailure] = ()) -> Mapping[str, Any]:
        """Commit who is in the portion along with who is not, and that what failed before is taken up."""
        checkpoint = {"after": 0, "customers": selection.customers, "letters": self._taken_up}
        self._unmapped += selection.unmapped
        async with self._context.page(checkpoint=checkpoint) as page:
            page.reject(list(selection.letters))
            page.metadata["unmapped"] = self._unmapped
            if taken_up and not self._context.params.get("dry_run"):
                await failures.resolve(page.connection, taken_up[0].job_id, [letter.id for letter in taken_up])
        return checkpoint
