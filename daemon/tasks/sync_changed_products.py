"""What webhooks have told of products: each is read at its source, and what differs is pushed.

An event only says what to look at. So one that is forged, late, repeated or out of order causes a reading, and never a
wrong value.
"""

from collections.abc import Collection

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.inbox.topics import Concern, Subject
from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sync.matching import mapped_variants
from daemon.sync.matching.mapped_variants import Pairs
from daemon.tasks import params
from daemon.tasks.event_round import EventRound, Findings
from daemon.tasks.item_reading import ItemsRead, read_nhanh_products, read_shopify_levels, read_shopify_products
from daemon.tasks.match_products import match_what_is_new
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.sync_products import DONE, push_variants

MOVE_STOCK = ("inventoryChange", "orderAdd", "orderUpdate", "orderPartialReturn")
CHANGE_PRODUCTS = ("productAdd", "productUpdate", "productDelete")

LEFT_TO_SCHEDULE = mark(
    'The stock at Shopify was read again. With quantity = "available" it is left to the schedule: it may be an order '
    "that Nhanh.vn does not know yet."
)


@task(JobType.SYNC_CHANGED_PRODUCTS, params.none)
async def sync_changed_products(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """A row of the counters is a mapped variant at a location, or the price of a mapped variant, of what the events
    name."""
    events = await EventRound.begin(context, Concern.PRODUCTS, store.synced_quantity)
    if events.events:
        changes = _Changes(context, store, events)
        await changes.read()
        await changes.find_variants()
        await changes.push(policy)
        await events.close(changes.findings, DONE.to_json())


class _Changes:
    def __init__(self, context: JobContext, store: Store, events: EventRound) -> None:
        self._context = context
        self._store = store
        self._events = events
        self._meter = counted_calls(context)
        self._sets_on_hand = store.synced_quantity == "on_hand"
        self.findings = Findings()
        self._without_stock: set[int] = set()  # variants of which only prices are pushed

    async def read(self) -> None:
        """Read what the events name.

        Of what is on hand Shopify first: what it says is compared with what is there when Nhanh.vn's later figure is
        set, so that nothing can have been sent in between. Else Nhanh.vn's stock first: that is what sells out.
        """
        if self._sets_on_hand:
            await self._read_shopify(await self._items_of_nhanh())
            await self._read_nhanh()
        else:
            await self._read_nhanh()
            await self._read_shopify()

    async def _items_of_nhanh(self) -> set[int]:
        """The items at Shopify of what Nhanh.vn's events name."""
        async with self._context.database.acquire_for_work() as connection:
            numbers = self._events.ids(Subject.NHANH_PRODUCT)
            found = await mapped_variants.of_nhanh_products(connection, self._store.name, numbers)
            return await mapped_variants.items_of(connection, self._store.name, _variants(found))

    async def _read_nhanh(self) -> None:
        ids = self._events.ids
        whole = ids(Subject.NHANH_PRODUCT, CHANGE_PRODUCTS)
        await self.findings.read(
            Subject.NHANH_PRODUCT, ids(Subject.NHANH_PRODUCT, MOVE_STOCK) - whole, self._read_nhanh_stock
        )
        await self.findings.read(
            Subject.NHANH_PRODUCT,
            whole,
            lambda numbers: read_nhanh_products(self._context, self._store, self._meter, numbers),
        )

    async def _read_nhanh_stock(self, numbers: Collection[int]) -> ItemsRead:
        return await read_nhanh_products(self._context, self._store, self._meter, numbers, stock_only=True)

    async def _read_shopify(self, besides: Collection[int] = ()) -> None:
        """Read what Shopify's events name, and the levels of these items besides."""
        context, store, meter, ids = self._context, self._store, self._meter, self._events.ids
        await self.findings.read(
            Subject.SHOPIFY_ITEM,
            ids(Subject.SHOPIFY_ITEM).union(besides),
            lambda numbers: read_shopify_levels(context, store, meter, numbers),
        )
        await self.findings.read(
            Subject.SHOPIFY_PRODUCT,
            ids(Subject.SHOPIFY_PRODUCT),
            lambda numbers: read_shopify_products(context, store, meter, numbers),
        )

    async def find_variants(self) -> None:
        """Find the mapped variants that the events lead to; what is mapped to nothing is matched before."""
        context, store = self._context, self._store
        nhanh_ids, product_ids = self._events.ids(Subject.NHANH_PRODUCT), self._events.ids(Subject.SHOPIFY_PRODUCT)
        await match_what_is_new(context, store, nhanh_ids, product_ids)
        async with context.database.acquire_for_work() as connection:
            of_nhanh = await mapped_variants.of_nhanh_products(connection, store.name, nhanh_ids)
            of_shopify = await mapped_variants.of_shopify_products(connection, store.name, product_ids)
            of_items = await mapped_variants.of_items(connection, store.name, self._events.ids(Subject.SHOPIFY_ITEM))
            # By the time, for an earlier run of this job may have matched them, and not come to push them.
            new = await mapped_variants.mapped_since(
                connection, store.name, _variants(of_shopify), context.job.created_at
            )
        if self._sets_on_hand:
            await self._read_counterparts(of_shopify, of_items)
            self._lead(Subject.SHOPIFY_ITEM, of_items)
        else:
            # An order at Shopify moves its stock, and may be unknown to Nhanh.vn: what that says would sell it twice.
            self.findings.notes |= {(Subject.SHOPIFY_ITEM, item): _(LEFT_TO_SCHEDULE) for item, _variant in of_items}
            self._without_stock = _variants(of_shopify) - _variants(of_nhanh) - new
        self._lead(Subject.NHANH_PRODUCT, of_nhanh)
        self._lead(Subject.SHOPIFY_PRODUCT, of_shopify)

    async def _read_counterparts(self, of_shopify: Pairs, of_items: Pairs) -> None:
        """Read Nhanh.vn's stock of what Shopify's events lead to, after Shopify. What can't be read is not pushed."""
        variants = _variants(of_shopify) | _variants(of_items)
        async with self._context.database.acquire_for_work() as connection:
            counterparts = await mapped_variants.counterparts(connection, self._store.name, variants)
        wanted = {number for number, _variant in counterparts} - self._events.ids(Subject.NHANH_PRODUCT)
        await self.findings.read(Subject.NHANH_PRODUCT, wanted, self._read_nhanh_stock)
        failed = self.findings.failed
        unread = {
            variant: failed[Subject.NHANH_PRODUCT, number]
            for number, variant in counterparts
            if (Subject.NHANH_PRODUCT, number) in failed
        }
        for subject, pairs in ((Subject.SHOPIFY_PRODUCT, of_shopify), (Subject.SHOPIFY_ITEM, of_items)):
            failed |= {(subject, number): unread[variant] for number, variant in pairs if variant in unread}

    def _lead(self, subject: Subject, pairs: Pairs) -> None:
        for number, variant in pairs:
            self.findings.lead_to((subject, number), variant)

    async def push(self, policy: JobPolicy) -> None:
        """Push what differs of the variants."""
        variants = self.findings.all_owners
        if not variants:
            await self._context.describe(total=self._context.processed)
            return
        because = self._events.because(self.findings, policy.zone)
        self.findings.left = await push_variants(
            self._context, self._store, self._meter, variants, because, prices_only=self._without_stock
        )


def _variants(pairs: Pairs) -> set[int]:
    return {variant for _number, variant in pairs}
