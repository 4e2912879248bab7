"""Sessions of the page: how long they last, and that only the token they began with keeps them."""

from types import SimpleNamespace
from typing import Any

import pytest

from daemon.jobs.steering import Role
from daemon.status.access import Access, AccessRules, AccessToken
from daemon.status.sessions import IDLE, LONGEST, MOST_ENDED, RENEWED_AFTER, Sessions
from tests.support.clock import Clock

LAN = AccessToken("Lan", Role.OPERATE, "the-token-of-lan-0123")
MINH = AccessToken("Minh", Role.READ, "the-token-of-minh-012")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(1_800_000_000.0)


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    """Those of Lan and Minh."""
    return Sessions(Access(AccessRules(tokens=[LAN, MINH])), clock)


def request(cookie: str | None = None, host: str = "127.0.0.1:8765") -> Any:
    """What is looked at of a request."""
    name, _, value = (cookie or "").split(";")[0].partition("=")
    return SimpleNamespace(headers={"Host": host}, cookies={name: value} if cookie else {})


def begun(sessions: Sessions, token: AccessToken = LAN) -> str:
    """The cookie of a new session."""
    return sessions.cookie(request(), sessions.begin(token, is_secure=False))


def name(sessions: Sessions, cookie: str) -> Any:
    """Whose session it is; None where it has ended."""
    session = sessions.find(request(cookie))
    return session.token.name if session is not None else None


def test_a_session_outlives_a_restart(sessions: Sessions, clock: Clock) -> None:
    """Nothing of it is kept by the daemon."""
    cookie = begun(sessions)
    assert name(Sessions(Access(AccessRules(tokens=[MINH, LAN])), clock), cookie) == "Lan"
    assert name(Sessions(Access(AccessRules(tokens=[MINH])), clock), cookie) is None


def test_a_session_that_nobody_uses_ends(sessions: Sessions, clock: Clock) -> None:
    """After a weekend; in use it is prolonged once an hour, and ends after a month all the same."""
    cookie = begun(sessions)
    clock.now += IDLE - 1
    assert name(sessions, cookie) == "Lan"
    clock.now += 1
    assert name(sessions, cookie) is None
    cookie, began = begun(sessions), clock.now
    prolonged = 0
    while name(sessions, cookie) is not None:
        assert sessions.renewal(request(cookie)) is None
        clock.now += RENEWED_AFTER
        renewed = sessions.renewal(request(cookie))
        prolonged += renewed is not None
        cookie = renewed or cookie
    assert clock.now - began == LONGEST
    assert prolonged == LONGEST // RENEWED_AFTER - 1


def test_one_that_was_ended_does_not_come_back(sessions: Sessions, clock: Clock) -> None:
    """Not by an older or newer cookie of it either; what is remembered of ended ones is bounded."""
    first = begun(sessions)
    clock.now += RENEWED_AFTER
    second = sessions.renewal(request(first))
    assert second is not None
    sessions.end(request(second))
    assert (name(sessions, first), name(sessions, second)) == (None, None)
    for _ in range(MOST_ENDED + 10):
        sessions.end(request(begun(sessions, MINH)))
    assert len(sessions._ended) == MOST_ENDED


def test_several_daemons_on_one_host_keep_apart(sessions: Sessions) -> None:
    """A browser shows cookies to every port: the name has the port, and that of another daemon is passed over."""
    cookie = begun(sessions)
    assert cookie.startswith("dongbo-8765=")
    assert sessions.find(request(cookie, host="127.0.0.1:8766")) is None
    assert not sessions.has_cookie(request(cookie, host="127.0.0.1:8766"))
