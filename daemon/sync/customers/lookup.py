"""Customers for people: searched on both sides, or listed by how they stand, each with why it is so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from asyncpg import Record

from daemon.api.customers import CustomerHit, CustomerState
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.mirror import text_upkeep
from daemon.mirror.search_texts import read_sought, searching
from daemon.sync.customers import who
from daemon.sync.customers.who import TONES, Evidence, why
from daemon.sync.matching.phones import phone_numbers
from daemon.sync.search import CUSTOMERS, Exact, Found, search
from daemon.texts import visible
from daemon.tone import Tone

MOST_EXACT = 200  # customers who have a text as their id or phone number

# https://shopify.dev/docs/api/usage/gids, and the admin's addresses, of this shop or of none that is named.
_GLOBAL_ID = re.compile(r"gid://shopify/Customer/([1-9][0-9]{0,17})", re.ASCII)
_ADDRESS = re.compile(r"(?:https?://)?[^/\s]+/(?:[^\s?#]*/)?customers/([1-9][0-9]{0,17})(?:[/?#]\S*)?", re.ASCII)
_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

BY_ID = """
SELECT 'shopify' AS side, id FROM dongbo.shopify_customers WHERE store = $1 AND id = $2
UNION ALL
SELECT 'nhanh', id FROM dongbo.nhanh_customers WHERE store = $1 AND id = $2 AND $3
"""

BY_PHONE = """
SELECT side, customer_id AS id FROM dongbo.customer_phones WHERE store = $1 AND phone = ANY ($2) LIMIT $3
"""

LIST_SHOPIFY = """
SELECT hits.shopify_id FROM (
    SELECT id AS shopify_id FROM dongbo.shopify_customers
    WHERE store = $1 AND deleted_at IS NULL AND id > $2
) AS hits WHERE {condition} ORDER BY hits.shopify_id LIMIT $3
"""

# States that few are in: from those, not from all customers.
LIST_EXCLUDED = """
SELECT mapping.shopify_id FROM dongbo.customer_mappings AS mapping
JOIN dongbo.shopify_customers AS customer ON customer.store = $1 AND customer.id = mapping.shopify_id
WHERE mapping.store = $1 AND mapping.nhanh_id IS NULL AND mapping.retired_at IS NULL AND mapping.shopify_id > $2
  AND customer.deleted_at IS NULL
