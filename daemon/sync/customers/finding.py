"""Who is meant by phone numbers and ids, as far as both mirrors know: all SQL of choosing customers for a sync."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.sync.matching.customer_keys import Side

MOST_SHARING = 2_000
MOST_OF_A_PHONE = 20  # customers of a side; a number that more have is nobody's

# What is gone at its source may still have its numbers, until the next matching.
OF_PHONES = """
SELECT asked.phone, known.customer_id FROM unnest($2::text[]) AS asked (phone) CROSS JOIN LATERAL (
    SELECT customer_id FROM dongbo.customer_phones
    WHERE store = $1 AND phone = asked.phone AND side = '{side}' ORDER BY customer_id LIMIT $3
) AS known JOIN dongbo.{side}_customers AS customer
    ON customer.store = $1 AND customer.id = known.customer_id AND customer.deleted_at IS NULL
"""

PARTNERS = """
SELECT shopify_id, nhanh_id FROM dongbo.customer_mappings
WHERE store = $1 AND retired_at IS NULL AND nhanh_id IS NOT NULL AND shopify_id = ANY ($2)
UNION
SELECT shopify_id, nhanh_id FROM dongbo.customer_mappings
WHERE store = $1 AND retired_at IS NULL AND nhanh_id = ANY ($3)
"""

DECIDED = """
SELECT shopify_id FROM dongbo.customer_mappings WHERE store = $1 AND retired_at IS NULL AND shopify_id = ANY ($2)
"""

# Who has a number that one of these has.
SHARING = """
SELECT DISTINCT partner.customer_id FROM dongbo.customer_phones AS known JOIN dongbo.customer_phones AS partner
    ON partner.store = $1 AND partner.phone = known.phone AND partner.side = 'shopify'
WHERE known.store = $1 AND known.side = 'nhanh' AND known.customer_id = ANY ($2)
ORDER BY partner.customer_id LIMIT $3
"""

PHONES = """
SELECT DISTINCT phone FROM dongbo.customer_phones WHERE store = $1 AND side = 'shopify' AND customer_id = ANY ($2)
"""

# Somebody at Nhanh.vn whom nobody at Shopify is mapped to has a number of theirs, which is neither common nor known to
# be in conflict; or a person once decided about them. Else matching would map nobody.
MATCHABLE = """
SELECT EXISTS (
    SELECT FROM dongbo.customer_phones AS known JOIN dongbo.customer_phones AS partner
        ON partner.store = $1 AND partner.phone = known.phone AND partner.side = 'nhanh'
    JOIN dongbo.nhanh_customers AS nhanh
        ON nhanh.store = $1 AND nhanh.id = partner.customer_id AND nhanh.deleted_at IS NULL
    WHERE known.store = $1 AND known.side = 'shopify' AND known.customer_id = ANY ($2)
      AND NOT EXISTS (
        SELECT FROM dongbo.customer_mappings AS mapping JOIN dongbo.shopify_customers AS other
            ON other.store = $1 AND other.id = mapping.shopify_id AND other.deleted_at IS NULL
        WHERE mapping.store = $1 AND mapping.nhanh_id = partner.customer_id AND mapping.retired_at IS NULL
      )
      AND NOT EXISTS (
        SELECT FROM dongbo.match_conflicts AS conflict
        WHERE conflict.store = $1 AND conflict.kind = 'phone' AND conflict.key = known.phone
          AND partner.customer_id = ANY (conflict.nhanh_ids) AND known.customer_id = ANY (conflict.shopify_ids)
      )
      AND NOT EXISTS (
        SELECT FROM dongbo.common_keys AS common
        WHERE common.store = $1 AND common.kind = 'phone' AND common.key = known.phone
      )
) OR EXISTS (
    SELECT FROM dongbo.customer_mappings WHERE store = $1 AND returns AND shopify_id = ANY ($2)
)
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The customers of both sides that have a phone number."""

    nhanh: frozenset[int] = frozenset()
    shopify: frozenset[int] = frozenset()


async def of_phones(connection: Connection, store: StoreName, phones: Sequence[str]) -> dict[str, Found]:
    """Who has each of these numbers, in E.164, by what was read of them last."""
    owners: dict[tuple[str, Side], set[int]] = {}
    for side in Side:
        for row in await connection.fetch(OF_PHONES.format(side=side), store, phones, MOST_OF_A_PHONE):
            owners.setdefault((row["phone"], side), set()).add(row["customer_id"])
    return {
        phone: Found(frozenset(owners.get((phone, Side.NHANH), ())), frozenset(owners.get((phone, Side.SHOPIFY), ())))
        for phone in phones
    }


async def partners(
    connection: Connection, store: StoreName, shopify_ids: Collection[int], nhanh_ids: Collection[int]
) -> dict[int, int]:
    """{customer of Shopify: the one of Nhanh.vn} of the mappings that hold and have one of these on either side."""
    rows = await connection.fetch(PARTNERS, store, list(shopify_ids), list(nhanh_ids))
    return {row["shopify_id"]: row["nhanh_id"] for row in rows}


async def undecided(connection: Connection, store: StoreName, shopify_ids: Iterable[int]) -> frozenset[int]:
    """Those of these customers of Shopify who are mapped to nobody, and of whom no person has said so."""
    asked = frozenset(shopify_ids)
    return asked - {row["shopify_id"] for row in await connection.fetch(DECIDED, store, list(asked))}


async def phones_of(connection: Connection, store: StoreName, shopify_ids: Collection[int]) -> list[str]:
    """The numbers of these customers of Shopify."""
    return [row["phone"] for row in await connection.fetch(PHONES, store, list(shopify_ids))]


async def sharing_phones(connection: Connection, store: StoreName, nhanh_ids: Collection[int]) -> frozenset[int]:
    """Customers of Shopify who have a phone number of one of these of Nhanh.vn, MOST_SHARING of them."""
    rows = await connection.fetch(SHARING, store, list(nhanh_ids), MOST_SHARING)
    return frozenset(row["customer_id"] for row in rows)


async def could_be_matched(connection: Connection, store: StoreName, shopify_ids: Collection[int]) -> bool:
    """Whether matching might map one of these customers of Shopify."""
    possible: bool = await connection.fetchval(MATCHABLE, store, list(shopify_ids))
    return possible
