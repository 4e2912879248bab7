"""Questions to a person: list, look at all that waits for the answer, approve, reject."""

import re
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from daemon.api.approvals import (
    Approval,
    ApprovalList,
    ApprovalsQuery,
    Change,
    ChangeList,
    ChangesFileQuery,
    ChangesQuery,
    DecideBody,
)
from daemon.api.fields import LARGEST_ID
from daemon.api.pushes import PushKind
from daemon.database.pool import Connection, Database
from daemon.errors import ApprovalNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId, StoreName
from daemon.jobs import approvals as questions
from daemon.jobs.approvals import AskedQuestion
from daemon.jobs.model import ApprovalState
from daemon.jobs.words import job_name
from daemon.sales.export import Cell
from daemon.status.downloads import described, send_csv
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.reading import number_cursor, paged, read_body, read_number_cursor, read_query
from daemon.sync.products import approvals
from daemon.sync.products.approvals import AskedChange
from daemon.sync.products.question import PlanQuestion

CSV_PAGE = 250  # changes between two turns of the loop
CSV_COLUMNS = (
    "kind",
    "variant_id",
    "sku",
    "title",
    "location_id",
    "location_name",
    "old",
    "new",
    "share",
    "is_asked",
    "reason",
)
NUMBER_FORM = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
LISTS = {"open": questions.list_open, "decided": questions.list_ended, None: questions.list_all}


async def list_approvals(request: web.Request) -> web.Response:
    """Newest first."""
    query = read_query(request, ApprovalsQuery)
    async with request.app[PARTS].database.reading() as connection:
        if query.job is not None:
            found = await _of_job(connection, JobId(query.job), query)
        else:
            store = StoreName(query.store) if query.store is not None else None
            before = read_number_cursor(query.cursor) if query.cursor is not None else None
            found = await LISTS[query.state](connection, store, before=before, limit=query.limit + 1)
    page, cursor = paged(found, query.limit, lambda question: number_cursor(question.id))
    return json_response(ApprovalList([_approval(question) for question in page], cursor))


async def _of_job(connection: Connection, job_id: JobId, query: ApprovalsQuery) -> list[AskedQuestion]:
    """The last question of a job, if it is one of those that are asked for: the first page holds it."""
    question = await questions.latest_of(connection, job_id)
    if question is None or query.cursor is not None or query.store not in (None, question.store):
        return []
    is_open = question.state is ApprovalState.OPEN
    return [question] if query.state in (None, "open" if is_open else "decided") else []


async def get_approval(request: web.Request) -> web.Response:
    """One question."""
    return json_response(_approval(await _question(request)))


async def list_changes(request: web.Request) -> web.Response:
    """What waits for the answer."""
    query, question = read_query(request, ChangesQuery), await _question(request)
    async with request.app[PARTS].database.reading() as connection:
        found = await approvals.list_changes(
            connection, question.id, query.kind, after=read_number_cursor(query.cursor), limit=query.limit + 1
        )
    page, cursor = paged(found, query.limit, lambda change: number_cursor(change.place))
    return json_response(ChangeList([_change(change) for change in page], cursor))


async def save_changes(request: web.Request) -> web.StreamResponse:
    """The same, all of it."""
    query, question = read_query(request, ChangesFileQuery), await _question(request)
    pages = _pages(request.app[PARTS].database, question.id, query.kind)
    return await send_csv(request, f"approval-{question.id}", CSV_COLUMNS, pages, _cells)


async def approve_question(request: web.Request) -> web.Response:
    """Let the job that waits do what it asked about."""
    return json_response(await _decided(request, ApprovalState.APPROVED), 202)


async def reject_question(request: web.Request) -> web.Response:
    """End the job that waits."""
    return json_response(await _decided(request, ApprovalState.REJECTED))


async def _decided(request: web.Request, state: ApprovalState) -> Approval:
    number, body = _number(request), await read_body(request, DecideBody)
    await request.app[PARTS].jobs.decisions.decide(number, state, body.asked_runs)
    return _approval(await _question(request))


async def _question(request: web.Request) -> AskedQuestion:
    number = _number(request)
    async with request.app[PARTS].database.acquire() as connection:
        question = await questions.get(connection, number)
    if question is None:
        raise ApprovalNotFound(_("There is no question {id}.").format(id=number))
    return question


