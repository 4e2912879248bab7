"""One HTTP session for the process, one way to send a call, and one way to repeat it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from types import MappingProxyType
from typing import TypeVar

import aiohttp
import orjson
import structlog
from yarl import URL

from daemon.errors import AskedTooMuch, RateLimited, SourceRefused, SourceUnavailable
from daemon.i18n import as_stored
from daemon.i18n import gettext as _
from daemon.sources import failures
from daemon.sources.health import SourceHealth
from daemon.sources.meter import CallMeter
from daemon.sources.proxy import Proxy, proxy_for

log = structlog.get_logger()

T = TypeVar("T")

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=15, sock_connect=10, sock_read=30)
CONNECTIONS = 64
CONNECTIONS_PER_HOST = 16
MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_SAID = 300  # characters


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a call is repeated after failures, and how long it waits in between: doubling, with jitter."""

    attempts: int = 6
    initial: float = 0.5  # seconds
    maximum: float = 30.0  # seconds
    rate_limited_attempts: int = 10  # in a row; the waiting itself is the limiter's

    def wait(self, retry: int) -> float:
        """Seconds before the `retry`-th repetition (from 1): half of it fixed, so that the server gets some rest."""
        ceiling: float = min(self.maximum, self.initial * 2 ** (retry - 1))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the load, guards nothing


BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: the status, and the whole body, decompressed."""

    status: int
    body: bytes
    retry_after: float | None  # seconds, from Retry-After
    date: float | None  # Unix seconds by the server's clock, whole ones
    headers: Mapping[str, str] = field(default_factory=dict)  # of any case


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """The process's one session: explicit time-outs, a bounded number of connections, no cookies."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, limit_per_host=CONNECTIONS_PER_HOST, ttl_dns_cache=300)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=TIMEOUT,
        headers={"User-Agent": f"dongbo/{version('dongbo')}", "Accept": "application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
        json_serialize=lambda value: orjson.dumps(value).decode(),
    ) as session:
        yield session


async def post(
    session: aiohttp.ClientSession,
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    source: str,
    meter: CallMeter,
    timeout: aiohttp.ClientTimeout | None = None,
) -> HttpAnswer:
    """POST a body once, JSON unless `headers` say otherwise, and read the whole answer, whatever its status.

    `source` names the other end in errors, such as `Nhanh.vn (app 1, business 2)`; `timeout` is the session's, unless
    one is given.

    Raises:
        SourceUnavailable: no answer, or only a part of it, within the time-outs.
        SourceRefused: the address is invalid, or redirects elsewhere; or a proxy does not let the call through.
    """
    proxy = proxy_for(url)
    meter.api_calls += 1
    with _failures_told(url, source, proxy):
        # A redirect would carry the token to an address that nobody configured.
        async with session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers, **_beside_the_call(url, proxy)},
            allow_redirects=False,
            timeout=timeout or session.timeout,
            proxy=proxy.url if proxy is not None else None,
            proxy_headers=proxy.headers if proxy is not None else None,
        ) as response:
            content = await _read(response, source)
            meter.bytes_received += len(content)
            answer = HttpAnswer(response.status, content, _retry_after(response), _date(response), response.headers)
    if 300 <= answer.status < 400:
        raise SourceRefused(
            _("{source} answered with a redirect (HTTP {status}); correct the address in the configuration.").format(
                source=source, status=answer.status
            )
        )
    return answer


