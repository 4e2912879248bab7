"""The client credentials grant: an app's id and secret in exchange for an access token that lives a day.

Source: shopify.dev, "Using the client credentials grant" and "Get API access tokens for Dev Dashboard apps"; the
form of errors is not documented there: they come as RFC 6749's JSON or as a page that says `Oauth error CODE: …`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from daemon.clock import boot_time
from daemon.errors import CredentialRefused, SourceError, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.sources import failures
from daemon.sources.http import HttpAnswer, post
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.errors import DEFAULT_RETRY_SECONDS
from daemon.sources.shopify.scopes import read_scopes

PATH = "/admin/oauth/access_token"
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=10)  # all calls of the shop wait for a token
DAY = 86_399.0  # seconds; what the documentation says about every such token

OAUTH_ERROR = re.compile(r"oauth error ([a-z_]+)", re.IGNORECASE)
ERROR_CODE = re.compile(r"[a-z_]{3,64}")

DASHBOARD = mark("the Dev Dashboard (dev.shopify.com/dashboard)")
WRONG_PAIR = mark(
    "does not recognize this client id and secret: open your app in {dashboard}, compare both under "
    "Settings, and run `dongbo connect shopify` with a secret that is not revoked"
)
NOT_INSTALLED = mark(
    "says that the app is not installed in the shop: open your app in {dashboard}, release a version "
    "with its scopes, and install it in this shop"
)
OTHER_ORGANISATION = mark(
    "gives tokens only to apps of the shop's own organisation, and this app belongs to another: create "
    "the app in the shop's organisation in {dashboard}, and compare shop in the configuration"
)
ADVICE = {
    "invalid_client": WRONG_PAIR,
    "application_cannot_be_found": WRONG_PAIR,
    "invalid_grant": WRONG_PAIR,
    "unauthorized_client": WRONG_PAIR,
    "app_not_installed": NOT_INSTALLED,
    "shop_not_permitted": OTHER_ORGANISATION,
    "unsupported_grant_type": mark("gives this app no tokens for its secret: create a new app in {dashboard}"),
}
STATUS_ONLY = {
    **failures.SHOPIFY,
    401: WRONG_PAIR,
    403: NOT_INSTALLED,
    404: mark("does not know this shop; compare shop in the configuration with the name before .myshopify.com"),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that Shopify has given, the scopes that it opens, and until when it is good (`boot_time`, seconds)."""

    token: str = field(repr=False)
    scopes: frozenset[str]
    granted_at: float
    expires_at: float

    @property
    def lifetime(self) -> float:
        """Seconds from its grant to its end."""
        return self.expires_at - self.granted_at


async def ask_for_token(
    session: aiohttp.ClientSession,
    *,
    base_url: str,
    source: str,
    client_id: str,
    client_secret: str,
    meter: CallMeter,
    clock: Callable[[], float] = boot_time,
) -> Grant:
    """Ask for a token once.

    Args:
        base_url: the shop's address, without a trailing slash.
        source: names the shop in errors.
        client_id: the app's.
        client_secret: the app's; it is never shown.
        meter: counts the call.
        clock: what the token's end is measured with.

    Raises:
        CredentialRefused: id, secret or shop are refused; the sentence says what to do in the Dev Dashboard.
        SourceUnavailable, RateLimited: worth another try.
    """
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    asked_at = clock()  # the token may be older than its answer
    answer = await post(
        session,
        f"{base_url}{PATH}",
        body=urlencode(form).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        source=source,
        meter=meter,
        timeout=TIMEOUT,
    )
    payload = _decoded(answer.body)
    if answer.status >= 400 or (isinstance(payload, dict) and "error" in payload):
        raise _refusal(source, answer, payload, client_secret)
    try:
        token, lifetime = payload["access_token"], _lifetime(payload.get("expires_in"))
        scopes = read_scopes(payload.get("scope"))
    except (KeyError, TypeError, ValueError, AttributeError):
        kind = _("a web page") if answer.body.lstrip()[:1] == b"<" else _("something else")
        raise SourceUnavailable(
            _("{source} sent {kind} instead of an access token (HTTP {status}, {n} bytes).").format(
                source=source, kind=kind, status=answer.status, n=number_text(len(answer.body))
            )
        ) from None
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise SourceUnavailable(_("{source} sent an invalid access token.").format(source=source))
    return Grant(token, scopes, asked_at, asked_at + lifetime)


def _refusal(source: str, answer: HttpAnswer, payload: Any, secret: str) -> SourceError:
    if (error := failures.passing(source, answer.status, answer.retry_after, DEFAULT_RETRY_SECONDS)) is not None:
        return error
    code = _error_code(answer, payload)
    if code is not None and code in secret:  # an answer may quote what it was sent
        code = None
    advice = ADVICE.get(code or "") or failures.final_advice(answer.status, STATUS_ONLY)
    if advice == failures.OTHERWISE:
        advice = mark("issued no access token; look at {dashboard}")
    why = _(advice).format(dashboard=_(DASHBOARD))
    return CredentialRefused(f"{source} {why} (HTTP {answer.status}{f', {code}' if code else ''}).")


def _error_code(answer: HttpAnswer, payload: Any) -> str | None:
    """RFC 6749's code of an error, from its JSON or from the page that Shopify shows to browsers."""
    if isinstance(payload, dict):
        code = payload.get("error")
        return code if isinstance(code, str) and ERROR_CODE.fullmatch(code) else None
    found = OAUTH_ERROR.search(answer.body[:65536].decode("utf-8", "replace"))
    return found[1].lower() if found else None


def _lifetime(seconds: Any) -> float:
    if seconds is None:
        return DAY
    lifetime = float(seconds)
    if not math.isfinite(lifetime) or lifetime <= 0:
        raise ValueError(seconds)
    return lifetime


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
