"""The OpenAPI 3.1 description, made of the route table and the types that handlers read and write.

https://spec.openapis.org/oas/v3.1.1.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import hdrs

from daemon.api.fields import LARGEST_ID
from daemon.api.jobs import SubmitBody
from daemon.config.fields import NAME_PATTERN
from daemon.jobs.steering import Role
from daemon.jobs.types import JobType
from daemon.status.openapi_answers import describe_answers, describe_headers, describe_problems
from daemon.status.openapi_schemas import Schema, Schemas, reference, required_in
from daemon.status.operations import Operation
from daemon.status.reading import JSON_TYPE

PATH_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "id": {"description": "A job's id.", "schema": {"type": "string", "format": "uuid"}},
    "approval": {
        "description": "A question's id.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    },
    "name": {"description": "A schedule's name.", "schema": {"type": "string", "pattern": NAME_PATTERN}},
    "store": {"description": "A store's name.", "schema": {"type": "string", "pattern": NAME_PATTERN}},
    "folder": {"description": "A part of the page.", "schema": {"type": "string", "pattern": "^[a-z]+$"}},
    "file": {
        "description": "A file of the page.",
        "schema": {"type": "string", "pattern": r"^[A-Za-z-]+(\.[a-z]+){1,3}$"},
    },
    "ref": {
        "description": "A sale campaign's id, or its name: the open one's, else the last one's.",
        "schema": {"type": "string", "pattern": NAME_PATTERN},  # an id in lower case is of this form, too
    },
    "customer_id": {
        "description": "A customer's id at Shopify.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    },
    "variant_id": {
        "description": "A variant's id at Shopify.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    },
}


def describe_api(
    operations: Sequence[Operation], version: str, job_types: Mapping[JobType, Schema], *, needs_token: bool
) -> bytes:
    """The description, as JSON.

    Args:
        job_types: the JSON Schema of the `params` of each type of job.
        needs_token: whether a token is configured.

    Raises ValueError where two schemas would share a name.
    """
    schemas = _schemas(operations, job_types)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, schemas, needs_token=needs_token)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    document: dict[str, Any] = {
        "openapi": "3.1.1",
        "info": {
            "title": "dongbo",
            "version": version,
            "description": "Jobs, schedules and sale campaigns of a dongbo daemon. GET answers HEAD, too.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.described(),
            "responses": describe_problems(needs_token=needs_token),
            "headers": describe_headers(),
        },
    }
    if needs_token:
        document["security"] = _security(Role.READ)
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "One of those that [status] names."},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "dongbo",
                "description": "Of the page: POST /api/session sets it, under this name, or __Host-dongbo over TLS, "
                "with the port behind it where the address has one, as in dongbo-8765.",
            },
        }
    return orjson.dumps(document)


def _schemas(operations: Sequence[Operation], job_types: Mapping[JobType, Schema]) -> Schemas:
    bodies = [operation.body for operation in operations if operation.body not in (None, SubmitBody)]
    answers = [answer for operation in operations for answer in operation.answers.values()]
    written = [written for answer in answers for written in (answer.schema, *answer.events.values()) if written]
    schemas = Schemas()
    schemas.add_problem()
    schemas.add_types(filter(None, bodies), written)
    schemas.add_submissions(job_types)
    return schemas


def _operation(operation: Operation, schemas: Schemas, *, needs_token: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": describe_answers(operation, needs_token=needs_token),
    }
    if parameters := _parameters(operation, schemas):
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {
            "required": bool(required_in(operation.body)),
            "content": {JSON_TYPE: {"schema": reference(operation.body.__name__)}},
        }
    if needs_token:
        described["security"] = [] if operation.is_open else _security(operation.role)
    return described


def _security(role: Role) -> list[dict[str, list[str]]]:
    """By whichever of the schemes; the role that it needs is of it (OpenAPI 3.1, "Security Requirement Object")."""
    return [{scheme: [str(role)]} for scheme in ("token", "session")]


def _parameters(operation: Operation, schemas: Schemas) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    in_query = _query_parameters(operation.query, schemas) if operation.query else []
    in_header = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    return in_path + in_query + in_header + _mark(operation)


def _mark(operation: Operation) -> list[dict[str, Any]]:
    """The header that shows that a change without a JSON body does not come from a foreign page."""
    if operation.method == hdrs.METH_GET or (operation.body and required_in(operation.body)):
        return []
    schema: dict[str, Any] = {"type": "string"} if operation.body else {"type": "string", "minLength": 1}
    text = f"Any value: a page of another origin can't send it. {'Not needed with a body.' if operation.body else ''}"
    return [
        {
            "name": "X-Dongbo-Client",
            "in": "header",
            "required": operation.body is None,
            "description": text.strip(),
            "schema": schema,
            "example": "api",
        }
    ]


def _query_parameters(query: type, schemas: Schemas) -> list[dict[str, Any]]:
    required = required_in(query)
    return [
        _query_parameter(name, dict(schema), is_required=name in required)
        for name, schema in schemas.add_query(query).items()
    ]


def _query_parameter(name: str, schema: dict[str, Any], *, is_required: bool) -> dict[str, Any]:
    text = schema.pop("description", None)
    described = {"name": name, "in": "query", "required": is_required, "schema": schema}
    return described | ({"description": text} if text else {})
