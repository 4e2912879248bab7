"""The page: static files that hold no data, so they need no token; the page asks for it itself.

Its views have addresses of their own, at all of which the same document is answered: which of them is shown is decided
in the browser.
"""

import gzip
import hashlib
import importlib.resources
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable

from aiohttp import hdrs, web

from daemon.i18n import Language, page_words
from daemon.i18n import gettext as _
from daemon.status.operations import Answer, Operation
from daemon.status.problems import Problem

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
GZIP = "gzip"
EXAMPLES = {
    "text/html": "<!doctype html>",
    "text/css": "body { margin: 0 }",
    "text/javascript": "export {}",
    "image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg"/>',
}
UNCHANGED = Answer("It is the one that If-None-Match names", headers=("ETag",))
ASKED = {"If-None-Match": "the ETag of the copy already at hand"}
DOCUMENT = {200: Answer("The page", texts={"text/html": EXAMPLES["text/html"]}, headers=("ETag",)), 304: UNCHANGED}
FILE = {200: Answer("The file", texts=EXAMPLES, headers=("ETag",)), 304: UNCHANGED}
ADDRESSES = (
    "/jobs",
    "/jobs/{id}",
    "/approvals",
    "/approvals/{id}",
    "/items",
    "/items/{id}",
    "/customers",
    "/customers/{id}",
    "/schedules",
    "/schedules/{name}",
    "/sales",
    "/sales/{name}",
)
"""Of the views besides the first, which is at "/"."""


async def get_page(request: web.Request) -> web.Response:
    """The page itself."""
    return _serve(request, INDEX)


async def get_page_file(request: web.Request) -> web.Response:
    """Its style and scripts."""
    return _serve(request, request.match_info["file"])


async def get_part_file(request: web.Request) -> web.Response:
    """Style and scripts of one of its views, or of what views are made of."""
    return _serve(request, f"{request.match_info['folder']}/{request.match_info['file']}")


@cache
def page_files() -> dict[str, bytes]:
    """The files of the page by their names, those in its folders as "views/…", and its words as "words.vi.json"."""
    folder = importlib.resources.files("daemon.status") / "page"
    files = {f"words.{language}.json": page_words(language) for language in Language} | _files_in(folder, "")
    for part in folder.iterdir():
        if part.is_dir():
            files |= _files_in(part, f"{part.name}/")
    return files


def _files_in(folder: Traversable, prefix: str) -> dict[str, bytes]:
    return {prefix + file.name: file.read_bytes() for file in folder.iterdir() if _media_type(file.name)}


def _serve(request: web.Request, name: str) -> web.Response:
    if name not in page_files():
        raise Problem(404, _("The page has no such file"))
    coding = GZIP if GZIP in request.headers.get(hdrs.ACCEPT_ENCODING, "") else ""
    file = _file(name, coding)
    headers = {hdrs.ETAG: file.tag, hdrs.CACHE_CONTROL: "no-cache", hdrs.VARY: hdrs.ACCEPT_ENCODING}
    if request.headers.get(hdrs.IF_NONE_MATCH) == file.tag:
        return web.Response(status=304, headers=headers)
    if coding:
        headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=file.body, content_type=_media_type(name) or "", charset="utf-8", headers=headers)


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it is sent, and the name of this version of it."""

    body: bytes
    tag: str


@cache
def _file(name: str, coding: str) -> _File:
    """Packed once for all who ask: a view on a phone is a dozen files."""
    content = page_files()[name]
    body = gzip.compress(content, mtime=0) if coding else content
    return _File(body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')


def _media_type(name: str) -> str | None:
    return MEDIA_TYPES.get(name[name.rfind(".") :])


def _view(path: str) -> Operation:
    return Operation("GET", path, get_page, "A view of the page", DOCUMENT, headers=ASKED, is_open=True)


PAGE_OPERATIONS = (
    Operation("GET", "/", get_page, "The page", DOCUMENT, headers=ASKED, is_open=True),
    Operation("GET", "/page/{file}", get_page_file, "Style and scripts of the page", FILE, headers=ASKED, is_open=True),
    Operation(
        "GET",
        "/page/{folder}/{file}",
        get_part_file,
        "Style and scripts of a part of the page",
        FILE,
        headers=ASKED,
        is_open=True,
    ),
)
VIEW_OPERATIONS = tuple(map(_view, ADDRESSES))
"""For people alone: the description of the API leaves them out."""
