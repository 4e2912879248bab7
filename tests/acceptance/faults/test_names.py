"""Whatever happens to names and certificates: it is told of, it is over when it is over, nothing is lost, nothing done
twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daemon.sandbox.server import Sandbox
from tests.support import name_server as names
from tests.support.fault_proxy import Cut, Way
from tests.support.faults import Fault, Injection, check, undergo
from tests.support.faulty_shop import FaultyShop, faulty_shop
from tests.support.name_server import NameServer, name_server
from tests.support.preludes import HASTENED_COMMAND, HASTENED_ENVIRONMENT
from tests.support.tls_front import Certificate, TlsFront, has_openssl

HANDSHAKE_BYTES = 100  # less than a server sends in one

needs_resolver = pytest.mark.skipif(names.why_not() is not None, reason=names.why_not() or "")
needs_openssl = pytest.mark.skipif(not has_openssl(), reason="there is no `openssl` to make certificates")


def resolver(server: NameServer, *, knows: bool = True, delay: float | None = 0.0) -> Injection:
    """Names resolve like that, and what was connected has to connect again."""

    @asynccontextmanager
    async def inject(shop: FaultyShop) -> AsyncIterator[None]:
        server.knows, server.delay = knows, delay
        shop.database.reset()
        yield
        server.knows, server.delay = True, 0.0

    return inject


@needs_resolver
@pytest.mark.parametrize(
    ("name", "state", "shows"),
    [  # the last one is within the time-outs
        ("names: not known", {"knows": False}, "database_away"),
        ("names: no answer of the resolver", {"delay": None}, "database_away"),
        ("names: resolved half a second late", {"delay": 0.5}, ""),
    ],
)
async def test_names(shop: FaultyShop, tmp_path: Path, name: str, state: dict[str, float | None], shows: str) -> None:
    """The database has a name, which is looked up for each connection."""
    shop.reach_database_at("database.dongbo.test")
    command = names.asking_it(HASTENED_COMMAND, tmp_path)
    async with name_server() as server:
        fault = Fault(name, resolver(server, **state), shows)
        environment = shop.environment | HASTENED_ENVIRONMENT
        async with shop.site.daemon(environment, forked=False, command=command) as shop.daemon:
            check(fault, await undergo(shop, fault))
            assert await shop.daemon.process.terminate() == 0


@asynccontextmanager
async def handshake_cut(shop: FaultyShop) -> AsyncIterator[None]:
    """No handshake comes to its end."""
    shop.shopify.behave(Cut(HANDSHAKE_BYTES, reset=True), Way.TO_CLIENT)
    yield
    await shop.shopify.restore()


def other_certificate(front: TlsFront, good: Certificate, bad: Certificate) -> Injection:
    """New connections see a certificate that nobody vouches for."""

    @asynccontextmanager
    async def inject(shop: FaultyShop) -> AsyncIterator[None]:
        front.show(bad)
        shop.shopify.reset()
        yield
        front.show(good)

    return inject


@needs_openssl
@pytest.mark.parametrize("name", ["TLS: certificate not trusted", "TLS: handshake cut off"])
async def test_tls(tmp_path: Path, sandbox: Sandbox, database_url: str, name: str) -> None:
    """Shopify is called by https."""
    good, bad = Certificate.make(tmp_path, "good"), Certificate.make(tmp_path, "bad")
    front = TlsFront(urlsplit(sandbox.shopify_url).port or 0)
    front.show(good)
    inject = handshake_cut if "handshake" in name else other_certificate(front, good, bad)
    fault = Fault(name, inject, "source_unreachable")
    async with front.listening(), faulty_shop(tmp_path, sandbox, database_url, shopify_url=front.url) as shop:
        environment = shop.environment | HASTENED_ENVIRONMENT | {"SSL_CERT_FILE": str(good.certificate)}
        async with shop.site.daemon(environment, forked=False, command=HASTENED_COMMAND) as shop.daemon:
            check(fault, await undergo(shop, fault))
            assert await shop.daemon.process.terminate() == 0
