"""What schemathesis can't know of the endpoint under test: what there is, and rules that no schema says."""

import itertools
import os
from typing import Any

import schemathesis

STORE = "main"
JOBS = itertools.cycle(os.environ.get("DONGBO_TEST_JOBS", "0199c3b0-5d3c-7000-8000-000000000001").split(","))
SCHEDULE = "other"
SALE = "tet-2027"  # that of the description's example, which comes first


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Let each event of a stream be held to its schema, in the way of OpenAPI 3.2."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    if "x-itemSchema" in content:
                        content["itemSchema"] = content["x-itemSchema"]


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Make requests that the schema allows such as the endpoint can serve; those that it forbids go as they are."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    there_is = {"id": lambda: next(JOBS), "name": lambda: SCHEDULE, "ref": lambda: SALE}
    for name in case.path_parameters.keys() & there_is.keys():
        case.path_parameters[name] = there_is[name]()
    if isinstance(case.body, dict) and "store" in case.body:
        case.body["store"] = STORE
        params = case.body.get("params", {})
        if isinstance(params.get("query"), str):
            params["query"] = "tag:vip"  # quotes and parentheses must match
        for start in ("updated_from", "last_bought_from"):
            (params.get("filters") or {}).pop(start, None)  # may not lie behind the end
    if case.operation.path == "/api/alerts/test":
        case.body = {"channel": None}  # there are no channels
    if case.operation.path == "/api/explain":
        case.query.pop("variant_id", None)  # one of the two
        case.query.setdefault("sku", "AO-1")
