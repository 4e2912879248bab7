"""Pushing metafields and tags of customers: intents first, then the call, then its outcome.

Metafields are compared and set, some customers in a call, which Shopify carries out whole or not at all. One that is
stale is read and decided again; one that is refused stays away from the next call. Tags are added and removed, customer
by customer: doing that twice changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import uuid4

from daemon.api.pushes import PushKind, PushResult
from daemon.database.pool import Connection
from daemon.errors import SourceError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.mirror import customer_values
from daemon.sources.shopify.models import Metafield
from daemon.sources.shopify.writes import (
    MAX_METAFIELD_CHANGES,
    METAFIELD_STALE_CODES,
    MetafieldChange,
    MetafieldOutcome,
    WriteError,
)
from daemon.sync import pushes
from daemon.sync.customers.plan import planned_again
from daemon.sync.customers.reconciliation import KINDS, reconcile_interrupted
from daemon.sync.customers.rules import CustomerRules, MetafieldDifference, TagDifference, tags_as_text
from daemon.sync.customers.run import TAGS, WHOLE, Customer, CustomerReading, CustomerRun
from daemon.sync.pushes import IntendedPush, Value
from daemon.sync.recording import BUSY, Recording, lock_customers

MAX_CUSTOMERS = 25  # to push in a batch
MAX_ATTEMPTS = 5  # calls for one customer's metafields, each after reading what had changed meanwhile
MOST_UNNAMED = 20  # values of a run that are looked for by halves; then it is not the values that are wrong
CALLS_AT_ONCE = 5  # of tags: what fills Shopify's limits without standing in the way of others for long

LOST_ANSWER = mark("Shopify has it; the answer to the first attempt was lost")
NOT_ALONE = mark("not written, because another value of the same call was refused; it is sent again")
RESTLESS = mark("somebody else changed its value before each of {attempts} attempts; the next sync tries again")

T = TypeVar("T")
Verdict = tuple[PushResult, str | None]
Change = tuple[Customer, MetafieldDifference]


def batches(customers: Sequence[Customer]) -> Iterator[Sequence[Customer]]:
    """Split into pieces whose differences fit into one call for metafields; what needs nothing goes along."""
    begin = metafields = differing = 0
    for place, customer in enumerate(customers):
        needed, differs = len(customer.differences.metafields), bool(customer.differences)
        if metafields + needed > MAX_METAFIELD_CHANGES or differing + differs > MAX_CUSTOMERS:
            yield customers[begin:place]
            begin, metafields, differing = place, 0, 0
        metafields += needed
        differing += differs
    if begin < len(customers):
        yield customers[begin:]


class CustomerPush:
    """Pushes batches of customers for a run."""

    def __init__(self, run: CustomerRun) -> None:
        self._run = run
        self._recording = Recording(
            run.context, run.store, KINDS, lock_customers, run.step, partial(reconcile_interrupted, run)
        )
        self._unnamed = 0  # values that were refused without being named

    async def push(self, batch: Sequence[Customer]) -> None:
        """Push what differs in a batch, and close it.

        Calls that write, and what they need to be understood, are awaited as they are: a stop does not abandon them.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: a call failed; its pushes stay open.
            StorePaused: nothing more may be sent; what was sent before is noted.
            RunStopped: after the batch.
        """
        differing = [customer for customer in batch if customer.differences]
        while changes := _next_call(differing):
            await self._push_metafields(changes)
        await self._push_tags([customer for customer in differing if customer.differences.tags is not None])
        await self._run.close(batch)

    # ── Metafields ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _push_metafields(self, planned: Sequence[Change]) -> None:
        run = self._run

        async def record(connection: Connection) -> tuple[list[Change], list[int]]:
            changes = _still_due(planned)
            intents = [_metafield_push(*change) for change in changes]
            ids = await pushes.record(connection, run.store, run.context.job.id, uuid4(), intents, run.because)
            return changes, ids

        changes, ids = await self._note([customer for customer, _ in planned], record)
        if not changes:
            return
        retries = run.meter.retries
        outcome = await run.shopify.set_metafields([_metafield_change(*change) for change in changes], meter=run.meter)
        if self._is_unnamed(outcome) and len(changes) > 1 and self._unnamed < MOST_UNNAMED:
            async with run.step() as page:
                await pushes.settle(page.connection, dict.fromkeys(ids, (PushResult.REFUSED, _(NOT_ALONE))))
            middle = len(changes) // 2
            await self._push_metafields(changes[:middle])
            await self._push_metafields(changes[middle:])
        elif outcome.errors:
            self._unnamed += self._is_unnamed(outcome)
            await self._take_refusal(changes, ids, outcome, was_repeated=run.meter.retries > retries)
        else:
            await self._take_success(changes, ids, outcome)

    async def _note(
        self, customers: Iterable[Customer], record: Callable[[Connection], Awaitable[tuple[list[T], list[int]]]]
    ) -> tuple[list[T], list[int]]:
        """The result of `record`, which notes what these customers need by what is known now."""
        run, by_id = self._run, {customer.id: customer for customer in customers}

        async def note(connection: Connection, busy: frozenset[Value]) -> tuple[list[T], list[int]]:
            rows = await planned_again(connection, run.store, list(by_id))
            for number, customer in by_id.items():
                if (number, 0) in busy:
                    customer.refusals[WHOLE] = _(BUSY)
                customer.renew(rows.get(number), run.rules)
            return await record(connection)

        return await self._recording.note([(number, 0) for number in by_id], note)

    @staticmethod
    def _is_unnamed(outcome: MetafieldOutcome) -> bool:
        """Whether Shopify has refused a call for a value that it does not name, along with all others of it."""
        return any(error.index is None and error.code not in METAFIELD_STALE_CODES for error in outcome.errors)

    async def _take_success(self, changes: Sequence[Change], ids: Sequence[int], outcome: MetafieldOutcome) -> None:
        run = self._run
        known: dict[int, dict[str, Metafield]] = {}
        for customer, difference in changes:
            digest = outcome.digests[customer.id, difference.name]
            metafield = Metafield(value=difference.desired, digest=digest, type=difference.type)
            known.setdefault(customer.id, {})[difference.name] = metafield
        async with run.step() as page:
            await pushes.settle(page.connection, dict.fromkeys(ids, (PushResult.APPLIED, None)))
            await customer_values.set_metafields(page.connection, run.store, known)
        for customer, _change in changes:
            metafields = {**(customer.row.metafields or {}), **known[customer.id]}
            customer.row = replace(customer.row, metafields=metafields)
            customer.was_pushed = True
            customer.decide(run.rules)

    async def _take_refusal(
        self, changes: Sequence[Change], ids: Sequence[int], outcome: MetafieldOutcome, *, was_repeated: bool
    ) -> None:
        """Nothing was written, unless it was by an earlier attempt of the same call: read what Shopify has now."""
        run = self._run
        customers = {customer.id: customer for customer, _ in changes}
        reading = await run.read(customers)
        settled: dict[int, Verdict] = {}
        concerned: set[int] = set()
        for index, (push_id, (customer, difference)) in enumerate(zip(ids, changes, strict=True)):
            errors = [error for error in outcome.errors if error.index in (index, None)]
            if errors:
                concerned.add(customer.id)
            verdict = _verdict(run.rules, reading, customer, difference, errors, was_repeated=was_repeated)
            settled[push_id] = verdict
            if verdict[0] is PushResult.APPLIED:
                customer.was_pushed = True
            elif _refused(errors) and not _has(run.rules, reading, customer, difference):
                customer.refusals[difference.name] = _said(_refused(errors))
        async with run.step() as page:
            await pushes.settle(page.connection, settled)
            await reading.store(page.connection, run.store)
        for number in concerned:
            customers[number].attempts += 1
        reading.inform(customers.values(), run.rules)

    # ── Tags ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _push_tags(self, planned: Sequence[Customer]) -> None:
        if not planned:
            return
        run = self._run

        async def record(connection: Connection) -> tuple[list[Customer], list[int]]:
            due, ids = [customer for customer in planned if customer.differences.tags is not None], list[int]()
            for customer in due:
                intents, key = [_tag_push(customer)], uuid4()
                ids += await pushes.record(connection, run.store, run.context.job.id, key, intents, run.because)
            return due, ids

        customers, ids = await self._note(planned, record)
        if not customers:
            return
        answers, failure = await self._change_tags_of_all(customers)
        done = [customer for customer in customers if answers.get(customer.id) == []]
        refused = {customer.id: customer for customer in customers if answers.get(customer.id)}
        reading = await run.read(refused) if refused else None
        settled: dict[int, Verdict] = {
            push_id: _tag_verdict(answers[customer.id])
            for push_id, customer in zip(ids, customers, strict=True)
            if customer.id in answers
        }
        async with run.step() as page:
            await pushes.settle(page.connection, settled)
            tags = {customer.id: _tags_after(customer) for customer in done}
            await customer_values.set_tags(page.connection, run.store, tags)
            if reading is not None:
                await reading.store(page.connection, run.store)
        for customer in done:
            customer.was_pushed = True
        for customer in refused.values():
            customer.refusals[TAGS] = _said(answers[customer.id])
        if reading is not None:
            reading.inform(refused.values(), run.rules)
        if failure is not None:
            raise failure

    async def _change_tags_of_all(
        self, customers: Sequence[Customer]
    ) -> tuple[dict[int, list[WriteError]], SourceError | None]:
        """What Shopify says to each, by customer; those whose call failed or was not begun are missing."""
        answers: dict[int, list[WriteError]] = {}
        failures: list[SourceError] = []
        room = asyncio.Semaphore(CALLS_AT_ONCE)

        async def change(customer: Customer) -> None:
            async with room:
                if failures:  # the next one would fare no better
                    return
                try:
                    answers[customer.id] = await self._change_tags(customer)
                except SourceError as error:  # raised when what the other calls did has been noted
                    failures.append(error)

        # Calls under way are waited for, even where the run is stopped beside them.
        for ended in await asyncio.gather(*map(change, customers), return_exceptions=True):
            if ended is not None:
                raise ended
        return answers, failures[0] if failures else None

    async def _change_tags(self, customer: Customer) -> list[WriteError]:
        difference, shopify, meter = _tags_of(customer), self._run.shopify, self._run.meter
        # The new tier first: nobody is without one in between.
        errors = await shopify.add_tags(customer.id, difference.added, meter=meter)
        return errors or await shopify.remove_tags(customer.id, difference.removed, meter=meter)


def _next_call(customers: Sequence[Customer]) -> list[Change]:
    """The changes of the next call; customers who have had their share of attempts fail.

    Those who have been stale stay apart from the others, so that a restless one does not keep anybody else waiting.
    """
    for customer in customers:
        if customer.attempts == MAX_ATTEMPTS and customer.differences.metafields:
            customer.refusals.update(
                {
                    difference.name: _(RESTLESS).format(attempts=MAX_ATTEMPTS)
                    for difference in customer.differences.metafields
                }
            )
            customer.differences = replace(customer.differences, metafields=())
    waiting = [customer for customer in customers if customer.differences.metafields]
    fewest = min((customer.attempts for customer in waiting), default=0)
    changes: list[Change] = []
    for customer in waiting:
        differences = customer.differences.metafields
        if customer.attempts == fewest and len(changes) + len(differences) <= MAX_METAFIELD_CHANGES:
            changes += [(customer, difference) for difference in differences]
    return changes


def _still_due(planned: Sequence[Change]) -> list[Change]:
    """What of these changes is to be made by what is known of their customers now."""
    now = {(customer.id, each.name): each for customer, _ in planned for each in customer.differences.metafields}
    due = ((customer, now.get((customer.id, difference.name))) for customer, difference in planned)
    return [(customer, difference) for customer, difference in due if difference is not None]


def _metafield_change(customer: Customer, difference: MetafieldDifference) -> MetafieldChange:
    digest = None if difference.present is None else difference.present.digest
    return MetafieldChange(customer.id, difference.name, difference.type, difference.desired, digest)


def _metafield_push(customer: Customer, difference: MetafieldDifference) -> IntendedPush:
    old, new = difference.present_value, difference.desired
    return IntendedPush(PushKind.METAFIELD, customer.id, old, new, customer.reason, name=difference.name)


def _tag_push(customer: Customer) -> IntendedPush:
    difference = _tags_of(customer)
    old, new = (tags_as_text(tags) for tags in (difference.present, difference.desired))
    return IntendedPush(PushKind.TAGS, customer.id, old, new, customer.reason)


def _tags_of(customer: Customer) -> TagDifference:
    difference = customer.differences.tags
    if difference is None:
        raise ValueError(f"nothing is to be done about the tags of customer {customer.id}")
    return difference


def _tags_after(customer: Customer) -> list[str]:
    difference = _tags_of(customer)
    kept = [tag for tag in customer.row.tags if tag not in difference.removed]
    return sorted([*kept, *difference.added], key=str.casefold)


def _has(rules: CustomerRules, reading: CustomerReading, customer: Customer, difference: MetafieldDifference) -> bool:
    """Whether Shopify says already what it should say."""
    return rules.says(difference.name, reading.value(customer.id, difference.name), difference.desired)


def _verdict(
    rules: CustomerRules,
    reading: CustomerReading,
    customer: Customer,
    difference: MetafieldDifference,
    errors: Sequence[WriteError],
    *,
    was_repeated: bool,
) -> Verdict:
    """The outcome of one metafield of a call that was refused; `errors` are those that concern it."""
    present = reading.value(customer.id, difference.name)
    if was_repeated and _has(rules, reading, customer, difference):
        return PushResult.APPLIED, _(LOST_ANSWER)
    if refused := _refused(errors):
        return PushResult.REFUSED, _said(refused)
    if errors:
        found = _("Shopify has none") if present is None else _("Shopify has {value}").format(value=present)
        if was_repeated:
            return PushResult.UNKNOWN, _("an answer was lost; {found}").format(found=found)
        return PushResult.STALE, found
    return PushResult.REFUSED, _(NOT_ALONE)


def _tag_verdict(errors: Sequence[WriteError]) -> Verdict:
    return (PushResult.REFUSED, _said(errors)) if errors else (PushResult.APPLIED, None)


def _refused(errors: Sequence[WriteError]) -> list[WriteError]:
    """Those that reading the value again does not help against."""
    return [error for error in errors if error.code not in METAFIELD_STALE_CODES]


def _said(errors: Sequence[WriteError]) -> str:
    return "; ".join(error.message for error in errors)
