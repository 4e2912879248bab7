"""How a call reaches Shopify: within its limits, repeated where that can help, shrunk where it costs too much."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
import orjson
import structlog

from daemon.errors import AskedTooMuch, RateLimited, SourceError, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.sources.clock import SourceClock
from daemon.sources.decode import read_json
from daemon.sources.health import SourceHealth
from daemon.sources.http import BACKOFF, Backoff, HttpAnswer, post, retrying
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import BeforeSend, CallMeter, at_once
from daemon.sources.shopify import errors
from daemon.sources.shopify.credential import ShopifyCredential
from daemon.sources.shopify.errors import PageTooLargeError
from daemon.sources.shopify.operations import GraphqlOperation
from daemon.sources.shopify.partial import Partial, Unreadable, mark_rows
from daemon.sources.shopify.shape import PageShape
from daemon.sources.shopify.version import API_VERSION, ApiVersion

log = structlog.get_logger()

T = TypeVar("T")

SMALL_COST = 10.0  # points; what a mutation costs, and a query without a connection at most
MAX_COST = 1000.0  # points; what one query may cost
TRIES_AT_SIZE = 2  # of a page on which Shopify fails, before a smaller one is asked for
RETRIES_KEPT = 50  # of a job's budget: unreadable rows must not use up what outages need
UNAUTHORISED = 401  # HTTP status for a token that is not, or no longer, accepted

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
        self.session = session
        self.source = f"Shopify ({name})"
        self.url = f"{(base_url or f'https://{name}.myshopify.com').rstrip('/')}/admin/api/{API_VERSION}/graphql.json"
        self._bucket = limits.bucket(self.account)
        self.clock = SourceClock()
        self.health = SourceHealth()
        self._backoff = backoff
        self.version = ApiVersion()
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.account})"

    async def call(
        self,
        operation: GraphqlOperation,
        variables: dict[str, Any],
        meter: CallMeter,
        *,
        read: Callable[[dict[str, Any]], T],
        label: str | None = None,
        estimate: float = MAX_COST,
        before_send: BeforeSend = at_once,
        not_done: Callable[[], None] = lambda: None,
        takes_partial: bool = False,
        may_shrink: bool = False,
    ) -> T:
        """Send an operation until it succeeds, and return what `read` makes of the data of the answer.

        What `read` raises counts as a failure of the call, so an answer that it finds unreadable is asked for again.
        Every attempt sends the very same bytes. `label` names the operation along with the size of its page, and
        `estimate` is its cost in points until that is learnt. `before_send` is awaited right before each attempt, which
        has its points and its token by then; `not_done` is called after one that Shopify did not even start.
        `takes_partial`: `read` can handle rows that are `Unreadable`. `may_shrink`: the caller can ask for less.

        Raises:
            PageTooLargeError: `may_shrink`, and Shopify fails on that much.
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
            And whatever `before_send` raises, at once.
        """
        body = orjson.dumps({"query": operation.document, "operationName": operation.name, "variables": variables})
        has_cursor = variables.get("after") is not None
        failed = partly_failed = 0

        def judged(answer: HttpAnswer, payload: Any) -> SourceError | None:
            nonlocal partly_failed
            error = errors.failure(self.source, answer, payload, self.credential.secrets, has_cursor=has_cursor)
            if error is None or not takes_partial or (partial := self._partial(answer, payload)) is None:
                return error
            partly_failed += 1
            again = partial.may_pass and partly_failed == 1 and meter.retry_budget > RETRIES_KEPT
            return SourceUnavailable(str(error)) if again else None

        async def attempt() -> T:
            nonlocal failed
            try:
                return await once()
            except AskedTooMuch as error:
                failed += 1
                if may_shrink and failed == TRIES_AT_SIZE:
                    raise PageTooLargeError(str(error), for_good=False) from error
                raise

        async def once() -> T:
            with meter.waiting_for_limit() as has_place:
                reserve = self._bucket.reserve(label or operation.name, estimate, rank=meter.rank)
                async with reserve as reservation:
                    has_place()
                    answer = await self._send(body, meter, before_send)
                    payload = read_json(answer.body)
                    status = errors.throttle_status(payload)
                    if status is not None:
                        reservation.report(status)
                    error = judged(answer, payload)
                    if isinstance(error, RateLimited) and status is None:
                        self._bucket.block(error.retry_after)
                    if isinstance(error, RateLimited):
                        not_done()
                    if error is not None:
                        raise error
                    self._warn_once(payload)
                    return read(payload["data"])

        return await retrying(attempt, meter=meter, source=self.source, health=self.health, backoff=self._backoff)

    def _partial(self, answer: HttpAnswer, payload: Any) -> Partial | None:
        """The usable part of an answer with errors; None if there is none."""
        if answer.status >= 400 or not isinstance(payload, dict):
            return None
        return mark_rows(payload, self.credential.secrets)

    async def _send(self, body: bytes, meter: CallMeter, before_send: BeforeSend) -> HttpAnswer:
        """The answer to a call, after one more try if its token was refused: nothing had been done then.

        The token is taken at the last moment, since the wait for points may outlast one. Holding the points while a
        token is asked for delays nobody: whoever could use them needs the same token.

        Raises:
            CredentialRefused: a second token was refused, too, or none can be obtained.
        """
        token = await self.credential.token(meter)
        answer = await self._post(body, token, meter, before_send)
        if answer.status == UNAUTHORISED and self.credential.reject(token):
            token = await self.credential.token(meter)
            answer = await self._post(body, token, meter, before_send)
        if answer.status == UNAUTHORISED:
            refusal = errors.token_refused(self.source, self.credential.kind)
            self.credential.fails(refusal)
            raise refusal
        if answer.status < UNAUTHORISED:
            self.credential.accept()
            if self.version.note(answer.headers):
                for said in self.version.problems(datetime.now(UTC)):
                    log.warning("api_version_noticed", source=self.source, said=said)
        return answer

    async def _post(self, body: bytes, token: str, meter: CallMeter, before_send: BeforeSend) -> HttpAnswer:
        headers = {"X-Shopify-Access-Token": token}
        await before_send()
        sent = self.clock.start()
        answer = await post(self.session, self.url, body=body, headers=headers, source=self.source, meter=meter)
        self.clock.observe(answer.date, sent)
        return answer

    @property
    def restore_rate(self) -> float:
        """Points a second, as far as is known."""
        return self._bucket.restore_rate

    async def query(
        self,
        operation: GraphqlOperation,
        variables: dict[str, Any],
        meter: CallMeter,
        *,
        read: Callable[[dict[str, Any]], T],
        estimate: float = MAX_COST,
    ) -> T:
        """What `read` makes of the data of a query, which is sent again where the answer can't be read.

        `read` may raise what a wrong shape raises: AttributeError, KeyError, TypeError, ValueError.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        return await self.call(operation, variables, meter, read=self._reading(operation, read), estimate=estimate)

    async def shaped(
        self,
        operation: GraphqlOperation,
        variables: dict[str, Any],
        shape: PageShape,
        meter: CallMeter,
        *,
        read: Callable[[dict[str, Any]], T],
        ids: Sequence[str] | None = None,
        select: Callable[[Sequence[str]], dict[str, Any]] = lambda ids: {"ids": ids},
        cut_short: Callable[[dict[str, Any]], int] | None = None,
        row_cost: float | None = None,
        before_send: BeforeSend = at_once,
    ) -> tuple[T, int]:
        """What `read` makes of one page of this shape, and its number of rows; of a smaller one if Shopify wants it.

        `ids`: ask for the first of these, as many as the shape has rows; `select` makes the variables that name them.
        `cut_short` counts the inventory items in the data that have more stock levels than were asked for; if there are
        many, the page is asked for again with more. `row_cost` is an estimate, in points. Rows may be `Unreadable`.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        lacking = 0

        def read_page(data: dict[str, Any]) -> T:
            nonlocal lacking
            lacking = cut_short(data) if cut_short is not None else 0
            return self._reading(operation, read)(data)

        while True:
            rows = shape.rows if ids is None else min(shape.rows, len(ids))
            asked = str(shape)
            portion: dict[str, Any] = {"first": rows} if ids is None else select(ids[:rows])
            label = f"{operation.name}:{asked}" if ids is None else f"{operation.name}:{asked}:{rows}"
            try:
                page = await self.call(
                    operation,
                    variables | portion | shape.variables,
                    meter,
                    read=read_page,
                    label=label,
                    estimate=MAX_COST if row_cost is None else min(MAX_COST, row_cost * rows),
                    takes_partial=True,
                    may_shrink=shape.can_shrink(rows),
                    before_send=before_send,
                )
            except PageTooLargeError as error:
                if str(shape) != asked:  # another call has found out the same meanwhile: ask for what it asks for
                    continue
                if not shape.shrink(rows, for_good=error.for_good):
                    raise
                log.info("page_shrunk", source=self.source, operation=operation.name, shape=str(shape))
                continue
            shape.went_well()
            if lacking <= FEW_ITEMS or not shape.grow():
                return page, rows
            log.info("page_grown", source=self.source, operation=operation.name, shape=str(shape))

    async def nodes(
        self,
        operation: GraphqlOperation,
        ids: Sequence[str],
        shape: PageShape,
        meter: CallMeter,
        *,
        variables: dict[str, Any] | None = None,
        cut_short: Callable[[dict[str, Any]], int] | None = None,
        row_cost: float | None = None,
        before_send: BeforeSend = at_once,
    ) -> list[Any]:
        """What there is of these ids, in as many calls as it takes; what no longer exists is left out.

        What is missing is usually deleted, so it is believed only when it is said twice. A row may be
        `Unreadable`; then it says which id it is of.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        found, absent = await self._nodes(operation, ids, shape, meter, variables, cut_short, row_cost, before_send)
        if absent:
            # Not through `before_send`, which may note when a question was sent: the first one counts.
            back, _cost = await self._nodes(operation, absent, shape, meter, variables, cut_short, row_cost, at_once)
            found += back
        return found

    async def _nodes(
        self,
        operation: GraphqlOperation,
        ids: Sequence[str],
        shape: PageShape,
        meter: CallMeter,
        variables: dict[str, Any] | None,
        cut_short: Callable[[dict[str, Any]], int] | None,
        row_cost: float | None,
        before_send: BeforeSend,
    ) -> tuple[list[Any], list[str]]:
        found: list[Any] = []
        absent: list[str] = []
        left = ids
        while left:
            try:
                nodes, asked = await self.shaped(
                    operation,
                    variables or {},
                    shape,
                    meter,
                    read=lambda data: data["nodes"],
                    ids=left,
                    cut_short=cut_short,
                    row_cost=row_cost,
                    before_send=before_send,
                )
            except errors.AnswerFailed as error:  # on a single one: a page can't be smaller
                nodes, asked = [Unreadable(str(error).rstrip("."), None)], 1
            if not isinstance(nodes, list) or len(nodes) < asked:
                raise self.unreadable(operation)
            for gid, node in zip(left, nodes, strict=False):
                if node is None:
                    absent.append(gid)
                else:
                    found.append(replace(node, gid=gid) if isinstance(node, Unreadable) else node)
            left = left[asked:]
        return found, absent

    def connection(self, operation: GraphqlOperation, connection: Any) -> tuple[list[Any], str | None]:
        """The nodes of a page of a connection, and the cursor of the next one; None: this was the last.

        Raises:
            SourceUnavailable: it is not a page, or does not say whether there is more.
        """
        try:
            return whole_page(connection)
        except ValueError:
            raise self.unreadable(operation) from None

    def _reading(
        self, operation: GraphqlOperation, read: Callable[[dict[str, Any]], T]
    ) -> Callable[[dict[str, Any]], T]:
        """`read`, with a failure of the call for what it finds unreadable."""

        def checked(data: dict[str, Any]) -> T:
            try:
                return read(data)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise self.unreadable(operation) from error

        return checked

    def unreadable(self, operation: GraphqlOperation) -> SourceUnavailable:
        """The error of an answer that holds something other than the operation asked for."""
        return SourceUnavailable(
            _("{source} sent an answer to {name} that can't be read.").format(source=self.source, name=operation.name)
        )

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
    """Whether there is more after this page of a connection, as far as it says so."""
    info = connection.get("pageInfo")
    return isinstance(info, dict) and bool(info.get("hasNextPage"))


def whole_page(connection: Any) -> tuple[list[Any], str | None]:
    """The nodes of a page of a connection, and the cursor of the next one; None: this was the last.

    Raises:
        ValueError: it is not a page, or does not say whether there is more, or where: it may be half of the list.
    """
    if not isinstance(connection, dict) or not isinstance(connection.get("nodes"), list):
        raise ValueError("this is not a page of a list")
    info = connection.get("pageInfo")
    if not isinstance(info, dict) or not isinstance(info.get("hasNextPage"), bool):
        raise ValueError("the page does not say whether there is more")
    if not info["hasNextPage"]:
        return connection["nodes"], None
    if not isinstance(info.get("endCursor"), str):
        raise ValueError("the page is incomplete, and does not say where the rest is")
    return connection["nodes"], info["endCursor"]