@asynccontextmanager
async def downloading(
    session: aiohttp.ClientSession,
    url: str,
    *,
    source: str,
    meter: CallMeter,
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout: aiohttp.ClientTimeout | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """GET a file once, without any credential, and without following where it leads: read `content` of what this
    yields, whatever its `status`, and count the bytes.

    `url` is an address as a source gave it, which may hold a signature: it is requested as it is, not re-encoded in any
    way, and errors name `source` alone. `timeout` is the session's, unless one is given.

    Raises:
        SourceUnavailable, SourceRefused: as `post`, also while it is read.
    """
    proxy = proxy_for(url)
    meter.api_calls += 1
    with _failures_told(source, source, proxy):
        async with session.get(
            URL(url, encoded=True),
            headers={**headers, **_beside_the_call(url, proxy)},
            allow_redirects=False,
            timeout=timeout or session.timeout,
            proxy=proxy.url if proxy is not None else None,
            proxy_headers=proxy.headers if proxy is not None else None,
        ) as response:
            yield response


async def retrying(
    attempt: Callable[[], Awaitable[T]],
    *,
    meter: CallMeter,
    source: str,
    health: SourceHealth,
    backoff: Backoff = BACKOFF,
) -> T:
    """Make a call, and repeat it after failures that may resolve themselves.

    A refusal is raised at once. After a rate limit the call is repeated without a wait of its own: the limiter holds it
    back for as long as the server asked. Failures draw on the meter's budget for the whole job, rate limits don't.
    What comes of it is noted in `health`.

    Raises:
        SourceUnavailable, RateLimited: the last failure, when attempts or budget are used up.
        SourceRefused: as raised by `attempt`.
    """
    failures = rate_limits = 0
    while True:
        try:
            with as_stored():  # why it fails is kept in `health` and with the credential, for everybody
                answer = await attempt()
            _note_answer(health, source)
            return answer
        except SourceRefused:
            _note_answer(health, source)
            raise
        except RateLimited as error:
            _note_answer(health, source)
            rate_limits += 1
            meter.rate_limited += 1
            if rate_limits >= backoff.rate_limited_attempts:
                raise
            log.warning("call_rate_limited", source=source, retry=rate_limits, reason=str(error))
        except SourceUnavailable as error:
            failures += 1
            health.misses(str(error))
            if failures >= backoff.attempts:
                health.is_lost(str(error))
                raise
            if meter.retry_budget <= 0:
                health.is_lost(str(error))
                raise SourceUnavailable(_("{error} The job has used up its retries.").format(error=error)) from error
            meter.retry_budget -= 1
            wait = backoff.wait(failures)
            health.failures.happened(str(error), source=source, retry=failures, wait_seconds=round(wait, 3))
            await asyncio.sleep(wait)
            meter.retry_wait_seconds += wait
        meter.retries += 1


def _note_answer(health: SourceHealth, source: str) -> None:
    health.answers()
    health.failures.passed(source=source)


@contextmanager
def _failures_told(url: str, source: str, proxy: Proxy | None) -> Iterator[None]:
    """Turn failures on the way to a source into our own errors."""
    way = _(" through the proxy {proxy}").format(proxy=proxy) if proxy is not None else ""
    try:
        yield
    except aiohttp.InvalidURL as error:
        raise SourceRefused(
            _("{source}: {url!r} is not a valid address; fix base_url in the configuration.").format(
                source=source, url=url
            )
        ) from error
    except TimeoutError as error:
        raise AskedTooMuch(
            _("{source} did not answer{way} within the time-out; it will be tried again.").format(
                source=source, way=way
            )
        ) from error
    except aiohttp.ClientHttpProxyError as error:
        raise _refused_by_proxy(source, proxy, error.status) from error
    except (aiohttp.ClientError, OSError) as error:
        raise SourceUnavailable(
            _("{source} can't be reached{way}: {error}.").format(source=source, way=way, error=_plain(error))
        ) from error


def _beside_the_call(url: str, proxy: Proxy | None) -> Mapping[str, str]:
    """What the call itself must carry for a proxy: without TLS there is no CONNECT before it to carry that."""
    return proxy.headers if proxy is not None and url.startswith("http://") else {}


def _refused_by_proxy(source: str, proxy: Proxy | None, status: int) -> SourceUnavailable | SourceRefused:
    """What it means that a proxy refused to open the tunnel (HTTP status of its CONNECT)."""
    said = _("The proxy {proxy} does not let calls to {source} through (HTTP {status})").format(
        proxy=proxy, source=source, status=status
    )
    if status == 407:
        return SourceRefused(
            _("{said}: it requires a user name and password; put them into the variable.").format(said=said)
        )
    if failures.may_pass(status):
        return SourceUnavailable(_("{said}; it will be tried again.").format(said=said))
    return SourceRefused(_("{said}: allow the address in the proxy, or add it to NO_PROXY.").format(said=said))


async def _read(response: aiohttp.ClientResponse, source: str) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise SourceUnavailable(
                _("{source} sent an answer of more than {most} MiB.").format(
                    source=source, most=MAX_ANSWER_BYTES // 2**20
                )
            )
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """The seconds that an answer asks to wait, as a number or a time (RFC 9110, 10.2.3); None: it asks for none."""
    text = response.headers.get("Retry-After", "")
    try:
        return failures.bounded_rest(float(text))
    except ValueError:
        pass
    moment, now = _timestamp(text), _date(response)
    return failures.bounded_rest(moment - now) if moment is not None and now is not None else None


def _date(response: aiohttp.ClientResponse) -> float | None:
    return _timestamp(response.headers.get("Date", ""))


def _timestamp(text: str) -> float | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _plain(error: Exception) -> str:
    # Its text contains the address, which may hold a signature.
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return " ".join(said.split())[:MAX_SAID].rstrip(".") or type(error).__name__
