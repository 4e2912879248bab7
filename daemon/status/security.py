"""Who may ask: the bearer token, and guards against web pages of others that a person's browser shows meanwhile.

A foreign page can make a browser send requests to a loopback address, and by DNS rebinding even read the answers. So
the Host must be a name of ours, and a request that changes something must not come from a page of another origin.
"""

import hmac
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from daemon.config.address import is_loopback
from daemon.status.problems import Handler, Problem

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    hdrs.SERVER: "dongbo",
}
SAFE_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


class Guard:
    """Lets requests pass or refuses them.

    Args:
        token: None if none is asked for.
        own_hosts: Host names, without ports, that are ours besides loopback ones.
        open_paths: routes that need no token, as they were registered.
    """

    def __init__(self, token: str | None, own_hosts: Collection[str], open_paths: Collection[str]) -> None:
        self._token = token
        self._own_hosts = frozenset(_host_of(host) or host.lower() for host in own_hosts)
        self._open_paths = frozenset(open_paths)

    def check(self, request: web.Request) -> None:
        """Raises Problem for a request that may not pass."""
        self._check_host(request)
        self._check_origin(request)
        self._check_token(request)

    def _check_host(self, request: web.Request) -> None:
        local = _local_address(request)
        if local is None:  # a Unix socket: no browser comes here by itself
            return
        hosts = request.headers.getall(hdrs.HOST, [])
        if len(hosts) != 1:
            raise Problem(400, "A request must name exactly one Host")
        host = _host_of(hosts[0])
        if host is None or not (is_loopback(host) or host == local or host in self._own_hosts):
            raise Problem(
                421,
                "The Host of this request is none of this daemon's: add it to [status] allowed_hosts if it should be",
                kind="unknown-host",
            )

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if request.method in SAFE_METHODS or origin is None:
            return
        netloc = _netloc_of(origin)
        if netloc != request.headers.get(hdrs.HOST, "").lower() and _host_of(netloc or "") not in self._own_hosts:
            raise Problem(403, "Pages of other origins may not change anything here", kind="foreign-origin")

    def _check_token(self, request: web.Request) -> None:
        resource = request.match_info.route.resource
        if self._token is None or (resource is not None and resource.canonical in self._open_paths):
            return
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(_bytes(shown.strip()), _bytes(self._token)):
            return
        what = "This needs the endpoint's token" if not shown else "The token is wrong"
        raise Problem(
            401,
            f"{what}: send it as `Authorization: Bearer …`; it is the one that [status] token names",
            headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="dongbo"'},
        )


GUARD = web.AppKey("guard", Guard)


@web.middleware
async def guard_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Checks every request, also those that find no route."""
    request.app[GUARD].check(request)
    return await handler(request)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers that every answer carries."""
    response.headers.update(HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")


def _local_address(request: web.Request) -> str | None:
    """The IP address that the connection came in on; None for a Unix socket."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return _plain_ip(name[0]) if isinstance(name, tuple) else None


def _host_of(netloc: str) -> str | None:
    """The host without port and brackets, in lower case; None for rubbish."""
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port
        if parts.netloc != netloc or parts.username is not None or not parts.hostname:
            return None
        return _plain_ip(parts.hostname)
    except ValueError:
        return None


def _netloc_of(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _plain_ip(host: str) -> str:
    """IPv6 addresses in their shortest form, IPv4 ones that come mapped into IPv6 as themselves."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(getattr(address, "ipv4_mapped", None) or address)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
