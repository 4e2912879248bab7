"""What people have done: a list, and how it is shown wherever it stands."""

from aiohttp import web

from daemon.api.actions import ActionList, ActionsQuery, SteeringAction
from daemon.ids import StoreName
from daemon.jobs import actions
from daemon.jobs.action_words import action_text
from daemon.jobs.actions import Action
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.reading import number_cursor, paged, read_number_cursor, read_query


async def list_actions(request: web.Request) -> web.Response:
    """Newest first."""
    query = read_query(request, ActionsQuery)
    async with request.app[PARTS].database.reading() as connection:
        found = await actions.list_recent(
            connection,
            store=StoreName(query.store) if query.store is not None else None,
            subject_kind=query.subject_kind,
            subject=query.subject,
            before=read_number_cursor(query.cursor) if query.cursor is not None else None,
            limit=query.limit + 1,
        )
    page, cursor = paged(found, query.limit, lambda action: number_cursor(action.id))
    return json_response(ActionList([shown(action) for action in page], cursor))


def shown(action: Action) -> SteeringAction:
    """An action in the words of whoever asks."""
    return SteeringAction(
        id=action.id,
        at=action.at,
        way=action.way,
        who=action.who,
        kind=action.kind,
        store=action.store,
        subject_kind=action.subject_kind,
        subject=action.subject,
        job_id=action.job_id,
        text=action_text(action.kind, action.way, action.who),
    )


ACTION_OPERATIONS = (
    Operation(
        "GET",
        "/api/actions",
        list_actions,
        "What people have done, newest first",
        {200: Answer("A page of actions", ActionList)},
        query=ActionsQuery,
    ),
)