ORDER BY mapping.shopify_id LIMIT $3
"""

LIST_AMBIGUOUS = """
SELECT customer.id AS shopify_id FROM (
    SELECT DISTINCT unnest(shopify_ids) AS id FROM dongbo.match_conflicts WHERE store = $1 AND kind = 'phone'
) AS asked JOIN dongbo.shopify_customers AS customer ON customer.store = $1 AND customer.id = asked.id
WHERE customer.id > $2 AND customer.deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM dongbo.customer_mappings AS mapping
    WHERE mapping.store = $1 AND mapping.shopify_id = customer.id AND mapping.retired_at IS NULL
)
ORDER BY customer.id LIMIT $3
"""

LIST_NHANH = """
SELECT id FROM dongbo.nhanh_customers AS customer
WHERE store = $1 AND id > $2 AND deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM dongbo.customer_mappings AS mapping
    WHERE mapping.store = $1 AND mapping.nhanh_id = customer.id AND mapping.retired_at IS NULL
)
ORDER BY id LIMIT $3
"""

SHOPIFY = """
SELECT id, display_name AS name, coalesce(phone, address_phone) AS phone, email, deleted_at
FROM dongbo.shopify_customers WHERE store = $1 AND id = ANY ($2)
"""

NHANH = (
    "SELECT id, name, mobile AS phone, email, deleted_at FROM dongbo.nhanh_customers WHERE store = $1 AND id = ANY ($2)"
)


@dataclass(frozen=True, slots=True)
class CustomerLister:
    """Lists customers of a store; times in sentences are in `zone`."""

    connection: Connection
    store: StoreName
    zone: tzinfo

    async def search(
        self, text: str, state: CustomerState | None, *, skip: int, limit: int
    ) -> tuple[list[CustomerHit], str | None]:
        """Whom a text may mean, the best first; and what there is to say of the search.

        Args:
            skip: how many hits the pages before have had.
            state: only these.
        """
        bare = visible(text).strip()
        named = _GLOBAL_ID.fullmatch(bare) or _ADDRESS.fullmatch(bare)
        async with searching(self.connection):
            exact = await self._exact(bare, int(named[1]) if named is not None else None)
            sought = None if named is not None else await read_sought(self.connection, text)
            bare_numbers = sought.with_bare_numbers if sought is not None else None
            found, said = await search(
                self.connection, self.store, CUSTOMERS, exact, bare_numbers, _condition(state), skip=skip, limit=limit
            )
            if said is None and sought is not None and await text_upkeep.is_due(self.connection, self.store):
                said = _("Not everybody can be found yet: some were read a moment ago. Search again soon.")
            return await self._hits(found), said

    async def of_state(self, state: CustomerState | None, *, after: int, limit: int) -> list[CustomerHit]:
        """Customers in the order of their ids, those of Shopify unless only Nhanh.vn's are asked for."""
        async with searching(self.connection):
            if state is CustomerState.NHANH_ONLY:
                rows = await self.connection.fetch(LIST_NHANH, self.store, after, limit)
                return await self._hits([Found(None, row["id"]) for row in rows])
            match state:
                case CustomerState.EXCLUDED:
                    statement = LIST_EXCLUDED
                case CustomerState.AMBIGUOUS:
                    statement = LIST_AMBIGUOUS
                case _:
                    statement = LIST_SHOPIFY.format(condition=_condition(state))
            rows = await self.connection.fetch(statement, self.store, after, limit)
            return await self._hits([Found(row["shopify_id"], None) for row in rows])

    async def _exact(self, text: str, named: int | None) -> Exact:
        """Those of this id or phone number; `named` is an id that Shopify alone gives."""
        number = named or (int(text) if _ID.fullmatch(text) else None)
        rows: list[Record] = []
        if number is not None:
            rows += await self.connection.fetch(BY_ID, self.store, number, named is None)
        phones = phone_numbers(text) if named is None else []
        if phones:
            rows += await self.connection.fetch(BY_PHONE, self.store, phones, MOST_EXACT)
        return Exact(
            [row["id"] for row in rows if row["side"] == "shopify"],
            [row["id"] for row in rows if row["side"] == "nhanh"],
        )

    async def _hits(self, found: Sequence[Found]) -> list[CustomerHit]:
        """In the order of what was found."""
        shopify_ids = [one.shopify_id for one in found if one.shopify_id is not None]
        nhanh_ids = [one.nhanh_id for one in found if one.nhanh_id is not None]
        evidence = await who.gather(self.connection, self.store, shopify_ids)
        customers = {row["id"]: row for row in await self.connection.fetch(SHOPIFY, self.store, shopify_ids)}
        buyers = {row["id"]: row for row in await self.connection.fetch(NHANH, self.store, nhanh_ids)}
        hits = []
        for one in found:
            if one.shopify_id is not None and one.shopify_id in customers:
                hits.append(self._hit(customers[one.shopify_id], evidence[one.shopify_id]))
            elif one.nhanh_id is not None and one.nhanh_id in buyers:
                hits.append(self._nhanh_only(buyers[one.nhanh_id]))
        return hits

    def _hit(self, customer: Record, one: Evidence) -> CustomerHit:
        mapping = one.live
        is_gone = customer["deleted_at"] is not None
        return CustomerHit(
            store=self.store,
            shopify_id=customer["id"],
            nhanh_id=mapping["nhanh_id"] if mapping is not None else None,
            name=customer["name"],
            phone=customer["phone"],
            email=customer["email"],
            state=one.state,
            source=mapping["source"] if mapping is not None else None,
            tone=Tone.OFF if is_gone else TONES[one.state],
            text=_("The customer no longer exists at Shopify.") if is_gone else why(one, self.zone),
        )

    def _nhanh_only(self, buyer: Record) -> CustomerHit:
        is_gone = buyer["deleted_at"] is not None
        return CustomerHit(
            store=self.store,
            shopify_id=None,
            nhanh_id=buyer["id"],
            name=buyer["name"],
            phone=buyer["phone"],
            email=buyer["email"],
            state=CustomerState.NHANH_ONLY,
            source=None,
            tone=TONES[CustomerState.NHANH_ONLY],
            text=(
                _("The customer no longer exists at Nhanh.vn.")
                if is_gone
                else _("Nobody at Shopify is mapped to this customer of Nhanh.vn.")
            ),
        )


def _condition(state: CustomerState | None) -> str:
    """Which hits are in a state, in SQL."""
    is_open = f"hits.shopify_id IS NOT NULL AND NOT {CUSTOMERS.is_mapped()}"
    match state:
        case None:
            return "true"
        case CustomerState.NHANH_ONLY:
            return "hits.shopify_id IS NULL"
        case CustomerState.MAPPED:
            return CUSTOMERS.is_mapped("mapping.nhanh_id IS NOT NULL")
        case CustomerState.EXCLUDED:
            return CUSTOMERS.is_mapped("mapping.nhanh_id IS NULL")
        case CustomerState.AMBIGUOUS:
            return f"{is_open} AND {CUSTOMERS.in_conflict}"
        case CustomerState.UNMATCHED:
            return f"{is_open} AND NOT {CUSTOMERS.in_conflict}"
