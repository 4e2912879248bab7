"""Reads what a request brings: query parameters, JSON bodies, ids and cursors; whatever is wrong with them is a 4xx."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import ContentTypeError, hdrs, web
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from daemon.api.fields import INT64
from daemon.api.problems import Mistake
from daemon.i18n import gettext as _
from daemon.i18n import number_text
from daemon.ids import JobId
from daemon.status.connections import connection_of
from daemon.status.problems import Problem

R = TypeVar("R")  # a request
T = TypeVar("T")  # a row

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}

BODY_LIMIT = 64 * 1024  # bytes
LONGEST_NUMBER = 1_000  # digits in a body: the message for Python's own limit of 4,300 is about Python
MOST_IDS = 100  # in a parameter
MOST_MISTAKES = 20  # reported of a request
JSON_TYPE = "application/json"
NOT_PACKED = "identity"  # RFC 9110, 12.5.3
SOURCE_ID_FORM = re.compile(r"[0-9]{1,19}", re.ASCII)
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def read_query(request: web.Request, record: type[R]) -> R:
    """The query parameters. Raises Problem 400 for unknown, repeated or ill-formed ones."""
    values: dict[str, str] = {}
    for name, value in request.query.items():
        if name in values and name in _names(record):
            raise Problem(400, _('The parameter "{name}" is given more than once').format(name=name))
        values[name] = value
    try:
        return _adapter(record).validate_python(values)
    except ValidationError as error:
        raise _invalid(400, "query", error.errors(include_url=False, include_context=False), record) from None


async def read_body(request: web.Request, record: type[R], limit: int = BODY_LIMIT) -> R:
    """The JSON body of at most `limit` bytes; a body may be absent where every field has a default.

    Raises Problem 400 for what is not JSON, 413, 415, and 422 for what does not fit the record.
    """
    raw = await read_json(request, limit, may_be_absent=not has_required(record))
    if not raw:
        return record()
    try:
        return _adapter(record).validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        status = 400 if any(one["type"] == "json_invalid" for one in errors) else 422
        raise _invalid(status, "body", errors, record) from None


async def read_json(request: web.Request, limit: int = BODY_LIMIT, *, may_be_absent: bool = False) -> bytes:
    """The body, which is JSON of at most `limit` bytes. Raises Problem 400 for what is not JSON, 413 and 415."""
    raw = await _read_bytes(request, limit)
    if not raw and may_be_absent:
        return raw
    if request.content_type != JSON_TYPE:
        raise Problem(415, _("The body must be {type}").format(type=JSON_TYPE), headers={hdrs.ACCEPT: JSON_TYPE})
    _check_syntax(raw)
    return raw


def has_required(record: type[Any]) -> bool:
    """Whether any member must be given."""
    return any(member.default is MISSING and member.default_factory is MISSING for member in fields(record))


def read_job_id(request: web.Request) -> JobId:
    """The job's id in the path. Raises Problem 404 for one that no job can have."""
    text = request.match_info["id"]
    if not UUID_FORM.fullmatch(text):
        raise Problem(404, _("There is no such job: its id is not a UUID"))
    return JobId(UUID(text))


def read_job_ids(name: str, text: str) -> list[JobId]:
    """The ids of jobs in a parameter, with commas between them. Raises Problem 400 for what is no id, and for many."""
    ids = text.split(",")
    if len(ids) > MOST_IDS or not all(map(UUID_FORM.fullmatch, ids)):
        raise Problem(
            400,
            _("{name} takes at most {most} ids of jobs, with commas between them").format(name=name, most=MOST_IDS),
        )
    return [JobId(UUID(each)) for each in ids]


def read_source_id(request: web.Request, name: str) -> int:
    """An id of a source in the path. Raises Problem 404 for one that nothing can have."""
    text = request.match_info[name]
    if not SOURCE_ID_FORM.fullmatch(text) or int(text) not in INT64:
        raise Problem(404, _("There is nothing with this id: an id is a number"))
    return int(text)


def job_cursor(job_id: JobId) -> str:
    """An opaque cursor after a job."""
    return base64.urlsafe_b64encode(job_id.bytes).decode().rstrip("=")


