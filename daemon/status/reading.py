"""Reads what a request brings: query parameters, JSON bodies, ids and cursors; all that is wrong with them is a 4xx."""

import base64
import binascii
import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from aiohttp import ContentTypeError, hdrs, web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from daemon.ids import JobId
from daemon.jobs.model import JobStatus, JobType
from daemon.status.connections import connection_of
from daemon.status.problems import Problem

M = TypeVar("M", bound=BaseModel)

BODY_LIMIT = 64 * 1024  # bytes
DEEPEST = 32  # levels of nesting in a body
LONGEST_NUMBER = 1_000  # digits in a body: Python's own limit of 4,300 speaks of Python
JSON_TYPE = "application/json"
NOT_PACKED = "identity"  # RFC 9110, 12.5.3
JOB_CURSOR_PATTERN = r"^[A-Za-z0-9_-]{21}[AQgw]$"  # 16 bytes
NUMBER_CURSOR_PATTERN = r"^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"  # 8 bytes, of a number that is not negative
INT64 = range(-(2**63), 2**63)  # what orjson and PostgreSQL take
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
STORE_PATTERN = r"^[A-Za-z0-9_-]{1,63}$"


def require_storable(value: JsonValue, depth: int = 0) -> JsonValue:
    """The value; raises ValueError for what PostgreSQL or orjson could not hold."""
    match value:
        case _ if depth > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} levels deep")
        case str() if "\0" in value:
            raise ValueError("holds a NUL character")
        case bool():
            pass
        case int() if value not in INT64:
            raise ValueError("holds a number that is too large")
        case float() if not math.isfinite(value):
            raise ValueError("holds a number that is none")
        case list():
            for item in value:
                require_storable(item, depth + 1)
        case dict():
            for key, item in value.items():
                require_storable(key)
                require_storable(item, depth + 1)
        case _:
            pass
    return value


Storable = AfterValidator(require_storable)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SubmitBody(_Body):
    """A job that is asked for."""

    type: JobType
    store: Annotated[str, Field(max_length=63), Storable] = Field(description="A store of the configuration.")
    params: Annotated[dict[str, JsonValue], Storable] = Field(
        default={}, description="Of a pull: full, restart, filters (Nhanh.vn) or query (Shopify)."
    )


class RetryBody(_Body):
    """How to retry a job."""

    failed: bool = Field(default=False, description="Make a job of just the rows that failed.")


class PruneBody(_Body):
    """What to delete."""

    older_than_days: float = Field(ge=0, le=36_500, description="Delete jobs that ended longer ago.")


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JobsQuery(_Query):
    """Which jobs to list."""

    store: str | None = Field(default=None, pattern=STORE_PATTERN)
    type: JobType | None = None
    status: JobStatus | None = None
    parent: UUID | None = Field(default=None, description="Only the steps of this job.")
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, pattern=JOB_CURSOR_PATTERN, description="next_cursor of the page before.")


class PruneQuery(_Query):
    """What would be deleted."""

    older_than_days: float = Field(ge=0, le=36_500, description="As for the deletion.")


class RowsQuery(_Query):
    """Which of a job's rows to list, such as its dead letters."""

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(
        default=None, pattern=NUMBER_CURSOR_PATTERN, description="next_cursor of the page before."
    )


class ReadyQuery(BaseModel):
    """How to answer a probe."""

    verbose: str | None = Field(default=None, description="List each check; any value will do.")


class EventsQuery(BaseModel):
    """Where to go on."""

    last_event_id: str | None = Field(default=None, description="For clients that can't send Last-Event-ID.")


def read_query(request: web.Request, model: type[M]) -> M:
    """The query parameters. Raises Problem 400 for unknown, repeated or ill-formed ones."""
    values: dict[str, str] = {}
    for name, value in request.query.items():
        if name in values and name in model.model_fields:
            raise Problem(400, f'The parameter "{name}" is given more than once')
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(400, "query", error.errors(include_url=False, include_context=False), model) from None


async def read_body(request: web.Request, model: type[M], limit: int = BODY_LIMIT) -> M:
    """The JSON body of at most `limit` bytes; a body may be absent where every field has a default.

    Raises Problem 400 for what is no JSON, 413, 415, and 422 for what does not fit the model.
    """
    raw = await read_json(
        request, limit, may_be_absent=not any(one.is_required() for one in model.model_fields.values())
    )
    if not raw:
        return model()
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        status = 400 if any(one["type"] == "json_invalid" for one in errors) else 422
        raise _invalid(status, "body", errors, model) from None


