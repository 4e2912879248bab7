"""The changes of the product sync that a person is asked about: drafted, looked up when approved, listed for people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from asyncpg import Record

from daemon.api.pushes import PushKind
from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.approvals import BY_SIZE
from daemon.sync.matching.mapping_list import TITLE

# A product may move while the plan is read, and its variants then come twice.
DRAFT = f"""
INSERT INTO dongbo.approval_drafts AS draft
    (job_id, kind, owner_id, location_id, old_value, new_value, is_risky, share, amount, sku, reason, title)
SELECT $1, change.*, {TITLE}
FROM unnest(
    $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::boolean[], $9::float8[], $10::float8[],
    $11::text[], $12::text[]
) AS change (kind, owner_id, location_id, old_value, new_value, is_risky, share, amount, sku, reason)
LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = $2 AND variant.id = owner_id
LEFT JOIN dongbo.shopify_products AS product ON product.store = $2 AND product.id = variant.product_id
ON CONFLICT (job_id, kind, owner_id, location_id) DO UPDATE SET
    old_value = excluded.old_value, new_value = excluded.new_value, is_risky = excluded.is_risky,
    share = excluded.share, amount = excluded.amount, reason = excluded.reason
"""

# An approval that a later question of the job has followed is not one of what is left: that was asked about again.
LATEST_APPROVED = "SELECT max(id) FROM dongbo.approvals WHERE job_id = $1 AND state = 'approved'"

LIST_APPROVED = """
SELECT kind, owner_id, location_id, new_value FROM dongbo.approval_changes
WHERE approval_id = $1 AND is_risky AND (kind, owner_id, location_id) > ($2, $3, $4)
ORDER BY kind, owner_id, location_id LIMIT $5
"""

# What was pushed recently that a person would be asked about in large numbers, and nobody has approved.
LIST_UNASKED = """
SELECT DISTINCT push.kind = 'stock' AS is_stock, CASE push.kind WHEN 'stock' THEN item_id ELSE owner_id END AS id
FROM dongbo.pushes AS push
WHERE push.store = $1 AND push.settled_at > clock_timestamp() - $2::interval AND push.result = 'applied'
  AND CASE
    WHEN push.kind = 'stock' THEN push.new_value = '0' AND push.old_value <> '0' AND push.old_value NOT LIKE '-%'
    WHEN push.kind IN ('price', 'compare_at_price') THEN CASE
        WHEN push.old_value::numeric > 0
        THEN coalesce(abs(push.new_value::numeric - push.old_value::numeric) >= push.old_value::numeric * $3, true)
        ELSE false
    END
    ELSE false
  END
  AND NOT EXISTS (
    SELECT FROM dongbo.approvals AS approval JOIN dongbo.approval_changes AS change ON change.approval_id = approval.id
    WHERE approval.job_id = push.job_id AND approval.state IN ('approved', 'carried_out') AND change.is_risky
      AND change.kind = push.kind AND change.owner_id = push.owner_id
      AND change.location_id = coalesce(push.location_id, 0) AND change.new_value IS NOT DISTINCT FROM push.new_value
  )
"""

# A place is counted, not kept: one more change at the top would move all others.
LIST_CHANGES = f"""
SELECT change.*, location.name AS location_name FROM (
    SELECT * FROM dongbo.approval_changes WHERE approval_id = $1 {{of_kind}} ORDER BY {BY_SIZE} OFFSET $2 LIMIT $3
) AS change
JOIN dongbo.approvals AS approval ON approval.id = change.approval_id
LEFT JOIN dongbo.shopify_locations AS location ON location.store = approval.store AND location.id = change.location_id
ORDER BY {BY_SIZE}
"""
LIST_ALL = LIST_CHANGES.format(of_kind="")
LIST_OF_KIND = LIST_CHANGES.format(of_kind="AND kind = $4")

LOOKED_BACK = timedelta(hours=24)  # many small runs add up to a large one
ROWS_AT_ONCE = 1_000  # some milliseconds
DRAFTED_AT_ONCE = 250  # likewise


@dataclass(frozen=True, slots=True)
class RiskyChange:
    """A change that is not made in large numbers without a person's approval; `location_id` is 0 where there is none.

    What was there before is not part of its identity: approving it approves the new value.
    """

    kind: PushKind
    owner_id: int
    location_id: int
    new_value: str | None


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change of the plan that waits for the answer to a question.

    Args:
        old_value: the present one, a number as text; None where there is none.
        is_risky: whether a person is asked about it; the others wait with those.
        reason: why it is to be made, in words for people.
    """

    change: RiskyChange
    old_value: str | None
    is_risky: bool
    sku: str | None
    reason: str

    @property
    def amount(self) -> float:
        """By how much it changes."""
        return float(abs(Decimal(self.change.new_value or 0) - Decimal(self.old_value or 0)))

    @property
    def share(self) -> float | None:
        """By how much of the old value it changes; None where there was nothing."""
        old = abs(float(self.old_value or 0))
        return self.amount / old if old else None


