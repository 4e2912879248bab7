"""All SQL on `dongbo.sale_items`, the price journal: one row for each variant of a campaign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from asyncpg import Range, Record

from daemon.api.sales import CampaignState, Decision, ItemState
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import CampaignId, SaleName, StoreName
from daemon.sales.model import HELD_SQL, Item
from daemon.sales.planning import PlanPortion
from daemon.sources.shopify.models import PricePair

# With `item`: another campaign has the variant's price.
HELD_BY_OTHER = f"""EXISTS (
    SELECT FROM dongbo.sale_items AS other
    WHERE other.store = item.store AND other.variant_id = item.variant_id AND other.campaign_id <> item.campaign_id
      AND other.state IN {HELD_SQL}
)"""

# Whoever decides to write a price waits here for whoever is deciding: a sale and the product sync never both take a
# variant for theirs. Held for some milliseconds, until the intents are committed.
LOCK_PRICES = "SELECT pg_advisory_xact_lock($1, hashtext($2))"
PRICES_LOCK = 0x70726963  # "pric": the first key of these locks

FORGET_OTHERS = """
DELETE FROM dongbo.sale_items
WHERE campaign_id = $1 AND product_id > $3 AND product_id <= $4
  AND state IN ('PLANNED', 'SKIPPED') AND applied_at IS NULL AND variant_id <> ALL ($2)
  AND NOT EXISTS (
    SELECT FROM dongbo.sale_writes AS write
    WHERE write.campaign_id = $1 AND write.variant_id = sale_items.variant_id
  )
"""

# What is already as it should be is not touched. In an order that is the same for all and no one's own: the tree of
# `sale_items_no_overlap` takes more than twice the time for variants that come by their ids.
PLAN = """
WITH written AS (
INSERT INTO dongbo.sale_items AS item (campaign_id, store, held, variant_id, product_id, sku, title, state, note,
    before_price, before_compare_at, base_price, base_compare_at, sale_price, sale_compare_at)
SELECT $1, $2, CASE WHEN planned.state = 'PLANNED' THEN $3::tstzrange ELSE 'empty'::tstzrange END,
    planned.variant_id, product_id, sku, title, planned.state, note,
    base_price, base_compare_at, base_price, base_compare_at, sale_price, sale_compare_at
FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::numeric[], $11::numeric[],
    $12::numeric[], $13::numeric[]) AS planned (variant_id, product_id, sku, title, state, note,
    base_price, base_compare_at, sale_price, sale_compare_at)
ORDER BY hashint8(planned.variant_id)
ON CONFLICT (campaign_id, variant_id) DO UPDATE SET
    held = excluded.held, product_id = excluded.product_id, sku = excluded.sku, title = excluded.title,
    state = excluded.state, note = excluded.note, before_price = excluded.before_price,
    before_compare_at = excluded.before_compare_at, base_price = excluded.base_price,
    base_compare_at = excluded.base_compare_at, sale_price = excluded.sale_price,
    sale_compare_at = excluded.sale_compare_at, closed_at = NULL
WHERE item.state IN ('PLANNED', 'SKIPPED') AND item.applied_at IS NULL
  -- A call that was given up may still arrive: of such a variant the mirror need not tell the price without the sale.
  AND NOT EXISTS (
    SELECT FROM dongbo.sale_writes AS write WHERE write.campaign_id = $1 AND write.variant_id = item.variant_id
  )
  AND (item.held, item.product_id, item.sku, item.title, item.state, item.note, item.base_price, item.base_compare_at,
       item.sale_price, item.sale_compare_at)
    IS DISTINCT FROM (excluded.held, excluded.product_id, excluded.sku, excluded.title, excluded.state, excluded.note,
       excluded.base_price, excluded.base_compare_at, excluded.sale_price, excluded.sale_compare_at)
RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new) AS created, count(*) FILTER (WHERE NOT is_new) AS updated FROM written
"""

SET_HELD = """
UPDATE dongbo.sale_items SET held = $2 WHERE campaign_id = $1 AND NOT isempty(held) AND held IS DISTINCT FROM $2
"""

# One for which a call was ever sent is treated as under way: it may still arrive.
CLOSE_PLANNED = """
UPDATE dongbo.sale_items AS item
SET state = CASE WHEN was_sent THEN 'APPLYING' ELSE 'SKIPPED' END,
    held = CASE WHEN was_sent THEN held ELSE 'empty'::tstzrange END, note = $2,
    closed_at = CASE WHEN NOT was_sent THEN clock_timestamp() END
FROM (
    SELECT variant_id, EXISTS (
        SELECT FROM dongbo.sale_writes AS write
        WHERE write.campaign_id = $1 AND write.variant_id = planned.variant_id
    ) AS was_sent
    FROM dongbo.sale_items AS planned WHERE campaign_id = $1 AND state = 'PLANNED'
) AS planned
WHERE item.campaign_id = $1 AND item.variant_id = planned.variant_id AND item.state = 'PLANNED'
RETURNING item.variant_id
"""

RELEASE = """
UPDATE dongbo.sale_items SET held = 'empty'::tstzrange WHERE campaign_id = $1 AND NOT isempty(held)
"""

# What another campaign has not given back yet is not even looked at.
LIST_NEXT_PRODUCTS = f"""
SELECT product_id, count(*) AS variants FROM dongbo.sale_items AS item
WHERE campaign_id = $1 AND state = 'PLANNED' AND product_id > $2 AND NOT {HELD_BY_OTHER}
GROUP BY product_id ORDER BY product_id LIMIT $3
"""

LIST_PLANNED = """
SELECT item.variant_id, variant.price, variant.compare_at_price
FROM dongbo.sale_items AS item
JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
WHERE item.campaign_id = $1 AND item.state = 'PLANNED' AND item.product_id = ANY ($2)
"""

LOCK_PLANNED = f"""
SELECT item.variant_id, item.product_id, item.sku, variant.price, variant.compare_at_price,
    variant.id IS NULL OR variant.deleted_at IS NOT NULL AS is_gone,
    {HELD_BY_OTHER} AS is_held,
    EXISTS (
        SELECT FROM dongbo.pushes AS push
        WHERE push.store = item.store AND push.owner_id = item.variant_id AND push.result = 'intended'
          AND push.kind IN ('price', 'compare_at_price')
    ) AS is_pushed
FROM dongbo.sale_items AS item
LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
WHERE item.campaign_id = $1 AND item.state = 'PLANNED' AND item.product_id = ANY ($2)
ORDER BY item.product_id, item.variant_id
FOR UPDATE OF item
"""

BEGIN_APPLYING = """
UPDATE dongbo.sale_items AS item
SET state = 'APPLYING', note = NULL, before_price = begun.base, before_compare_at = begun.base_compare_at,
    base_price = begun.base, base_compare_at = begun.base_compare_at, sale_price = begun.sale,
    sale_compare_at = begun.sale_compare_at
FROM unnest($2::bigint[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[])
    AS begun (variant_id, base, base_compare_at, sale, sale_compare_at)
WHERE item.campaign_id = $1 AND item.variant_id = begun.variant_id AND item.state = 'PLANNED'
"""

BEGIN_REVERTING = """
UPDATE dongbo.sale_items SET state = 'REVERTING', note = NULL
WHERE campaign_id = $1 AND variant_id = ANY ($2)
"""

# A variant that is given back is free for other campaigns at once. What Shopify made of the sale price is what a later
# look is compared with.
MOVE = """
UPDATE dongbo.sale_items AS item
SET state = moved.state, note = moved.note,
    held = CASE WHEN moved.state IN ('REVERTED', 'KEPT', 'GONE', 'SKIPPED', 'REFUSED') THEN 'empty'::tstzrange
        ELSE item.held END,
    applied_at = CASE WHEN moved.state = 'APPLIED' THEN coalesce(item.applied_at, clock_timestamp())
        ELSE item.applied_at END,
    sale_price = CASE WHEN moved.state = 'APPLIED' THEN coalesce(moved.price, item.sale_price) ELSE item.sale_price END,
    sale_compare_at = CASE WHEN moved.state = 'APPLIED' AND moved.price IS NOT NULL THEN moved.compare_at
        ELSE item.sale_compare_at END,
    found_price = CASE WHEN moved.state = 'DRIFTED' THEN moved.price ELSE item.found_price END,
    found_compare_at = CASE WHEN moved.state = 'DRIFTED' THEN moved.compare_at ELSE item.found_compare_at END,
    decision = CASE WHEN moved.state IN ('DRIFTED', 'APPLIED', 'PLANNED') THEN NULL ELSE item.decision END,
    verified_at = NULL,
    closed_at = CASE WHEN moved.state IN ('REVERTED', 'KEPT', 'GONE', 'SKIPPED', 'REFUSED') THEN clock_timestamp() END
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::numeric[], $6::numeric[])
    AS moved (variant_id, state, note, price, compare_at)
