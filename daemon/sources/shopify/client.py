"""The client of Shopify's Admin GraphQL API 2026-10."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import aiohttp
import orjson
import structlog

from daemon.errors import RateLimited, SourceUnavailable
from daemon.sources.decode import RowDecoder, mend
from daemon.sources.http import BACKOFF, Backoff, post, retrying
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, Page, SourceRow
from daemon.sources.shopify import errors, operations
from daemon.sources.shopify.errors import CostExceededError
from daemon.sources.shopify.filters import normalise_query
from daemon.sources.shopify.models import Count, ShopifyCustomer, ShopifyProduct, ShopInfo, dec_hook
from daemon.sources.shopify.operations import Operation
from daemon.sources.shopify.products import ProductReader, next_cursor, shopify_id

log = structlog.get_logger()

T = TypeVar("T")

API_VERSION = "2026-10"
SMALL_COST = 10.0  # points; what a query without a connection costs at most

SortKey = Literal["ID", "UPDATED_AT"]
Reader = Callable[[list[Any]], Awaitable[tuple[list[SourceRow[T]], list[BadRow]]]]


@dataclass(slots=True)
class PageShape:
    """How many rows to ask for at once; shrinks when Shopify says that the query costs too much.

    A connection costs by the logarithm of its size, so large pages get the most rows out of a point. 200 products with
    up to 50 variants each are about 1.5 products a point, and at most some 10 MB; the few products with more variants
    cost a call each.
    """

    rows: int
    variants: int | None = None  # of each row; None where rows have none

    def shrink(self) -> bool:
        """Ask for half of it from now on; False if there is nothing to halve."""
        if self.rows > 10 or (self.rows > 1 and not (self.variants and self.variants > 10)):
            self.rows //= 2
        elif self.variants and self.variants > 1:
            self.variants //= 2
        else:
            return False
        return True


class ShopifyClient:
    """One app's access to one shop. Rows that don't fit are delivered as such; calls are limited and repeated."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        shop: str,
        access_token: str,
        base_url: str | None = None,
        limits: LimiterRegistry,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """`shop` is the name before `.myshopify.com`; `limits` is the process's one registry."""
        name = shop.strip().lower().removesuffix(".myshopify.com")
        self.account = f"shopify:{name}"
        self._session = session
        self._source = f"Shopify ({name})"
        self._url = f"{(base_url or f'https://{name}.myshopify.com').rstrip('/')}/admin/api/{API_VERSION}/graphql.json"
        self._headers = {"X-Shopify-Access-Token": access_token}
        self._secrets = (access_token,) if access_token else ()
        self._bucket = limits.bucket(self.account)
        self._backoff = backoff
        self._warned: set[str] = set()
        self._customers = RowDecoder(ShopifyCustomer, dec_hook=dec_hook, source_id=shopify_id)
        self._product_pages = PageShape(200, variants=50)
        self._products_by_ids = PageShape(20, variants=50)
        self._variant_pages = PageShape(250)
        self._customer_pages = PageShape(250)
        self._customers_by_ids = PageShape(100)

    def __repr__(self) -> str:
        return f"ShopifyClient({self.account})"

    def products(
        self, query: str | None, *, after: object | None, meter: CallMeter, sort: SortKey = "ID"
    ) -> AsyncGenerator[Page[ShopifyProduct], None]:
        """All products that match, each with all its variants, from behind `after` on (None: from the start).

        A row's document is the product's JSON without `variants`; each variant has a `document` of its own.

        Raises:
            InvalidFilter: at once.
            SourceRefused, RateLimited, SourceUnavailable: while iterating, after the retries.
        """
        variables = {"query": normalise_query(query), "sortKey": sort}
        read = self._product_reader(meter).read
        return self._pages(operations.PRODUCTS, "products", variables, self._product_pages, after, read, meter)

    def customers(
        self, query: str | None, *, after: object | None, meter: CallMeter, sort: SortKey = "ID"
    ) -> AsyncGenerator[Page[ShopifyCustomer], None]:
        """All customers that match, from behind `after` on (None: from the start). Raises as `products` does."""
        variables = {"query": normalise_query(query), "sortKey": sort}
        pages = self._customer_pages
        return self._pages(operations.CUSTOMERS, "customers", variables, pages, after, self._read_customers, meter)

    async def products_count(self, query: str | None, *, meter: CallMeter) -> Count:
        """How many products match."""
        return await self._count(operations.PRODUCTS_COUNT, "productsCount", query, meter)

    async def customers_count(self, query: str | None, *, meter: CallMeter) -> Count:
        """How many customers match."""
        return await self._count(operations.CUSTOMERS_COUNT, "customersCount", query, meter)

    async def products_by_ids(self, ids: Sequence[int], *, meter: CallMeter) -> Page[ShopifyProduct]:
        """The products of these ids that exist, with all their variants, in as many calls as it takes."""
        read = self._product_reader(meter).read
        return await self._by_ids(operations.PRODUCTS_BY_IDS, "Product", ids, self._products_by_ids, read, meter)

    async def customers_by_ids(self, ids: Sequence[int], *, meter: CallMeter) -> Page[ShopifyCustomer]:
        """The customers of these ids that exist, in as many calls as it takes."""
        shape = self._customers_by_ids
        return await self._by_ids(operations.CUSTOMERS_BY_IDS, "Customer", ids, shape, self._read_customers, meter)

    async def granted_scopes(self, *, meter: CallMeter | None = None) -> frozenset[str]:
        """The access scopes that the app was granted in this shop, such as `read_products`."""
        data = await self._query(operations.GRANTED_SCOPES, {}, meter or CallMeter(), estimate=SMALL_COST)
        try:
            return frozenset(str(scope["handle"]) for scope in data["currentAppInstallation"]["accessScopes"])
        except (KeyError, TypeError) as error:
            raise self._unreadable(operations.GRANTED_SCOPES) from error

    async def shop(self, *, meter: CallMeter | None = None) -> ShopInfo:
        """Name, currency, zone and plan of the shop."""
        data = await self._query(operations.SHOP, {}, meter or CallMeter(), estimate=SMALL_COST)
        try:
            shop, plan = data["shop"], data["shop"]["plan"]
            return ShopInfo(
                name=str(shop["name"]),
                domain=str(shop["myshopifyDomain"]),
                currency=str(shop["currencyCode"]),
                timezone=str(shop["ianaTimezone"]),
                plan=str(plan["publicDisplayName"]),
                is_plus=bool(plan["shopifyPlus"]),
                is_development=bool(plan["partnerDevelopment"]),
            )
        except (KeyError, TypeError) as error:
            raise self._unreadable(operations.SHOP) from error

    async def _count(self, operation: Operation, field: str, query: str | None, meter: CallMeter) -> Count:
        data = await self._query(operation, {"query": normalise_query(query)}, meter, estimate=SMALL_COST)
        try:
            return Count(int(data[field]["count"]), exact=data[field]["precision"] == "EXACT")
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(operation) from error

    async def _pages(
        self,
        operation: Operation,
        field: str,
        variables: dict[str, Any],
        shape: PageShape,
        after: object | None,
        read: Reader[T],
        meter: CallMeter,
    ) -> AsyncGenerator[Page[T], None]:
        cursor = str(after) if after is not None else None
        while True:
            data = await self._shaped(operation, variables | {"after": cursor}, shape, meter)
            connection = data.get(field)
            nodes, following = self._connection(operation, connection)
            if following is not None and following == cursor:
                raise SourceUnavailable(f"Reading {field} of {self._source} stopped: its pages go round in a circle.")
            rows, bad = await read(nodes)
            yield Page(rows, bad, following)
            if following is None:
                return
            cursor = following

    async def _by_ids(
        self, operation: Operation, kind: str, ids: Sequence[int], shape: PageShape, read: Reader[T], meter: CallMeter
    ) -> Page[T]:
        rows: list[SourceRow[T]] = []
        bad: list[BadRow] = []
        left = [f"gid://shopify/{kind}/{number}" for number in dict.fromkeys(ids)]
        while left:
            asked = left[: shape.rows]
            variables: dict[str, Any] = {"ids": asked}
            if shape.variants is not None:
                variables["variants"] = shape.variants
            try:
                data = await self._query(operation, variables, meter, label=f"{operation.name}:{len(asked)}")
            except CostExceededError:
                if not shape.shrink():
                    raise
                continue
            nodes = data.get("nodes")
            if not isinstance(nodes, list):
                raise self._unreadable(operation)
            found, unfit = await read([node for node in nodes if node])  # null: does not exist any more
            rows += found
            bad += unfit
            left = left[len(asked) :]
        return Page(rows, bad, None)

    def _product_reader(self, meter: CallMeter) -> ProductReader:
        async def more_variants(product: str, cursor: str) -> list[Any]:
            return await self._variants_behind(product, cursor, meter)

        return ProductReader(more_variants)

    async def _variants_behind(self, product: str, cursor: str, meter: CallMeter) -> list[Any]:
        found: list[Any] = []
        following: str | None = cursor
        while following is not None:
            variables = {"id": product, "after": following}
            data = await self._shaped(operations.PRODUCT_VARIANTS, variables, self._variant_pages, meter)
            connection = (data.get("product") or {}).get("variants")
            if connection is None:  # deleted in the meantime: what is known of it stands until the next pull
                return found
            nodes, then = self._connection(operations.PRODUCT_VARIANTS, connection)
            if then == following:
                raise SourceUnavailable(f"Reading the variants of {product} stopped: their pages go round in a circle.")
            found += nodes
            following = then
        return found

    async def _read_customers(self, nodes: list[Any]) -> tuple[list[SourceRow[ShopifyCustomer]], list[BadRow]]:
        return self._customers.rows(map(orjson.dumps, nodes), sound=None)

    def _connection(self, operation: Operation, connection: Any) -> tuple[list[Any], str | None]:
        if not isinstance(connection, dict) or not isinstance(connection.get("nodes"), list):
            raise self._unreadable(operation)
        following = next_cursor(connection)
        if following is None and (connection.get("pageInfo") or {}).get("hasNextPage"):
            raise self._unreadable(operation)
        return connection["nodes"], following

    async def _shaped(
        self, operation: Operation, variables: dict[str, Any], shape: PageShape, meter: CallMeter
    ) -> dict[str, Any]:
        """Query one page of this shape, or of a smaller one if Shopify wants it."""
        while True:
            sizes = {"first": shape.rows} | ({"variants": shape.variants} if shape.variants is not None else {})
            label = f"{operation.name}:{shape.rows}x{shape.variants or 1}"
            try:
                return await self._query(operation, variables | sizes, meter, label=label)
            except CostExceededError:
                if not shape.shrink():
                    raise
                log.info("page_shrunk", source=self._source, operation=operation.name, rows=shape.rows)

    async def _query(
        self,
        operation: Operation,
        variables: dict[str, Any],
        meter: CallMeter,
        *,
        label: str | None = None,
        estimate: float = 1000.0,
    ) -> dict[str, Any]:
        body = orjson.dumps({"query": operation.document, "operationName": operation.name, "variables": variables})

        async def attempt() -> dict[str, Any]:
            meter.waits_for_rate_limit = True
            async with self._bucket.reserve(label or operation.name, estimate) as reservation:
                meter.waits_for_rate_limit = False
                meter.rate_limit_wait_seconds += reservation.waited
                answer = await post(
                    self._session, self._url, body=body, headers=self._headers, source=self._source, meter=meter
                )
                payload = _decoded(answer.body)
                status = errors.throttle_status(payload)
                if status is not None:
                    reservation.report(status)
                error = errors.failure(self._source, answer, payload, self._secrets)
                if isinstance(error, RateLimited) and status is None:
                    self._bucket.block(error.retry_after)
                if error is not None:
                    raise error
                self._warn_once(payload)
                data: dict[str, Any] = payload["data"]
                return data

        return await retrying(attempt, meter=meter, source=self._source, backoff=self._backoff)

    def _warn_once(self, payload: dict[str, Any]) -> None:
        """Shopify ignores a search filter that it does not know, and says so only here."""
        extensions = payload.get("extensions")
        for search in (extensions.get("search") or []) if isinstance(extensions, dict) else []:
            for warning in (search.get("warnings") or []) if isinstance(search, dict) else []:
                said = f"{search.get('query')}: {warning.get('message') if isinstance(warning, dict) else warning}"
                if said not in self._warned:
                    self._warned.add(said)
                    log.warning("search_filter_ignored", source=self._source, warning=said)

    def _unreadable(self, operation: Operation) -> SourceUnavailable:
        return SourceUnavailable(f"{self._source} sent an answer to {operation.name} that can't be read.")


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(mend(body))
    except orjson.JSONDecodeError:
        return None
