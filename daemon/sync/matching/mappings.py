"""All SQL that writes `dongbo.product_mappings`: what matching has found, and what people decide.

One advisory lock for each store keeps them apart: whoever writes mappings holds it until the end of the transaction.
What is read for people is in `daemon.sync.matching.mapping_list`.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence

import asyncpg

from daemon.api.mappings import ManualOutcome, Overruled
from daemon.database.pool import Connection
from daemon.errors import DatabaseUnavailable, InvalidMapping
from daemon.i18n import gettext as _
from daemon.ids import StoreName

LARGEST_ID = 2**63 - 1  # bigint

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('dongbo.product_mappings/' || $1, 0))"

COPY_LIVE = """
INSERT INTO pg_temp.match_mappings
SELECT id, variant_id, nhanh_id, source FROM dongbo.product_mappings WHERE store = $1 AND retired_at IS NULL
"""

COPY_RETURNING = """
INSERT INTO pg_temp.match_returning
SELECT id, variant_id, nhanh_id, source FROM dongbo.product_mappings WHERE store = $1 AND returns
"""

# A decision of a person that matching retires comes back when what it names is back.
WRITE_RETIRED = """
UPDATE dongbo.product_mappings AS mapping
SET retired_at = now(), changed_at = now(), retired_reason = change.reason, returns = mapping.source = 'manual'
FROM pg_temp.match_changes AS change WHERE change.kind = 'retired' AND mapping.id = change.mapping_id
"""

WRITE_MOVED = """
UPDATE dongbo.product_mappings AS mapping
SET variant_id = change.variant_id, changed_at = now(), note = concat_ws('; ', mapping.note, change.reason)
FROM pg_temp.match_changes AS change WHERE change.kind = 'moved' AND mapping.id = change.mapping_id
"""

WRITE_RESTORED = """
UPDATE dongbo.product_mappings AS mapping
SET retired_at = NULL, changed_at = now(), retired_reason = NULL, returns = false
FROM pg_temp.match_changes AS change WHERE change.kind = 'restored' AND mapping.id = change.mapping_id
"""

WRITE_MATCHED = """
INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source, note)
SELECT $1, variant_id, nhanh_id, source, reason FROM pg_temp.match_changes WHERE kind = 'matched' ORDER BY variant_id
"""

EXAMINE_VARIANTS = """
SELECT asked.id, variant.id IS NULL AS is_unknown,
    variant.deleted_at IS NOT NULL OR product.deleted_at IS NOT NULL AS is_deleted
FROM unnest($2::bigint[]) AS asked (id)
LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = asked.id
LEFT JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = variant.product_id
"""

EXAMINE_PRODUCTS = """
SELECT asked.id, product.id IS NULL AS is_unknown, product.deleted_at IS NOT NULL AS is_deleted,
    coalesce(product.parent_id = -2, false) AS is_parent
FROM unnest($2::bigint[]) AS asked (id)
LEFT JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = asked.id
"""

FIND_SAME = """
SELECT mapping.variant_id FROM dongbo.product_mappings AS mapping
JOIN unnest($2::bigint[], $3::bigint[]) AS entry (variant_id, nhanh_id)
    ON entry.variant_id = mapping.variant_id AND entry.nhanh_id IS NOT DISTINCT FROM mapping.nhanh_id
WHERE mapping.store = $1 AND mapping.retired_at IS NULL AND mapping.source = 'manual'
"""

FORGET_RETURNING = """
UPDATE dongbo.product_mappings SET returns = false
WHERE store = $1 AND variant_id = ANY ($2) AND returns
RETURNING variant_id
"""

RETIRE_REPLACED = """
UPDATE dongbo.product_mappings
SET retired_at = now(), changed_at = now(),
    retired_reason = format('a person has decided otherwise about variant %s', variant_id)
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL
RETURNING variant_id
"""

RETIRE_OVERRULED = """
UPDATE dongbo.product_mappings
SET retired_at = now(), changed_at = now(),
    retired_reason = format('a person has given product %s to another variant', nhanh_id)
WHERE store = $1 AND nhanh_id = ANY ($2) AND source <> 'manual' AND retired_at IS NULL
RETURNING variant_id, nhanh_id
"""

INSERT_MANUAL = """
INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source, note)
SELECT $1, variant_id, nhanh_id, 'manual', $4
FROM unnest($2::bigint[], $3::bigint[]) AS entry (variant_id, nhanh_id)
"""

CHANGE_NOTE = """
UPDATE dongbo.product_mappings SET note = $3, changed_at = now()
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL AND note IS DISTINCT FROM $3
"""

RETIRE_MANUAL = """
UPDATE dongbo.product_mappings
SET retired_at = now(), changed_at = now(), retired_reason = 'a person has taken the decision back'
WHERE store = $1 AND variant_id = ANY ($2) AND source = 'manual' AND retired_at IS NULL
RETURNING variant_id
"""


async def lock(connection: Connection, store: StoreName) -> None:
    """Keep all others from writing mappings of the store, until the end of the caller's transaction."""
    await connection.execute(LOCK, store)


