"""Why Shopify says what it says."""

from aiohttp import web

from daemon.api.explanation import ExplainQuery, Explanation
from daemon.i18n import gettext as _
from daemon.status.operations import PARTS, Answer, Operation, json_response, known_store
from daemon.status.problems import Problem
from daemon.status.reading import read_query
from daemon.sync.explanation.explain import explain


async def explain_values(request: web.Request) -> web.Response:
    """Why Shopify has the values that it has."""
    query, parts = read_query(request, ExplainQuery), request.app[PARTS]
    store = known_store(request, query.store, 404)
    if (query.sku is None) == (query.variant_id is None):
        raise Problem(400, _("Give either sku (an SKU, a barcode, an id, an address) or variant_id"))
    async with parts.database.reading() as connection:
        explanation = await explain(
            connection,
            store,
            parts.product_sync(store),
            parts.zone,
            text=query.sku or "",
            variant_id=query.variant_id,
            shop=parts.shop_of(store),
        )
    return json_response(explanation)


EXPLANATION_OPERATIONS = (
    Operation(
        "GET",
        "/api/explain",
        explain_values,
        "Why Shopify has the stock and prices that it has for an SKU",
        {200: Answer("All that is known about it on both sides, with a verdict on each value", Explanation)},
        own_problems=(404,),
        query=ExplainQuery,
    ),
)
