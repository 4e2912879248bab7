"""What is said of an address at which a test does not arrive: each cause has its own next step."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web

from daemon.api.findings import Finding, Severity
from daemon.checks.webhooks import WebhookTrial, nhanh_trial, shopify_trial, try_address
from daemon.ids import StoreName
from daemon.sources.http import open_session
from daemon.webhooks.verification import sign
from tests.support.tls_front import Certificate, TlsFront

MAIN = StoreName("main")
TOKEN = "a-token-of-more-than-sixteen"


async def is_there(_: WebhookTrial) -> bool:
    """It is in the inbox."""
    return True


async def is_not_there(_: WebhookTrial) -> bool:
    """It is not."""
    return False


async def nobody_knows(_: WebhookTrial) -> None:
    """No daemon can be asked."""


@asynccontextmanager
async def answering(status: int, **headers: str) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that gives every POST this answer; its address, and what came."""
    came: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        came.append(request)
        return web.Response(status=status, headers=headers)

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", came
    finally:
        await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """The process's one."""
    async with open_session() as opened:
        yield opened


async def tried(session: aiohttp.ClientSession, url: str) -> Finding:
    """What is said of an address that does not work."""
    finding = await try_address(session, nhanh_trial(MAIN, url, TOKEN), is_there)
    assert finding.level is Severity.FAILED
    assert finding.advice
    assert TOKEN not in f"{finding.detail}{finding.advice}"
    return finding


async def test_a_test_arrives_as_the_shops_would_send_it(session: aiohttp.ClientSession) -> None:
    """With Nhanh.vn's token, and with Shopify's signature over the very body."""
    async with answering(200) as (url, came):
        for trial in (nhanh_trial(MAIN, url, TOKEN), shopify_trial(MAIN, url, "secret", "x.myshopify.com")):
            finding = await try_address(session, trial, is_there)
            assert finding.level is Severity.OK
            assert finding.milliseconds is not None
        nhanh, shopify = came
        assert (nhanh.path, nhanh.headers["Authorization"]) == ("/webhooks/nhanh/main", TOKEN)
        assert orjson.loads(await nhanh.read()) == {"event": "webhooksEnabled"}
        assert shopify.path == "/webhooks/shopify/main"
        assert shopify.headers["X-Shopify-Hmac-SHA256"] == sign(await shopify.read(), b"secret").decode()
        assert shopify.headers["X-Shopify-Webhook-Id"] == trial.event_id


async def test_an_answer_alone_proves_nothing(session: aiohttp.ClientSession) -> None:
    """Anything may answer with 200: what counts is the inbox, and where nobody can look, that is said."""
    async with answering(200) as (url, _):
        trial = nhanh_trial(MAIN, url, TOKEN)
        elsewhere = await try_address(session, trial, is_not_there)
        assert (elsewhere.level, "something else answers" in elsewhere.detail) == (Severity.FAILED, True)
        unknown = await try_address(session, trial, nobody_knows)
        assert (unknown.level, "no daemon can be asked" in unknown.detail) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "reload it"),
        (403, "pass everybody"),
        (404, "pass this path"),
        (405, "the method POST"),
        (413, "bodies of a megabyte"),
        (500, "log of the proxy"),
        (502, "does not reach the daemon"),
        (503, "dongbo doctor"),
        (504, "does not reach the daemon"),
    ],
)
async def test_each_status_has_a_next_step(session: aiohttp.ClientSession, status: int, said: str) -> None:
    """What a proxy or the listener itself may answer."""
    async with answering(status) as (url, _):
        finding = await tried(session, url)
        assert f"HTTP {status}" in finding.detail
        assert said in (finding.advice or "")


async def test_a_redirect_is_not_followed(session: aiohttp.ClientSession) -> None:
    """The shops do not follow either; where it points to is said."""
    async with answering(302, Location="https://login.example.com/") as (url, came):
        finding = await tried(session, url)
        assert "redirects to https://login.example.com/" in finding.detail
        assert len(came) == 1


async def test_nobody_answers_at_all(session: aiohttp.ClientSession) -> None:
    """A port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        finding = await tried(session, f"http://127.0.0.1:{free.getsockname()[1]}")
    assert "nobody answers at 127.0.0.1" in finding.detail


async def test_a_name_that_does_not_exist(session: aiohttp.ClientSession) -> None:
    """RFC 6761: no name below .invalid is ever known."""
    finding = await tried(session, "http://hooks.invalid")
    assert "the name hooks.invalid is not known" in finding.detail


async def test_a_certificate_that_nobody_vouches_for(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The shops refuse it as well."""
    async with answering(200) as (url, _):
        front = TlsFront(int(url.rpartition(":")[2]))
        front.show(Certificate.make(tmp_path, "own"))
        async with front.listening():
            finding = await tried(session, front.url)
    assert "the certificate of 127.0.0.1 is not accepted" in finding.detail
