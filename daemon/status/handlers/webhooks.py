"""Webhooks: how the streams stand, what waits, and the events."""

from aiohttp import web

from daemon.api.webhooks import (
    WaitingWebhooks,
    WebhookEventReport,
    Webhooks,
    WebhooksQuery,
    WebhookStreamReport,
    WebhookTopicReport,
    WebhookTopics,
)
from daemon.conditions.facts import WebhookFacts
from daemon.ids import StoreName
from daemon.inbox import events, streams
from daemon.inbox.events import TopicCount, WebhookEvent
from daemon.inbox.streams import WebhookStream
from daemon.inbox.topics import TOPICS
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.reading import number_cursor, paged, read_number_cursor, read_query

MOST_IDS = 20  # of what an event names


async def list_webhooks(request: web.Request) -> web.Response:
    """The events newest first."""
    query = read_query(request, WebhooksQuery)
    store = StoreName(query.store) if query.store is not None else None
    async with request.app[PARTS].database.reading() as connection:
        facts = WebhookFacts(
            [stream for stream in await streams.list_streams(connection) if store in (None, stream.id.store)],
            [count for count in await events.topic_counts(connection) if store in (None, count.store)],
            [each for each in await events.waiting(connection) if store in (None, each.store)],
        )
        found = await events.list_events(
            connection,
            store=store,
            state=query.state,
            before=read_number_cursor(query.cursor) if query.cursor is not None else None,
            limit=query.limit + 1,
        )
    page, cursor = paged(found, query.limit, lambda event: number_cursor(event.id))
    return json_response(
        Webhooks(
            stream_reports(facts),
            [_topics(stream, facts) for stream in facts.streams],
            [WaitingWebhooks(each.store, each.concern, each.events, each.oldest) for each in facts.waiting],
            [_event(event) for event in page],
            cursor,
        )
    )


def stream_reports(facts: WebhookFacts) -> list[WebhookStreamReport]:
    """How each stream stands."""
    return [_stream(stream, facts) for stream in facts.streams]


def _stream(stream: WebhookStream, facts: WebhookFacts) -> WebhookStreamReport:
    last, counts = facts.last_of(stream.id), facts.counts_of(stream.id)
    return WebhookStreamReport(
        store=stream.id.store,
        source=stream.id.source,
        listened_until=stream.listened_until,
        last_event_at=last.last_received_at if last is not None else None,
        last_topic=last.topic if last is not None else None,
        received=sum(count.received for count in counts),
        repeated=sum(count.repeated for count in counts),
        unknown=sum(count.received for count in counts if not _is_understood(count)),
        refused=stream.refused,
        last_refused_at=stream.last_refused_at,
        turned_away=stream.turned_away,
        caught_up_at=stream.caught_up_at,
    )


def _topics(stream: WebhookStream, facts: WebhookFacts) -> WebhookTopics:
    return WebhookTopics(
        stream.id.store,
        stream.id.source,
        [
            WebhookTopicReport(
                count.topic, count.received, count.repeated, count.last_received_at, _is_understood(count)
            )
            for count in facts.counts_of(stream.id)
        ],
    )


def _is_understood(count: TopicCount) -> bool:
    return (count.source, count.topic) in TOPICS


def _event(event: WebhookEvent) -> WebhookEventReport:
    return WebhookEventReport(
        id=event.id,
        store=event.store,
        source=event.source,
        event_id=event.event_id,
        topic=event.topic,
        subject=event.subject,
        subject_ids=event.subject_ids[:MOST_IDS],
        names=len(event.subject_ids),
        triggered_at=event.triggered_at,
        received_at=event.received_at,
        state=event.state,
        job_id=event.job_id,
        attempts=event.attempts,
        outcome=event.outcome,
        settled_at=event.settled_at,
    )


WEBHOOK_OPERATIONS = (
    Operation(
        "GET",
        "/api/webhooks",
        list_webhooks,
        "What webhooks have told, and what came of it",
        {200: Answer("The streams, and a page of events", Webhooks)},
        query=WebhooksQuery,
    ),
)
