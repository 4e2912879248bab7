"""The token endpoint of a shop: client credentials against access tokens that end."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from daemon.sandbox.shopify.access import ALL_SCOPES

CLIENT_ID = "5a0db0c0ffee5a0db0c0ffee5a0db0c0"
CLIENT_SECRET = "shpss_sandbox-client-secret"  # noqa: S105 (opens nothing but the sandbox)
DAY = 86_399.0  # seconds
DESCRIPTIONS = {
    "invalid_client": "Client authentication failed due to unknown client or no client authentication included.",
    "invalid_request": "The request is missing a required parameter.",
    "unsupported_grant_type": "The grant type is not supported.",
    "app_not_installed": "The application is not installed on this shop.",
    "shop_not_permitted": "Client credentials cannot be performed on this shop.",
}


@dataclass
class App:
    """An app of the Dev Dashboard, and the tokens that it holds for this shop. Everything may be changed at any time.

    Args:
        client_id: and the secret: what tokens are given for.
        token_lifetime: seconds until a token ends.
        scopes: what tokens open, and what their grant says.
        is_installed: uninstalling ends all tokens.
        same_organisation: whether the app belongs to the shop's organisation.
        html_errors: whether refusals come as the page that browsers get.
        ends_older_tokens: whether a new token ends the ones before it; Shopify does not say.
        clock: seconds.
        grants: the outcome of each request for a token: "granted" or the code of the error.
    """

    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    token_lifetime: float = DAY
    scopes: frozenset[str] = frozenset(ALL_SCOPES)
    is_installed: bool = True
    same_organisation: bool = True
    html_errors: bool = False
    ends_older_tokens: bool = False
    clock: Callable[[], float] = time.monotonic
    grants: list[str] = field(default_factory=list)
    _tokens: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def granted(self) -> int:
        """How many tokens were given."""
        return self.grants.count("granted")

    @property
    def tokens(self) -> list[str]:
        """All tokens that were given, but for those that were ended."""
        return list(self._tokens)

    def accepts(self, token: str) -> bool:
        """Whether a token is good now."""
        return self.is_installed and self.clock() < self._tokens.get(token, float("-inf"))

    def revoke_tokens(self) -> None:
        """End all tokens."""
        self._tokens.clear()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer to a request for a token."""
        form = await request.post() if request.content_type == "application/x-www-form-urlencoded" else {}
        error = self._error(str(form.get("grant_type", "")), form.get("client_id"), form.get("client_secret"))
        self.grants.append(error or "granted")
        if error is not None:
            return self._refusal(error)
        token = f"shpat_{secrets.token_hex(16)}"
        if self.ends_older_tokens:
            self._tokens.clear()
        self._tokens[token] = self.clock() + self.token_lifetime
        granted = {"access_token": token, "scope": ",".join(sorted(self.scopes)), "expires_in": self.token_lifetime}
        return web.json_response(granted)

    def _error(self, grant_type: str, client_id: object, client_secret: object) -> str | None:
        if not client_id or not client_secret:
            return "invalid_request"
        if grant_type != "client_credentials":
            return "unsupported_grant_type"
        if (client_id, client_secret) != (self.client_id, self.client_secret):
            return "invalid_client"
        if not self.same_organisation:
            return "shop_not_permitted"
        return None if self.is_installed else "app_not_installed"

    def _refusal(self, code: str) -> web.Response:
        if self.html_errors:
            page = (
                "<!DOCTYPE html><html><head><title>Oauth error</title></head><body>"
                f"<h1>Oauth error {code}: {DESCRIPTIONS[code]}</h1></body></html>"
            )
            return web.Response(status=400, text=page, content_type="text/html")
        return web.json_response({"error": code, "error_description": DESCRIPTIONS[code]}, status=400)
