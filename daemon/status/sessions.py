"""Sessions of the page: begun with a token, held by a cookie, and gone with the token.

The cookie says when the session began and was last used, and carries a code that only who knows the token can make. So
a session outlives a restart, needs neither memory nor the database, and ends at once where the token is renewed or
taken away. One that somebody has ended is remembered for as long as the daemon runs.

A browser shows a cookie to all ports of a host. The port in its name keeps several daemons on one machine apart.

https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis (SameSite, __Host-)
"""

import base64
import binascii
import hmac
import secrets
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from aiohttp import hdrs, web

from daemon.config.address import read_netloc
from daemon.status.access import Access, AccessToken, Identity, Proof

IDLE: Final = 3 * 24 * 3600  # seconds without a request after which a session ends: a weekend
LONGEST: Final = 30 * 24 * 3600  # seconds after which it ends in any case
RENEWED_AFTER: Final = 3600  # seconds of use after which the browser gets a new cookie
MOST_ENDED: Final = 10_000  # remembered
PURPOSE: Final = b"session of the dongbo page, 1"
CONTENT: Final = struct.Struct(">16sqq")  # id, began, used; seconds since 1970
CODE_BYTES: Final = 32
LONGEST_VALUE: Final = 200  # characters of a cookie that are looked at
SECURE_PREFIX: Final = "__Host-"  # by which browsers take a cookie only over TLS, and from this very host


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended; times are seconds since 1970.

    Args:
        is_secure: whether its cookie goes over TLS only.
    """

    id: bytes
    began: int
    used: int
    token: AccessToken
    is_secure: bool

    @property
    def ends(self) -> int:
        """When it ends unless it is used again."""
        return min(self.used + IDLE, self.began + LONGEST)

    @property
    def ends_at(self) -> datetime:
        """The same, aware UTC."""
        return datetime.fromtimestamp(self.ends, UTC)

    @property
    def identity(self) -> Identity:
        """Whose it is."""
        return Identity(self.token.name, self.token.role, Proof.SESSION)


class Sessions:
    """Begins, finds and ends them.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, access: Access, clock: Callable[[], float] = time.time) -> None:
        self._access = access
        self._clock = clock
        self._ended: OrderedDict[bytes, None] = OrderedDict()  # by id, those that somebody has ended

    def begin(self, token: AccessToken, *, is_secure: bool) -> Session:
        """A new one of whoever has shown this token."""
        now = int(self._clock())
        return Session(secrets.token_bytes(16), now, now, token, is_secure)

    def find(self, request: web.Request) -> Session | None:
        """That of a request; None where its cookies tell of none, or of one that has ended."""
        for is_secure in (True, False):
            value = request.cookies.get(_cookie_name(request, is_secure=is_secure))
            session = self._read(value, is_secure=is_secure) if value else None
            if session is not None:
                return session
        return None

    def has_cookie(self, request: web.Request) -> bool:
        """Whether a request has a cookie of a session, be it of one that has ended."""
        return any(_cookie_name(request, is_secure=is_secure) in request.cookies for is_secure in (True, False))

    def cookie(self, request: web.Request, session: Session) -> str:
        """The header that lets the browser keep a session."""
        content = CONTENT.pack(session.id, session.began, session.used)
        value = base64.urlsafe_b64encode(content + session.token.mac(PURPOSE, content)).decode().rstrip("=")
        age = max(0, session.ends - int(self._clock()))
        return _set_cookie(_cookie_name(request, is_secure=session.is_secure), value, age, is_secure=session.is_secure)

    def renewal(self, request: web.Request) -> str | None:
        """The header that prolongs the session of a request; None where it has none, or was prolonged lately."""
        session = self.find(request)
        now = int(self._clock())
        if session is None or now - session.used < RENEWED_AFTER:
            return None
        return self.cookie(request, replace(session, used=now))

    def end(self, request: web.Request) -> list[str]:
        """End the session of a request, if it has one; the headers that let the browser forget it."""
        session = self.find(request)
        if session is not None:
            self._ended[session.id] = None
            if len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)
        return [
            _set_cookie(name, "", 0, is_secure=is_secure)
            for is_secure in (True, False)
            if (name := _cookie_name(request, is_secure=is_secure)) in request.cookies
        ]

    def _read(self, value: str, *, is_secure: bool) -> Session | None:
        if len(value) > LONGEST_VALUE:
            return None
        try:
            whole = base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        content, code = whole[: CONTENT.size], whole[CONTENT.size :]
        if len(content) != CONTENT.size or len(code) != CODE_BYTES:
            return None
        token = self._token_that_made(content, code)
        if token is None:
            return None
        number, began, used = CONTENT.unpack(content)
        session = Session(number, began, used, token, is_secure)
        has_ended = session.id in self._ended or session.ends <= self._clock()
        return None if has_ended else session

    def _token_that_made(self, content: bytes, code: bytes) -> AccessToken | None:
        found = None
        for token in self._access.rules.tokens:
            if hmac.compare_digest(token.mac(PURPOSE, content), code):
                found = token
        return found


def _cookie_name(request: web.Request, *, is_secure: bool) -> str:
    place = read_netloc(request.headers.get(hdrs.HOST, ""))
    port = place[1] if place is not None else None
    name = "dongbo" if port is None else f"dongbo-{port}"
    return SECURE_PREFIX + name if is_secure else name


def _set_cookie(name: str, value: str, age: int, *, is_secure: bool) -> str:
    """https://www.rfc-editor.org/rfc/rfc6265#section-4.1"""
    header = f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict"
    return f"{header}; Secure" if is_secure else header
