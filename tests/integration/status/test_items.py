"""Items and customers over the API; an item that is read now, at both sides of a sandbox."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from daemon.errors import DatabaseUnavailable
from daemon.ids import StoreName
from daemon.jobs.types import JobType
from daemon.tasks import item_reader, item_reading
from daemon.tasks.item_reader import ItemReader
from tests.support.endpoint import Endpoint, OpenEndpoint
from tests.support.mirror_tables import NHANH, VARIANT, Tables
from tests.support.synced_shop import SyncedShop, sandbox_settings, shop

__all__ = ["sandbox_settings", "shop"]


@asynccontextmanager
async def opened(open_endpoint: OpenEndpoint, shop: SyncedShop) -> AsyncIterator[Endpoint]:
    """An endpoint that reads items at the sandbox."""
    parts = shop.workshop.parts
    async with open_endpoint(
        item_reader=ItemReader(parts.database, parts.registry.store),
        product_sync=lambda name: parts.registry.stores[name].product_sync_settings,
    ) as endpoint:
        yield endpoint


def place(item: Any, location: int) -> Any:
    """The stock at a location."""
    (found,) = [one for one in item["places"] if one["location_id"] == location]
    return found


async def test_an_item_is_read_now_at_both_sides(open_endpoint: OpenEndpoint, shop: SyncedShop) -> None:
    """What was changed since the last pull is in the answer, and in the mirror; the pull finds nothing left to do."""
    variant, nhanh_id = shop.pairs[0]
    shop.configure(price=None)
    location = shop.location
    shop.nhanh.change_stock(nhanh_id, shop.depot_of[location], 4321)
    shop.shopify.change_stock(variant.id, 17, location)
    path = f"/api/items/{variant.id}"
    async with opened(open_endpoint, shop) as endpoint:
        before = place(await endpoint.get(f"{path}?store=main"), location)
        assert (before["nhanh"], before["shopify"]) != ("4321", "17")
        item = await endpoint.call("POST", f"{path}/check", 200, json={"store": "main"})
        assert [(one["source"], one["problem"]) for one in item["readings"]] == [("Nhanh.vn", None), ("Shopify", None)]
        now = place(item, location)
        assert (now["nhanh"], now["shopify"], now["should_be"], now["equal"]) == ("4321", "17", "4321", False)
        assert now["seen_at_nhanh"] >= before["seen_at_nhanh"]
        again = await endpoint.get(f"{path}?store=main")
        assert again["places"] == item["places"]
        assert again["readings"] == []
    for job_type in (JobType.PULL_NHANH_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS):
        job = await shop.workshop.completed(job_type, full=True)
        assert (job.created, job.updated) == (0, 0)


async def test_a_side_that_does_not_answer_hinders_the_other_not(open_endpoint: OpenEndpoint, shop: SyncedShop) -> None:
    """What could be read is stored and shown; what could not says why."""
    variant, nhanh_id = shop.pairs[0]
    shop.nhanh.change_stock(nhanh_id, shop.depot_of[shop.location], 4321)
    find = "SELECT product_id FROM dongbo.shopify_variants WHERE id = $1"
    shop.shopify.delete_product(await shop.workshop.value(find, variant.id))
    async with opened(open_endpoint, shop) as endpoint:
        item = await endpoint.call("POST", f"/api/items/{variant.id}/check", 200, json={"store": "main"})
    assert place(item, shop.location)["nhanh"] == "4321"
    assert [(one["source"], one["problem"]) for one in item["readings"]] == [
        ("Nhanh.vn", None),
        ("Shopify", "Shopify has no such product any more."),
    ]


async def test_a_busy_database_is_said(
    open_endpoint: OpenEndpoint, shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no bug that the database is away or busy while both sides are read: come back later."""
    variant, _ = shop.pairs[0]
    for failure in (DatabaseUnavailable("no connection became free"), asyncpg.LockNotAvailableError("busy")):

        async def fail(*_: object, failure: Exception = failure) -> None:
            raise failure

        monkeypatch.setattr(item_reading, "store_products", fail)
        async with opened(open_endpoint, shop) as endpoint:
            problem = await endpoint.call("POST", f"/api/items/{variant.id}/check", 503, json={"store": "main"})
        assert problem["type"].endswith("database-unavailable")


