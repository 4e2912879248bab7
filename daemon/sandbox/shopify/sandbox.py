"""A Shopify shop on a local port: the Admin API's GraphQL endpoint over an in-process shop."""

import json
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import structlog
from aiohttp import web
from graphql import ExecutionResult, GraphQLError, execute_sync

from daemon.sandbox.catalogue import OPENED, Catalogue
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import cost
from daemon.sandbox.shopify.access import ALL_SCOPES
from daemon.sandbox.shopify.bad_rows import spoil_rows
from daemon.sandbox.shopify.binding import executable_schema
from daemon.sandbox.shopify.bucket import PointBucket
from daemon.sandbox.shopify.bulk import PATH as BULK_PATH
from daemon.sandbox.shopify.bulk import BulkOperations
from daemon.sandbox.shopify.churn import Churn
from daemon.sandbox.shopify.context import Context
from daemon.sandbox.shopify.delivery import Deliveries
from daemon.sandbox.shopify.documents import BoundOperation, Documents, RefusedError
from daemon.sandbox.shopify.idempotency import Idempotency
from daemon.sandbox.shopify.listings import Listings
from daemon.sandbox.shopify.oauth import DAY, App
from daemon.sandbox.shopify.product_csv import read_products
from daemon.sandbox.shopify.records import ShopProfile
from daemon.sandbox.shopify.state import ShopState
from daemon.sandbox.shopify.stocking import stock_shop
from daemon.sandbox.shopify.troubles import Troubles
from daemon.sandbox.shopify.webhooks import ShopifyWebhooks
from daemon.sandbox.shopify.writes import AppliedWrite

log = structlog.get_logger()

