"""Reads that break off at the replica begin again, and then go to the primary."""

from aiohttp import hdrs, web

from daemon.database.replica import ReplicaFailed
from daemon.status.problems import Handler

READING = (hdrs.METH_GET, hdrs.METH_HEAD)


@web.middleware
async def read_again(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request that only reads although the replica has gone away amid it."""
    try:
        return await handler(request)
    except ReplicaFailed:
        if request.method not in READING:
            raise
        return await handler(request)
