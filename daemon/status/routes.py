"""Everything that the endpoint answers, in one table."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from aiohttp import hdrs, web

from daemon.jobs.steering import Role
from daemon.status.handlers.actions import ACTION_OPERATIONS
from daemon.status.handlers.alerts import ALERT_OPERATIONS
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
from daemon.status.handlers.session import SESSION_OPERATIONS
from daemon.status.handlers.stores import STORE_OPERATIONS
from daemon.status.handlers.strips import STRIP_OPERATIONS
from daemon.status.handlers.webhooks import WEBHOOK_OPERATIONS
from daemon.status.openapi import describe_api
from daemon.status.operations import PARTS, Answer, Operation
from daemon.status.parts import StatusParts
from daemon.status.problems import Handler, wrong_method
from daemon.status.reading import JSON_TYPE


@dataclass(frozen=True, slots=True)
class Description:
    """An OpenAPI document."""

    openapi: str
    info: Mapping[str, Any]
    paths: Mapping[str, Any]
    components: Mapping[str, Any]


class Descriptions:
    """The description of all this: where a token is needed, and where none is. Made once each."""

    def __init__(self, parts: StatusParts) -> None:
        self._parts = parts
        self._made: dict[bool, bytes] = {}

    @property
    def _needs_token(self) -> bool:
        return not self._parts.access.rules.is_open

    def make(self, *, needs_token: bool) -> bytes:
        """That for this state of affairs; it takes a good 100 ms."""
        return describe_api(OPERATIONS, self._parts.version, self._parts.job_types, needs_token=needs_token)

    async def get(self) -> bytes:
        """That for the present state, which a reload may have changed."""
        needs_token = self._needs_token
        if needs_token not in self._made:
            self._made[needs_token] = await asyncio.to_thread(self.make, needs_token=needs_token)
        return self._made[needs_token]

    def prepare(self) -> None:
        """Make that for the present state now, while nobody waits."""
        self._made[self._needs_token] = self.make(needs_token=self._needs_token)


DESCRIPTIONS = web.AppKey("descriptions", Descriptions)


async def get_openapi(request: web.Request) -> web.Response:
    """The description of all this."""
    return web.Response(body=await request.app[DESCRIPTIONS].get(), content_type=JSON_TYPE)


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
    *ALERT_OPERATIONS,
    *JOB_TYPE_OPERATIONS,
    *SCHEDULE_OPERATIONS,
    *STORE_OPERATIONS,
    *STRIP_OPERATIONS,
    *CHOICE_OPERATIONS,
    *CHECK_OPERATIONS,
    *MAPPING_OPERATIONS,
    *EXPLANATION_OPERATIONS,
    *ITEM_OPERATIONS,
    *CUSTOMER_OPERATIONS,
    *SALE_OPERATIONS,
    *WEBHOOK_OPERATIONS,
    *SESSION_OPERATIONS,
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
BY_ROUTE = {(operation.method, operation.path): operation for operation in ROUTED}
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
    app[DESCRIPTIONS] = Descriptions(app[PARTS])
    app[DESCRIPTIONS].prepare()


def role_needed(method: str, path: str | None) -> Role | None:
    """What a method of a path, as it was registered, needs; None: anybody may ask. What is not there is not told of."""
    if path is None:
        return Role.READ
    operation = BY_ROUTE.get((hdrs.METH_GET if method == hdrs.METH_HEAD else method, path))
    if operation is not None:
        return None if operation.is_open else operation.role
    return None if path in OPEN_PATHS else Role.READ


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
