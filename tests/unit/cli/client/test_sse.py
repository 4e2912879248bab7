"""Server-sent events out of any chunks."""

import asyncio
import itertools

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli.client.sse import ServerEvent, read_events

STREAM = (
    b"retry: 1000\n\n"
    b'id: 7\nevent: snapshot\ndata: {"jobs": []}\n\n'
    b": still here\n\n"
    b"event: job\ndata: a\ndata: b\n\n"
    b"id: 9\r\ndata:x\r\n\r\n"
    b"event: job\ndata: cut off"
)
EVENTS = [
    ServerEvent("snapshot", '{"jobs": []}', "7"),
    ServerEvent("job", "a\nb", "7"),
    ServerEvent("message", "x", "9"),
]


async def parse(chunks: list[bytes]) -> list[ServerEvent]:
    stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    return [event async for event in read_events(stream)]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_do_not_depend_on_how_they_are_cut(cuts: list[int]) -> None:
    """Names, data of several lines, the last id; comments and what is cut off are passed over."""
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(edges) if start < end]
    assert asyncio.run(parse(chunks)) == EVENTS


async def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never ends its line must not take all memory."""
    monkeypatch.setattr("daemon.cli.client.sse.LARGEST_LINE", 10)
    with pytest.raises(ConnectionError):
        await parse([b"data: " + b"x" * 20])
