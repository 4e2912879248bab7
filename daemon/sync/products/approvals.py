"""All SQL on `dongbo.approval_items`: the risky changes that a person was asked about, one by one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.sync.pushes import PushKind

CLEAR = "DELETE FROM dongbo.approval_items WHERE job_id = $1"

INSERT = """
INSERT INTO dongbo.approval_items (job_id, kind, owner_id, location_id, old_value, new_value)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
"""

LIST = "SELECT kind, owner_id, location_id, old_value, new_value FROM dongbo.approval_items WHERE job_id = $1"

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class RiskyChange:
    """A change that is not made in large numbers without a person's approval; `location_id` is 0 where there is none.

    What was there before is no part of its identity: approving it approves the new value.
    """

    kind: PushKind
    owner_id: int
    location_id: int
    new_value: str


@dataclass(frozen=True, slots=True)
class ApprovalItem:
    """A risky change and the value that it would replace."""

    change: RiskyChange
    old_value: str


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
    rows = await connection.fetch(LIST, job_id)
    return {RiskyChange(PushKind(row["kind"]), row["owner_id"], row["location_id"], row["new_value"]) for row in rows}
