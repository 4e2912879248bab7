"""Items: search both sides, look at one, have it read now."""

from datetime import datetime

from aiohttp import web

from daemon.api.items import (
    CheckBody,
    Item,
    ItemList,
    ItemPushesQuery,
    ItemPushList,
    ItemReading,
    ItemsQuery,
)
from daemon.api.stores import StoreQuery
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.types import JobType
from daemon.status.operations import PARTS, Answer, Operation, json_response, known_store
from daemon.status.problems import Problem
from daemon.status.reading import (
    number_cursor,
    paged,
    read_body,
    read_number_cursor,
    read_query,
    read_source_id,
)
from daemon.sync.items import push_list
from daemon.sync.items.document import ItemWriter
from daemon.sync.items.item_list import ItemLister
from daemon.sync.search import MOST_FOUND

SYNCS = (JobType.SYNC_PRODUCTS, JobType.PRODUCT_CHAIN)


async def search_items(request: web.Request) -> web.Response:
    """Items that are searched for, or in a state."""
    query, parts = read_query(request, ItemsQuery), request.app[PARTS]
    store = known_store(request, query.store, 404)
    async with parts.database.reading() as connection:
        lister = ItemLister(connection, store, parts.product_sync(store), parts.zone, parts.shop_of(store))
        if query.q is not None and query.q.strip():
            skip = min(read_number_cursor(query.cursor), 3 * MOST_FOUND)
            found, text = await lister.search(query.q, query.state, skip=skip, limit=query.limit + 1)
            page, cursor = paged(found, query.limit, lambda _hit: number_cursor(skip + query.limit))
            return json_response(ItemList(page, text, cursor))
        found = await lister.of_state(query.state, after=read_number_cursor(query.cursor), limit=query.limit + 1)
    page, cursor = paged(found, query.limit, lambda hit: number_cursor(hit.variant_id or hit.nhanh_id or 0))
    return json_response(ItemList(page, None, cursor))


async def show_item(request: web.Request) -> web.Response:
    """One item."""
    store = known_store(request, read_query(request, StoreQuery).store, 404)
    return await _answer(request, store, [])


async def check_item(request: web.Request) -> web.Response:
    """Read an item at both sides now, and show what it is then."""
    variant_id = read_source_id(request, "variant_id")
    store = known_store(request, (await read_body(request, CheckBody)).store, 422)
    return await _answer(request, store, await request.app[PARTS].item_reader.read(store, variant_id))


async def list_item_pushes(request: web.Request) -> web.Response:
    """All that was pushed of an item."""
    query, variant_id = read_query(request, ItemPushesQuery), read_source_id(request, "variant_id")
    store = known_store(request, query.store, 404)
    before = read_number_cursor(query.cursor) or None
    async with request.app[PARTS].database.reading() as connection:
        found = await push_list.of_item(connection, store, variant_id, before=before, limit=query.limit + 1)
    page, cursor = paged(found, query.limit, lambda push: number_cursor(push.id))
    return json_response(ItemPushList(page, cursor))


async def _answer(request: web.Request, store: StoreName, readings: list[ItemReading]) -> web.Response:
    parts = request.app[PARTS]
    async with parts.database.reading() as connection:
        writer = ItemWriter(connection, store, parts.product_sync(store), parts.zone, _next_sync(request, store))
        item = await writer.write(read_source_id(request, "variant_id"), readings)
    if item is None:
        raise Problem(404, _("No such variant of Shopify is mirrored: is the id correct, and has it been pulled?"))
    return json_response(item)


def _next_sync(request: web.Request, store: StoreName) -> datetime | None:
    """When the next sync of products is due by the schedules."""
    fires = [
        state.next_fire
        for state in request.app[PARTS].scheduler.states()
        if state.spec.store == store and state.spec.job_type in SYNCS and not state.paused
    ]
    return min((fire for fire in fires if fire is not None), default=None)


ITEM_OPERATIONS = (
    Operation(
        "GET",
        "/api/items",
        search_items,
        "Search variants of Shopify and products of Nhanh.vn, or list those in a state, each with its verdict",
        {200: Answer("A page of items", ItemList)},
        own_problems=(404,),
        query=ItemsQuery,
    ),
    Operation(
        "GET",
        "/api/items/{variant_id}",
        show_item,
        "A variant with its stock and prices on both sides, its mapping, and what would happen next",
        {200: Answer("The item", Item)},
        query=StoreQuery,
    ),
    Operation(
        "GET",
        "/api/items/{variant_id}/pushes",
        list_item_pushes,
        "All that was pushed of a variant",
        {200: Answer("A page of pushes, newest first", ItemPushList)},
        query=ItemPushesQuery,
    ),
    Operation(
        "POST",
        "/api/items/{variant_id}/check",
        check_item,
        "Read a variant at both sides now, into the mirror",
        {200: Answer("The item as it is now; `readings` says what could be read", Item)},
        body=CheckBody,
    ),
)
