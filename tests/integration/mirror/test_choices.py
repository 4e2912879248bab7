"""What forms let people choose from: counted by every statement that changes products, found by a part of a name."""

from typing import Any

import pytest

from daemon.api.choices import ChoiceKind
from daemon.database.pool import Database
from daemon.ids import StoreName
from daemon.mirror.choices import list_choices

STORE = StoreName("main")
INSERT = """
INSERT INTO dongbo.shopify_products (store, id, title, vendor, product_type, tags, document, digest)
VALUES ($1, $2, $3, $4, $5, $6, '{}', '')
"""
INSERT_VARIANT = """
INSERT INTO dongbo.shopify_variants (store, id, product_id, price, document, digest)
VALUES ($1, $2::bigint + 1000, $2::bigint, 1, '{}', '')
"""


class Shop:
    """Products of one store, and what its forms offer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def execute(self, sql: str, *arguments: Any) -> None:
        async with self._database.acquire() as connection:
            await connection.execute(sql, *arguments)

    async def product(
        self, number: int, title: str = "Áo thun", vendor: str = "Đại Nam", kind: str = "Áo", tags: str = "Tết,mới"
    ) -> None:
        await self.execute(INSERT, STORE, number, title, vendor, kind, tags.split(",") if tags else [])
        await self.execute(INSERT_VARIANT, STORE, number)

    async def choices(self, kind: ChoiceKind, search: str = "", limit: int = 20) -> list[tuple[str, int | None]]:
        async with self._database.acquire() as connection:
            found = await list_choices(connection, STORE, kind, search, limit)
        return [(choice.label, choice.count) for choice in found]

    async def counted(self) -> dict[str, dict[str, int]]:
        """What the table holds, by kind."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT kind, value, products FROM dongbo.product_choices WHERE products <> 0"
            )
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            found.setdefault(row["kind"], {})[row["value"]] = row["products"]
        return found


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database)


async def test_counts_follow_every_change_of_products(shop: Shop) -> None:
    """New, changed, marked as deleted, back again and gone: the counts are what counting anew would find."""
    await shop.product(1)
    await shop.product(2, kind="Quần", tags="mới,mới")
    assert await shop.counted() == {
        "vendor": {"Đại Nam": 2},
        "type": {"Áo": 1, "Quần": 1},
        "tag": {"Tết": 1, "mới": 2},
    }
    await shop.execute("UPDATE dongbo.shopify_products SET vendor = 'May 10', tags = '{}' WHERE id = 2")
    assert await shop.counted() == {
        "vendor": {"Đại Nam": 1, "May 10": 1},
        "type": {"Áo": 1, "Quần": 1},
        "tag": {"Tết": 1, "mới": 1},
    }
    await shop.execute("UPDATE dongbo.shopify_products SET deleted_at = now()")
    assert await shop.counted() == {}
    await shop.execute("UPDATE dongbo.shopify_products SET deleted_at = NULL WHERE id = 1")
    await shop.execute("DELETE FROM dongbo.shopify_products WHERE id = 2")
    assert await shop.counted() == {"vendor": {"Đại Nam": 1}, "type": {"Áo": 1}, "tag": {"Tết": 1, "mới": 1}}
    await shop.execute("DELETE FROM dongbo.shopify_products")
    assert await shop.counted() == {}


async def test_an_upsert_counts_what_is_new_and_what_changed(shop: Shop) -> None:
    """One statement that inserts some rows and updates others counts each once."""
    await shop.product(1)
    upsert = f"{INSERT.replace('VALUES', 'SELECT')} ON CONFLICT (store, id) DO UPDATE SET vendor = excluded.vendor"
    upsert = upsert.replace("($1, $2, $3, $4, $5, $6, '{}', '')", "$1, unnest($2::bigint[]), $3, $4, $5, $6, '{}', ''")
    await shop.execute(upsert, STORE, [1, 2], "Áo", "May 10", "Áo", ["mới"])
    assert (await shop.counted())["vendor"] == {"May 10": 2}


async def test_the_most_common_come_first_and_no_accents_are_needed(shop: Shop) -> None:
    """A part of the name is enough, whatever its case, accents and spaces; signs of patterns stand for themselves."""
    await shop.product(1, vendor="Đại Nam")
    await shop.product(2, vendor="Đại Nam")
    await shop.product(3, vendor="100% cotton")
    assert await shop.choices(ChoiceKind.VENDORS) == [("Đại Nam", 2), ("100% cotton", 1)]
    assert await shop.choices(ChoiceKind.VENDORS, "dainam") == [("Đại Nam", 2)]
    assert await shop.choices(ChoiceKind.VENDORS, "0%") == [("100% cotton", 1)]
    assert await shop.choices(ChoiceKind.VENDORS, "_") == []
    assert await shop.choices(ChoiceKind.TYPES, "AO") == [("Áo", 3)]
    assert await shop.choices(ChoiceKind.TAGS, limit=1) == [("Tết", 3)]


async def test_products_are_found_by_title_and_by_id(shop: Shop) -> None:
    """Those that are there: a product that was deleted is none to choose."""
    await shop.product(11, title="Áo khoác đỏ")
    await shop.product(12, title="Quần bò")
    await shop.product(13, title="Áo khoác")
    await shop.execute("UPDATE dongbo.shopify_products SET deleted_at = now() WHERE id = 13")
    assert await shop.choices(ChoiceKind.PRODUCTS, "ao khoac") == [("Áo khoác đỏ", None)]
    assert await shop.choices(ChoiceKind.PRODUCTS, "12") == [("Quần bò", None)]
    assert len(await shop.choices(ChoiceKind.PRODUCTS)) == 2


async def test_places_and_collections_are_found_by_name(shop: Shop) -> None:
    """Not those that are closed, hidden or unknown to Shopify."""
    await shop.execute(
        "INSERT INTO dongbo.shopify_locations (store, id, name, is_active)"
        " VALUES ('main', 31, 'Hà Nội', true), ('main', 32, 'Huế', false)"
    )
    await shop.execute("INSERT INTO dongbo.nhanh_depots (store, id, name) VALUES ('main', 1, 'Kho Đà Nẵng')")
    await shop.execute(
        "INSERT INTO dongbo.nhanh_depots (store, id, name, hidden_at) VALUES ('main', 2, 'Kho cũ', now())"
    )
    await shop.execute(
        "INSERT INTO dongbo.shopify_collections (store, reference, id, title, read_at)"
        " VALUES ('main', 'tet', 71, 'Tết 2027', now()), ('main', 'gone', NULL, NULL, now())"
    )
    assert await shop.choices(ChoiceKind.LOCATIONS) == [("Hà Nội", None)]
    assert await shop.choices(ChoiceKind.DEPOTS, "da nang") == [("Kho Đà Nẵng", None)]
    assert await shop.choices(ChoiceKind.COLLECTIONS) == [("Tết 2027", None)]
    assert await shop.choices(ChoiceKind.COLLECTIONS, "71") == [("Tết 2027", None)]
