"""A list that one bulk operation reads whole is the one that pages give, whatever becomes of the download."""

import asyncio
import gzip
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from daemon.errors import SourceUnavailable
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify import BulkTrouble
from daemon.sandbox.shopify.bulk_downloads import DownloadTrouble
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify import bulk_file as bulk_file_module
from daemon.sources.shopify.bulk import LINES_AT_ONCE, Patience
from daemon.sources.shopify.bulk_file import NEW_ADDRESSES, BulkFile
from daemon.sources.shopify.bulk_lines import BulkLine, sorted_line
from daemon.sources.shopify.bulk_state import BulkBusy, BulkState, BulkStatus, NotReadInBulk
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.endpoint import GraphqlEndpoint
from daemon.sources.shopify.whole_list import WholeList

QUICK = Backoff(attempts=4, initial=0.001, maximum=0.002)
PATIENCE = Patience(first=0.005, longest=0.02)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    settings = SandboxSettings(products=40, customers=30, limits=False, unstocked_share=0.3, big_product_variants=60)
    async with running_sandbox(settings) as running:
        running.shopify.bulk.seconds = 0.0
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
def shopify(session: aiohttp.ClientSession, sandbox: Sandbox) -> ShopifyClient:
    return ShopifyClient(
        session,
        shop=sandbox.shopify.shop,
        credential=PermanentToken(sandbox.shopify.token),
        base_url=sandbox.shopify_url,
        limits=LimiterRegistry(None),
        backoff=QUICK,
        patience=PATIENCE,
    )


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file has many of them."""
    monkeypatch.setattr(bulk_file_module, "PORTION_BYTES", 5000)
    monkeypatch.setattr(bulk_file_module, "PORTION_LINES", 10)


async def quiet(_state: BulkState) -> None:
    """Tell nobody."""


async def completed(whole: WholeList[Any], meter: CallMeter | None = None) -> BulkState:
    """An operation that has come to its end."""
    meter = meter or CallMeter()
    return await whole.wait(await whole.begin(meter), meter, quiet)


async def downloaded(
    whole: WholeList[Any], state: BulkState, offset: int = 0, meter: CallMeter | None = None
) -> list[bytes]:
    """All lines behind a byte."""
    async with aclosing(whole.portions(state, offset, meter or CallMeter())) as portions:
        return [line async for portion in portions for line in portion.lines]


def families(lines: Sequence[bytes]) -> list[list[bytes]]:
    """The lines of each root, with all that belongs to it, in the order of their ids."""
    found = [sorted_line(line) for line in lines]
    around = {line.id: line.parent for line in found if line.kind == "ProductVariant"}

    def root_of(line: BulkLine) -> int | None:
        return around.get(line.parent, line.parent) if line.parent is not None else line.id

    by_root: dict[int, list[bytes]] = defaultdict(list)
    for line in found:
        by_root[root_of(line) or 0].append(line.line)
    return [by_root[number] for number in sorted(by_root)]


async def read(whole: WholeList[Any]) -> tuple[list[SourceRow[Any]], list[BadRow], list[int]]:
    """All rows of a list, some roots at a time."""
    lines = await downloaded(whole, await completed(whole))
    roots = families(lines)
    rows, bad, incomplete = [], [], []
    for start in range(0, len(roots), 7):
        some = [line for family in roots[start : start + 7] for line in family]
        more_rows, more_bad, more_incomplete = await whole.read(some, CallMeter())
        rows += more_rows
        bad += more_bad
        incomplete += more_incomplete
    return rows, bad, incomplete


def content(rows: Sequence[SourceRow[Any]]) -> dict[int, Any]:
    """What of each row goes into the mirror."""
    return {row.value.id: (row.value, row.document) for row in in_order(rows)}


def in_order(rows: Sequence[SourceRow[Any]]) -> Sequence[SourceRow[Any]]:
    """Variants come in no order, and each has its position."""
    for row in rows:
        if hasattr(row.value, "variants"):
            row.value.variants.sort(key=lambda variant: variant.id)
            for variant in row.value.variants:
                variant.levels = dict(sorted(variant.levels.items()))
    return rows


@pytest.mark.parametrize("query", [None, "status:active"])
async def test_products_are_those_of_pages(shopify: ShopifyClient, sandbox: Sandbox, query: str | None) -> None:
    """Down to the documents, with variants and levels of each; what is stocked no longer is left out in both."""
    for product in list(sandbox.shopify.products.values())[:20]:
        variant = product.variants[0]
        if len(variant.levels) > 1:
            sandbox.shopify.stop_stocking(variant.id, variant.levels[0].location_id)
    async with aclosing(shopify.products(query, after=None, meter=CallMeter())) as pages:
        by_pages = [row async for page in pages for row in page.rows]
    rows, bad, incomplete = await read(shopify.products_in_bulk(query))
    assert (bad, incomplete) == ([], [])
    assert content(rows) == content(by_pages)
    assert len(rows) == 40 if query is None else 0 < len(rows) < 40


async def test_customers_are_those_of_pages(shopify: ShopifyClient) -> None:
    """With their metafields."""
    async with aclosing(shopify.customers(None, after=None, meter=CallMeter())) as pages:
        by_pages = [row async for page in pages for row in page.rows]
    rows, bad, incomplete = await read(shopify.customers_in_bulk(None))
    assert (bad, incomplete) == ([], [])
    assert content(rows) == content(by_pages)


async def test_a_list_of_nothing_has_no_file(shopify: ShopifyClient) -> None:
    """Then there is nothing to download."""
    whole = shopify.products_in_bulk("tag:nobody-has-this")
    state = await completed(whole)
    assert (state.objects, state.url) == (0, None)
    assert await downloaded(whole, state) == []


async def test_protected_data_keeps_customers_from_being_read_in_bulk(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """In a file it may look as if it were not there: nothing is begun, and a person hears what to do."""
    sandbox.shopify.troubles.protected |= {"defaultPhoneNumber"}
    with pytest.raises(NotReadInBulk, match="which a file does not show") as caught:
        await shopify.customers_in_bulk(None).begin(CallMeter())
    assert "phone number" in (caught.value.notice or "")
    assert sandbox.shopify.bulk.operations == []


async def test_how_long_pages_would_take(shopify: ShopifyClient) -> None:
    """By the page, at 100 points a second: 500 of them for 100,000 products."""
    products, customers = shopify.products_in_bulk(None), shopify.customers_in_bulk(None)
    assert products.seconds_by_pages(100_000) == pytest.approx(500 * 270 / 100)
    assert customers.seconds_by_pages(1) == customers.seconds_by_pages(250) < customers.seconds_by_pages(251)


# ── Rows that are not whole ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_child_that_shopify_overlooked_makes_its_product_incomplete(
    shopify: ShopifyClient, sandbox: Sandbox
) -> None:
    """All counts of the operation are right, but that of the product is not."""
    sandbox.shopify.bulk.next(BulkTrouble.OVERLOOKS_A_CHILD)
    rows, bad, incomplete = await read(shopify.products_in_bulk(None))
    assert (len(rows), bad, len(incomplete)) == (39, [], 1)
    assert incomplete[0] not in {row.value.id for row in rows}


async def test_a_root_that_can_not_be_read(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """It is a row that does not fit, with its id; its children are nobody's."""
    sandbox.shopify.bulk.next(BulkTrouble.SPOILS_A_ROOT)
    rows, bad, incomplete = await read(shopify.products_in_bulk(None))
    assert (len(rows), incomplete) == (39, [])
    (row,) = bad
    assert int(row.source_id or 0) in set(sandbox.shopify.products) - {each.value.id for each in rows}


