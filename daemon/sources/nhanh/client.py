"""The client of Nhanh.vn's Open API v3.0.

Everything is `POST {base_url}/v3.0/{resource}/{action}?appId=…&businessId=…` with a JSON body and the raw access token
in the Authorization header. Source of all rules: the documentation on developers.nhanh.group.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from decimal import Decimal
from typing import Any, TypeVar, cast

import aiohttp
import msgspec
import structlog

from daemon.clock import boot_time
from daemon.errors import CredentialRefused, RateLimited, SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.sources.clock import SourceClock
from daemon.sources.decode import RowDecoder, UnfitRowError
from daemon.sources.health import SourceHealth
from daemon.sources.horizon import Horizon
from daemon.sources.http import BACKOFF, Backoff, HttpAnswer, post, retrying
from daemon.sources.limits import LimiterRegistry, WindowLimiter
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh import errors
from daemon.sources.nhanh.access import NhanhAccess, read_access
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.nhanh.envelope import Envelope, read_envelope
from daemon.sources.nhanh.lists import CUSTOMERS, Heads, NhanhList
from daemon.sources.nhanh.models import NhanhCombo, NhanhCustomer, NhanhDepot, NhanhDetail
from daemon.sources.page import BadRow, Page, SourceRow

log = structlog.get_logger()

T = TypeVar("T", bound=msgspec.Struct)

BASE_URL = "https://pos.open.nhanh.vn"
PAGE_SIZE = 100  # Nhanh documentation, "Paginator": at most 100 unless an endpoint says otherwise
MAX_COMBOS = 50  # Nhanh documentation, product/combo: as many ids, and as many rows a page
MAX_IDS = 100  # Nhanh documentation: `ids` holds at most 100
FRESH_TIME = 60.0  # seconds for which the time given by an answer is believed
MAX_REPEATS = 5  # of the same answer to the same `next`
MAX_EMPTY_PAGES = 1000  # in a row; a single one is normal where filters hide rows

_NO_MORE = (b"", b"null", b'""', b"[]", b"{}", b"false")  # in place of a `next`
_EMPTY = (b"[]", b"{}")  # in place of rows: PHP may write an empty array either way

_split_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode


class NhanhClient:
    """One app's access to one business. Rows that don't fit are delivered as such; calls are limited and repeated."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        app_id: int,
        business_id: int,
        credential: NhanhCredential,
        base_url: str = BASE_URL,
        limits: LimiterRegistry,
        backoff: Backoff = BACKOFF,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`limits` is the process's one registry; all clients of the app and business share the `credential`."""
        self.account = f"nhanh:{app_id}:{business_id}"
        self._session = session
        self._source = f"Nhanh.vn (app {app_id}, business {business_id})"
        self._base_url = f"{base_url.rstrip('/')}/v3.0"
        self._identity = f"appId={app_id}&businessId={business_id}"
        self.credential = credential
        self._limits = limits
        self._backoff = backoff
        self._wall_clock = wall_clock
        self._warned: set[tuple[str, str]] = set()
        self.clock = SourceClock(wall=wall_clock)
        self.health = SourceHealth()
        self.identity = f"business {business_id}"  # the app may be another one: the rows are those of the business
        self._depots = RowDecoder(NhanhDepot)
        self._details = RowDecoder(NhanhDetail)
        self._combos = RowDecoder(NhanhCombo, id_field="productParentId")

    @property
    def url(self) -> str:
        """What the addresses of all calls begin with."""
        return self._base_url

    @property
    def can_check_access(self) -> bool:
        """Whether `check_access_token` can be asked: it needs the app's secret key."""
        return self.credential.secret_key is not None

    def __repr__(self) -> str:
        return f"NhanhClient({self.account})"

    def rows(
        self,
        wanted: NhanhList[T],
        filters: Mapping[str, object],
        *,
        after: object | None,
        meter: CallMeter,
        page_size: int = PAGE_SIZE,
        unread: bool = False,
    ) -> AsyncGenerator[Page[T], None]:
        """All rows of a list that match, by ascending id, starting after `after` (None: from the start).

        `unread`: they may be left unread, for whoever stores them to read what differs.

        Raises:
            InvalidFilter: at once.
            SourceRefused, RateLimited, SourceUnavailable: while iterating, after the retries.
        """
        narrowed = wanted.narrowed(filters)
        heads = wanted.heads if unread else None
        return self._pages(wanted.action, narrowed, wanted.decoder, after, meter, page_size, wanted.sort, heads)

    async def horizon(self, *, meter: CallMeter) -> Horizon:
        """Which business this is, and what time it is there; costs a call unless one was made recently.

        Raises:
            RateLimited, SourceUnavailable: after the retries.
        """
        asked = self.clock.start()
        if self.clock.age() > FRESH_TIME:
            async with aclosing(self.rows(CUSTOMERS, {}, after=None, meter=meter, page_size=1)) as pages:
                with suppress(SourceRefused):  # a refusal gives the time, too
                    await anext(pages, None)
        return Horizon(self.identity, self.clock.at(asked))

    async def rows_by_ids(self, wanted: NhanhList[T], ids: Sequence[int], *, meter: CallMeter) -> Page[T]:
        """The rows of these ids that exist, in as many calls as it takes."""
        rows: list[SourceRow[T]] = []
        bad: list[BadRow] = []
        left, began = list(dict.fromkeys(ids)), boot_time()
        # What is missing is gone, or has no stock: that is believed only when it is said twice.
        for _time in range(2):
            for start in range(0, len(left), MAX_IDS):
                narrowed = {**wanted.unless_asked, "ids": left[start : start + MAX_IDS]}
                pages = self._pages(wanted.action, narrowed, wanted.decoder, None, meter, PAGE_SIZE, wanted.sort)
                async for page in pages:
                    rows += page.rows
                    bad += page.bad
            if any(row.source_id is None for row in bad):
                break  # one of those that are missing
            known = {str(cast("Any", row.value).id) for row in rows} | {row.source_id for row in bad}
            left = [number for number in left if str(number) not in known]
        return Page(rows, bad, None, asked=began)

    async def customers_by_mobile(self, mobile: str, *, meter: CallMeter) -> Page[NhanhCustomer]:
        """The customers whose number is written just so: the first page, for a number is that of one or a few.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        filters: dict[str, object] = {"mobile": mobile}
        pages = self._pages(CUSTOMERS.action, filters, CUSTOMERS.decoder, None, meter, PAGE_SIZE)
        async with aclosing(pages):
            return await anext(pages)

    async def product_detail(self, product_id: int, *, meter: CallMeter) -> NhanhDetail:
        """What only product/detail says about a product.

        Raises:
            SourceRefused: there is no such product, or the access token lacks the permission.
            RateLimited, SourceUnavailable: after the retries.
        """
        action = "product/detail"
        envelope, _sound = await self._call(action, {"filters": {"id": str(product_id)}}, meter)
        try:
            return self._details.checked(bytes(envelope.data))
        except UnfitRowError as error:
            log.warning("product_unreadable", source=self._source, product=product_id, reason=str(error))
            return NhanhDetail()

    async def combos(self, product_ids: Sequence[int], *, meter: CallMeter) -> dict[int, dict[int, Decimal]]:
        """What combos are made of, {combo: {product: how many}}; those that Nhanh.vn says nothing about are absent.

        Raises:
            SourceRefused: the access token lacks the permission.
            RateLimited, SourceUnavailable: after the retries.
        """
        found: dict[int, dict[int, Decimal]] = {}
        distinct = list(dict.fromkeys(product_ids))
        for start in range(0, len(distinct), MAX_COMBOS):
            wanted: dict[str, object] = {"productParentIds": distinct[start : start + MAX_COMBOS]}
            pages = self._pages("product/combo", wanted, self._combos, None, meter, MAX_COMBOS, "productParentId")
            async for page in pages:
                found |= {row.value.product_parent_id: row.value.components for row in page.rows}
        return {combo: components for combo, components in found.items() if components}

    async def check_access_token(self, *, meter: CallMeter | None = None) -> NhanhAccess:
        """What the access token may do, and until when.

        Raises:
            SourceRefused: the client has no secret key, or Nhanh refused the token or key.
        """
        token, secret_key = self.credential.token, self.credential.secret_key
        if not secret_key:
            raise SourceRefused(
                _("{source}: the check of the access token needs secret_key in the configuration.").format(
                    source=self._source
                )
            )
        action = "app/checkaccesstoken"
        envelope, _sound = await self._call(action, {"secretKey": secret_key}, meter or CallMeter())
        access = read_access(self._source, action, bytes(envelope.data))
        if token == self.credential.token:
            self.credential.expires_at = access.expires_at
        return access

    async def depots(self, *, meter: CallMeter | None = None) -> list[NhanhDepot]:
        """The depots of the business; those that can't be read are left out with a warning in the log."""
        # An empty object would become an empty array in the server's PHP, which also means no filter.
        pages = self._pages(
            "business/depot", {"ids": []}, self._depots, None, meter or CallMeter(), PAGE_SIZE, sort=None
        )
        found: list[NhanhDepot] = []
        async for page in pages:
            found += [row.value for row in page.rows]
            for row in page.bad:
                log.warning("depot_unreadable", source=self._source, depot=row.source_id, reason=row.reason)
        return found

    async def _pages(
        self,
        action: str,
        filters: dict[str, object],
        decoder: RowDecoder[T],
        after: object | None,
        meter: CallMeter,
        page_size: int,
        sort: str | None = "id",
        heads: Heads | None = None,
    ) -> AsyncGenerator[Page[T], None]:
        """`sort`: None where the list knows no order, and comes in pages of its own size. `heads`: see `NhanhList`."""
        guard = _EndlessnessGuard(self._source, action)
        position = _position(after)
        while True:
            paginator: dict[str, object] = {"size": page_size, "sort": {sort: "asc"}} if sort is not None else {}
            if position is not None:
                paginator["next"] = msgspec.Raw(position)
            payload = {"filters": filters} | ({"paginator": paginator} if paginator else {})
            envelope, sound = await self._call(action, payload, meter, has_cursor=position is not None, is_list=True)
            rows = self._split(action, envelope)
            following = self._next(action, envelope.paginator)
            guard.check(position, following, bytes(envelope.data))
            # As text: an object would come back from a database with different spacing and key order.
            then = following.decode() if following is not None else None
            unread = heads(bytes(envelope.data), rows) if heads is not None and sound else None
            if unread is not None:
                yield Page([], [], then, unread=unread, read=decoder.sound_rows)
            else:
                yield Page(*decoder.rows(rows), then)
            if following is None:
                return
            position = following

    async def _call(
        self,
        action: str,
        payload: Mapping[str, object],
        meter: CallMeter,
        *,
        has_cursor: bool = False,
        is_list: bool = False,
    ) -> tuple[Envelope, bool]:
        """The successful answer, and whether its rows are sound, as of `split_list`. `is_list`: it must hold a list.

        A token that was renewed while a call was under way is no reason to fail: the call is made again with the new
        one, since a refused call has changed nothing.
        """
        while True:
            token = self.credential.token
            try:
                return await self._call_with(token, action, payload, meter, has_cursor=has_cursor, is_list=is_list)
            except CredentialRefused as error:
                if token == self.credential.token:
                    self.credential.fails(error)
                    raise

    async def _call_with(
        self,
        token: str,
        action: str,
        payload: Mapping[str, object],
        meter: CallMeter,
        *,
        has_cursor: bool,
        is_list: bool,
    ) -> tuple[Envelope, bool]:
        address = f"{self._base_url}/{action}"
        limiter = self._limits.window(self.account, address)
        url = f"{address}?{self._identity}"
        body = msgspec.json.encode(payload)
        headers = {"Authorization": token}

        async def attempt() -> tuple[Envelope, bool]:
            with meter.waiting_for_limit() as has_place:
                async with limiter.slot(meter):
                    has_place()
                    sent = self.clock.start()
                    answer = await post(
                        self._session, url, body=body, headers=headers, source=self._source, meter=meter
                    )
                    self.clock.observe(answer.date, sent)
                    # Judged before the place is given back, so that nobody else calls while the account is locked.
                    envelope, sound = self._judged(answer, limiter, has_cursor=has_cursor)
                    if is_list and not _is_list(bytes(envelope.data)):
                        raise SourceUnavailable(
                            _("{source} answered {action} without a list of rows.").format(
                                source=self._source, action=action
                            )
                        )
                    return envelope, sound

        envelope, sound = await retrying(
            attempt, meter=meter, source=self._source, health=self.health, backoff=self._backoff
        )
        if token == self.credential.token:
            self.credential.works()
        self._warn_once(action, envelope)
        return envelope, sound

    def _judged(self, answer: HttpAnswer, limiter: WindowLimiter, *, has_cursor: bool) -> tuple[Envelope, bool]:
        envelope, sound = read_envelope(answer.body)
        if envelope.succeeded and answer.status < 400:
            if not bytes(envelope.data):  # an empty list is sent as one
                raise SourceUnavailable(_("{source} sent an answer without data.").format(source=self._source))
            return envelope, sound
        error = errors.failure(
            self._source, answer, envelope, self.credential.secrets, self._wall_clock(), has_cursor=has_cursor
        )
        if isinstance(error, RateLimited):
            limiter.lock(error.retry_after)
        raise error

    def _split(self, action: str, envelope: Envelope) -> list[msgspec.Raw]:
        data = bytes(envelope.data)
        if data in _EMPTY:
            return []
        try:
            return _split_rows(data)
        except msgspec.DecodeError as error:
            raise SourceUnavailable(
                _("{source} answered {action} without a list of rows.").format(source=self._source, action=action)
            ) from error

    def _next(self, action: str, paginator: msgspec.Raw) -> bytes | None:
        """Where the list continues; None: this was its last page.

        Raises:
            SourceUnavailable: that can't be read, and what follows must not be taken for gone.
        """
        sent = bytes(paginator)
        if sent in _NO_MORE:  # PHP sends an empty object as []
            return None
        try:
            following = bytes(msgspec.json.decode(sent, type=_Paginator).next)
        except msgspec.DecodeError as error:
            raise SourceUnavailable(
                _("{source} sent an unreadable position for the next page of {action}.").format(
                    source=self._source, action=action
                )
            ) from error
        return None if following in _NO_MORE else following

    def _warn_once(self, action: str, envelope: Envelope) -> None:
        if not bytes(envelope.warning):
            return
        said = errors.plain_messages(envelope, self.credential.secrets)
        if said and (action, said) not in self._warned:
            self._warned.add((action, said))
            log.warning("source_warned", source=self._source, action=action, warning=said)


