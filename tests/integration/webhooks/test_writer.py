"""Deliveries are stored together, answered once they are committed, and turned away where they can't be."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from daemon.database.pool import Database
from daemon.ids import StoreName
from daemon.inbox import events
from daemon.inbox.events import Arrival
from daemon.inbox.topics import Subject
from daemon.jobs.types import Source
from daemon.webhooks import writer as writer_module
from daemon.webhooks.counts import DeliveryCounts
from daemon.webhooks.writer import InboxWriter, NotStored
from tests.support.hooks import listening

STOCK = Arrival(StoreName("main"), Source.NHANH, None, "inventoryChange", Subject.NHANH_PRODUCT, (1,))
LOCK = "LOCK TABLE dongbo.webhook_events IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
def writer(database: Database) -> InboxWriter:
    """One that has not been started."""
    return InboxWriter(database, DeliveryCounts())


async def count(database: Database) -> int:
    """How many events there are."""
    async with database.acquire() as connection:
        return len(await events.list_events(connection, limit=1_000))


async def test_what_comes_while_one_is_stored_is_stored_together(
    database: Database, writer: InboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst costs a few statements, not one for each delivery."""
    batches: list[int] = []
    insert = events.insert

    async def counting(connection: asyncpg.Connection, arrivals: list[Arrival]) -> events.InsertedCounts:
        batches.append(len(arrivals))
        return await insert(connection, arrivals)

    monkeypatch.setattr(events, "insert", counting)
    async with writer:
        await asyncio.gather(*(writer.store([STOCK]) for _ in range(200)))
    assert sum(batches) == 200 == await count(database)
    assert len(batches) < 5


async def test_nothing_is_accepted_that_is_not_committed(
    database: Database, writer: InboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery waits for the database, but not for long; afterwards all goes on."""
    monkeypatch.setattr(writer_module, "STORE_TIMEOUT", 0.2)
    async with writer:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            with pytest.raises(NotStored):
                await writer.store([STOCK])
        await writer.store([STOCK])
        assert await count(database) == 1
        assert writer.health.is_ok


async def test_before_its_start_and_after_its_end_nothing_is_accepted(writer: InboxWriter) -> None:
    """While the database is not there yet, senders are told to come again."""
    with pytest.raises(NotStored):
        await writer.store([STOCK])
    async with writer:
        await writer.store([STOCK])
    with pytest.raises(NotStored):
        await writer.store([STOCK])


async def test_a_stop_stores_what_was_handed_over(database: Database, writer: InboxWriter) -> None:
    """What is in the queue is accepted; what comes later is turned away."""
    writer.start()
    handed_over = [asyncio.create_task(writer.store([STOCK]), name="delivery") for _ in range(20)]
    await asyncio.sleep(0)
    writer.stop()
    with pytest.raises(NotStored):
        await writer.store([STOCK])
    await asyncio.gather(*handed_over)
    await writer.wait()
    assert await count(database) == 20


async def test_a_full_queue_turns_away(
    database: Database, writer: InboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with what can't be stored."""
    monkeypatch.setattr(writer_module, "MOST_QUEUED", 3)
    async with writer:
        results = await asyncio.gather(*(writer.store([STOCK]) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [NotStored] * 2


async def test_what_the_database_does_not_take_harms_nothing_else(database: Database, writer: InboxWriter) -> None:
    """It should have been made storable by then; the others are stored all the same."""
    bad = replace(STOCK, outcome="\0")
    async with writer:
        results = await asyncio.gather(
            *(writer.store([arrival]) for arrival in (STOCK, bad, STOCK)), return_exceptions=True
        )
    assert [type(result) for result in results] == [type(None), NotStored, type(None)]
    assert await count(database) == 2


async def test_a_store_with_work_is_announced_after_the_commit(database: Database, writer: InboxWriter) -> None:
    """Few notifications for many deliveries: each takes a lock of the whole database."""
    heard: list[object] = []
    came = asyncio.Event()

    def hear(*arguments: object) -> None:
        heard.append(arguments[-1])
        came.set()

    async with database.dedicated() as connection:
        await connection.add_listener(events.CHANNEL, hear)
        async with writer:
            for _ in range(20):
                await writer.store([STOCK])
            async with asyncio.timeout(5):
                await came.wait()
        assert set(heard) == {"main"}
        assert len(heard) < 20


async def test_a_delivery_that_can_t_be_stored_is_sent_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and when: the count of it is why a pull makes up for it later."""
    monkeypatch.setattr(writer_module, "STORE_TIMEOUT", 0.2)
    async with listening(database) as at_work:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            assert await at_work.sender.nhanh("inventoryChange", [{"id": 1}]) == 503
        assert at_work.counts.turned_away.total() == 1
        assert await at_work.sender.nhanh("inventoryChange", [{"id": 1}]) == 200
