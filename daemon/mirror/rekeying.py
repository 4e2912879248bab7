"""After an upgrade that changes the rules for keys (`daemon.mirror.keys`), recomputes the keys of existing rows.

Pulls write the keys of the rows they bring; rows that do not change at their source they do not write again.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.keys import RULES, match_key

PAGE = 500  # rows: some 5 ms of Python
FIRST_RULES = "2"  # for stores added after the table of rules


class _Side(NamedTuple):
    """A table with keys, and the column that its SKUs are in."""

    name: str
    table: str
    sku: str


SIDES = (_Side("nhanh", "nhanh_products", "code"), _Side("shopify", "shopify_variants", "sku"))

RULES_OF = "SELECT rules FROM dongbo.key_rules WHERE store = $1 AND side = $2"

LIST_ROWS = """
SELECT id, {sku} AS sku, barcode, sku_key, barcode_key FROM dongbo.{table}
WHERE store = $1 AND id > $2 ORDER BY id LIMIT $3
"""

# A pull that has written the row meanwhile has written its keys, too.
WRITE_KEYS = """
UPDATE dongbo.{table} AS mirrored SET sku_key = page.sku_key, barcode_key = page.barcode_key
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS page (id, sku, barcode, sku_key, barcode_key)
WHERE mirrored.store = $1 AND mirrored.id = page.id
  AND (mirrored.{sku}, mirrored.barcode) IS NOT DISTINCT FROM (page.sku, page.barcode)
"""

WRITE_RULES = """
INSERT INTO dongbo.key_rules (store, side, rules) VALUES ($1, $2, $3)
ON CONFLICT (store, side) DO UPDATE SET rules = excluded.rules
"""


async def rekey(borrow: Callable[[], AbstractAsyncContextManager[Connection]], store: StoreName) -> None:
    """Bring the keys of all rows of a store to the present rules; usually they follow them, and nothing is read.

    Borrows a connection for each page. A run that is stopped halfway starts over the next time.
    """
    for side in SIDES:
        async with borrow() as connection:
            rules = await connection.fetchval(RULES_OF, store, side.name) or FIRST_RULES
        if rules == RULES:
            continue
        after: int | None = 0
        while after is not None:
            async with borrow() as connection:
                after = await _rekey_page(connection, store, side, after)
            await asyncio.sleep(0)
        async with borrow() as connection:
            await connection.execute(WRITE_RULES, store, side.name, RULES)


async def _rekey_page(connection: Connection, store: StoreName, side: _Side, after: int) -> int | None:
    """Compute the keys of the rows after an id; returns the last id, None where there are no more."""
    rows = await connection.fetch(LIST_ROWS.format(sku=side.sku, table=side.table), store, after, PAGE)
    changed = list(_rekeyed(rows))
    if changed:
        columns = [list(column) for column in zip(*changed, strict=True)]
        await connection.execute(WRITE_KEYS.format(sku=side.sku, table=side.table), store, *columns)
    return rows[-1]["id"] if rows else None


def _rekeyed(rows: Iterable[Record]) -> Iterable[tuple[int, str | None, str | None, str | None, str | None]]:
    for row in rows:
        keys = match_key(row["sku"]), match_key(row["barcode"])
        if keys != (row["sku_key"], row["barcode_key"]):
            yield row["id"], row["sku"], row["barcode"], *keys
