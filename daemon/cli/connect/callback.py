"""The place on this machine where the browser may deliver the access code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from daemon.config import TcpAddress
from daemon.errors import ListenError
from daemon.sources.nhanh.authorisation import read_code

_DONE = """<!DOCTYPE html><meta charset="utf-8"><title>dongbo</title>
<p>The code has arrived: go back to the terminal. / Đã nhận mã, hãy quay lại cửa sổ dòng lệnh.</p>"""
_NONE = """<!DOCTYPE html><meta charset="utf-8"><title>dongbo</title>
<p>There is no access code in this address. / Địa chỉ này không có mã truy cập.</p>"""


@asynccontextmanager
async def listening(address: TcpAddress) -> AsyncIterator["asyncio.Future[str]"]:
    """Wait for the code at this address, on any path, until the context ends.

    Raises:
        ListenError: the address can't be bound.
    """
    code: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def receive(request: web.Request) -> web.Response:
        try:
            found = read_code(str(request.url)) if "accesscode" in request.path_qs.lower() else None
        except ValueError:
            found = None
        if found is None:
            return web.Response(status=404, text=_NONE, content_type="text/html")
        if not code.done():
            code.set_result(found)
        return web.Response(text=_DONE, content_type="text/html", headers={"Referrer-Policy": "no-referrer"})

    application = web.Application()
    application.router.add_get("/{path:.*}", receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            raise ListenError(
                f"--listen {address.host}:{address.port}: can't listen there ({error.strerror or error})"
            ) from None
        yield code
    finally:
        await runner.cleanup()
