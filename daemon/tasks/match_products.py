"""Which product of Nhanh.vn each variant of Shopify is, into `product_mappings` and `match_conflicts`."""

from collections.abc import Awaitable
from contextlib import nullcontext

from daemon.database.pool import Connection
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.mirror import watermarks
from daemon.mirror.rekeying import rekey
from daemon.sync.matching import products as matching
from daemon.sync.matching.products import MatchOutcome
from daemon.tasks import params
from daemon.tasks.matching import commit_match, is_matched, report_match, rolled_back
from daemon.tasks.registry import JobPolicy, Store, task

STREAMS = {"nhanh_products": JobType.PULL_NHANH_PRODUCTS, "shopify_products": JobType.PULL_SHOPIFY_PRODUCTS}


class NotPulledYet(DongboError):
    """What is in the mirror is not all that there is: a key that looks unique in it need not be."""


@task(JobType.MATCH_PRODUCTS, params.dry_run)
async def match_products(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """By SKU, then by barcode; what people have decided holds."""
    is_dry = bool(context.params.get("dry_run"))

    def match(connection: Connection) -> Awaitable[MatchOutcome]:
        return matching.match_products(connection, store.name, with_sample=is_dry)

    async def try_out(connection: Connection) -> MatchOutcome:
        await rekey(lambda: nullcontext(connection), store.name)
        return await match(connection)

    if await is_matched(context):
        return
    async with context.database.acquire_for_work() as connection:
        await _check_pulled(connection, store.name)
        total = await matching.count_variants(connection, store.name)
    await context.describe(total=total)
    if is_dry:
        async with rolled_back(context) as connection:
            outcome = await context.unless_stopped(try_out(connection))
        await report_match(context, outcome)
    else:
        await context.unless_stopped(rekey(context.database.acquire_for_work, store.name))
        await commit_match(context, match)


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
