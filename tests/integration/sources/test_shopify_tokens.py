"""Tokens that live a day, or here some seconds: asked for once by whoever needs one, renewed before they end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from daemon.credentials import report
from daemon.errors import CredentialRefused, RateLimited, SourceError, SourceRefused, SourceUnavailable
from daemon.logging import forget_secret, redact, register_secret
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.access import ALL_SCOPES
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import credential as credentials
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import RENEWED_AFTER, ClientCredentials, PermanentToken
from daemon.tasks import Store
from tests.support.clock import Clock
from tests.support.workshop import STORE

QUICK = Backoff(attempts=4, initial=0.01, maximum=0.02)
SECRET = "shpss_nobody-may-see-this"
GRANT = "/admin/oauth/access_token"
SMALL = SandboxSettings(products=3, customers=3, limits=False, permanent_token=False)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox(SMALL) as running:
        yield running


def credential_of(session: aiohttp.ClientSession, sandbox: Sandbox, **options: Any) -> ClientCredentials:
    app = sandbox.shopify.app
    options = {"client_id": app.client_id, "client_secret": app.client_secret} | options
    return ClientCredentials(session, base_url=sandbox.shopify_url, source="Shopify (x)", **options)


def client_of(
    session: aiohttp.ClientSession, sandbox: Sandbox, credential: ClientCredentials | None = None
) -> ShopifyClient:
    return ShopifyClient(
        session,
        shop="x",
        credential=credential or credential_of(session, sandbox),
        base_url=sandbox.shopify_url,
        limits=LimiterRegistry(),
        backoff=QUICK,
    )


@asynccontextmanager
async def granting(handler: Handler) -> AsyncIterator[str]:
    """A shop whose token endpoint does what a test wants."""
    application = web.Application()
    application.router.add_post(GRANT, handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_twenty_calls_at_once_make_one_grant(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """One asks, the others wait for what becomes of it."""
    client = client_of(session, sandbox)
    await asyncio.gather(*(client.shop() for _ in range(20)))
    assert sandbox.shopify.app.grants == ["granted"]
    assert client.credential.scopes == frozenset(ALL_SCOPES)


async def test_a_token_is_renewed_well_before_its_end(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """By `expires_in` and a clock that nobody sets: after three quarters of its life, and not before."""
    clock, app = Clock(1_000.0), sandbox.shopify.app
    app.token_lifetime, app.clock = 86_399.0, clock
    client = client_of(session, sandbox, credential_of(session, sandbox, clock=clock))
    await client.shop()
    clock.now += 86_399 * RENEWED_AFTER - 1
    await client.shop()
    assert app.granted == 1
    clock.now += 2
    await asyncio.gather(*(client.shop() for _ in range(20)))
    assert app.granted == 2
    assert all(request.operation == "Shop" for request in sandbox.shopify.requests.last)
    clock.now += 10 * 86_400  # the machine has slept
    await client.shop()
    assert app.grants == ["granted"] * 3


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(
    session: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    """As when the app was installed anew: no failure, no retry is spent, and the write is executed once."""
    client = client_of(session, sandbox)
    await client.shop()
    sandbox.shopify.app.revoke_tokens()
    meter, customer = CallMeter(), next(iter(sandbox.shopify.customers))
    assert await client.add_tags(customer, ["VIP-1"], meter=meter) == []
    assert (sandbox.shopify.app.granted, meter.retries, meter.api_calls) == (2, 0, 3)
    assert [write.has_effect for write in sandbox.shopify.writes] == [True]


async def test_a_second_refusal_is_final(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """A shop that refuses even the token that it has just given: a sentence, no further calls, and it shows."""
    client = client_of(session, sandbox)
    app = sandbox.shopify.app
    app.token_lifetime = 1e-9
    credential = client.credential
    with pytest.raises(CredentialRefused, match=r"the new one that it had just issued .*Dev Dashboard"):
        await client.shop()
    assert app.granted == 2
    assert credential.problem is not None
    app.token_lifetime = 1000
    await client.shop()
    assert credential.problem is None


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"client_secret": "shpss_another"}, "compare both under Settings"),
        ({"client_id": "another-client-id"}, "compare both under Settings"),
        ({"is_installed": False}, "not installed in the shop.*install it in this shop"),
        ({"same_organisation": False}, "shop's organisation in the Dev Dashboard"),
    ],
)
async def test_a_refusal_says_what_to_do_in_the_dev_dashboard(
    session: aiohttp.ClientSession, sandbox: Sandbox, change: dict[str, Any], says: str, html: bool
) -> None:
    """As JSON or as the page that Shopify sends to browsers; nothing is repeated; it goes away with its cause."""
    client, app = client_of(session, sandbox), sandbox.shopify.app
    before = {name: getattr(app, name) for name in change}
    app.html_errors = html
    for name, value in change.items():
        setattr(app, name, value)
    with pytest.raises(CredentialRefused, match=says) as caught:
        await client.shop()
    assert len(app.grants) == 1
    assert app.client_secret not in str(caught.value)
    store = Store(STORE, None, client)
    (told,) = report({STORE: store}, datetime.now(UTC))
    assert told.refused_since is not None
    assert told.problems == (str(caught.value),)
    for name, value in before.items():
        setattr(app, name, value)
    await client.shop()
    assert report({STORE: store}, datetime.now(UTC))[0].problems == ()


def answering(status: int, text: str = "", **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("handler", "error", "says"),
    [
        (answering(500, "<html>"), SourceUnavailable, "HTTP 500"),
        (answering(503), SourceUnavailable, "HTTP 503"),
        (answering(200, "<!doctype html><html>"), SourceUnavailable, "a web page instead of an access token"),
        (answering(200, "{}"), SourceUnavailable, "instead of an access token"),
        (answering(200, "nonsense"), SourceUnavailable, "instead of an access token"),
        (answering(200, '{"access_token": 7, "scope": ""}'), SourceUnavailable, "invalid access token"),
        (answering(200, '{"access_token": "a\\nb", "scope": ""}'), SourceUnavailable, "invalid access token"),
        (answering(200, '{"access_token": "a", "scope": "", "expires_in": -1}'), SourceUnavailable, "instead of"),
        (answering(200, '{"access_token": "a", "scope": "", "expires_in": "soon"}'), SourceUnavailable, "instead of"),
        (answering(429, Retry_After="1"), RateLimited, "HTTP 429"),
        (answering(404, "<html>Not found"), CredentialRefused, "compare shop in the configuration"),
        (answering(402), CredentialRefused, "unpaid bills"),
        (answering(423), CredentialRefused, "locked"),
        (answering(400, '{"error": "something_new"}'), CredentialRefused, "something_new"),
        (answering(302, Location="https://example.com"), SourceRefused, "redirect"),
    ],
)
async def test_whatever_the_token_endpoint_answers_is_understood(
    session: aiohttp.ClientSession, handler: Handler, error: type[SourceError], says: str
) -> None:
    """What may pass is worth another try, the rest is a sentence."""
    async with granting(handler) as url:
        credential = ClientCredentials(session, base_url=url, source="Shopify (x)", client_id="i", client_secret=SECRET)
        with pytest.raises(error, match=says) as caught:
            await credential.token(CallMeter())
        assert SECRET not in str(caught.value)


async def test_a_token_endpoint_that_fails_is_asked_again(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """5xx, resets, cut and slow answers, 429s: a call goes through all of them."""
    faults = (Fault.ERROR_500, Fault.RESET, Fault.TRUNCATED)
    for fault in faults:
        sandbox.faults.next(fault, path="access_token")
    meter = CallMeter()
    await client_of(session, sandbox).shop(meter=meter)
    assert meter.retries == len(faults)


async def test_those_who_wait_share_the_failure(session: aiohttp.ClientSession) -> None:
    """Twenty callers at a shop that refuses do not ask twenty times."""
    asked = 0

    async def refuse(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return web.json_response({"error": "invalid_client"}, status=400)

    async with granting(refuse) as url:
        credential = ClientCredentials(session, base_url=url, source="Shopify (x)", client_id="i", client_secret=SECRET)
        ended = await asyncio.gather(*(credential.token(CallMeter()) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(error, CredentialRefused) for error in ended)
        assert asked == 1
        with pytest.raises(CredentialRefused):  # and whoever comes later asks anew
            await credential.token(CallMeter())
        assert asked == 2


async def test_a_cancelled_caller_leaves_the_others_a_token(session: aiohttp.ClientSession) -> None:
    """The one that was asking is cancelled: the next in line asks."""
    arrived, go = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return web.json_response({"access_token": "a", "scope": "read_products", "expires_in": 100})

    async with granting(answer) as url:
        credential = ClientCredentials(session, base_url=url, source="Shopify (x)", client_id="i", client_secret=SECRET)
        first, second = (asyncio.create_task(credential.token(CallMeter())) for _ in range(2))
        await arrived.wait()
        first.cancel()
        go.set()
        assert await second == "a"
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_renewal_that_fails_costs_nothing_while_the_token_is_good(
    session: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    """A revoked secret: calls go on until the token ends, which is told meanwhile; then they stop; then it is back."""
    clock, app = Clock(1_000.0), sandbox.shopify.app
    app.token_lifetime, app.clock = 1000.0, clock
    client = client_of(session, sandbox, credential_of(session, sandbox, clock=clock))
    await client.shop()
    secret, app.client_secret = app.client_secret, "shpss_rotated"
    clock.now += 800
    with capture_logs() as logs:
        for _ in range(50):
            await client.shop()
    assert app.grants == ["granted", "invalid_client"]
    assert [line["event"] for line in logs] == ["token_renewal_failed"]
    assert client.credential.problem is not None
    clock.now += 300
    with pytest.raises(CredentialRefused):
        await client.shop()
    app.client_secret = secret
    await client.shop()
    assert client.credential.problem is None


@pytest.mark.parametrize("old_is_revoked", [True, False])
async def test_a_secret_that_is_renewed_while_a_token_is_asked_for(
    session: aiohttp.ClientSession, *, old_is_revoked: bool
) -> None:
    """What the old secret brings, a refusal or a token, says nothing of the new one, which is tried at once."""
    arrived, go, asked = asyncio.Event(), asyncio.Event(), list[str]()

    async def answer(request: web.Request) -> web.Response:
        secret = str((await request.post())["client_secret"])
        asked.append(secret)
        arrived.set()
        await go.wait()
        if secret == "shpss_old" and old_is_revoked:
            return web.json_response({"error": "invalid_client"}, status=400)
        return web.json_response({"access_token": f"of-{secret}", "scope": "", "expires_in": 100})

    async with granting(answer) as url:
        options = {"base_url": url, "source": "Shopify (x)", "client_id": "i"}
        credential = ClientCredentials(session, client_secret="shpss_old", **options)
        calls = [asyncio.create_task(credential.token(CallMeter())) for _ in range(3)]
        await arrived.wait()
        credential.replace("shpss_new")
        go.set()
        assert await asyncio.gather(*calls) == ["of-shpss_new"] * 3
        assert asked == ["shpss_old", "shpss_new"]
        assert credential.problem is None


async def test_a_renewal_that_hangs_holds_nobody_up_while_the_token_is_good(session: aiohttp.ClientSession) -> None:
    """One caller waits for it, the others go on with the token at hand."""
    clock, hangs = Clock(1_000.0), asyncio.Event()
    hangs.set()

    async def answer(_request: web.Request) -> web.Response:
        await hangs.wait()
        return web.json_response({"access_token": "a", "scope": "", "expires_in": 100})

    async with granting(answer) as url:
        options = {"base_url": url, "source": "Shopify (x)", "client_id": "i", "client_secret": SECRET}
        credential = ClientCredentials(session, clock=clock, **options)
        await credential.token(CallMeter())
        clock.now += 80
        hangs.clear()
        one = asyncio.create_task(credential.token(CallMeter()))
        while not credential._asking.locked():
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await credential.token(CallMeter()) == "a"
        hangs.set()
        await one


async def test_a_renewed_secret_is_taken_over_by_calls_under_way(
    session: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    """The secret is replaced while jobs run: the next token is asked for with it."""
    app = sandbox.shopify.app
    credential = credential_of(session, sandbox)
    client = client_of(session, sandbox, credential)
    await client.shop()
    app.client_secret = "shpss_renewed"
    assert credential.replace("shpss_renewed")
    assert not credential.replace("shpss_renewed")
    await client.shop()
    assert app.grants == ["granted", "granted"]


async def test_a_lost_scope_is_noticed_at_the_renewal(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """The log says so at once, and the status until it is granted again, in the form that the Dev Dashboard takes."""
    clock, app = Clock(1_000.0), sandbox.shopify.app
    app.token_lifetime, app.clock = 100.0, clock
    client = client_of(session, sandbox, credential_of(session, sandbox, clock=clock))
    store = Store(STORE, None, client, needed_scopes=frozenset({"read_products", "write_products", "read_inventory"}))
    await client.shop()
    assert report({STORE: store}, datetime.now(UTC))[0].problems == ()
    app.scopes -= {"write_products", "write_inventory"}
    clock.now += 80
    with capture_logs() as logs:
        await client.shop()
    (lost,) = [line for line in logs if line["event"] == "scopes_lost"]
    assert lost["scopes"] == ["write_inventory", "write_products"]
    (told,) = report({STORE: store}, datetime.now(UTC))
    assert told.missing_scopes == ("write_products",)
    assert "add write_products to the scopes of the app's version" in told.problems[0]


async def test_two_daemons_do_not_end_each_other_s_tokens_in_turns(
    session: aiohttp.ClientSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a new token ends the older ones, each has some time before the other's turn, and longer each time; nobody
    fails, and both say what is going on."""
    monkeypatch.setattr(credentials, "FIRST_SPACING", 0.1)
    app = sandbox.shopify.app
    app.ends_older_tokens = True
    both = [client_of(session, sandbox) for _ in range(2)]

    async def work(client: ShopifyClient) -> int:
        calls = 0
        async with asyncio.timeout(30):
            while app.granted < 9:
                await client.shop()
                calls += 1
        return calls

    with capture_logs() as logs:
        calls = await asyncio.gather(*map(work, both))
    assert min(calls) > 2 * app.granted  # without spacing there would be a grant for every call or two
    told = report({STORE: Store(STORE, None, both[0])}, datetime.now(UTC))[0].problems
    assert any("another program requests tokens with the same client id" in problem for problem in told)
    assert {line["event"] for line in logs if line["log_level"] == "warning"} == {"token_ended_early"}


