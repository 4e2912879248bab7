"""Deliveries come in, are told from forgeries, and are answered once they are safe."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from daemon.database.pool import Database
from daemon.errors import ListenError
from daemon.ids import StoreName
from daemon.inbox import events
from daemon.inbox.events import TopicId, WebhookEvent
from daemon.inbox.streams import StreamId
from daemon.inbox.topics import EventState, Subject
from daemon.jobs.types import Source
from daemon.webhooks import listener as listener_module
from daemon.webhooks import visitors as visitors_module
from daemon.webhooks.listener import listening_for_webhooks
from tests.support.hooks import NHANH, SECRET, STORE, STORES, TOKEN, Listening, listening, signature, webhook_settings

MAIN, SECOND = StoreName("main"), StoreName("second")
LEVEL = {"inventory_item_id": 30, "location_id": 4, "available": 6, "updated_at": "2026-10-03T12:11:57+07:00"}


@pytest.fixture
async def at_work(database: Database) -> AsyncIterator[Listening]:
    """A listener for two stores of one app."""
    async with listening(database) as started:
        yield started


async def stored(database: Database) -> list[WebhookEvent]:
    """All events, oldest first."""
    async with database.acquire() as connection:
        return (await events.list_events(connection, limit=1_000))[::-1]


async def test_what_is_answered_is_stored(database: Database, at_work: Listening) -> None:
    """Both sides: 200 says that it is committed."""
    assert await at_work.sender.nhanh("inventoryChange", [{"id": 1, "available": 2}]) == 200
    assert await at_work.sender.shopify("inventory_levels/update", LEVEL) == 200
    nhanh, shopify = await stored(database)
    assert (nhanh.store, nhanh.topic, nhanh.subject_ids, nhanh.state) == (
        MAIN,
        "inventoryChange",
        (1,),
        EventState.WAITING,
    )
    assert (shopify.topic, shopify.subject, shopify.subject_ids) == (
        "inventory_levels/update",
        Subject.SHOPIFY_ITEM,
        (30,),
    )


async def test_nhanh_is_answered_200_whatever_it_sends(database: Database, at_work: Listening) -> None:
    """Its test of the address, unknown events and what can't be read: it would switch the webhooks off otherwise."""
    headers = {"Authorization": TOKEN}
    assert await at_work.sender.send("/webhooks/nhanh/main", b'{"event": "webhooksEnabled"}', headers) == 200
    assert await at_work.sender.nhanh("invoiceAdd", {"id": 1}) == 200
    assert await at_work.sender.send("/webhooks/nhanh/main", b"not json", headers) == 200
    assert await at_work.sender.send("/webhooks/nhanh/main", b"", headers) == 200
    assert [(event.topic, event.state) for event in await stored(database)] == [
        ("webhooksEnabled", EventState.NOTED),
        ("invoiceAdd", EventState.NOTED),
        ("unreadable", EventState.NOTED),
        ("unreadable", EventState.NOTED),
    ]


async def test_a_token_in_the_body_is_accepted_where_there_is_no_header(database: Database, at_work: Listening) -> None:
    """One page of the documentation says so."""
    body = orjson.dumps({"event": "productDelete", "webhooksVerifyToken": TOKEN, "data": [5]})
    assert await at_work.sender.send("/webhooks/nhanh/main", body, {}) == 200
    [event] = await stored(database)
    assert event.subject_ids == (5,)


async def test_forgeries_are_refused_and_counted(database: Database, at_work: Listening) -> None:
    """A wrong secret and a store that there is not: nobody can tell the one from the other, and nothing is stored."""
    refused = [
        await at_work.sender.nhanh("inventoryChange", [{"id": 1}], token="x" * 32),
        await at_work.sender.nhanh("inventoryChange", [{"id": 1}], token=None),
        await at_work.sender.nhanh("inventoryChange", [{"id": 1}], store="nowhere"),
        await at_work.sender.shopify("products/update", {"id": 1}, secret="guess"),
        await at_work.sender.shopify("products/update", {"id": 1}, store="nowhere"),
        await at_work.sender.send("/webhooks/shopify/main", b"{}", {"X-Shopify-Topic": "products/update"}),
    ]
    assert refused == [401] * 6
    assert await stored(database) == []
    assert at_work.counts.refused == {StreamId(MAIN, Source.NHANH): 2, StreamId(MAIN, Source.SHOPIFY): 2}
    assert at_work.counts.of_strangers == 2


