"""All that the endpoint answers, in one table."""

from aiohttp import hdrs, web

from daemon.status.openapi import describe_api
from daemon.status.operations import DESCRIPTION, PARTS, Answer, Operation
from daemon.status.reading import JSON_TYPE
from daemon.status.routes_jobs import JOB_OPERATIONS
from daemon.status.routes_page import PAGE_OPERATIONS
from daemon.status.routes_probes import PROBE_OPERATIONS
from daemon.status.routes_sales import SALE_OPERATIONS
from daemon.status.routes_schedules import SCHEDULE_OPERATIONS
from daemon.status.routes_sync import SYNC_OPERATIONS
from daemon.status.views import Description


async def get_openapi(request: web.Request) -> web.Response:
    """The description of all this."""
    return web.Response(body=request.app[DESCRIPTION], content_type=JSON_TYPE)


OPERATIONS: tuple[Operation, ...] = (
    *PROBE_OPERATIONS,
    *JOB_OPERATIONS,
    *SCHEDULE_OPERATIONS,
    *SYNC_OPERATIONS,
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
OPEN_PATHS = frozenset(operation.path for operation in OPERATIONS if operation.is_open)


def add_routes(app: web.Application) -> None:
    """Register every operation; GET answers HEAD too."""
    for operation in OPERATIONS:
        if operation.method == hdrs.METH_GET:
            app.router.add_get(operation.path, operation.handler, allow_head=True)
        else:
            app.router.add_route(operation.method, operation.path, operation.handler)
    parts = app[PARTS]
    app[DESCRIPTION] = describe_api(OPERATIONS, parts.version, parts.job_types, needs_token=parts.token is not None)