@dataclass(frozen=True, slots=True)
class AskedChange:
    """A change of a question, as it is shown. `place` is that in the list, from 1: the largest come first."""

    place: int
    held: HeldChange
    share: float | None
    title: str | None
    location_name: str | None


@dataclass(frozen=True, slots=True)
class Unasked:
    """What was pushed within `LOOKED_BACK` without anybody's approval."""

    zeroed: frozenset[int] = frozenset()  # items
    repriced: frozenset[int] = frozenset()  # variants


async def draft(connection: Connection, store: StoreName, job_id: JobId, changes: Sequence[HeldChange]) -> None:
    """Note what a run is about to ask; `daemon.jobs.approvals.ask` takes it over."""
    for start in range(0, len(changes), DRAFTED_AT_ONCE):
        portion = changes[start : start + DRAFTED_AT_ONCE]
        await connection.execute(
            DRAFT,
            job_id,
            store,
            [held.change.kind for held in portion],
            [held.change.owner_id for held in portion],
            [held.change.location_id for held in portion],
            [held.old_value for held in portion],
            [held.change.new_value for held in portion],
            [held.is_risky for held in portion],
            [held.share for held in portion],
            [held.amount for held in portion],
            [held.sku for held in portion],
            [held.reason for held in portion],
        )


async def list_approved(connection: Connection, job_id: JobId) -> Collection[RiskyChange]:
    """What a person has approved for a job the last time."""
    approval_id = await connection.fetchval(LATEST_APPROVED, job_id)
    changes: set[RiskyChange] = set()
    last = ("", 0, 0)
    while rows := await connection.fetch(LIST_APPROVED, approval_id, *last, ROWS_AT_ONCE):
        changes.update(map(_change, rows))
        last = (rows[-1]["kind"], rows[-1]["owner_id"], rows[-1]["location_id"])
    return changes


async def list_changes(
    connection: Connection, approval_id: int, kind: PushKind | None = None, *, after: int = 0, limit: int = 100
) -> list[AskedChange]:
    """The changes of a question, the largest first; `after` is the place of the last of the previous page."""
    rows = (
        await connection.fetch(LIST_ALL, approval_id, after, limit)
        if kind is None
        else await connection.fetch(LIST_OF_KIND, approval_id, after, limit, kind)
    )
    return [_asked(place, row) for place, row in enumerate(rows, after + 1)]


async def list_unasked(connection: Connection, store: StoreName, large_price_change: float) -> Unasked:
    """What all runs have pushed recently that nobody has approved; `large_price_change` is a share of the price."""
    rows = await connection.fetch(LIST_UNASKED, store, LOOKED_BACK, Decimal(str(large_price_change)))
    return Unasked(
        frozenset(row["id"] for row in rows if row["is_stock"]),
        frozenset(row["id"] for row in rows if not row["is_stock"]),
    )


def _change(row: Record) -> RiskyChange:
    return RiskyChange(PushKind(row["kind"]), row["owner_id"], row["location_id"], row["new_value"])


def _asked(place: int, row: Record) -> AskedChange:
    held = HeldChange(_change(row), row["old_value"], row["is_risky"], row["sku"], row["reason"])
    return AskedChange(place, held, row["share"], row["title"], row["location_name"])
