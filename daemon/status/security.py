"""Who asks and may ask, and guards against web pages of others that a person's browser shows meanwhile.

A foreign page can make a browser send requests to a loopback address, and by DNS rebinding even read the answers. So
the Host must be a name of ours; what costs anything is refused to pages of other origins, which is scheme, host and
port together, for another program of this machine may serve a page on another port; and what changes anything needs a
header that neither a form nor a script of another origin can send without asking first, which nobody answers. All of
this holds whatever a request shows to say who asks: a browser sends the cookie of a session, and what a proxy asks for,
by itself.

https://www.w3.org/TR/fetch-metadata/, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Callable, Collection, Iterator

from aiohttp import hdrs, web

from daemon.config.address import Origin, is_loopback, origins_of, plain_ip, read_netloc, read_origin
from daemon.config.fields import is_person
from daemon.i18n import gettext as _
from daemon.jobs.steering import Role
from daemon.status.access import Access, Identity, Proof
from daemon.status.connections import connection_of
from daemon.status.guessing import CHALLENGE, Guesses
from daemon.status.handlers.page import PAGE_OPERATIONS, VIEW_OPERATIONS
from daemon.status.problems import HEADERS, Handler, Problem
from daemon.status.reading import JSON_TYPE
from daemon.status.sessions import Sessions

CLIENT_HEADER = "X-Dongbo-Client"
SAFE_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)
# Cost next to nothing, and the answer can't be read; a link from elsewhere to a view works.
FOR_ALL_PAGES = frozenset(("/livez", *(operation.path for operation in (*PAGE_OPERATIONS, *VIEW_OPERATIONS))))
OWN_SITES = ("same-origin", "none")  # Sec-Fetch-Site of our own page, and of what a person has typed or bookmarked


class Guard:
    """Lets requests pass or refuses them.

    Args:
        access: who may ask for what.
        sessions: of the page.
        listen_host: the host that the endpoint listens on; None for a Unix socket.
        allowed_hosts: further host names, or origins, that are ours, as the configuration has them.
        role_needed: what a method of a path, as it was registered, needs; None: anybody may ask.
    """

    def __init__(
        self,
        access: Access,
        sessions: Sessions,
        listen_host: str | None,
        allowed_hosts: Collection[str],
        role_needed: Callable[[str, str | None], Role | None],
    ) -> None:
        self._access = access
        self._sessions = sessions
        self._role_needed = role_needed
        self._own_origins = frozenset(origin for host in allowed_hosts for origin in origins_of(host))
        self._own_hosts = {origin.host for origin in self._own_origins}
        if listen_host is not None:
            self._own_hosts.add(plain_ip(listen_host.lower()))
        self.guesses = Guesses()

    async def check(self, request: web.Request) -> Identity | None:
        """Who asks; None for somebody unknown who asks for what is open to all.

        Raises Problem for a request that may not pass; that of a wrong token takes its time.
        """
        self._check_host(request)
        self._check_origin(request)
        identity = self.identify(request)
        await self._check_role(request, identity)
        _check_mark(request)
        return identity

    def identify(self, request: web.Request) -> Identity | None:
        """Who asks; None for somebody unknown. Raises Problem 400 where a trusted proxy names nobody in particular.

        What a trusted proxy says comes first, then a token, then the session of the page.
        """
        if self._access.rules.is_open:
            return Identity(None, Role.OPERATE, Proof.NOTHING)
        if (user := self._user_of(request)) is not None:
            return self._access.user(user)
        if (shown := _shown_token(request)) is not None:
            token = self._access.token_of(shown)
            return Identity(token.name, token.role, Proof.TOKEN) if token is not None else None
        session = self._sessions.find(request)
        return session.identity if session is not None else None

    def may_go_on(self, request: web.Request) -> bool:
        """Whether a request that takes long would still pass: its token or session may be gone by now."""
        try:
            identity = self.identify(request)
        except Problem:
            return False
        return identity is not None and identity.role.may(self._needed(request) or Role.READ)

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

    def _user_of(self, request: web.Request) -> str | None:
        """The user whom a trusted proxy names; None where it names none, or the peer is somebody else."""
        header = self._access.rules.user_header
        if header is None or not self._access.trusts(connection_of(request).peer):
            return None
        names = [name for name in request.headers.getall(header, []) if name]
        if not names:
            return None
        if len(names) > 1 or not is_person(names[0]):
            raise Problem(
                400,
                _("The header {header} must hold one name: have the proxy replace what its client sends").format(
                    header=header
                ),
            )
        return names[0]

    async def _check_role(self, request: web.Request, identity: Identity | None) -> None:
        needed = self._needed(request)
        if identity is not None:
            if identity.proof is not Proof.NOTHING:
                connection_of(request).trust()
            if needed is not None and not identity.role.may(needed):
                raise _forbidden(identity, needed)
        elif needed is not None:
            raise await self._unknown(request)

    async def _unknown(self, request: web.Request) -> Problem:
        """What to say to somebody who is not known, after the time that it takes to say it."""
        if _shown_token(request) is not None:
            return await self.guesses.answer(connection_of(request).address)
        if self._sessions.has_cookie(request):
            return Problem(401, _("The session has ended: log in again"), kind="session-ended", headers=CHALLENGE)
        return Problem(
            401,
            _(
                "This needs a token: send one of those that [status] names as `Authorization: Bearer …`, or log in on "
                "the page"
            ),
            headers=CHALLENGE,
        )

    def _needed(self, request: web.Request) -> Role | None:
        return self._role_needed(request.method, _canonical(request))


GUARD = web.AppKey("guard", Guard)
SESSIONS = web.AppKey("sessions", Sessions)
IDENTITY = web.RequestKey("identity", Identity)
"""Of a request that came through the guard, unless nobody was asked and nobody is known."""


@web.middleware
async def guard_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Checks every request, also those that find no route."""
    connection_of(request).begin_request()
    identity = await request.app[GUARD].check(request)
    if identity is not None:
        request[IDENTITY] = identity
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers that every answer carries, and prolongs the session by which it was asked for."""
    response.headers.update(HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    identity = request.get(IDENTITY)
    if identity is None or identity.proof is not Proof.SESSION or hdrs.SET_COOKIE in response.headers:
        return
    if (renewal := request.app[SESSIONS].renewal(request)) is not None:
        response.headers[hdrs.SET_COOKIE] = renewal


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


def _shown_token(request: web.Request) -> str | None:
    scheme, _space, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return shown.strip() or None if scheme.lower() == "bearer" else None


def _forbidden(identity: Identity, needed: Role) -> Problem:
    who = _("{name} has").format(name=identity.name) if identity.name is not None else _("you have")
    return Problem(
        403,
        _("This needs the role {needed}, and {who} the role {role}: ask whoever runs the daemon").format(
            needed=needed, who=who, role=identity.role
        ),
        kind="role-needed",
    )
