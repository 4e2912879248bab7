"""What the endpoint tells of webhooks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from daemon.database.pool import Database
from daemon.ids import StoreName
from daemon.inbox import events, streams
from daemon.inbox.events import Arrival, TopicId
from daemon.inbox.streams import StreamId, Unaccepted
from daemon.inbox.topics import EventState, Subject
from daemon.jobs.types import Source
from daemon.webhooks.counts import DeliveryCounts

MAIN, OTHER = StoreName("main"), StoreName("other")
STOCK = Arrival(MAIN, Source.NHANH, None, "inventoryChange", Subject.NHANH_PRODUCT, tuple(range(1, 31)))
LEVEL = Arrival(MAIN, Source.SHOPIFY, "1", "inventory_levels/update", Subject.SHOPIFY_ITEM, (30,))
STRANGE = Arrival(
    MAIN, Source.NHANH, None, "invoiceAdd", Subject.NOTHING, state=EventState.NOTED, outcome="nothing depends on it"
)


async def fill(database: Database) -> None:
    """Three events of one store, one of them twice, and one of another store."""
    async with database.acquire() as connection:
        for stream in (StreamId(MAIN, Source.NHANH), StreamId(MAIN, Source.SHOPIFY)):
            await streams.listened(connection, {stream: Unaccepted(refused=2)})
        for arrival in (STOCK, LEVEL, LEVEL, STRANGE, replace(STOCK, store=OTHER)):
            await events.insert(connection, [arrival])


async def test_the_streams_and_what_waits(endpoint: Any, database: Database) -> None:
    """Per side: what came last, repeats, what is not understood, what was refused; and what waits for jobs."""
    await fill(database)
    found = await endpoint.get("/api/webhooks?store=main")
    nhanh, shopify = found["streams"]
    assert (nhanh["source"], nhanh["received"], nhanh["unknown"], nhanh["repeated"]) == ("nhanh", 2, 1, 0)
    assert nhanh["last_topic"] == "invoiceAdd"
    assert (shopify["source"], shopify["received"], shopify["repeated"], shopify["refused"]) == ("shopify", 2, 1, 2)
    assert [(topic["topic"], topic["is_understood"]) for topic in found["topics"][0]["topics"]] == [
        ("inventoryChange", True),
        ("invoiceAdd", False),
    ]
    assert [(each["store"], each["concern"], each["events"]) for each in found["waiting"]] == [("main", "products", 2)]
    status = await endpoint.get("/status")
    assert status["webhooks"] == found["streams"]


async def test_events_page_by_page(endpoint: Any, database: Database) -> None:
    """Newest first; of many ids only some are shown, with how many there are."""
    await fill(database)
    first = await endpoint.get("/api/webhooks?limit=2")
    rest = await endpoint.get(f"/api/webhooks?limit=2&cursor={first['next_cursor']}")
    shown: list[Mapping[str, Any]] = first["events"] + rest["events"]
    assert [event["topic"] for event in shown] == [
        "inventoryChange",
        "invoiceAdd",
        "inventory_levels/update",
        "inventoryChange",
    ]
    assert rest["next_cursor"] is None
    assert (shown[-1]["names"], len(shown[-1]["subject_ids"])) == (30, 20)
    noted = await endpoint.get("/api/webhooks?state=NOTED")
    assert [(event["topic"], event["outcome"]) for event in noted["events"]] == [
        ("invoiceAdd", "nothing depends on it")
    ]
    assert (await endpoint.get("/api/webhooks?store=main&state=WAITING&limit=1"))["events"][0]["id"] == shown[2]["id"]


async def test_metrics_count_what_this_daemon_has_received(open_endpoint: Any, database: Database) -> None:
    """By topic, all that are not understood as one; what waits is of the database."""
    counts = DeliveryCounts()
    counts.received[TopicId(MAIN, Source.NHANH, "inventoryChange")] = 3
    counts.received[TopicId(MAIN, Source.NHANH, "invoiceAdd")] = 1
    counts.received[TopicId(MAIN, Source.NHANH, "billAdd")] = 1
    counts.repeated[TopicId(MAIN, Source.SHOPIFY, "products/update")] = 2
    counts.refused[StreamId(MAIN, Source.SHOPIFY)] = 4
    counts.of_strangers = 5
    await fill(database)
    async with open_endpoint(webhook_counts=counts) as endpoint, endpoint.client.get("/metrics") as answer:
        text = await answer.text()
    samples = {
        (sample.name, *map(sample.labels.get, ("store", "source", "topic"))): sample.value
        for family in text_string_to_metric_families(text)
        if family.name.startswith("dongbo_webhook")
        for sample in family.samples
    }
    oldest = samples.pop(("dongbo_webhook_oldest_waiting_seconds", "main", None, None))
    assert 0 <= oldest < 60
    del samples[("dongbo_webhook_oldest_waiting_seconds", "other", None, None)]
    assert samples == {
        ("dongbo_webhooks_received_total", "main", "nhanh", "inventoryChange"): 3,
        ("dongbo_webhooks_received_total", "main", "nhanh", "other"): 2,
        ("dongbo_webhooks_repeated_total", "main", "shopify", "products/update"): 2,
        ("dongbo_webhooks_refused_total", "main", "shopify", None): 4,
        ("dongbo_webhooks_refused_total", "", "", None): 5,
        ("dongbo_webhook_events_waiting", "main", None, None): 2,
        ("dongbo_webhook_events_waiting", "other", None, None): 1,
    }