async def test_forgeries_are_logged_at_a_bounded_rate(at_work: Listening) -> None:
    """The first at once, the rest summed up; neither a secret nor what was sent stands there."""
    with capture_logs() as logs:
        for number in range(20):
            await at_work.sender.nhanh("inventoryChange", "private", token=f"{number:032}")
    [line] = [entry for entry in logs if entry["event"] == "webhooks_refused"]
    assert line["count"] == 1
    assert "private" not in str(logs)
    assert f"{0:032}" not in str(logs)


async def test_a_repeat_is_answered_and_stored_once(database: Database, at_work: Listening) -> None:
    """Even where both come at the same time, which happens when the first is answered late."""
    answers = await asyncio.gather(*(at_work.sender.shopify("products/update", {"id": 1}) for _ in range(5)))
    assert set(answers) == {200}
    assert len(await stored(database)) == 1
    topic = TopicId(MAIN, Source.SHOPIFY, "products/update")
    assert (at_work.counts.received[topic], at_work.counts.repeated[topic]) == (5, 4)


async def test_shopify_hears_that_it_sent_no_json(database: Database, at_work: Listening) -> None:
    """Rightly signed, it is a fault of the subscription, such as one in XML."""
    headers = {"X-Shopify-Topic": "products/update", "X-Shopify-Hmac-SHA256": signature(b"<xml/>")}
    assert await at_work.sender.send("/webhooks/shopify/main", b"<xml/>", headers) == 400
    assert await stored(database) == []


async def test_an_event_goes_to_the_store_of_its_business(database: Database, at_work: Listening) -> None:
    """One app of Nhanh.vn has one address for all its businesses; one that nobody has here is noted."""
    await at_work.sender.nhanh("inventoryChange", [{"id": 1}], business=7)
    await at_work.sender.nhanh("inventoryChange", [{"id": 1}], business=8)
    second, unknown = await stored(database)
    assert (second.store, second.state) == (SECOND, EventState.WAITING)
    assert (unknown.store, unknown.state) == (MAIN, EventState.NOTED)
    assert unknown.outcome == "it is of business 8, which no store here has"


async def test_a_business_of_another_app_is_not_ours_to_tell_of(database: Database, at_work: Listening) -> None:
    """The token of one app says nothing about another's."""
    other = {**STORE, "nhanh": {**NHANH, "app_id": 2, "business_id": 7}}
    at_work.configure({**STORES, "second": other})
    await at_work.sender.nhanh("inventoryChange", [{"id": 1}], business=7)
    [event] = await stored(database)
    assert (event.store, event.state) == (MAIN, EventState.NOTED)


async def test_what_no_job_would_take_is_noted(database: Database, at_work: Listening) -> None:
    """A store that pushes no customers."""
    at_work.configure({"main": {key: value for key, value in STORE.items() if key != "customer_sync"}})
    order = {"shippingAddress": {"id": 9}, "products": [{"id": 1}]}
    await at_work.sender.nhanh("orderAdd", order)
    assert [(event.subject, event.state, event.outcome) for event in await stored(database)] == [
        (Subject.NHANH_CUSTOMER, EventState.NOTED, "nothing of this store's customers is pushed"),
        (Subject.NHANH_PRODUCT, EventState.WAITING, None),
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/status", 404),
        ("GET", "/api/jobs", 404),
        ("POST", "/webhooks/nhanh", 404),
        ("POST", "/webhooks/nhanh/", 404),
        ("POST", "/webhooks/nhanh/main/", 404),
        ("POST", "/webhooks/haravan/main", 404),
        ("GET", "/webhooks/nhanh/main", 405),
        ("OPTIONS", "/webhooks/shopify/main", 405),
    ],
)
async def test_nothing_else_is_served(at_work: Listening, method: str, path: str, status: int) -> None:
    """Not even a word about which stores there are."""
    assert await at_work.sender.send(path, None, {}, method) == status


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_large_body_is_refused(database: Database, is_chunked: bool) -> None:
    """Whether it says so beforehand or not."""
    async with listening(database, max_body_kilobytes=16) as small:
        body = b"x" * 17 * 1024

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 1024):
                yield body[start : start + 1024]

        sent: Any = pieces() if is_chunked else body
        assert await small.sender.send("/webhooks/nhanh/main", sent, {"Authorization": TOKEN}) == 413


async def test_a_compressed_body_is_refused(at_work: Listening) -> None:
    """Neither side compresses; it might be a thousand times as large."""
    headers = {"Authorization": TOKEN, "Content-Encoding": "gzip"}
    assert await at_work.sender.send("/webhooks/nhanh/main", b"x", headers) == 415


