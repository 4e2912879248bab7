"""What Nhanh.vn's failures mean, and what a person should do about each."""

import re
from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

import msgspec
import orjson

from daemon.errors import CredentialRefused, CursorRefused, RateLimited, SourceError, SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.sources import failures
from daemon.sources.http import HttpAnswer
from daemon.sources.nhanh.envelope import Envelope

# Nhanh documentation, "API Rate Limit": an answer without times says nothing about how long; one window is enough.
DEFAULT_LOCK_SECONDS = 30.0
# More than failures.LONGEST_REST, since asking too early prolongs a lock; the documented ones last seconds.
LONGEST_LOCK_SECONDS = 3600.0
LOCK_MARGIN_SECONDS = 0.25
WHOLE_SECONDS = 1.0  # how much later a time given in whole seconds may be
MAX_CLOCK_DIFFERENCE = 1.5  # seconds; the server's Date header is cut to whole ones
MAX_MESSAGE = 500  # characters

# Codes that may mean, among other things, a bad `next`: which of them does is not documented.
CURSOR_CODES = {"ERR_INVALID_DATA", "ERR_INVALID_FORM_FIELDS"}
_CURSOR = re.compile(r"\b(?:next|paginator|cursor)\b", re.IGNORECASE)

RATE_LIMIT_CODES = {"ERR_429", "ERR_EXCEEDED_RATE_LIMIT"}

_SERVER_ERROR = re.compile("ERR_5[0-9]{2}")  # not documented; ERR_403 and ERR_429 are, and follow HTTP

# Nhanh documentation, "Common error codes".
_ADVICE = {
    "ERR_INVALID_APP_ID": mark(
        "refused the app id; compare app_id in the configuration with the app's page on open.nhanh.vn"
    ),
    "ERR_INVALID_ACCESS_TOKEN": mark("refused the access token; get a new one with `dongbo connect nhanh`"),
    "ERR_INVALID_VERSION": mark(
        "says that the access token is not for API version 3.0; get a new one with `dongbo connect nhanh`"
    ),
    "ERR_INVALID_BUSINESS_ID": mark(
        "refused the business id; compare business_id in the configuration with the one that came with the access token"
    ),
    "ERR_INVALID_DEPOT_ID": mark(
        "says that the access token does not cover this depot; grant the app all depots and use the new access token"
    ),
    "ERR_INVALID_FORM_FIELDS": mark("refused a field of the request; check the filters of this pull"),
    "ERR_INVALID_DATA": mark(
        "could not read the request; check the filters of this pull, and report it if they look right"
    ),
    "ERR_BUSINESS_NOT_ENABLE_API": mark(
        "says that the business has not enabled its Open API; as director, enable it in the settings on nhanh.vn"
    ),
    "ERR_403": mark(
        "says that the access token lacks the permission for this; grant it to the app with an account that "
        "has it, and use the new access token"
    ),
}

# These refuse how the store signs in, not what it asks for.
CREDENTIAL_CODES = {
    "ERR_INVALID_APP_ID",
    "ERR_INVALID_ACCESS_TOKEN",
    "ERR_INVALID_VERSION",
    "ERR_INVALID_BUSINESS_ID",
    "ERR_BUSINESS_NOT_ENABLE_API",
}


class _Lock(msgspec.Struct, rename="camel"):
    locked_seconds: float | None = None
    unlocked_at: float | None = None


def failure(
    source: str,
    answer: HttpAnswer,
    envelope: Envelope,
    secrets: Iterable[str],
    wall_time: float,
    *,
    has_cursor: bool = False,
) -> SourceError:
    """What an unsuccessful answer means: `SourceUnavailable`, `RateLimited` or `SourceRefused`.

    `source` names the other end; `secrets` must not show in the text; `wall_time` is ours, in Unix seconds;
    `has_cursor`: the call was to continue after a `next`, so that may be what is wrong.
    """
    if str(envelope.error_code) in RATE_LIMIT_CODES:
        return _rate_limited(source, answer, bytes(envelope.data), wall_time)
    if (error := failures.passing(source, answer.status, answer.retry_after, DEFAULT_LOCK_SECONDS)) is not None:
        return error
    if envelope.code is None:
        return _unreadable(source, answer)
    said = plain_messages(envelope, secrets)
    if has_cursor and (str(envelope.error_code) in CURSOR_CODES or _CURSOR.search(said)):
        return CursorRefused(
            _("{source} no longer accepts the next page's position: {said}.").format(
                source=source, said=said or _("it does not say why")
            )
        )
    if not envelope.error_code:
        if answer.status >= 400:
            return failures.final(source, answer.status, failures.NHANH, said)
        return SourceUnavailable(
            _("{source} failed without an error code{said}.").format(source=source, said=f": {said}" if said else "")
        )
    code = str(envelope.error_code)
    if _SERVER_ERROR.fullmatch(code):
        return SourceUnavailable(
            _("{source} is in trouble ({reason}).").format(source=source, reason=f"{code}: {said}" if said else code)
        )
    advice = _ADVICE.get(code) or failures.final_advice(answer.status, failures.NHANH)
    refusal = CredentialRefused if code in CREDENTIAL_CODES else SourceRefused
    return refusal(f"{source} {_(advice)} ({code}{': ' + said if said else ''}).")


