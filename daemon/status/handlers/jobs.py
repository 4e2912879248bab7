"""Jobs: list, look, submit, cancel, approve, reject, retry, prune, and follow."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from aiohttp import hdrs, web

from daemon.api.jobs import (
    EventsQuery,
    JobFilterQuery,
    JobList,
    JobSnapshot,
    JobsPruned,
    JobsQuery,
    PruneBody,
    Pruned,
    PruneQuery,
    RetryBody,
    SubmitBody,
)
from daemon.ids import JobId, ScheduleName, StoreName
from daemon.jobs import actions, listing
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Job, JobRequest, JobSummary, JobTrigger, PruningPlan
from daemon.jobs.results import summarise
from daemon.sales.export import Cell
from daemon.status import examples
from daemon.status.downloads import described, send_csv
from daemon.status.operations import EVENT_STREAM, PARTS, STREAMS, Answer, Operation, accepted, json_response
from daemon.status.reading import (
    job_cursor,
    read_body,
    read_job_cursor,
    read_job_id,
    read_job_ids,
    read_query,
)
from daemon.status.security import CLIENT_HEADER, GUARD

AskedJob = tuple[Job, JobSummary, str | None]  # with the name of whoever asked for it


async def list_jobs(request: web.Request) -> web.Response:
    """Newest first."""
    query = read_query(request, JobsQuery)
    filters, before = _filters(query), read_job_cursor(query.cursor)
    async with request.app[PARTS].database.reading() as connection:
        found = await listing.find(connection, filters, before=before, limit=query.limit)
        summaries = await summarise(connection, found.jobs)
    cursor = job_cursor(found.before) if found.before is not None else None
    return json_response(JobList(found.jobs, summaries, cursor))


async def download_jobs(request: web.Request) -> web.StreamResponse:
    """All that match."""
    filters = _filters(read_query(request, JobFilterQuery))
    return await send_csv(request, "jobs", JOB_COLUMNS, _pages(request, filters), _job_cells)


async def _pages(request: web.Request, filters: JobFilters) -> AsyncIterator[Sequence[AskedJob]]:
    """Each on a connection of its own: a slow reader holds up none."""
    before: JobId | None = None
    while True:
        async with request.app[PARTS].database.acquire() as connection:
            found = await listing.find(connection, filters, before=before, limit=ROWS_AT_ONCE)
            summaries = await summarise(connection, found.jobs)
            askers = await actions.askers_of(connection, [job.id for job in found.jobs])
        yield [(job, summary, askers.get(job.id)) for job, summary in zip(found.jobs, summaries, strict=True)]
        if found.before is None:
            return
        before = found.before


async def get_job(request: web.Request) -> web.Response:
    """One job."""
    return json_response(await request.app[PARTS].jobs.get(read_job_id(request)))


async def submit_job(request: web.Request) -> web.Response:
    """Make a job."""
    body = await read_body(request, SubmitBody)
    trigger = JobTrigger.CLI if request.headers.get(CLIENT_HEADER, "").lower() == "cli" else JobTrigger.API
    job = await request.app[PARTS].jobs.submit(JobRequest(body.type, StoreName(body.store), trigger, body.params))
    return accepted(job)


async def cancel_job(request: web.Request) -> web.Response:
    """Ask a job to stop."""
    return accepted(await request.app[PARTS].jobs.cancel(read_job_id(request)))


async def approve_job(request: web.Request) -> web.Response:
    """Let a job do what it asked about."""
    return accepted(await request.app[PARTS].jobs.approve(read_job_id(request)))


async def reject_job(request: web.Request) -> web.Response:
    """End a job that asks for approval."""
    return json_response(await request.app[PARTS].jobs.reject(read_job_id(request)))


async def retry_job(request: web.Request) -> web.Response:
    """Run a job, or its failed rows, again."""
    job_id = read_job_id(request)
    body = await read_body(request, RetryBody)
    return accepted(await request.app[PARTS].jobs.retry(job_id, failed_rows=body.failed))


async def plan_pruning(request: web.Request) -> web.Response:
    """What deleting old jobs would do."""
    older_than = timedelta(days=read_query(request, PruneQuery).older_than_days)
    return json_response(await request.app[PARTS].jobs.plan_pruning(older_than))


async def prune_jobs(request: web.Request) -> web.Response:
    """Delete old jobs."""
    body = await read_body(request, PruneBody)
    return json_response(Pruned(await request.app[PARTS].jobs.prune(timedelta(days=body.older_than_days))))


async def follow_jobs(request: web.Request) -> web.StreamResponse:
    """The event stream."""
    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type=EVENT_STREAM)
    query = read_query(request, EventsQuery)
    last_event_id = request.headers.get("Last-Event-ID", query.last_event_id)
    return await request.app[STREAMS].serve(request, last_event_id, lambda: request.app[GUARD].may_go_on(request))


def _filters(query: JobFilterQuery) -> JobFilters:
    return JobFilters(
        store=StoreName(query.store) if query.store is not None else None,
        type=query.type,
        status=query.status,
        outcome=query.outcome,
        trigger=query.trigger,
        schedule=ScheduleName(query.schedule) if query.schedule is not None else None,
        only_runs=query.runs,
        parent=JobId(query.parent) if query.parent is not None else None,
        since=query.since,
        until=query.until,
        search=query.search,
        ids=read_job_ids("ids", query.ids) if query.ids is not None else None,
    )


def _job_cells(row: AskedJob) -> Sequence[Cell]:
    job, summary, asked_by = row
    of_job = [getattr(summary if name in OF_SUMMARY else job, name) for name in JOB_COLUMNS[:-1]]
    return [*of_job, asked_by]


ROWS_AT_ONCE = 500  # of a download, by a query
OF_SUMMARY = ("name", "outcome", "text", "unresolved_rows", "repaired_by")
JOB_COLUMNS = (
    "id", "created_at", "store", "type", "name", "trigger", "schedule", "status", "outcome", "text", "started_at",
    "completed_at", "processed", "created", "updated", "skipped", "failed", "unresolved_rows", "repaired_by", "error",
    "asked_by",
)  # fmt: skip
EVENTS = {"snapshot": JobSnapshot, "job": Job, "pruned": JobsPruned}
JOB_OPERATIONS = (
    Operation(
        "GET",
        "/api/jobs",
        list_jobs,
        "Jobs, newest first",
        {200: Answer("A page of jobs", JobList)},
        query=JobsQuery,
    ),
    Operation(
        "GET",
        "/api/jobs.csv",
        download_jobs,
        "Jobs as a table to save, newest first",
        {200: Answer("All that match", texts=described(JOB_COLUMNS), headers=("Content-Disposition",))},
        query=JobFilterQuery,
    ),
    Operation(
        "POST",
        "/api/jobs",
        submit_job,
        "Submit a job",
        {202: Answer("The job", Job, headers=("Location",))},
        own_problems=(409,),
        body=SubmitBody,
        headers={CLIENT_HEADER: 'who asks: "cli" is kept as the job\'s trigger'},
    ),
    Operation(
        "GET",
        "/api/jobs/prune",
        plan_pruning,
        "How many jobs pruning would delete and keep, and why; deletes nothing",
        {200: Answer("The jobs by what would happen to them", PruningPlan)},
        query=PruneQuery,
    ),
    Operation(
        "POST",
        "/api/jobs/prune",
        prune_jobs,
        "Delete jobs that ended long ago, with their dead letters",
        {200: Answer("How many were deleted", Pruned)},
        body=PruneBody,
    ),
    Operation(
        "GET",
        "/api/jobs/{id}",
        get_job,
        "One job",
        {200: Answer("The job", Job)},
    ),
    Operation(
        "POST",
        "/api/jobs/{id}/approve",
        approve_job,
        "Let a job that waits for approval do what it asked about",
        {202: Answer("The job, which runs again", Job, headers=("Location",))},
    ),
    Operation(
        "POST",
        "/api/jobs/{id}/reject",
        reject_job,
        "End a job that waits for approval; nothing that it asked about is done",
        {200: Answer("The job, which has ended", Job)},
    ),
    Operation(
        "POST",
        "/api/jobs/{id}/cancel",
        cancel_job,
        "Cancel a pending job or one that waits for approval at once, a running one at its next checkpoint",
        {202: Answer("The job", Job, headers=("Location",))},
    ),
    Operation(
        "POST",
        "/api/jobs/{id}/retry",
        retry_job,
        "Run a failed or cancelled job again, or make a job of just its failed rows",
        {202: Answer("The job", Job, headers=("Location",))},
        body=RetryBody,
    ),
    Operation(
        "GET",
        "/api/events",
        follow_jobs,
        "Changes of jobs as server-sent events: `snapshot`, then `job`; `pruned` when old jobs were deleted, and "
        "`snapshot` again for a reader that is too slow",
        {200: Answer("The stream", texts={EVENT_STREAM: examples.EVENTS}, events=EVENTS)},
        query=EventsQuery,
        headers={"Last-Event-ID": "continues after this event; with a snapshot only where very much was missed"},
    ),
)
