"""The description is valid, says what there is, and the endpoint does what it says."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from daemon.api.problems import ProblemDetails
from daemon.jobs.failures import DeadLetter
from daemon.jobs.failures import insert as insert_failures
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.types import JobType
from daemon.status import guessing
from daemon.status.openapi import describe_api
from daemon.status.openapi_schemas import Schemas
from daemon.status.operations import Answer, Operation
from daemon.status.routes import OPERATIONS, get_openapi
from daemon.tasks import params_schemas

HERE = Path(__file__).parent
TOKEN = "s3cret-token"
Schema = dict[str, Any]


def _describe(*, needs_token: bool = False) -> Schema:
    return orjson.loads(describe_api(OPERATIONS, "1", params_schemas(), needs_token=needs_token))


def _operations(description: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _check(description: Schema, schema: Schema, value: object) -> None:
    """Raises where the value is none of the schema's."""
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    whole = schema | {"components": description["components"]}
    jsonschema.validate(value, whole, jsonschema.Draft202012Validator, format_checker=formats)


@pytest.mark.parametrize("needs_token", [False, True])
def test_the_description_is_openapi_3_1(needs_token: bool) -> None:
    """The Initiative's own schema has nothing against it, and each schema of ours is one."""
    description = _describe(needs_token=needs_token)
    assert [error.message for error in OpenAPIV31SpecValidator(description).iter_errors()] == []
    for schema in description["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_the_description_names_exactly_the_routes_that_there_are(endpoint: Any) -> None:
    """/openapi.json and the router agree, operation by operation, and so do the path parameters and references."""
    description = await endpoint.get("/openapi.json")
    assert description["openapi"].startswith("3.1.")
    described = {(method.upper(), path) for path, method, _ in _operations(description)}
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}
    ids = [operation["operationId"] for _, _, operation in _operations(description)]
    assert len(ids) == len(set(ids))
    for path, _, operation in _operations(description):
        in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
    for place, name in re.findall(r"'#/components/(\w+)/([^']+)'", str(description)):
        assert name in description["components"][place], name


def test_every_schema_has_a_name_of_its_own() -> None:
    """A generator that names its classes by title, or its files in lower case, loses none."""
    schemas = _describe()["components"]["schemas"]
    assert [schema["title"] for schema in schemas.values()] == list(schemas)
    assert len({name.lower() for name in schemas}) == len(schemas)


class First:
    """A place for a type."""

    @dataclass
    class Twin:
        """Of one name."""

        number: int


class Second:
    """Another place."""

    @dataclass
    class Twin:
        """Of the same name."""

        text: str


def test_problems_have_the_members_of_their_record() -> None:
    """Their schema is written by hand, for it says more of each member."""
    described = _describe()["components"]["schemas"]["Problem"]
    members = fields(ProblemDetails)
    assert set(described["properties"]) == {member.name for member in members}
    required = {member.name for member in members if member.default is MISSING}
    assert set(described["required"]) == required


def test_two_types_of_one_name_end_the_start() -> None:
    """Whether they come from two modules, or differ in case only."""

    operations = [
        Operation("GET", f"/{number}", get_openapi, "", {200: Answer("", twin)})
        for number, twin in enumerate((First.Twin, Second.Twin))
    ]
    with pytest.raises(ValueError, match="Twin"):
        describe_api(operations, "1", {}, needs_token=False)
    schemas = Schemas()
    schemas.add("Twin", {"type": "object"})
    schemas.add("Twin", {"type": "object"})
    for name, schema in (("Twin", {"type": "string"}), ("TWIN", {"type": "object"}), ("a__Twin", {})):
        with pytest.raises(ValueError, match="rename one of them"):
            schemas.add(name, schema)


def _examples(description: Schema, node: Any) -> Iterator[tuple[Schema, Any]]:
    """Every example with its schema."""
    match node:
        case dict():
            schema = node["schema"] if "schema" in node and "example" in node else node
            if "example" in node and "schema" in node:
                yield schema, node["example"]
            if isinstance(node.get("examples"), list):
                yield from ((node, example) for example in node["examples"])
            for value in node.values():
                yield from _examples(description, value)
        case list():
            for value in node:
                yield from _examples(description, value)
        case _:
            pass


def test_examples_are_valid() -> None:
    """Each is of its schema; what is read, what is submitted, what is text and what is sent as an event has one."""
    description = _describe()
    found = list(_examples(description, description))
    for schema, example in found:
        _check(description, schema, example)
    schemas = description["components"]["schemas"]
    bodies = {operation.body.__name__ for operation in OPERATIONS if operation.body} - {"SubmitBody"}
    submissions = {name for name in schemas if re.match(r"Submit(?!Body)|\w+Params$", name)}
    assert len(submissions) == 2 * len(JobType)
    events = {
        payload.__name__ for one in OPERATIONS for answer in one.answers.values() for payload in answer.events.values()
    }
    for name in {*bodies, *submissions, *events, "Job", "Problem"}:
        assert schemas[name]["examples"], name
    for path, _, operation in _operations(description):
        for answer in operation["responses"].values():
            for media_type, content in answer.get("content", {}).items():
                assert media_type == "application/json" or "example" in content, (path, media_type)
    for header in description["components"]["headers"].values():
        assert "example" in header


