"""Whom the matching of a few customers depends on: all who are linked to them by numbers, mappings or conflicts.

Whatever matching finds out about a customer follows from those who share a number with it, from those who share one
with these, and so on: each such group is matched on its own as it would be among all others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.sync.matching.customer_keys import Side

MOST_RELATED = 500  # customers of both sides; a group that is larger is matched with everybody

NUMBERS = """
SELECT DISTINCT phone FROM dongbo.customer_phones WHERE store = $1 AND side = '{side}' AND customer_id = ANY ($2)
"""

OWNERS = "SELECT side, customer_id FROM dongbo.customer_phones WHERE store = $1 AND phone = ANY ($2) LIMIT $3"

MAPPED = """
SELECT nhanh_id, shopify_id FROM dongbo.customer_mappings
WHERE store = $1 AND retired_at IS NULL AND shopify_id = ANY ($3)
UNION
SELECT nhanh_id, shopify_id FROM dongbo.customer_mappings
WHERE store = $1 AND retired_at IS NULL AND nhanh_id = ANY ($2)
UNION
SELECT nhanh_id, shopify_id FROM dongbo.customer_mappings
WHERE store = $1 AND returns AND (shopify_id = ANY ($3) OR nhanh_id = ANY ($2))
"""

IN_CONFLICT = """
SELECT key, nhanh_ids, shopify_ids FROM dongbo.match_conflicts
WHERE store = $1 AND kind = 'phone' AND (nhanh_ids && $2 OR shopify_ids && $3)
"""


@dataclass(slots=True)
class RelatedCustomers:
    """Customers of both sides, and the numbers, in E.164, that they have or are in conflict about."""

    nhanh: set[int] = field(default_factory=set)
    shopify: set[int] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        """How many customers these are."""
        return len(self.nhanh) + len(self.shopify)

    def of(self, side: Side) -> list[int]:
        """Those of a side."""
        return sorted(self.nhanh if side is Side.NHANH else self.shopify)


async def related_to(connection: Connection, store: StoreName, shopify_ids: Iterable[int]) -> RelatedCustomers | None:
    """All whom the matching of these customers of Shopify depends on; None where they are too many."""
    related, size = RelatedCustomers(shopify=set(shopify_ids)), -1
    while related.size + len(related.phones) > size:
        size = related.size + len(related.phones)
        await _widen(connection, store, related)
        if related.size > MOST_RELATED:
            return None
    return related


async def _widen(connection: Connection, store: StoreName, related: RelatedCustomers) -> None:
    """Add those who are linked to them directly."""
    nhanh, shopify = related.of(Side.NHANH), related.of(Side.SHOPIFY)
    for row in await connection.fetch(IN_CONFLICT, store, nhanh, shopify):
        related.phones.add(row["key"])
        related.nhanh.update(row["nhanh_ids"])
        related.shopify.update(row["shopify_ids"])
    for row in await connection.fetch(MAPPED, store, nhanh, shopify):
        related.nhanh.update({row["nhanh_id"]} - {None})
        related.shopify.add(row["shopify_id"])
    for side in Side:
        rows = await connection.fetch(NUMBERS.format(side=side), store, related.of(side))
        related.phones.update(row["phone"] for row in rows)
    for row in await connection.fetch(OWNERS, store, sorted(related.phones), 4 * MOST_RELATED):
        (related.nhanh if row["side"] == Side.NHANH else related.shopify).add(row["customer_id"])
