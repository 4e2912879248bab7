"""All SQL on `dongbo.approval_items`: the risky changes that a person was asked about, one by one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from daemon.api.pushes import PushKind
from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName

# What was carried out stays noted as approved: it does not count among what nobody was asked about.
CLEAR = """
DELETE FROM dongbo.approval_items AS item WHERE job_id = $1 AND NOT EXISTS (
    SELECT FROM dongbo.pushes AS push
    WHERE push.job_id = $1 AND push.result = 'applied' AND push.kind = item.kind AND push.owner_id = item.owner_id
      AND coalesce(push.location_id, 0) = item.location_id AND push.new_value IS NOT DISTINCT FROM item.new_value
)
"""

INSERT = """
INSERT INTO dongbo.approval_items (job_id, kind, owner_id, location_id, old_value, new_value)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
ON CONFLICT (job_id, kind, owner_id, location_id) DO UPDATE SET
    old_value = excluded.old_value, new_value = excluded.new_value
"""

LIST = """
SELECT kind, owner_id, location_id, new_value FROM dongbo.approval_items
WHERE job_id = $1 AND (kind, owner_id, location_id) > ($2, $3, $4)
ORDER BY kind, owner_id, location_id LIMIT $5
"""

# What was pushed recently that a person would be asked about in large numbers, and nobody was.
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
    SELECT FROM dongbo.approval_items AS item
    WHERE item.job_id = push.job_id AND item.kind = push.kind AND item.owner_id = push.owner_id
      AND item.location_id = coalesce(push.location_id, 0) AND item.new_value IS NOT DISTINCT FROM push.new_value
  )
"""

LOOKED_BACK = timedelta(hours=24)  # many small runs add up to a large one
ROWS_AT_ONCE = 1_000  # some milliseconds


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
class ApprovalItem:
    """A risky change and the value that it would replace."""

    change: RiskyChange
    old_value: str | None


@dataclass(frozen=True, slots=True)
class Unasked:
    """What was pushed within `LOOKED_BACK` without anybody being asked."""

    zeroed: frozenset[int] = frozenset()  # items
    repriced: frozenset[int] = frozenset()  # variants


async def replace(connection: Connection, job_id: JobId, items: Sequence[ApprovalItem]) -> None:
    """Note what a person is asked about, in the place of what was asked before."""
    await connection.execute(CLEAR, job_id)
    for start in range(0, len(items), ROWS_AT_ONCE):
        portion = items[start : start + ROWS_AT_ONCE]
        await connection.execute(
            INSERT,
            job_id,
            [item.change.kind for item in portion],
            [item.change.owner_id for item in portion],
            [item.change.location_id for item in portion],
            [item.old_value for item in portion],
            [item.change.new_value for item in portion],
        )


async def list_changes(connection: Connection, job_id: JobId) -> Collection[RiskyChange]:
    """What a person was asked about."""
    changes: set[RiskyChange] = set()
    last: tuple[str, int, int] = ("", 0, 0)
    while rows := await connection.fetch(LIST, job_id, *last, ROWS_AT_ONCE):
        for row in rows:
            changes.add(RiskyChange(PushKind(row["kind"]), row["owner_id"], row["location_id"], row["new_value"]))
        last = (rows[-1]["kind"], rows[-1]["owner_id"], rows[-1]["location_id"])
    return changes


async def list_unasked(connection: Connection, store: StoreName, large_price_change: float) -> Unasked:
    """What all runs have pushed recently without anybody being asked; `large_price_change` is a share of the price."""
    rows = await connection.fetch(LIST_UNASKED, store, LOOKED_BACK, Decimal(str(large_price_change)))
    return Unasked(
        frozenset(row["id"] for row in rows if row["is_stock"]),
        frozenset(row["id"] for row in rows if not row["is_stock"]),
    )
