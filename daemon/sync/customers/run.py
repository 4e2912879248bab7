"""A run of the customer sync in progress: how far it is, what it knows of each customer, and what it has read since."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs.context import JobContext, PageTransaction
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters
from daemon.mirror import customer_values
from daemon.mirror import shopify as mirror
from daemon.mirror.snapshot_time import SnapshotTime, asked_now
from daemon.money import amount_text
from daemon.sources.meter import CallMeter
from daemon.sources.page import Page, SourceRow
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import ShopifyCustomer
from daemon.sync.customers.formats import Formats, choose_formats, needs_currency
from daemon.sync.customers.plan import CustomerRow
from daemon.sync.customers.rules import NOTHING, CustomerRules, Differences, Standing
from daemon.sync.pushes import NOTHING_ELSE

TAGS = "tags"  # stands for the tags where others are called by the name of their metafield
WHOLE = "customer"  # stands for the customer as a whole
UNREADABLE = mark("Shopify's answer holds customers that can't be read")


@dataclass(slots=True)
class Customer:
    """A mapped customer on the way through the run."""

    row: CustomerRow
    standing: Standing | None  # None: Nhanh.vn does not say what was spent, so the customer is left alone
    differences: Differences = NOTHING
    attempts: int = 0  # calls in which a metafield was not taken
    was_pushed: bool = False
    is_gone: bool = False  # at Shopify
    refusals: dict[str, str] = field(default_factory=dict)  # what can't be pushed, and why

    @property
    def id(self) -> int:
        """Shopify's id."""
        return self.row.shopify_id

    def renew(self, row: CustomerRow | None, rules: CustomerRules) -> None:
        """Decide by what is known now; None: the customer is no longer mapped."""
        if row is None:
            self.standing = None
        else:
            # Metafields that another version of the program has stored are those that this run has read.
            is_known = rules.are_known(row.metafields)
            self.row = row if is_known else replace(row, metafields=self.row.metafields, tags=self.row.tags)
            self.standing = None if row.total_amount is None else rules.standing(row.total_amount)
        self.decide(rules)

    @property
    def reason(self) -> str:
        """Why the customer's values should be what they should be."""
        amount = _("nothing") if self.row.total_amount is None else amount_text(self.row.total_amount)
        tier = self.standing.tier if self.standing is not None else None
        return _("customer {nhanh_id} of Nhanh.vn has spent {amount}: {tier}").format(
            nhanh_id=self.row.nhanh_id, amount=amount, tier=tier or _("no tier")
        )

    def decide(self, rules: CustomerRules) -> None:
        """Find out what is to be pushed, by what is known now."""
        if self.standing is None or self.is_gone or WHOLE in self.refusals or self.row.metafields is None:
            self.differences = NOTHING
            return
        found = rules.differences(self.standing, self.row.metafields, self.row.tags)
        metafields = tuple(each for each in found.metafields if each.name not in self.refusals)
        self.differences = Differences(metafields, None if TAGS in self.refusals else found.tags)

    def dead_letter(self) -> DeadLetter:
        """The customer as a failed row."""
        reason = "; ".join(f"{what}: {why.rstrip('.')}" for what, why in self.refusals.items())
        payload = {
            "shopify_id": self.id,
            "nhanh_id": self.row.nhanh_id,
            "total": self.standing and self.standing.total,
            "tier": self.standing and self.standing.tier,
        }
        return DeadLetter(
            str(self.id), _("Shopify did not take all of it: {reason}.").format(reason=reason), orjson.dumps(payload)
        )


@dataclass(frozen=True, slots=True)
class CustomerReading:
    """What Shopify says of some customers at this moment."""

    rows: dict[int, SourceRow[ShopifyCustomer]]
    unreadable: dict[int, str]  # why
    gone: frozenset[int]
    time: SnapshotTime

    @classmethod
    def of(cls, asked: Collection[int], page: Page[ShopifyCustomer], time: SnapshotTime) -> "CustomerReading":
        """Sort an answer. A row without an id may be that of any customer that is missing."""
        rows: dict[int, SourceRow[ShopifyCustomer]] = {row.value.id: row for row in page.rows}
        unreadable = {int(bad.source_id): bad.reason for bad in page.bad if bad.source_id is not None}
        missing = {number for number in asked if number not in rows and number not in unreadable}
        if any(bad.source_id is None for bad in page.bad):
            return cls(rows, unreadable | dict.fromkeys(missing, _(UNREADABLE)), frozenset(), time)
        return cls(rows, unreadable, frozenset(missing), time)

    async def store(self, connection: Connection, store: StoreName) -> None:
        """Put it into the mirror, where nothing newer is known."""
        await mirror.upsert_customers(connection, store, list(self.rows.values()), self.time)
        await customer_values.mark_deleted(connection, store, self.gone, self.time)

    def value(self, customer_id: int, metafield: str) -> str | None:
        """What a customer's metafield says; None where it is not set, or the customer can't be read."""
        row = self.rows.get(customer_id)
        found = row.value.metafields.get(metafield) if row is not None else None
        return None if found is None else found.value

    def inform(self, customers: Iterable[Customer], rules: CustomerRules) -> None:
        """Update customers with what was read, and decide again what to push for them."""
        for customer in customers:
            row = self.rows.get(customer.id)
            if row is not None:
                known = row.value
                customer.row = replace(customer.row, metafields=known.metafields, tags=tuple(known.tags))
            elif customer.id in self.gone:
                customer.is_gone = True
            else:
                customer.refusals[WHOLE] = self.unreadable.get(customer.id, _(UNREADABLE))
            customer.decide(rules)


