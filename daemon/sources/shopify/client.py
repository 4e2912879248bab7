"""The client of Shopify's Admin GraphQL API 2026-10."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from time import monotonic
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import aiohttp

from daemon.errors import AskedTooMuch, SourceUnavailable
from daemon.sources.http import BACKOFF, Backoff, SourceTime
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, Page, SourceRow
from daemon.sources.shopify import operations
from daemon.sources.shopify.collections import CollectionReader
from daemon.sources.shopify.credential import ShopifyCredential
from daemon.sources.shopify.customers import CustomerReader, in_words, leave_out
from daemon.sources.shopify.endpoint import SMALL_COST, GraphqlEndpoint, nodes_of, whole_page
from daemon.sources.shopify.errors import ProtectedDataRefused, protected_notice
from daemon.sources.shopify.filters import normalise_query
from daemon.sources.shopify.levels import cut_short
from daemon.sources.shopify.models import (
    Count,
    CustomerMetafields,
    MetafieldDefinition,
    ShopifyCustomer,
    ShopifyProduct,
    ShopInfo,
    gid,
    gid_number,
)
from daemon.sources.shopify.operations import Operation
from daemon.sources.shopify.partial import Unreadable
from daemon.sources.shopify.products import ProductReader, items_of, variants_of
from daemon.sources.shopify.shape import PageShape
from daemon.sources.shopify.stock import behind
from daemon.sources.shopify.version import ApiVersion
from daemon.sources.shopify.writer import ShopifyWriter

T = TypeVar("T")

DEFAULT_METAFIELDS = CustomerMetafields()

# By which a page is asked for of which Shopify does not give a single row.
IDS_OF: Mapping[str, Operation] = MappingProxyType(
    {operations.PRODUCTS.name: operations.PRODUCT_IDS, operations.CUSTOMERS.name: operations.CUSTOMER_IDS}
)

SortKey = Literal["ID", "UPDATED_AT"]
CutShort = Callable[[dict[str, Any]], int]
Reader = Callable[[list[Any]], Awaitable[tuple[list[SourceRow[T]], list[BadRow]]]]


class ShopifyClient(CollectionReader, ShopifyWriter):
    """One app's access to one shop. Rows that don't fit are delivered as such; calls are limited and repeated.

    What is read once and kept is read here, what is read to decide about a write in `CollectionReader` and in
    `StockReader`, and what is written in `ShopifyWriter`, which looks at prices by the latter.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        shop: str,
        credential: ShopifyCredential,
        base_url: str | None = None,
        customer_metafields: CustomerMetafields = DEFAULT_METAFIELDS,
        limits: LimiterRegistry,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """`shop` is the name before `.myshopify.com`; `limits` is the process's one registry; whoever signs in with the
        same app shares its `credential`.

        Raises:
            ValueError: a name in `customer_metafields` is not "namespace.key".
        """
        endpoint = GraphqlEndpoint(
            session, shop=shop, credential=credential, base_url=base_url, limits=limits, backoff=backoff
        )
        CollectionReader.__init__(self, endpoint)
        ShopifyWriter.__init__(self, endpoint)
        self.account = endpoint.account
        self.credential = credential
        self._customers = CustomerReader(customer_metafields)
        self._product_pages = PageShape(200, variants=50, levels=4)
        self._products_by_ids = PageShape(10, variants=50, levels=4)
        self._variant_pages = PageShape(250, levels=4)
        self._customer_pages = PageShape(250)
        self._customers_by_ids = PageShape(100)

    @property
    def url(self) -> str:
        """The address that all calls go to."""
        return self._endpoint.url

    @property
    def api_version(self) -> ApiVersion:
        """What the answers said of the API's version."""
        return self._endpoint.version

    def __repr__(self) -> str:
        return f"ShopifyClient({self.account})"

    @property
    def time(self) -> SourceTime:
        """What time it is there."""
        return self._endpoint.time

    def points_in(self, seconds: float) -> float:
        """Points that its limits restore in a time."""
        return self._endpoint.restore_rate * seconds

    def products(
        self, query: str | None, *, after: object | None, meter: CallMeter, sort: SortKey = "ID"
    ) -> AsyncGenerator[Page[ShopifyProduct], None]:
        """All products that match, each with all its variants, from behind `after` on (None: from the start).

        A row's document is the product's JSON without `variants`; each variant has a `document` of its own, without its
        stock levels, which are in its value.

        Raises:
            InvalidFilter: at once.
            SourceRefused, RateLimited, SourceUnavailable: while iterating, after the retries.
        """
        variables = {"query": normalise_query(query), "sortKey": sort}
        pages, read = self._product_pages, self._product_reader(meter).read

        def lacking(data: dict[str, Any]) -> int:
            return cut_short(items_of(variants_of(nodes_of(data.get("products")))))

        return self._pages(operations.PRODUCTS, "products", variables, pages, after, read, meter, lacking)

    def customers(
        self, query: str | None, *, after: object | None, meter: CallMeter, sort: SortKey = "ID"
    ) -> AsyncGenerator[Page[ShopifyCustomer], None]:
        """All customers that match, from behind `after` on (None: from the start). Raises as `products` does.

        A row's document is the customer's JSON without the metafields, which are in the value.
        """
        variables = {"query": normalise_query(query), "sortKey": sort} | self._customers.variables
        pages, read = self._customer_pages, self._customers.read
        return self._pages(operations.CUSTOMERS, "customers", variables, pages, after, read, meter)

    async def one_customer(self, *, meter: CallMeter | None = None) -> Page[ShopifyCustomer]:
        """A page with one customer, if there is any; it tells which fields the app may read."""
        variables = {"query": None, "sortKey": "ID"} | self._customers.variables
        pages = self._pages(
            operations.CUSTOMERS, "customers", variables, PageShape(1), None, self._customers.read, meter or CallMeter()
        )
        async with aclosing(pages):
            return await anext(pages)

    async def customer_definitions(self, *, meter: CallMeter | None = None) -> dict[str, MetafieldDefinition | None]:
        """What the shop has laid down for the customers' metafields of this client, by "namespace.key"; None: nothing.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        names = {name: value for name, value in self._customers.variables.items() if not isinstance(value, bool)}
        return await self._endpoint.query(
            operations.METAFIELD_DEFINITIONS,
            names,
            meter or CallMeter(),
            read=self._customers.definitions,
            estimate=SMALL_COST,
        )

    async def products_count(self, query: str | None, *, meter: CallMeter) -> Count:
        """How many products match."""
        return await self._count(operations.PRODUCTS_COUNT, "productsCount", query, meter)

    async def customers_count(self, query: str | None, *, meter: CallMeter) -> Count:
        """How many customers match."""
        return await self._count(operations.CUSTOMERS_COUNT, "customersCount", query, meter)

    async def products_by_ids(self, ids: Sequence[int], *, meter: CallMeter) -> Page[ShopifyProduct]:
        """The products of these ids that exist, with all their variants, in as many calls as it takes."""
        shape, read = self._products_by_ids, self._product_reader(meter).read

        def lacking(data: dict[str, Any]) -> int:
            return cut_short(items_of(variants_of(nodes_of(data))))

        gids = [gid("Product", number) for number in dict.fromkeys(ids)]
        return await self._by_ids(operations.PRODUCTS_BY_IDS, gids, {}, shape, read, meter, lacking)

    async def customers_by_ids(self, ids: Sequence[int], *, meter: CallMeter) -> Page[ShopifyCustomer]:
        """The customers of these ids that exist, in as many calls as it takes."""
        shape, read, variables = self._customers_by_ids, self._customers.read, self._customers.variables
        gids = [gid("Customer", number) for number in dict.fromkeys(ids)]
        return await self._by_ids(operations.CUSTOMERS_BY_IDS, gids, variables, shape, read, meter)

    async def granted_scopes(self, *, meter: CallMeter | None = None) -> frozenset[str]:
        """The access scopes that the app was granted in this shop, such as `read_products`."""

        def read(data: dict[str, Any]) -> frozenset[str]:
            return frozenset(str(scope["handle"]) for scope in data["currentAppInstallation"]["accessScopes"])

        scopes = await self._endpoint.query(
            operations.GRANTED_SCOPES, {}, meter or CallMeter(), read=read, estimate=SMALL_COST
        )
        self.credential.scopes = scopes
        return scopes

    async def shop(self, *, meter: CallMeter | None = None) -> ShopInfo:
        """Name, currency, zone and plan of the shop. Raises SourceRefused, RateLimited, SourceUnavailable."""

        def read(data: dict[str, Any]) -> ShopInfo:
            shop, plan = data["shop"], data["shop"]["plan"]
            return ShopInfo(
                name=str(shop["name"]),
                domain=str(shop["myshopifyDomain"]),
                currency=str(shop["currencyCode"]),
                taxes_included=shop["taxesIncluded"] is True,
                timezone=str(shop["ianaTimezone"]),
                plan=str(plan["publicDisplayName"]),
                is_plus=bool(plan["shopifyPlus"]),
                is_development=bool(plan["partnerDevelopment"]),
            )

        return await self._endpoint.query(operations.SHOP, {}, meter or CallMeter(), read=read, estimate=SMALL_COST)

    async def _count(self, operation: Operation, field: str, query: str | None, meter: CallMeter) -> Count:
        def read(data: dict[str, Any]) -> Count:
            return Count(int(data[field]["count"]), exact=data[field]["precision"] == "EXACT")

        variables = {"query": normalise_query(query)}
        return await self._endpoint.query(operation, variables, meter, read=read, estimate=SMALL_COST)

    async def _pages(
        self,
        operation: Operation,
        field: str,
        variables: dict[str, Any],
        shape: PageShape,
        after: object | None,
        read: Reader[T],
        meter: CallMeter,
        lacking: CutShort | None = None,
    ) -> AsyncGenerator[Page[T], None]:
        cursor = str(after) if after is not None else None
        variables = dict(variables)

        def read_page(data: dict[str, Any]) -> tuple[list[Any], str | None]:
            return whole_page(data[field])

        while True:
            began = monotonic()
            try:
                (nodes, following), _ = await self._endpoint.shaped(
                    operation, variables | {"after": cursor}, shape, meter, read=read_page, cut_short=lacking
                )
            except ProtectedDataRefused as error:
                leave_out(variables, error)
                continue
            except AskedTooMuch as error:
                nodes, following = await self._unread(operation, field, variables, cursor, meter, error)
            if following is not None and following == cursor:
                raise SourceUnavailable(
                    f"Reading {field} of {self._endpoint.source} stopped: its pages go round in a circle."
                )
            rows, bad = await read(nodes)
            yield Page(rows, bad, following, self._notices(rows), began)
            if following is None:
                return
            cursor = following

    async def _unread(
        self,
        operation: Operation,
        field: str,
        variables: dict[str, Any],
        cursor: str | None,
        meter: CallMeter,
        failure: AskedTooMuch,
    ) -> tuple[list[Any], str | None]:
        """In place of the row behind a cursor over which Shopify fails whatever is asked of it: its id, and where the
        list goes on.

        Raises:
            SourceUnavailable: not even that can be had.
        """
        known = {name: variables[name] for name in ("query", "sortKey")}
        (nodes, following), _ = await self._endpoint.shaped(
            IDS_OF[operation.name],
            known | {"after": cursor},
            PageShape(1),
            meter,
            read=lambda data: whole_page(data[field]),
        )
        return [Unreadable(str(failure).rstrip("."), node) for node in nodes], following

    def _notices(self, rows: Sequence[SourceRow[Any]]) -> frozenset[str]:
        """What a person should know about rows that came without some of their fields."""
        denied = {name for row in rows for name in getattr(row.value, "denied", ())}
        return frozenset({protected_notice(self._endpoint.source, map(in_words, denied))} if denied else ())

    async def _by_ids(
        self,
        operation: Operation,
        gids: Sequence[str],
        variables: dict[str, Any],
        shape: PageShape,
        read: Reader[T],
        meter: CallMeter,
        lacking: CutShort | None = None,
    ) -> Page[T]:
        began = monotonic()
        variables = dict(variables)
        while True:
            try:
                nodes = await self._endpoint.nodes(
                    operation, gids, shape, meter, variables=variables, cut_short=lacking
                )
            except ProtectedDataRefused as error:
                leave_out(variables, error)
                continue
            rows, bad = await read(nodes)
            return Page(rows, bad, None, self._notices(rows), began)

    def _product_reader(self, meter: CallMeter) -> ProductReader:
        async def more_variants(product: str, cursor: str) -> list[Any]:
            return await self._variants_behind(product, cursor, meter)

        async def more_levels(item: str, cursor: str) -> list[Any]:
            return await self._levels_behind(item, cursor, meter)

        return ProductReader(more_variants, more_levels)

    async def _variants_behind(self, product: str, cursor: str, meter: CallMeter) -> list[Any]:
        def lacking(data: dict[str, Any]) -> int:
            return cut_short(items_of(variants_of([data.get("product")])))

        def read(data: dict[str, Any]) -> tuple[list[Any], str | None]:
            return whole_page(data["product"]["variants"])

        what = f"variants of product {gid_number(product)}"
        return await behind(
            self._endpoint,
            operations.PRODUCT_VARIANTS,
            product,
            cursor,
            self._variant_pages,
            meter,
            read=read,
            what=what,
            cut_short=lacking,
        )