async def test_items_are_read_some_at_once(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sides of one item take no place from another item."""
    reading, all_read = 0, asyncio.Event()

    async def meet(*_: object) -> None:
        nonlocal reading
        reading += 1
        if reading == 2 * item_reader.AT_ONCE:
            all_read.set()
        await all_read.wait()

    monkeypatch.setattr(item_reader, "TIME_LIMIT", 5.0)
    monkeypatch.setattr(ItemReader, "_read_shopify", meet)
    monkeypatch.setattr(ItemReader, "_read_nhanh", meet)
    reader = ItemReader(shop.workshop.parts.database, shop.workshop.parts.registry.store)
    variants = [variant.id for variant, _ in shop.pairs[: item_reader.AT_ONCE]]
    found = await asyncio.gather(*(reader.read(StoreName("main"), variant) for variant in variants))
    assert [reading.problem for readings in found for reading in readings] == [None] * 2 * item_reader.AT_ONCE


async def test_of_what_is_on_hand_shopify_is_read_first(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an order that is sent in between would be set back by the next sync."""
    steps: list[str] = []

    def noting(side: str) -> Callable[..., Awaitable[None]]:
        async def note(*_: object) -> None:
            steps.append(f"{side} begins")
            await asyncio.sleep(0)
            steps.append(f"{side} ends")

        return note

    monkeypatch.setattr(ItemReader, "_read_shopify", noting("shopify"))
    monkeypatch.setattr(ItemReader, "_read_nhanh", noting("nhanh"))
    shop.configure(quantity="on_hand")
    reader = ItemReader(shop.workshop.parts.database, shop.workshop.parts.registry.store)
    found = await reader.read(StoreName("main"), shop.pairs[0][0].id)
    assert steps == ["shopify begins", "shopify ends", "nhanh begins", "nhanh ends"]
    assert [reading.source for reading in found] == ["Nhanh.vn", "Shopify"]


async def test_what_is_mapped_to_nothing_is_read_at_shopify_alone(
    open_endpoint: OpenEndpoint, shop: SyncedShop
) -> None:
    """There is nothing to ask Nhanh.vn for."""
    variant, _ = shop.pairs[0]
    await shop.execute("UPDATE dongbo.product_mappings SET retired_at = now() WHERE variant_id = $1", variant.id)
    async with opened(open_endpoint, shop) as endpoint:
        item = await endpoint.call("POST", f"/api/items/{variant.id}/check", 200, json={"store": "main"})
    assert [one["source"] for one in item["readings"]] == ["Shopify"]


async def test_items_are_searched_mapped_and_taken_back(endpoint: Endpoint) -> None:
    """As the page does it: search, look, map by hand, look again."""
    tables = Tables(endpoint.parts.database)
    await tables.pair()
    await tables.nhanh(88, "DAM-1", name="Đầm")
    (hit,) = (await endpoint.get("/api/items", params={"store": "main", "q": "ao thun"}))["items"]
    assert (hit["variant_id"], hit["tone"], hit["state"]) == (VARIANT, "ok", "mapped")
    decision = {"store": "main", "mappings": [{"variant_id": VARIANT, "nhanh_id": 88}], "note": "by eye"}
    await endpoint.call("POST", "/api/mappings", 200, json=decision)
    item = await endpoint.get(f"/api/items/{VARIANT}", params={"store": "main"})
    assert (item["mapping"]["nhanh_id"], item["mapping"]["source"], item["mapping"]["note"]) == (88, "manual", "by eye")
    assert [(deed["text"], deed["note"]) for deed in item["actions"]] == [
        ("mapped by hand to 88 of Nhanh.vn (over the API)", "by eye")
    ]
    taken = {"store": "main", "variant_ids": [VARIANT]}
    assert await endpoint.call("POST", "/api/mappings/remove", 200, json=taken) == {"removed": 1}
    (alone,) = (await endpoint.get("/api/items", params={"store": "main", "state": "nhanh_only", "limit": 1}))["items"]
    assert alone["nhanh_id"] == NHANH
    assert (await endpoint.get(f"/api/items/{VARIANT}/pushes", params={"store": "main"})) == {
        "pushes": [], "next_cursor": None
    }  # fmt: skip


async def test_lists_are_paged_by_their_cursors(endpoint: Endpoint) -> None:
    """Of a search and of a state alike."""
    tables = Tables(endpoint.parts.database)
    for number in range(1, 6):
        await tables.variant(number, f"AO-{number}")
    for asked in ({"q": "ao"}, {}, {"state": "unmatched"}):
        seen, cursor = [], None
        while True:
            query = {"store": "main", "limit": 2, **asked} | ({"cursor": cursor} if cursor else {})
            page = await endpoint.get("/api/items", params=query)
            seen += [hit["variant_id"] for hit in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [1, 2, 3, 4, 5]


async def test_customers_are_searched_and_decided_about(endpoint: Endpoint) -> None:
    """Search, look, decide, take back."""
    tables = Tables(endpoint.parts.database)
    for table, name in (("shopify_customers", "display_name"), ("nhanh_customers", "name")):
        tags = {"tags": []} if table == "shopify_customers" else {}
        values = {"store": "main", "id": 7, name: "Nguyễn Văn Ân", "document": "{}", "digest": b"", **tags}
        await tables.insert(table, values)
    await tables.note_customer_texts()
    found = (await endpoint.get("/api/customers", params={"store": "main", "q": "van an nguyen"}))["customers"]
    assert [(one["shopify_id"], one["nhanh_id"], one["state"]) for one in found] == [
        (7, None, "unmatched"), (None, 7, "nhanh_only")
    ]  # fmt: skip
    decision = {"store": "main", "entries": [{"shopify_id": 7, "nhanh_id": 7}]}
    outcome = await endpoint.call("POST", "/api/customer-mappings", 200, json=decision)
    assert (outcome["written"], outcome["overruled"]) == (1, [])
    customer = await endpoint.get("/api/customers/7", params={"store": "main"})
    assert (customer["nhanh"]["name"], customer["mapping"]["state"]) == ("Nguyễn Văn Ân", "mapped")
    taken = {"store": "main", "shopify_ids": [7]}
    assert await endpoint.call("POST", "/api/customer-mappings/remove", 200, json=taken) == {"removed": 1}
    wrong = {"store": "main", "entries": [{"shopify_id": 99, "nhanh_id": None}]}
    problem = await endpoint.call("POST", "/api/customer-mappings", 422, json=wrong)
    assert "no such customer is known of Shopify" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/items/99?store=main", 404), ("/api/items/x?store=main", 404), ("/api/items/99", 400),
        ("/api/items?store=other", 404), ("/api/customers/99?store=main", 404), ("/api/customers?store=other", 404),
        ("/api/items/99/pushes?store=main&cursor=x", 400), ("/api/items?store=main&state=gone", 400),
    ],
)  # fmt: skip
async def test_wrong_requests_are_refused(endpoint: Endpoint, path: str, status: int) -> None:
    """With what is wrong."""
    assert (await endpoint.get(path, status))["detail"]