async def test_reading_many_lines_keeps_nobody_from_their_turn(shopify: ShopifyClient) -> None:
    """Thousands of lines are put together in portions."""
    lines = [b'{"id":"gid://shopify/Product/%d"}' % number for number in range(1, 5001)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others(), name="others")
    rows, bad, incomplete = await shopify.products_in_bulk(None).read(lines, CallMeter())
    task.cancel()
    assert (len(rows), bad, incomplete) == (5000, [], [])
    assert turns >= len(lines) / LINES_AT_ONCE


# ── An operation ────────────────────────────────────────────────────────────────────────────────────────────────────


def indented(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with operations whose queries are written in another way."""
    for node in answer["data"]["bulkOperations"]["nodes"]:
        node["query"] = node["query"].replace("\n", "\n    ") + "\n"
    return answer


async def test_an_operation_whose_start_was_not_heard_of_is_found_again(
    shopify: ShopifyClient, sandbox: Sandbox
) -> None:
    """It is the same, whether it runs or is completed."""
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    sandbox.shopify.bulk.seconds = 0.05
    lost = await whole.begin(meter)
    running = await whole.begin(meter, since=LONG_AGO)
    await whole.wait(running, meter, quiet)
    sandbox.shopify.troubles.next_answer(indented, operation="BulkOperations")
    ended = await whole.begin(meter, since=LONG_AGO)
    assert [running.id, ended.id, ended.status] == [lost.id, lost.id, BulkStatus.COMPLETED]
    assert len(sandbox.shopify.bulk.operations) == 1


async def test_the_newest_of_several_is_taken_up(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """What it finds is closest to the present; any of its second will do."""
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    sandbox.shopify.clock_offset -= 3600.0
    old = await whole.begin(meter)
    sandbox.shopify.clock_offset += 3600.0
    new = await whole.begin(meter)
    assert (await whole.begin(meter, since=LONG_AGO)).id == new.id
    assert (await whole.begin(meter, since=LONG_AGO, not_these=[new.id])).id == old.id


@pytest.mark.parametrize("trouble", [BulkTrouble.FAILS, BulkTrouble.IS_CANCELED, BulkTrouble.EXPIRES])
async def test_an_operation_that_came_to_nothing_is_not_taken_up(
    shopify: ShopifyClient, sandbox: Sandbox, trouble: BulkTrouble
) -> None:
    """Another one is begun."""
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    sandbox.shopify.bulk.next(trouble)
    with pytest.raises(NotReadInBulk, match="ended as"):
        await completed(whole)
    again = await whole.begin(meter, since=LONG_AGO)
    await whole.wait(again, meter, quiet)
    assert len(sandbox.shopify.bulk.operations) == 2


async def test_operations_that_are_not_of_this_read_are_left_alone(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """Those of another search, of an earlier time, and those that are said to be of no use."""
    meter, whole = CallMeter(), shopify.products_in_bulk(None)
    others = [await shopify.products_in_bulk("status:active").begin(meter), await whole.begin(meter)]
    began = await whole.begin(meter, since=datetime.now(UTC) + timedelta(hours=1))
    another = await whole.begin(meter, since=LONG_AGO, not_these=[others[1].id, began.id])
    assert len({each.id for each in (*others, began, another)}) == 4


async def test_operations_of_others_in_the_way(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """All five places are taken: that is told apart, and passes when one of them ends."""
    foreign = sandbox.shopify.bulk.foreign(5)
    whole = shopify.products_in_bulk(None)
    with pytest.raises(BulkBusy, match="refused to start"):
        await whole.begin(CallMeter())
    sandbox.shopify.bulk.end(foreign[0])
    assert (await completed(whole)).status is BulkStatus.COMPLETED


async def test_progress_is_told(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """Each state once, the last one included."""
    sandbox.shopify.bulk.seconds = 0.2
    told: list[BulkState] = []

    async def tell(state: BulkState) -> None:
        told.append(state)

    whole, meter = shopify.products_in_bulk(None), CallMeter()
    ended = await whole.wait(await whole.begin(meter), meter, tell)
    assert told[-1] == ended
    assert all(one != other for one, other in pairwise(told))
    assert sorted(state.objects for state in told) == [state.objects for state in told]
    assert len(told) > 2
    assert ended.roots == 40


async def test_an_operation_that_gets_nowhere_is_cancelled(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """It would take up a place for ten days."""
    sandbox.shopify.bulk.next(BulkTrouble.HANGS)
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    with pytest.raises(NotReadInBulk, match="got nowhere for"):
        await whole.wait(await whole.begin(meter), meter, quiet, stalls_after=0.1)
    (operation,) = sandbox.shopify.bulk.operations
    assert operation.status == "CANCELED"


async def test_an_operation_can_be_cancelled(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """Also one that has ended."""
    sandbox.shopify.bulk.next(BulkTrouble.HANGS)
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    begun = await whole.begin(meter)
    for _ in range(2):
        await whole.cancel(begun.id, meter)
        state = await whole.state(begun.id, meter)
        assert state is not None
        assert state.status is BulkStatus.CANCELED


async def test_an_operation_that_is_unknown(shopify: ShopifyClient) -> None:
    """There is nothing to say of it."""
    assert await shopify.products_in_bulk(None).state("gid://shopify/BulkOperation/1", CallMeter()) is None


async def test_what_the_app_may_not_read_has_a_next_step(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """A person must act."""
    sandbox.shopify.bulk.next(BulkTrouble.IS_DENIED)
    with pytest.raises(NotReadInBulk, match="ACCESS_DENIED") as caught:
        await completed(shopify.products_in_bulk(None))
    assert "dongbo check --live" in (caught.value.notice or "")


# ── The download ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("small_portions")
async def test_a_download_is_gone_on_with_where_it_was_cut(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """Again and again, more often than attempts are made that bring nothing; no byte is lost or comes twice."""
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    state = await completed(whole)
    expected = await downloaded(whole, state)
    downloads = sandbox.shopify.bulk.downloads
    downloads.asked.clear()
    cuts = [state.file_bytes * share // 20 for share in range(1, 20)]
    for cut in cuts:
        downloads.next(DownloadTrouble.IS_CUT, at=cut)
    assert await downloaded(whole, state, meter=meter) == expected
    offsets = [int(asked.get("Range", "bytes=0-")[6:-1]) for asked in downloads.asked]
    assert all(0 <= cut - offset < 5000 for cut, offset in zip(cuts, offsets[1:], strict=True))
    assert {asked["Accept-Encoding"] for asked in downloads.asked} == {"identity"}
    assert not any("Token" in name or name == "Authorization" for asked in downloads.asked for name in asked)
    assert (meter.retries, meter.retry_budget) == (19, CallMeter().retry_budget - 19)
    assert meter.api_calls == 20


@pytest.mark.usefixtures("small_portions")
async def test_a_download_begins_behind_any_portion(shopify: ShopifyClient) -> None:
    """So it does after a crash; at the end of the file there is nothing left."""
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    async with aclosing(whole.portions(state, 0, CallMeter())) as portions:
        found = [portion async for portion in portions]
    assert len(found) > 10
    expected = [line for portion in found for line in portion.lines]
    known = 0
    for portion in found[:-1:5]:
        known = expected.index(portion.lines[-1]) + 1
        assert await downloaded(whole, state, portion.end) == expected[known:]
    assert found[-1].end == state.file_bytes
    assert await downloaded(whole, state, state.file_bytes) == []


@pytest.mark.usefixtures("small_portions")
async def test_a_server_that_knows_no_ranges(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """It sends the file from its start, of which what is known is skipped."""
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    expected = await downloaded(whole, state)
    sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_CUT)
    sandbox.shopify.bulk.downloads.next(DownloadTrouble.IGNORES_RANGE)
    assert await downloaded(whole, state) == expected


@pytest.mark.usefixtures("small_portions")
async def test_a_download_that_stalls(
    shopify: ShopifyClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as for any answer, and gone on with."""
    monkeypatch.setattr(bulk_file_module, "TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.1))
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    state = await completed(whole)
    expected = await downloaded(whole, state)
    sandbox.shopify.bulk.downloads.next(DownloadTrouble.STALLS)
    assert await downloaded(whole, state, meter=meter) == expected
    assert meter.retries == 1


@pytest.mark.usefixtures("small_portions")
async def test_an_address_that_expires_is_asked_for_anew(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """Once and again, as long as something has come in between."""
    whole, meter = shopify.products_in_bulk(None), CallMeter()
    state = await completed(whole)
    expected = await downloaded(whole, state)
    for _ in range(3):
        sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_CUT)
        sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_GONE, times=NEW_ADDRESSES)
    assert await downloaded(whole, state, meter=meter) == expected


async def test_an_operation_of_yesterday_has_an_address(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """The one that was told then holds no longer; the state that is kept has none that could leak."""
    sandbox.shopify.bulk.address_seconds = 0.0
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    assert "bulk/" not in repr(state)
    sandbox.shopify.bulk.address_seconds = 60.0
    assert len(await downloaded(whole, state)) == state.objects


async def test_a_file_that_is_gone(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """No new address helps."""
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_GONE, times=99)
    with pytest.raises(NotReadInBulk, match="HTTP 403"):
        await downloaded(whole, state)
    assert len(sandbox.shopify.bulk.downloads.asked) == 1 + NEW_ADDRESSES


async def test_an_operation_that_is_forgotten_meanwhile(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """Then there is no new address."""
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_GONE)
    sandbox.shopify.bulk.operations[0].trouble = BulkTrouble.IS_FORGOTTEN
    with pytest.raises(NotReadInBulk, match="no longer knows"):
        await downloaded(whole, state)


@pytest.mark.parametrize("trouble", [DownloadTrouble.IS_ANOTHER, DownloadTrouble.IS_CUT])
async def test_a_file_that_never_comes_whole(
    shopify: ShopifyClient, sandbox: Sandbox, trouble: DownloadTrouble
) -> None:
    """After as many attempts as any call has; the address is told nowhere."""
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    sandbox.shopify.bulk.downloads.next(trouble, at=10, times=99)
    with capture_logs() as logs, pytest.raises(NotReadInBulk) as caught:
        await downloaded(whole, state)
    assert len(sandbox.shopify.bulk.downloads.asked) == QUICK.attempts
    assert caught.value.notice is None
    assert [entry["event"] for entry in logs] == ["download_interrupted"] * (QUICK.attempts - 1)
    (operation,) = sandbox.shopify.bulk.operations
    assert not any(signature in str(logs) + str(caught.value) for signature in operation.addresses)


async def test_a_download_can_be_abandoned(shopify: ShopifyClient, sandbox: Sandbox) -> None:
    """A job that is stopped does not wait for the rest of a file."""
    whole = shopify.products_in_bulk(None)
    state = await completed(whole)
    sandbox.shopify.bulk.downloads.next(DownloadTrouble.STALLS)
    task = asyncio.create_task(downloaded(whole, state), name="download")
    async with asyncio.timeout(10):
        while not sandbox.shopify.bulk.downloads.asked:
            await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task


# ── Servers that misbehave in ways of their own ─────────────────────────────────────────────────────────────────────

FILE = b"".join(b'{"id":"gid://shopify/Customer/%d"}\n' % number for number in range(1, 40))
HALF = len(FILE) // 2


def answer(status: str, body: bytes, *headers: str) -> bytes:
    """An answer as it is sent; its length is told unless another header tells its end."""
    length = () if any(header.startswith("Transfer") for header in headers) else (f"Content-Length: {len(body)}",)
    return "\r\n".join((f"HTTP/1.1 {status}", "Connection: close", *length, *headers, "", "")).encode() + body


def part(body: bytes, start: int, whole: int = len(FILE), *headers: str) -> bytes:
    """The answer with a part of a file."""
    span = f"Content-Range: bytes {start}-{start + len(body) - 1}/{whole}"
    return answer("206 Partial Content", body, span, *headers)


def chunked(body: bytes) -> bytes:
    """An answer that does not tell its length."""
    return answer("200 OK", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), "Transfer-Encoding: chunked")


CUT = f"HTTP/1.1 200 OK\r\nContent-Length: {len(FILE)}\r\n\r\n".encode() + FILE[:HALF]
REST = FILE.rindex(b"\n", 0, HALF) + 1  # where the first line begins that did not come whole
WHOLE = answer("200 OK", FILE)
ZIPPED = gzip.compress(FILE)
COMPRESSED = answer("200 OK", ZIPPED, "Content-Encoding: gzip")


async def received(session: aiohttp.ClientSession, answers: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The lines of a file from a server that gives these answers in turn, and what it was asked. It hangs up on whoever
    asks once more."""
    asked: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"".join(answers[len(asked) - 1 : len(asked)]))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        shop = GraphqlEndpoint(
            session, shop="x", credential=PermanentToken("t"), base_url=url, limits=LimiterRegistry(None)
        )
        state = BulkState("gid://shopify/BulkOperation/1", BulkStatus.COMPLETED, None, 39, 39, len(FILE), f"{url}/x")

        async def renew() -> BulkState:
            raise NotReadInBulk("no other address")

        file = BulkFile(shop, state, renew, QUICK, CallMeter())
        async with aclosing(file.portions(0)) as portions:
            lines = [line async for portion in portions for line in portion.lines]
    return lines, asked


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([WHOLE], id="whole"),
        pytest.param([COMPRESSED], id="compressed_although_not_asked_for"),
        pytest.param([chunked(FILE)], id="without_a_length"),
        pytest.param([chunked(FILE[:HALF]), part(FILE[REST:], REST)], id="ends_early_without_a_length"),
        pytest.param([CUT, part(FILE[REST:], REST)], id="part"),
        pytest.param([CUT, part(FILE[REST:], REST, 10**9), part(FILE[REST:], REST)], id="part_of_another"),
        pytest.param([CUT, part(FILE[HALF:], HALF), part(FILE[REST:], REST)], id="part_of_elsewhere"),
        pytest.param([CUT, answer("206 Partial Content", FILE[REST:]), WHOLE], id="part_of_who_knows_what"),
        pytest.param(
            [CUT, part(gzip.compress(FILE)[9:], REST, 99, "Content-Encoding: gzip"), COMPRESSED], id="part_zip"
        ),
        pytest.param([answer("503 Busy", b"later"), WHOLE], id="busy"),
        pytest.param([answer("429 Too Many", b""), WHOLE], id="too_many"),
        pytest.param([b"garbage\r\n\r\n", WHOLE], id="garbage"),
        pytest.param([b"", WHOLE], id="nothing"),
        pytest.param([answer("200 OK", b"<html>Please log in</html>"), WHOLE], id="login_page"),
    ],
)
async def test_a_file_comes_whole_by_whatever_way(session: aiohttp.ClientSession, answers: Sequence[bytes]) -> None:
    """Every line once, and after a cut no more than a part is asked for, unless parts are of no use."""
    lines, asked = await received(session, answers)
    assert lines == FILE.splitlines()
    assert len(asked) == len(answers)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([answer("302 Found", b"", "Location: http://127.0.0.1:1/")], id="redirect"),
        pytest.param([answer("418 Teapot", b"")], id="refused"),
        pytest.param([answer("403 Forbidden", b"")], id="expired"),
        pytest.param([chunked(FILE + b'{"id":"gid://shopify/Customer/40"}')], id="longer_than_it_should_be"),
        pytest.param([CUT, answer("416 Range Not Satisfiable", b"")], id="shorter_than_it_should_be"),
    ],
)
async def test_a_file_that_is_another_is_not_asked_for_again(
    session: aiohttp.ClientSession, answers: Sequence[bytes]
) -> None:
    """Another attempt would bring the same."""
    with pytest.raises(NotReadInBulk):
        await received(session, answers)


async def test_a_server_that_answers_no_more_may_come_back(session: aiohttp.ClientSession) -> None:
    """An outage is not the fault of the file: what has come of it stays, and the rest is fetched later."""
    with pytest.raises(SourceUnavailable, match="can't be reached"):
        await received(session, [CUT])


async def test_a_server_that_has_never_answered_may_be_out_of_reach_for_good(session: aiohttp.ClientSession) -> None:
    """A person hears what to do, and the rows are read in another way."""
    with pytest.raises(NotReadInBulk) as caught:
        await received(session, [])
    assert "allow this machine, or the proxy, to reach it" in (caught.value.notice or "")


@pytest.mark.parametrize("url", ["ftp://example.com/x", "nonsense", "http://[", "file:///etc/passwd"])
async def test_an_address_that_is_none(session: aiohttp.ClientSession, url: str) -> None:
    """Shopify's word alone does not make us read whatever it names."""
    shop = GraphqlEndpoint(session, shop="x", credential=PermanentToken("t"), limits=LimiterRegistry(None))
    state = BulkState("gid://shopify/BulkOperation/1", BulkStatus.COMPLETED, None, 1, 1, 10, url)

    async def renew() -> BulkState:
        return state

    with pytest.raises(NotReadInBulk, match="invalid address"):
        await anext(BulkFile(shop, state, renew, QUICK, CallMeter()).portions(0))
