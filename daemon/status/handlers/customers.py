"""Customers: search both sides, look at one, decide who is who."""

from aiohttp import web

from daemon.api.customers import (
    Customer,
    CustomerList,
    CustomerOutcome,
    CustomersQuery,
    RemoveCustomersBody,
    SetCustomersBody,
)
from daemon.api.mappings import Removed
from daemon.api.stores import StoreQuery
from daemon.i18n import gettext as _
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
from daemon.sync.customers.document import write_customer
from daemon.sync.customers.lookup import CustomerLister
from daemon.sync.matching import customer_decisions
from daemon.sync.search import MOST_FOUND


async def search_customers(request: web.Request) -> web.Response:
    """Customers who are searched for, or in a state."""
    query, parts = read_query(request, CustomersQuery), request.app[PARTS]
    store = known_store(request, query.store, 404)
    async with parts.database.reading() as connection:
        lister = CustomerLister(connection, store, parts.zone)
        if query.q is not None and query.q.strip():
            skip = min(read_number_cursor(query.cursor), 3 * MOST_FOUND)
            found, text = await lister.search(query.q, query.state, skip=skip, limit=query.limit + 1)
            page, cursor = paged(found, query.limit, lambda _hit: number_cursor(skip + query.limit))
            return json_response(CustomerList(page, text, cursor))
        found = await lister.of_state(query.state, after=read_number_cursor(query.cursor), limit=query.limit + 1)
    page, cursor = paged(found, query.limit, lambda hit: number_cursor(hit.shopify_id or hit.nhanh_id or 0))
    return json_response(CustomerList(page, None, cursor))


async def show_customer(request: web.Request) -> web.Response:
    """One customer."""
    parts, shopify_id = request.app[PARTS], read_source_id(request, "customer_id")
    store = known_store(request, read_query(request, StoreQuery).store, 404)
    async with parts.database.reading() as connection:
        customer = await write_customer(connection, store, shopify_id, parts.zone)
    if customer is None:
        raise Problem(
            404, _("No such customer of Shopify is mirrored: is the id correct, and have the customers been pulled?")
        )
    return json_response(customer)


async def set_customers(request: web.Request) -> web.Response:
    """Decide who customers are."""
    body = await read_body(request, SetCustomersBody)
    store = known_store(request, body.store, 422)
    entries = [(entry.shopify_id, entry.nhanh_id) for entry in body.entries]
    async with request.app[PARTS].database.acquire() as connection:
        return json_response(await customer_decisions.set_manual(connection, store, entries, body.note))


async def remove_customers(request: web.Request) -> web.Response:
    """Take decisions back."""
    body = await read_body(request, RemoveCustomersBody)
    store = known_store(request, body.store, 422)
    async with request.app[PARTS].database.acquire() as connection:
        return json_response(Removed(await customer_decisions.DECISIONS.take_back(connection, store, body.shopify_ids)))


CUSTOMER_OPERATIONS = (
    Operation(
        "GET",
        "/api/customers",
        search_customers,
        "Search customers of Shopify and Nhanh.vn, or list those in a state, each with why it is so",
        {200: Answer("A page of customers", CustomerList)},
        own_problems=(404,),
        query=CustomersQuery,
    ),
    Operation(
        "GET",
        "/api/customers/{customer_id}",
        show_customer,
        "A customer of Shopify with the one of Nhanh.vn, why they are one, and what was pushed",
        {200: Answer("The customer", Customer)},
        query=StoreQuery,
    ),
    Operation(
        "POST",
        "/api/customer-mappings",
        set_customers,
        "Decide by hand who customers are: all of the request or nothing",
        {200: Answer("What has changed", CustomerOutcome)},
        body=SetCustomersBody,
    ),
    Operation(
        "POST",
        "/api/customer-mappings/remove",
        remove_customers,
        "Take decisions about customers back, so that the next matching decides",
        {200: Answer("How many decisions there were", Removed)},
        body=RemoveCustomersBody,
    ),
)
