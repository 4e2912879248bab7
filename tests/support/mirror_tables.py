"""Writes into the tables what pulls, matching, syncs and sales would have left behind."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from asyncpg import Range

from daemon.api.pushes import PushKind, PushResult
from daemon.database.pool import Database
from daemon.ids import JobId, StoreName, new_job_id
from daemon.mirror.keys import match_key
from daemon.sync import pushes
from daemon.sync.pushes import IntendedPush

STORE = StoreName("main")
NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)  # 12:00 in the shop

VARIANT, PRODUCT, ITEM, NHANH = 1001, 500, 2001, 77


class Tables:
    """Writes what pulls, matching and syncs would have left behind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def execute(self, sql: str, *arguments: Any) -> None:
        async with self._database.acquire() as connection:
            await connection.execute(sql, *arguments)

    async def variant(self, number: int = VARIANT, sku: str | None = "AO-01", **columns: Any) -> None:
        values = {
            "store": STORE, "id": number, "product_id": PRODUCT, "inventory_item_id": number + 1000, "sku": sku,
            "sku_key": match_key(sku), "barcode": None, "title": "Đỏ", "price": 199_000, "compare_at_price": None,
            "tracked": True, "document": "{}", "digest": b"", "changed_at": NOON, **columns,
        }  # fmt: skip
        values["barcode_key"] = match_key(values["barcode"])
        await self.insert("shopify_variants", values)

    async def nhanh(self, number: int = NHANH, code: str = "AO-01", **columns: Any) -> None:
        values = {
            "store": STORE, "id": number, "code": code, "sku_key": match_key(code), "name": "Áo thun", "parent_id": -1,
            "retail_price": 199_000, "old_price": None, "stock_known": True, "document": '{"priceVatMode": 1}',
            "digest": b"", "changed_at": NOON, **columns,
        }  # fmt: skip
        await self.insert("nhanh_products", values)

    async def stock(self, depot: int, available: float, *, at: datetime = NOON) -> None:
        figures = dict.fromkeys(("holding", "shipping", "damaged", "transferring"), 0)
        await self.insert(
            "nhanh_inventory",
            {"store": STORE, "product_id": NHANH, "depot_id": depot, "available": available, "remain": available + 1,
             "changed_at": at, **figures},
        )  # fmt: skip

    async def level(self, available: int, location: int = 31, *, at: datetime = NOON) -> None:
        await self.insert(
            "shopify_inventory_levels",
            {"store": STORE, "inventory_item_id": ITEM, "location_id": location, "variant_id": VARIANT,
             "available": available, "changed_at": at},
        )  # fmt: skip

    async def places(self) -> None:
        await self.insert("shopify_locations", {"store": STORE, "id": 31, "name": "Kho Hà Nội", "is_active": True})
        await self.insert("nhanh_depots", {"store": STORE, "id": 1, "name": "Kho A"})
        await self.insert("nhanh_depots", {"store": STORE, "id": 2, "name": None})

    async def mapping(self, nhanh_id: int | None = NHANH, source: str = "sku", **columns: Any) -> None:
        values = {"store": STORE, "variant_id": VARIANT, "nhanh_id": nhanh_id, "source": source, "changed_at": NOON}
        await self.insert("product_mappings", values | columns)

    async def push(
        self, kind: PushKind, old: str | None, new: str | None, result: PushResult, detail: str | None = None
    ) -> JobId:
        job_id = new_job_id()
        location = 31 if kind in (PushKind.STOCK, PushKind.ACTIVATION) else None
        push = IntendedPush(
            kind, VARIANT, old, new, "Nhanh.vn 77 (AO-01) has 4 + 3 available in depots 1, 2", ITEM, location
        )
        async with self._database.acquire() as connection:
            (number,) = await pushes.record(connection, STORE, job_id, uuid4(), [push])
            if result is not PushResult.INTENDED:
                await pushes.settle(connection, {number: (result, detail)})
                await connection.execute("UPDATE dongbo.pushes SET settled_at = $2 WHERE id = $1", number, NOON)
        return job_id

    async def sync(self, status: str, started_at: datetime, error: str | None = None) -> JobId:
        job_id = new_job_id()
        ended = started_at + timedelta(seconds=5) if status == "COMPLETED" else None
        values = {
            "id": job_id, "store": STORE, "type": "SYNC_PRODUCTS", "status": status, "trigger": "api", "lane": "x",
            "started_at": started_at, "completed_at": ended, "error": error, "max_attempts": 5,
        }  # fmt: skip
        await self.insert("background_jobs", values)
        return job_id

    async def sale(self, state: str, item_state: str, action: str, price: int, compare_at: int | None = None) -> None:
        """A sale that has last set these prices of the variant, from 199,000."""
        campaign_id = uuid4()
        await self.insert(
            "sale_campaigns",
            {"id": campaign_id, "store": STORE, "name": "tet", "origin": "api", "state": state, "definition": "{}"},
        )
        await self.insert(
            "sale_items",
            {"campaign_id": campaign_id, "variant_id": VARIANT, "product_id": PRODUCT, "store": STORE,
             "state": item_state, "held": Range(empty=True), "before_price": 199_000, "base_price": 199_000,
             "sale_price": 149_000},
        )  # fmt: skip
        await self.insert(
            "sale_writes",
            {"campaign_id": campaign_id, "store": STORE, "variant_id": VARIANT, "action": action, "old_price": 1,
             "new_price": price, "new_compare_at": compare_at, "job_id": uuid4(), "run_token": uuid4(),
             "result": "applied", "settled_at": NOON + timedelta(minutes=1)},
        )  # fmt: skip

    async def pair(self, *, nhanh: tuple[float, float] = (4, 3), shopify: int | None = 7) -> None:
        """A variant that is mapped to a product, with stock on both sides."""
        await self.places()
        await self.insert(
            "shopify_products",
            {"store": STORE, "id": PRODUCT, "title": "Áo thun", "tags": [], "document": "{}", "digest": b""},
        )
        await self.variant()
        await self.nhanh()
        await self.mapping()
        await self.stock(1, nhanh[0])
        await self.stock(2, nhanh[1])
        if shopify is not None:
            await self.level(shopify)

    async def note_customer_texts(self) -> None:
        """Let customers be found by what they are called, as matching does."""
        await self.execute(
            "INSERT INTO dongbo.customer_texts SELECT store, side, id, text FROM dongbo.texts_of_customers "
            "UNION ALL SELECT store, side, id, text FROM dongbo.texts_of_buyers"
        )

    async def insert(self, table: str, values: dict[str, Any]) -> None:
        """Add a row."""
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await self.execute(f"INSERT INTO dongbo.{table} ({', '.join(values)}) VALUES ({places})", *values.values())
