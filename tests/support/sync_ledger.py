"""What must hold of the product sync when all is quiet: of both shops, the journal, the log and the counters."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from daemon.sandbox.shopify.inventory_fields import quantity_of
from daemon.sandbox.shopify.writes import AppliedWrite, Subject
from tests.support.shop_memory import ShopMemory

Fetch = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]

# What was mapped at any time, and what was pushed to a variant that was not mapped at that very moment.
WATCH = """
CREATE TABLE public.mapped_ever (variant_id bigint, nhanh_id bigint);
CREATE TABLE public.pushed_unmapped (push_id bigint, kind text, owner_id bigint, call_key uuid);
CREATE FUNCTION public.note_mapping() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.mapped_ever VALUES (NEW.variant_id, NEW.nhanh_id); RETURN NULL; END $$;
CREATE FUNCTION public.note_push() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.pushed_unmapped
    SELECT NEW.id, NEW.kind, NEW.owner_id, NEW.call_key WHERE NOT EXISTS (
        SELECT FROM dongbo.product_mappings AS mapping
        WHERE mapping.store = NEW.store AND mapping.variant_id = NEW.owner_id AND mapping.retired_at IS NULL
          AND mapping.nhanh_id IS NOT NULL
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note_mapping AFTER INSERT OR UPDATE ON dongbo.product_mappings
    FOR EACH ROW EXECUTE FUNCTION public.note_mapping();
CREATE TRIGGER note_push AFTER INSERT ON dongbo.pushes FOR EACH ROW EXECUTE FUNCTION public.note_push();
"""

MAPPED = "SELECT variant_id, nhanh_id FROM dongbo.product_mappings WHERE retired_at IS NULL AND nhanh_id IS NOT NULL"
MAPPED_EVER = "SELECT DISTINCT variant_id, nhanh_id FROM public.mapped_ever"
PUSHED_UNMAPPED = "SELECT * FROM public.pushed_unmapped"
PUSHES = "SELECT * FROM dongbo.pushes ORDER BY id"

# A row of the counters is a variant at a location, or the prices of a variant.
SYNCS = """
SELECT id, status, total, processed, successful, created, updated, skipped, failed, (
    SELECT count(DISTINCT (owner_id, coalesce(location_id, 0))) FROM dongbo.pushes
    WHERE job_id = job.id AND result = 'applied'
) AS pushed, (SELECT count(*) FROM dongbo.job_failures WHERE job_id = job.id) AS letters
FROM dongbo.background_jobs AS job
WHERE type IN ('SYNC_PRODUCTS', 'SYNC_CHANGED_PRODUCTS') AND completed_at IS NOT NULL
  AND NOT coalesce((params ->> 'dry_run')::boolean, false)
"""

CHANGED = ("applied", "unknown")
INFERRED = ("interrupted", "an answer was lost")  # details of results that were concluded from a later reading: where
# somebody else has set the very same value, the daemon can't tell


async def check_quiet(memory: ShopMemory, fetch: Fetch) -> int:
    """All that must hold when nothing happens any more; how many pairs of variant and location are in step."""
    pairs = {row["variant_id"]: row["nhanh_id"] for row in await fetch(MAPPED)}
    pushes = await fetch(PUSHES)
    assert not [push for push in pushes if push["result"] == "intended"], "no push stays open"
    check_mapped(memory, pairs)
    in_step = check_equal(memory, pairs)
    check_written_once(memory.journal)
    check_log(memory, pushes)
    await check_places(memory, fetch)
    await check_order(memory, fetch)
    await check_counters(fetch)
    return in_step


def check_mapped(memory: ShopMemory, pairs: Mapping[int, int]) -> None:
    """What has an SKU of its own on both sides is mapped: nothing below holds for want of pairs."""
    codes = Counter(key(product.code) for product in memory.sold())
    skus = Counter(key(variant.sku) for variant in memory.shopify.variants.values())
    product_of = {key(product.code): product.id for product in memory.sold()}
    taken = set(pairs.values())
    for variant in memory.shopify.variants.values():
        sku = key(variant.sku)
        if sku and skus[sku] == codes[sku] == 1 and variant.id not in pairs:
            assert product_of[sku] in taken, f"{variant.id} has the SKU of {product_of[sku]} and is not mapped"
    for variant_id, product_id in pairs.items():
        assert variant_id in memory.shopify.variants, f"{variant_id} was deleted"
        assert product_id in memory.nhanh.products, f"{product_id} was deleted"


def check_equal(memory: ShopMemory, pairs: Mapping[int, int]) -> int:
    """Shopify has what Nhanh.vn has, of every mapped variant at every configured location, and its prices."""
    wrong, in_step = [], 0
    for variant_id, product_id in pairs.items():
        variant = memory.shopify.variants[variant_id]
        price, compare_at = memory.desired_prices(product_id)
        if price > 0 and (variant.price, variant.compare_at_price) != (price, compare_at):
            wrong.append((variant_id, "prices", (variant.price, variant.compare_at_price), (price, compare_at)))
        if not variant.tracked:
            continue
        for location_id in memory.depots_of:
            level, desired = variant.level_at(location_id), memory.desired(product_id, location_id)
            present = quantity_of(level, memory.settings.quantity) if level is not None else None
            in_step += 1
            if present != desired and (present is not None or desired != 0):
                wrong.append((variant_id, location_id, present, desired))
    assert not wrong, wrong
    return in_step


def check_written_once(journal: Sequence[AppliedWrite]) -> None:
    """However often a call is sent, it has an effect on a value at most once."""
    effects = [write for write in journal if write.has_effect]
    again = Counter((write.key, write.subject) for write in effects if write.key is not None)
    assert not [one for one, times in again.items() if times > 1], again.most_common(5)


def check_log(memory: ShopMemory, pushes: Sequence[Mapping[str, Any]]) -> None:
    """Each effect has its push, which says that it may have been; each push that says it was applied has its write."""
    keyed = {
        (str(push["call_key"]), push["kind"], push["item_id"], push["location_id"]): push
        for push in pushes
        if push["kind"] in ("stock", "activation")
    }
    assert len(keyed) == sum(push["kind"] in ("stock", "activation") for push in pushes), "one push a call and value"
    written = {(write.key, write.subject) for write in memory.journal}
    for write in memory.journal:
        if write.has_effect and write.key is not None:
            _check_effect(keyed, write)
    for (call_key, kind, item_id, location_id), push in keyed.items():
        subject = ("activate" if kind == "activation" else kind, item_id, location_id)
        keys = (call_key, None) if kind == "activation" else (call_key,)  # one call for many locations carries no key
        if push["result"] == "applied" and not any((sent, subject) in written for sent in keys):
            assert _is_inferred(push), f"applied, and never written: {push}"
            assert memory.foreign[subject], f"applied, and never written: {push}"
    _check_prices(memory, pushes)


def _check_effect(keyed: Mapping[Any, Mapping[str, Any]], write: AppliedWrite) -> None:
    kind, item_id, location_id = write.subject
    push = keyed.get((write.key, "activation" if kind == "activate" else kind, item_id, location_id))
    assert push is not None, f"written without an intent: {write}"
    if kind == "stock":
        assert (push["old_value"], push["new_value"]) == (str(write.before), str(write.after)), (push, write)
    assert push["result"] in CHANGED, f"{write} is logged as {dict(push)}"


def _check_prices(memory: ShopMemory, pushes: Sequence[Mapping[str, Any]]) -> None:
    """Price calls have no key: each effect needs a push of its own, but for those that write over somebody else's."""
    kinds = ("price", "compare_at_price")
    changed: defaultdict[tuple[Subject, str | None], int] = defaultdict(int)
    for push in pushes:
        if push["kind"] in kinds and push["result"] in CHANGED:
            changed[(push["kind"], push["owner_id"]), push["new_value"]] += 1
        if push["kind"] in kinds and push["result"] == "applied":
            subject, wanted = (push["kind"], push["owner_id"]), push["new_value"]
            was_written = any(write.subject == subject and plain(write.after) == wanted for write in memory.journal)
            assert was_written or memory.foreign[subject], f"applied, and never written: {push}"
    effects = Counter(
        (write.subject, plain(write.after))
        for write in memory.journal
        if write.key is None and write.has_effect and write.subject[0] in kinds
    )
    for (subject, value), times in effects.items():
        assert times <= changed[subject, value] + memory.foreign[subject], f"{subject} set to {value} {times} times"


async def check_places(memory: ShopMemory, fetch: Fetch) -> None:
    """Only mapped variants are written to, only at configured locations, and only values that Nhanh.vn had."""
    unmapped = [dict(row) for row in await fetch(PUSHED_UNMAPPED)]
    assert not unmapped, f"pushed though not mapped at that moment: {unmapped}"
    products: defaultdict[int, set[int]] = defaultdict(set)
    for row in await fetch(MAPPED_EVER):
        if row["nhanh_id"] is not None:
            products[row["variant_id"]].add(row["nhanh_id"])
    variant_of = {push["item_id"]: push["owner_id"] for push in await fetch(PUSHES) if push["item_id"] is not None}
    for write in memory.journal:
        match write.subject:
            case ("stock" | "activate" as kind, int(item_id), int(location_id)):
                assert location_id in memory.depots_of, f"not a configured location: {write}"
                meant = [memory.stock_ever[number, location_id] for number in products[variant_of[item_id]]]
                assert kind == "activate" or write.after in _all(meant), f"Nhanh.vn never had that: {write}"
            case ("price" | "compare_at_price" as kind, int(variant_id)):
                place = ("price", "compare_at_price").index(kind)
                prices = _all(memory.prices_ever[number] for number in products[variant_id])
                assert write.after in {pair[place] for pair in prices}, f"Nhanh.vn never had that: {write}"
            case _:
                raise AssertionError(f"the product sync does not write that: {write}")


async def check_order(memory: ShopMemory, fetch: Fetch) -> None:
    """No older stock goes over a newer one: what was written to an item is, in order, what Nhanh.vn had in order.

    Of items that have always been mapped to one product.
    """
    products: defaultdict[int, set[int]] = defaultdict(set)
    for row in await fetch(MAPPED_EVER):
        if row["nhanh_id"] is not None:
            products[row["variant_id"]].add(row["nhanh_id"])
    variant_of = {push["item_id"]: push["owner_id"] for push in await fetch(PUSHES) if push["item_id"] is not None}
    written: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for write in memory.journal:
        match write.subject:
            case ("stock", int(item_id), int(location_id)) if write.has_effect and write.key is not None:
                written[item_id, location_id].append(write.after)
    for (item_id, location_id), values in written.items():
        (product, *others) = products[variant_of[item_id]]
        if others:
            continue
        story = iter(memory.stock_story[product, location_id])
        before: Any = None
        for value in values:
            is_told = value == before or value in story  # which takes from the story all up to it
            assert is_told, f"{value} over something newer at {item_id}, {location_id}: {values}, of {product}"
            before = value


async def check_counters(fetch: Fetch) -> None:
    """The counters of the syncs that have ended equal what the log says they pushed."""
    for job in await fetch(SYNCS):
        assert job["processed"] == job["successful"] + job["skipped"] + job["failed"], job
        assert job["successful"] == job["updated"], job
        assert job["failed"] == job["letters"], job
        assert job["updated"] <= job["pushed"], job
        if job["status"] == "COMPLETED":
            assert job["processed"] == job["total"], job
            # A row that was stocked there and then refused has failed.
            assert job["pushed"] - job["updated"] <= job["failed"], job


def plain(value: object) -> str | None:
    """A price as the log writes it."""
    return None if value is None else f"{value:f}".removesuffix(".00")


def key(sku: str | None) -> str:
    """An SKU as both sides compare it."""
    return (sku or "").strip().casefold()


def _is_inferred(push: Mapping[str, Any]) -> bool:
    return (push["detail"] or "").startswith(INFERRED)


def _all(values: Iterable[set[Any]]) -> set[Any]:
    return set().union(*values)
