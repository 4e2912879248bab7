"""Which Nhanh.vn product each Shopify variant is: list, decide, take back, look up."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from daemon.api.mappings import (
    ManualOutcome,
    MappingList,
    MappingsQuery,
    ProductMeanings,
    RemoveBody,
    Removed,
    ResolveBody,
    Resolved,
    SetBody,
    VariantMeaning,
    VariantMeanings,
)
from daemon.jobs.steering import Role
from daemon.status.operations import PARTS, Answer, Operation, json_response, known_store
from daemon.status.reading import number_cursor, paged, read_body, read_number_cursor, read_query
from daemon.sync.matching import mapping_list, mappings
from daemon.sync.matching.mapping_list import VariantChoice
from daemon.sync.matching.variant_mappings import VariantMapping, mappings_of


async def list_mappings(request: web.Request) -> web.Response:
    """Variants and the products of Nhanh.vn that they are."""
    query = read_query(request, MappingsQuery)
    async with request.app[PARTS].database.reading() as connection:
        found = await mapping_list.list_mappings(
            connection,
            known_store(request, query.store, 404),
            state=query.state,
            search=query.search,
            after=read_number_cursor(query.cursor),
            limit=query.limit + 1,
        )
    page, cursor = paged(found, query.limit, lambda mapping: number_cursor(mapping.variant_id))
    return json_response(MappingList(page, cursor))


async def set_mappings(request: web.Request) -> web.Response:
    """Decide what variants are."""
    body = await read_body(request, SetBody)
    store = known_store(request, body.store, 422)
    entries = [(entry.variant_id, entry.nhanh_id) for entry in body.mappings]
    async with request.app[PARTS].database.acquire() as connection:
        return json_response(await mappings.set_manual(connection, store, entries, body.note))


async def remove_mappings(request: web.Request) -> web.Response:
    """Take decisions back."""
    body = await read_body(request, RemoveBody)
    store = known_store(request, body.store, 422)
    async with request.app[PARTS].database.acquire() as connection:
        return json_response(Removed(await mappings.DECISIONS.take_back(connection, store, body.variant_ids)))


async def resolve_mappings(request: web.Request) -> web.Response:
    """What people may mean by ids and SKUs."""
    body = await read_body(request, ResolveBody)
    store = known_store(request, body.store, 422)
    async with request.app[PARTS].database.acquire() as connection:
        variants = {text: await mapping_list.resolve_variant(connection, store, text) for text in body.variants}
        products = {text: await mapping_list.resolve_product(connection, store, text) for text in body.products}
        meant = [choice.variant_id for choices in variants.values() for choice in choices]
        known = await mappings_of(connection, store, meant)
    return json_response(
        Resolved(
            [VariantMeanings(text, _meanings(variants[text], known)) for text in body.variants],
            [ProductMeanings(text, products[text]) for text in body.products],
        )
    )


def _meanings(choices: Sequence[VariantChoice], known: Mapping[int, VariantMapping]) -> list[VariantMeaning]:
    return [_meaning(choice, known[choice.variant_id]) for choice in choices]


def _meaning(choice: VariantChoice, mapping: VariantMapping) -> VariantMeaning:
    return VariantMeaning(
        variant_id=choice.variant_id,
        product_id=choice.product_id,
        sku=choice.sku,
        barcode=choice.barcode,
        title=choice.title,
        state=mapping.state,
        nhanh_id=mapping.nhanh_id,
    )


MAPPING_OPERATIONS = (
    Operation(
        "GET",
        "/api/mappings",
        list_mappings,
        "Variants of Shopify and the products of Nhanh.vn that they are, or why none",
        {200: Answer("A page of mappings, in the order of the variants' ids", MappingList)},
        own_problems=(404,),
        query=MappingsQuery,
    ),
    Operation(
        "POST",
        "/api/mappings",
        set_mappings,
        "Decide by hand what variants are: all of the request or nothing",
        {200: Answer("What has changed", ManualOutcome)},
        body=SetBody,
    ),
    Operation(
        "POST",
        "/api/mappings/remove",
        remove_mappings,
        "Take decisions back, so that the next matching decides",
        {200: Answer("How many decisions there were", Removed)},
        body=RemoveBody,
    ),
    Operation(
        "POST",
        "/api/mappings/resolve",
        resolve_mappings,
        "Find the variants and products that ids and SKUs stand for; changes nothing",
        {200: Answer("What each text may mean, in the order of the request", Resolved)},
        body=ResolveBody,
        needs=Role.READ,
    ),
)
