"""The variants that a sync of a few items is about: named by people, or failed in another job."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from daemon.ids import JobId
from daemon.jobs import failures
from daemon.jobs.context import JobContext
from daemon.jobs.model import JobFailure
from daemon.sources.meter import CallMeter
from daemon.tasks.checkpoint import is_id
from daemon.tasks.registry import Store
from daemon.tasks.retry_rows import check_origin
from daemon.tasks.variant_selection import Selection, select_variants

MOST_RETRIED = 1_000  # failed rows that a job takes up; a further retry takes up more


class NamedVariants:
    """What a job names, and what is to be noted of that besides what is pushed."""

    def __init__(self, context: JobContext, selection: Selection, taken_up: Sequence[JobFailure]) -> None:
        self._context = context
        self._selection = selection
        self._taken_up = taken_up

    @classmethod
    async def select(cls, context: JobContext, store: Store, meter: CallMeter) -> "NamedVariants":
        """Find what the job names, and read it at both sides.

        Raises:
            InvalidJobRequest: what failed in another job can't be taken up.
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
            RunStopped.
        """
        params = context.params
        if "retry_of" not in params:
            skus, ids = params.get("skus", ()), params.get("variants", ())
            return cls(context, await select_variants(context, store, meter, skus=skus, ids=ids), ())
        origin = JobId(UUID(params["retry_of"]))
        async with context.database.acquire_for_work() as connection:
            await check_origin(connection, context, origin)
            letters = await failures.list_unresolved(connection, origin, 0, MOST_RETRIED)
        asked = [_asked_for(letter) for letter in letters]
        skus = sorted({sku for sku in asked if isinstance(sku, str)})
        ids = sorted({number for number in asked if isinstance(number, int)})
        return cls(context, await select_variants(context, store, meter, skus=skus, ids=ids), letters)

    @property
    def variants(self) -> Collection[int]:
        """Those that are there, and could be read."""
        return self._selection.variants

    async def count_the_rest(self, checkpoint: Mapping[str, Any]) -> None:
        """Count what stands for nothing or could not be read, once, and say what each SKU stands for."""
        async with self._context.page(checkpoint=checkpoint) as page:
            page.reject(list(self._selection.letters))
            page.metadata |= {"named": self._selection.named, "unmapped": self._selection.unmapped}
        await self._context.describe(total=self._context.processed)

    async def close(self, checkpoint: Mapping[str, Any]) -> None:
        """Note that what failed in another job has been taken up."""
        if not self._taken_up or self._context.params.get("dry_run"):
            return
        async with self._context.page(checkpoint=checkpoint, pages=0) as page:
            await failures.resolve(page.connection, self._taken_up[0].job_id, [letter.id for letter in self._taken_up])


def _asked_for(letter: JobFailure) -> str | int | None:
    """The SKU or the id of the variant that a dead letter is about."""
    if letter.source_id is None:
        return None
    if not letter.payload_truncated and "sku_asked_for" in (payload := orjson.loads(letter.payload)):
        return str(payload["sku_asked_for"])
    return int(letter.source_id) if is_id(letter.source_id) else None
