"""How a call reaches Shopify: within its limits, repeated where that can help, shrunk where it costs too much."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import aiohttp
import orjson
import structlog

from daemon.errors import RateLimited, SourceUnavailable
from daemon.sources.clock import SourceClock
from daemon.sources.decode import mend
from daemon.sources.http import BACKOFF, Answer, Backoff, post, retrying
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import errors
from daemon.sources.shopify.credential import ShopifyCredential
from daemon.sources.shopify.errors import CostExceededError
from daemon.sources.shopify.operations import Operation
from daemon.sources.shopify.shape import PageShape

log = structlog.get_logger()

T = TypeVar("T")

API_VERSION = "2026-10"
SMALL_COST = 10.0  # points; what a mutation costs, and a query without a connection at most
MAX_COST = 1000.0  # points; what one query may cost
UNAUTHORISED = 401  # HTTP status of a token that is not taken, or not any more

# A page on which more inventory items than this lack stock levels is asked for again with more levels for each: the
# rest of an item costs a call of its own.
FEW_ITEMS = 5


class GraphqlEndpoint:
    """The Admin API of one shop, called by one app."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        shop: str,
        credential: ShopifyCredential,
        base_url: str | None = None,
        limits: LimiterRegistry,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """`shop` is the name before `.myshopify.com`; `limits` is the process's one registry."""
        name = shop.strip().lower().removesuffix(".myshopify.com")
        self.account = f"shopify:{name}"
        self.credential = credential
        self._session = session
        self.source = f"Shopify ({name})"
        self._url = f"{(base_url or f'https://{name}.myshopify.com').rstrip('/')}/admin/api/{API_VERSION}/graphql.json"
        self._bucket = limits.bucket(self.account)
        self.clock = SourceClock()
        self._backoff = backoff
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.account})"

    async def call(
        self,
        operation: Operation,
        variables: dict[str, Any],
        meter: CallMeter,
        *,
        read: Callable[[dict[str, Any]], T],
        label: str | None = None,
        estimate: float = MAX_COST,
    ) -> T:
        """Send an operation until it succeeds, and return what `read` makes of the data of the answer.

        What `read` raises counts as a failure of the call, so an answer that it finds unreadable is asked for again.
        Every attempt sends the very same bytes. `label` names the operation along with the size of its page, and
        `estimate` is its cost in points until that is learnt.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        body = orjson.dumps({"query": operation.document, "operationName": operation.name, "variables": variables})

        async def attempt() -> T:
            with meter.waiting_for_limit() as has_place:
                reserve = self._bucket.reserve(label or operation.name, estimate, urgent=meter.is_urgent)
                async with reserve as reservation:
                    has_place()
                    answer = await self._send(body, meter)
                    payload = _decoded(answer.body)
                    status = errors.throttle_status(payload)
                    if status is not None:
                        reservation.report(status)
                    error = errors.failure(self.source, answer, payload, self.credential.secrets)
                    if isinstance(error, RateLimited) and status is None:
                        self._bucket.block(error.retry_after)
                    if error is not None:
                        raise error
                    self._warn_once(payload)
                    return read(payload["data"])

        return await retrying(attempt, meter=meter, source=self.source, backoff=self._backoff)

    async def _send(self, body: bytes, meter: CallMeter) -> Answer:
        """The answer to a call, after one more try if its token was refused: nothing had been done then.

        The token is taken at the last moment, since the wait for points may outlast one. Holding the points while a
        token is asked for keeps nobody back: whoever could use them needs the same token.

        Raises:
            CredentialRefused: a second token was refused, too, or there is none to be had.
        """
        token = await self.credential.token(meter)
        answer = await self._post(body, token, meter)
        if answer.status == UNAUTHORISED and self.credential.reject(token):
            token = await self.credential.token(meter)
            answer = await self._post(body, token, meter)
        if answer.status == UNAUTHORISED:
            refusal = errors.token_refused(self.source, self.credential.kind)
            self.credential.fails(refusal)
            raise refusal
        if answer.status < UNAUTHORISED:
            self.credential.accept()
        return answer

    async def _post(self, body: bytes, token: str, meter: CallMeter) -> Answer:
        headers = {"X-Shopify-Access-Token": token}
        sent = self.clock.start()
        answer = await post(self._session, self._url, body=body, headers=headers, source=self.source, meter=meter)
        self.clock.observe(answer.date, sent)
        return answer

    async def query(
        self,
        operation: Operation,
        variables: dict[str, Any],
        meter: CallMeter,
        *,
        label: str | None = None,
        estimate: float = MAX_COST,
    ) -> dict[str, Any]:
        """Send a query until it succeeds, and return its data; see `call`."""
        return await self.call(operation, variables, meter, read=lambda data: data, label=label, estimate=estimate)

    async def shaped(
        self,
        operation: Operation,
        variables: dict[str, Any],
        shape: PageShape,
        meter: CallMeter,
        *,
        ids: Sequence[str] | None = None,
        select: Callable[[Sequence[str]], dict[str, Any]] = lambda ids: {"ids": ids},
        cut_short: Callable[[dict[str, Any]], int] | None = None,
    ) -> tuple[dict[str, Any], int]:
        """The data of one page of this shape, and its number of rows; of a smaller one if Shopify wants it.

        `ids`: ask for the first of these, as many as the shape has rows; `select` makes the variables that name them.
        `cut_short` counts the inventory items in the
        data that have more stock levels than were asked for; if there are many, the page is asked for again with more.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        while True:
            rows = shape.rows if ids is None else min(shape.rows, len(ids))
            portion: dict[str, Any] = {"first": rows} if ids is None else select(ids[:rows])
            label = f"{operation.name}:{shape}" if ids is None else f"{operation.name}:{shape}:{rows}"
            try:
                data = await self.query(operation, variables | portion | shape.variables, meter, label=label)
            except CostExceededError:
                if not shape.shrink():
                    raise
                log.info("page_shrunk", source=self.source, operation=operation.name, shape=str(shape))
                continue
            if cut_short is None or cut_short(data) <= FEW_ITEMS or not shape.grow():
                return data, rows
            log.info("page_grown", source=self.source, operation=operation.name, shape=str(shape))

    def connection(self, operation: Operation, connection: Any) -> tuple[list[Any], str | None]:
        """The nodes of a page of a connection, and the cursor of the next one.

        Raises:
            SourceUnavailable: it is none.
        """
        if not isinstance(connection, dict) or not isinstance(connection.get("nodes"), list):
            raise self.unreadable(operation)
        following = next_cursor(connection)
        if following is None and has_more(connection):
            raise self.unreadable(operation)
        return connection["nodes"], following

    def existing(self, operation: Operation, data: dict[str, Any]) -> Iterator[Any]:
        """What was found of a list of ids: null stands for what does not exist any more.

        Raises:
            SourceUnavailable: there is no list.
        """
        nodes = data.get("nodes")
        if not isinstance(nodes, list):
            raise self.unreadable(operation)
        return (node for node in nodes if node)

    def unreadable(self, operation: Operation) -> SourceUnavailable:
        """The error of an answer that holds something else than the operation asked for."""
        return SourceUnavailable(f"{self.source} sent an answer to {operation.name} that can't be read.")

    def _warn_once(self, payload: dict[str, Any]) -> None:
        """Shopify ignores a search filter that it does not know, and says so only here."""
        extensions = payload.get("extensions")
        for search in (extensions.get("search") or []) if isinstance(extensions, dict) else []:
            for warning in (search.get("warnings") or []) if isinstance(search, dict) else []:
                said = f"{search.get('query')}: {warning.get('message') if isinstance(warning, dict) else warning}"
                if said not in self._warned:
                    self._warned.add(said)
                    log.warning("search_filter_ignored", source=self.source, warning=said)


def nodes_of(connection: Any) -> list[Any]:
    """The nodes of a page of a connection, none if it can't be read."""
    nodes = connection.get("nodes") if isinstance(connection, dict) else None
    return nodes if isinstance(nodes, list) else []


def has_more(connection: dict[str, Any]) -> bool:
    """Whether there is more behind this page of a connection."""
    info = connection.get("pageInfo")
    return isinstance(info, dict) and bool(info.get("hasNextPage"))


def next_cursor(connection: dict[str, Any]) -> str | None:
    """Where to go on behind this page of a connection; None: this was its last, or it does not say."""
    cursor = connection["pageInfo"].get("endCursor") if has_more(connection) else None
    return cursor if isinstance(cursor, str) else None


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(mend(body))
    except orjson.JSONDecodeError:
        return None