async def test_a_slow_body_is_cut(at_work: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends a byte now and then holds nobody up."""
    monkeypatch.setattr(listener_module, "BODY_TIMEOUT", 0.05)
    host, port = at_work.address.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /webhooks/nhanh/main HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nContent-Length: 9\r\n\r\n"
    writer.write(f"{head}1".encode())
    assert (await reader.readline()).split()[1] == b"408"
    writer.close()
    await writer.wait_closed()


async def test_large_bodies_of_strangers_do_not_fill_the_memory(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they have a limit, which keeps nobody out who sends a usual one; it is logged, and soon over."""
    monkeypatch.setattr(listener_module, "USUAL_BODY", 1_000)
    monkeypatch.setattr(listener_module, "ROOM", 10_000)
    head = "POST /webhooks/shopify/main HTTP/1.1\r\nHost: x\r\nX-Shopify-Hmac-SHA256: x\r\nContent-Length: 9000\r\n\r\n"
    async with listening(database) as at_work:
        host, port = at_work.address.removeprefix("http://").rstrip("/").split(":")
        with capture_logs() as logs:
            strangers = {}
            for _ in range(2):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(head.encode() + b"x" * 8_999)
                strangers[asyncio.create_task(reader.readline(), name="answer")] = writer
            [turned_away], [read] = await asyncio.wait(strangers, return_when=asyncio.FIRST_COMPLETED)
            assert turned_away.result().split()[1] == b"503"
            assert await at_work.sender.nhanh("inventoryChange", [{"id": 1}]) == 200
            strangers[read].write(b"x")
            assert (await read).split()[1] == b"401"
        assert await at_work.sender.nhanh("inventoryChange", [{"id": 1, "name": "x" * 9_000}]) == 200
        assert [entry["count"] for entry in logs if entry["event"] == "webhooks_crowded"] == [1]
        for writer in strangers.values():
            writer.close()
            await writer.wait_closed()


async def test_what_is_not_http_is_answered_without_an_echo(at_work: Listening) -> None:
    """And nothing of it is logged."""
    host, port = at_work.address.removeprefix("http://").rstrip("/").split(":")
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"private nonsense\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert b" 400 " in answer.splitlines()[0]
    assert b"private" not in answer
    assert "private" not in str(logs)


async def test_a_crowd_does_not_grow_without_end(at_work: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when it is full is told to come again; a silent one leaves its place after a while."""
    monkeypatch.setattr(visitors_module, "MOST_VISITORS", 1)
    monkeypatch.setattr(visitors_module, "HEAD_TIMEOUT", 0.0)
    monkeypatch.setattr(visitors_module, "SWEEP_INTERVAL", 0.01)
    host, port = at_work.address.removeprefix("http://").rstrip("/").split(":")
    silent_reader, silent = await asyncio.open_connection(host, int(port))
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(host, int(port))
        assert (await reader.readline()).split()[1] == b"503"
    assert [entry["addresses"] for entry in logs if entry["event"] == "webhooks_crowded"] == [{"127.0.0.1": 1}]
    assert await silent_reader.read() == b""
    for each in (silent, writer):
        each.close()
        await each.wait_closed()
    assert await at_work.sender.nhanh("inventoryChange", [{"id": 1}]) == 200


async def test_an_address_in_use_is_a_clear_error(at_work: Listening) -> None:
    """It names the key to change."""
    settings = webhook_settings(listen=at_work.address.removeprefix("http://").rstrip("/"))
    assert settings.webhooks is not None
    with pytest.raises(ListenError, match=r"the listener for webhooks can't listen on .* \[webhooks\] listen"):
        async with listening_for_webhooks(at_work.intake, settings.webhooks):
            pass


async def test_a_secret_that_is_replaced_counts_from_then_on(at_work: Listening) -> None:
    """And the old one for an hour more: see the verification."""
    at_work.configure({"second": STORES["second"]})
    assert await at_work.sender.nhanh("inventoryChange", [{"id": 1}]) == 401
    assert await at_work.sender.nhanh("inventoryChange", [{"id": 1}], store="second", business=7) == 200


async def test_deliveries_over_a_unix_socket(database: Database, tmp_path: Any) -> None:
    """A proxy on the same machine needs no port."""
    path = f"{tmp_path}/hooks.sock"
    async with listening(database, listen=f"unix:{path}"):
        connector = aiohttp.UnixConnector(path)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(
                "http://x/webhooks/nhanh/main", data=b'{"event": "webhooksEnabled"}', headers={"Authorization": TOKEN}
            ) as answer,
        ):
            assert answer.status == 200
    with socket.socket(socket.AF_UNIX) as late, pytest.raises(FileNotFoundError):
        late.connect(path)
    assert SECRET not in path
