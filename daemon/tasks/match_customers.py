"""Which customer of Nhanh.vn each customer of Shopify is, into `customer_mappings` and `match_conflicts`."""

from contextlib import aclosing, nullcontext

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sync.matching import customer_keys
from daemon.sync.matching.customers import count_customers, match_by_phones
from daemon.sync.matching.products import MatchOutcome
from daemon.tasks import params
from daemon.tasks.matching import commit_match, is_matched, report_match, rolled_back
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.MATCH_CUSTOMERS, params.dry_run)
async def match_customers(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """By phone numbers: those of changed customers are read page by page, then all customers are matched at once."""
    if await is_matched(context):
        return
    settings = store.customer_sync_settings
    with_notes = settings is not None and settings.phones_in_notes
    async with context.database.acquire_for_work() as connection:
        total = await count_customers(connection, store.name)
        to_read = await customer_keys.count_changed(connection, store.name, with_notes=with_notes)
    read_before: int = context.job.metadata.get("customers_read", 0)
    await context.describe(total=total, customers_to_read=read_before + to_read)
    if context.params.get("dry_run"):
        async with rolled_back(context) as connection:
            outcome = await context.unless_stopped(_try_out(connection, store.name, with_notes=with_notes))
        await report_match(context, outcome)
    else:
        await _read_phones(context, store.name, read_before, with_notes=with_notes)
        await commit_match(context, lambda connection: match_by_phones(connection, store.name, with_sample=False))


async def _read_phones(context: JobContext, store: StoreName, read_before: int, *, with_notes: bool) -> None:
    """Bring the numbers up to date; what is committed is not read again by the next run."""
    async with context.page(checkpoint=context.job.checkpoint, pages=0) as transaction:
        await customer_keys.forget_deleted(transaction.connection, store)
    borrow = context.database.acquire_for_work
    read = read_before
    async with aclosing(customer_keys.changed_pages(borrow, store, with_notes=with_notes)) as pages:
        async for side, page in pages:
            read += len(page)
            async with context.page(checkpoint={"side": side, "after": page[-1].customer_id}) as transaction:
                await customer_keys.store_phones(transaction.connection, store, side, page)
                transaction.metadata["customers_read"] = read


async def _try_out(connection: Connection, store: StoreName, *, with_notes: bool) -> MatchOutcome:
    """The same in the caller's transaction."""
    await customer_keys.forget_deleted(connection, store)
    pages = customer_keys.changed_pages(lambda: nullcontext(connection), store, with_notes=with_notes)
    async with aclosing(pages):
        async for side, page in pages:
            await customer_keys.store_phones(connection, store, side, page)
    return await match_by_phones(connection, store, with_sample=True)