async def test_the_token_is_described_where_one_is_configured(open_endpoint: Any) -> None:
    """Without one there is no security to speak of; with one, all but the open addresses need it."""
    async with open_endpoint() as endpoint:
        description = await endpoint.get("/openapi.json")
        assert "security" not in description
        assert "securitySchemes" not in description["components"]
        for _, _, operation in _operations(description):
            assert "security" not in operation
            assert "401" not in operation["responses"]
    async with open_endpoint(token=TOKEN) as endpoint:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        description = await endpoint.get("/openapi.json", headers=headers)
        assert description["security"] == [{"token": ["read"]}, {"session": ["read"]}]
        schemes = description["components"]["securitySchemes"]
        assert (schemes["token"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
        for path, method, operation in _operations(description):
            async with endpoint.client.request(method, re.sub(r"{\w+}", "x", path)) as response:
                assert (response.status == 401) is (operation["security"] != []), path
            logs_in = (method, path) == ("post", "/api/session")
            assert ("401" in operation["responses"]) is (operation["security"] != [] or logs_in)


async def test_the_answers_are_what_the_description_says(endpoint: Any) -> None:
    """Each JSON answer is valid against the schema of its operation."""
    description = await endpoint.get("/openapi.json")
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    await endpoint.change(lambda c: insert_failures(c, job.id, [DeadLetter(None, "x", b"{}")]), job.id)
    await endpoint.progress(job, token, Counters(created=1), rows_per_second=1.0)

    def check(method: str, path: str, status: int, answer: object) -> None:
        described = description["paths"][path][method]["responses"][str(status)]
        if reference := described.get("$ref"):
            described = description["components"]["responses"][reference.rsplit("/", 1)[-1]]
        content = described["content"]
        _check(description, content.get("application/json", content.get("application/problem+json"))["schema"], answer)

    check("get", "/api/jobs", 200, await endpoint.get("/api/jobs"))
    check("get", "/api/jobs", 400, await endpoint.get("/api/jobs?limit=x", 400))
    check("post", "/api/jobs", 422, await endpoint.call("POST", "/api/jobs", 422, json={}))
    check("get", "/api/jobs/{id}", 200, shown := await endpoint.get(f"/api/jobs/{job.id}"))
    check("get", "/api/jobs/{id}/failures", 200, await endpoint.get(f"/api/jobs/{job.id}/failures"))
    check("get", "/api/schedules", 200, await endpoint.get("/api/schedules"))
    check("get", "/status", 200, await endpoint.get("/status"))
    readiness = await endpoint.get("/readyz", headers={"Accept": "application/json"})
    check("get", "/readyz", 200, readiness)
    await endpoint.finish(job, token, JobStatus.COMPLETED)
    check(
        "post", "/api/jobs/prune", 200, await endpoint.call("POST", "/api/jobs/prune", 200, json={"older_than_days": 1})
    )
    assert set(description["components"]["schemas"]["Job"]["required"]) == set(shown)
    assert set(shown) == {*Job.__slots__}


async def test_events_are_what_the_description_says(endpoint: Any) -> None:
    """Each event has a name of the description, and data of that name's type."""
    description = await endpoint.get("/openapi.json")
    content = description["paths"]["/api/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    payloads = {
        one["properties"]["event"]["const"]: one["properties"]["data"]["contentSchema"]
        for one in content["x-itemSchema"]["oneOf"]
    }
    first = await endpoint.submit()
    async with endpoint.client.get("/api/events") as response:
        second = await endpoint.submit(JobType.MATCH_PRODUCTS)
        seen: set[str] = set()
        while seen != {"snapshot", "job"}:
            event = dict(
                line.split(": ", 1)
                for line in (await response.content.readuntil(b"\n\n")).decode().splitlines()
                if line
            )
            if "event" in event:
                _check(description, payloads[event["event"]], orjson.loads(event["data"]))
                _check(description, content["x-itemSchema"], event)
                seen.add(event["event"])
    assert first.id != second.id


async def _jobs_in_every_state(endpoint: Any) -> list[Job]:
    asking = await endpoint.asking()
    await endpoint.push(asking, "3", "0", "sold out")
    running = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    await endpoint.claim(running)
    ended = await endpoint.ended(JobStatus.COMPLETED)
    await endpoint.change(lambda c: insert_failures(c, ended.id, [DeadLetter("7", "x", b"{}")]), ended.id)
    failed = await endpoint.ended(JobStatus.FAILED, JobType.PULL_SHOPIFY_PRODUCTS)
    return [asking, running, ended, failed]


async def _schemathesis(endpoint: Any, *options: str) -> tuple[int, str]:
    """The exit code and report of a run against the endpoint."""
    jobs = ",".join(str(job.id) for job in await _jobs_in_every_state(endpoint))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("run", "--no-color", *options, f"{endpoint.url}openapi.json"),
        cwd=HERE,  # where schemathesis.toml is
        env=os.environ | {"DONGBO_TEST_JOBS": jobs},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        report, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, report.decode()


@pytest.mark.timeout(300)
async def test_no_generated_request_finds_the_endpoint_at_fault(endpoint: Any) -> None:
    """Answers are as described, what is described is accepted, and the rest is refused."""
    code, report = await _schemathesis(endpoint)
    assert code == 0, report
    found = re.search(r"(\d+) selected / (\d+) total", report)
    assert found is not None, report
    assert found[1] == found[2]
    assert int(found[1]) >= len({operation.path for operation in OPERATIONS})
    await endpoint.get("/status")


@pytest.mark.timeout(300)
async def test_no_generated_request_passes_without_the_token(
    open_endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that needs the token is done without it, or with another one; with it everything is."""
    monkeypatch.setattr(guessing, "FREE", 1_000)  # wrong tokens: else the answers come late, and are 429
    async with open_endpoint(token=TOKEN) as endpoint:
        options = ("--phases", "examples,fuzzing", "--header", f"Authorization: Bearer {TOKEN}")
        code, report = await _schemathesis(endpoint, *options)
    assert code == 0, report
