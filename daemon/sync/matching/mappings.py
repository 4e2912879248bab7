"""`dongbo.product_mappings`: what matching starts from, and what people decide.

How decisions are written is in `daemon.sync.matching.decisions`, and how that is written which matching decides in
`daemon.sync.matching.writing`; who writes mappings holds the lock of DECISIONS.
What is read for people is in `daemon.sync.matching.mapping_list`.
"""

from collections.abc import AsyncIterator, Sequence

from daemon.api.mappings import ManualOutcome, Overruled
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs.actions import SubjectKind
from daemon.sync.matching.decisions import Decisions, Entry

COPY_LIVE = """
INSERT INTO pg_temp.match_mappings
SELECT id, variant_id, nhanh_id, source FROM dongbo.product_mappings WHERE store = $1 AND retired_at IS NULL
"""

COPY_RETURNING = """
INSERT INTO pg_temp.match_returning
SELECT id, variant_id, nhanh_id, source FROM dongbo.product_mappings WHERE store = $1 AND returns
"""

EXAMINE_VARIANTS = """
SELECT asked.id, variant.id IS NULL AS is_unknown,
    variant.deleted_at IS NOT NULL OR product.deleted_at IS NOT NULL AS is_deleted
FROM unnest($2::bigint[]) AS asked (id)
LEFT JOIN dongbo.shopify_variants AS variant ON variant.store = $1 AND variant.id = asked.id
LEFT JOIN dongbo.shopify_products AS product ON product.store = $1 AND product.id = variant.product_id
"""

EXAMINE_PRODUCTS = """
SELECT asked.id, product.id IS NULL AS is_unknown, product.deleted_at IS NOT NULL AS is_deleted,
    coalesce(product.parent_id = -2, false) AS is_parent
FROM unnest($2::bigint[]) AS asked (id)
LEFT JOIN dongbo.nhanh_products AS product ON product.store = $1 AND product.id = asked.id
"""


async def copy(connection: Connection, store: StoreName) -> None:
    """Copy what matching starts from into its temporary tables."""
    await connection.execute(COPY_LIVE, store)
    await connection.execute(COPY_RETURNING, store)


async def set_manual(
    connection: Connection, store: StoreName, entries: Sequence[Entry], note: str | None
) -> ManualOutcome:
    """Let a person's word about variants hold, as `Decisions.decide` does; `note`: why, for whoever looks later.

    Raises:
        InvalidMapping: one line for each entry that can't hold.
        DatabaseUnavailable: the store's products were being matched all the time.
    """
    decided = await DECISIONS.decide(connection, store, entries, note)
    overruled = [Overruled(variant_id, nhanh_id) for variant_id, nhanh_id in decided.overruled]
    return ManualOutcome(decided.written, decided.replaced, decided.unchanged, overruled)


async def _examine(
    connection: Connection, store: StoreName, variants: Sequence[int], products: Sequence[int]
) -> AsyncIterator[str]:
    """What is wrong with variants or products that somebody wants to map, and what to do about it."""
    for row in await connection.fetch(EXAMINE_VARIANTS, store, variants):
        if row["is_unknown"]:
            problem = _("variant {id}: no such variant is known of Shopify; check the id, or pull the products.")
            yield problem.format(id=row["id"])
        elif row["is_deleted"]:
            problem = _("variant {id}: it was deleted at Shopify; name the variant that took its place.")
            yield problem.format(id=row["id"])
    for row in await connection.fetch(EXAMINE_PRODUCTS, store, products):
        if row["is_unknown"]:
            problem = _("product {id}: no such product is known of Nhanh.vn; check the id, or pull the products.")
            yield problem.format(id=row["id"])
        elif row["is_deleted"]:
            problem = _("product {id}: it was deleted at Nhanh.vn; name the product that took its place.")
            yield problem.format(id=row["id"])
        elif row["is_parent"]:
            problem = _("product {id}: it is a parent, whose stock is that of its variants; name one of these.")
            yield problem.format(id=row["id"])


DECISIONS = Decisions(
    table="product_mappings",
    subject="variant_id",
    kind=SubjectKind.VARIANT,
    replaced="a person has decided otherwise about variant %s",
    overruled="a person has given product %s to another variant",
    examine=_examine,
    named_twice=mark("variant {id}: it is named {n} times; name it once."),
    busy=mark(
        "The products of store {store} are being matched at this moment, so that nothing was changed: try again in a "
        "minute."
    ),
)
