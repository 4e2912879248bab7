"""Schedules: list, look, what came of their fires, run now, pause, resume."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from daemon.api.schedules import (
    FireList,
    FiresQuery,
    Schedule,
    ScheduleFire,
    ScheduleList,
    ScheduleOverview,
    ScheduleRun,
    SchedulesQuery,
)
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import JobId, ScheduleName
from daemon.jobs import store
from daemon.jobs.model import Job, JobSummary
from daemon.jobs.results import TONES, summarise
from daemon.jobs.types import JobType
from daemon.jobs.words import job_name, outcome_name
from daemon.schedules import fires
from daemon.schedules.model import FireRecord, FireResult, ScheduleState
from daemon.schedules.runs import NewestRuns, newest_runs
from daemon.schedules.words import in_words
from daemon.status.operations import PARTS, Answer, Operation, accepted, json_response
from daemon.status.problems import Problem
from daemon.status.reading import number_cursor, paged, read_number_cursor, read_query

FIRES_SHOWN = 5
AT_ONCE = 50  # schedules that are described between two turns of the loop
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def list_schedules(request: web.Request) -> web.Response:
    """Schedules, with how their runs went."""
    query = read_query(request, SchedulesQuery)
    skip = read_number_cursor(query.cursor)
    states = request.app[PARTS].scheduler.states()[skip : skip + query.limit + 1]
    page, cursor = paged(states, query.limit, lambda _state: number_cursor(skip + query.limit))
    return json_response(ScheduleList(await _overviews(request, page), cursor))


async def get_schedule(request: web.Request) -> web.Response:
    """One schedule, with how its runs went."""
    (overview,) = await _overviews(request, [request.app[PARTS].scheduler.state(_name(request))])
    return json_response(overview)


async def list_fires(request: web.Request) -> web.Response:
    """When a schedule fired, and what came of it."""
    query = read_query(request, FiresQuery)
    parts = request.app[PARTS]
    spec = parts.scheduler.state(_name(request)).spec
    before = None if query.cursor is None else _time_of(read_number_cursor(query.cursor))
    async with parts.database.reading() as connection:
        found = await fires.list_fires(connection, spec, before=before, limit=query.limit + 1)
        page, cursor = paged(found, query.limit, lambda fire: number_cursor(_microseconds(fire.fire_time)))
        summaries = await _summaries(connection, [fire.job_id for fire in page if fire.job_id is not None])
    return json_response(FireList([_fire(fire, summaries) for fire in page], cursor))


async def run_schedule(request: web.Request) -> web.Response:
    """Submit a schedule's job now."""
    parts = request.app[PARTS]
    outcome = await parts.scheduler.run_now(_name(request))
    if outcome.result is FireResult.SUBMITTED and outcome.job_id is not None:
        return accepted(await parts.jobs.get(outcome.job_id))
    if outcome.result is FireResult.ALREADY_LIVE:
        detail = outcome.detail or _("A job of this store and type is already live: {job_id}").format(
            job_id=outcome.job_id
        )
        raise Problem(409, detail, kind="live-job-exists", job_id=outcome.job_id)
    raise Problem(
        422,
        outcome.detail or _("The job was not submitted: {result}").format(result=outcome.result),
        kind="invalid-request",
    )


async def pause_schedule(request: web.Request) -> web.Response:
    """Stop a schedule from firing."""
    scheduler, name = request.app[PARTS].scheduler, _name(request)
    await scheduler.pause(name)
    return json_response(describe(scheduler.state(name)))


async def resume_schedule(request: web.Request) -> web.Response:
    """Let a schedule fire again."""
    scheduler, name = request.app[PARTS].scheduler, _name(request)
    await scheduler.resume(name)
    return json_response(describe(scheduler.state(name)))


def describe(state: ScheduleState) -> Schedule:
    """A schedule and its state, as the API shows it."""
    return Schedule(**_members(state))


async def _overviews(request: web.Request, states: Sequence[ScheduleState]) -> list[ScheduleOverview]:
    parts = request.app[PARTS]
    async with parts.database.reading() as connection:
        runs = await newest_runs(connection, [state.spec for state in states])
        summaries = await _summaries(connection, [of_one.runs[0].job_id for of_one in runs if of_one.runs])
    overviews = []
    for state, newest in zip(states, runs, strict=True):
        overviews.append(_overview(state, newest, summaries, parts.scheduler.next_fires(state.spec.name, FIRES_SHOWN)))
        if len(overviews) % AT_ONCE == 0:
            await asyncio.sleep(0)
    return overviews


