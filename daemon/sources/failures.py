"""Which failures of a source may resolve themselves, and what the others mean: the one place that says so.

Nhanh.vn, Shopify, Shopify's grant of tokens and the proxies in between are all judged by these tables. Anything not
listed here is final: a request that was wrong once will be wrong again.

Sources: RFC 9110, RFC 8470 (425); Shopify documentation, "Status and error codes" (402, 403, 423, 430); Cloudflare
documentation, "5xx errors" (520 to 530).
"""

from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType

from daemon.errors import AskedTooMuch, CredentialRefused, RateLimited, SourceError, SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark

# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# Minimum seconds to rest where the answer does not say; 430 is Shopify's status for too many calls at once.
RESTING: Mapping[int, float] = MappingProxyType({429: 0.0, 430: 5.0})
# The most seconds that one answer may hold back the calls of an account, sales included: a proxy may say anything,
# such as a day. A source that means it is asked again after this time, and will say so again.
LONGEST_REST = 300.0
PASSING = frozenset({408, 425})  # besides those above, and everything from 500 on
PERHAPS_TOO_MUCH = frozenset({500, 502, 504, 524})

SHOPIFY: Mapping[int, str] = MappingProxyType(
    {
        402: mark("says that the shop is frozen because of unpaid bills; its owner must pay them"),
        403: mark("denies access; check that the app is installed in the shop and that access_token belongs to it"),
        404: mark("does not know this shop or API version; check shop in the configuration"),
        423: mark("says that the shop is locked; its owner must contact Shopify"),
    }
)
NHANH: Mapping[int, str] = MappingProxyType(
    {
        401: mark("does not accept the access token; get a new one with `dongbo connect nhanh`"),
        402: mark("says that the account is suspended because of unpaid bills; its owner must pay them"),
        403: mark("denies access; check the app's permissions, and whether a firewall blocks this machine's address"),
        404: mark("does not know this address; check base_url in the configuration"),
        423: mark("says that the account is locked; its owner must contact Nhanh.vn"),
    }
)
_IN_BETWEEN: Mapping[int, str] = MappingProxyType(
    {
        407: mark("is behind a proxy that requires a user name and password; put them into HTTPS_PROXY"),
        413: mark("or a proxy in front of it says that the request is too large; check the proxy's limits"),
        451: mark("may not serve this location for legal reasons; contact its support"),
    }
)
OTHERWISE = mark("refused the request")


def may_pass(status: int) -> bool:
    """Whether a call that was answered with this HTTP status is worth another try."""
    return status in RESTING or status in PASSING or status >= 500


def bounded_rest(seconds: float) -> float | None:
    """The seconds to rest where a source asks for that many; None where that is nonsense: negative, or not a number."""
    return min(seconds, LONGEST_REST) if seconds >= 0 and isfinite(seconds) else None


def passing(source: str, status: int, retry_after: float | None, rest: float) -> RateLimited | SourceUnavailable | None:
    """The error of an HTTP status that may resolve itself; None for all others.

    `source` names the other end; `retry_after` is how many seconds it asks to wait; `rest` is how many to rest after
    429 where it does not say.
    """
    if status in RESTING:
        seconds = retry_after or max(rest, RESTING[status])
        return RateLimited(
            _("{source} allows no more calls for {seconds:.0f} s (HTTP {status}).").format(
                source=source, seconds=seconds, status=status
            ),
            seconds,
        )
    if not may_pass(status):
        return None
    kind = AskedTooMuch if status in PERHAPS_TOO_MUCH else SourceUnavailable
    return kind(_("{source} is in trouble (HTTP {status}).").format(source=source, status=status))


def final_advice(status: int, meanings: Mapping[int, str]) -> str:
    """What a status means that will not resolve itself, by one of the tables above; it follows the source's name.

    Marked, not yet looked up.
    """
    return meanings.get(status) or _IN_BETWEEN.get(status) or OTHERWISE


def final(source: str, status: int, meanings: Mapping[int, str], said: str = "") -> SourceError:
    """The error of an HTTP status that will not resolve itself; `said` is what the source itself said."""
    kind = CredentialRefused if status == 401 else SourceRefused
    why = _(final_advice(status, meanings))
    return kind(f"{source} {why} (HTTP {status}{f': {said}' if said else ''}).")


# ── GraphQL ─────────────────────────────────────────────────────────────────────────────────────────────────────────

THROTTLED = "THROTTLED"
MAX_COST_EXCEEDED = "MAX_COST_EXCEEDED"
ACCESS_DENIED = "ACCESS_DENIED"
SHOP_INACTIVE = "SHOP_INACTIVE"

# Codes that say that another try may help: Shopify's own and those of gateways in front of it.
_PASSING_CODES = frozenset(
    {"SERVICE_UNAVAILABLE", "UNAVAILABLE", "MAINTENANCE", "BAD_GATEWAY", "TOO_MANY_REQUESTS", "RATE_LIMITED"}
)
_PERHAPS_TOO_MUCH_CODES = frozenset({"INTERNAL_SERVER_ERROR", "INTERNAL_ERROR", "TIMEOUT", "GATEWAY_TIMEOUT"})


def graphql_code_may_pass(code: str | None) -> bool:
    """Whether a call that was answered with an error of this code, in upper case, is worth another try. So is one
    without a code: a source that knew what was wrong with the call would have said it."""
    return code is None or code in _PASSING_CODES | _PERHAPS_TOO_MUCH_CODES


def graphql_code_is_of_size(code: str | None) -> bool:
    """Whether such an error may be due to the size of what was asked for."""
    return code is None or code in _PERHAPS_TOO_MUCH_CODES
