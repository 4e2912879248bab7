"""Stores: pause all writing to one, and resume it."""

from aiohttp import web

from daemon.api.stores import PauseBody, StorePausing
from daemon.ids import StoreName
from daemon.jobs.pausing import pause_store, resume_store
from daemon.status.operations import PARTS, Answer, Operation, json_response, known_store
from daemon.status.reading import read_body


async def pause(request: web.Request) -> web.Response:
    """Write nothing to a store for now."""
    parts, store = request.app[PARTS], _store(request)
    body = await read_body(request, PauseBody)
    made = await pause_store(parts.database, store, body.until, body.reason)
    parts.sale_clock.look()  # it is to know when the pause ends
    return json_response(StorePausing(store, True, made.since, made.until, made.reason, made.who))


async def resume(request: web.Request) -> web.Response:
    """Write to a store again."""
    parts, store = request.app[PARTS], _store(request)
    await resume_store(parts.database, store)
    parts.sale_clock.look()  # its campaigns have waited
    return json_response(StorePausing(store, False))


def _store(request: web.Request) -> StoreName:
    return known_store(request, request.match_info["store"], 404)


STORE_OPERATIONS = (
    Operation(
        "POST",
        "/api/stores/{store}/pause",
        pause,
        "Read and plan everything, but write nothing to Shopify; changes a pause that there is",
        {200: Answer("The pause", StorePausing)},
        body=PauseBody,
        own_problems=(404, 409),
    ),
    Operation(
        "POST",
        "/api/stores/{store}/resume",
        resume,
        "Write to the store again: campaigns at once, syncs with their next run",
        {200: Answer("The store", StorePausing)},
        own_problems=(404,),
    ),
)
