"""Everything that the endpoint answers, in one table."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from aiohttp import hdrs, web

from daemon.status.handlers.actions import ACTION_OPERATIONS
from daemon.status.handlers.approvals import APPROVAL_OPERATIONS
from daemon.status.handlers.checks import CHECK_OPERATIONS
from daemon.status.handlers.choices import CHOICE_OPERATIONS
from daemon.status.handlers.customers import CUSTOMER_OPERATIONS
from daemon.status.handlers.explanation import EXPLANATION_OPERATIONS
from daemon.status.handlers.items import ITEM_OPERATIONS
from daemon.status.handlers.job_details import JOB_DETAIL_OPERATIONS
from daemon.status.handlers.job_types import JOB_TYPE_OPERATIONS
from daemon.status.handlers.jobs import JOB_OPERATIONS
from daemon.status.handlers.mappings import MAPPING_OPERATIONS
from daemon.status.handlers.page import PAGE_OPERATIONS, VIEW_OPERATIONS
from daemon.status.handlers.probes import PROBE_OPERATIONS
from daemon.status.handlers.sales import SALE_OPERATIONS
from daemon.status.handlers.schedules import SCHEDULE_OPERATIONS
from daemon.status.handlers.strips import STRIP_OPERATIONS
from daemon.status.openapi import describe_api
from daemon.status.operations import DESCRIPTION, PARTS, Answer, Operation
from daemon.status.problems import Handler, wrong_method
from daemon.status.reading import JSON_TYPE


@dataclass(frozen=True, slots=True)
class Description:
    """An OpenAPI document."""

    openapi: str
    info: Mapping[str, Any]
    paths: Mapping[str, Any]
    components: Mapping[str, Any]


async def get_openapi(request: web.Request) -> web.Response:
    """The description of all this."""
    return web.Response(body=request.app[DESCRIPTION], content_type=JSON_TYPE)


def _path(operation: Operation) -> str:
    return operation.path


def _allowed(operations: Iterable[Operation]) -> str:
    methods = {operation.method for operation in operations} | {hdrs.METH_OPTIONS}
    return ", ".join(sorted(methods | {hdrs.METH_HEAD} if hdrs.METH_GET in methods else methods))


OPERATIONS: tuple[Operation, ...] = (
    *PROBE_OPERATIONS,
    *JOB_OPERATIONS,
    *JOB_DETAIL_OPERATIONS,
    *ACTION_OPERATIONS,
    *APPROVAL_OPERATIONS,
    *JOB_TYPE_OPERATIONS,
    *SCHEDULE_OPERATIONS,
    *STRIP_OPERATIONS,
    *CHOICE_OPERATIONS,
    *CHECK_OPERATIONS,
    *MAPPING_OPERATIONS,
    *EXPLANATION_OPERATIONS,
    *ITEM_OPERATIONS,
    *CUSTOMER_OPERATIONS,
    *SALE_OPERATIONS,
    Operation(
        "GET",
        "/openapi.json",
        get_openapi,
        "This description (OpenAPI 3.1)",
        {200: Answer("The description", Description)},
    ),
    *PAGE_OPERATIONS,
)
ROUTED = sorted((*OPERATIONS, *VIEW_OPERATIONS), key=_path)
ALLOWED = {path: _allowed(operations) for path, operations in groupby(ROUTED, key=_path)}
OPEN_PATHS = frozenset(operation.path for operation in ROUTED if operation.is_open)


def add_routes(app: web.Application) -> None:
    """Register every operation; GET answers HEAD too, and every other method of a path is refused by the path itself.

    Otherwise a path such as /api/jobs/prune would be taken for /api/jobs/{id} by the methods that only the latter has.
    """
    for path, operations in groupby(ROUTED, key=_path):
        resource = app.router.add_resource(path)
        for operation in operations:
            resource.add_route(operation.method, operation.handler)
            if operation.method == hdrs.METH_GET:
                resource.add_route(hdrs.METH_HEAD, operation.handler)
        resource.add_route(hdrs.METH_ANY, _refuse_method(ALLOWED[path]))
    parts = app[PARTS]
    app[DESCRIPTION] = describe_api(OPERATIONS, parts.version, parts.job_types, needs_token=parts.token is not None)


def methods_at(path: str) -> str | None:
    """The methods that a path answers to, as for an Allow header; None where there is nothing."""
    for template in sorted(ALLOWED, key=lambda one: one.count("{")):  # the most particular first, as aiohttp does it
        pattern = "[^/]+".join(map(re.escape, re.split(r"\{\w+\}", template)))
        if re.fullmatch(pattern, path):
            return ALLOWED[template]
    return None


def _refuse_method(allowed: str) -> Handler:
    """Answers OPTIONS, and 405 to everything else."""

    async def refuse(request: web.Request) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={hdrs.ALLOW: allowed})
        raise wrong_method(allowed)

    return refuse
