"""Every error as `application/problem+json` (RFC 9457); a bug is logged once and shows nothing of itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import orjson
import structlog
from aiohttp import hdrs, web

from daemon.api.problems import Mistake, ProblemDetails
from daemon.database.connection_errors import may_pass, trouble
from daemon.errors import (
    ApprovalNotFound,
    AskedAnew,
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
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.logging import redact

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTENT_TYPE = "application/problem+json"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    hdrs.SERVER: "dongbo",
}
"""What every answer carries."""
RETRY_AFTER = 5  # seconds


class Problem(Exception):
    """An answer of status 4xx or 5xx, by the name that RFC 9457 gives it.

    Args:
        kind: a short name for what programs may want to tell apart beyond the status; becomes the problem's type.
        job_id: the live job that stands in the way.
        errors: each thing that is wrong with the request.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
        job_id: JobId | None = None,
        errors: Sequence[Mistake] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})
        self.job_id = job_id
        self.errors = errors
        self.instance = uuid4().urn

    def to_response(self) -> web.Response:
        """The answer."""
        return web.Response(status=self.status, body=self._body(), content_type=CONTENT_TYPE, headers=self.headers)

    def to_bytes(self) -> bytes:
        """The answer on the wire, where aiohttp has no request to answer; the connection is to be closed."""
        body = self._body()
        headers = (
            HEADERS
            | self.headers
            | {
                hdrs.CONTENT_TYPE: CONTENT_TYPE,
                hdrs.CONTENT_LENGTH: str(len(body)),
                hdrs.CACHE_CONTROL: "no-store",
                hdrs.DATE: formatdate(usegmt=True),
                hdrs.CONNECTION: "close",
            }
        )
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{n}: {v}" for n, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    def _body(self) -> bytes:
        details = ProblemDetails(
            type=f"urn:dongbo:problem:{self.kind}" if self.kind else "about:blank",
            title=self.kind.replace("-", " ").capitalize() if self.kind else HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            instance=self.instance,  # of this occurrence (RFC 9457, 3.1.5), and nothing of the request
            job_id=self.job_id,
            errors=self.errors,
        )
        members = {name: value for name, value in asdict(details).items() if value not in (None, (), [])}
        return orjson.dumps(_masked(members))


def _masked(value: Any) -> Any:
    """What may quote a request or a source, without secrets: a caller may have put one in the wrong place."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {key: _masked(part) for key, part in value.items()}
        case list() | tuple():
            return [_masked(part) for part in value]
        case _:
            return value


def database_away(detail: str) -> Problem:
    """The answer while PostgreSQL can't be used."""
    return Problem(503, detail, kind="database-unavailable", headers={hdrs.RETRY_AFTER: str(RETRY_AFTER)})


def not_found() -> Problem:
    """The answer where there is no such path."""
    return Problem(404, _("There is nothing at this address: /openapi.json lists what there is"))


def wrong_method(allowed: str) -> Problem:
    """The answer to a method that the path does not have; `allowed` are those that it has, for the Allow header."""
    return Problem(
        405,
        _("This address does not support this method: use {allowed}").format(allowed=allowed),
        headers={hdrs.ALLOW: allowed},
    )


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into a problem."""
    try:
        return await handler(request)
    except Exception as error:
        problem = _problem_of(error)
        if problem.status == 500:
            log.exception("request_failed", method=request.method, path=request.path, instance=problem.instance)
    return problem.to_response()


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case LiveJobExists():
            return Problem(409, str(error), kind="live-job-exists", job_id=error.job_id)
        case JobNotFound() | ApprovalNotFound() | ScheduleNotFound() | SaleNotFound():
            return Problem(404, str(error))
        case AskedAnew():
            return Problem(409, str(error), kind="asked-anew")
        case InvalidTransition():
            return Problem(409, str(error), kind="invalid-transition")
        case InvalidJobRequest() | InvalidFilter():
            return Problem(422, str(error), kind="invalid-request")
        case InvalidMapping():
            errors = [Mistake("mappings", problem) for problem in error.problems]
            return Problem(422, str(error), kind="invalid-mapping", errors=errors)
        case InvalidSale():
            return Problem(422, str(error), kind="invalid-sale")
        case SaleConflict():
            return Problem(409, str(error), kind="sale-conflict")
        case SourceError():  # after InvalidFilter, which is one
            return Problem(502, str(error), kind="source-failed")
        case web.HTTPNotFound():
            return not_found()
        case web.HTTPRequestEntityTooLarge():
            return Problem(413, _("The body is larger than the limit of 64 KiB"))
        case web.HTTPException():
            return Problem(error.status, error.reason)
        case DatabaseError():
            return database_away(str(error))
        case _ if may_pass(error):
            return database_away(trouble(error))
        case _:
            return Problem(500, _("A bug in dongbo: the log has the details"))
