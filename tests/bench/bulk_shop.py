"""A Shopify in a process of its own whose bulk operations find as many products as a benchmark needs.

`python tests/bench/bulk_shop.py PRODUCTS PACE MADE_OF` prints its address. `MADE_OF` is how many of the products are
really in the shop: where that is fewer, a bulk operation finds the same ones again and again under other ids, which
takes a thousandth of the memory; pages then show those few. `GET /bench` tells what it has seen.
"""

import asyncio
import gc
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, islice
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web
from graphql import ExecutionResult, GraphQLSchema

from daemon.sandbox.catalogue import generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import ShopifySandbox
from daemon.sandbox.shopify.bulk import Pieces
from daemon.sandbox.shopify.idempotency import Payload

SEED = 7
LOCATIONS = 1
VARIANTS = (1, 4)  # of a product: 2.5
STEP = 10**9  # between the ids of a product and its next likeness: more than those of the whole shop span

_OWN_ID = re.compile(
    r"(?<=gid://shopify/)((?:Product|ProductVariant|InventoryItem)/|InventoryLevel/\d+\?inventory_item_id=)(\d+)"
)


def multiplied(pieces: Pieces, products: int) -> Pieces:
    """Pieces that find as many products, alike to those that `pieces` find."""

    def more(query: str) -> Iterator[ExecutionResult]:
        found = [edge["node"] for piece in pieces(query) for edge in (piece.data or {})["products"]["edges"]]
        texts = [_OWN_ID.split(orjson.dumps(node).decode()) for node in found]
        rows = ({"node": _likeness(text, number * STEP)} for number in count() for text in texts)
        left = islice(rows, products)
        while edges := list(islice(left, 10)):
            yield ExecutionResult({"products": {"edges": edges}}, None)

    return more


def _likeness(parts: list[str], shift: int) -> Any:
    """`parts`: text, kind, id, text, kind, id, …, text."""
    shifted = [str(int(part) + shift) if place % 3 == 2 else part for place, part in enumerate(parts)]
    return orjson.loads("".join(shifted))


def make_shop(products: int, pace: float, made_of: int) -> ShopifySandbox:
    """The shop, with the limits of Shopify's small plans."""
    catalogue = generate(SEED, products=made_of, customers=1, variants_per_product=VARIANTS, depots=LOCATIONS)
    shop = ShopifySandbox(catalogue, seed=SEED, limits=True, faults=Faults())
    shop.bulk.objects_per_second = pace
    if made_of < products:
        run = shop.bulk.run

        def run_multiplied(schema: GraphQLSchema, query: str, pieces: Pieces, *, grouped: bool) -> Payload:
            return run(schema, query, multiplied(pieces, products), grouped=grouped)

        shop.bulk.run = run_multiplied  # type: ignore[method-assign]
        shop.troubles.editing(partial(_counting, products), operation="ProductsCount").__enter__()
    return shop


def _counting(products: int, answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"data": {"productsCount": {"count": products, "precision": "EXACT"}}}


@asynccontextmanager
async def serving(products: int, pace: float, made_of: int | None = None) -> AsyncIterator[str]:
    """Run it; its base URL."""
    arguments = (str(products), str(pace), str(made_of or products))
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def seen(url: str) -> dict[str, Any]:
    """What it has seen: points, calls, throttled ones, and the last bulk operation."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/bench") as response:
        told: dict[str, Any] = await response.json()
        return told


async def serve(products: int, pace: float, made_of: int) -> None:
    """Serve until the process is ended."""
    shop = make_shop(products, pace, made_of)
    gc.freeze()  # a shop of millions of objects, looked through again and again, would be what is measured

    async def tell(_: web.Request) -> web.Response:
        requests, operations = shop.requests, shop.bulk.operations
        told = {"points": requests.points, "calls": requests.calls, "throttled": requests.throttled}
        told |= {"variants": len(shop.variants), "operations": len(operations)}
        if operations:
            told |= {"objects": operations[-1].objects, "file_bytes": operations[-1].file.size}
        return web.json_response(told)

    application = shop.application()
    application.router.add_get("/bench", tell)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
