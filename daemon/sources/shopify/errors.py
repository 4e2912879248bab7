"""What Shopify's failures mean, and what a person should do about each."""

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any, assert_never

from daemon.errors import (
    AskedTooMuch,
    CredentialRefused,
    CursorRefused,
    RateLimited,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.sources import failures
from daemon.sources.credential import CredentialKind
from daemon.sources.http import HttpAnswer
from daemon.sources.limits import ThrottleStatus

DEFAULT_RETRY_SECONDS = 2.0  # after a 429 that does not say how long
MAX_MESSAGE = 500  # characters

# Shopify documentation, "Implementing idempotency".
UNDER_WAY_CODES = frozenset({"IDEMPOTENCY_CONCURRENT_REQUEST"})
KEY_LOST_CODES = frozenset({"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"})


class PageTooLargeError(SourceRefused):
    """One query is too much for Shopify: ask for less at a time.

    `for_good`: it costs more than Shopify ever allows; else it has failed at this size again and again.
    """

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class AnswerFailed(AskedTooMuch):
    """Shopify has answered, and says that it failed on this call."""


class ProtectedDataRefused(SourceRefused):
    """Fields that hold protected customer data are kept from the app; `fields` are those that are known, by name."""

    def __init__(self, message: str, fields: frozenset[str]) -> None:
        super().__init__(message)
        self.fields = fields


_CURSOR = re.compile(r"\bcursor\b", re.IGNORECASE)

# Shopify documentation, "Work with protected customer data".
_PROTECTED = re.compile(
    r"not approved to (?:access|use) the|protected customer data|personally identifiable", re.IGNORECASE
)
ASK_FOR_PROTECTED = mark(
    "request them in the Dev Dashboard, in the app's API access requests under Protected customer data "
    "access; an app that was made in the shop's admin gets them with a higher plan of the shop"
)

# As in Shopify's schema: activation answers with user errors that have no code, so their messages must do.
CODES_OF_MESSAGES = {
    "This request is currently in progress, please try again.": "IDEMPOTENCY_CONCURRENT_REQUEST",
    "A previous request with this idempotency key failed. Retry with a new idempotency key.": (
        "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"
    ),
    "The same idempotency key cannot be used with different operation parameters.": (
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    ),
}


class IdempotencyLost(SourceError):
    """An idempotency key is used up, and its call's outcome is unknown: read the present state and decide again."""


def idempotency_failure(source: str, codes: Iterable[str], said: str) -> SourceError | None:
    """What the error codes of a call with an idempotency key say about the key; None if nothing."""
    found = set(codes)
    if found & KEY_LOST_CODES:
        return IdempotencyLost(
            _("{source} no longer accepts the idempotency key of a call: {said}.").format(source=source, said=said)
        )
    if found & UNDER_WAY_CODES:
        return SourceUnavailable(
            _("{source} is still busy with an earlier attempt of the same call: {said}.").format(
                source=source, said=said
            )
        )
    return None


def failure(
    source: str, answer: HttpAnswer, payload: Any, secrets: Iterable[str], *, has_cursor: bool = False
) -> SourceError | None:
    """What an answer means that carries errors or no data; None for a success.

    `payload` is the decoded body, None if it could not be decoded; `source` names the other end; `secrets` must not
    show in the text; `has_cursor`: the call was to continue after a cursor, so that may be what is wrong.
    """
    if (error := failures.passing(source, answer.status, answer.retry_after, DEFAULT_RETRY_SECONDS)) is not None:
        return error
    if answer.status >= 400:
        said = _said_with_status(payload, secrets)
        if answer.status == 400 and has_cursor:
            return CursorRefused(f"{source} {_(failures.OTHERWISE)} (HTTP 400: {said}).")
        return failures.final(source, answer.status, failures.SHOPIFY, said)
    if not isinstance(payload, dict):
        size = _("HTTP {status}, {n} bytes").format(status=answer.status, n=number_text(len(answer.body)))
        return SourceUnavailable(
            _("{source} sent something other than data, or only a part of it ({size}).").format(
                source=source, size=size
            )
        )
    if payload.get("errors"):
        return _of_errors(source, payload["errors"], throttle_status(payload), secrets, has_cursor=has_cursor)
    if not isinstance(payload.get("data"), dict):
        return SourceUnavailable(_("{source} sent an answer without data.").format(source=source))
    return None


def token_refused(source: str, kind: CredentialKind) -> CredentialRefused:
    """The error for a call whose token was refused (HTTP 401) and, where a new one can be had, that one too."""
    match kind:
        case CredentialKind.ACCESS_TOKEN:
            advice = _(
                "refused the access token: the app was uninstalled, or the token revoked. Correct access_token in "
                "the configuration, or create an app in the Dev Dashboard and run `dongbo connect shopify`"
            )
        case CredentialKind.CLIENT_CREDENTIALS:
            advice = _(
                "refused the access token, and the new one that it had just issued as well: check in the Dev "
                "Dashboard that the app is still installed in this shop"
            )
        case _:
            assert_never(kind)
    return CredentialRefused(f"{source} {advice} (HTTP 401).")


def throttle_status(payload: Any) -> ThrottleStatus | None:
    """`extensions.cost` of an answer; None if it is missing or unreadable."""
    try:
        cost = payload["extensions"]["cost"]
        bucket = cost["throttleStatus"]
        requested, actual = cost.get("requestedQueryCost"), cost.get("actualQueryCost")
        return ThrottleStatus(
            requested=_finite(requested) if requested is not None else None,
            maximum_available=_finite(bucket["maximumAvailable"]),
            currently_available=_finite(bucket["currentlyAvailable"]),
            restore_rate=_finite(bucket["restoreRate"]),
            actual=_finite(actual) if actual is not None else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _finite(number: Any) -> float:
    if not isfinite(value := float(number)):
        raise ValueError(number)
    return value


def _of_errors(
    source: str, errors: Any, status: ThrottleStatus | None, secrets: Iterable[str], *, has_cursor: bool
) -> SourceError:
    found = errors if isinstance(errors, list) else [errors]
    codes = {code for error in found if (code := code_of(error))}
    said = said_of(found, secrets)
    if failures.THROTTLED in codes:
        lacking = max(0.0, (status.requested or 0.0) - status.currently_available) if status else 0.0
        wanted = lacking / max(status.restore_rate, 1.0) if status else DEFAULT_RETRY_SECONDS
        seconds = min(wanted, failures.LONGEST_REST)
        return RateLimited(
            _("{source} has no points left for {seconds:.1f} s (THROTTLED).").format(source=source, seconds=seconds),
            seconds,
        )
    if failures.MAX_COST_EXCEEDED in codes:
        return PageTooLargeError(
            _("{source} refused a query as too expensive: {said}.").format(source=source, said=said), for_good=True
        )
    if any(map(is_protected, found)):
        return ProtectedDataRefused(
            _("{source} keeps protected customer data from the app: {advice} ({said}).").format(
                source=source, advice=_(ASK_FOR_PROTECTED), said=said
            ),
            frozenset(str(step) for error in found if is_protected(error) for step in error.get("path") or ()),
        )
    if failures.ACCESS_DENIED in codes:
        return SourceRefused(
            _(
                "{source} says that the app lacks an access scope; add it to the app's version in the Dev Dashboard, "
                "release it and approve it in the shop (`dongbo check --live` lists what is missing) ({said})."
            ).format(source=source, said=said)
        )
    if failures.SHOP_INACTIVE in codes:
        return SourceRefused(
            _("{source} says that the shop is inactive; its owner must choose a plan ({said}).").format(
                source=source, said=said
            )
        )
    if (error := idempotency_failure(source, codes, said)) is not None:
        return error
    if has_cursor and _CURSOR.search(said):
        return CursorRefused(_("{source} refused the request: {said}.").format(source=source, said=said))
    if any(failures.graphql_code_is_of_size(code_of(error)) and not is_of_the_document(error) for error in found):
        return AnswerFailed(_("{source} is in trouble: {said}.").format(source=source, said=said))
    if any(map(may_pass, found)):
        return SourceUnavailable(_("{source} is in trouble: {said}.").format(source=source, said=said))
    kind = CursorRefused if has_cursor else SourceRefused
    return kind(_("{source} refused the request: {said}.").format(source=source, said=said))


def is_protected(error: Any) -> bool:
    """Whether an error keeps protected customer data from the app."""
    return code_of(error) in (failures.ACCESS_DENIED, None) and _PROTECTED.search(_message(error)) is not None


def protected_notice(source: str, fields: Iterable[str]) -> str:
    """What to say where a list comes without some of its fields, for which an earlier value may be known."""
    return _(
        "{source} keeps protected customer data from the app: {fields}. What was known of them stays as it "
        "is; {advice}."
    ).format(source=source, fields=", ".join(sorted(fields)), advice=_(ASK_FOR_PROTECTED))


def may_pass(error: Any) -> bool:
    """Whether one of the errors of an answer may resolve itself."""
    return failures.graphql_code_may_pass(code_of(error)) and not is_of_the_document(error)


def is_of_the_document(error: Any) -> bool:
    """Whether an error without a code is about the query or its variables, which repeating does not help.

    GraphQL specification, "Errors": one raised before execution has no path.
    """
    if not isinstance(error, dict) or code_of(error) is not None:
        return False
    extensions = error.get("extensions")
    has_problems = isinstance(extensions, dict) and "problems" in extensions
    return has_problems or ("locations" in error and "path" not in error)


def said_of(errors: Iterable[Any], secrets: Iterable[str]) -> str:
    """What errors say, each once, without secrets and not too long."""
    said = "; ".join(dict.fromkeys(map(_message, errors)))
    for secret in secrets:
        said = said.replace(secret, "***")
    return said if len(said) <= MAX_MESSAGE else said[:MAX_MESSAGE] + "…"


def _said_with_status(payload: Any, secrets: Iterable[str]) -> str:
    """What an answer with an error status says: `errors` may be a text, a list or an object."""
    errors = payload.get("errors") if isinstance(payload, dict) else None
    return said_of(errors if isinstance(errors, list) else [errors], secrets) if errors else ""


def code_of(error: Any) -> str | None:
    """The code of an error, in upper case, however it is sent; None if it has none."""
    extensions = error.get("extensions") if isinstance(error, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return str(code).strip().upper() or None if code else None


def _message(error: Any) -> str:
    said = (error.get("message") or error.get("extensions") or error) if isinstance(error, dict) else error
    if said is None:
        return _("it does not say why")
    return " ".join(str(said).split()).rstrip(".")
