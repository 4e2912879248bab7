"""The client of Shopify's Admin GraphQL API 2026-10."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import aiohttp
import structlog

from daemon.clock import boot_time
from daemon.errors import AskedTooMuch, SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.sources.horizon import Horizon
from daemon.sources.http import BACKOFF, Backoff
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, Page, SourceRow
from daemon.sources.shopify import operations
from daemon.sources.shopify.bulk import PATIENCE, BulkReader, Patience, written
from daemon.sources.shopify.bulk_state import NotReadInBulk
from daemon.sources.shopify.changes import Known, may_be_one_of, read_version, read_versions
from daemon.sources.shopify.collections import CollectionReader
from daemon.sources.shopify.credential import ShopifyCredential
from daemon.sources.shopify.customers import CustomerReader, in_words, leave_out
from daemon.sources.shopify.endpoint import SMALL_COST, GraphqlEndpoint, nodes_of, whole_page
from daemon.sources.shopify.errors import ProtectedDataRefused, protected_notice
from daemon.sources.shopify.filters import normalise_query, quoted
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
from daemon.sources.shopify.operations import GraphqlOperation
from daemon.sources.shopify.partial import Unreadable
from daemon.sources.shopify.products import ProductReader, items_of, variants_of
from daemon.sources.shopify.shape import PageShape
from daemon.sources.shopify.stock import behind
from daemon.sources.shopify.version import ApiVersion
from daemon.sources.shopify.webhooks import WebhookSubscriptions
from daemon.sources.shopify.whole_list import WholeList
from daemon.sources.shopify.writer import ShopifyWriter

log = structlog.get_logger()

T = TypeVar("T")

FOUND_AT_ONCE = 250  # rows of which only the ids are known
# Changed rows, from which on they are read by a bulk operation: 15 products by a page cost some 150 points, 100 some
# 270, and in bulk 15 points whatever their number. What a pull does not spend is there for a sale. Fewer are read
# directly, because a bulk operation takes seconds.
IN_BULK_FROM = 10
# Points that a product is charged at most, before an answer has said how many: by its id, and in a search for ids.
BY_ID_COST, FOUND_COST = 90.0, 50.0
LISTS_AT_ONCE = 20  # pages of ids, before what has changed among them is stored
# What a full page of a list is charged in the end, where a product has a few variants, each at a few locations.
PRODUCT_PAGE_POINTS, CUSTOMER_PAGE_POINTS = 270.0, 79.0
PHONES_AT_ONCE = 50  # in one search, which is a text of at most 2,000 characters

DEFAULT_METAFIELDS = CustomerMetafields()

# Used for a page of which Shopify does not give a single row.
IDS_OF: Mapping[str, GraphqlOperation] = MappingProxyType(
    {
        operations.PRODUCTS.name: operations.PRODUCT_IDS,
        operations.PRODUCT_CHANGES.name: operations.PRODUCT_IDS,
        operations.CUSTOMERS.name: operations.CUSTOMER_IDS,
        operations.CUSTOMER_CHANGES.name: operations.CUSTOMER_IDS,
    }
)

SortKey = Literal["ID", "UPDATED_AT"]
CutShort = Callable[[dict[str, Any]], int]
Reader = Callable[[list[Any]], Awaitable[tuple[list[SourceRow[T]], list[BadRow]]]]
Find = Callable[[Sequence[int]], Awaitable[Page[T]]]


class ShopifyClient(CollectionReader, ShopifyWriter):
    """One app's access to one shop. Rows that don't fit are delivered as such; calls are limited and repeated.

    This reads what is kept; `CollectionReader` and `StockReader` read what decides about a write, and `ShopifyWriter`
    writes, checking prices through the latter.
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
        patience: Patience = PATIENCE,
    ) -> None:
        """`shop` is the name before `.myshopify.com`; `limits` is the process's one registry; whoever signs in with the
        same app shares its `credential`. `patience` is for bulk operations.

        Raises:
            ValueError: a name in `customer_metafields` is not "namespace.key".
        """
        endpoint = GraphqlEndpoint(
            session, shop=shop, credential=credential, base_url=base_url, limits=limits, backoff=backoff
        )
        CollectionReader.__init__(self, endpoint)
        ShopifyWriter.__init__(self, endpoint)
        self.account = endpoint.account
        self.clock = endpoint.clock
        self.health = endpoint.health
        self.credential = credential
        self.bulk = BulkReader(endpoint, patience, backoff)
        self.webhooks = WebhookSubscriptions(endpoint)
        self._customers = CustomerReader(customer_metafields)
        self._product_pages = PageShape(200, variants=50, levels=4)
        self._products_by_ids = PageShape(10, variants=50, levels=4)
        self._variant_pages = PageShape(250, levels=4)
        self._customer_pages = PageShape(250)
        self._customers_by_ids = PageShape(100)
        self._change_pages = PageShape(250)
        self._identity: str | None = None
        self._products_found = PageShape(FOUND_AT_ONCE, variants=50, levels=4)
        self._customers_found = PageShape(FOUND_AT_ONCE)

    @property
    def url(self) -> str:
        """The address that all calls go to."""
        return self._endpoint.url

    @property
    def api_version(self) -> ApiVersion:
        """What the answers said about the API's version."""
        return self._endpoint.version

    def __repr__(self) -> str:
        return f"ShopifyClient({self.account})"

    def points_in(self, seconds: float) -> float:
        """Points that its limits restore per unit of time."""
        return self._endpoint.restore_rate * seconds

    def products(
        self, query: str | None, *, after: object | None, meter: CallMeter, sort: SortKey = "ID"
    ) -> AsyncGenerator[Page[ShopifyProduct], None]:
        """All products that match, each with all its variants, starting after `after` (None: from the start).

        A row's document is the product's JSON without `variants`; each variant has a `document` of its own, without its
        stock levels, which are in its value.

        Raises:
            InvalidFilter: at once.
            SourceRefused, RateLimited, SourceUnavailable: while iterating, after the retries.
        """
        variables = {"query": normalise_query(query), "sortKey": sort}
        pages, read, lacking = self._product_pages, self._product_reader(meter).read, self._lacking_of("products")
        return self._pages(operations.PRODUCTS, "products", variables, pages, after, read, meter, lacking)

    def customers(
        self, query: str | None, *, after: object | None, meter: CallMeter, sort: SortKey = "ID"
    ) -> AsyncGenerator[Page[ShopifyCustomer], None]:
        """All customers that match, starting after `after` (None: from the start). Raises as `products` does.

        A row's document is the customer's JSON without the metafields, which are in the value.
        """
        variables = {"query": normalise_query(query), "sortKey": sort} | self._customers.variables
        pages, read = self._customer_pages, self._customers.read
        return self._pages(operations.CUSTOMERS, "customers", variables, pages, after, read, meter)

    def products_in_bulk(self, query: str | None) -> WholeList[ShopifyProduct]:
        """All products that match, as `products` delivers them.

        Raises:
            InvalidFilter: at once.
        """

        async def read(nodes: list[Any], meter: CallMeter) -> tuple[list[SourceRow[ShopifyProduct]], list[BadRow]]:
            return await self._product_reader(meter).read(nodes)

        return WholeList(
            self.bulk,
            written(operations.PRODUCTS_IN_BULK, {"query": normalise_query(query)}),
            read,
            page_rows=self._product_pages.rows,
            page_points=PRODUCT_PAGE_POINTS,
        )

    def customers_in_bulk(self, query: str | None) -> WholeList[ShopifyCustomer]:
        """All customers that match, as `customers` delivers them. Raises as `products_in_bulk` does."""

        async def read(nodes: list[Any], _meter: CallMeter) -> tuple[list[SourceRow[ShopifyCustomer]], list[BadRow]]:
            return await self._customers.read(nodes)

        async def allow(meter: CallMeter) -> None:
            # An answer says what is kept from the app as protected data; in a file it may look as if it were not
            # there at all.
            for notice in (await self.one_customer(meter=meter)).notices:
                raise NotReadInBulk(
                    _("{source} keeps protected customer data from the app, which a file does not show.").format(
                        source=self._endpoint.source
                    ),
                    notice,
                )

        return WholeList(
            self.bulk,
            written(operations.CUSTOMERS_IN_BULK, {"query": normalise_query(query), **self._customers.variables}),
            read,
            page_rows=self._customer_pages.rows,
            page_points=CUSTOMER_PAGE_POINTS,
            allow=allow,
        )

    async def customers_by_phones(self, phones: Sequence[str], *, meter: CallMeter) -> Page[ShopifyCustomer]:
        """Customers whom Shopify's search finds by their phone numbers, in E.164. Raises as `products` does.

        At most a page for every PHONES_AT_ONCE numbers: each is that of one or a few.
        """
        found: Page[ShopifyCustomer] = Page([], [], None)
        for start in range(0, len(phones), PHONES_AT_ONCE):
            wanted = " OR ".join(f"phone:{quoted(phone)}" for phone in phones[start : start + PHONES_AT_ONCE])
            async with aclosing(self.customers(wanted, after=None, meter=meter)) as pages:
                found = _together(found, await anext(pages))
        return found

    async def one_customer(self, *, meter: CallMeter | None = None) -> Page[ShopifyCustomer]:
        """A page with one customer, if there is one; it shows which fields the app may read."""
        variables = {"query": None, "sortKey": "ID"} | self._customers.variables
        pages = self._pages(
            operations.CUSTOMERS, "customers", variables, PageShape(1), None, self._customers.read, meter or CallMeter()
        )
        async with aclosing(pages):
            return await anext(pages)

    async def customer_definitions(self, *, meter: CallMeter | None = None) -> dict[str, MetafieldDefinition | None]:
        """The shop's definitions of this client's customer metafields, by "namespace.key"; None: not defined.

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

    def product_changes(
        self, query: str | None, *, after: object | None, known: Known, meter: CallMeter
    ) -> AsyncGenerator[Page[ShopifyProduct], None]:
        """Like `products`, but only those whose time of change differs from what is `known` are read whole.

        All others are counted as `unchanged`. The order and the cursors are those of `products`.
        """

        async def find(ids: Sequence[int]) -> Page[ShopifyProduct]:
            return await self._found_products(ids, meter)

        return self._changes(operations.PRODUCT_CHANGES, "products", normalise_query(query), after, known, find, meter)

    def customer_changes(
        self, query: str | None, *, after: object | None, known: Known, meter: CallMeter
    ) -> AsyncGenerator[Page[ShopifyCustomer], None]:
        """Like `customers`, but only those whose time of change differs from what is `known` are read whole."""

        async def find(ids: Sequence[int]) -> Page[ShopifyCustomer]:
            return await self._found_customers(ids, meter)

        return self._changes(
            operations.CUSTOMER_CHANGES, "customers", normalise_query(query), after, known, find, meter
        )

    async def product_horizon(self, *, meter: CallMeter) -> Horizon:
        """Which shop this is, and when one of its products was last changed, as far as its search knows."""
        return await self._horizon(operations.PRODUCT_HORIZON, "products", meter)

    async def customer_horizon(self, *, meter: CallMeter) -> Horizon:
        """Which shop this is, and when one of its customers was last changed, as far as its search knows."""
        return await self._horizon(operations.CUSTOMER_HORIZON, "customers", meter)

    async def identity(self, *, meter: CallMeter) -> str:
        """Which shop this is; asked for once."""
        if self._identity is None:
            return await self._endpoint.query(operations.SHOP, {}, meter, read=self._identified, estimate=SMALL_COST)
        return self._identity

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
        return await self._by_ids(operations.PRODUCTS_BY_IDS, gids, {}, shape, read, meter, lacking, BY_ID_COST)

    async def find_products(self, query: str, *, meter: CallMeter) -> list[int]:
        """The ids of the first products that a search finds, up to a page of them. Raises as `products` does."""
        variables = {"query": normalise_query(query)}
        pages = self._pages(
            operations.PRODUCT_CHANGES, "products", variables, self._change_pages, None, read_versions, meter
        )
        async with aclosing(pages):
            page = await anext(pages)
        return [row.value.id for row in page.rows]

    async def products_of(self, ids: Sequence[int], *, meter: CallMeter) -> Page[ShopifyProduct]:
        """As `products_by_ids`, at a fraction of its cost where there are many: by a search, and those that it does not
        find by their ids."""
        read, lacking, shape = self._product_reader(meter).read, self._lacking_of("products"), self._products_found
        found = await self._search(operations.PRODUCTS, "products", ids, {}, shape, read, meter, lacking)
        return _together(found, await self.products_by_ids(_missing(ids, found), meter=meter))

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

    async def _horizon(self, operation: GraphqlOperation, field: str, meter: CallMeter) -> Horizon:
        asked = self.clock.start()

        def read(data: dict[str, Any]) -> Horizon:
            nodes = data[field]["nodes"]
            newest = read_version(nodes[0]) if nodes else None
            return Horizon(self._identified(data), self.clock.at(asked), newest.updated_at if newest else None)

        return await self._endpoint.query(operation, {}, meter, read=read, estimate=SMALL_COST)

    def _identified(self, data: dict[str, Any]) -> str:
        """Raises KeyError or TypeError where the data does not describe a shop."""
        number = gid_number(data["shop"]["id"])
        if number is None:
            raise TypeError("The shop's id can't be read.")
        self._identity = f"{self.account.removeprefix('shopify:')} ({number})"
        return self._identity

    async def _changes(
        self,
        operation: GraphqlOperation,
        field: str,
        query: str | None,
        after: object | None,
        known: Known,
        find: Find[T],
        meter: CallMeter,
    ) -> AsyncGenerator[Page[T], None]:
        shape, read = self._change_pages, read_versions
        wanted: list[int] = []
        bad: list[BadRow] = []
        listed = pages = 0
        async with aclosing(self._pages(operation, field, {"query": query}, shape, after, read, meter)) as lists:
            async for page in lists:
                versions = {row.value.id: row.value.updated_at for row in page.rows}
                have = await known(list(versions))
                wanted += [number for number, at in versions.items() if at is None or have.get(number) != at]
                bad += page.bad
                listed, pages = listed + len(page.rows), pages + 1
                if wanted and page.next is not None and len(wanted) < FOUND_AT_ONCE and pages < LISTS_AT_ONCE:
                    continue  # the more are read at once, the less each one costs
                nothing: Page[T] = Page([], [], None, asked=page.asked)
                found = await find(wanted) if wanted else nothing
                unchanged = max(listed - len(found.rows) - len(found.bad), 0)
                yield Page(found.rows, [*bad, *found.bad], page.next, found.notices, found.asked, unchanged)
                wanted, bad, listed, pages = [], [], 0, 0

    async def _found_products(self, ids: Sequence[int], meter: CallMeter) -> Page[ShopifyProduct]:
        read = self._product_reader(meter).read
        found = await self._in_bulk(operations.PRODUCTS_IN_BULK, {}, ids, read, meter)
        return _together(found, await self.products_of(_missing(ids, found), meter=meter))

    async def _found_customers(self, ids: Sequence[int], meter: CallMeter) -> Page[ShopifyCustomer]:
        read, variables, shape = self._customers.read, self._customers.variables, self._customers_found
        found: Page[ShopifyCustomer] = Page([], [], None)
        if len(ids) > IN_BULK_FROM and not self.bulk.rests:
            # An answer says what is kept from the app as protected data; in a file it may look as if it were not
            # there at all. So one customer is asked for first, to find out.
            found = await self.customers_by_ids(ids[:1], meter=meter)
            if found.rows and not found.rows[0].value.denied:
                more = await self._in_bulk(operations.CUSTOMERS_IN_BULK, variables, ids[1:], read, meter)
                found = _together(found, more)
        more = await self._search(
            operations.CUSTOMERS, "customers", _missing(ids, found), variables, shape, read, meter
        )
        found = _together(found, more)
        return _together(found, await self.customers_by_ids(_missing(ids, found), meter=meter))

    async def _in_bulk(
        self,
        query: GraphqlOperation,
        variables: Mapping[str, Any],
        ids: Sequence[int],
        read: Reader[T],
        meter: CallMeter,
    ) -> Page[T]:
        """Rows of these ids by bulk operations, as far as that is worthwhile and works."""
        rows: list[SourceRow[T]] = []
        bad: list[BadRow] = []
        left, began = ids, boot_time()
        while len(left) >= IN_BULK_FROM and not self.bulk.rests:
            portion, left = left[:FOUND_AT_ONCE], left[FOUND_AT_ONCE:]
            try:
                nodes = await self.bulk.read(query, variables, portion, meter)
            except NotReadInBulk:
                break
            nodes.reverse()
            while nodes:  # each is released once it has been read: together they take as much memory as the rows
                found, unfit = await read([nodes.pop()])
                rows += found
                bad += unfit
        return Page(rows, bad, None, self.bulk.notices, began)

    async def _search(
        self,
        operation: GraphqlOperation,
        field: str,
        ids: Sequence[int],
        variables: dict[str, Any],
        shape: PageShape,
        read: Reader[T],
        meter: CallMeter,
        lacking: CutShort | None = None,
    ) -> Page[T]:
        """Rows of these ids by a search for them, as far as it finds them.

        A list costs by the logarithm of its size, `nodes(ids:)` by the row: 100 products cost some 250 points here,
        and about ten times as many there.
        """

        def select(portion: Sequence[str]) -> dict[str, Any]:
            return {"first": len(portion), "query": " OR ".join(f"id:{number}" for number in portion)}

        def read_nodes(data: dict[str, Any]) -> list[Any]:
            return whole_page(data[field])[0]

        rows: list[SourceRow[T]] = []
        bad: list[BadRow] = []
        left, began = [str(number) for number in ids], boot_time()
        variables = variables | {"after": None, "sortKey": "ID"}
        while len(left) > 1:
            try:
                nodes, asked = await self._endpoint.shaped(
                    operation,
                    variables,
                    shape,
                    meter,
                    read=read_nodes,
                    ids=left,
                    select=select,
                    cut_short=lacking,
                    row_cost=FOUND_COST,
                )
            except ProtectedDataRefused as error:
                leave_out(variables, error)
                continue
            except (SourceRefused, AskedTooMuch) as error:
                log.warning("search_refused", source=self._endpoint.source, reason=str(error), next_step="asked by ids")
                break
            # A search that ignores its query finds others, too.
            found, unfit = await read([node for node in nodes if may_be_one_of(node, left[:asked])])
            rows += found
            bad += unfit
            left = left[asked:]
        return Page(rows, bad, None, self._notices(rows), began)

    async def _count(self, operation: GraphqlOperation, field: str, query: str | None, meter: CallMeter) -> Count:
        def read(data: dict[str, Any]) -> Count:
            return Count(int(data[field]["count"]), exact=data[field]["precision"] == "EXACT")

        variables = {"query": normalise_query(query)}
        return await self._endpoint.query(operation, variables, meter, read=read, estimate=SMALL_COST)

    async def _pages(
        self,
        operation: GraphqlOperation,
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
            began = boot_time()
            try:
                (nodes, following), _cost = await self._endpoint.shaped(
                    operation, variables | {"after": cursor}, shape, meter, read=read_page, cut_short=lacking
                )
            except ProtectedDataRefused as error:
                leave_out(variables, error)
                continue
            except AskedTooMuch as error:
                nodes, following = await self._unread(operation, field, variables, cursor, meter, error)
            if following is not None and following == cursor:
                raise SourceUnavailable(
                    _("Reading {field} of {source} stopped: its pages repeat.").format(
                        field=field, source=self._endpoint.source
                    )
                )
            rows, bad = await read(nodes)
            yield Page(rows, bad, following, self._notices(rows), began)
            if following is None:
                return
            cursor = following

    async def _unread(
        self,
        operation: GraphqlOperation,
        field: str,
        variables: dict[str, Any],
        cursor: str | None,
        meter: CallMeter,
        failure: AskedTooMuch,
    ) -> tuple[list[Any], str | None]:
        """What stands in for the row after a cursor on which Shopify fails whatever is asked: its id, and where the
        list continues.

        Raises:
            SourceUnavailable: not even that can be read.
        """
        known = {"query": variables["query"], "sortKey": variables.get("sortKey", "ID")}
        (nodes, following), _cost = await self._endpoint.shaped(
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
        operation: GraphqlOperation,
        gids: Sequence[str],
        variables: dict[str, Any],
        shape: PageShape,
        read: Reader[T],
        meter: CallMeter,
        lacking: CutShort | None = None,
        row_cost: float | None = None,
    ) -> Page[T]:
        began = boot_time()
        variables = dict(variables)
        while True:
            try:
                nodes = await self._endpoint.nodes(
                    operation, gids, shape, meter, variables=variables, cut_short=lacking, row_cost=row_cost
                )
            except ProtectedDataRefused as error:
                leave_out(variables, error)
                continue
            rows, bad = await read(nodes)
            return Page(rows, bad, None, self._notices(rows), began)

    @staticmethod
    def _lacking_of(field: str) -> CutShort:
        return lambda data: cut_short(items_of(variants_of(nodes_of(data.get(field)))))

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

        what = _("variants of product {product}").format(product=gid_number(product))
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


def _missing(ids: Sequence[int], found: Page[Any]) -> list[int]:
    """Those ids that a search has not found: they are gone, or not in its index yet."""
    present = {row.value.id for row in found.rows} | {int(row.source_id) for row in found.bad if row.source_id}
    return [number for number in ids if number not in present]


def _together(found: Page[T], more: Page[T]) -> Page[T]:
    asked = found.asked if found.rows or found.bad else more.asked
    return Page([*found.rows, *more.rows], [*found.bad, *more.bad], None, found.notices | more.notices, asked)
