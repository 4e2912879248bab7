"""Schedules: list, run now, pause, resume."""

from aiohttp import web

from daemon.api.schedules import Schedule, ScheduleList
from daemon.errors import ScheduleNotFound
from daemon.ids import ScheduleName
from daemon.jobs.model import Job
from daemon.schedules.model import FireResult, ScheduleState
from daemon.status.handlers.jobs import accepted
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.problems import Problem


async def list_schedules(request: web.Request) -> web.Response:
    """All schedules."""
    return json_response(ScheduleList([describe(state) for state in request.app[PARTS].scheduler.states()]))


async def run_schedule(request: web.Request) -> web.Response:
    """Submit a schedule's job now."""
    parts = request.app[PARTS]
    outcome = await parts.scheduler.run_now(_name(request))
    if outcome.result is FireResult.SUBMITTED and outcome.job_id is not None:
        return accepted(await parts.jobs.get(outcome.job_id))
    if outcome.result is FireResult.ALREADY_LIVE:
        detail = outcome.detail or f"A job of this store and type is already live: {outcome.job_id}"
        raise Problem(409, detail, kind="live-job-exists", job_id=outcome.job_id)
    raise Problem(422, outcome.detail or f"The job was not submitted: {outcome.result}", kind="invalid-request")


async def pause_schedule(request: web.Request) -> web.Response:
    """Stop a schedule from firing."""
    name = _name(request)
    await request.app[PARTS].scheduler.pause(name)
    return json_response(describe(_state(request, name)))


async def resume_schedule(request: web.Request) -> web.Response:
    """Let a schedule fire again."""
    name = _name(request)
    await request.app[PARTS].scheduler.resume(name)
    return json_response(describe(_state(request, name)))


def describe(state: ScheduleState) -> Schedule:
    """A schedule and its state, as the API shows it."""
    spec = state.spec
    return Schedule(
        name=spec.name,
        store=spec.store,
        kind=spec.kind,
        cron=spec.expression,
        timezone=str(spec.zone),
        misfire=spec.misfire,
        type=spec.job_type,
        params=dict(spec.params),
        next_fire=state.next_fire,
        last_fire=state.last_fire,
        last_outcome=state.last_outcome,
        last_job_id=state.last_job_id,
        last_detail=state.last_detail,
        paused=state.paused,
    )


def _name(request: web.Request) -> ScheduleName:
    return ScheduleName(request.match_info["name"])


def _state(request: web.Request, name: ScheduleName) -> ScheduleState:
    for state in request.app[PARTS].scheduler.states():
        if state.spec.name == name:
            return state
    raise ScheduleNotFound(f"The schedule {name!r} has just been removed from the configuration")


SCHEDULE_OPERATIONS = (
    Operation(
        "GET",
        "/api/schedules",
        list_schedules,
        "Schedules with their last and next fire",
        {200: Answer("All schedules, in the order of the configuration", ScheduleList)},
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
    ),
    Operation(
        "POST",
        "/api/schedules/{name}/resume",
        resume_schedule,
        "Let a paused schedule fire again; what it missed is not made up",
        {200: Answer("The schedule", Schedule)},
    ),
)
