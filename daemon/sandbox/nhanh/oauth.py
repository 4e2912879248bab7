"""How a person authorises the app: the page on which they agree, and the exchange of the code that it sends back."""

import secrets
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from aiohttp import web

from daemon.sandbox.nhanh.access import ApiError, ErrorCode, describe_token
from daemon.sandbox.nhanh.filters import InvalidFieldsError
from daemon.sandbox.nhanh.sandbox import YEAR_SECONDS, NhanhSandbox

CODE_SECONDS = 600  # Nhanh documentation: a code lives ten minutes
OLD_TOKEN_SECONDS = 900  # and a token that has a successor fifteen
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_PAGE = """\
<!DOCTYPE html>
<html lang="vi"><head><meta charset="utf-8"><title>Nhanh.vn (sandbox)</title></head>
<body>
<h1>Cấp quyền cho ứng dụng {app_id}</h1>
<p>Doanh nghiệp {business_id}; tất cả các kho; quyền: {permissions}.</p>
<form method="post" action="?{query}"><button type="submit">Đồng ý</button></form>
</body></html>
"""


async def show_page(sandbox: NhanhSandbox, request: web.Request) -> web.Response:
    """The page on which a person would log in."""
    link = _return_link(sandbox, request)
    page = _PAGE.format(
        app_id=sandbox.app_id,
        business_id=sandbox.business_id,
        permissions=escape(", ".join(sorted(sandbox.permissions))),
        query=escape(urlencode({"appId": sandbox.app_id, "returnLink": link})),
    )
    return web.Response(text=page, content_type="text/html")


async def agree(sandbox: NhanhSandbox, request: web.Request) -> web.Response:
    """What follows when the person agrees: back to the app, with a code."""
    link = _return_link(sandbox, request)
    separator = "&" if urlsplit(link).query else "?"
    raise web.HTTPFound(f"{link}{separator}{urlencode({'accessCode': sandbox.new_code()})}")


def get_access_token(sandbox: NhanhSandbox, request: web.Request, body: Mapping[str, Any]) -> bytes:
    """The answer of app/getaccesstoken, which needs no token yet.

    Raises:
        ApiError: the version or the app is not known.
        InvalidFieldsError: the code is unknown, used or too old, or the secret key is another app's.
    """
    if request.match_info["version"] != "v3.0":
        raise ApiError(ErrorCode.INVALID_VERSION, "Invalid version")
    if request.query.get("appId") != str(sandbox.app_id):
        raise ApiError(ErrorCode.INVALID_APP_ID, "Invalid appId")
    if body.get("secretKey") != sandbox.secret_key:
        raise InvalidFieldsError("secretKey", "is invalid" if body.get("secretKey") else "is required")
    made_at = sandbox.codes.pop(str(body.get("accessCode", "")), None)
    if made_at is None or sandbox.clock() - made_at >= CODE_SECONDS:
        raise InvalidFieldsError("accessCode", "is invalid or expired")
    sandbox.superseded[sandbox.token] = min(sandbox.expires_at, sandbox.clock() + OLD_TOKEN_SECONDS)
    sandbox.token = secrets.token_urlsafe(120)
    sandbox.expires_at = int(sandbox.clock()) + YEAR_SECONDS
    return orjson.dumps({"code": 1, "data": describe_token(sandbox)})


def _return_link(sandbox: NhanhSandbox, request: web.Request) -> str:
    if request.query.get("appId") != str(sandbox.app_id):
        raise web.HTTPBadRequest(text="Invalid appId")
    link = request.query.get("returnLink", "")
    parts = urlsplit(link)
    # The real page takes https only. This one also takes a callback on this machine, which has no certificate.
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
        raise web.HTTPBadRequest(text="returnLink must begin with https://")
    if sandbox.redirect_urls and link not in sandbox.redirect_urls:
        raise web.HTTPBadRequest(text="returnLink is not one of the app's Redirect URLs")
    return link
