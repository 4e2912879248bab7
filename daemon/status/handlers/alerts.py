"""Who is told what is not right: list, test."""

from aiohttp import web

from daemon.alerts import store
from daemon.alerts.channel import Channel
from daemon.alerts.delivery import service_of
from daemon.alerts.heartbeat import Heartbeat
from daemon.alerts.store import Told
from daemon.alerts.telling import Trial
from daemon.api.alerts import (
    AlertChannel,
    AlertList,
    AlertTest,
    AlertTestBody,
    AlertTests,
    HeartbeatState,
    SentAlert,
)
from daemon.api.conditions import ConditionSeverity
from daemon.api.fields import PageQuery
from daemon.conditions.facts import ChannelReport
from daemon.i18n import gettext as _
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.problems import Problem
from daemon.status.reading import number_cursor, paged, read_body, read_number_cursor, read_query


async def list_alerts(request: web.Request) -> web.Response:
    """The channels, and what they have been told."""
    query = read_query(request, PageQuery)
    parts = request.app[PARTS]
    before = read_number_cursor(query.cursor) if query.cursor is not None else None
    async with parts.database.acquire() as connection:
        found = await store.list_recent(connection, before=before, limit=query.limit + 1)
    page, cursor = paged(found, query.limit, lambda told: number_cursor(told.id))
    channels = zip(parts.alerts.channels, parts.alerts.reports(), strict=True)
    return json_response(
        AlertList(
            [_channel(channel, report) for channel, report in channels],
            _heartbeat(parts.heartbeat),
            [_alert(told) for told in page],
            cursor,
        )
    )


async def test_alerts(request: web.Request) -> web.Response:
    """Send a test message, and say what came of it."""
    name = (await read_body(request, AlertTestBody)).channel
    alerts = request.app[PARTS].alerts
    names = [channel.name for channel in alerts.channels]
    if name is not None and name not in names:
        raise Problem(
            422,
            _("The configuration has no such channel: it has {channels}").format(
                channels=", ".join(names) or _("none")
            ),
        )
    return json_response(AlertTests([_test(trial) for trial in await alerts.test(name)]))


def _channel(channel: Channel, report: ChannelReport) -> AlertChannel:
    settings = channel.settings
    return AlertChannel(
        name=channel.name,
        service=service_of(channel.url),
        stores=settings.stores,
        severity=ConditionSeverity(settings.severity),
        conditions=settings.conditions,
        after_minutes=settings.after_minutes,
        quiet_hours=settings.quiet_hours,
        bad_in_quiet_hours=settings.bad_in_quiet_hours,
        language=channel.language,
        works=report.works,
        failing_since=report.failing_since,
        problem=report.problem,
    )


def _heartbeat(heartbeat: Heartbeat) -> HeartbeatState | None:
    for report in heartbeat.reports():
        return HeartbeatState(
            called_at=heartbeat.called_at,
            held_back=heartbeat.held_back,
            works=report.works,
            failing_since=report.failing_since,
            problem=report.problem,
        )
    return None


def _alert(told: Told) -> SentAlert:
    return SentAlert(
        id=told.id,
        channel=told.channel,
        condition=told.condition,
        store=told.store,
        severity=told.severity,
        text=told.text,
        since=told.since,
        told_at=told.told_at,
        problem=told.problem,
        closed_at=told.closed_at,
    )


def _test(trial: Trial) -> AlertTest:
    outcome = trial.outcome
    return AlertTest(
        trial.channel.name, service_of(trial.channel.url), outcome.went, outcome.answer, round(trial.seconds, 1)
    )


ALERT_OPERATIONS = (
    Operation(
        "GET",
        "/api/alerts",
        list_alerts,
        "Who is told what is not right, and what they have been told, newest first",
        {200: Answer("The channels, and a page of what was told", AlertList)},
        query=PageQuery,
    ),
    Operation(
        "POST",
        "/api/alerts/test",
        test_alerts,
        "Send a test message by one channel, or by all",
        {200: Answer("What came of it, by channel", AlertTests)},
        body=AlertTestBody,
    ),
)
