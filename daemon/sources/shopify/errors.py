"""What Shopify's failures mean, and what a person should do about each."""

from collections.abc import Iterable
from typing import Any, assert_never

from daemon.errors import CredentialRefused, RateLimited, SourceError, SourceRefused, SourceUnavailable
from daemon.sources.credential import CredentialKind
from daemon.sources.http import Answer
from daemon.sources.limits import ThrottleStatus

DEFAULT_RETRY_SECONDS = 2.0  # after a 429 that does not say how long
MAX_MESSAGE = 500  # characters

# Shopify documentation, "Status and error codes".
STATUS_ADVICE = {
    402: "says that the shop is frozen for unpaid bills; its owner must settle them",
    403: "forbids the access; check that the app is installed in the shop and access_token belongs to it",
    404: "knows no such shop or API version; check shop in the configuration",
    423: "says that the shop is locked; its owner must contact Shopify",
}
_PASSING_CODES = {"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"}

# Shopify documentation, "Implementing idempotency".
UNDER_WAY_CODES = frozenset({"IDEMPOTENCY_CONCURRENT_REQUEST"})
KEY_LOST_CODES = frozenset({"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"})


class CostExceededError(SourceRefused):
    """One query would cost more than Shopify allows: to be asked again for less at once."""


# As in Shopify's schema: activation answers with user errors that have no code, so that their message must tell.
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
    """An idempotency key is used up, and what became of its call is not said: read the present state, decide anew."""


def idempotency_failure(source: str, codes: Iterable[str], said: str) -> SourceError | None:
    """What the error codes of a call with an idempotency key say of the key; None if they say nothing of it."""
    found = set(codes)
    if found & KEY_LOST_CODES:
        return IdempotencyLost(f"{source} takes the idempotency key of a call no more: {said}.")
    if found & UNDER_WAY_CODES:
        return SourceUnavailable(f"{source} is still busy with an earlier attempt of the same call: {said}.")
    return None


def failure(source: str, answer: Answer, payload: Any, secrets: Iterable[str]) -> SourceError | None:
    """What an answer means that carries errors or no data; None for a success.

    `payload` is the decoded body, None if it could not be decoded; `source` names the other end; `secrets` must not
    show in the text.
    """
    if answer.status == 429:
        seconds = answer.retry_after or DEFAULT_RETRY_SECONDS
        return RateLimited(f"{source} allows no more calls for {seconds:.0f} s (HTTP 429).", seconds)
    if answer.status >= 500 or answer.status == 408:
        return SourceUnavailable(f"{source} is in trouble (HTTP {answer.status}).")
    if answer.status >= 400:
        advice = STATUS_ADVICE.get(answer.status, "refused the request")
        return SourceRefused(f"{source} {advice} (HTTP {answer.status}).")
    if not isinstance(payload, dict):
        size = f"HTTP {answer.status}, {len(answer.body):,} bytes"
        return SourceUnavailable(f"{source} sent something else than data, or only a part of it ({size}).")
    if payload.get("errors"):
        return _of_errors(source, payload["errors"], throttle_status(payload), secrets)
    if not isinstance(payload.get("data"), dict):
        return SourceUnavailable(f"{source} sent an answer without data.")
    return None


def token_refused(source: str, kind: CredentialKind) -> CredentialRefused:
    """The error for a call whose token was refused (HTTP 401), and where there are others, the next one, too."""
    match kind:
        case CredentialKind.ACCESS_TOKEN:
            advice = (
                "refused the access token: the app was uninstalled, or the token revoked. Correct access_token in the"
                " configuration, or make an app in the Dev Dashboard and run `dongbo connect shopify`"
            )
        case CredentialKind.CLIENT_CREDENTIALS:
            advice = (
                "refused the access token, and the new one that it had just given as well: look in the Dev Dashboard"
                " whether the app is still installed in this shop"
            )
        case _:
            assert_never(kind)
    return CredentialRefused(f"{source} {advice} (HTTP 401).")


def throttle_status(payload: Any) -> ThrottleStatus | None:
    """`extensions.cost` of an answer; None if it is missing or unreadable."""
    try:
        cost = payload["extensions"]["cost"]
        bucket, requested = cost["throttleStatus"], cost.get("requestedQueryCost")
        return ThrottleStatus(
            requested=float(requested) if requested is not None else None,
            maximum_available=float(bucket["maximumAvailable"]),
            currently_available=float(bucket["currentlyAvailable"]),
            restore_rate=float(bucket["restoreRate"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _of_errors(source: str, errors: Any, status: ThrottleStatus | None, secrets: Iterable[str]) -> SourceError:
    found = errors if isinstance(errors, list) else [errors]
    codes = {code for error in found if (code := _code(error))}
    said = "; ".join(_message(error) for error in found)[:MAX_MESSAGE]
    for secret in secrets:
        said = said.replace(secret, "***")
    if "THROTTLED" in codes:
        lacking = max(0.0, (status.requested or 0.0) - status.currently_available) if status else 0.0
        seconds = lacking / max(status.restore_rate, 1.0) if status else DEFAULT_RETRY_SECONDS
        return RateLimited(f"{source} has no points left for {seconds:.1f} s (THROTTLED).", seconds)
    if "MAX_COST_EXCEEDED" in codes:
        return CostExceededError(f"{source} refused a query as too expensive: {said}.")
    if "ACCESS_DENIED" in codes:
        return SourceRefused(
            f"{source} says that the app lacks an access scope; add it to the app's version in the Dev Dashboard,"
            f" release it and approve it in the shop (`dongbo check --live` lists what is missing) ({said})."
        )
    if "SHOP_INACTIVE" in codes:
        return SourceRefused(f"{source} says that the shop is inactive; its owner must choose a plan ({said}).")
    if (error := idempotency_failure(source, codes, said)) is not None:
        return error
    if codes & _PASSING_CODES:
        return SourceUnavailable(f"{source} is in trouble: {said}.")
    return SourceRefused(f"{source} refused the request: {said}.")


def _code(error: Any) -> str | None:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return str(code) if code else None


def _message(error: Any) -> str:
    return str(error.get("message") if isinstance(error, dict) else error).rstrip(".")
