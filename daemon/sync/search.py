"""What a text means: rows of Shopify, and rows of Nhanh.vn that none of Shopify is mapped to.

Whatever has the text as its id or key comes first, then fields that begin with it, then what holds it, then what holds
all of its words somewhere. No more than MOST_FOUND texts are looked at: whoever asks for what thousands have is told to
say more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import number_text
from daemon.ids import StoreName
from daemon.mirror.search_texts import CUSTOMER_TEXTS, ITEM_TEXTS, Sought, holds

MOST_FOUND = 1_000  # texts; as many again of those with a field that begins with what is sought

# The rank of a text: by what a field of it begins with, $2, and what it holds, $3.
TEXTS = """
SELECT side, id, CASE WHEN text LIKE $2 THEN 1 WHEN text LIKE $3 THEN 2 ELSE 3 END AS rank
FROM dongbo.{texts} WHERE store = $1 AND {holds} LIMIT {most}
"""

BEGINNINGS = """
SELECT side, id, 1 AS rank FROM dongbo.{texts} WHERE store = $1 AND text LIKE $2 LIMIT {most}
"""

SEARCH = """
WITH found AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::integer[]) AS found (side, id, rank)
), mapped AS (
    SELECT found.id AS nhanh_id, mapping.{subject} AS shopify_id, rank FROM found
    LEFT JOIN dongbo.{mappings} AS mapping
        ON mapping.store = $1 AND mapping.nhanh_id = found.id AND mapping.retired_at IS NULL
    WHERE side = 'nhanh'
), hits AS (
    SELECT there.id AS shopify_id, NULL::bigint AS nhanh_id, min(rank) AS rank
    FROM (
        SELECT id, rank FROM found WHERE side = 'shopify'
        UNION ALL
        SELECT shopify_id, rank FROM mapped WHERE shopify_id IS NOT NULL
    ) AS one JOIN dongbo.{shopify} AS there ON there.store = $1 AND there.id = one.id
    WHERE there.deleted_at IS NULL OR rank = 0 GROUP BY there.id
    UNION ALL
    SELECT NULL, there.id, min(rank)
    FROM mapped JOIN dongbo.{nhanh} AS there ON there.store = $1 AND there.id = mapped.nhanh_id
    WHERE shopify_id IS NULL AND (there.deleted_at IS NULL OR rank = 0) AND {is_row} GROUP BY there.id
)
SELECT shopify_id, nhanh_id FROM hits WHERE {condition}
ORDER BY rank, shopify_id NULLS LAST, nhanh_id OFFSET $5 LIMIT $6
"""


@dataclass(frozen=True, slots=True)
class Searched:
    """Tables in which people search.

    Args:
        texts: of both sides.
        subject: the column of `mappings` with the id of Shopify.
        kinds: of the rows' keys in `match_conflicts`.
        is_row: which rows of Nhanh.vn count, as SQL on `there`.
    """

    texts: str
    mappings: str
    subject: str
    kinds: str
    shopify: str
    nhanh: str
    is_row: str

    @property
    def in_conflict(self) -> str:
        """Whether somebody must choose a counterpart, as SQL on `hits`, for the store $1."""
        return f"""hits.shopify_id IN (
            SELECT unnest(shopify_ids) FROM dongbo.match_conflicts WHERE store = $1 AND kind IN {self.kinds}
        )"""

    def is_mapped(self, to: str = "true") -> str:
        """Whether there is a mapping that holds, as SQL on `hits`, for the store $1; `to` is a condition on it."""
        return f"""EXISTS (
            SELECT FROM dongbo.{self.mappings} AS mapping
            WHERE mapping.store = $1 AND mapping.{self.subject} = hits.shopify_id AND mapping.retired_at IS NULL
              AND {to}
        )"""

    def was_mapped(self) -> str:
        """Whether there ever was a mapping, as SQL on `hits`, for the store $1."""
        return f"""EXISTS (
            SELECT FROM dongbo.{self.mappings} AS mapping
            WHERE mapping.store = $1 AND mapping.{self.subject} = hits.shopify_id
        )"""


ITEMS = Searched(
    texts=ITEM_TEXTS,
    mappings="product_mappings",
    subject="variant_id",
    kinds="('sku', 'barcode')",
    shopify="shopify_variants",
    nhanh="nhanh_products",
    is_row="there.parent_id IS DISTINCT FROM -2",  # one that stands for its variants
)

CUSTOMERS = Searched(
    texts=CUSTOMER_TEXTS,
    mappings="customer_mappings",
    subject="shopify_id",
    kinds="('phone')",
    shopify="shopify_customers",
    nhanh="nhanh_customers",
    is_row="true",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A row of Shopify, or one of Nhanh.vn that none of Shopify is mapped to; one of the two is None."""

    shopify_id: int | None
    nhanh_id: int | None


@dataclass(frozen=True, slots=True)
class Exact:
    """Rows that have a text as their id or key, whatever else has it."""

    shopify_ids: Sequence[int] = ()
    nhanh_ids: Sequence[int] = ()


async def search(
    connection: Connection,
    store: StoreName,
    searched: Searched,
    exact: Exact,
    sought: Sought | None,
    condition: str,
    *,
    skip: int,
    limit: int,
) -> tuple[list[Found], str | None]:
    """What a text may mean, the best first, in a transaction of `search_texts.searching`; and what to say of it.

    Args:
        sought: its words; None where it is an id or an address and nothing else.
        condition: on `hits.shopify_id` and `hits.nhanh_id`, in SQL.
        skip: how many the pages before have had.
    """
    found = [("shopify", number, 0) for number in exact.shopify_ids]
    found += [("nhanh", number, 0) for number in exact.nhanh_ids]
    texts = await _texts(connection, store, searched, sought) if sought is not None else []
    has_more = len(texts) >= MOST_FOUND
    if has_more and sought is not None:  # the best of them are among those that were not looked at, too
        beginnings = BEGINNINGS.format(texts=searched.texts, most=MOST_FOUND)
        texts += await connection.fetch(beginnings, store, sought.beginning)
    found += [(row["side"], row["id"], row["rank"]) for row in texts]
    columns = [[row[column] for row in found] for column in range(3)]
    statement = SEARCH.format(
        subject=searched.subject,
        mappings=searched.mappings,
        shopify=searched.shopify,
        nhanh=searched.nhanh,
        is_row=searched.is_row,
        condition=condition,
    )
    rows = await connection.fetch(statement, store, *columns, skip, limit)
    return [Found(row["shopify_id"], row["nhanh_id"]) for row in rows], _too_much() if has_more else None


async def _texts(connection: Connection, store: StoreName, searched: Searched, sought: Sought) -> list[Record]:
    statement = TEXTS.format(texts=searched.texts, holds=holds(len(sought.words), first=4), most=MOST_FOUND)
    return list(await connection.fetch(statement, store, sought.beginning, sought.whole, *sought.parts))


def _too_much() -> str:
    return _("More than {n} have this: give more of what you look for.").format(n=number_text(MOST_FOUND))
