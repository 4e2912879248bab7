"""Which customer of Nhanh.vn each customer of Shopify is, into `customer_mappings` and `match_conflicts`."""

from contextlib import aclosing
from itertools import groupby
from operator import itemgetter

from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.phases import JobPhase
from daemon.jobs.types import JobType
from daemon.sync.matching import customer_keys
from daemon.sync.matching.customers import count_customers, decide
from daemon.tasks import params
from daemon.tasks.customer_matching import matching_of
from daemon.tasks.matching import WRITING, commit_match, is_matched, report_match, rolled_back
from daemon.tasks.phases import shown, told
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.MATCH_CUSTOMERS, params.dry_run)
async def match_customers(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """By phone numbers: those of changed customers are read page by page, then all customers are decided about at once.

    A dry run, too, brings the numbers up to date, which is no more than reading the mirror.
    """
    if await is_matched(context):
        return
    settings = store.customer_sync_settings
    with_notes = settings is not None and settings.phones_in_notes
    async with context.database.acquire_for_work() as connection:
        total = await count_customers(connection, store.name)
        to_read = await customer_keys.count_changed(connection, store.name, with_notes=with_notes)
    read_before: int = context.job.metadata.get("customers_read", 0)
    await context.describe(total=total, customers_to_read=read_before + to_read)
    await _read_phones(context, store.name, read_before, to_read, with_notes=with_notes)
    if context.params.get("dry_run"):
        async with told(context) as tell, rolled_back(context) as connection:
            outcome = await context.unless_stopped(decide(connection, store.name, tell, with_sample=True))
        await report_match(context, outcome)
    else:
        await commit_match(context, matching_of(store.name))


async def _read_phones(
    context: JobContext, store: StoreName, read_before: int, to_read: int, *, with_notes: bool
) -> None:
    """Bring the numbers up to date; what is committed is not read again by the next run."""
    async with context.page(checkpoint=context.job.checkpoint, pages=0) as transaction:
        await customer_keys.forget_deleted(transaction.connection, store)
    borrow = context.database.acquire_for_work
    read = read_before
    changed = customer_keys.changed_pages(borrow, store, with_notes=with_notes)
    async with aclosing(context.pages(changed)) as groups:
        async for group in groups:
            last_side, last_page = group[-1]
            last = {"side": last_side, "after": last_page[-1].customer_id}
            checkpoint = WRITING if context.job.checkpoint == WRITING else last
            async with context.page(checkpoint=checkpoint, pages=len(group)) as transaction:
                for side, pages in groupby(group, key=itemgetter(0)):
                    customers = [customer for _, page in pages for customer in page]
                    await customer_keys.store_phones(transaction.connection, store, side, customers)
                    read += len(customers)
                phase = shown(JobPhase.READING_NUMBERS, read, read_before + to_read)
                transaction.metadata |= {"customers_read": read, "phase": phase}