async def read_json(request: web.Request, limit: int = BODY_LIMIT, *, may_be_absent: bool = False) -> bytes:
    """The body, which is JSON of at most `limit` bytes. Raises Problem 400 for what is no JSON, 413 and 415."""
    raw = await _read_bytes(request, limit)
    if not raw and may_be_absent:
        return raw
    if request.content_type != JSON_TYPE:
        raise Problem(415, f"The body must be {JSON_TYPE}", headers={hdrs.ACCEPT: JSON_TYPE})
    _check_syntax(raw)
    return raw


def read_job_id(request: web.Request) -> JobId:
    """The job's id in the path. Raises Problem 404 for one that no job can have."""
    text = request.match_info["id"]
    if not UUID_FORM.fullmatch(text):
        raise Problem(404, "There is no such job: its id is no UUID")
    return JobId(UUID(text))


def job_cursor(job_id: JobId) -> str:
    """An opaque cursor behind a job."""
    return base64.urlsafe_b64encode(job_id.bytes).decode().rstrip("=")


def read_job_cursor(cursor: str | None) -> JobId | None:
    """The job that the cursor stands behind."""
    return None if cursor is None else JobId(UUID(bytes=_decode(cursor, 16)))


def number_cursor(number: int) -> str:
    """An opaque cursor behind a numbered row."""
    return base64.urlsafe_b64encode(number.to_bytes(8)).decode().rstrip("=")


def read_number_cursor(cursor: str | None) -> int:
    """The number that the cursor stands behind; 0 without one."""
    number = 0 if cursor is None else int.from_bytes(_decode(cursor, 8))
    if number not in INT64:
        raise _bad_cursor()
    return number


async def _read_bytes(request: web.Request, limit: int) -> bytes:
    if request.headers.get(hdrs.CONTENT_ENCODING, NOT_PACKED).lower() != NOT_PACKED:
        raise Problem(
            415, "The body must come as it is, without a Content-Encoding", headers={hdrs.ACCEPT_ENCODING: NOT_PACKED}
        )
    try:
        async with connection_of(request).awaiting_body():
            return await request.clone(client_max_size=limit).read()
    except web.HTTPRequestEntityTooLarge:
        raise Problem(413, f"The body is larger than the {limit // 1024:,} KiB that are taken") from None
    except (web.HTTPException, ConnectionError):
        raise
    except (ContentTypeError, ValueError, web.RequestPayloadError):
        raise Problem(400, "The body can't be read: send it as its Transfer-Encoding says") from None


def _check_syntax(raw: bytes) -> None:
    """Strict JSON (RFC 8259) without duplicate names, of which readers would take one or the other."""
    try:
        json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        raise Problem(400, "The body is nested too deep") from None
    except UnicodeDecodeError:
        raise Problem(400, "The body is no valid JSON: it is not in UTF-8") from None
    except ValueError as error:
        raise Problem(400, f"The body is no valid JSON: {error}") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names the same member twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number has more than {LONGEST_NUMBER:,} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _decode(cursor: str, length: int) -> bytes:
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if len(decoded) != length:
        raise _bad_cursor()
    return decoded


def _bad_cursor() -> Problem:
    return Problem(400, "The cursor is none that this endpoint has given out")


def _invalid(status: int, where: str, errors: Sequence[ErrorDetails], model: type[BaseModel]) -> Problem:
    found = [_finding(error, model) for error in errors]
    text = "; ".join(f"{one['at']}: {one['detail']}" if one["at"] else one["detail"] for one in found)
    return Problem(status, f"The {where} is wrong: {text}"[:2_000], members={"errors": found[:20]})


def _finding(error: ErrorDetails, model: type[BaseModel]) -> dict[str, str]:
    """Where something is wrong, and what, in names of ours: nothing of the request is repeated."""
    *parents, _ = path = [*error["loc"]] or [""]
    match error["type"]:
        case "extra_forbidden":
            known = f": known here are {', '.join(model.model_fields) or 'none'}" if not parents else ""
            return {"at": "/".join(map(str, parents)), "detail": f"A name is not known{known}"}
        case "uuid_parsing":
            return {"at": "/".join(map(str, path)), "detail": "Input should be a valid UUID"}
        case _:
            return {"at": "/".join(map(str, path)), "detail": error["msg"]}