WHERE item.campaign_id = $1 AND item.variant_id = moved.variant_id
"""

# What must be taken back. One whose sale price is under way in a live run is waited for.
LIST_TO_REVERT = """
SELECT variant_id, product_id FROM dongbo.sale_items AS item
WHERE campaign_id = $1 AND (product_id, variant_id) > ($2, $3)
  AND (state = ANY ($5) OR (state = 'DRIFTED' AND decision = 'restore' AND 'STUCK' = ANY ($5)))
  AND NOT EXISTS (
    SELECT FROM dongbo.sale_writes AS open JOIN dongbo.background_jobs AS job ON job.id = open.job_id
    WHERE open.campaign_id = $1 AND open.variant_id = item.variant_id AND open.result = 'intended'
      AND open.run_token <> $6 AND job.run_token = open.run_token AND job.status = 'RUNNING'
  )
ORDER BY product_id, variant_id LIMIT $4
"""

LIST_ORPHANS = """
SELECT variant_id FROM dongbo.sale_items
WHERE campaign_id = $1 AND state = 'APPLYING' AND variant_id > $2 ORDER BY variant_id LIMIT $3
"""

COLUMNS = """variant_id, product_id, sku, title, state, before_price, before_compare_at, base_price, base_compare_at,
    sale_price, sale_compare_at, found_price, found_compare_at, decision, note, applied_at, closed_at, verified_at"""

LOCK_SOME = f"""
SELECT {COLUMNS} FROM dongbo.sale_items WHERE campaign_id = $1 AND variant_id = ANY ($2)
ORDER BY product_id, variant_id FOR UPDATE
"""

LIST = f"""
SELECT {COLUMNS} FROM dongbo.sale_items
WHERE campaign_id = $1 AND ($2::text[] IS NULL OR state = ANY ($2)) AND (product_id, variant_id) > ($3, $4)
ORDER BY product_id, variant_id LIMIT $5
"""

GET = f"SELECT {COLUMNS} FROM dongbo.sale_items WHERE campaign_id = $1 AND variant_id = $2"

LIST_UNVERIFIED = """
SELECT variant_id FROM dongbo.sale_items
WHERE campaign_id = $1 AND state = 'REVERTED' AND verified_at IS NULL ORDER BY product_id, variant_id LIMIT $2
"""

VERIFY = """
UPDATE dongbo.sale_items AS item SET verified_at = clock_timestamp(), note = coalesce(seen.note, item.note)
FROM unnest($2::bigint[], $3::text[]) AS seen (variant_id, note)
WHERE item.campaign_id = $1 AND item.variant_id = seen.variant_id AND item.state = 'REVERTED'
"""

# Its hold is over: the caller's look at Shopify says what the variant costs since then.
REOPEN = f"""
UPDATE dongbo.sale_items AS item SET state = 'APPLIED', note = 'the sale price came back', closed_at = NULL
WHERE campaign_id = $1 AND variant_id = ANY ($2) AND state = 'REVERTED' AND NOT {HELD_BY_OTHER}
"""

HAS_DECIDED = """
SELECT EXISTS (
    SELECT FROM dongbo.sale_items WHERE campaign_id = $1 AND state = 'DRIFTED' AND decision = 'restore'
)
"""

# A price that the mirror shows as not the sale's.
DRIFTING = """
FROM dongbo.sale_items AS item
JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
WHERE item.campaign_id = $1 AND item.state = 'APPLIED' AND variant.deleted_at IS NULL
  AND (variant.price, variant.compare_at_price) IS DISTINCT FROM (item.sale_price, item.sale_compare_at)
