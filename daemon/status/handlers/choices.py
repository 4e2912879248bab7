"""What forms let people choose from."""

from aiohttp import web

from daemon.api.choices import ChoiceList, ChoicesQuery
from daemon.mirror import choices
from daemon.status.operations import PARTS, Answer, Operation, json_response, known_store
from daemon.status.reading import read_query


async def list_choices(request: web.Request) -> web.Response:
    """Collections, types, vendors, tags, locations, depots or products of a store."""
    query = read_query(request, ChoicesQuery)
    store = known_store(request, query.store, 404)
    async with request.app[PARTS].database.reading() as connection:
        found = await choices.list_choices(connection, store, query.kind, query.q, query.limit)
    return json_response(ChoiceList(found))


CHOICE_OPERATIONS = (
    Operation(
        "GET",
        "/api/choices",
        list_choices,
        "What a store has of a kind, to choose from: collections, types, vendors, tags, locations, depots, products",
        {200: Answer("Those that were found", ChoiceList)},
        own_problems=(404,),
        query=ChoicesQuery,
    ),
)