API_VERSION = "2026-10"
ZONE = "Asia/Ho_Chi_Minh"
KEPT_REQUESTS = 1000
LARGEST_BODY = 2**20
THROTTLED_ERROR = {
    "message": "Throttled",
    "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"},
}
SHOP = "dongbo-sandbox"
TOKEN = "shpat_sandbox"  # noqa: S105 (opens nothing but the sandbox)
INVALID_TOKEN = "[API] Invalid API key or access token (unrecognized login or wrong password)"  # noqa: S105


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One request and its outcome. Costs are None where it did not get that far."""

    operation: str | None
    variables: Mapping[str, Any]
    requested_cost: int | None
    actual_cost: int | None
    throttled: bool


@dataclass(frozen=True, slots=True)
class ArrivedCall:
    """One call, carried out or refused.

    Args:
        at: when, in Unix seconds by this machine's clock.
        caller: the address that it came from.
        operation: its name, if it has one.
        writes: whether it is a mutation.
    """

    at: float
    caller: str | None
    operation: str | None
    writes: bool


@dataclass(slots=True)
class RequestLog:
    """Counts of all requests to the endpoint, and the last thousand of them."""

    calls: int = 0
    throttled: int = 0
    points: int = 0  # actual costs together
    last: deque[AnsweredRequest] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def add(self, request: AnsweredRequest) -> None:
        """Count a request."""
        self.calls += 1
        self.throttled += request.throttled
        self.points += request.actual_cost or 0
        self.last.append(request)


class ShopifySandbox(ShopState):
    """A shop that behaves as Shopify's Admin API does.

    Args:
        catalogue: the goods, people and depots that the shop starts with.
        seed: the same seed makes the same shop of the same catalogue.
        limits: refuse queries when the points are used up.
        restore_rate: points per second: 100 on the small plans, up to 2,000.
        quirks: behave as the real API has been seen to: cursors of varying shape, days instead of times in the
            customers' `updated_at` filter.
        faults: what goes wrong on demand.
        csv: Shopify product exports that take the place of the catalogue's goods.
        token: the access token that is accepted for good; empty: none is, as in a shop that began in 2026.
        shop: the shop's handle, in front of `.myshopify.com`.
        scopes: what that token may see and change.
        token_lifetime: seconds that a token lives which the app asks for.
        unstocked_share: share of variants from 0 to 1 that one of the locations does not stock.
        currency: ISO 4217; VND, and of exports USD, unless it is said otherwise.
        clock_offset: seconds by which the shop's clock is ahead of this machine's; may be changed while it runs.
        clock: seconds for the restoring of points.
        now: the time that changes are stamped with.

    `app` is the app of the Dev Dashboard that asks for tokens. `troubles` is what answers suffer from, `bulk` knows the
    bulk operations and their outcomes, `webhooks` are the app's subscriptions. `arrived` are the last calls and where
    they came from. `writes` is the journal of what callers of the API set; `idempotency` remembers their keys, and
    refuses on demand. `profile` may be changed at any time: the currency, and whether prices hold the tax.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        seed: int,
        limits: bool,
        restore_rate: float = 100,
        quirks: bool = True,
        faults: Faults,
        csv: Sequence[Path] = (),
        token: str = TOKEN,
        shop: str = SHOP,
        scopes: Collection[str] = ALL_SCOPES,
        token_lifetime: float = DAY,
        unstocked_share: float = 0.0,
        currency: str | None = None,
        clock_offset: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.clock_offset = clock_offset
        self._machine_time = now
        super().__init__(self._time)
        self.token = token
        self.shop = shop
        self.scopes = frozenset(scopes)
        self.app = App(token_lifetime=token_lifetime)
        self.requests = RequestLog()
        self.arrived: deque[ArrivedCall] = deque(maxlen=KEPT_REQUESTS)
        self.writes: list[AppliedWrite] = []
        self.idempotency = Idempotency(now)
        self.troubles = Troubles()
        self.deliveries = Deliveries()
        self.bucket = PointBucket(restore_rate, clock)
        self._origin = ""  # the address that requests come to
        self.bulk = BulkOperations(seed, clock, self._time, faults, self.troubles)
        self._limits = limits
        self._quirks = quirks
        self._faults = faults
        self._schema = executable_schema()
        self._documents = Documents(self._schema)
        products = read_products(csv) if csv else None
        stock_shop(self, catalogue, seed=seed, products=products, unstocked_share=unstocked_share)
        self._churn = Churn(self, seed)
        self.profile = ShopProfile(
            name="Cửa hàng thử nghiệm",
            domain=f"{shop}.myshopify.com",
            currency=currency or ("USD" if csv else "VND"),
            zone=ZONE,
            opened_at=OPENED,
        )
        self._listings = Listings(self, ZoneInfo(ZONE), quirks=quirks)
        self.webhooks = ShopifyWebhooks(
            self, lambda: self.profile, self.app, version=API_VERSION, now=self._time, seed=seed
        )
        self.bulk.on_end = self.webhooks.finish

    def application(self) -> web.Application:
        """The HTTP side, to be run on any address."""
        application = web.Application(
            client_max_size=LARGEST_BODY, middlewares=[self._faults.middleware(_too_many_requests)]
        )
        application.on_response_prepare.append(self._date)
        application.router.add_post("/admin/api/{version}/graphql.json", self._handle)
        application.router.add_post("/admin/oauth/access_token", self.app.answer)
        application.router.add_get(BULK_PATH, self.bulk.answer)
        application.on_shutdown.append(self.bulk.close_downloads)
        application.cleanup_ctx.append(self.bulk.lifetime)
        return application

    def change_something(self) -> None:
        """One random change behind everybody's back: a sale, more often than not, or a different price."""
        self._churn.change_something()

    async def churn(self, per_second: float) -> None:
        """Change something at random, `per_second` times a second on average, until cancelled."""
        await self._churn.run(per_second)

    async def _handle(self, request: web.Request) -> web.Response:
        if request.match_info["version"] != API_VERSION:
            return _answer({"errors": "Not Found"}, HTTPStatus.NOT_FOUND)
        scopes = self._scopes_of(request.headers.get("X-Shopify-Access-Token", ""))
        if scopes is None:
            return _answer({"errors": INVALID_TOKEN}, HTTPStatus.UNAUTHORIZED)
        try:
            query, operation_name, variables = _read_body(request.content_type, await request.read())
        except ValueError as error:
            return _answer({"errors": {"query": str(error)}}, HTTPStatus.BAD_REQUEST)
        self._origin = str(request.url.origin())
        writes = self._documents.writes(query, operation_name)

        def call() -> dict[str, Any]:
            self.arrived.append(ArrivedCall(time.time(), request.remote, operation_name, writes))
            return self._execute(query, operation_name, variables, scopes)

        answer = _answer(await self.deliveries.carry_out(call, request, operation_name, writes=writes))
        answer.headers.update(self.troubles.headers(API_VERSION))
        return answer

    def _time(self) -> datetime:
        return (self._machine_time() + timedelta(seconds=self.clock_offset)).replace(microsecond=0)

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(self._time(), usegmt=True)

    def _scopes_of(self, token: str) -> frozenset[str] | None:
        """What a token opens; None: nothing."""
        if token and token == self.token:
            return self.scopes
        return self.app.scopes if self.app.accepts(token) else None

    def _execute(
        self, query: str, operation_name: str | None, variables: Mapping[str, Any], scopes: frozenset[str]
    ) -> dict[str, Any]:
        """The answer to a query, its cost charged."""
        try:
            operation = self._documents.operation(query, operation_name, variables)
        except RefusedError as refused:
            self.requests.add(AnsweredRequest(operation_name, variables, None, None, throttled=False))
            return {"errors": refused.errors}
        name = operation.definition.name.value if operation.definition.name else None
        fields = cost.plan(self._schema, operation.document, operation.definition, variables)
        requested = cost.requested(fields)
        if requested > cost.MAX_QUERY_COST:
            self.requests.add(AnsweredRequest(name, variables, requested, None, throttled=False))
            return {"errors": [_too_dear(requested)]}
        if self._limits and not self.bucket.spend(requested):
            self.requests.add(AnsweredRequest(name, variables, requested, None, throttled=True))
            log.debug("query_throttled", operation=name, requested=requested)
            return {"errors": [THROTTLED_ERROR], "extensions": {"cost": self._cost(requested, None)}}
        context = self._context(scopes)
        result = self._run(operation, context)
        actual = cost.actual(fields, result.data)
        if self._limits:
            self.bucket.refund(requested - actual)
        self.requests.add(AnsweredRequest(name, variables, requested, actual, throttled=False))
        extensions: dict[str, Any] = {"cost": self._cost(requested, actual)}
        if context.searches:
            extensions["search"] = context.searches
        answer: dict[str, Any] = {"data": spoil_rows(result.data, self._faults)}
        if result.errors:
            answer["errors"] = [_written_error(error) for error in result.errors]
        return self.troubles.apply(name, variables, answer | {"extensions": extensions})

    def _context(self, scopes: frozenset[str]) -> Context:
        return Context(
            state=self,
            listings=self._listings,
            profile=self.profile,
            scopes=scopes,
            cursor_shape=self.requests.calls if self._quirks else 0,
            idempotency=self.idempotency,
            writes=self.writes,
            now=self._now,
            bulk=self.bulk,
            webhooks=self.webhooks,
            api_version=API_VERSION,
            origin=self._origin,
        )

    def _run(self, operation: BoundOperation, context: Context) -> ExecutionResult:
        return execute_sync(
            self._schema,
            operation.document,
            context_value=context,
            variable_values=dict(operation.variables),
            operation_name=operation.definition.name.value if operation.definition.name else None,
        )

    def _cost(self, requested: int, actual: int | None) -> dict[str, Any]:
        available = int(self.bucket.available) if self._limits else int(self.bucket.capacity)
        return {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": float(self.bucket.capacity),
                "currentlyAvailable": available,
                "restoreRate": float(self.bucket.restore_rate),
            },
        }


