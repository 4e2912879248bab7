"""Every error as `application/problem+json` (RFC 9457); a bug is logged once and shows nothing of itself."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import asyncpg
import orjson
import structlog
from aiohttp import hdrs, web

from daemon.database.pool import is_connection_error
from daemon.errors import (
    DatabaseError,
    InvalidFilter,
    InvalidJobRequest,
    InvalidMapping,
    InvalidSale,
    InvalidTransition,
    JobNotFound,
    LiveJobExists,
    SaleConflict,
    SaleNotFound,
    ScheduleNotFound,
    SourceError,
)

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds
# Statements that the server ended because it is busy, or somebody holds a lock.
BUSY = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class Problem(Exception):
    """An answer of status 4xx or 5xx, by the name that RFC 9457 gives it.

    Args:
        kind: a short name for what programs may want to tell apart beyond the status; becomes the problem's type.
        members: extension members of the problem.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def to_response(self, instance: str) -> web.Response:
        """The answer to a request for the path `instance`."""
        body = {
            "type": f"urn:dongbo:problem:{self.kind}" if self.kind else "about:blank",
            "title": self.kind.replace("-", " ").capitalize() if self.kind else HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        return web.Response(
            status=self.status,
            body=orjson.dumps(body | self.members, option=orjson.OPT_NON_STR_KEYS),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def database_away(detail: str) -> Problem:
    """The answer while PostgreSQL can't be used."""
    return Problem(503, detail, kind="database-unavailable", headers={hdrs.RETRY_AFTER: str(RETRY_AFTER)})


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into a problem."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allow: dict[str, str] = {hdrs.ALLOW: ", ".join(sorted({*error.allowed_methods, hdrs.METH_OPTIONS}))}
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=allow)
        problem = Problem(405, f"{request.method} is not for this address: use {allow[hdrs.ALLOW]}", headers=allow)
    except Exception as error:
        problem = _problem_of(error)
        if problem.status == 500:
            log.exception("request_failed", method=request.method, path=request.path)
    return problem.to_response(request.rel_url.raw_path)


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case LiveJobExists():
            return Problem(409, str(error), kind="live-job-exists", members={"job_id": error.job_id})
        case JobNotFound() | ScheduleNotFound() | SaleNotFound():
            return Problem(404, str(error))
        case InvalidTransition():
            return Problem(409, str(error), kind="invalid-transition")
        case InvalidJobRequest() | InvalidFilter():
            return Problem(422, str(error), kind="invalid-request")
        case InvalidMapping():
            errors = [{"at": "mappings", "detail": problem} for problem in error.problems]
            return Problem(422, str(error), kind="invalid-mapping", members={"errors": errors})
        case InvalidSale():
            return Problem(422, str(error), kind="invalid-sale")
        case SaleConflict():
            return Problem(409, str(error), kind="sale-conflict")
        case SourceError():  # behind InvalidFilter, which is one
            return Problem(502, str(error), kind="source-failed")
        case web.HTTPNotFound():
            return Problem(404, "There is nothing at this address: /openapi.json lists what there is")
        case web.HTTPRequestEntityTooLarge():
            return Problem(413, "The body is larger than the 64 KiB that are taken")
        case web.HTTPException():
            return Problem(error.status, error.reason)
        case DatabaseError():
            return database_away(str(error))
        case _ if isinstance(error, BUSY):
            return database_away("The database took too long")
        case _ if is_connection_error(error):
            return database_away("The connection to the database was lost")
        case _:
            return Problem(500, "A bug in dongbo: its log says more")
