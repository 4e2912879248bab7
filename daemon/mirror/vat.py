"""All SQL on `dongbo.nhanh_vat`: which VAT Nhanh.vn says that its products have."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from daemon.database.pool import Connection
from daemon.ids import StoreName

STORE_RATES = """
INSERT INTO dongbo.nhanh_vat (store, product_id, rate, product_updated_at)
SELECT $1, told.id, told.rate, told.updated_at
FROM unnest($2::bigint[], $3::numeric[], $4::timestamptz[]) AS told (id, rate, updated_at) ORDER BY told.id
ON CONFLICT (store, product_id) DO UPDATE SET
    rate = excluded.rate, product_updated_at = excluded.product_updated_at, read_at = clock_timestamp()
"""


async def store_rates(
    connection: Connection, store: StoreName, rates: Mapping[int, tuple[Decimal | None, datetime | None]]
) -> None:
    """Note what was told of products, {id: (percent or None, when the product had last changed)}."""
    columns = [rate for rate, _ in rates.values()], [updated_at for _, updated_at in rates.values()]
    await connection.execute(STORE_RATES, store, list(rates), *columns)
