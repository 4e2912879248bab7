"""Which HTTP statuses and errors are worth another try, at both sources and the grant; and the proxy in between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from daemon.credentials import report
from daemon.errors import CredentialRefused, RateLimited, SourceError, SourceRefused, SourceUnavailable
from daemon.ids import StoreName
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.failures import LONGEST_REST, may_pass
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import ClientCredentials, PermanentToken
from daemon.tasks import Store

QUICK = Backoff(attempts=4, initial=0.01, maximum=0.02, rate_limited_attempts=3)
GRAPHQL, GRANT, DEPOTS = "graphql.json", "/admin/oauth/access_token", "business/depot"
PASSING = [408, 425, 429, 430, 500, 502, 503, 504, *range(520, 531), 598]
FINAL = [400, 402, 403, 404, 405, 407, 410, 413, 422, 423, 451]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox(SandboxSettings(products=2, customers=2, limits=False)) as running:
        yield running


def shopify_of(session: aiohttp.ClientSession, sandbox: Sandbox, base_url: str | None = None) -> ShopifyClient:
    credential = PermanentToken(sandbox.shopify.token)
    url = base_url or sandbox.shopify_url
    return ShopifyClient(
        session, shop="x", credential=credential, base_url=url, limits=LimiterRegistry(), backoff=QUICK
    )


def nhanh_of(session: aiohttp.ClientSession, sandbox: Sandbox) -> NhanhClient:
    return NhanhClient(
        session,
        app_id=sandbox.nhanh.app_id,
        business_id=sandbox.nhanh.business_id,
        credential=NhanhCredential(sandbox.nhanh.token, sandbox.nhanh.secret_key),
        base_url=sandbox.nhanh_url,
        limits=LimiterRegistry(None),
        backoff=QUICK,
    )


def grant_of(session: aiohttp.ClientSession, sandbox: Sandbox) -> ClientCredentials:
    app = sandbox.shopify.app
    return ClientCredentials(
        session,
        base_url=sandbox.shopify_url,
        source="Shopify (x)",
        client_id=app.client_id,
        client_secret=app.client_secret,
    )


@pytest.mark.parametrize("status", PASSING)
async def test_a_status_that_may_pass_is_tried_again(
    session: aiohttp.ClientSession, sandbox: Sandbox, status: int
) -> None:
    """At both sources, once is no reason to fail; a grant says that another try is worth it."""
    for path in (GRAPHQL, DEPOTS):
        sandbox.faults.next_status(status, path=path, Retry_After="0.01")
    assert (await shopify_of(session, sandbox).shop()).name
    assert await nhanh_of(session, sandbox).depots()
    sandbox.faults.next_status(status, path=GRANT, Retry_After="0.01")
    with pytest.raises((SourceUnavailable, RateLimited)):
        await grant_of(session, sandbox).token(CallMeter())
    assert may_pass(status)


@pytest.mark.parametrize("status", FINAL)
async def test_a_final_status_is_told_at_once(session: aiohttp.ClientSession, sandbox: Sandbox, status: int) -> None:
    """What a person must see to is tried once, with the status in the sentence."""
    says = rf"\(HTTP {status}\)"
    sandbox.faults.next_status(status, path=GRAPHQL)
    with pytest.raises(SourceRefused, match=says):
        await shopify_of(session, sandbox).shop()
    sandbox.faults.next_status(status, path=DEPOTS)
    with pytest.raises(SourceRefused, match=says):
        await nhanh_of(session, sandbox).depots()
    sandbox.faults.next_status(status, path=GRANT)
    with pytest.raises(CredentialRefused, match=says):
        await grant_of(session, sandbox).token(CallMeter())
    assert not may_pass(status)


@pytest.mark.parametrize(
    ("status", "says"),
    [(402, "frozen"), (423, "locked"), (403, "installed"), (404, "not know this shop"), (407, "proxy")],
)
async def test_final_statuses_have_their_own_sentences(
    session: aiohttp.ClientSession, sandbox: Sandbox, status: int, says: str
) -> None:
    """Each says what it means and who must act."""
    sandbox.faults.next_status(status, path=GRAPHQL)
    with pytest.raises(SourceRefused, match=says):
        await shopify_of(session, sandbox).shop()


async def test_too_many_at_once_is_rested_for(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """HTTP 430 without a time is waited for longer than 429: it is Shopify's last word before a ban."""
    sandbox.faults.next_status(430, path=GRANT)
    with pytest.raises(RateLimited) as caught:
        await grant_of(session, sandbox).token(CallMeter())
    assert caught.value.retry_after == 5


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("86400", LONGEST_REST),
        ("1e308", LONGEST_REST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_REST),
        *((nonsense, 5) for nonsense in ("inf", "nan", "-1", "soon", "", "Mon, 01 Jan 0001 00:00:00 GMT")),
    ],
)
async def test_nobody_is_let_keep_an_account_back_for_long(
    session: aiohttp.ClientSession, sandbox: Sandbox, asked: str, seconds: float
) -> None:
    """A rest is bounded, whatever a proxy asks for: then it is asked again. Nonsense is no wish at all."""
    sandbox.faults.next_status(430, path=GRANT, Retry_After=asked)
    with pytest.raises(RateLimited) as caught:
        await grant_of(session, sandbox).token(CallMeter())
    assert caught.value.retry_after == seconds


