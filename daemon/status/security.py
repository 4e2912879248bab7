"""Who may ask: the bearer token, and guards against web pages of others that a person's browser shows meanwhile.

A foreign page can make a browser send requests to a loopback address, and by DNS rebinding even read the answers. So
the Host must be a name of ours; what costs anything is refused to pages of other origins, which is scheme, host and
port together, for another program of this machine may serve a page on another port; and what changes anything needs a
header that neither a form nor a script of another origin can send without asking first, which nobody answers.

https://www.w3.org/TR/fetch-metadata/, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import hmac
from collections.abc import Collection, Iterator

from aiohttp import hdrs, web

from daemon.config.address import Origin, is_loopback, origins_of, plain_ip, read_netloc, read_origin
from daemon.i18n import gettext as _
from daemon.status.connections import connection_of
from daemon.status.guessing import CHALLENGE, Guesses
from daemon.status.handlers.page import PAGE_OPERATIONS, VIEW_OPERATIONS
from daemon.status.problems import HEADERS, Handler, Problem
from daemon.status.reading import JSON_TYPE

CLIENT_HEADER = "X-Dongbo-Client"
SAFE_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)
# Cost next to nothing, and the answer can't be read; a link from elsewhere to a view works.
FOR_ALL_PAGES = frozenset(("/livez", *(operation.path for operation in (*PAGE_OPERATIONS, *VIEW_OPERATIONS))))
OWN_SITES = ("same-origin", "none")  # Sec-Fetch-Site of our own page, and of what a person has typed or bookmarked


class Guard:
    """Lets requests pass or refuses them.

    Args:
        token: None if none is asked for.
        listen_host: the host that the endpoint listens on; None for a Unix socket.
        allowed_hosts: further host names, or origins, that are ours, as the configuration has them.
        open_paths: routes that need no token, as they were registered.
    """

    def __init__(
        self, token: str | None, listen_host: str | None, allowed_hosts: Collection[str], open_paths: Collection[str]
    ) -> None:
        self._token = token
        self._own_origins = frozenset(origin for host in allowed_hosts for origin in origins_of(host))
        self._own_hosts = {origin.host for origin in self._own_origins}
        if listen_host is not None:
            self._own_hosts.add(plain_ip(listen_host.lower()))
        self._open_paths = frozenset(open_paths)
        self.guesses = Guesses()

    async def check(self, request: web.Request) -> None:
        """Raises Problem for a request that may not pass; that of a wrong token takes its time."""
        self._check_host(request)
        self._check_origin(request)
        await self._check_token(request)
        _check_mark(request)

    def _check_host(self, request: web.Request) -> None:
        local = connection_of(request).local_host
        if local is None:  # a Unix socket: no browser comes here by itself
            return
        hosts = request.headers.getall(hdrs.HOST, [])
        if len(hosts) != 1:
            raise Problem(400, _("A request must name exactly one Host"))
        place = read_netloc(hosts[0])
        if place is None or not (is_loopback(place[0]) or place[0] == local or place[0] in self._own_hosts):
            raise Problem(
                421,
                _("Host not allowed: add it to [status] allowed_hosts if it is this daemon's"),
                kind="unknown-host",
            )

    def _check_origin(self, request: web.Request) -> None:
        if request.method in SAFE_METHODS and _canonical(request) in FOR_ALL_PAGES:
            return
        origins = request.headers.getall(hdrs.ORIGIN, [])
        site = request.headers.get("Sec-Fetch-Site", "none").lower()
        if all(self._is_own(origin, request) for origin in origins) and site in OWN_SITES:
            return
        raise Problem(
            403,
            _(
                "Pages of other origins can't request anything here: open the address by itself, or name the origin "
                "of the page, such as https://dongbo.example.com, in [status] allowed_hosts if a proxy serves it "
                "there"
            ),
            kind="foreign-origin",
        )

    def _is_own(self, text: str, request: web.Request) -> bool:
        origin = read_origin(text)
        return origin is not None and (origin in self._own_origins or origin in _addressed(request))

    async def _check_token(self, request: web.Request) -> None:
        if self._token is None:
            return
        scheme, _space, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        is_bearer = scheme.lower() == "bearer" and bool(shown.strip())
        if is_bearer and hmac.compare_digest(_bytes(shown.strip()), _bytes(self._token)):
            connection_of(request).trust()
            return
        if _canonical(request) in self._open_paths:
            return
        if is_bearer:
            raise await self.guesses.answer(connection_of(request).address)
        raise Problem(
            401,
            _("This needs the endpoint's token: send the one that [status] token names as `Authorization: Bearer …`"),
            headers=CHALLENGE,
        )


GUARD = web.AppKey("guard", Guard)


@web.middleware
async def guard_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Checks every request, also those that find no route."""
    connection_of(request).begin_request()
    await request.app[GUARD].check(request)
    return await handler(request)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers that every answer carries."""
    response.headers.update(HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")


def _check_mark(request: web.Request) -> None:
    """What changes anything must carry a header that makes a browser ask first where it would come from elsewhere."""
    route = request.match_info.route
    is_change = request.method not in SAFE_METHODS and route.method == request.method
    if not is_change or request.content_type == JSON_TYPE or request.headers.get(CLIENT_HEADER):
        return
    detail = _("Send `Content-Type: {type}`, even without a body, or a header `{header}` with any value").format(
        type=JSON_TYPE, header=CLIENT_HEADER
    )
    if hdrs.CONTENT_TYPE in request.headers or request.body_exists:
        raise Problem(415, detail, kind="unmarked-request", headers={hdrs.ACCEPT: JSON_TYPE})
    raise Problem(403, detail, kind="unmarked-request")


def _canonical(request: web.Request) -> str | None:
    """The path of the route as it was registered; None where there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else None


def _addressed(request: web.Request) -> Iterator[Origin]:
    """The origins that the request was addressed to: of a Unix socket it can't be told what a proxy in front speaks."""
    host = request.headers.get(hdrs.HOST, "").lower()
    for scheme in ("http",) if connection_of(request).local_host is not None else ("http", "https"):
        origin = read_origin(f"{scheme}://{host}")
        if origin is not None:
            yield origin


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
