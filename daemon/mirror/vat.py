"""All SQL on `dongbo.nhanh_vat`: the VAT of products, according to Nhanh.vn."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from daemon.database.pool import Connection
from daemon.ids import StoreName

STORE_RATES = """
INSERT INTO dongbo.nhanh_vat (store, product_id, rate, product_updated_at, read_at)
SELECT $1, told.id, told.rate, told.updated_at, CASE WHEN told.is_final THEN clock_timestamp() ELSE '-infinity' END
FROM unnest($2::bigint[], $3::numeric[], $4::timestamptz[], $5::boolean[]) AS told (id, rate, updated_at, is_final)
ORDER BY told.id
ON CONFLICT (store, product_id) DO UPDATE SET
    rate = excluded.rate, product_updated_at = excluded.product_updated_at, read_at = excluded.read_at
"""


@dataclass(frozen=True, slots=True)
class ReportedVat:
    """What product/detail said about a product.

    Args:
        rate: percent; None: it does not say.
        product_updated_at: when the product had last changed, as the mirror has it.
        is_final: whether no further change of it can have that same time; else it is asked for again.
    """

    rate: Decimal | None
    product_updated_at: datetime | None
    is_final: bool


async def store_rates(connection: Connection, store: StoreName, told: Mapping[int, ReportedVat]) -> None:
    """Note what was said about products, by their ids."""
    columns = zip(*((each.rate, each.product_updated_at, each.is_final) for each in told.values()), strict=True)
    if told:
        await connection.execute(STORE_RATES, store, list(told), *map(list, columns))