async def test_a_permanent_token_that_is_refused_is_final_at_once(
    session: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    """Apps that were made before have nothing to renew."""
    client = ShopifyClient(
        session,
        shop="x",
        credential=PermanentToken("shpat_old"),
        base_url=sandbox.shopify_url,
        limits=LimiterRegistry(),
        backoff=QUICK,
    )
    with pytest.raises(CredentialRefused, match="dongbo connect shopify"):
        await client.shop()
    assert client.credential.problem is not None


async def test_a_token_is_masked_whatever_shopify_quotes(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """In the errors of a call and in the log; an old one is forgotten in the end, one that comes again is not."""
    credential = credential_of(session, sandbox)
    client = client_of(session, sandbox, credential)
    await client.shop()
    token = await credential.token(CallMeter())
    sandbox.shopify._execute = lambda *_: {"errors": [{"message": f"who sent {token} and {SECRET}?"}]}  # type: ignore[method-assign]
    with pytest.raises(SourceError) as caught:
        await client.shop()
    assert token not in str(caught.value)
    assert redact(f"log {token}") == "log ***"
    for _ in range(3):
        credential.reject(await credential.token(CallMeter()))
        credential._not_before = 0.0
    assert redact(token) == token
    register_secret("twice-registered")
    register_secret("twice-registered")
    forget_secret("twice-registered")
    assert redact("twice-registered") == "***"


@settings(max_examples=60, deadline=None)
@given(
    status=st.sampled_from([200, 201, 400, 401, 403, 404, 408, 409, 418, 429, 500, 502]),
    body=st.one_of(
        st.binary(max_size=200).map(lambda noise: noise + SECRET.encode() + noise),
        st.sampled_from(["error", "access_token", "scope", "message", "errors"]).map(
            lambda key: orjson.dumps({key: f"leak {SECRET} leak"})
        ),
        st.just(f"<html>Oauth error {SECRET}: {SECRET}</html>".encode()),
    ),
)
def test_no_answer_brings_a_secret_into_an_error_or_the_log(status: int, body: bytes) -> None:
    """Whatever the endpoint answers, and it may well quote what it was sent."""

    async def ask() -> tuple[str, str]:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(status=status, body=body)

        async with open_session() as session, granting(answer) as url:
            credential = ClientCredentials(
                session, base_url=url, source="Shopify (x)", client_id="i", client_secret=SECRET
            )
            with capture_logs() as logs:
                try:
                    await credential.token(CallMeter())
                except SourceError as error:
                    return str(error), f"{logs} {credential!r} {error!r} {credential.problem}"
            return "", f"{[{**line, 'scopes': None} for line in logs]} {credential!r}"

    for text in asyncio.run(ask()):
        assert SECRET not in text
