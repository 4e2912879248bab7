"""The job page: static files that hold no data, so they need no token; the page asks for it itself."""

import hashlib
import importlib.resources
from functools import cache

from aiohttp import hdrs, web

from daemon.status.operations import Answer, Operation
from daemon.status.problems import Problem

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
EXAMPLES = {
    "text/html": "<!doctype html>",
    "text/css": "body { margin: 0 }",
    "text/javascript": "export {}",
    "image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg"/>',
}
UNCHANGED = Answer("It is the one that If-None-Match names", headers=("ETag",))
ASKED = {"If-None-Match": "the ETag of the copy already at hand"}


async def get_page(request: web.Request) -> web.Response:
    """The page itself."""
    return _serve(request, INDEX)


async def get_page_file(request: web.Request) -> web.Response:
    """Its style and scripts."""
    return _serve(request, request.match_info["file"])


@cache
def page_files() -> dict[str, bytes]:
    """The files of the page by name."""
    folder = importlib.resources.files("daemon.status") / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if _media_type(file.name)}


def _serve(request: web.Request, name: str) -> web.Response:
    content = page_files().get(name)
    if content is None:
        raise Problem(404, "The page has no such file")
    tag = _tag(name)
    headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "no-cache"}
    if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, content_type=_media_type(name) or "", charset="utf-8", headers=headers)


@cache
def _tag(name: str) -> str:
    return f'"{hashlib.sha256(page_files()[name]).hexdigest()[:16]}"'


def _media_type(name: str) -> str | None:
    return MEDIA_TYPES.get(name[name.rfind(".") :])


PAGE_OPERATIONS = (
    Operation(
        "GET",
        "/",
        get_page,
        "The job page",
        {200: Answer("The page", texts={"text/html": EXAMPLES["text/html"]}, headers=("ETag",)), 304: UNCHANGED},
        headers=ASKED,
        is_open=True,
    ),
    Operation(
        "GET",
        "/page/{file}",
        get_page_file,
        "Style and scripts of the job page",
        {200: Answer("The file", texts=EXAMPLES, headers=("ETag",)), 304: UNCHANGED},
        headers=ASKED,
        is_open=True,
    ),
)
