"""Whatever happens between the daemon and its database, Nhanh.vn or Shopify: it is told of, it is over when it is over,
and nothing is lost and nothing done twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.faults import Fault, Injection, check, undergo
from tests.support.faulty_shop import FaultyShop
from tests.support.network import (
    OfProxy,
    black_hole,
    dripping,
    half_open,
    refused,
    reset_again_and_again,
    silent,
    slow,
    truncated,
)
from tests.support.preludes import hasten

AWAY = "database_away"
LOST = "source_unreachable"


def to_database(injection: OfProxy) -> Injection:
    """A fault on the way to the database."""
    return lambda shop: injection(shop.database)


def to_sources(injection: OfProxy) -> Injection:
    """A fault on the way to both sources."""

    @asynccontextmanager
    async def inject(shop: FaultyShop) -> AsyncIterator[None]:
        async with injection(shop.nhanh), injection(shop.shopify):
            yield

    return inject


DATABASE = [
    Fault(f"database: {name}", to_database(injection), shows, lasts)
    for name, injection, shows, lasts in (
        ("connections reset", reset_again_and_again, AWAY, 2.0),
        ("port closed", refused, AWAY, 2.0),
        ("half-open", half_open, AWAY, 5.0),
        ("black hole", black_hole, AWAY, 5.0),
        ("accepts and is silent", silent, AWAY, 5.0),
        ("2 s round trip", slow(2.0), "check:database", 5.0),
        ("6 s round trip", slow(6.0), "check:database", 5.0),
        ("slow drip", dripping, "check:database", 3.0),
        ("answers cut off", truncated, AWAY, 2.0),
    )
]
SOURCES = [
    Fault(f"sources: {name}", to_sources(injection), LOST)
    for name, injection in (
        ("connections reset", reset_again_and_again),
        ("port closed", refused),
        ("half-open", half_open),
        ("black hole", black_hole),
        ("accept and are silent", silent),
        ("slower than the time-out", slow(2.0)),
        ("slow drip", dripping),
        ("answers cut off", truncated),
    )
]


@pytest.mark.parametrize("fault", [*DATABASE, *SOURCES], ids=lambda fault: fault.name)
async def test_fault(shop: FaultyShop, fault: Fault) -> None:
    """One fault."""
    async with shop.site.daemon(shop.environment, prelude=hasten) as shop.daemon:
        check(fault, await undergo(shop, fault))
        assert await shop.daemon.process.terminate() == 0
