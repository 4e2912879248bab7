"""What webhooks have told of customers: each is read at its source, and what differs is pushed.

Nhanh.vn tells of no customers, but of orders, which move what a customer has spent. Shopify tells of its customers, of
what this program has pushed to them as well.
"""

from collections.abc import Collection, Mapping

from daemon.inbox.topics import Concern, Subject
from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sync.customers import finding
from daemon.sync.matching.customer_keys import Side
from daemon.tasks import params
from daemon.tasks.customer_matching import match_undecided, read_phones
from daemon.tasks.customer_reading import read_nhanh_customers, read_shopify_customers
from daemon.tasks.event_round import EventRound, Findings
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.sync_customers import push_customers

DONE = {"after": 2**63 - 1}  # behind all customers


@task(JobType.SYNC_CHANGED_CUSTOMERS, params.none)
async def sync_changed_customers(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """A row of the counters is a mapped customer whom the events name."""
    events, findings = await EventRound.begin(context, Concern.CUSTOMERS), Findings()
    if not events.events:
        return
    meter = counted_calls(context)
    nhanh_ids, shopify_ids = events.ids(Subject.NHANH_CUSTOMER), events.ids(Subject.SHOPIFY_CUSTOMER)
    await findings.read(
        Subject.NHANH_CUSTOMER, nhanh_ids, lambda numbers: read_nhanh_customers(context, store, meter, numbers)
    )
    await findings.read(
        Subject.SHOPIFY_CUSTOMER, shopify_ids, lambda numbers: read_shopify_customers(context, store, meter, numbers)
    )
    _lead(findings, await _partners(context, store, nhanh_ids, shopify_ids))
    if customers := findings.all_owners:
        await push_customers(context, store, meter, customers, events.because(findings, policy.zone))
    else:
        await context.describe(total=context.processed)
    await events.close(findings, DONE)


async def _partners(
    context: JobContext, store: Store, nhanh_ids: Collection[int], shopify_ids: Collection[int]
) -> Mapping[int, int]:
    """{customer of Shopify: the one of Nhanh.vn} of these customers; who is mapped to nobody is matched before."""
    await read_phones(context, store, {Side.NHANH: frozenset(nhanh_ids), Side.SHOPIFY: frozenset(shopify_ids)})
    async with context.database.acquire_for_work() as connection:
        sharing = await finding.sharing_phones(connection, store.name, nhanh_ids)
    await match_undecided(context, store, sharing.union(shopify_ids))
    async with context.database.acquire_for_work() as connection:
        return await finding.partners(connection, store.name, shopify_ids, nhanh_ids)


def _lead(findings: Findings, partners: Mapping[int, int]) -> None:
    for shopify_id, nhanh_id in partners.items():
        findings.lead_to((Subject.SHOPIFY_CUSTOMER, shopify_id), shopify_id)
        findings.lead_to((Subject.NHANH_CUSTOMER, nhanh_id), shopify_id)
