"""Every push of an item or of a customer, newest first."""

from collections.abc import Sequence
from uuid import UUID

from daemon.api.items import ItemPush
from daemon.api.pushes import PushKind, PushResult
from daemon.database.pool import Connection
from daemon.ids import StoreName

OF_ITEM = (PushKind.STOCK, PushKind.ACTIVATION, PushKind.PRICE, PushKind.COMPARE_AT_PRICE)

# Kind by kind, as the index has them: so no more is read than is shown.
LIST = """
SELECT push.*, place.name AS location_name
FROM unnest($3::text[]) AS wanted (kind) CROSS JOIN LATERAL (
    SELECT id, kind, job_id, location_id, old_value, new_value, reason, rule, result, detail, intended_at, settled_at
    FROM dongbo.pushes
    WHERE store = $1 AND owner_id = $2 AND kind = wanted.kind AND ($4::bigint IS NULL OR id < $4)
    ORDER BY id DESC LIMIT $5
) AS push
LEFT JOIN dongbo.shopify_locations AS place ON place.store = $1 AND place.id = push.location_id
ORDER BY push.id DESC LIMIT $5
"""


async def of_item(
    connection: Connection, store: StoreName, variant_id: int, *, before: int | None, limit: int
) -> list[ItemPush]:
    """Pushes of a variant; `before` is the last id of the page before."""
    return await _list(connection, store, variant_id, OF_ITEM, before=before, limit=limit)


async def _list(
    connection: Connection,
    store: StoreName,
    owner_id: int,
    kinds: Sequence[PushKind],
    *,
    before: int | None,
    limit: int,
) -> list[ItemPush]:
    rows = await connection.fetch(LIST, store, owner_id, kinds, before, limit)
    return [
        ItemPush(
            id=row["id"],
            kind=PushKind(row["kind"]),
            job_id=UUID(int=row["job_id"].int),
            location_id=row["location_id"],
            location_name=row["location_name"],
            old_value=row["old_value"],
            new_value=row["new_value"],
            reason=row["reason"],
            rule=row["rule"],
            result=PushResult(row["result"]),
            detail=row["detail"],
            intended_at=row["intended_at"],
            settled_at=row["settled_at"],
        )
        for row in rows
    ]
