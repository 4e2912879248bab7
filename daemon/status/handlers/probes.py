"""What monitoring asks: alive, ready, status, metrics."""

import os
from datetime import UTC, datetime

from aiohttp import hdrs, web

from daemon.api.status import (
    Check,
    FleetMember,
    Freshness,
    LeftOut,
    Readiness,
    ReadyQuery,
    ReplicaReport,
    RunningJob,
    Status,
    WaitingJob,
)
from daemon.database.replica import Replica
from daemon.i18n import configured_language
from daemon.ids import WorkerName
from daemon.roles import in_order
from daemon.sales.records import open_sale_of
from daemon.status import examples
from daemon.status.checks import DATABASE_CHECK
from daemon.status.handlers.schedules import describe
from daemon.status.handlers.webhooks import stream_reports
from daemon.status.metrics import CONTENT_TYPE as METRICS_TYPE
from daemon.status.operations import CHECKS, METRICS, PARTS, STREAMS, SURVEYOR, Answer, Operation, json_response
from daemon.status.reading import JSON_TYPE, read_query
from daemon.status.survey import Survey


async def get_livez(_request: web.Request) -> web.Response:
    """Answering at all is the answer: the loop turns."""
    return web.Response(text="ok\n")


async def get_readyz(request: web.Request) -> web.Response:
    """Whether the daemon can do its work."""
    verbose = read_query(request, ReadyQuery).verbose is not None
    checks = await request.app[CHECKS].run()
    ready = all(check.ok for check in checks)
    status = 200 if ready else 503
    if JSON_TYPE in request.headers.get(hdrs.ACCEPT, ""):
        return json_response(Readiness(ready, checks), status)
    lines = [_line(check) for check in checks if verbose or not check.ok]
    return web.Response(status=status, text="\n".join([*lines, "ok" if ready else "not ready", ""]))


async def get_healthz(request: web.Request) -> web.Response:
    """The same by another name."""
    return await get_readyz(request)


async def get_status(request: web.Request) -> web.Response:
    """The daemon at a glance."""
    app, parts = request.app, request.app[PARTS]
    checks = await app[CHECKS].run()
    survey = await _survey(app, checks)
    judgement = parts.conditions.current()
    now = datetime.now(UTC)
    status = Status(
        version=parts.version,
        pid=os.getpid(),
        worker=parts.queue.worker,
        roles=in_order(parts.roles),
        started_at=parts.started_at,
        now=now,
        uptime_seconds=round((now - parts.started_at).total_seconds(), 1),
        timezone=str(parts.zone),
        ready=all(check.ok for check in checks),
        checks=checks,
        running=[RunningJob.of(job) for job in survey.running] if survey else None,
        awaiting_approval=_waiting(survey) if survey else None,
        schedules=[describe(state) for state in parts.scheduler.states()],
        freshness=_freshness(survey, now) if survey else None,
        left_out=_left_out(survey) if survey else None,
        sales=[open_sale_of(sale, parts.sales.clock()) for sale in survey.facts.open_sales] if survey else None,
        sale_clock_problem=parts.sale_clock.clock_problem,
        credentials=parts.credentials(),
        pool=parts.database.usage(),
        replica=_replica(parts.database.replica),
        storage=parts.conditions.storage(),
        notification_lag_seconds=parts.hub.notification_lag,
        subscribers=len(app[STREAMS]),
        stores=sorted(parts.stores()),
        job_types=sorted(parts.job_types),
        clocks=parts.clocks(),
        verdicts=judgement.verdicts,
        conditions=judgement.conditions,
        streams=judgement.streams,
        webhooks=stream_reports(survey.facts.webhooks) if survey else None,
        fleet=_fleet(survey, parts.member()) if survey else None,
        as_of=survey.facts.read_at if survey else None,
        language=configured_language(),
    )
    return json_response(status)


async def get_metrics(request: web.Request) -> web.Response:
    """Figures for Prometheus."""
    app = request.app
    checks = await app[CHECKS].run()
    survey = await _survey(app, checks)
    body = await app[METRICS].scrape(checks, survey)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: METRICS_TYPE})


def _line(check: Check) -> str:
    return f"[{'+' if check.ok else '-'}] {check.name}: {check.detail}"


async def _survey(app: web.Application, checks: list[Check]) -> Survey | None:
    """The survey; None while the database is away, and the conditions know of that."""
    for check in checks:
        if check.name == DATABASE_CHECK and not check.ok:
            app[PARTS].conditions.lose_database(check.detail)
            return None
    return await app[SURVEYOR].survey()


def _replica(replica: Replica | None) -> ReplicaReport | None:
    if replica is None:
        return None
    state = replica.state
    return ReplicaReport(
        standing=state.standing,
        detail=replica.health.detail,
        lag_seconds=state.lag_seconds,
        as_of=state.as_of,
        reads=replica.reads_here,
        reads_at_primary=replica.reads_at_primary,
    )


def _waiting(survey: Survey) -> list[WaitingJob]:
    return [
        WaitingJob(question.job_id, question.store, question.type, question.reason, question.since)
        for question in survey.facts.questions
    ]


def _left_out(survey: Survey) -> list[LeftOut]:
    return [places for places in survey.facts.left_out if places.locations or places.depots]


def _freshness(survey: Survey, now: datetime) -> list[Freshness]:
    return [
        Freshness(store, job_type, at, round((now - at).total_seconds(), 1))
        for store, job_type, at in survey.last_completed
    ]


def _fleet(survey: Survey, own_name: WorkerName | None) -> list[FleetMember]:
    """The daemons but for those that have stopped in order."""
    return [
        FleetMember(
            name=member.name,
            host=member.host,
            version=member.version,
            roles=in_order(member.roles),
            address=member.address,
            started_at=member.started_at,
            seen_at=member.seen_at,
            is_live=member.is_live,
            is_self=member.name == own_name,
            running_jobs=member.running_jobs,
            lanes=member.lanes,
            takes_no_jobs_since=member.takes_no_jobs_since,
            clock_offset_seconds=member.clock_offset,
        )
        for member in survey.facts.fleet
        if member.left_at is None
    ]


TEXT = "text/plain"
READY_ANSWERS = {
    200: Answer("Ready; as JSON where Accept names it", Readiness, {TEXT: examples.LIVE}, prefers_text=True),
    503: Answer("Not ready, with reasons", Readiness, {TEXT: examples.NOT_READY}, prefers_text=True),
}
PROBE_OPERATIONS = (
    Operation(
        "GET",
        "/livez",
        get_livez,
        "Whether the process is alive",
        {200: Answer("It does", texts={TEXT: examples.LIVE})},
        is_open=True,
    ),
    Operation(
        "GET",
        "/readyz",
        get_readyz,
        "Whether the daemon can do its work: database, schema, listener, and what its roles need: scheduler, worker",
        READY_ANSWERS,
        query=ReadyQuery,
        is_open=True,
    ),
    Operation("GET", "/healthz", get_healthz, "The same as /readyz", READY_ANSWERS, query=ReadyQuery, is_open=True),
    Operation("GET", "/status", get_status, "The daemon at a glance", {200: Answer("The daemon", Status)}),
    Operation(
        "GET",
        "/metrics",
        get_metrics,
        "Figures for Prometheus",
        {200: Answer("Prometheus' text format", texts={TEXT: examples.METRICS})},
        is_open=True,
    ),
)
