"""What the description says about answers: their content, their headers, and the problems that may come instead."""

from collections.abc import Mapping
from typing import Any

from daemon.status.openapi_schemas import event_schema, reference
from daemon.status.operations import EVENT_STREAM, Answer, Operation
from daemon.status.problems import CONTENT_TYPE as PROBLEM_TYPE
from daemon.status.reading import JSON_TYPE
from daemon.status.security import FOR_ALL_PAGES

HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Allow": {
        "description": "The methods that there are at this address.",
        "schema": {"type": "string"},
        "example": "GET, HEAD, OPTIONS",
    },
    "Cache-Control": {
        "description": "Whether the answer may be kept: no-store, or no-cache for the page, which is revalidated.",
        "schema": {"type": "string", "enum": ["no-store", "no-cache"]},
        "example": "no-store",
    },
    "Content-Disposition": {
        "description": "The name under which the answer is saved.",
        "required": False,  # a preview in JSON is not a file
        "schema": {"type": "string"},
        "example": 'attachment; filename="tet-report.csv"',
    },
    "ETag": {
        "description": "For If-None-Match.",
        "schema": {"type": "string"},
        "example": '"2d711642b726b044"',
    },
    "Location": {
        "description": "The address of what was created.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/jobs/0199c3b0-5d3c-7000-8000-000000000001",
    },
    "Retry-After": {
        "description": "Seconds after which it is worth another try.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    "Set-Cookie": {
        "description": "The session, for a browser to keep.",
        "schema": {"type": "string"},
        "example": "dongbo-8765=…; Path=/; Max-Age=259200; HttpOnly; SameSite=Strict",
    },
    "WWW-Authenticate": {
        "description": "How to show the token.",
        "schema": {"type": "string"},
        "example": 'Bearer realm="dongbo"',
    },
}
ALWAYS = ("Cache-Control",)
# What is not HTTP, another method, what comes too slowly, expects too much, names a foreign Host or is too long; a bug;
# too many connections.
EVERYWHERE = (400, 405, 408, 417, 421, 431, 500, 503)
PROBLEMS = {
    400: "The request can't be read",
    401: "The token is missing or wrong, or the session has ended",
    403: "The role does not allow it; or it comes from a page of another origin, or would change something and lacks a "
    "header that no form can send",
    404: "It does not exist",
    405: "This address does not support the method, such as in another version of the daemon",
    408: "The request did not come in time",
    409: "The present state does not allow it; `job_id` is the live job that stands in the way, if one does",
    413: "The body is too large",
    415: "The Content-Type is not that of JSON, or there is a Content-Encoding",
    417: "The only expectation supported is 100-continue",
    421: "Host not allowed",
    422: "The content is wrong; `errors` says where",
    429: "Too many wrong tokens came from this address; a right one is accepted at once",
    431: "The address or a header is too long",
    500: "A bug; the daemon's log has the details",
    502: "A source, such as Shopify, refused or failed; `detail` says why and what to do",
    503: "The database is away, or too many readers or others are connected; Retry-After says when to come back",
}
OF_TOKENS = (401, 429)
PROBLEM_HEADERS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}


def describe_answers(operation: Operation, *, needs_token: bool) -> dict[str, Any]:
    """What an operation may answer, by status."""
    statuses = {*operation.problems, *EVERYWHERE}
    if needs_token and not operation.is_open:
        statuses.update(OF_TOKENS)
    if not needs_token:
        statuses.difference_update(OF_TOKENS)
    if operation.path not in FOR_ALL_PAGES:
        statuses.add(403)
    answers = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    problems = {str(status): {"$ref": _problem_ref(status)} for status in sorted(statuses - operation.answers.keys())}
    return answers | problems


def describe_headers() -> dict[str, Any]:
    """Every header of answers that has a meaning; most are always there where an answer has them at all."""
    return {name: {"required": True, **header} for name, header in HEADERS.items()}


def describe_problems(*, needs_token: bool) -> dict[str, Any]:
    """Every problem, under the name that operations refer to it by."""
    return {
        _problem_name(status): {
            "description": text,
            "headers": _headers(PROBLEM_HEADERS.get(status, ())),
            "content": {PROBLEM_TYPE: {"schema": reference("Problem")}},
        }
        for status, text in PROBLEMS.items()
        if needs_token or status not in OF_TOKENS
    }


def _answer(answer: Answer) -> dict[str, Any]:
    texts = {
        media_type: {"schema": {"type": "string"}, "example": example} for media_type, example in answer.texts.items()
    }
    json = {JSON_TYPE: {"schema": reference(answer.schema.__name__)}} if answer.schema else {}
    content: dict[str, Any] = texts | json if answer.prefers_text else json | texts
    if answer.events:
        content[EVENT_STREAM]["x-itemSchema"] = event_schema(answer.events)
    described = {"description": answer.description, "headers": _headers(answer.headers)}
    return described | ({"content": content} if content else {})


def _headers(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*ALWAYS, *names})}


def _problem_ref(status: int) -> str:
    return f"#/components/responses/{_problem_name(status)}"


def _problem_name(status: int) -> str:
    return f"Problem{status}"
