"""What to answer to bytes that are not an HTTP request, from what aiohttp's parser found. None of them is repeated."""

import re
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong

from daemon.status.problems import Problem, not_found, wrong_method

MOST_BYTES = 8190  # of a line of the head: aiohttp's default
TLS = b"\x16\x03"  # a handshake record of any version (RFC 8446, 5.1)
HTTP2 = b"PRI * HTTP/2.0"  # RFC 9113, 3.4
# A request line whose method the parser does not know, though it has the form of one (RFC 9110, 5.6.2 and 9.1).
UNKNOWN_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} (/[\x21-\x7e]*) HTTP/1\.[01]\r\n")


def problem_of(
    status: int, error: BaseException | None, beginning: bytes, methods_at: Callable[[str], str | None]
) -> Problem:
    """The answer to what aiohttp could not hand to a handler.

    Args:
        status: what aiohttp would answer.
        error: what its parser raised.
        beginning: the first bytes of what came.
        methods_at: the methods that a path answers to; None where there is nothing.
    """
    if status >= 500:
        return Problem(500, "A bug in dongbo: the log has the details")
    if beginning.startswith(TLS):
        return _malformed("This is plain HTTP: use http:// instead of https://, or a proxy in front that speaks TLS")
    if beginning.startswith(HTTP2):
        return _malformed("This is HTTP/1.1: switch HTTP/2 off in the client or proxy")
    match error:
        case BadHttpMethod() if found := UNKNOWN_METHOD.match(beginning):
            allowed = methods_at(found[1].decode("ascii").partition("?")[0])
            return not_found() if allowed is None else wrong_method(allowed)
        case BadHttpMethod():
            return _malformed("This is not an HTTP request: it must begin with a method, such as GET")
        case LineTooLong():
            return Problem(431, f"The address or a header is longer than the {MOST_BYTES:,} bytes allowed: shorten it")
        case InvalidURLError():
            return _malformed("The address can't be read: it must begin with / and be percent-encoded (RFC 3986)")
        case _:
            return _malformed(
                "The request is not well-formed HTTP/1.1 (RFC 9112): check its first line, that it has one Host and"
                " at most 128 headers, and that either Content-Length or Transfer-Encoding says how long its body is"
            )


def problem_of_refusal(refusal: web.HTTPException) -> Problem:
    """The answer where aiohttp refuses a request before any handler."""
    if refusal.status == 417:
        return Problem(417, "The only expectation supported is 100-continue: leave out the Expect header")
    allowed: dict[str, str] = {hdrs.ALLOW: refusal.headers[hdrs.ALLOW]} if hdrs.ALLOW in refusal.headers else {}
    return Problem(
        refusal.status, "The request can't be accepted: see /openapi.json for those that can", headers=allowed
    )


def _malformed(detail: str) -> Problem:
    return Problem(400, detail, kind="malformed-request")
