"""Reading products out of an answer."""

import asyncio
from typing import Any

from daemon.sources.shopify.products import VARIANTS_AT_ONCE, ProductReader

NOTHING_BEHIND = {"hasNextPage": False, "endCursor": None}


def variant(number: int) -> dict[str, Any]:
    level = {
        "isActive": True,
        "location": {"id": "gid://shopify/Location/1"},
        "quantities": [{"name": "available", "quantity": 5}, {"name": "on_hand", "quantity": 5}],
    }
    item = {
        "id": f"gid://shopify/InventoryItem/{number}",
        "tracked": True,
        "inventoryLevels": {"pageInfo": NOTHING_BEHIND, "nodes": [level]},
    }
    return {"id": f"gid://shopify/ProductVariant/{number}", "price": "1.00", "inventoryItem": item}


def product(number: int, variants: int) -> dict[str, Any]:
    nodes = [variant(number * 10_000 + place) for place in range(variants)]
    return {
        "id": f"gid://shopify/Product/{number}",
        "updatedAt": "2026-01-01T00:00:00Z",
        "variants": {"pageInfo": NOTHING_BEHIND, "nodes": nodes},
    }


async def never(owner: str, cursor: str) -> list[Any]:
    raise AssertionError(f"{owner} was whole, and is asked for behind {cursor}.")


async def test_reading_much_keeps_nobody_from_their_turn() -> None:
    """Hundreds of products with hundreds of variants come from one bulk operation: to read them takes a second."""
    products, variants = 20, 4 * VARIANTS_AT_ONCE
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others(), name="others")
    good, bad = await ProductReader(never, never).read([product(number + 1, variants) for number in range(products)])
    task.cancel()
    assert not bad
    assert [len(row.value.variants) for row in good] == [variants] * products
    assert turns >= products * variants / VARIANTS_AT_ONCE
