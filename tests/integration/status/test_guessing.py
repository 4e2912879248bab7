"""Guessing the token: counted, told without the token, slowed; and the right one always passes at once."""

import asyncio
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.serving.addresses import Address, address_of
from daemon.serving.tally import INTERVAL, Tally
from daemon.status import guessing
from daemon.status.guessing import FORGOTTEN_AFTER, FREE, MOST_ADDRESSES, MOST_DELAYED, TOO_MANY, Guesses

TOKEN = "the-right-token-of-the-endpoint"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
WRONG = {"Authorization": "Bearer gu3ssed"}
HERE = Address("127.0.0.1")


async def test_guessing_is_slowed_and_the_right_token_is_not(
    open_endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few slips cost nothing; then wrong ones wait, and at last they are 429 with Retry-After."""
    monkeypatch.setattr(guessing, "LONGEST_DELAY", 0.2)
    async with open_endpoint(token=TOKEN) as endpoint:
        with capture_logs() as logged:
            for _ in range(FREE):
                await endpoint.get("/status", 401, headers=WRONG)
            guesses = [asyncio.create_task(endpoint.call("GET", "/status", 401, headers=WRONG)) for _ in range(8)]
            began = time.perf_counter()
            for _ in range(5):
                await endpoint.get("/api/jobs", headers=RIGHT)
            assert not any(guess.done() for guess in guesses) or time.perf_counter() - began > guessing.FIRST_DELAY
            await asyncio.gather(*guesses)
            statuses = []
            for _ in range(TOO_MANY):
                async with endpoint.client.get("/status", headers=WRONG) as response:
                    statuses.append(response.status)
                    assert response.content_type == "application/problem+json"
                    assert (response.status == 429) is ("Retry-After" in response.headers)
            assert 429 in statuses
            await endpoint.get("/api/jobs", headers=RIGHT)
            async with endpoint.client.get("/metrics") as response:
                assert f"dongbo_wrong_tokens_total {FREE + 8 + TOO_MANY}.0" in await response.text()
        lines = [line for line in logged if line["event"] == "wrong_tokens"]
        assert [line["addresses"] for line in lines] == [{"127.0.0.1": 1}]  # the rest is summed up a minute later
        assert "gu3ssed" not in str(logged)
        assert TOKEN not in str(logged)


async def test_a_request_without_a_token_is_no_guess(open_endpoint: Any) -> None:
    """Such as the page's first one."""
    async with open_endpoint(token=TOKEN) as endpoint:
        for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
            await endpoint.get("/status", 401, headers=headers)
        async with endpoint.client.get("/metrics", headers=WRONG) as response:  # open to all
            assert "dongbo_wrong_tokens_total 0.0" in await response.text()


async def test_the_delay_grows_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """By doubling up to a longest one; each wrong token is forgotten after a while."""
    delays: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    monkeypatch.setattr(guessing.asyncio, "sleep", sleep)
    guesses = Guesses(lambda: now)
    statuses = [(await guesses.answer(HERE)).status for _ in range(TOO_MANY)]
    assert statuses == [401] * (TOO_MANY - 1) + [429]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (guessing.FIRST_DELAY, guessing.LONGEST_DELAY)
    assert len(delays) == TOO_MANY - FREE
    now += FORGOTTEN_AFTER * TOO_MANY
    assert (await guesses.answer(HERE)).status == 401
    assert len(delays) == TOO_MANY - FREE


async def test_guesses_side_by_side_are_bounded() -> None:
    """So many answers wait at once; more are 429 at once, and other addresses are not slowed by them."""
    guesses = Guesses()
    for _ in range(FREE):
        await guesses.answer(HERE)
    waiting = [asyncio.create_task(guesses.answer(HERE)) for _ in range(MOST_DELAYED)]
    await asyncio.sleep(0)
    began = time.perf_counter()
    assert (await guesses.answer(HERE)).status == 429
    assert (await guesses.answer(Address("10.0.0.7"))).status == 401
    assert time.perf_counter() - began < guessing.FIRST_DELAY
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_many_addresses_cost_no_memory() -> None:
    """Those that have been quiet longest are forgotten."""
    guesses = Guesses()
    for number in range(MOST_ADDRESSES + 500):
        await guesses.answer(Address(f"10.0.{number >> 8}.{number & 255}"))
    assert len(guesses) == MOST_ADDRESSES
    assert guesses.total == MOST_ADDRESSES + 500


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("127.8.9.10", 5), "127.0.0.1"),
        (("::1", 5, 0, 0), "127.0.0.1"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", "unix"),
        (None, "unix"),
    ],
)
def test_what_one_machine_can_vary_is_one_address(peer: object, address: str) -> None:
    """Loopback, and an IPv6 network of 64 bits."""
    assert address_of(peer) == address


def test_the_log_has_a_line_a_minute() -> None:
    """The first at once, then sums, whatever the number of addresses."""
    now = 0.0
    tally = Tally("wrong_tokens", lambda: now)
    with capture_logs() as logged:
        for number in range(10_000):
            tally.note(Address(f"10.0.{number >> 8}.{number & 255}"))
        assert len(logged) == 1
        now += INTERVAL
        tally.tell()
        tally.tell()
    assert [line["count"] for line in logged] == [1, 9_999]
    assert len(logged[1]["addresses"]) <= 5