async def copy(connection: Connection, store: StoreName) -> None:
    """Copy what matching starts from into its temporary tables."""
    await connection.execute(COPY_LIVE, store)
    await connection.execute(COPY_RETURNING, store)


async def write_changes(connection: Connection, store: StoreName) -> None:
    """Write the changes that matching has gathered in its temporary table: first what frees a row, then what takes."""
    for statement in (WRITE_RETIRED, WRITE_MOVED, WRITE_RESTORED):
        await connection.execute(statement)
    await connection.execute(WRITE_MATCHED, store)


async def set_manual(
    connection: Connection, store: StoreName, entries: Sequence[tuple[int, int | None]], note: str | None
) -> ManualOutcome:
    """Let a person's word hold: all entries or none.

    Each replaces whatever mapping the variant has. A product that is automatically mapped to another variant is taken
    from that.

    Args:
        entries: (id of the variant, id of the product at Nhanh.vn; None: the variant has no counterpart there).
        note: why, for whoever looks later.

    Raises:
        InvalidMapping: one line for each entry that can't hold.
        DatabaseUnavailable: the store's products were being matched all the time.
    """
    async with connection.transaction():
        await _lock_for_people(connection, store)
        problems = [problem async for problem in _problems(connection, store, entries)]
        if problems:
            raise InvalidMapping(*problems)
        return await _write_manual(connection, store, dict(entries), note)


async def remove_manual(connection: Connection, store: StoreName, variant_ids: Sequence[int]) -> int:
    """Forget what a person has decided about variants, so that the next matching decides; how many there were.

    Decisions that wait for a deleted row to come back are forgotten, too.

    Raises:
        DatabaseUnavailable: the store's products were being matched all the time.
    """
    known = [number for number in variant_ids if _is_id(number)]
    async with connection.transaction():
        await _lock_for_people(connection, store)
        retired = await connection.fetch(RETIRE_MANUAL, store, known)
        forgotten = await connection.fetch(FORGET_RETURNING, store, known)
    return len({row["variant_id"] for row in (*retired, *forgotten)})


async def _lock_for_people(connection: Connection, store: StoreName) -> None:
    try:
        await lock(connection, store)
    except asyncpg.LockNotAvailableError:
        raise DatabaseUnavailable(
            _(
                "The products of store {store} are being matched at this moment, so that nothing was changed: try "
                "again in a minute."
            ).format(store=store)
        ) from None


async def _write_manual(
    connection: Connection, store: StoreName, entries: dict[int, int | None], note: str | None
) -> ManualOutcome:
    variants, products = list(entries), list(entries.values())
    same = {row["variant_id"] for row in await connection.fetch(FIND_SAME, store, variants, products)}
    changed = [variant for variant in variants if variant not in same]
    await connection.execute(FORGET_RETURNING, store, variants)  # the latest word counts
    replaced = await connection.fetch(RETIRE_REPLACED, store, changed)
    given = [product for product in set(products) if product is not None]
    overruled = await connection.fetch(RETIRE_OVERRULED, store, given)
    await connection.execute(INSERT_MANUAL, store, changed, [entries[variant] for variant in changed], note)
    if note is not None:
        await connection.execute(CHANGE_NOTE, store, list(same), note)
    return ManualOutcome(
        written=len(changed),
        replaced=len(replaced),
        unchanged=len(same),
        overruled=[Overruled(**dict(row)) for row in sorted(overruled, key=lambda row: int(row["variant_id"]))],
    )


async def _problems(
    connection: Connection, store: StoreName, entries: Sequence[tuple[int, int | None]]
) -> AsyncIterator[str]:
    """What is wrong with the entries, and what to do about it."""
    variants = _distinct(variant for variant, _product in entries)
    products = _distinct(product for _variant, product in entries if product is not None)
    for variant, times in Counter(variant for variant, _product in entries).items():
        if times > 1:
            yield _("variant {id}: it is named {n} times; name it once.").format(id=variant, n=times)
    for number in (*variants, *products):
        if not _is_id(number):
            yield _("{id}: this is not an id; ids are positive numbers below 2^63.").format(id=number)
    for row in await connection.fetch(EXAMINE_VARIANTS, store, [number for number in variants if _is_id(number)]):
        if row["is_unknown"]:
            problem = _("variant {id}: no such variant is known of Shopify; check the id, or pull the products.")
            yield problem.format(id=row["id"])
        elif row["is_deleted"]:
            problem = _("variant {id}: it was deleted at Shopify; name the variant that took its place.")
            yield problem.format(id=row["id"])
    for row in await connection.fetch(EXAMINE_PRODUCTS, store, [number for number in products if _is_id(number)]):
        if row["is_unknown"]:
            problem = _("product {id}: no such product is known of Nhanh.vn; check the id, or pull the products.")
            yield problem.format(id=row["id"])
        elif row["is_deleted"]:
            problem = _("product {id}: it was deleted at Nhanh.vn; name the product that took its place.")
            yield problem.format(id=row["id"])
        elif row["is_parent"]:
            problem = _("product {id}: it is a parent, whose stock is that of its variants; name one of these.")
            yield problem.format(id=row["id"])


def _distinct(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def _is_id(number: int) -> bool:
    return 0 < number <= LARGEST_ID