def _read_body(content_type: str, body: bytes) -> tuple[str, str | None, Mapping[str, Any]]:
    """The query, the operation's name and the variables in a request; raises ValueError."""
    if content_type == "application/graphql":
        return body.decode(), None, {}
    content = orjson.loads(body)
    if not isinstance(content, dict) or not isinstance(content.get("query"), str):
        raise ValueError("Required parameter missing or invalid")
    variables, name = content.get("variables") or {}, content.get("operationName")
    if not isinstance(variables, dict) or not isinstance(name, str | None):
        raise ValueError("Required parameter missing or invalid")
    return content["query"], name, variables


def _written_error(error: GraphQLError) -> Mapping[str, Any]:
    """An error in a field; one that is no GraphQLError of ours is a bug in the sandbox."""
    if error.original_error is None or isinstance(error.original_error, GraphQLError):
        return error.formatted
    log.error("resolver_failed", path=error.path, exc_info=error.original_error)
    return {**error.formatted, "extensions": {"code": "INTERNAL_SERVER_ERROR"}}


def _too_dear(requested: int) -> dict[str, Any]:
    return {
        "message": f"Query cost is {requested}, which exceeds the single query max cost limit ({cost.MAX_QUERY_COST}).",
        "extensions": {
            "code": "MAX_COST_EXCEEDED",
            "cost": requested,
            "maxCost": cost.MAX_QUERY_COST,
            "documentation": "https://shopify.dev/api/usage/rate-limits",
        },
    }


def _too_many_requests() -> web.Response:
    """The answer when Shopify sheds load in front of GraphQL."""
    response = _answer({"errors": "Throttled"}, HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = "2.0"
    return response


def _answer(content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    try:
        body = orjson.dumps(content)
    except TypeError:  # a bad row may hold a number beyond 64 bits, which orjson refuses
        body = json.dumps(content, ensure_ascii=False).encode()
    headers = {"X-Shopify-API-Version": API_VERSION}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
