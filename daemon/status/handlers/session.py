"""Who asks; and the session of the page, which begins with a token and ends when somebody logs out."""

import structlog
from aiohttp import hdrs, web

from daemon.api.session import Caller, LoginBody
from daemon.config.address import read_origin
from daemon.i18n import gettext as _
from daemon.status.connections import connection_of
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.problems import Problem
from daemon.status.reading import read_body
from daemon.status.security import GUARD, IDENTITY, SESSIONS
from daemon.status.sessions import Session

log = structlog.get_logger()


async def get_session(request: web.Request) -> web.Response:
    """Who asks."""
    identity, session = request[IDENTITY], request.app[SESSIONS].find(request)
    ends_at = session.ends_at if session is not None and session.identity == identity else None
    return json_response(Caller(identity.name, identity.role, str(identity.proof), ends_at))


async def begin_session(request: web.Request) -> web.Response:
    """Log in: the answer lets the browser keep a cookie."""
    body = await read_body(request, LoginBody)
    access, sessions = request.app[PARTS].access, request.app[SESSIONS]
    if not access.rules.tokens:
        raise Problem(409, _("The configuration has no token to log in with"), kind="no-token")
    token = access.token_of(body.token.strip())
    if token is None:
        raise await request.app[GUARD].guesses.answer(connection_of(request).address)
    connection_of(request).trust()
    session = sessions.begin(token, is_secure=_came_over_tls(request))
    log.info("session_began", who=token.name)
    response = json_response(_caller(session), 201)
    response.headers[hdrs.SET_COOKIE] = sessions.cookie(request, session)
    return response


async def end_session(request: web.Request) -> web.Response:
    """Log out."""
    sessions = request.app[SESSIONS]
    session = sessions.find(request)
    if session is not None:
        log.info("session_ended", who=session.token.name)
    response = web.Response(status=204)
    for header in sessions.end(request):
        response.headers.add(hdrs.SET_COOKIE, header)
    return response


def _caller(session: Session) -> Caller:
    identity = session.identity
    return Caller(identity.name, identity.role, str(identity.proof), session.ends_at)


def _came_over_tls(request: web.Request) -> bool:
    """Whether the page speaks TLS, to a proxy in front of this. Its origin was found to be one of ours."""
    origin = read_origin(request.headers.get(hdrs.ORIGIN, ""))
    return origin is not None and origin.scheme == "https"


SESSION_OPERATIONS = (
    Operation("GET", "/api/session", get_session, "Who asks, and what they may", {200: Answer("Whoever asks", Caller)}),
    Operation(
        "POST",
        "/api/session",
        begin_session,
        "Log in with a token, for a browser: the answer sets a cookie",
        {201: Answer("Whoever has logged in", Caller, headers=("Set-Cookie",))},
        own_problems=(401, 409, 429),
        body=LoginBody,
        is_open=True,
    ),
    Operation(
        "DELETE",
        "/api/session",
        end_session,
        "Log out: the session of the cookie ends",
        {204: Answer("There is no session any more")},
        is_open=True,
    ),
)