"""

LIST_DRIFTING = f"""
SELECT item.variant_id, variant.price, variant.compare_at_price {DRIFTING} ORDER BY item.variant_id LIMIT $2
"""

COUNT_DRIFTING = f"SELECT count(*) {DRIFTING}"

# Restored by a campaign that is over, and with its sale price again, which nobody has a reason to set: not the product
# sync since then, and no other campaign.
LIST_RETURNED = f"""
SELECT item.campaign_id, item.variant_id, item.sale_price, item.sale_compare_at
FROM dongbo.sale_items AS item
JOIN dongbo.sale_campaigns AS campaign ON campaign.id = item.campaign_id
JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
WHERE item.store = $1 AND item.variant_id = ANY ($2) AND item.state = 'REVERTED'
  AND campaign.state IN ('COMPLETED', 'CANCELLED', 'NEEDS_ATTENTION') AND variant.deleted_at IS NULL
  AND (item.sale_price, item.sale_compare_at) IS DISTINCT FROM (item.base_price, item.base_compare_at)
  AND (variant.price, variant.compare_at_price) IS NOT DISTINCT FROM (item.sale_price, item.sale_compare_at)
  AND NOT EXISTS (
    SELECT FROM dongbo.sale_items AS other
    WHERE other.store = item.store AND other.variant_id = item.variant_id AND other.campaign_id <> item.campaign_id
      AND (other.state IN {HELD_SQL} OR (other.state = 'REVERTED' AND other.closed_at > item.closed_at))
  )
  AND NOT EXISTS (
    SELECT FROM dongbo.pushes AS push
    WHERE push.store = item.store AND push.owner_id = item.variant_id AND push.kind IN ('price', 'compare_at_price')
      AND push.result = 'applied' AND push.settled_at > item.closed_at
  )
ORDER BY item.campaign_id, item.variant_id LIMIT $3
"""

COUNT_BY_NOTE = """
SELECT count(*) FROM dongbo.sale_items WHERE campaign_id = $1 AND state = $2 AND note = $3
"""

# Of these a call may have been carried out after Shopify was read for the proof.
VERIFY_AGAIN = """
UPDATE dongbo.sale_items AS item SET verified_at = NULL
WHERE campaign_id = $1 AND state = 'REVERTED' AND EXISTS (
    SELECT FROM dongbo.sale_writes AS write
    WHERE write.campaign_id = $1 AND write.variant_id = item.variant_id AND write.in_doubt
)
"""

COUNT_BY_STATE = "SELECT state, count(*) AS items FROM dongbo.sale_items WHERE campaign_id = $1 GROUP BY state"

COUNT_EACH_BY_STATE = """
SELECT campaign_id, state, count(*) AS items FROM dongbo.sale_items WHERE campaign_id = ANY ($1) GROUP BY 1, 2
"""

# Planned variants of running campaigns with nothing in their way: applying has to continue.
HAS_WORK = f"""
SELECT EXISTS (
    SELECT FROM dongbo.sale_items AS item
    WHERE item.campaign_id = $1 AND item.state = 'PLANNED' AND NOT {HELD_BY_OTHER}
)
"""

# Blocked by a campaign that gives its variants back by itself.
IS_WAITING = """
SELECT EXISTS (
    SELECT FROM dongbo.sale_items AS item
    JOIN dongbo.sale_items AS other ON other.store = item.store AND other.variant_id = item.variant_id
        AND other.campaign_id <> item.campaign_id AND other.state IN ('APPLYING', 'APPLIED', 'REVERTING')
    JOIN dongbo.sale_campaigns AS campaign ON campaign.id = other.campaign_id
    WHERE item.campaign_id = $1 AND item.state = 'PLANNED'
      AND (campaign.state = 'REVERTING' OR campaign.ends_at <= clock_timestamp() + interval '1 second')
)
"""

DECIDE = """
UPDATE dongbo.sale_items
SET decision = $3, state = CASE WHEN $3 = 'keep' THEN 'KEPT' ELSE state END,
    held = CASE WHEN $3 = 'keep' THEN 'empty'::tstzrange ELSE held END,
    note = CASE WHEN $3 = 'keep' THEN 'a person decided to keep the price as it is' ELSE note END,
    closed_at = CASE WHEN $3 = 'keep' THEN clock_timestamp() END
