"""Who is asking: the language that a request is answered in, who asks, and the way by which the request came."""

import structlog
from aiohttp import hdrs, web

from daemon.i18n import Language, language, spoken
from daemon.jobs.actions import Way, coming_by
from daemon.status.problems import Handler
from daemon.status.security import CLIENT_HEADER, IDENTITY, SAFE_METHODS

MOST_LANGUAGES = 20  # that are looked at
SPOKEN = frozenset(str(each) for each in Language)


@web.middleware
async def answer_as_asked(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the handler speak the language of whoever asks."""
    with spoken(_language(request)):
        return await handler(request)


@web.middleware
async def note_who_asks(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let services note who asked and how they came, and the log tell it of what they change."""
    identity = request.get(IDENTITY)
    who, way = identity.name if identity is not None else None, _way(request)
    if request.method in SAFE_METHODS:
        return await handler(request)
    told = {"way": str(way)} | ({"who": who} if who is not None else {})
    with coming_by(way, who), structlog.contextvars.bound_contextvars(**told):
        return await handler(request)


def _language(request: web.Request) -> Language:
    """The first of Accept-Language that the daemon speaks, else that of the configuration.

    The order of Accept-Language is taken for its preference: browsers send it sorted.
    """
    for part in request.headers.get(hdrs.ACCEPT_LANGUAGE, "").split(",")[:MOST_LANGUAGES]:
        tag = part.split(";")[0].strip().lower().split("-")[0]
        if tag in SPOKEN:
            return Language(tag)
    return language()


def _way(request: web.Request) -> Way:
    client = request.headers.get(CLIENT_HEADER, "").lower()
    return Way(client) if client in (Way.PAGE, Way.CLI) else Way.API
