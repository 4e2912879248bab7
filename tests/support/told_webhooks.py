"""What webhooks tell, put into the inbox as the listener does, and what becomes of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.database.pool import Database
from daemon.inbox import events
from daemon.inbox.events import Arrival, WebhookEvent
from daemon.inbox.topics import TOPICS, EventState, Subject
from daemon.jobs.types import Source
from tests.support.site import eventually
from tests.support.workshop import STORE

IS_OPEN = "SELECT EXISTS (SELECT FROM dongbo.webhook_events WHERE state IN ('WAITING', 'TAKEN'))"
NOTIFY = f"SELECT pg_notify('{events.CHANNEL}', $1)"


def arrival(topic: str, *ids: int, hint: Mapping[str, Any] | None = None, subject: Subject | None = None) -> Arrival:
    """What a delivery about these ids says; of one that is about two kinds of things, `subject` says which is meant."""
    source = Source.SHOPIFY if "/" in topic else Source.NHANH
    meant = subject or TOPICS[source, topic].subjects[0]
    state = EventState.WAITING if meant.concern is not None else EventState.NOTED
    return Arrival(STORE, source, None, topic, meant, ids, hint=hint, state=state)


async def tell(database: Database, arrivals: Sequence[Arrival], *, aloud: bool = True) -> None:
    """Put arrivals into the inbox, and notify the daemons unless that is to be lost."""
    async with database.acquire() as connection:
        await events.insert(connection, arrivals)
        if aloud:
            await connection.execute(NOTIFY, STORE)


async def settled(database: Database, seconds: float = 20.0) -> list[WebhookEvent]:
    """All events, oldest first, once none of them is open."""

    async def all_settled() -> bool:
        async with database.acquire() as connection:
            return not await connection.fetchval(IS_OPEN)

    await eventually(all_settled, seconds, what="the end of all events")
    async with database.acquire() as connection:
        return (await events.list_events(connection, limit=100_000))[::-1]
