"""Webhooks at a real daemon: what is answered is kept, whatever happens to the process."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp
import asyncpg
import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.hooks import SECRET, TOKEN, Sender
from tests.support.process import RunningDaemon
from tests.support.site import Site

STORED = "SELECT unnest(subject_ids) AS id FROM dongbo.webhook_events"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=20, customers=20, limits=False)


@pytest.fixture
def open_site(site: Site) -> Site:
    """A site that listens for webhooks, and pushes nothing: no job takes what they tell."""
    main = site.settings["stores"]["main"]
    main["nhanh"]["webhook_token"] = site.secret("webhook-token", TOKEN)
    main["shopify"]["webhook_secret"] = site.secret("webhook-secret", SECRET)
    site.settings["webhooks"] = {"listen": "127.0.0.1:0"}
    site.write()
    return site


@asynccontextmanager
async def sending(site: Site, daemon: RunningDaemon) -> AsyncIterator[Sender]:
    """Somebody who sends to it, as the site's business."""
    opened = await daemon.process.logged("webhooks_listened_for")
    async with aiohttp.ClientSession() as session:
        yield Sender(opened["address"].rstrip("/"), session, business=site.sandbox.nhanh.business_id)


async def stored(connection: asyncpg.Connection) -> set[int]:
    """The products that are named by what is stored."""
    return {row["id"] for row in await connection.fetch(STORED)}


async def test_whatever_is_answered_outlives_the_process(open_site: Site, connection: asyncpg.Connection) -> None:
    """`kill -9` amid a stream of webhooks loses none that was answered with 200."""
    answered: list[int] = []

    async def stream(sender: Sender, first: int) -> None:
        numbers = count(first)
        while await sender.nhanh("inventoryChange", [{"id": (number := next(numbers))}]) == 200:
            answered.append(number)

    async with open_site.daemon() as daemon, sending(open_site, daemon) as sender:
        streams = [asyncio.create_task(stream(sender, 1 + n * 100_000), name="stream") for n in range(8)]
        while len(answered) < 200:
            await asyncio.sleep(0.01)
        await daemon.process.kill()
        await asyncio.gather(*streams, return_exceptions=True)
    assert set(answered) <= await stored(connection)


async def test_a_stop_answers_what_has_come(open_site: Site, connection: asyncpg.Connection) -> None:
    """SIGTERM amid a burst: each delivery is stored and answered, or turned away."""
    async with open_site.daemon() as daemon, sending(open_site, daemon) as sender:
        deliveries = [
            asyncio.create_task(sender.nhanh("inventoryChange", [{"id": number}]), name="delivery")
            for number in range(1, 101)
        ]
        await asyncio.sleep(0)
        await daemon.process.terminate()
        answers = await asyncio.gather(*deliveries, return_exceptions=True)
    accepted = {number for number, answer in enumerate(answers, 1) if answer == 200}
    assert accepted <= await stored(connection)
    refused = [answer for answer in answers if answer not in (200, 503)]
    assert all(isinstance(answer, aiohttp.ClientError) for answer in refused)


async def test_a_renewed_secret_counts_without_a_restart(open_site: Site) -> None:
    """Its file is looked at every few seconds; the old one is accepted for an hour more."""
    async with open_site.daemon() as daemon, sending(open_site, daemon) as sender:
        new = "f" * 32
        assert await sender.nhanh("inventoryChange", [{"id": 1}], token=new) == 401
        open_site.secret("webhook-token", new)
        await daemon.process.logged("secrets_renewed")
        assert await sender.nhanh("inventoryChange", [{"id": 1}], token=new) == 200
        assert await sender.nhanh("inventoryChange", [{"id": 1}]) == 200
        assert await sender.shopify("products/update", {"id": 1}) == 200


async def test_a_reload_takes_over_stores_and_says_what_takes_a_restart(open_site: Site) -> None:
    """A new store is known at once; another place to listen is not."""
    async with open_site.daemon() as daemon, sending(open_site, daemon) as sender:
        assert await sender.nhanh("inventoryChange", [{"id": 1}], store="second") == 401
        stores: dict[str, Any] = open_site.settings["stores"]
        stores["second"] = stores["main"]
        open_site.settings["webhooks"] = {"listen": "127.0.0.1:0", "max_body_kilobytes": 64}
        open_site.write()
        daemon.process.send(signal.SIGHUP)
        await daemon.process.logged("reloaded")
        told = await daemon.process.logged("restart_required")
        assert told["keys"] == ["webhooks.max_body_kilobytes"]
        assert await sender.nhanh("inventoryChange", [{"id": 1}], store="second") == 200


async def test_a_part_of_the_webhooks_is_in_the_status(open_site: Site) -> None:
    """Both sides, as soon as the daemon listens."""
    async with open_site.daemon() as daemon, sending(open_site, daemon) as sender:
        await sender.shopify("products/update", {"id": 1})
        streams = (await daemon.api.get("/status"))["webhooks"]
        assert [(stream["source"], stream["received"]) for stream in streams] == [("nhanh", 0), ("shopify", 1)]
