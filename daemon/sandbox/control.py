"""Situations over HTTP, beside Shopify's API: what is on, and switching one on or off while a daemon runs.

GET    /_sandbox/situations          all of them
GET    /_sandbox/situations/NAME     one
PUT    /_sandbox/situations/NAME     on
DELETE /_sandbox/situations/NAME     off
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from daemon.errors import DongboError
from daemon.sandbox.faults import CONTROL
from daemon.sandbox.situations import SITUATIONS, Rehearsal, UnknownSituation, find
from daemon.sandbox.staging.stage import ShopTooSmall


def routes(rehearsal: Rehearsal) -> list[web.RouteDef]:
    """The routes by which a rehearsal is controlled."""

    async def show_all(_: web.Request) -> web.Response:
        return web.json_response({"situations": [_described(rehearsal, name) for name in SITUATIONS]})

    async def show(request: web.Request) -> web.Response:
        return _answer(rehearsal, request, lambda _: None)

    async def put(request: web.Request) -> web.Response:
        return _answer(rehearsal, request, rehearsal.switch_on)

    async def delete(request: web.Request) -> web.Response:
        return _answer(rehearsal, request, rehearsal.switch_off)

    one = f"{CONTROL}situations/{{name}}"
    return [
        web.get(f"{CONTROL}situations", show_all),
        web.get(one, show),
        web.put(one, put),
        web.delete(one, delete),
    ]


def _answer(rehearsal: Rehearsal, request: web.Request, act: Callable[[str], None]) -> web.Response:
    """One situation after something was done about it."""
    name = request.match_info["name"]
    try:
        find(name)
        act(name)
    except UnknownSituation as error:
        return _problem(error, HTTPStatus.NOT_FOUND)
    except ShopTooSmall as error:
        return _problem(error, HTTPStatus.CONFLICT)
    return web.json_response(_described(rehearsal, name))


def _problem(error: DongboError, status: HTTPStatus) -> web.Response:
    return web.json_response({"error": str(error)}, status=status)


def _described(rehearsal: Rehearsal, name: str) -> dict[str, Any]:
    situation = SITUATIONS[name]
    return {"name": name, "on": rehearsal.is_on(name), "text": situation.text, "expect": situation.expect}
