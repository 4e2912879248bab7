"""A Shopify sandbox on a free port, and a client that asks it what a test wants to know."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from daemon.sandbox.catalogue import Catalogue, generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import ShopifySandbox

NOW = datetime(2026, 10, 1, 8, 0, 0, 123456, tzinfo=UTC)
CATALOGUE = generate(3, products=40, customers=120, big_product_variants=270)


@dataclass
class Client:
    """Asks one sandbox."""

    sandbox: ShopifySandbox
    session: aiohttp.ClientSession
    url: str

    async def post(self, body: bytes, token: str | None = None, version: str = "2026-10") -> tuple[int, Any]:
        """The status and the JSON that come back."""
        headers = {"X-Shopify-Access-Token": token or self.sandbox.token, "Content-Type": "application/json"}
        url = f"{self.url}/admin/api/{version}/graphql.json"
        async with self.session.post(url, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def ask(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The whole answer to a query."""
        status, answer = await self.post(orjson.dumps({"query": query, "variables": variables}))
        assert status == 200
        assert isinstance(answer, dict)
        return answer

    async def data(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The data of a query that must succeed."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data = answer["data"]
        assert isinstance(data, dict)
        return data

    async def error(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The only error of a query that must fail."""
        answer = await self.ask(query, **variables)
        (error,) = answer["errors"]
        assert isinstance(error, dict)
        return error

    async def written(self, mutation: str, /, **variables: Any) -> dict[str, Any]:
        """The payload of the only mutation in a call that came through, whether or not it was refused."""
        (payload,) = (await self.data(mutation, **variables)).values()
        assert isinstance(payload, dict)
        return payload

    async def pages(self, field: str, size: int, arguments: str = "", node: str = "id") -> AsyncIterator[list[Any]]:
        """The pages of a list, to its end."""
        query = f"""query($after: String) {{ {field}(first: {size}, after: $after{arguments}) {{
            nodes {{ {node} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
        after = None
        while True:
            page = (await self.data(query, after=after))[field]
            yield page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]


@asynccontextmanager
async def serving(sandbox: ShopifySandbox) -> AsyncIterator[Client]:
    """A client of `sandbox`, which listens on a free port meanwhile."""
    runner = web.AppRunner(sandbox.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Client(sandbox, session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def new_sandbox(catalogue: Catalogue = CATALOGUE, **options: Any) -> ShopifySandbox:
    """A sandbox without limits, unless told otherwise."""
    chosen: dict[str, Any] = {"seed": 3, "limits": False, "faults": Faults(), "now": lambda: NOW} | options
    return ShopifySandbox(catalogue, **chosen)
