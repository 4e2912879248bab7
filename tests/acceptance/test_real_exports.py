"""The main job on real input: Shopify's exports, pulled by schedule, are in PostgreSQL field by field."""

import csv
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from tests.acceptance.test_fires import daily, remembered, schedule
from tests.support.site import Site, eventually

EXPORTS = Path(__file__).parents[3] / "shared" / "data" / "shopify-products"
OPTIONS = (1, 2, 3)
OUNCE = Decimal("28.349523125")
GRAMS = {"GRAMS": Decimal(1), "KILOGRAMS": Decimal(1000), "OUNCES": OUNCE, "POUNDS": 16 * OUNCE}
PRODUCTS = "SELECT * FROM dongbo.shopify_products WHERE deleted_at IS NULL"
VARIANTS = "SELECT * FROM dongbo.shopify_variants WHERE deleted_at IS NULL ORDER BY product_id, position"
JOB = "SELECT * FROM dongbo.background_jobs WHERE status = 'COMPLETED'"

Row = dict[str, str]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A shop with the goods of the exports."""
    files = tuple(sorted(EXPORTS.glob("*.csv")))
    if not files:
        pytest.skip(f"there are no exports in {EXPORTS}")
    async with running_sandbox(SandboxSettings(customers=10, limits=False, shopify_csv=files)) as running:
        yield running


def exported() -> dict[str, list[Row]]:
    """The rows of each product by its handle, as they stand in the files."""
    products: dict[str, list[Row]] = {}
    for path in sorted(EXPORTS.glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                products.setdefault(row["Handle"], []).append(row)
    return products


def is_true(text: str) -> bool:
    """How the exports write a boolean."""
    assert text.lower() in ("true", "false"), text
    return text.lower() == "true"


async def test_exports_pulled_by_schedule_are_equal_to_the_files(
    site: Site, sandbox: Sandbox, connection: asyncpg.Connection
) -> None:
    """Every product, variant, price, SKU and tag in PostgreSQL is what the exports say, field by field."""
    fire_time = datetime.now(UTC) - timedelta(minutes=10)
    site.settings["schedules"] = [schedule("products", daily(fire_time), "PULL_SHOPIFY_PRODUCTS")]
    site.write()
    await remembered(site, connection, fire_time - timedelta(hours=1))
    async with site.daemon() as daemon:
        job = await eventually(lambda: connection.fetchrow(JOB), 30, what="the schedule's pull")
        assert await daemon.process.terminate() == 0
    files = exported()
    assert (job["trigger"], job["schedule"]) == ("schedule", "products")
    assert (job["processed"], job["created"], job["failed"], job["total"]) == (len(files), len(files), 0, len(files))
    products = {row["handle"]: row for row in await connection.fetch(PRODUCTS)}
    variants = await connection.fetch(VARIANTS)
    assert products.keys() == files.keys()
    for handle, rows in files.items():
        check_product(rows, products[handle])
        own = [variant for variant in variants if variant["product_id"] == products[handle]["id"]]
        check_variants(rows, own, products[handle]["title"])


def check_product(rows: list[Row], stored: asyncpg.Record) -> None:
    """A product's row against the first of its rows in the file."""
    first, document = rows[0], json.loads(stored["document"])
    assert stored["title"] == first["Title"]
    assert stored["vendor"] == first["Vendor"]
    assert stored["product_type"] == first["Type"]
    assert sorted(stored["tags"]) == sorted({tag.strip() for tag in first["Tags"].split(",") if tag.strip()})
    assert stored["status"] == first.get("Status", "active").upper()
    assert document["descriptionHtml"] == first["Body (HTML)"]
    assert document["isGiftCard"] == is_true(first["Gift Card"])
    assert (document["publishedAt"] is not None) == is_true(first["Published"])
    assert [option["name"] for option in document["options"]] == [
        first[f"Option{number} Name"] for number in OPTIONS if first[f"Option{number} Name"]
    ]
    image = next((row["Image Src"] for row in rows if row["Image Src"]), None)
    assert (document["featuredMedia"] or {"preview": {"image": {"url": None}}})["preview"]["image"]["url"] == image


def check_variants(rows: list[Row], stored: list[asyncpg.Record], title: str) -> None:
    """A product's variants, in their order, against those of its rows that have a price."""
    expected = [row for row in rows if row["Variant Price"]]
    assert len(stored) == len(expected), title
    names = [rows[0][f"Option{number} Name"] for number in OPTIONS]
    for position, (row, variant) in enumerate(zip(expected, stored, strict=True), start=1):
        document: dict[str, Any] = json.loads(variant["document"])
        item = document["inventoryItem"]
        values = [row[f"Option{number} Value"] for number in OPTIONS]
        assert variant["position"] == position
        assert variant["sku"] == (row["Variant SKU"] or None)
        assert variant["barcode"] == (row["Variant Barcode"] or None)
        assert variant["price"] == Decimal(row["Variant Price"])
        assert variant["compare_at_price"] == (Decimal(row["Variant Compare At Price"] or 0) or None)
        assert variant["inventory_quantity"] == int(row["Variant Inventory Qty"] or 0)
        assert variant["title"] == " / ".join(value for value in values if value)
        assert [(option["name"], option["value"]) for option in document["selectedOptions"]] == [
            (name, value) for name, value in zip(names, values, strict=True) if name
        ]
        assert document["inventoryPolicy"] == row["Variant Inventory Policy"].upper()
        assert document["taxable"] == is_true(row["Variant Taxable"])
        assert item["requiresShipping"] == is_true(row["Variant Requires Shipping"])
        assert item["tracked"] == bool(row["Variant Inventory Tracker"])
        weight = item["measurement"]["weight"]
        grams = Decimal(str(weight["value"])) * GRAMS[weight["unit"]]
        assert abs(grams - Decimal(row["Variant Grams"] or 0)) < Decimal("0.5"), title
