"""All SQL on `dongbo.item_readings`: when a person last had a variant read at either side."""

from dataclasses import dataclass
from datetime import datetime

from daemon.database.pool import Connection
from daemon.ids import StoreName

NOTE = """
INSERT INTO dongbo.item_readings AS known (store, variant_id, nhanh, shopify)
VALUES ($1, $2, $3, $4)
ON CONFLICT (store, variant_id) DO UPDATE SET
    nhanh = coalesce(excluded.nhanh, known.nhanh), shopify = coalesce(excluded.shopify, known.shopify)
"""

LAST = "SELECT nhanh, shopify FROM dongbo.item_readings WHERE store = $1 AND variant_id = $2"


@dataclass(frozen=True, slots=True)
class LastReadings:
    """When each side was asked, aware UTC; None: never."""

    nhanh: datetime | None = None
    shopify: datetime | None = None


async def note(connection: Connection, store: StoreName, variant_id: int, readings: LastReadings) -> None:
    """Note that a variant was read; a side without a time keeps the one that it has."""
    await connection.execute(NOTE, store, variant_id, readings.nhanh, readings.shopify)


async def last(connection: Connection, store: StoreName, variant_id: int) -> LastReadings:
    """When the variant was read last."""
    row = await connection.fetchrow(LAST, store, variant_id)
    return LastReadings(**row) if row else LastReadings()
