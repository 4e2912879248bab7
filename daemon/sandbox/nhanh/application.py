"""The sandbox's Nhanh.vn Open API v3.0 over HTTP, after the official documentation."""

import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from email.utils import formatdate
from functools import partial
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.sandbox.faults import Fault
from daemon.sandbox.nhanh import access, filters, lists, oauth
from daemon.sandbox.nhanh.access import ApiError, ErrorCode
from daemon.sandbox.nhanh.limits import Lock
from daemon.sandbox.nhanh.sandbox import LoggedRequest, NhanhSandbox

_request: ContextVar[LoggedRequest] = ContextVar("_request")


def make_application(sandbox: NhanhSandbox) -> web.Application:
    """The server of an account, to be run by whoever asks."""
    return _Server(sandbox).application()


class _Server:
    def __init__(self, sandbox: NhanhSandbox) -> None:
        self._sandbox = sandbox

    def application(self) -> web.Application:
        """The server, to be run by whoever asks."""
        faults = self._sandbox.faults.middleware(self._injected_rate_limit, self._log_fault)
        application = web.Application(middlewares=[self._log, faults])
        application.on_response_prepare.append(self._date)
        application.router.add_post("/{version}/{resource}/{action}", self._answer)
        application.router.add_get("/oauth", partial(oauth.show_page, self._sandbox))
        application.router.add_post("/oauth", partial(oauth.agree, self._sandbox))
        return application

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self._sandbox.clock(), usegmt=True)

    @web.middleware
    async def _log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        logged = LoggedRequest(self._sandbox.clock(), request.path.split("/", 2)[-1], "ok")
        self._sandbox.requests.append(logged)
        _request.set(logged)
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            logged.outcome = f"HTTP {refusal.status}"
            raise

    def _log_fault(self, fault: Fault) -> None:
        if fault is not Fault.SLOW:
            _request.get().outcome = fault.value

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            body = self._dispatch(request, await request.read())
        except ApiError as error:
            _request.get().outcome = error.code
            body = error.body
        except filters.InvalidFieldsError as error:
            _request.get().outcome = ErrorCode.INVALID_FORM_FIELDS
            body = ApiError(ErrorCode.INVALID_FORM_FIELDS, error.messages).body
        return web.Response(body=body, content_type="application/json")

    def _dispatch(self, request: web.Request, body: bytes) -> bytes:
        path = f"{request.match_info['resource']}/{request.match_info['action']}"
        if path == "app/getaccesstoken":
            return oauth.get_access_token(self._sandbox, request, _json_object(body))
        endpoint = _ENDPOINTS.get(path)
        if endpoint is None:
            raise web.HTTPNotFound
        access.check_caller(self._sandbox, request, path)
        return endpoint(self._sandbox, _json_object(body))

    def _injected_rate_limit(self) -> web.Response:
        error = access.rate_limited(Lock(1, math.ceil(self._sandbox.clock() + 1)))
        return web.Response(body=error.body, content_type="application/json")


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ApiError(ErrorCode.INVALID_DATA, "Invalid data") from error
    if not isinstance(parsed, dict):
        raise ApiError(ErrorCode.INVALID_DATA, ["data must be a JSON object"])
    return parsed


_ENDPOINTS: dict[str, Callable[[NhanhSandbox, Mapping[str, Any]], bytes]] = {
    "app/checkaccesstoken": access.check_access_token,
    "business/depot": lists.depots,
    "product/list": lists.products,
    "product/inventory": lists.inventory,
    "product/detail": lists.product_detail,
    "product/combo": lists.combos,
    "customer/list": lists.customers,
}
