"""Which product of Nhanh.vn each variant of Shopify is, into `product_mappings` and `match_conflicts`."""

from collections.abc import Collection
from contextlib import nullcontext

from daemon.database.pool import Connection
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.phases import Tell
from daemon.jobs.types import JobType
from daemon.mirror import watermarks
from daemon.mirror.rekeying import rekey
from daemon.sync.matching import products as matching
from daemon.sync.matching.outcome import MatchOutcome
from daemon.sync.matching.unmapped import may_match
from daemon.tasks import params
from daemon.tasks.matching import Matching, commit_match, is_matched, match_uncounted, report_match, rolled_back
from daemon.tasks.phases import told
from daemon.tasks.registry import JobPolicy, Store, task

STREAMS = {"nhanh_products": JobType.PULL_NHANH_PRODUCTS, "shopify_products": JobType.PULL_SHOPIFY_PRODUCTS}


class NotPulledYet(DongboError):
    """What is in the mirror is not all that there is: a key that looks unique in it need not be."""


@task(JobType.MATCH_PRODUCTS, params.dry_run)
async def match_products(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """By SKU, then by barcode; what people have decided holds."""
    if await is_matched(context):
        return
    async with context.database.acquire_for_work() as connection:
        await _check_pulled(connection, store.name)
        total = await matching.count_variants(connection, store.name)
    await context.describe(total=total)
    if context.params.get("dry_run"):
        async with told(context) as tell, rolled_back(context) as connection:
            outcome = await context.unless_stopped(_try_out(connection, store.name, tell))
        await report_match(context, outcome)
    else:
        await context.unless_stopped(rekey(context.database.acquire_for_work, store.name))
        await commit_match(context, matching_of(store.name))


async def match_what_is_new(
    context: JobContext, store: Store, nhanh_ids: Collection[int], product_ids: Collection[int]
) -> None:
    """Match the products of the store at once where one of these may have got a counterpart, for a job that counts
    something else.

    The whole store, for whether a key is unique only all of it tells. Nothing is matched before both sides have been
    pulled once.
    """
    async with context.database.acquire_for_work() as connection:
        marks = [await watermarks.get(connection, store.name, stream) for stream in STREAMS]
        is_pulled = all(mark is not None and mark.full_pull_at is not None for mark in marks)
        if not is_pulled or not await may_match(connection, store.name, sorted(nhanh_ids), sorted(product_ids)):
            return
    await context.unless_stopped(rekey(context.database.acquire_for_work, store.name))
    await match_uncounted(context, matching_of(store.name))


async def _try_out(connection: Connection, store: StoreName, tell: Tell) -> MatchOutcome:
    await rekey(lambda: nullcontext(connection), store)
    return await matching.decide(connection, store, tell, with_sample=True)


def matching_of(store: StoreName) -> Matching:
    """All products of a store."""
    return Matching(
        store,
        lambda connection, tell: matching.decide(connection, store, tell, with_sample=False),
        lambda connection: matching.write_findings(connection, store),
        matching.WRITES,
    )


async def _check_pulled(connection: Connection, store: StoreName) -> None:
    """Raise NotPulledYet unless all products of both sides have been pulled once."""
    marks = {stream: await watermarks.get(connection, store, stream) for stream in STREAMS}
    missing = [STREAMS[stream] for stream, mark in marks.items() if mark is None or mark.full_pull_at is None]
    if missing:
        raise NotPulledYet(
            _(
                "Not all products have been pulled yet, so what looks unique need not be. Nothing was matched. Let "
                "{missing} complete once, then match again."
            ).format(missing=_(" and ").join(missing))
        )
