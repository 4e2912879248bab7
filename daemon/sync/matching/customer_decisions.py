"""What people decide about customers: who is who on both sides, or that somebody has no counterpart."""

from collections.abc import AsyncIterator, Sequence

from daemon.api.customers import CustomerOutcome, OverruledCustomer
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs.actions import SubjectKind
from daemon.sync.matching.decisions import Decisions, Entry

EXAMINE = """
SELECT asked.id, customer.id IS NULL AS is_unknown, customer.deleted_at IS NOT NULL AS is_deleted
FROM unnest($2::bigint[]) AS asked (id)
LEFT JOIN dongbo.{table} AS customer ON customer.store = $1 AND customer.id = asked.id
"""


async def set_manual(
    connection: Connection, store: StoreName, entries: Sequence[Entry], note: str | None
) -> CustomerOutcome:
    """Let a person's word about customers hold, as `Decisions.decide` does; `note`: why, for whoever looks later.

    Raises:
        InvalidMapping: one line for each entry that can't hold.
        DatabaseUnavailable: the store's customers were being matched all the time.
    """
    decided = await DECISIONS.decide(connection, store, entries, note)
    overruled = [OverruledCustomer(shopify_id, nhanh_id) for shopify_id, nhanh_id in decided.overruled]
    return CustomerOutcome(decided.written, decided.replaced, decided.unchanged, overruled)


async def _examine(
    connection: Connection, store: StoreName, customers: Sequence[int], buyers: Sequence[int]
) -> AsyncIterator[str]:
    """What is wrong with customers that somebody wants to map, and what to do about it."""
    for row in await connection.fetch(EXAMINE.format(table="shopify_customers"), store, customers):
        if row["is_unknown"]:
            problem = _("customer {id}: no such customer is known of Shopify; check the id, or pull the customers.")
            yield problem.format(id=row["id"])
        elif row["is_deleted"]:
            yield _("customer {id}: the customer was deleted at Shopify.").format(id=row["id"])
    for row in await connection.fetch(EXAMINE.format(table="nhanh_customers"), store, buyers):
        if row["is_unknown"]:
            problem = _("customer {id}: no such customer is known of Nhanh.vn; check the id, or pull the customers.")
            yield problem.format(id=row["id"])
        elif row["is_deleted"]:
            yield _("customer {id}: the customer was deleted at Nhanh.vn.").format(id=row["id"])


DECISIONS = Decisions(
    table="customer_mappings",
    subject="shopify_id",
    kind=SubjectKind.CUSTOMER,
    replaced="a person has decided otherwise about customer %s",
    overruled="a person has given customer %s of Nhanh.vn to another one",
    examine=_examine,
    named_twice=mark("customer {id}: it is named {n} times; name it once."),
    busy=mark(
        "The customers of store {store} are being matched at this moment, so that nothing was changed: try again in a "
        "minute."
    ),
)
