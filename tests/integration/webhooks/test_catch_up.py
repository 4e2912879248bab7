"""What was missed while nobody listened, or could not be stored, is pulled once."""

from datetime import timedelta

import orjson
import pytest

from daemon.config import ProductSyncSettings
from daemon.ids import StoreName
from daemon.inbox import streams
from daemon.inbox.streams import StreamId
from daemon.jobs.model import JobTrigger
from daemon.jobs.types import JobType, Source
from daemon.serving.addresses import Address
from daemon.webhooks.catch_up import WebhookWatch
from daemon.webhooks.counts import DeliveryCounts
from daemon.webhooks.intake import Intake
from daemon.webhooks.writer import InboxWriter, NotStored
from tests.support.hooks import STORE, TOKEN, webhook_secrets, webhook_settings
from tests.support.workshop import ProductSyncOf, Workshop

MAIN = StoreName("main")
NHANH, SHOPIFY = StreamId(MAIN, Source.NHANH), StreamId(MAIN, Source.SHOPIFY)
NOBODY_LISTENED = "UPDATE dongbo.webhook_streams SET listened_until = listened_until - $1::interval"
ASKED = "SELECT type FROM dongbo.background_jobs WHERE trigger = 'webhook' AND parent_id IS NULL ORDER BY type"


@pytest.fixture
def product_sync_of() -> ProductSyncOf:
    """The store pushes prices."""
    return lambda _: ProductSyncSettings(price="retail")


@pytest.fixture
def intake(workshop: Workshop) -> Intake:
    """It accepts both sides of the workshop's store."""
    counts = DeliveryCounts()
    intake = Intake(InboxWriter(workshop.database, counts), counts)
    settings = webhook_settings({"main": STORE})
    intake.use(settings, webhook_secrets(settings))
    return intake


@pytest.fixture
async def watch(workshop: Workshop, intake: Intake) -> WebhookWatch:
    """It has looked once: the streams are known."""
    watch = WebhookWatch(workshop.database, intake, workshop.parts.jobs)
    await watch.look()
    return watch


async def asked(workshop: Workshop) -> list[str]:
    """The types of the jobs that were asked for."""
    return [row["type"] for row in await workshop.rows(ASKED)]


async def test_the_first_listening_has_missed_nothing(workshop: Workshop, watch: WebhookWatch) -> None:
    """Nor has one that goes on, with a short break."""
    await watch.look()
    await workshop.value(NOBODY_LISTENED, timedelta(minutes=9))
    await watch.look()
    assert await asked(workshop) == []


async def test_after_a_long_gap_everything_is_pulled_once(workshop: Workshop, watch: WebhookWatch) -> None:
    """What both sides tell of products is one chain; of customers each has its own pull."""
    await workshop.value(NOBODY_LISTENED, timedelta(minutes=11))
    await watch.look()
    everything = [JobType.PRODUCT_CHAIN, JobType.PULL_NHANH_CUSTOMERS, JobType.PULL_SHOPIFY_CUSTOMERS]
    assert await asked(workshop) == everything
    await watch.look()
    assert await asked(workshop) == everything
    jobs = await workshop.parts.jobs.list_jobs()
    assert {job.trigger for job in jobs.jobs if job.parent_id is None} == {JobTrigger.WEBHOOK}


async def test_what_was_turned_away_is_pulled(workshop: Workshop, watch: WebhookWatch, intake: Intake) -> None:
    """Of the side that it came from; the count of it is kept."""
    intake.counts.turned_away[NHANH] += 2
    await watch.look()
    assert await asked(workshop) == [JobType.PRODUCT_CHAIN, JobType.PULL_NHANH_CUSTOMERS]
    async with workshop.database.acquire() as connection:
        nhanh, shopify = await streams.list_streams(connection)
    assert (nhanh.turned_away, shopify.turned_away) == (2, 0)
    assert nhanh.caught_up_at is not None
    assert shopify.caught_up_at is None


async def test_what_comes_while_the_daemon_starts_is_repeated(
    workshop: Workshop, watch: WebhookWatch, intake: Intake
) -> None:
    """As what comes while it is not there: not every restart of a busy shop pulls everything."""
    body = orjson.dumps({"event": "inventoryChange", "businessId": 64692, "data": [{"id": 1}]})
    with pytest.raises(NotStored):
        await intake.take_nhanh(MAIN, TOKEN, body, Address("127.0.0.1"))
    await watch.look()
    assert await asked(workshop) == []


async def test_refusals_are_noted_once(workshop: Workshop, watch: WebhookWatch, intake: Intake) -> None:
    """Forgeries are no reason to pull anything."""
    intake.counts.refused[SHOPIFY] += 3
    await watch.look()
    await watch.look()
    intake.counts.refused[SHOPIFY] += 1
    await watch.look()
    async with workshop.database.acquire() as connection:
        _, shopify = await streams.list_streams(connection)
    assert (shopify.refused, await asked(workshop)) == (4, [])
