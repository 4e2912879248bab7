"""Who may call: Nhanh's checks of app, business, version, token, rate and permission, and its form of errors."""

import hmac
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson
from aiohttp import web

from daemon.sandbox.nhanh.filters import InvalidFieldsError
from daemon.sandbox.nhanh.limits import Lock
from daemon.sandbox.nhanh.sandbox import PERMISSIONS, NhanhSandbox


class ErrorCode(StrEnum):
    """Nhanh's error codes (documentation, "Common error codes")."""

    INVALID_APP_ID = "ERR_INVALID_APP_ID"
    INVALID_ACCESS_TOKEN = "ERR_INVALID_ACCESS_TOKEN"  # noqa: S105
    INVALID_VERSION = "ERR_INVALID_VERSION"
    INVALID_BUSINESS_ID = "ERR_INVALID_BUSINESS_ID"
    INVALID_DEPOT_ID = "ERR_INVALID_DEPOT_ID"
    INVALID_FORM_FIELDS = "ERR_INVALID_FORM_FIELDS"
    INVALID_DATA = "ERR_INVALID_DATA"
    BUSINESS_NOT_ENABLE_API = "ERR_BUSINESS_NOT_ENABLE_API"
    NO_PERMISSION = "ERR_403"
    RATE_LIMITED = "ERR_429"


class ApiError(Exception):
    """A failed call: `body` is the answer, sent with HTTP 200.

    Args:
        code: why.
        messages: a text, a list of texts, or a text for each field.
    """

    def __init__(self, code: ErrorCode, messages: str | list[str] | dict[str, str]) -> None:
        super().__init__(code)
        self.code = code
        self.body = orjson.dumps({"code": 0, "errorCode": code, "messages": messages})


def rate_limited(lock: Lock) -> ApiError:
    """ERR_429, which alone spells `message` instead of `messages`."""
    error = ApiError(ErrorCode.RATE_LIMITED, "")
    error.body = orjson.dumps(
        {
            "code": 0,
            "errorCode": ErrorCode.RATE_LIMITED,
            "message": "Your app exceeded the API Rate Limit",
            "data": {"lockedSeconds": lock.locked_seconds, "unlockedAt": lock.unlocked_at},
        }
    )
    return error


def check_caller(sandbox: NhanhSandbox, request: web.Request, path: str) -> None:
    """Let the request through, or not. The rate limit counts every call of a known app, whatever its token is worth.

    Args:
        sandbox: whose credentials and permissions count.
        request: the call, with its query and headers.
        path: resource and action, such as "customer/list".

    Raises:
        ApiError: the first check that fails.
    """
    if request.match_info["version"] != "v3.0":
        raise ApiError(ErrorCode.INVALID_VERSION, "Invalid version")
    if request.query.get("appId") != str(sandbox.app_id):
        raise ApiError(ErrorCode.INVALID_APP_ID, "Invalid appId")
    if request.query.get("businessId") != str(sandbox.business_id):
        raise ApiError(ErrorCode.INVALID_BUSINESS_ID, ["Invalid businessId"])
    if sandbox.limits:
        lock = sandbox.rate_limit.admit((sandbox.app_id, sandbox.business_id, path), sandbox.clock())
        if lock is not None:
            raise rate_limited(lock)
    if not sandbox.business_enabled:
        raise ApiError(ErrorCode.BUSINESS_NOT_ENABLE_API, "Business does not enable Open API")
    sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not any(
        hmac.compare_digest(sent, token.encode()) and sandbox.clock() < end
        for token, end in ((sandbox.token, sandbox.expires_at), *sandbox.superseded.items())
    ):
        raise ApiError(ErrorCode.INVALID_ACCESS_TOKEN, "Invalid access token")
    if sandbox.token_version != "3.0":  # noqa: S105
        raise ApiError(ErrorCode.INVALID_VERSION, "Invalid version")
    if path in PERMISSIONS and path not in sandbox.permissions:
        raise ApiError(ErrorCode.NO_PERMISSION, "Access token does not have permission")


def check_access_token(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """The answer of app/checkaccesstoken.

    Raises:
        InvalidFieldsError: the secret key is not this app's.
    """
    if body.get("secretKey") != sandbox.secret_key:
        raise InvalidFieldsError("secretKey", "is invalid" if body.get("secretKey") else "is required")
    return orjson.dumps({"code": 1, "data": describe_token(sandbox)})


def describe_token(sandbox: NhanhSandbox) -> dict[str, Any]:
    """The access token and what it may do."""
    return {
        "accessToken": sandbox.token,
        "version": sandbox.token_version,
        "expiredAt": sandbox.expires_at,
        "businessId": sandbox.business_id,
        "depotIds": sorted(sandbox.depot_ids),
        "pageIds": [],
        "permissions": sorted(sandbox.permissions),
    }
