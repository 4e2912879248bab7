"""Matching customers who have just been read, for jobs that are about something else: only where somebody may be found.

Who is mapped, or was decided about by a person, stays it. The rules are those of MATCH_CUSTOMERS, and so is what they
find out: the numbers of all customers are brought up to date first, for those tell whose number is nobody else's.
"""

from collections.abc import Collection, Mapping
from contextlib import aclosing

from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.sync.customers import finding
from daemon.sync.matching import customer_keys, customers
from daemon.sync.matching.customer_keys import Side
from daemon.tasks.matching import Matching, match_uncounted
from daemon.tasks.registry import Store


async def read_phones(
    context: JobContext, store: Store, among: Mapping[Side, frozenset[int] | set[int]] | None = None
) -> None:
    """Bring the phone numbers of these customers up to date; None: of all."""
    settings = store.customer_sync_settings
    with_notes = settings is not None and settings.phones_in_notes
    borrow = context.database.acquire_for_work
    pages = customer_keys.changed_pages(borrow, store.name, with_notes=with_notes, among=among)
    async with aclosing(pages):
        async for side, page in pages:
            async with borrow() as connection, connection.transaction():
                await customer_keys.store_phones(connection, store.name, side, page)


async def match_undecided(context: JobContext, store: Store, shopify_ids: Collection[int]) -> None:
    """Let matching decide about those of these customers of Shopify who are not mapped, where it could map them."""
    async with context.database.acquire_for_work() as connection:
        undecided = await finding.undecided(connection, store.name, shopify_ids)
        if not undecided or not await finding.could_be_matched(connection, store.name, undecided):
            return
    await read_phones(context, store)
    async with context.database.acquire_for_work() as connection, connection.transaction():
        are_matched = await customers.match_some(connection, store.name, undecided)
    if not are_matched:
        await match_uncounted(context, matching_of(store.name))


def matching_of(store: StoreName) -> Matching:
    """All customers of a store."""
    return Matching(
        store,
        lambda connection, tell: customers.decide(connection, store, tell, with_sample=False),
        lambda connection: customers.write_findings(connection, store),
        customers.WRITES,
    )
