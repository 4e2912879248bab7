"""All SQL on `dongbo.nhanh_combo_items`: what the combos of Nhanh.vn are made of."""

from collections.abc import Mapping
from decimal import Decimal

from daemon.database.pool import Connection
from daemon.ids import StoreName

DELETE_ITEMS = "DELETE FROM dongbo.nhanh_combo_items WHERE store = $1 AND combo_id = ANY ($2)"

INSERT_ITEMS = """
INSERT INTO dongbo.nhanh_combo_items (store, combo_id, item_id, quantity)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::numeric[])
"""

Components = Mapping[int, Decimal]  # how many of which product


async def replace_items(connection: Connection, store: StoreName, combos: Mapping[int, Components]) -> None:
    """Note what these combos are made of, in the caller's transaction; nothing where that is not known."""
    rows = [(combo_id, item_id, quantity) for combo_id, items in combos.items() for item_id, quantity in items.items()]
    await connection.execute(DELETE_ITEMS, store, list(combos))
    await connection.execute(INSERT_ITEMS, store, *map(list, zip(*rows, strict=True)) if rows else ([], [], []))
