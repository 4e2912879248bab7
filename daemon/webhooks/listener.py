"""Listens for webhooks: two paths, one method, and nothing of the job page.

It stands apart from the status endpoint so that a proxy can open it to the world. There are no cookies and no other
origins here; whoever can't show what only Nhanh.vn or Shopify know learns nothing, not even which stores there are.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from daemon.config import WebhookSettings
from daemon.ids import StoreName
from daemon.inbox.streams import StreamId
from daemon.jobs.types import Source
from daemon.serving.addresses import Address, address_of
from daemon.serving.listening import Door, listening
from daemon.serving.tally import Tally
from daemon.webhooks.intake import Forged, Intake
from daemon.webhooks.reading import UnreadableDelivery
from daemon.webhooks.visitors import Visitor, Visitors, plain_answer
from daemon.webhooks.writer import NotStored

log = structlog.get_logger()

DOOR = Door("the listener for webhooks", "[webhooks] listen", "127.0.0.1:8768")
BODY_TIMEOUT = 5.0  # seconds for the body of a delivery
USUAL_BODY = 64 * 1024  # bytes: for so much of a body there is always room
ROOM = 32 * 1024 * 1024  # bytes for what bodies that have not been checked yet are longer than that, all together
SHUTDOWN_TIMEOUT = 3.5  # seconds for deliveries under way: a little longer than the inbox gives itself
AGAIN = {hdrs.RETRY_AFTER: "30"}  # seconds
SIGNATURE = "X-Shopify-Hmac-Sha256"
PATH = "/webhooks/"


class Refusal(Exception):
    """A request that is not a delivery."""

    def __init__(self, status: HTTPStatus, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


@asynccontextmanager
async def listening_for_webhooks(intake: Intake, settings: WebhookSettings) -> AsyncIterator[str]:
    """Deliveries are taken in for as long as it is entered; yields the address to tell people.

    Raises ListenError: the address is in use, or can't be bound.
    """
    loop = asyncio.get_running_loop()
    crowd = Tally("webhooks_crowded", next_step="let the proxy limit the connections of one address, if it goes on")
    reception = Reception(intake, settings.max_body_kilobytes * 1024, crowd)
    visitors = Visitors(loop.time, crowd)
    server = web.Server(reception.answer)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    watch = asyncio.create_task(visitors.watch(), name="webhook-visitors")
    logger = logging.getLogger("daemon.webhooks.http")
    try:
        async with listening(
            lambda: Visitor(server, visitors, loop=loop, logger=logger, access_log=None), settings.address, DOOR
        ) as shown:
            log.info("webhooks_listened_for", address=shown)
            yield shown
    finally:
        watch.cancel()
        await asyncio.wait({watch})
        await runner.cleanup()


class Reception:
    """Answers requests. `most`: bytes of a body; `crowd` counts those for whom there is no room."""

    def __init__(self, intake: Intake, most: int, crowd: Tally) -> None:
        self._intake = intake
        self._most = most
        self._room = ROOM
        self._crowd = crowd

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request: it has been stored, or a word on why not."""
        Visitor.of(request).arrived()
        try:
            stream = _stream_of(request)
            await self._take(request, stream, address_of(request.get_extra_info("peername")))
        except Refusal as refusal:
            return _word(refusal.status, **refusal.headers)
        except Forged:
            return _word(HTTPStatus.UNAUTHORIZED)
        except UnreadableDelivery:
            return _word(HTTPStatus.BAD_REQUEST)
        except NotStored:
            return _word(HTTPStatus.SERVICE_UNAVAILABLE, **AGAIN)
        return plain_answer(HTTPStatus.OK)

    async def _take(self, request: web.BaseRequest, stream: StreamId, sender: Address) -> None:
        match stream.source:
            case Source.NHANH:
                token = request.headers.get(hdrs.AUTHORIZATION)
                if token is not None:
                    self._intake.check_token(stream.store, token, sender)
                body = await self._body(request)
                await self._intake.take_nhanh(stream.store, token, body, sender)
            case Source.SHOPIFY:
                signature = request.headers.get(SIGNATURE)
                if signature is None:
                    self._intake.refuse(stream, sender)
                else:
                    body = await self._body(request)
                    await self._intake.take_shopify(stream.store, request.headers, signature, body, sender)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The body as it was sent. Raises Refusal for a large, a compressed or a slow one."""
        if hdrs.CONTENT_ENCODING in request.headers:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if (request.content_length or 0) > self._most:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = bytearray()
        taken = 0  # of the common room
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                async for piece in request.content.iter_any():
                    body += piece
                    if len(body) > self._most:
                        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                    more = max(len(body) - USUAL_BODY, 0) - taken
                    if more > self._room:
                        self._crowd.note(address_of(request.get_extra_info("peername")))
                        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, **AGAIN)
                    taken += more
                    self._room -= more
        except TimeoutError:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT) from None
        except web.RequestPayloadError:  # it broke off, or is not what its head says
            raise Refusal(HTTPStatus.BAD_REQUEST) from None
        finally:
            self._room += taken
        return bytes(body)


def _stream_of(request: web.BaseRequest) -> StreamId:
    """Of which side of which store a request claims to tell. Raises Refusal for any other path or method."""
    parts = request.path.removeprefix(PATH).split("/")
    if not request.path.startswith(PATH) or len(parts) != 2 or parts[0] not in tuple(Source) or not parts[1]:
        raise Refusal(HTTPStatus.NOT_FOUND)
    if request.method != hdrs.METH_POST:
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, **{hdrs.ALLOW: hdrs.METH_POST})
    return StreamId(StoreName(parts[1]), Source(parts[0]))


def _word(status: HTTPStatus, **headers: str) -> web.Response:
    """What went wrong, in the words of HTTP; the connection ends, since the rest of a body may still be on its way."""
    return plain_answer(status, f"{status.phrase}\n", is_last=True, **headers)
