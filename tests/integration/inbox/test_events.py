"""What webhooks have told, until a job has dealt with it."""

from dataclasses import replace
from datetime import timedelta

from daemon.database.pool import Database
from daemon.ids import JobId, StoreName, new_job_id
from daemon.inbox import events
from daemon.inbox.events import Arrival, InsertedCounts, TopicId
from daemon.inbox.topics import Concern, EventState, Subject
from daemon.jobs.types import Source

MAIN = StoreName("main")
STOCK = Arrival(MAIN, Source.NHANH, None, "inventoryChange", Subject.NHANH_PRODUCT, (1, 2))
LEVEL = Arrival(
    MAIN,
    Source.SHOPIFY,
    "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    "inventory_levels/update",
    Subject.SHOPIFY_ITEM,
    (30,),
    hint={"location_id": 4, "available": 6},
)
CUSTOMER = Arrival(MAIN, Source.NHANH, None, "orderAdd", Subject.NHANH_CUSTOMER, (7,), is_first=False)
TEST = Arrival(MAIN, Source.NHANH, None, "webhooksEnabled", Subject.NOTHING, state=EventState.NOTED, outcome="a test")
LIVE_JOB = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, trigger, params, max_attempts, status)
VALUES ($1::uuid, 'main', 'NOOP', 'noop', 'webhook', jsonb_build_object('id', $1::uuid), 5, 'PENDING')
"""


async def insert(database: Database, *arrivals: Arrival) -> InsertedCounts:
    """Let these arrive together."""
    async with database.acquire() as connection:
        return await events.insert(connection, arrivals)


async def take(database: Database, job: JobId, concern: Concern = Concern.PRODUCTS, limit: int = 10) -> list[int]:
    """The ids of what a job takes."""
    async with database.acquire() as connection:
        return [event.id for event in await events.take(connection, MAIN, concern, job, limit)]


async def make_job(database: Database) -> JobId:
    """A job that has not ended."""
    job = new_job_id()
    async with database.acquire() as connection:
        await connection.execute(LIVE_JOB, job)
    return job


async def test_a_repeat_is_counted_and_not_stored(database: Database) -> None:
    """Shopify delivers at least once: the id of a delivery decides, within one statement and over several."""
    level = TopicId(MAIN, Source.SHOPIFY, LEVEL.topic)
    assert await insert(database, LEVEL, STOCK, LEVEL) == InsertedCounts(2, {level: 1})
    assert await insert(database, LEVEL) == InsertedCounts(0, {level: 1})
    assert await insert(database, STOCK) == InsertedCounts(1, {})  # without an id it may be another
    assert await insert(database, replace(LEVEL, store=StoreName("other"))) == InsertedCounts(1, {})
    async with database.acquire() as connection:
        counts = await events.topic_counts(connection)
    assert [(count.store, count.topic, count.received, count.repeated) for count in counts] == [
        ("main", "inventoryChange", 2, 0),
        ("main", "inventory_levels/update", 3, 2),
        ("other", "inventory_levels/update", 1, 0),
    ]


async def test_an_order_is_one_delivery_of_two_rows(database: Database) -> None:
    """It moves stock and a customer's total: jobs of either kind take their own."""
    order = replace(STOCK, topic="orderAdd")
    assert await insert(database, order, CUSTOMER) == InsertedCounts(2, {})
    job = await make_job(database)
    assert len(await take(database, job)) == 1
    assert len(await take(database, job, Concern.CUSTOMERS)) == 1
    async with database.acquire() as connection:
        [count] = await events.topic_counts(connection)
    assert (count.topic, count.received) == ("orderAdd", 1)


async def test_a_job_takes_the_oldest_and_another_job_the_rest(database: Database) -> None:
    """What is taken is nobody else's, and the job sees it again after a restart."""
    for _ in range(5):
        await insert(database, STOCK)
    one, other = await make_job(database), await make_job(database)
    first = await take(database, one, limit=2)
    assert len(first) == 2
    rest = await take(database, other)
    assert len(rest) == 3
    assert max(first) < min(rest)
    async with database.acquire() as connection:
        taken = await events.take(connection, MAIN, Concern.PRODUCTS, one)
        again = await events.taken_by(connection, one)
    assert [event.id for event in taken] == [event.id for event in again] == first
    assert taken[0].subject_ids == (1, 2)
    assert {event.attempts for event in taken} == {1}


