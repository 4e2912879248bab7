"""Which variants a sync of a few items is about: those that somebody has named, read at both sides and matched."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain

import orjson

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.context import JobContext
from daemon.jobs.failures import DeadLetter
from daemon.mirror.keys import match_key, why_no_key
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.lists import PRODUCTS
from daemon.sources.shopify.filters import MAX_QUERY, quoted
from daemon.sync.items import finding
from daemon.tasks.item_reading import ItemsRead, read_nhanh_products, read_shopify_products
from daemon.tasks.match_products import match_what_is_new
from daemon.tasks.registry import Store

MOST_SEARCHED = 20  # codes that Nhanh.vn is asked for by name: a call each
PAGES_SEARCHED = 3  # of what contains the code in its name

NO_KEY = mark('"{sku}" {why}, so it stands for no variant: name the variant by its id.')
NOT_THERE = mark("Shopify has no variant with the SKU {sku}. Is it the right one?")
ONLY_AT_NHANH = mark("Nhanh.vn has the SKU {sku}, but Shopify has no variant with it, and none is mapped to it.")
NO_SUCH_VARIANT = mark("No variant with this id is known here, or Shopify no longer has it: pull Shopify's products.")


@dataclass(frozen=True, slots=True)
class Selection:
    """The variants that are meant.

    Args:
        variants: mapped or not, read at both sides just now.
        named: {SKU as it was given: the variants that it stands for}.
        letters: of SKUs and ids that stand for nothing, and of variants that could not be read.
        unmapped: how many of the variants are mapped to nothing.
    """

    variants: Collection[int]
    named: Mapping[str, Sequence[int]]
    letters: Sequence[DeadLetter]
    unmapped: int


async def select_variants(
    context: JobContext, store: Store, meter: CallMeter, *, skus: Sequence[str] = (), ids: Sequence[int] = ()
) -> Selection:
    """Find the variants with these SKUs, compared as matching does, or these ids, and bring them up to date.

    What the mirror does not know is looked for at its source. A SKU may stand for several variants, and means all of
    them. What is mapped already stays so; the rest is matched by the rules of MATCH_PRODUCTS, but in a dry run.

    Raises:
        SourceRefused, RateLimited, SourceUnavailable: after the retries.
        RunStopped.
    """
    selecting = _Selecting(context, store, meter, skus, ids)
    await selecting.look_for_variants()
    await selecting.read()
    await selecting.look_for_counterparts()
    if not context.params.get("dry_run"):
        await selecting.match()
    return await selecting.result()


class _Selecting:
    def __init__(
        self, context: JobContext, store: Store, meter: CallMeter, skus: Sequence[str], ids: Sequence[int]
    ) -> None:
        self._context = context
        self._store = store
        self._meter = meter
        self._ids = ids
        self._skus = skus
        self._keys = {sku: key for sku in skus if (key := match_key(sku)) is not None}
        self._nhanh = self._shopify = ItemsRead()

    async def look_for_variants(self) -> None:
        """Ask Shopify for the SKUs that the mirror does not know."""
        found = await self._found()
        wanted = [sku for sku, key in self._keys.items() if key not in found]
        for query in _queries(wanted):
            search = self._store.shopify.find_products(query, meter=self._meter)
            await self._read_shopify(await self._context.unless_stopped(search))

    async def read(self) -> None:
        """Read the variants at both sides at once.

        Of what is on hand Shopify first: what it says is compared with what is there when Nhanh.vn's later figure is
        set, so that nothing can have been sent in between.
        """
        variants = await self._meant()
        async with self._context.database.acquire_for_work() as connection:
            products = await finding.products_of(connection, self._store.name, variants)
            counterparts = await finding.nhanh_products_of(connection, self._store.name, variants)
            same_code = await finding.nhanh_of_keys(connection, self._store.name, self._keys.values())
        nhanh_ids = {*chain(*counterparts.values(), *same_code.values())}
        if self._store.synced_quantity == "on_hand":
            await self._read_shopify(products.values())
            await self._read_nhanh(nhanh_ids)
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._read_shopify(products.values()), name="read-named-at-shopify")
                both.create_task(self._read_nhanh(nhanh_ids), name="read-named-at-nhanh")
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    async def look_for_counterparts(self) -> None:
        """Ask Nhanh.vn for what the mirror has nothing to match with."""
        variants = await self._meant()
        async with self._context.database.acquire_for_work() as connection:
            codes = await finding.without_counterpart(connection, self._store.name, variants)
        wanted = {key: code for of_variant in codes for key, code in of_variant.items()}
        for key, code in [*wanted.items()][:MOST_SEARCHED]:
            await self._read_nhanh(await self._context.unless_stopped(self._search_nhanh(key, code)))

    async def match(self) -> None:
        """Match what may have got a counterpart, and read what it has got."""
        variants = await self._meant()
        async with self._context.database.acquire_for_work() as connection:
            products = await finding.products_of(connection, self._store.name, variants)
        await match_what_is_new(self._context, self._store, self._nhanh.read, sorted({*products.values()}))
        async with self._context.database.acquire_for_work() as connection:
            counterparts = await finding.nhanh_products_of(connection, self._store.name, await self._meant())
        await self._read_nhanh({*chain(*counterparts.values())})

    async def result(self) -> Selection:
        """Which variants there are, and what is to be said of the rest."""
        found, variants = await self._found(), await self._meant()
        async with self._context.database.acquire_for_work() as connection:
            products = await finding.products_of(connection, self._store.name, variants)
            counterparts = await finding.nhanh_products_of(connection, self._store.name, variants)
            at_nhanh = await finding.nhanh_of_keys(connection, self._store.name, self._keys.values())
        unread: dict[int, str] = {}
        for variant, product in products.items():
            reasons = [self._nhanh.failed.get(number) for number in counterparts.get(variant, ())]
            why = next(filter(None, [self._shopify.failed.get(product), *reasons]), None)
            if why is not None:
                unread[variant] = why
        named = {sku: sorted(found.get(self._keys.get(sku, ""), ())) for sku in self._skus}
        letters = [self._letter(sku, at_nhanh) for sku, meant in named.items() if not meant]
        letters += [_of_variant(number, _(NO_SUCH_VARIANT)) for number in self._ids if number not in products]
        letters += [_of_variant(number, why) for number, why in sorted(unread.items())]
        variants = products.keys() - unread.keys()
        return Selection(variants, named, letters, unmapped=len(variants - counterparts.keys()))

    def _letter(self, sku: str, at_nhanh: Collection[str]) -> DeadLetter:
        """Why a SKU stands for no variant."""
        if (why := why_no_key(sku)) is not None:
            reason = _(NO_KEY).format(sku=sku, why=why)
        elif self._keys.get(sku) in at_nhanh:
            reason = _(ONLY_AT_NHANH).format(sku=sku)
        else:
            reason = _(NOT_THERE).format(sku=sku)
        return DeadLetter(sku, reason, orjson.dumps({"sku_asked_for": sku}))

    async def _found(self) -> Mapping[str, set[int]]:
        async with self._context.database.acquire_for_work() as connection:
            return await finding.of_keys(connection, self._store.name, self._keys.values())

    async def _meant(self) -> set[int]:
        return {*self._ids, *chain(*(await self._found()).values())}

    async def _read_nhanh(self, numbers: Collection[int]) -> None:
        wanted = {*numbers} - self._nhanh.read - self._nhanh.gone - self._nhanh.failed.keys()
        self._nhanh += await read_nhanh_products(self._context, self._store, self._meter, wanted)

    async def _read_shopify(self, numbers: Collection[int]) -> None:
        wanted = {*numbers} - self._shopify.read - self._shopify.gone - self._shopify.failed.keys()
        self._shopify += await read_shopify_products(self._context, self._store, self._meter, wanted)

    async def _search_nhanh(self, key: str, code: str) -> list[int]:
        """The products with this code or barcode: Nhanh.vn gives all that have it anywhere in their names."""
        found: list[int] = []
        pages = self._store.nhanh.rows(PRODUCTS, {"name": code}, after=None, meter=self._meter)
        async with aclosing(pages):
            left = PAGES_SEARCHED
            async for page in pages:
                products = [row.value for row in page.rows]
                found += [one.id for one in products if key in (match_key(one.code), match_key(one.barcode))]
                left -= 1
                if not left:
                    break
        return found


def _queries(skus: Sequence[str]) -> list[str]:
    """Searches of Shopify for these SKUs, as few as their length allows."""
    queries: list[str] = []
    for term in (f"sku:{quoted(sku)}" for sku in skus):
        longer = f"{queries[-1]} OR {term}" if queries else term
        if queries and len(longer) <= MAX_QUERY:
            queries[-1] = longer
        else:
            queries.append(term)
    return queries


def _of_variant(variant_id: int, reason: str) -> DeadLetter:
    return DeadLetter(str(variant_id), reason, orjson.dumps({"variant_id": variant_id}))
