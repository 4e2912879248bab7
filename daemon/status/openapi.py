"""The OpenAPI 3.1 description, made of the route table and the types that handlers read and write.

https://spec.openapis.org/oas/v3.1.1.html
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import orjson
from pydantic import BaseModel, TypeAdapter

from daemon.jobs.model import Job, PruningPlan
from daemon.sales.report import SaleReport
from daemon.status import views, views_sales, views_sync
from daemon.status.operations import Answer, Operation
from daemon.status.problems import CONTENT_TYPE as PROBLEM_TYPE
from daemon.status.reading import JSON_TYPE
from daemon.sync.explanation.explained import Explanation
from daemon.sync.matching.mappings import ManualOutcome

REF = "#/components/schemas/{model}"
ANSWERED = (
    Explanation,
    ManualOutcome,
    PruningPlan,
    SaleReport,
    views.FailureList,
    views.Pruned,
    views.PushList,
    views.Readiness,
    views.Schedule,
    views.ScheduleList,
    views.Status,
    views_sales.SaleDetail,
    views_sales.SaleItemDetail,
    views_sales.SaleItemList,
    views_sales.SaleList,
    views_sales.SalePreview,
    views_sync.MappingList,
    views_sync.Removed,
    views_sync.Resolved,
)
EVERYWHERE = (400, 421, 500)  # rubbish for a request line or Host, a foreign Host, a bug
PROBLEMS = {
    400: "The request can't be read",
    401: "The token is missing or wrong",
    403: "The request comes from a page of another origin",
    404: "There is no such thing",
    409: "The present state does not allow it; `job_id` is the live job that stands in the way, if one does",
    413: "The body is too large",
    415: "The body is no JSON",
    421: "The Host is none of this daemon's",
    422: "The content is wrong; `errors` says where",
    500: "A bug; the daemon's log says more",
    502: "A source, such as Shopify, refused or failed; `detail` says why and what to do",
    503: "The database is away, or too many readers are connected; Retry-After says when to come back",
}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do, for a person."},
        "instance": {"type": "string", "format": "uri-reference"},
        "job_id": {"type": "string", "format": "uuid"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
PATH_PARAMETERS = {
    "id": {"type": "string", "format": "uuid", "description": "A job's id."},
    "name": {"type": "string", "description": "A schedule's name."},
    "file": {"type": "string"},
    "ref": {"type": "string", "description": "A sale campaign's id, or its name: the open one's, else the last one's."},
    "variant_id": {"type": "integer", "description": "A variant's id at Shopify."},
}


def describe_api(operations: Sequence[Operation], version: str) -> bytes:
    """The description, as JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    bodies = [operation.body for operation in operations if operation.body]
    return orjson.dumps(
        {
            "openapi": "3.1.1",
            "info": {"title": "dongbo", "version": version, "description": "Jobs and schedules of a dongbo daemon."},
            "paths": paths,
            "components": {
                "schemas": _schemas(bodies),
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{}, {"token": []}],
        }
    )


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()}
        | {str(status): _problem(status) for status in _problem_statuses(operation)},
    }
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {
            "required": any(field.is_required() for field in operation.body.model_fields.values()),
            "content": {JSON_TYPE: {"schema": _ref(operation.body.__name__)}},
        }
    if operation.is_open:
        described["security"] = []
    return described


def _problem_statuses(operation: Operation) -> list[int]:
    statuses = {*operation.problems, *EVERYWHERE}
    if not operation.is_open:
        statuses.add(401)
    if operation.method == "POST":
        statuses.add(403)
    return sorted(statuses - operation.answers.keys())


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    properties, required = _query_schemas(operation.query)
    in_query = [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in properties.items()
    ]
    in_header = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    return in_path + in_query + in_header


def _query_schemas(model: type[BaseModel] | None) -> tuple[dict[str, Any], list[str]]:
    """The parameters of a query, and those that must be given."""
    if model is None:
        return {}, []
    schema = model.model_json_schema(ref_template=REF)
    return schema["properties"], schema.get("required", [])


def _answer(answer: Answer) -> dict[str, Any]:
    schema = _ref(answer.schema) if answer.schema else {"type": "string"}
    return {"description": answer.description, "content": {answer.content_type: {"schema": schema}}}


def _problem(status: int) -> dict[str, Any]:
    return {"description": PROBLEMS[status], "content": {PROBLEM_TYPE: {"schema": _ref("Problem")}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(model=name)}


def _schemas(bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    adapters: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
        *((model.__name__, "validation", TypeAdapter(model)) for model in bodies),
        *((view.__name__, "serialization", TypeAdapter(view)) for view in (*ANSWERED, Job)),
    ]
    _, described = TypeAdapter.json_schemas(adapters, ref_template=REF)
    schemas: dict[str, Any] = described["$defs"]
    schemas["Job"] = _as_shown(schemas["Job"])
    schemas["JobList"] = {
        "type": "object",
        "required": ["jobs", "next_cursor"],
        "properties": {
            "jobs": {"type": "array", "items": _ref("Job")},
            "next_cursor": {"type": ["string", "null"]},
        },
    }
    schemas["Problem"] = PROBLEM_SCHEMA
    schemas["Description"] = {"type": "object"}
    return schemas


def _as_shown(job: dict[str, Any]) -> dict[str, Any]:
    """A job's schema as `Job.to_json` shows it."""
    properties = {name: schema for name, schema in job["properties"].items() if name != "run_token"}
    properties["eta_seconds"] = {"type": ["number", "null"]}
    return job | {"properties": properties, "required": list(properties)}
