"""Alarms of a real daemon reach a person once, through kills, restarts, a lost database and a renewed address."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from daemon.alerts import heartbeat, telling
from tests.support.process import DaemonProcess
from tests.support.receivers import Receiver, receiving
from tests.support.site import Site, eventually

TOLD = "SELECT count(*) FROM dongbo.alerts WHERE told_at IS NOT NULL"
SECRET = "path-of-a-hook-that-nobody-knows"


def hasty() -> None:
    """Look often, wait for little, and let the claim of a dead daemon lapse soon."""
    telling.LOOK_INTERVAL = 0.2  # type: ignore[misc]
    telling.GATHERED_FOR = timedelta(seconds=1)  # type: ignore[misc]
    heartbeat.RETRY_INTERVAL = timedelta(seconds=1)  # type: ignore[misc]
    telling.LEASE = timedelta(seconds=3)  # type: ignore[misc]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The person."""
    async with receiving() as running:
        yield running


async def test_an_alarm_survives_a_kill_and_is_told_no_third_time(
    site: Site, connection: asyncpg.Connection, receiver: Receiver
) -> None:
    """Killed between sending and recording, it is told once more; after that no restart tells it again."""
    site.settings["alerts"] = [
        {
            "name": "phone",
            "url": site.secret("phone", receiver.alert_url(SECRET)),
            "after_minutes": 0,
            "conditions": ["nothing_pulled"],
            "language": "vi",
        }
    ]
    site.settings["heartbeat"] = {"url": site.secret("beat", receiver.heartbeat_url(f"beat-{SECRET}"))}
    site.write()
    daemons: list[DaemonProcess] = []

    async def kill() -> None:
        if receiver.received:
            receiver.on_receipt = None
            await daemons[0].kill()

    async with site.daemon(prelude=hasty) as doomed:
        daemons.append(doomed.process)
        receiver.on_receipt = kill
        await receiver.wait_for(messages=1)
        await doomed.process.exited()
    assert await connection.fetchval(TOLD) == 0

    async with site.daemon(prelude=hasty) as daemon:
        await receiver.wait_for(messages=2, calls=1)  # as far as the heartbeat is concerned, all is well
        await daemon.process.logged("alert_sent")
        await eventually(lambda: connection.fetchval(TOLD), what="the record")
        shown = await daemon.api.get("/api/alerts")
        assert [one["works"] for one in shown["channels"]] == [True]
        (alert,) = shown["alerts"]
        assert alert["condition"].startswith("nothing_pulled")
        assert SECRET not in json.dumps(shown)
        assert await daemon.process.terminate() == 0

    async with site.daemon(prelude=hasty) as daemon:
        async with site.process("alerts", "test", "--json", "--url", daemon.address, forked=True) as command:
            assert await command.exited() == 0
        await receiver.wait_for(messages=3)
        site.secret("phone", "json://127.0.0.1:1/")
        await daemon.process.logged("alert_urls_renewed")
        async with site.process("alerts", "test", "phone", "--json", "--url", daemon.address, forked=True) as command:
            assert await command.exited() == 1
    first, again, *others = receiver.titles
    assert first == again
    assert first.startswith("main: Chưa ")  # nothing yet
    assert len(others) == 1


async def test_a_start_without_the_database_reaches_a_person(site: Site, receiver: Receiver) -> None:
    """Nothing is known of the shop then, and nobody looks at the page at night."""
    site.settings["database"] = {"url": site.secret("database-url", "postgresql://nobody@127.0.0.1:1/none")}
    site.settings["alerts"] = [
        {"name": "phone", "url": site.secret("phone", receiver.alert_url(SECRET)), "after_minutes": 0}
    ]
    site.write()
    async with site.process(forked=True, prelude=hasty) as process:
        await receiver.wait_for(messages=1)
        assert receiver.titles == ["dongbo: The database does not answer"]
        assert "Start PostgreSQL" in receiver.received[0]["message"]
        assert await process.terminate() == 0