WHERE campaign_id = $1 AND (state = 'DRIFTED' OR (state = 'STUCK' AND $3 = 'keep'))
  AND ($2::bigint[] IS NULL OR variant_id = ANY ($2))
RETURNING variant_id
"""

REBASE = f"""
UPDATE dongbo.sale_items AS item SET base_price = known.price, base_compare_at = known.compare_at
FROM unnest($2::bigint[], $3::numeric[], $4::numeric[]) AS known (variant_id, price, compare_at)
WHERE item.store = $1 AND item.variant_id = known.variant_id AND item.state IN {HELD_SQL}
  AND (item.base_price, item.base_compare_at) IS DISTINCT FROM (known.price, known.compare_at)
RETURNING item.variant_id
"""

LIST_HELD = f"""
SELECT DISTINCT variant_id FROM dongbo.sale_items
WHERE store = $1 AND variant_id = ANY ($2) AND state IN {HELD_SQL}
"""

LIST_HOLDERS = f"""
SELECT item.variant_id, campaign.name, campaign.ends_at, campaign.state, item.base_price, item.base_compare_at
FROM dongbo.sale_items AS item JOIN dongbo.sale_campaigns AS campaign ON campaign.id = item.campaign_id
WHERE item.store = $1 AND item.variant_id = ANY ($2) AND item.state IN {HELD_SQL}
"""

TIMES = """
SELECT min(applied_at) AS first_applied, max(applied_at) AS last_applied,
    min(closed_at) FILTER (WHERE state = 'REVERTED') AS first_reverted,
    max(closed_at) FILTER (WHERE state = 'REVERTED') AS last_reverted, max(verified_at) AS last_verified
