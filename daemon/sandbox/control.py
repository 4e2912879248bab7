"""Control over HTTP, beside Shopify's API: situations, and what somebody enters at Nhanh.vn, while a daemon runs.

GET    /_sandbox/situations          all of them
GET    /_sandbox/situations/NAME     one
PUT    /_sandbox/situations/NAME     on
DELETE /_sandbox/situations/NAME     off
GET    /_sandbox/webhooks            where both shops send webhooks, and what became of them
PUT    /_sandbox/webhooks/nhanh      {"callback_url", "verify_token"} of Nhanh.vn's app
"""

from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from daemon.errors import DongboError
from daemon.sandbox.faults import CONTROL
from daemon.sandbox.nhanh.webhooks import NhanhWebhooks
from daemon.sandbox.shopify.webhooks import ShopifyWebhooks
from daemon.sandbox.situations import SITUATIONS, Rehearsal, UnknownSituation, find
from daemon.sandbox.staging.stage import ShopTooSmall
from daemon.sandbox.webhooks import WebhookDeliveries


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


def webhook_routes(nhanh: NhanhWebhooks, shopify: ShopifyWebhooks, webhooks: WebhookDeliveries) -> list[web.RouteDef]:
    """The routes by which webhooks are looked after."""

    async def show(_: web.Request) -> web.Response:
        answers = Counter(str(attempt.status or "none") for attempt in webhooks.attempts)
        return web.json_response(
            {
                "nhanh": {
                    "callback_url": nhanh.callback_url,
                    "enabled": nhanh.enabled,
                    "events": sorted(nhanh.events),
                },
                "shopify": [{"topic": each.topic, "uri": each.uri} for each in shopify.subscriptions.values()],
                "counts": dict(webhooks.counts),
                "answers": dict(answers),
            }
        )

    async def enter(request: web.Request) -> web.Response:
        entered = await request.json()
        nhanh.enable(str(entered["callback_url"]), str(entered["verify_token"]))
        await webhooks.settled()
        return await show(request)

    return [web.get(f"{CONTROL}webhooks", show), web.put(f"{CONTROL}webhooks/nhanh", enter)]


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
