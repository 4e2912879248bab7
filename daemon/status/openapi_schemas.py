"""The schemas of the description, each under a name of its own: of our types, of events, and of what jobs take."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from pydantic import TypeAdapter

from daemon.api.jobs import SubmitBody
from daemon.jobs.model import Job
from daemon.jobs.types import JobType
from daemon.status.examples import EXAMPLES

Schema = Mapping[str, Any]

REF = "#/components/schemas/{model}"
# What pydantic makes of two types of one name, or of one that is read and written differently, is not such a name.
PLAIN_NAME = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
PROBLEM: Schema = {
    "type": "object",
    "description": "Why a request was not served (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "about:blank, or urn:dongbo:problem: and a name."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong and what to do, for a person."},
        "instance": {"type": "string", "format": "uri-reference"},
        "job_id": {"type": "string", "format": "uuid", "description": "The live job that stands in the way."},
        "errors": {
            "type": "array",
            "description": "Each thing that is wrong with the request, and where.",
            "items": {
                "type": "object",
                "required": ["at", "detail"],
                "properties": {"at": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class Schemas:
    """Schemas by name."""

    def __init__(self) -> None:
        self._found: dict[str, Schema] = {}

    def add(self, name: str, schema: Schema) -> None:
        """Keep a schema. Raises ValueError where its name is that of another one: a client would lose one of them.

        Names that differ only in case are one, too: they would be files of one name.
        """
        if not PLAIN_NAME.fullmatch(name):
            raise ValueError(f"{name} is the schema of two types of one name: rename one of them")
        named = {"title": name, **schema}
        for other, known in self._found.items():
            if other.lower() == name.lower() and (other != name or known != named):
                raise ValueError(f"There is already a schema {other}: rename one of them")
        self._found[name] = named

    def add_types(self, bodies: Iterable[type], answers: Iterable[type]) -> None:
        """Keep the schemas of types that are read and written, and of all that they hold."""
        adapters: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
            *((body.__name__, "validation", TypeAdapter(body)) for body in dict.fromkeys(bodies)),
            *((answer.__name__, "serialization", TypeAdapter(answer)) for answer in dict.fromkeys(answers)),
        ]
        _, described = TypeAdapter.json_schemas(adapters, ref_template=REF)
        for name, schema in described["$defs"].items():
            shown = _as_shown(schema) if name == Job.__name__ else schema
            self.add(name, {**shown, **EXAMPLES.get(name, {})})

    def add_query(self, query: type) -> dict[str, Schema]:
        """Keep the schemas that query parameters refer to; the schemas of the parameters themselves by name."""
        described = schema_of(query)
        for name, schema in described.get("$defs", {}).items():
            self.add(name, schema)
        return {name: _without_null(schema) for name, schema in described["properties"].items()}

    def add_submissions(self, job_types: Mapping[JobType, Schema]) -> None:
        """Keep what may be submitted: for each type of job a schema of the request, and one of its `params`."""
        body = schema_of(SubmitBody)
        named: dict[JobType, Schema] = {}
        for job_type, params in sorted(job_types.items()):
            name = job_type.title().replace("_", "")
            self.add(f"{name}Params", params)
            request = {
                "type": {"type": "string", "const": job_type},
                "store": body["properties"]["store"],
                "params": reference(f"{name}Params"),
            }
            example = {"type": job_type, "store": "main", "params": params["examples"][0]}
            self.add(f"Submit{name}", _object(request, required=body["required"]) | {"examples": [example]})
            named[job_type] = reference(f"Submit{name}")
        mapping = {job_type.value: ref["$ref"] for job_type, ref in named.items()}
        self.add(
            SubmitBody.__name__,
            {
                "description": body["description"],
                "oneOf": list(named.values()),
                "discriminator": {"propertyName": "type", "mapping": mapping},
            },
        )

    def add_problem(self) -> None:
        """Keep that of problems."""
        self.add("Problem", {**PROBLEM, **EXAMPLES["Problem"]})

    def described(self) -> dict[str, Schema]:
        """All of them, in alphabetical order."""
        return dict(sorted(self._found.items()))


def reference(name: str) -> dict[str, str]:
    """A reference to a schema."""
    return {"$ref": REF.format(model=name)}


def schema_of(request: type) -> dict[str, Any]:
    """The schema of what a request brings, with those that it refers to."""
    return TypeAdapter(request).json_schema(ref_template=REF)


def required_in(request: type) -> Collection[str]:
    """The members that a request must have."""
    required: list[str] = schema_of(request).get("required", [])
    return required


def event_schema(events: Mapping[str, type]) -> Schema:
    """An event of a stream as OpenAPI 3.2 describes it (`itemSchema`): `data` is JSON of the type of its name."""
    return {
        "oneOf": [
            _object(
                {
                    "id": {"type": "string"},
                    "event": {"type": "string", "const": name},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": reference(payload.__name__),
                    },
                },
                required=["id", "event", "data"],
            )
            for name, payload in events.items()
        ]
    }


def _object(properties: Mapping[str, Schema], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": dict(properties)}


def _as_shown(job: Schema) -> Schema:
    """A job's schema: what its row may lack is shown as null."""
    properties = dict(job["properties"])
    properties["eta_seconds"] = {"type": ["number", "null"], "description": "Until it ends, at its present rate."}
    return {**job, "properties": properties, "required": list(properties)}


def _without_null(parameter: Schema) -> Schema:
    """A query can't say null: it leaves a parameter out."""
    shown = {name: value for name, value in parameter.items() if name != "anyOf"}
    if shown.get("default", ...) is None:
        del shown["default"]
    forms = [form for form in parameter.get("anyOf", []) if form != {"type": "null"}]
    return shown | (forms[0] if len(forms) == 1 else {"anyOf": forms} if forms else {})