def read_job_cursor(cursor: str | None) -> JobId | None:
    """The job that the cursor comes after."""
    return None if cursor is None else JobId(UUID(bytes=_decode(cursor, 16)))


def number_cursor(number: int) -> str:
    """An opaque cursor after a numbered row."""
    return base64.urlsafe_b64encode(number.to_bytes(8)).decode().rstrip("=")


def paged(found: Sequence[T], limit: int, cursor: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """The first `limit` of the rows found, and a cursor after them; None where there are no more."""
    page = found[:limit]
    return page, cursor(page[-1]) if len(found) > limit else None


def read_number_cursor(cursor: str | None) -> int:
    """The number that the cursor comes after; 0 without one."""
    number = 0 if cursor is None else int.from_bytes(_decode(cursor, 8))
    if number not in INT64:
        raise _bad_cursor()
    return number


def listed(mistakes: Sequence[Mistake]) -> str:
    """The mistakes as a part of a sentence."""
    return "; ".join(f"{one.at}: {one.detail}" if one.at else one.detail for one in mistakes)


async def _read_bytes(request: web.Request, limit: int) -> bytes:
    if request.headers.get(hdrs.CONTENT_ENCODING, NOT_PACKED).lower() != NOT_PACKED:
        raise Problem(
            415,
            _("The body must be sent as it is, without a Content-Encoding"),
            headers={hdrs.ACCEPT_ENCODING: NOT_PACKED},
        )
    try:
        async with connection_of(request).awaiting_body():
            return await request.clone(client_max_size=limit).read()
    except web.HTTPRequestEntityTooLarge:
        raise Problem(
            413, _("The body is larger than the limit of {n} KiB").format(n=number_text(limit // 1024))
        ) from None
    except (web.HTTPException, ConnectionError):
        raise
    except (ContentTypeError, ValueError, web.RequestPayloadError):
        raise Problem(400, _("The body can't be read: send it as its Transfer-Encoding says")) from None


def _check_syntax(raw: bytes) -> None:
    """Strict JSON (RFC 8259) without duplicate names, of which readers would take one or the other."""
    try:
        json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        raise Problem(400, _("The body is nested too deeply")) from None
    except UnicodeDecodeError:
        raise Problem(400, _("The body is not valid JSON: it is not UTF-8")) from None
    except ValueError as error:
        raise Problem(400, _("The body is not valid JSON: {error}").format(error=error)) from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same member twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number has more than {LONGEST_NUMBER:,} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _decode(cursor: str, length: int) -> bytes:
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if len(decoded) != length:
        raise _bad_cursor()
    return decoded


def _bad_cursor() -> Problem:
    return Problem(400, _("Unknown cursor: send the one that came with the previous page"))


def _invalid(status: int, where: str, errors: Sequence[ErrorDetails], record: type[Any]) -> Problem:
    found = [_mistake(error, record) for error in errors]
    return Problem(
        status,
        _("The {where} is wrong: {found}").format(where=where, found=listed(found))[:2_000],
        errors=found[:MOST_MISTAKES],
    )


def _mistake(error: ErrorDetails, record: type[Any]) -> Mistake:
    """Where something is wrong, and what, in names of ours: nothing of the request is repeated."""
    *parents, _last = path = [*error["loc"]] or [""]
    match error["type"]:
        case "unexpected_keyword_argument":
            if parents:
                return Mistake("/".join(map(str, parents)), _("Unknown name"))
            known = ", ".join(_names(record)) or _("none")
            return Mistake("", _("Unknown name: the known ones are {known}").format(known=known))
        case "uuid_parsing":
            return Mistake("/".join(map(str, path)), _("Input should be a valid UUID"))
        case _:
            return Mistake("/".join(map(str, path)), error["msg"])


def _names(record: type[Any]) -> list[str]:
    return [member.name for member in fields(record)]


def _adapter(record: type[R]) -> TypeAdapter[R]:
    return _ADAPTERS.get(record) or _ADAPTERS.setdefault(record, TypeAdapter(record))