# ── Proxies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Forwarder:
    """A proxy for plain HTTP that counts what comes, and answers with a status instead where it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.refuses: int | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append((str(request.url), request.headers.get("Proxy-Authorization")))
        if self.refuses is not None:
            return web.Response(status=self.refuses)
        headers = {name: value for name, value in request.headers.items() if not name.startswith("Proxy")}
        async with (
            aiohttp.ClientSession() as onward,
            onward.request(request.method, request.url, data=await request.read(), headers=headers) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())


@asynccontextmanager
async def forwarding() -> AsyncIterator[tuple[Forwarder, str]]:
    forwarder = Forwarder()
    runner = web.ServerRunner(web.Server(forwarder.handle))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield forwarder, f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_proxy_of_the_environment_is_used(
    session: aiohttp.ClientSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY and ALL_PROXY are honoured with their passwords, and NO_PROXY names what goes directly."""
    shopify = shopify_of(session, sandbox)
    async with forwarding() as (forwarder, address):
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@{address}")
        await shopify.shop()
        assert [(url.startswith(sandbox.shopify_url), auth is not None) for url, auth in forwarder.seen] == [
            (True, True)
        ]
        monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
        await shopify.shop()
        assert len(forwarder.seen) == 1
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.delenv("HTTP_PROXY")
        monkeypatch.setenv("ALL_PROXY", address)
        await nhanh_of(session, sandbox).depots()
        assert len(forwarder.seen) == 2


async def test_a_proxy_that_fails_is_named_without_its_password(
    session: aiohttp.ClientSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice is about the proxy then, and not about the internet connection."""
    over_https = shopify_of(session, sandbox, "https://x.myshopify.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hidden-word@127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"through the proxy http://127\.0\.0\.1:9 \(HTTPS_PROXY\)") as caught:
        await over_https.shop()
    assert "hidden-word" not in str(caught.value)
    async with forwarding() as (forwarder, address):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        for status, kind, says in (
            (407, SourceRefused, "user name and password"),
            (403, SourceRefused, "NO_PROXY"),
            (502, SourceUnavailable, "tried again"),
        ):
            forwarder.refuses = status
            with pytest.raises(kind, match=rf"The proxy http://{address} \(HTTPS_PROXY\) .*{says}"):
                await over_https.shop()


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "http://user:pa/ss@proxy:3128", "http://"])
async def test_a_proxy_that_can_not_be_used_is_told(
    session: aiohttp.ClientSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """The sentence names the variable and the form, and shows nothing of its value."""
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(SourceError, match="HTTP_PROXY") as caught:
        await shopify_of(session, sandbox).shop()
    assert "ss@" not in str(caught.value)


# ── The version of the API ──────────────────────────────────────────────────────────────────────────────────────────


async def test_another_version_of_the_api_is_logged_once(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """A version that has ended, and a call that is about to, are told in the log once, and stay in the status."""
    shopify, troubles = shopify_of(session, sandbox), sandbox.shopify.troubles
    with capture_logs() as quiet:
        await shopify.shop()
    assert not [entry for entry in quiet if entry["event"] == "api_version_noticed"]
    troubles.served_version, troubles.deprecated_reason = "2027-07", "somewhere"
    with capture_logs() as logs:
        for _ in range(3):
            await shopify.shop()
    said = [entry["said"] for entry in logs if entry["event"] == "api_version_noticed"]
    assert len(said) == 2
    store = Store(StoreName("main"), None, shopify)
    (told,) = report({store.name: store}, datetime(2026, 12, 1, tzinfo=UTC))
    assert (told.api_version, list(told.problems)) == ("2027-07", said)
    assert told.api_supported_until == datetime(2027, 10, 1, tzinfo=UTC)


async def test_the_end_of_the_version_is_announced(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """Two months before, while there is time for an upgrade."""
    shopify = shopify_of(session, sandbox)
    assert shopify.api_version.problems(datetime(2027, 7, 1, tzinfo=UTC)) == []
    (problem,) = shopify.api_version.problems(datetime(2027, 9, 1, tzinfo=UTC))
    assert "until 2027-10-01" in problem