async def test_stock_does_not_wait_for_many_products(database: Database) -> None:
    """A few hundred products that somebody has edited at Shopify are read over several rounds."""
    products = [
        replace(LEVEL, event_id=str(n), topic="products/update", subject=Subject.SHOPIFY_PRODUCT, subject_ids=(n,))
        for n in range(2 * events.MOST_WHOLE + 1)
    ]
    await insert(database, *products)
    await insert(database, STOCK)
    job = await make_job(database)
    taken = await take(database, job, limit=2_000)
    assert len(taken) == events.MOST_WHOLE + 1
    assert max(taken) == len(products) + 1  # the stock, which came last
    assert len(await take(database, await make_job(database), limit=2_000)) == events.MOST_WHOLE


async def test_what_an_ended_job_had_taken_is_taken_by_the_next(database: Database) -> None:
    """A job that failed leaves nothing behind; one that is live keeps what it has."""
    await insert(database, STOCK)
    failed = await make_job(database)
    [event] = await take(database, failed)
    later = await make_job(database)
    assert await take(database, later) == []
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE dongbo.background_jobs SET status = 'FAILED', completed_at = now() WHERE id = $1", failed
        )
        [taken] = await events.take(connection, MAIN, Concern.PRODUCTS, later)
    assert (taken.id, taken.attempts) == (event, 2)


async def test_two_jobs_at_once_never_take_the_same(database: Database) -> None:
    """What one has just chosen, without having committed, the other passes over without waiting."""
    for _ in range(4):
        await insert(database, STOCK)
    one, other = await make_job(database), await make_job(database)
    async with database.acquire() as first, first.transaction():
        taken = await events.take(first, MAIN, Concern.PRODUCTS, one, 3)
        assert len(await take(database, other)) == 1
    assert len(taken) == 3


async def test_settled_events_wait_no_longer(database: Database) -> None:
    """What is settled is settled once; what is released waits again, and counts as taken anew."""
    for _ in range(3):
        await insert(database, STOCK)
    job = await make_job(database)
    done, failed, released = await take(database, job)
    async with database.acquire() as connection:
        await events.settle(connection, {done: (EventState.DONE, None), failed: (EventState.FAILED, "no such product")})
        await events.settle(connection, {failed: (EventState.DONE, None)})
        await events.release(connection, [done, released])
        [waiting] = await events.waiting(connection)
        of_job = await events.of_job(connection, job)
    assert (waiting.store, waiting.concern, waiting.events) == ("main", Concern.PRODUCTS, 1)
    assert [(event.state, event.outcome) for event in of_job] == [
        (EventState.DONE, None),
        (EventState.FAILED, "no such product"),
    ]
    assert await take(database, await make_job(database)) == [released]


async def test_what_needs_no_job_is_noted_and_never_taken(database: Database) -> None:
    """A test of the address is kept with its outcome."""
    await insert(database, TEST)
    async with database.acquire() as connection:
        assert await events.waiting(connection) == []
        [event] = await events.list_events(connection)
    assert (event.state, event.outcome, event.settled_at is not None) == (EventState.NOTED, "a test", True)
    assert await take(database, await make_job(database)) == []


async def test_events_are_listed_newest_first_page_by_page(database: Database) -> None:
    """All of them, those of a store, and those of a state."""
    for arrival in (STOCK, LEVEL, TEST, replace(STOCK, store=StoreName("other"))):
        await insert(database, arrival)
    async with database.acquire() as connection:
        everything = await events.list_events(connection)
        page = await events.list_events(connection, before=everything[1].id, limit=1)
        of_store = await events.list_events(connection, store=MAIN)
        noted = await events.list_events(connection, state=EventState.NOTED)
        waiting = await events.list_events(connection, store=MAIN, state=EventState.WAITING, limit=1)
    assert [event.topic for event in everything] == [
        "inventoryChange",
        "webhooksEnabled",
        "inventory_levels/update",
        "inventoryChange",
    ]
    assert page == everything[2:3]
    assert of_store == everything[1:]
    assert noted == everything[1:2]
    assert waiting == everything[2:3]


async def test_only_what_was_settled_long_ago_is_pruned(database: Database) -> None:
    """What waits stays, however old."""
    await insert(database, STOCK, TEST)
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE dongbo.webhook_events SET received_at = received_at - interval '9 days',"
            " settled_at = settled_at - interval '8 days'"
        )
        await insert(database, TEST)
        await events.prune(connection, timedelta(days=7))
        left = await events.list_events(connection)
    assert [(event.topic, event.state) for event in left] == [
        ("webhooksEnabled", EventState.NOTED),
        ("inventoryChange", EventState.WAITING),
    ]
