"""Which customers a sync of some is about: those that somebody has named, read at both sides and matched."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.context import JobContext
from daemon.jobs.failures import DeadLetter
from daemon.sources.meter import CallMeter
from daemon.sync.customers import finding
from daemon.sync.customers.finding import Found
from daemon.sync.matching.customer_keys import Side
from daemon.tasks.customer_matching import match_undecided, read_phones
from daemon.tasks.customer_reading import (
    find_nhanh_customers,
    find_shopify_customers,
    read_nhanh_customers,
    read_shopify_customers,
)
from daemon.tasks.item_reading import ItemsRead
from daemon.tasks.registry import Store

A = TypeVar("A")
B = TypeVar("B")

NOBODY = mark("Nobody at Nhanh.vn or Shopify has this phone number: is it the right one?")
NOT_THERE = mark("Shopify has no customer with this id, or no longer.")


@dataclass(frozen=True, slots=True)
class Selection:
    """The customers that are meant.

    Args:
        customers: of Shopify, mapped and read at both sides just now, in their order.
        letters: of what is nobody's, and of whom could not be read.
        unmapped: how many customers of Shopify were meant, too, and have no counterpart.
    """

    customers: Sequence[int]
    letters: Sequence[DeadLetter]
    unmapped: int


@dataclass(slots=True)
class _Read:
    """What was read of both sides."""

    nhanh: ItemsRead = field(default_factory=ItemsRead)
    shopify: ItemsRead = field(default_factory=ItemsRead)


async def select_customers(
    context: JobContext, store: Store, meter: CallMeter, *, phones: Sequence[str] = (), ids: Sequence[int] = ()
) -> Selection:
    """Find the customers with these phone numbers, in E.164, or these ids of Shopify, and bring them up to date.

    Who is mapped already stays it; the others are matched by the rules of MATCH_CUSTOMERS, but in a dry run.

    Raises:
        SourceRefused, RateLimited, SourceUnavailable: after the retries.
        RunStopped.
    """
    selecting = _Selecting(context, store, meter, phones, ids)
    await selecting.read()
    if not context.params.get("dry_run"):
        await selecting.match()
    return await selecting.result()


class _Selecting:
    def __init__(
        self, context: JobContext, store: Store, meter: CallMeter, phones: Sequence[str], ids: Sequence[int]
    ) -> None:
        self._context = context
        self._store = store
        self._meter = meter
        self._phones = phones
        self._ids = ids
        self._read = _Read()

    async def read(self) -> None:
        """Read whom the mirror knows by their ids, and look for the others by their numbers."""
        found = await self._found()
        shopify_ids = {*self._ids, *_all_of(found, Side.SHOPIFY)}
        nhanh_ids = _all_of(found, Side.NHANH)
        partners = await self._partners(shopify_ids, nhanh_ids)
        await self._read_both({*nhanh_ids, *partners.values()}, {*shopify_ids, *partners})
        await self._look_for_the_absent()
        await self._look_for_partners()

    async def match(self) -> None:
        """Let matching decide about those who are not mapped, where it could map them; who comes in by that is read."""
        meant = await self._meant()
        await match_undecided(self._context, self._store, meant)
        partners = await self._partners(meant, ())
        found = frozenset(partners.values()) - self._read.nhanh.failed.keys() - self._read.nhanh.read
        self._read.nhanh += await read_nhanh_customers(self._context, self._store, self._meter, found)

    async def result(self) -> Selection:
        """Who is to be synced, and what is to be said of the others."""
        found, meant = await self._found(), await self._meant()
        partners = await self._partners(meant, ())
        unread = self._unread(partners)
        nobodys = [phone for phone in self._phones if not found[phone].nhanh | found[phone].shopify]
        absent = [number for number in self._ids if number in self._read.shopify.gone]
        letters = [
            *(_letter(phone, _(NOBODY), phone=phone) for phone in nobodys),
            *(_letter(str(number), _(NOT_THERE), shopify_id=number) for number in absent),
            *(_letter(str(number), reason, shopify_id=number) for number, reason in sorted(unread.items())),
        ]
        mapped = partners.keys() - unread.keys() - self._read.shopify.gone
        unmapped = meant - partners.keys() - unread.keys() - self._read.shopify.gone
        return Selection(sorted(mapped), letters, len(unmapped))

    async def _found(self) -> Mapping[str, Found]:
        async with self._context.database.acquire_for_work() as connection:
            return await finding.of_phones(connection, self._store.name, self._phones)

    async def _meant(self) -> frozenset[int]:
        """The customers of Shopify that are meant, as far as is known by now."""
        found = await self._found()
        partners = await self._partners((), _all_of(found, Side.NHANH))
        return frozenset({*self._ids, *_all_of(found, Side.SHOPIFY), *partners})

    async def _partners(self, shopify_ids: Collection[int], nhanh_ids: Collection[int]) -> Mapping[int, int]:
        async with self._context.database.acquire_for_work() as connection:
            return await finding.partners(connection, self._store.name, shopify_ids, nhanh_ids)

    async def _read_both(self, nhanh_ids: set[int], shopify_ids: set[int]) -> None:
        context, store, meter = self._context, self._store, self._meter
        self._read.nhanh, self._read.shopify = await _both(
            read_nhanh_customers(context, store, meter, nhanh_ids),
            read_shopify_customers(context, store, meter, shopify_ids),
        )
        await read_phones(context, store, {Side.NHANH: nhanh_ids, Side.SHOPIFY: shopify_ids})

    async def _look_for_the_absent(self) -> None:
        """Who has one of the numbers may not be mirrored yet, or no longer be whom the mirror knew by it."""
        context, store, meter, found = self._context, self._store, self._meter, await self._found()
        of_nhanh, of_shopify = await _both(
            find_nhanh_customers(context, store, meter, [phone for phone in self._phones if not found[phone].nhanh]),
            find_shopify_customers(
                context, store, meter, [phone for phone in self._phones if not found[phone].shopify]
            ),
        )
        self._read.nhanh += ItemsRead(of_nhanh)
        await read_phones(context, store, {Side.NHANH: of_nhanh, Side.SHOPIFY: of_shopify})

    async def _look_for_partners(self) -> None:
        """Who is mapped to nobody may have a number whose owner at Nhanh.vn is not mirrored yet."""
        meant = await self._meant()
        async with self._context.database.acquire_for_work() as connection:
            open_ones = await finding.undecided(connection, self._store.name, meant)
            phones = await finding.phones_of(connection, self._store.name, open_ones)
            known = await finding.of_phones(connection, self._store.name, phones)
        wanted = [phone for phone in phones if not known[phone].nhanh and phone not in self._phones]
        found = await find_nhanh_customers(self._context, self._store, self._meter, wanted)
        self._read.nhanh += ItemsRead(found)
        await read_phones(self._context, self._store, {Side.NHANH: found})

    def _unread(self, partners: Mapping[int, int]) -> dict[int, str]:
        """The customers of Shopify of whom one side could not be read, with the reason: nothing old is pushed."""
        of_nhanh = {
            number: self._read.nhanh.failed[nhanh_id]
            for number, nhanh_id in partners.items()
            if nhanh_id in self._read.nhanh.failed
        }
        return {**of_nhanh, **self._read.shopify.failed}


def _all_of(found: Mapping[str, Found], side: Side) -> frozenset[int]:
    return frozenset().union(*(one.nhanh if side is Side.NHANH else one.shopify for one in found.values()))


def _letter(source_id: str, reason: str, **payload: object) -> DeadLetter:
    return DeadLetter(source_id, reason, orjson.dumps(payload))


async def _both(one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """Await both at once; raises what the first of them raises, after the other has ended."""

    async def first() -> A:
        return await one

    async def second() -> B:
        return await other

    try:
        async with asyncio.TaskGroup() as group:
            of_one = group.create_task(first(), name="read-nhanh-customers")
            of_other = group.create_task(second(), name="read-shopify-customers")
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return of_one.result(), of_other.result()