class CustomerRun:
    """What the steps of the run share.

    A checkpoint says up to which of Shopify's customers all have been counted. Those for whom this job has pushed
    something already in a batch that was interrupted look unchanged now; they count as updated.
    """

    def __init__(
        self,
        context: JobContext,
        store: StoreName,
        shopify: ShopifyClient,
        rules: CustomerRules,
        meter: CallMeter,
        because: Mapping[int, str] = NOTHING_ELSE,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        """A run at its beginning, or where an earlier one was interrupted.

        Args:
            context, store, shopify, rules, meter: the job, and what it works with.
            because: {customer of Shopify: what made the run look at it now}, see `pushes.record`.
            checkpoint: where the run goes on, by default that of its job; what it holds besides the place is kept.
        """
        self.context = context
        self.store = store
        self.shopify = shopify
        self.rules = rules
        self.meter = meter
        self.because = because
        self._begun: Mapping[str, Any] = checkpoint or context.job.checkpoint or {}
        self.after: int = self._begun.get("after", 0)
        self._knows_formats = False
        self.pushed_before: frozenset[int] = frozenset()  # after `after`, by this job

    def consider(self, row: CustomerRow) -> Customer:
        """A customer, with what is to be pushed for it as far as that is known."""
        standing = None if row.total_amount is None else self.rules.standing(row.total_amount)
        customer = Customer(row, standing)
        if self.rules.are_known(row.metafields):
            customer.decide(self.rules)
        return customer

    async def read(self, customer_ids: Collection[int]) -> CustomerReading:
        """Read customers at Shopify. Raises SourceRefused, RateLimited, SourceUnavailable."""
        asked = list(customer_ids)
        async with self.context.database.acquire_for_work() as connection:
            time = await asked_now(connection)
        return CustomerReading.of(asked, await self.shopify.customers_by_ids(asked, meter=self.meter), time)

    async def learn(self, customers: Sequence[Customer]) -> None:
        """Read those customers whose metafields have not been read yet, into the mirror, too. Raises RunStopped."""
        unknown = {
            customer.id: customer
            for customer in customers
            if customer.standing is not None and not self.rules.are_known(customer.row.metafields)
        }
        if not unknown:
            return
        reading = await self.context.unless_stopped(self.read(unknown))
        async with self.step() as page:
            await reading.store(page.connection, self.store)
        reading.inform(unknown.values(), self.rules)

    async def know_formats(self, customers: Sequence[Customer]) -> None:
        """Learn how to write metafields before anything is written, and decide again about these customers.

        Before a tag as well: a sync that can't say all of it says nothing. Raises RunStopped, and SourceRefused where a
        metafield can't hold its value.
        """
        if self._knows_formats or not any(customer.differences for customer in customers):
            return
        await self.read_formats()
        for customer in customers:
            customer.decide(self.rules)

    async def read_formats(self) -> None:
        """Ask how the shop defines the metafields, once in a run. Raises as `know_formats`."""
        if not self._knows_formats:
            self.rules.formats = await self.context.unless_stopped(self._formats())
            self._knows_formats = True

    async def _formats(self) -> Formats:
        definitions = await self.shopify.customer_definitions(meter=self.meter)
        if not needs_currency(self.rules.settings, definitions):
            return choose_formats(self.rules.settings, definitions)
        return choose_formats(self.rules.settings, definitions, (await self.shopify.shop(meter=self.meter)).currency)

    @asynccontextmanager
    async def step(self) -> AsyncIterator[PageTransaction]:
        """A transaction of the run in which nothing is counted."""
        async with self.context.page(checkpoint=self.checkpoint(self.after), pages=0) as page:
            yield page

    async def close(self, batch: Sequence[Customer]) -> None:
        """Count a finished batch, and move the checkpoint past it. Raises RunStopped after that."""
        failed = [customer for customer in batch if customer.refusals and not customer.is_gone]
        sound = [customer for customer in batch if not customer.refusals or customer.is_gone]
        updated = sum(customer.was_pushed or customer.id in self.pushed_before for customer in sound)
        async with self.context.page(checkpoint=self.checkpoint(batch[-1].id)) as page:
            page.count(Counters(updated=updated, skipped=len(sound) - updated))
            page.reject([customer.dead_letter() for customer in failed])
        self.after = batch[-1].id

    def checkpoint(self, after: int) -> dict[str, Any]:
        """The checkpoint of a run that has counted all customers up to this one."""
        return {**self._begun, "after": after}