FROM dongbo.sale_items WHERE campaign_id = $1
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A planned variant at the moment at which its sale price would be written; `present` is what the mirror says."""

    variant_id: int
    product_id: int
    sku: str | None
    present: PricePair | None  # None: it no longer exists in Shopify
    is_held: bool  # by another campaign
    is_pushed: bool  # the product sync is writing its price


@dataclass(frozen=True, slots=True)
class Move:
    """A variant's next state; `seen` is what Shopify has, where that is to be kept."""

    variant_id: int
    state: ItemState
    note: str | None = None
    seen: PricePair | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A campaign that holds a variant, and what the variant goes back to."""

    name: SaleName
    ends_at: datetime | None  # aware UTC
    state: CampaignState
    base: PricePair


@dataclass(frozen=True, slots=True)
class Replanned:
    """How many rows a plan has changed."""

    created: int
    updated: int


async def lock_prices(connection: Connection, store: StoreName) -> None:
    """Keep everybody else from deciding about prices of the store until the transaction ends."""
    await connection.execute(LOCK_PRICES, PRICES_LOCK, store)


async def write_plan(
    connection: Connection,
    campaign_id: CampaignId,
    store: StoreName,
    held: Range,
    portion: PlanPortion,
) -> Replanned:
    """Replace the previous plan for the products of a portion; variants that have already moved on from it stay.

    Variants that another campaign holds at that time are noted as skipped. Raises asyncpg.ExclusionViolationError where
    one has taken them since the plan was made.
    """
    planned = portion.items
    variants = [item.variant_id for item in planned]
    await connection.execute(FORGET_OTHERS, campaign_id, variants, portion.after, portion.through)
    is_on = [item.sale is not None and item.rival is None for item in planned]
    row = await connection.fetchrow(
        PLAN,
        campaign_id,
        store,
        held,
        variants,
        [item.product_id for item in planned],
        [item.sku for item in planned],
        [item.title for item in planned],
        [ItemState.PLANNED if on else ItemState.SKIPPED for on in is_on],
        [item.reason or (rival_note(item.rival) if item.rival else None) for item in planned],
        [item.base.price for item in planned],
        [item.base.compare_at for item in planned],
        [item.sale.price if item.sale else None for item in planned],
        [item.sale.compare_at if item.sale else None for item in planned],
    )
    return Replanned(row["created"], row["updated"])


def rival_note(rival: str) -> str:
    """Why a variant is skipped that another campaign holds."""
    return _("the campaign {rival} holds it at an overlapping time").format(rival=rival)


async def set_held(connection: Connection, campaign_id: CampaignId, held: Range) -> None:
    """Hold what a campaign holds for another time. Raises asyncpg.ExclusionViolationError where that overlaps."""
    await connection.execute(SET_HELD, campaign_id, held)


async def close_planned(connection: Connection, campaign_id: CampaignId, note: str) -> int:
    """Give back what was never put on sale; how many variants that were."""
    return len(await connection.fetch(CLOSE_PLANNED, campaign_id, note))


async def release(connection: Connection, campaign_id: CampaignId) -> None:
    """Let other campaigns plan what this one, which is over, has not given back: they wait for it when they begin."""
    await connection.execute(RELEASE, campaign_id)


async def list_next_products(connection: Connection, campaign_id: CampaignId, after: int, limit: int) -> dict[int, int]:
    """The next products after one, with planned variants that no other campaign has, and how many of them."""
    rows = await connection.fetch(LIST_NEXT_PRODUCTS, campaign_id, after, limit)
    return {row["product_id"]: row["variants"] for row in rows}


async def list_planned(
    connection: Connection, campaign_id: CampaignId, product_ids: Sequence[int]
) -> dict[int, PricePair]:
    """The planned variants of some products, with their prices as the mirror has them."""
    rows = await connection.fetch(LIST_PLANNED, campaign_id, product_ids)
    return {row["variant_id"]: PricePair(row["price"], row["compare_at_price"]) for row in rows}


async def lock_planned(connection: Connection, campaign_id: CampaignId, product_ids: Sequence[int]) -> list[Candidate]:
    """The planned variants of some products, with their prices as the mirror has them at this moment."""
    return [_candidate(row) for row in await connection.fetch(LOCK_PLANNED, campaign_id, product_ids)]


async def begin_applying(
    connection: Connection, campaign_id: CampaignId, begun: Mapping[int, tuple[PricePair, PricePair]]
) -> None:
    """The sale prices of {variant: (base, sale)} are about to be written."""
    bases, sales = [base for base, _ in begun.values()], [sale for _, sale in begun.values()]
    await connection.execute(
        BEGIN_APPLYING,
        campaign_id,
        list(begun),
        [base.price for base in bases],
        [base.compare_at for base in bases],
        [sale.price for sale in sales],
        [sale.compare_at for sale in sales],
    )


async def begin_reverting(connection: Connection, campaign_id: CampaignId, variant_ids: Sequence[int]) -> None:
    """The base prices of these variants are about to be written."""
    await connection.execute(BEGIN_REVERTING, campaign_id, variant_ids)


async def move(connection: Connection, campaign_id: CampaignId, moves: Sequence[Move]) -> None:
    """Move variants to their next states; those that are given back are free for other campaigns."""
    if not moves:
        return
    await connection.execute(
        MOVE,
        campaign_id,
        [move.variant_id for move in moves],
        [move.state for move in moves],
        [move.note for move in moves],
        [move.seen.price if move.seen else None for move in moves],
        [move.seen.compare_at if move.seen else None for move in moves],
    )


async def list_to_revert(
    connection: Connection,
    campaign_id: CampaignId,
    after: tuple[int, int],
    states: Sequence[ItemState],
    run_token: object,
    limit: int,
) -> dict[int, int]:
    """Variants in these states after a (product, variant) that no other run is working on, with their products, in
    that order; with STUCK, also those of which a person has decided to restore them."""
    rows = await connection.fetch(LIST_TO_REVERT, campaign_id, *after, limit, states, run_token)
    return {row["variant_id"]: row["product_id"] for row in rows}


async def list_orphans(connection: Connection, campaign_id: CampaignId, after: int, limit: int) -> list[int]:
    """Variants whose sale price may be on its way."""
    return [row["variant_id"] for row in await connection.fetch(LIST_ORPHANS, campaign_id, after, limit)]


async def lock_some(connection: Connection, campaign_id: CampaignId, variant_ids: Sequence[int]) -> list[Item]:
    """Some variants, which nobody else moves until the transaction ends."""
    return [_item(row) for row in await connection.fetch(LOCK_SOME, campaign_id, variant_ids)]


async def list_items(
    connection: Connection,
    campaign_id: CampaignId,
    states: Sequence[ItemState] | None = None,
    *,
    after: tuple[int, int] = (0, 0),
    limit: int = 100,
) -> list[Item]:
    """Variants of a campaign by product and id, after a (product, variant)."""
    return [_item(row) for row in await connection.fetch(LIST, campaign_id, states, *after, limit)]


async def get(connection: Connection, campaign_id: CampaignId, variant_id: int) -> Item | None:
    """One variant of a campaign."""
    row = await connection.fetchrow(GET, campaign_id, variant_id)
    return _item(row) if row else None


async def list_unverified(connection: Connection, campaign_id: CampaignId, limit: int) -> list[int]:
    """Restored variants that Shopify has not been asked about since."""
    return [row["variant_id"] for row in await connection.fetch(LIST_UNVERIFIED, campaign_id, limit)]


async def verify(connection: Connection, campaign_id: CampaignId, seen: Mapping[int, str | None]) -> None:
    """Note of {variant: note} that Shopify was asked about them."""
    if seen:
        await connection.execute(VERIFY, campaign_id, list(seen), list(seen.values()))


async def reopen(connection: Connection, campaign_id: CampaignId, variant_ids: Sequence[int]) -> None:
    """Take up variants again that were restored and have the sale price again, unless another campaign has them."""
    if variant_ids:
        await connection.execute(REOPEN, campaign_id, variant_ids)


async def has_decided(connection: Connection, campaign_id: CampaignId) -> bool:
    """Whether a person has decided to restore variants that are not restored yet."""
    found: bool = await connection.fetchval(HAS_DECIDED, campaign_id)
    return found


async def count_by_state(connection: Connection, campaign_id: CampaignId) -> dict[ItemState, int]:
    """How many variants there are in each state."""
    rows = await connection.fetch(COUNT_BY_STATE, campaign_id)
    return {ItemState(row["state"]): row["items"] for row in rows}


async def count_each_by_state(
    connection: Connection, campaign_ids: Sequence[CampaignId]
) -> dict[CampaignId, dict[ItemState, int]]:
    """How many variants of each campaign there are in each state."""
    counts: dict[CampaignId, dict[ItemState, int]] = {number: {} for number in campaign_ids}
    for row in await connection.fetch(COUNT_EACH_BY_STATE, campaign_ids):
        counts[CampaignId(UUID(int=row["campaign_id"].int))][ItemState(row["state"])] = row["items"]
    return counts


async def count_drifting(connection: Connection, campaign_id: CampaignId) -> int:
    """How many variants on sale have another price than they should, as far as the mirror knows."""
    count: int = await connection.fetchval(COUNT_DRIFTING, campaign_id)
    return count


async def list_drifting(connection: Connection, campaign_id: CampaignId, limit: int) -> dict[int, PricePair]:
    """Variants on sale that have another price than they should, as far as the mirror knows, with that price."""
    rows = await connection.fetch(LIST_DRIFTING, campaign_id, limit)
    return {row["variant_id"]: PricePair(row["price"], row["compare_at_price"]) for row in rows}


async def list_returned(
    connection: Connection, store: StoreName, variant_ids: Sequence[int], limit: int
) -> dict[CampaignId, dict[int, PricePair]]:
    """Those of the variants that have the sale price of a campaign again which is over, by campaign."""
    found: dict[CampaignId, dict[int, PricePair]] = {}
    for row in await connection.fetch(LIST_RETURNED, store, variant_ids, limit):
        of_campaign = found.setdefault(CampaignId(UUID(int=row["campaign_id"].int)), {})
        of_campaign[row["variant_id"]] = PricePair(row["sale_price"], row["sale_compare_at"])
    return found


async def count_by_note(connection: Connection, campaign_id: CampaignId, state: ItemState, note: str) -> int:
    """How many variants are in a state for this reason."""
    count: int = await connection.fetchval(COUNT_BY_NOTE, campaign_id, state, note)
    return count


async def verify_again(connection: Connection, campaign_id: CampaignId) -> None:
    """Let Shopify be asked again about restored variants for which a call may have come late."""
    await connection.execute(VERIFY_AGAIN, campaign_id)


async def has_work(connection: Connection, campaign_id: CampaignId) -> bool:
    """Whether there are planned variants with nothing in their way."""
    found: bool = await connection.fetchval(HAS_WORK, campaign_id)
    return found


async def is_waiting(connection: Connection, campaign_id: CampaignId) -> bool:
    """Whether there are planned variants that another campaign is about to give back."""
    found: bool = await connection.fetchval(IS_WAITING, campaign_id)
    return found


async def decide(
    connection: Connection, campaign_id: CampaignId, decision: Decision, variant_ids: Sequence[int] | None
) -> list[int]:
    """Record what a person decides about drifted variants (None: all of them); which ones it applies to."""
    return [row["variant_id"] for row in await connection.fetch(DECIDE, campaign_id, variant_ids, decision)]


async def rebase(connection: Connection, store: StoreName, bases: Mapping[int, PricePair]) -> int:
    """Let variants that a campaign holds go back to other prices; how many of them change."""
    prices = [base.price for base in bases.values()], [base.compare_at for base in bases.values()]
    return len(await connection.fetch(REBASE, store, list(bases), *prices))


async def list_held(connection: Connection, store: StoreName, variant_ids: Sequence[int]) -> frozenset[int]:
    """Those of the variants that a campaign holds."""
    return frozenset(row["variant_id"] for row in await connection.fetch(LIST_HELD, store, variant_ids))


async def holders(connection: Connection, store: StoreName, variant_ids: Sequence[int]) -> dict[int, Holder]:
    """The campaigns that hold these variants, by variant."""
    return {
        row["variant_id"]: Holder(
            SaleName(row["name"]),
            row["ends_at"],
            CampaignState(row["state"]),
            PricePair(row["base_price"], row["base_compare_at"]),
        )
        for row in await connection.fetch(LIST_HOLDERS, store, variant_ids)
    }


async def times(connection: Connection, campaign_id: CampaignId) -> dict[str, Any]:
    """first_applied, last_applied, first_reverted, last_reverted, last_verified: aware UTC, or None."""
    return dict(await connection.fetchrow(TIMES, campaign_id))


def _candidate(row: Record) -> Candidate:
    present = None if row["is_gone"] else PricePair(row["price"], row["compare_at_price"])
    return Candidate(row["variant_id"], row["product_id"], row["sku"], present, row["is_held"], row["is_pushed"])


def _item(row: Record) -> Item:
    return Item(
        variant_id=row["variant_id"],
        product_id=row["product_id"],
        sku=row["sku"],
        title=row["title"],
        state=ItemState(row["state"]),
        before=PricePair(row["before_price"], row["before_compare_at"]),
        base=PricePair(row["base_price"], row["base_compare_at"]),
        sale=_prices(row["sale_price"], row["sale_compare_at"]),
        found=_prices(row["found_price"], row["found_compare_at"]),
        decision=Decision(row["decision"]) if row["decision"] else None,
        note=row["note"],
        applied_at=row["applied_at"],
        closed_at=row["closed_at"],
        verified_at=row["verified_at"],
    )


def _prices(price: Decimal | None, compare_at: Decimal | None) -> PricePair | None:
    return None if price is None else PricePair(price, compare_at)