def _overview(
    state: ScheduleState, newest: NewestRuns, summaries: Mapping[UUID, JobSummary], next_fires: Sequence[datetime]
) -> ScheduleOverview:
    return ScheduleOverview(
        **_members(state),
        type_name=job_name(JobType(state.spec.job_type)),
        last_result=summaries.get(newest.runs[0].job_id) if newest.runs else None,
        last_ten=[
            ScheduleRun(run.job_id, run.asked_at, TONES[run.outcome], outcome_name(run.outcome)) for run in newest.runs
        ],
        usual_seconds=newest.usual_seconds,
        next_fires=next_fires,
    )


def _members(state: ScheduleState) -> dict[str, Any]:
    """Those of a `Schedule`."""
    spec = state.spec
    return {
        "name": spec.name,
        "store": spec.store,
        "kind": spec.kind,
        "cron": spec.expression,
        "words": in_words(spec.expression),
        "is_preset": spec.is_preset,
        "timezone": str(spec.zone),
        "misfire": spec.misfire,
        "type": spec.job_type,
        "params": dict(spec.params),
        "next_fire": state.next_fire,
        "last_fire": state.last_fire,
        "last_outcome": state.last_outcome,
        "last_job_id": state.last_job_id,
        "last_detail": state.last_detail,
        "paused": state.paused,
    }


def _fire(fire: FireRecord, summaries: Mapping[UUID, JobSummary]) -> ScheduleFire:
    return ScheduleFire(
        fire_time=fire.fire_time,
        fired_at=fire.fired_at,
        outcome=fire.outcome,
        detail=fire.detail,
        job_id=fire.job_id,
        summary=summaries.get(fire.job_id) if fire.job_id is not None else None,
    )


async def _summaries(connection: Connection, job_ids: Sequence[JobId]) -> dict[UUID, JobSummary]:
    """What came of those of the jobs that are still there."""
    jobs = await store.get_many(connection, job_ids)
    return {summary.job_id: summary for summary in await summarise(connection, jobs)}


def _name(request: web.Request) -> ScheduleName:
    return ScheduleName(request.match_info["name"])


def _microseconds(moment: datetime) -> int:
    """Since 1970; a cursor holds no fire times before."""
    return max((moment - EPOCH) // timedelta(microseconds=1), 0)


def _time_of(microseconds: int) -> datetime:
    """The last moment there is where the number is of none: every fire comes before that, too."""
    return EPOCH + timedelta(microseconds=min(microseconds, _microseconds(LAST_MOMENT)))


SCHEDULE_OPERATIONS = (
    Operation(
        "GET",
        "/api/schedules",
        list_schedules,
        "Schedules with their last results and next fires",
        {200: Answer("A page of schedules, in the order of the configuration", ScheduleList)},
        query=SchedulesQuery,
    ),
    Operation(
        "GET",
        "/api/schedules/{name}",
        get_schedule,
        "A schedule with its last results and next fires",
        {200: Answer("The schedule", ScheduleOverview)},
    ),
    Operation(
        "GET",
        "/api/schedules/{name}/history",
        list_fires,
        "When a schedule fired, and what came of it",
        {200: Answer("A page of fires, newest first", FireList)},
        query=FiresQuery,
    ),
    Operation(
        "POST",
        "/api/schedules/{name}/run",
        run_schedule,
        "Submit the schedule's job now, even if it is paused",
        {202: Answer("The job", Job, headers=("Location",))},
        own_problems=(409, 422),
    ),
    Operation(
        "POST",
        "/api/schedules/{name}/pause",
        pause_schedule,
        "Stop the schedule from firing, on all daemons and even after a restart",
        {200: Answer("The schedule", Schedule)},
        own_problems=(409,),
    ),
    Operation(
        "POST",
        "/api/schedules/{name}/resume",
        resume_schedule,
        "Let a paused schedule fire again; what it missed is not made up",
        {200: Answer("The schedule", Schedule)},
        own_problems=(409,),
    ),
)
