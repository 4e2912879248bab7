"""The mapped customers with what both sides say of them: all SQL of the plan, read page by page in Shopify's ids."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

import msgspec
from asyncpg import Record

from daemon.database.pool import Connection, Database
from daemon.ids import JobId, StoreName
from daemon.sources.shopify.models import Metafield

LIVE = """
FROM dongbo.customer_mappings AS mapping
JOIN dongbo.nhanh_customers AS nhanh
    ON nhanh.store = mapping.store AND nhanh.id = mapping.nhanh_id AND nhanh.deleted_at IS NULL
JOIN dongbo.shopify_customers AS shopify
    ON shopify.store = mapping.store AND shopify.id = mapping.shopify_id AND shopify.deleted_at IS NULL
WHERE mapping.store = $1 AND mapping.retired_at IS NULL AND mapping.shopify_id > $2
"""

SCAN = f"""
SELECT mapping.shopify_id, mapping.nhanh_id, nhanh.total_amount, shopify.tags, shopify.metafields {LIVE} {{of_these}}
ORDER BY mapping.shopify_id LIMIT $3
"""

COUNT = f"SELECT count(*) {LIVE} {{of_these}}"

OF_THESE = "AND mapping.shopify_id = ANY (${place})"

# Mappings hold until the caller's transaction has noted what it is about to push; one that is being changed at this
# moment counts as none.
AGAIN = f"""
SELECT mapping.shopify_id, mapping.nhanh_id, nhanh.total_amount, shopify.tags, shopify.metafields {LIVE}
  AND mapping.shopify_id = ANY ($3)
FOR SHARE OF mapping SKIP LOCKED
"""

# What a job has pushed already after the place where it resumes: an interrupted batch, settled later.
PUSHED_AFTER = """
SELECT DISTINCT owner_id FROM dongbo.pushes
WHERE store = $1 AND job_id = $2 AND owner_id > $3 AND result = 'applied'
"""

_decode_metafields = msgspec.json.Decoder(dict[str, Metafield | None]).decode


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A mapped customer.

    Args:
        total_amount: what was spent at Nhanh.vn; None where it does not say.
        metafields: at Shopify, by "namespace.key", None where not set; None altogether, or without a name: not read.
    """

    shopify_id: int
    nhanh_id: int
    total_amount: Decimal | None
    tags: tuple[str, ...]
    metafields: Mapping[str, Metafield | None] | None


class CustomerPlan:
    """The live mappings of a store, as they are in the database at each call.

    `customers` are those of Shopify that it is about; None: all of them.
    """

    def __init__(self, database: Database, store: StoreName, customers: Collection[int] | None = None) -> None:
        self._database = database
        self._store = store
        self._these = () if customers is None else (list(customers),)

    async def count(self, after: int) -> int:
        """How many live mappings there are after a customer of Shopify."""
        async with self._database.acquire_for_work() as connection:
            number: int = await connection.fetchval(self._narrowed(COUNT, 3), self._store, after, *self._these)
        return number

    async def scan(self, after: int, limit: int) -> list[CustomerRow]:
        """The next live mappings after a customer of Shopify."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(self._narrowed(SCAN, 4), self._store, after, limit, *self._these)
        return [_row(row) for row in rows]

    async def pushed_after(self, job_id: JobId, after: int) -> frozenset[int]:
        """Customers after this one for whom the job has pushed something."""
        async with self._database.acquire_for_work() as connection:
            rows = await connection.fetch(PUSHED_AFTER, self._store, job_id, after)
        return frozenset(row["owner_id"] for row in rows)

    def _narrowed(self, statement: str, place: int) -> str:
        """With a condition of its own only where it is needed: one that any list would fit is planned for all rows."""
        return statement.format(of_these=OF_THESE.format(place=place) if self._these else "")


async def planned_again(
    connection: Connection, store: StoreName, customer_ids: Collection[int]
) -> dict[int, CustomerRow]:
    """Those of these customers of Shopify who are mapped now, and stay so until the transaction ends, by id."""
    return {row["shopify_id"]: _row(row) for row in await connection.fetch(AGAIN, store, 0, customer_ids)}


def _row(row: Record) -> CustomerRow:
    metafields = None if row["metafields"] is None else _metafields(row["metafields"])
    return CustomerRow(row["shopify_id"], row["nhanh_id"], row["total_amount"], tuple(row["tags"]), metafields)


def _metafields(document: str) -> dict[str, Metafield | None] | None:
    try:
        return _decode_metafields(document)
    except msgspec.ValidationError:  # of another version of this program: to be read again
        return None