def _number(request: web.Request) -> int:
    text = request.match_info["approval"]
    if not NUMBER_FORM.fullmatch(text) or int(text) > LARGEST_ID:
        raise ApprovalNotFound(_("There is no such question: its id is not a number."))
    return int(text)


async def _pages(database: Database, approval_id: int, kind: PushKind | None) -> AsyncIterator[Sequence[AskedChange]]:
    last = 0
    while True:
        async with database.acquire() as connection:
            page = await approvals.list_changes(connection, approval_id, kind, after=last, limit=CSV_PAGE)
        yield page
        if len(page) < CSV_PAGE:
            return
        last = page[-1].place


def _approval(question: AskedQuestion) -> Approval:
    asked = PlanQuestion.from_json(question.facts) if question.facts else None
    is_decided = question.state not in (ApprovalState.OPEN, ApprovalState.WITHDRAWN)
    was_approved = question.state in (ApprovalState.APPROVED, ApprovalState.CARRIED_OUT)
    return Approval(
        id=question.id,
        store=question.store,
        type=question.type,
        name=job_name(question.type),
        state=question.state,
        since=question.since,
        asked_runs=question.asked_runs,
        last_asked_at=question.last_asked_at,
        job_id=question.job_id,
        question=asked.reason() if asked is not None else question.reason,
        look_at=asked.look_at() if asked is not None else (),
        counts={str(kind): question.counts[kind] for kind in PushKind if kind in question.counts},
        asked_changes=question.asked_changes,
        changed_settings=asked.changed_settings if asked is not None else (),
        settings_since=asked.settings_since if asked is not None else None,
        ended_at=question.ended_at,
        decided_at=question.ended_at if is_decided else None,
        decided_way=question.decided_way,
        decided_by=question.decided_by,
        decided_job_id=question.job_id if was_approved else None,
    )


def _change(asked: AskedChange) -> Change:
    held, change = asked.held, asked.held.change
    return Change(
        kind=change.kind,
        variant_id=change.owner_id,
        sku=held.sku,
        title=asked.title,
        location_id=change.location_id or None,
        location_name=asked.location_name,
        old=held.old_value,
        new=change.new_value,
        share=asked.share,
        is_asked=held.is_risky,
        reason=held.reason,
    )


def _cells(asked: AskedChange) -> Sequence[Cell]:
    held, change = asked.held, asked.held.change
    share = None if asked.share is None else f"{asked.share:.4f}"
    place = change.location_id or None, asked.location_name
    values = held.old_value, change.new_value, share
    return [change.kind, change.owner_id, held.sku, asked.title, *place, *values, held.is_risky, held.reason]


APPROVAL_OPERATIONS = (
    Operation(
        "GET",
        "/api/approvals",
        list_approvals,
        "Questions to a person, newest first",
        {200: Answer("A page of questions", ApprovalList)},
        query=ApprovalsQuery,
    ),
    Operation(
        "GET",
        "/api/approvals/{approval}",
        get_approval,
        "One question",
        {200: Answer("The question", Approval)},
    ),
    Operation(
        "GET",
        "/api/approvals/{approval}/changes",
        list_changes,
        "The changes that wait for the answer to a question, the largest first",
        {200: Answer("A page of changes", ChangeList)},
        query=ChangesQuery,
    ),
    Operation(
        "GET",
        "/api/approvals/{approval}/changes.csv",
        save_changes,
        "All changes that wait for the answer to a question, as CSV",
        {200: Answer("The changes, the largest first", texts=described(CSV_COLUMNS), headers=("Content-Disposition",))},
        query=ChangesFileQuery,
    ),
    Operation(
        "POST",
        "/api/approvals/{approval}/approve",
        approve_question,
        "Let the job that asks do what it asked about, and the rest",
        {202: Answer("The question, which is decided", Approval)},
        own_problems=(409,),
        body=DecideBody,
    ),
    Operation(
        "POST",
        "/api/approvals/{approval}/reject",
        reject_question,
        "End the job that asks; nothing of it is done",
        {200: Answer("The question, which is decided", Approval)},
        own_problems=(409,),
        body=DecideBody,
    ),
)