class _Paginator(msgspec.Struct):
    next: msgspec.Raw = msgspec.Raw()


class _EndlessnessGuard:
    """Notices a list that would never end: the same `next` with the same rows again, or nothing but empty pages."""

    def __init__(self, source: str, action: str) -> None:
        self._list = _("the list {action} of {source}").format(action=action, source=source)
        self._repeats = self._empty = 0
        self._last_data: bytes | None = None

    def check(self, position: bytes | None, following: bytes | None, data: bytes) -> None:
        """Raise `SourceUnavailable` if this answer is one too many."""
        empty = data in _EMPTY
        stuck = following is not None and following == position and (empty or data == self._last_data)
        self._repeats = self._repeats + 1 if stuck else 0
        self._empty = self._empty + 1 if empty else 0
        self._last_data = data
        if following is None:
            return
        if self._repeats >= MAX_REPEATS:
            raise SourceUnavailable(
                _("Reading {list} stopped: it keeps naming the same next page.").format(list=self._list)
            )
        if self._empty >= MAX_EMPTY_PAGES:
            raise SourceUnavailable(
                _("Reading {list} stopped: {n} empty pages in a row.").format(list=self._list, n=MAX_EMPTY_PAGES)
            )


def _is_list(data: bytes) -> bool:
    """Whether this is a list of rows, even an empty one.

    Nhanh documentation, "Paginator": a list ends where there is no `next`, and an empty page may have one. Nothing is
    said about an answer with null in place of its rows: it may stand for rows that could not be read.
    """
    return data.startswith(b"[") or data in _EMPTY


def _position(after: object | None) -> bytes | None:
    """`Page.next` as JSON text again. Anything but a string is taken for the JSON value that Nhanh sent."""
    match after:
        case None:
            return None
        case str():
            return after.encode()
        case _:
            return msgspec.json.encode(after)