def lock_seconds(
    locked_seconds: float | None, unlocked_at: float | None, answer: HttpAnswer, wall_time: float
) -> float:
    """How long to make no calls, counted from the answer's arrival.

    `unlockedAt` is a time of the server's wall clock. Ours serves to read it only if it agrees with the server's Date
    header; else the header itself does. `lockedSeconds` stands in for times that make no sense. The later of the two
    counts: `unlockedAt` is a whole second, so it may be later than `lockedSeconds`, and calling while locked prolongs
    the lock, so that calling too early would never end it. Nor is more than LONGEST_LOCK_SECONDS believed.
    """
    longest = min(locked_seconds, LONGEST_LOCK_SECONDS) if locked_seconds and 0 < locked_seconds < inf else None
    fallback = longest or answer.retry_after or DEFAULT_LOCK_SECONDS
    if unlocked_at is None or not isfinite(unlocked_at):
        return fallback + LOCK_MARGIN_SECONDS
    now = wall_time
    if answer.date is not None and not -0.5 <= wall_time - answer.date <= MAX_CLOCK_DIFFERENCE:
        now = answer.date
    remaining = unlocked_at - now
    if remaining <= 0 or (longest is None and remaining > LONGEST_LOCK_SECONDS):
        remaining = fallback
    if longest is not None:
        remaining = max(longest, min(remaining, longest + WHOLE_SECONDS))
    return remaining + LOCK_MARGIN_SECONDS


def plain_messages(envelope: Envelope, secrets: Iterable[str]) -> str:
    """The texts of `messages`, `message` or `warning`, whatever their shape, without secrets and not too long."""
    texts = [text for raw in (envelope.messages, envelope.message, envelope.warning) for text in _texts(_loads(raw))]
    said = "; ".join(texts)
    for secret in secrets:
        said = said.replace(secret, "***")
    return said if len(said) <= MAX_MESSAGE else said[:MAX_MESSAGE] + "…"


def _rate_limited(source: str, answer: HttpAnswer, data: bytes, wall_time: float) -> RateLimited:
    """The error for a locked account, with the seconds until it is unlocked."""
    try:
        lock = msgspec.json.decode(data or b"{}", type=_Lock, strict=False)
    except msgspec.DecodeError:
        lock = _Lock()
    seconds = lock_seconds(lock.locked_seconds, lock.unlocked_at, answer, wall_time)
    return RateLimited(
        _("{source} allows no more calls for {seconds:.0f} s (rate limit).").format(source=source, seconds=seconds),
        seconds,
    )


def _unreadable(source: str, answer: HttpAnswer) -> SourceError:
    """The error for an answer that is not the API's: a gateway's page, a cut-off body, or a server in trouble."""
    if answer.status >= 400:
        return failures.final(source, answer.status, failures.NHANH)
    start = answer.body[:15].lstrip().lower()
    kind = _("a web page") if start.startswith(b"<") else _("a broken or cut-off answer")
    return SourceUnavailable(
        _("{source} sent {kind} instead of data (HTTP {status}, {n} bytes).").format(
            source=source, kind=kind, status=answer.status, n=number_text(len(answer.body))
        )
    )


def _loads(raw: msgspec.Raw) -> Any:
    try:
        return orjson.loads(bytes(raw) or b"null")
    except orjson.JSONDecodeError:
        return None


def _texts(messages: Any) -> list[str]:
    match messages:
        case None | "":
            return []
        case dict():
            return [f"{name}: {text}" for name, item in messages.items() for text in _texts(item)]
        case list():
            return [text for item in messages for text in _texts(item)]
        case _:
            return [str(messages).rstrip(".")]
