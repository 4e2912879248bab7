"""One job: its story, its failed rows, its pushes, its log, and running it again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from aiohttp import web

from daemon.api.fields import PageQuery
from daemon.api.jobs import (
    FailureFilterQuery,
    FailureGroupList,
    FailureList,
    FailuresQuery,
    JobLogLine,
    JobLogPage,
    JobParent,
    JobStory,
)
from daemon.api.pushes import (
    Push,
    PushesQuery,
    PushFilterQuery,
    PushGroupList,
    PushKind,
    PushList,
)
from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.jobs import actions, approvals, attempts, failures, log_lines, pace, store
from daemon.jobs.log_words import line_text
from daemon.jobs.model import Job, JobFailure, JobTrigger
from daemon.jobs.results import summarise
from daemon.jobs.types import JobType
from daemon.jobs.words import job_name
from daemon.mirror.names import NamedRows, RowName, locations_of, names_of
from daemon.sales.export import Cell
from daemon.status.downloads import described, send_csv
from daemon.status.handlers.actions import shown
from daemon.status.operations import PARTS, Answer, Operation, accepted, json_response
from daemon.status.reading import number_cursor, paged, read_job_id, read_number_cursor, read_query
from daemon.status.security import CLIENT_HEADER
from daemon.sync import pushes
from daemon.sync.pushes import RecordedPush

T = TypeVar("T", JobFailure, Push)

ROWS_AT_ONCE = 500  # of a download, by a query
UNKNOWN = RowName(None, None)
# What the failed rows of a type of job are.
ROWS_OF: Mapping[JobType, NamedRows] = {
    JobType.PULL_NHANH_PRODUCTS: NamedRows.NHANH_PRODUCTS,
    JobType.PULL_NHANH_INVENTORY: NamedRows.NHANH_PRODUCTS,
    JobType.PULL_NHANH_CUSTOMERS: NamedRows.NHANH_CUSTOMERS,
    JobType.PULL_SHOPIFY_PRODUCTS: NamedRows.SHOPIFY_PRODUCTS,
    JobType.PULL_SHOPIFY_CUSTOMERS: NamedRows.SHOPIFY_CUSTOMERS,
    JobType.SYNC_PRODUCTS: NamedRows.VARIANTS,
    JobType.SYNC_CUSTOMERS: NamedRows.SHOPIFY_CUSTOMERS,
    JobType.SYNC_CHANGED_PRODUCTS: NamedRows.VARIANTS,
    JobType.SYNC_CHANGED_CUSTOMERS: NamedRows.SHOPIFY_CUSTOMERS,
    JobType.APPLY_SALE: NamedRows.VARIANTS,
    JobType.REVERT_SALE: NamedRows.VARIANTS,
}
OF_CUSTOMERS = (PushKind.METAFIELD, PushKind.TAGS)


async def get_story(request: web.Request) -> web.Response:
    """All that happened to it."""
    job = await request.app[PARTS].jobs.get(read_job_id(request))
    async with request.app[PARTS].database.reading() as connection:
        (summary,) = await summarise(connection, [job])
        done = await actions.list_of_job(connection, job.store, job.id)
        question = await approvals.latest_of(connection, job.id)
        story = JobStory(
            job=job,
            summary=summary,
            attempts=await attempts.list_attempts(connection, job.id),
            actions=[shown(action) for action in reversed(done)],
            pace=await pace.list_points(connection, job.id, job.started_at),
            approval_id=question.id if question is not None else None,
            parent=await _parent(connection, job),
            schedule=job.schedule,
        )
    return json_response(story)


async def run_again(request: web.Request) -> web.Response:
    """A new job for the same work."""
    trigger = JobTrigger.CLI if request.headers.get(CLIENT_HEADER, "").lower() == "cli" else JobTrigger.API
    return accepted(await request.app[PARTS].jobs.again(read_job_id(request), trigger))


async def list_log(request: web.Request) -> web.Response:
    """What was logged."""
    query = read_query(request, PageQuery)
    job = await request.app[PARTS].jobs.get(read_job_id(request))
    async with request.app[PARTS].database.reading() as connection:
        found = await log_lines.list_lines(
            connection, job.id, after=read_number_cursor(query.cursor), limit=query.limit + 1
        )
    page, cursor = paged(found, query.limit, lambda line: number_cursor(line.id))
    lines = [
        JobLogLine(line.id, line.at, line.level, line.event, line_text(line.event, line.fields), line.fields)
        for line in page
    ]
    return json_response(JobLogPage(lines, cursor))


# ── Failed rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_failures(request: web.Request) -> web.Response:
    """A page of dead letters."""
    query = read_query(request, FailuresQuery)
    found = await _read_failures(request, query)(read_number_cursor(query.cursor), query.limit + 1)
    page, cursor = paged(found, query.limit, lambda failure: number_cursor(failure.id))
    return json_response(FailureList(page, cursor))


async def list_failure_groups(request: web.Request) -> web.Response:
    """The reasons."""
    job = await request.app[PARTS].jobs.get(read_job_id(request))
    async with request.app[PARTS].database.reading() as connection:
        return json_response(FailureGroupList(await failures.list_groups(connection, job.id)))


async def download_failures(request: web.Request) -> web.StreamResponse:
    """All of them."""
    read = _read_failures(request, read_query(request, FailureFilterQuery))
    return await send_csv(
        request, f"job-{read_job_id(request)}-failures", FAILURE_COLUMNS, _all(read), _cells(FAILURE_COLUMNS)
    )


def _read_failures(
    request: web.Request, query: FailureFilterQuery
) -> Callable[[int, int], Awaitable[Sequence[JobFailure]]]:
    """What reads dead letters after an id, so many, with their names."""
    parts, job_id = request.app[PARTS], read_job_id(request)

    async def read(after: int, limit: int) -> Sequence[JobFailure]:
        found = await parts.jobs.list_failures(job_id, reason=query.reason, after=after, limit=limit)
        job = await parts.jobs.get(job_id)
        async with parts.database.acquire() as connection:
            rows = ROWS_OF.get(job.type)
            ids = {number for each in found if (number := _number(each.source_id)) is not None}
            names = await names_of(connection, job.store, rows, ids) if rows is not None else {}
        return [_called(each, names) for each in found]

    return read


def _called(failure: JobFailure, names: Mapping[int, RowName]) -> JobFailure:
    number = _number(failure.source_id)
    name = names.get(number, UNKNOWN) if number is not None else UNKNOWN
    return replace(failure, sku=name.sku, name=name.name)


def _number(source_id: str | None) -> int | None:
    """The id as a number; None for one that no row of the mirror has."""
    is_id = source_id is not None and source_id.isascii() and source_id.isdigit() and len(source_id) <= 18
    return int(source_id) if source_id is not None and is_id else None


# ── Pushes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_pushes(request: web.Request) -> web.Response:
    """A page of pushes."""
    query = read_query(request, PushesQuery)
    found = await _read_pushes(request, query)(read_number_cursor(query.cursor), query.limit + 1)
    page, cursor = paged(found, query.limit, lambda push: number_cursor(push.id))
    return json_response(PushList(page, cursor))


async def list_push_groups(request: web.Request) -> web.Response:
    """By kind, result and detail."""
    job = await request.app[PARTS].jobs.get(read_job_id(request))
    async with request.app[PARTS].database.reading() as connection:
        return json_response(PushGroupList(await pushes.list_groups(connection, job.id)))


async def download_pushes(request: web.Request) -> web.StreamResponse:
    """All of them."""
    read = _read_pushes(request, read_query(request, PushFilterQuery))
    return await send_csv(request, f"job-{read_job_id(request)}-pushes", PUSH_COLUMNS, _all(read), _cells(PUSH_COLUMNS))


def _read_pushes(request: web.Request, query: PushFilterQuery) -> Callable[[int, int], Awaitable[Sequence[Push]]]:
    """What reads pushes after an id, so many, with the names of what they are about."""
    parts, job_id = request.app[PARTS], read_job_id(request)

    async def read(after: int, limit: int) -> Sequence[Push]:
        job = await parts.jobs.get(job_id)
        async with parts.database.acquire() as connection:
            found = await pushes.list_of_job(
                connection,
                job_id,
                kind=query.kind,
                result=query.result,
                detail=query.detail,
                after=after,
                limit=limit,
            )
            return await _named(connection, job, found)

    return read


async def _named(connection: Connection, job: Job, found: Sequence[RecordedPush]) -> Sequence[Push]:
    customers = {each.push.owner_id for each in found if each.push.kind in OF_CUSTOMERS}
    variants = {each.push.owner_id for each in found if each.push.kind not in OF_CUSTOMERS}
    places = {each.push.location_id for each in found if each.push.location_id is not None}
    of_customers = await names_of(connection, job.store, NamedRows.SHOPIFY_CUSTOMERS, customers)
    of_variants = await names_of(connection, job.store, NamedRows.VARIANTS, variants)
    locations = await locations_of(connection, job.store, places)
    return [_push(each, of_customers if each.push.kind in OF_CUSTOMERS else of_variants, locations) for each in found]


def _push(recorded: RecordedPush, names: Mapping[int, RowName], locations: Mapping[int, str]) -> Push:
    push = recorded.push
    name = names.get(push.owner_id, UNKNOWN)
    return Push(
        id=recorded.id,
        job_id=recorded.job_id,
        kind=push.kind,
        owner_id=push.owner_id,
        item_id=push.item_id,
        location_id=push.location_id,
        name=push.name,
        old_value=push.old_value,
        new_value=push.new_value,
        reason=push.reason,
        rule=push.rule,
        result=recorded.result,
        detail=recorded.detail,
        intended_at=recorded.intended_at,
        settled_at=recorded.settled_at,
        sku=name.sku,
        title=name.name,
        location_name=locations.get(push.location_id) if push.location_id is not None else None,
    )


# ── Common to both ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _parent(connection: Connection, job: Job) -> JobParent | None:
    parent = await store.get(connection, JobId(job.parent_id)) if job.parent_id is not None else None
    return JobParent(parent.id, parent.type, job_name(parent.type)) if parent is not None else None


async def _all(read: Callable[[int, int], Awaitable[Sequence[T]]]) -> AsyncIterator[Sequence[T]]:
    """Page by page, each on a connection of its own: a slow reader holds up none."""
    after = 0
    while True:
        page = await read(after, ROWS_AT_ONCE)
        yield page
        if len(page) < ROWS_AT_ONCE:
            return
        after = page[-1].id


def _cells(columns: Collection[str]) -> Callable[[object], Sequence[Cell]]:
    return lambda row: [getattr(row, name) for name in columns]


FAILURE_COLUMNS = ("id", "source_id", "sku", "name", "reason", "created_at", "resolved_at", "payload")
PUSH_COLUMNS = tuple(field.name for field in fields(Push) if field.name != "job_id")
NAMED_FILE = ("Content-Disposition",)
JOB_DETAIL_OPERATIONS = (
    Operation(
        "GET",
        "/api/jobs/{id}/story",
        get_story,
        "One job with its attempts, what people did to it, and its pace",
        {200: Answer("The story", JobStory)},
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/failures",
        list_failures,
        "Rows that a job could not store, oldest first",
        {200: Answer("A page of dead letters", FailureList)},
        query=FailuresQuery,
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/failure-groups",
        list_failure_groups,
        "Why rows of a job failed, and how many for each reason",
        {200: Answer("The reasons", FailureGroupList)},
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/failures.csv",
        download_failures,
        "Rows that a job could not store, as a table to save",
        {200: Answer("All that match", texts=described(FAILURE_COLUMNS), headers=NAMED_FILE)},
        query=FailureFilterQuery,
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/pushes",
        list_pushes,
        "What a job has pushed to Shopify, oldest first",
        {200: Answer("A page of pushes", PushList)},
        query=PushesQuery,
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/push-groups",
        list_push_groups,
        "What a job has pushed to Shopify by kind, result and detail",
        {200: Answer("The groups", PushGroupList)},
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/pushes.csv",
        download_pushes,
        "What a job has pushed to Shopify, as a table to save",
        {200: Answer("All that match", texts=described(PUSH_COLUMNS), headers=NAMED_FILE)},
        query=PushFilterQuery,
    ),
    Operation(
        "GET",
        "/api/jobs/{id}/log",
        list_log,
        "What was logged while a job ran, oldest first; of very much the last lines",
        {200: Answer("A page of lines", JobLogPage)},
        query=PageQuery,
    ),
    Operation(
        "POST",
        "/api/jobs/{id}/again",
        run_again,
        "Make a job with the same parameters",
        {202: Answer("The new job", Job, headers=("Location",))},
    ),
)
