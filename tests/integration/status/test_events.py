"""The event stream: complete, in order, resumable, and never held up by its slowest reader."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import aiohttp
import orjson
import pytest

from daemon.ids import new_job_id
from daemon.jobs import changes, store
from daemon.jobs.model import Counters, JobStatus
from daemon.jobs.types import JobType
from daemon.status import snapshots, sse

# Jobs as another daemon leaves them.
MANY = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, max_attempts, completed_at)
SELECT gen_random_uuid(), 'main', 'NOOP', 'main', 'COMPLETED', 'api', 1, now() FROM generate_series(1, $1::integer)
"""


@dataclass
class Event:
    """One event, or a comment."""

    name: str
    id: int | None
    data: Any


class Reader:
    """Reads events of one open stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.lineage = ""  # of the database, the second part of ids

    async def next(self) -> Event:
        """The next event or comment; the hint for reconnecting is left out."""
        fields: dict[str, str] = {}
        while True:
            line = (await self.response.content.readline()).decode()
            assert line, "the stream has ended"
            if line.startswith(":"):
                return Event("comment", None, line[1:].strip())
            if line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
            elif "data" in fields:
                version, _, self.lineage = fields["id"].partition("-")
                return Event(fields["event"], int(version), orjson.loads(fields["data"]))
            else:
                assert fields == {"retry": "1000"}
                fields = {}

    async def until(self, job_id: Any, status: str) -> Event:
        """The event in which the job has reached a status."""
        while True:
            event = await self.next()
            if event.name == "job" and event.data["id"] == str(job_id) and event.data["status"] == status:
                return event


@asynccontextmanager
async def reading(endpoint: Any, **options: Any) -> AsyncIterator[Reader]:
    """An open stream."""
    async with endpoint.client.get("/api/events", **options) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        async with asyncio.timeout(20):
            yield Reader(response)


async def test_a_reader_gets_a_snapshot_and_then_every_change(endpoint: Any) -> None:
    """Events are the job as its address shows it, with its version as the id."""
    old = await endpoint.ended()
    async with reading(endpoint) as reader:
        snapshot = await reader.next()
        assert snapshot.name == "snapshot"
        assert [job["id"] for job in snapshot.data["jobs"]] == [str(old.id)]
        assert snapshot.data["version"] == snapshot.id

        job = await endpoint.submit()
        event = await reader.next()
        assert (event.name, event.data["status"], event.id) == ("job", "PENDING", event.data["version"])
        assert event.data == await endpoint.get(f"/api/jobs/{job.id}")

        token = await endpoint.claim(job)
        await reader.until(job.id, "RUNNING")
        await endpoint.progress(job, token, Counters(created=3, skipped=2))
        assert (await reader.next()).data["processed"] == 5
        await endpoint.finish(job, token, JobStatus.COMPLETED)
        assert (await reader.until(job.id, "COMPLETED")).data["successful"] == 3


async def test_the_snapshot_holds_live_jobs_however_old(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long pull stays in sight when many short jobs have come after it."""
    monkeypatch.setattr(snapshots, "SNAPSHOT_JOBS", 3)
    live = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    await endpoint.claim(live)
    newer = [await endpoint.ended() for _ in range(5)]
    async with reading(endpoint) as reader:
        ids = [job["id"] for job in (await reader.next()).data["jobs"]]
    assert ids == [str(job.id) for job in [*reversed(newer[-3:]), live]]


async def test_a_reader_goes_on_where_it_stopped(endpoint: Any) -> None:
    """With Last-Event-ID there is no snapshot, but every job that has changed since."""
    async with reading(endpoint) as reader:
        version = (await reader.next()).id
    job = await endpoint.ended()
    for options in ({"headers": {"Last-Event-ID": str(version)}}, {"params": {"last_event_id": str(version)}}):
        async with reading(endpoint, **options) as reader:
            event = await reader.next()
            assert (event.name, event.data["id"]) == ("job", str(job.id))
            if event.data["status"] != "COMPLETED":
                await reader.until(job.id, "COMPLETED")


RUBBISH = (
    "x",
    "-1",
    "1.5",
    "9" * 30,
    "9" * 18,
    "٣",
    "",
    "1-",
    "1-00000000",
    "1-zzzzzzzz",
    "1-1-1",
    "0x1",
    "1e3",
)


async def test_rubbish_for_an_id_begins_with_a_snapshot(endpoint: Any) -> None:
    """As does an id of another database, and a version that this one has not reached."""
    for version in RUBBISH:
        headers = {"Last-Event-ID": version.encode().decode("latin-1")}
        async with endpoint.client.get("/api/events", headers=headers) as response:
            assert (await Reader(response).next()).name == "snapshot", version


async def test_ids_name_the_database(endpoint: Any) -> None:
    """So that a reader of another one, such as of a demo on the same port, does not go on with its versions here."""
    async with reading(endpoint) as reader:
        snapshot = await reader.next()
    job = await endpoint.ended()
    async with reading(endpoint, headers={"Last-Event-ID": f"{snapshot.id}-{reader.lineage}"}) as back:
        assert (await back.until(job.id, "COMPLETED")).name == "job"
    async with reading(endpoint, headers={"Last-Event-ID": f"{snapshot.id}-0a0a0a0a"}) as stranger:
        assert (await stranger.next()).name == "snapshot"


async def test_an_old_id_reads_no_more_than_a_snapshot(endpoint: Any, open_endpoint: Any) -> None:
    """The daemon has started on a table of thousands: an id from the beginning of time is not looked up in it."""
    for _ in range(12):
        await endpoint.execute(MANY, 500)
    async with open_endpoint() as restarted:
        assert len(restarted.parts.hub.recent) <= changes.MOST_CHANGES
        for version in ("0", "1", "500"):
            async with reading(restarted, headers={"Last-Event-ID": version}) as reader:
                snapshot = await reader.next()
                assert (snapshot.name, len(snapshot.data["jobs"])) == ("snapshot", snapshots.SNAPSHOT_JOBS)


async def test_readers_who_come_at_once_share_one_reading(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement for all, whatever they bring."""
    await endpoint.ended()
    readings = 0
    read = store.list_newest_and_unended

    async def counting(*arguments: Any) -> Any:
        nonlocal readings
        readings += 1
        return await read(*arguments)

    monkeypatch.setattr(store, "list_newest_and_unended", counting)
    monkeypatch.setattr(snapshots, "FRESH", 60.0)

    async def come(last_event_id: str) -> None:
        async with reading(endpoint, headers={"Last-Event-ID": last_event_id}) as reader:
            assert (await reader.next()).name == "snapshot"

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(come("9" * (10 + number % 9)))
    assert readings == 1
    job = await endpoint.ended()
    async with reading(endpoint) as reader:  # it shares the same, and gets what came later after it
        assert (await reader.next()).name == "snapshot"
        assert (await reader.until(job.id, "COMPLETED")).data["version"] == job.version
    assert readings == 1


async def test_a_version_that_becomes_visible_late_reaches_who_comes_back(endpoint: Any) -> None:
    """The change of a job took its version before the reader's last one, and was committed after it."""
    late = await endpoint.submit()
    async with reading(endpoint) as reader, endpoint.parts.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "UPDATE dongbo.background_jobs SET total = 7, version = nextval('dongbo.job_version'), "
            "updated_at = clock_timestamp() WHERE id = $1",
            late.id,
        )
        early = await endpoint.ended(job_type=JobType.PULL_NHANH_PRODUCTS)
        last = (await reader.until(early.id, "COMPLETED")).id
        await transaction.commit()
    with endpoint.parts.hub.subscribe() as heard:
        endpoint.parts.notifier.changed(late.id, at_once=True)
        async with asyncio.timeout(10):
            while all(event.job.total != 7 for event in await heard.take()):
                pass
    async with reading(endpoint, headers={"Last-Event-ID": str(last)}) as back:
        while True:
            event = await back.next()
            assert event.name == "job"
            if event.data["id"] == str(late.id):
                break
        assert event.data["total"] == 7
        assert event.data["version"] < last


async def test_a_reader_that_is_too_slow_begins_anew(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for one reader is bounded: beyond that it gets a snapshot in the midst of its stream."""
    monkeypatch.setattr(sse, "MOST_CHANGES", 3)
    monkeypatch.setattr(snapshots, "FRESH", 0.0)
    async with reading(endpoint) as reader:
        await reader.next()
        (mailbox,) = [one for one in endpoint.parts.hub._subscriptions if one._most is not None]
        jobs = [await endpoint.parts.jobs.get((await endpoint.ended()).id) for _ in range(2)]
        for job in jobs:
            await reader.until(job.id, "COMPLETED")
        for number in range(4):  # without a turn of the loop, as if the reader had been writing meanwhile
            job = replace(jobs[0], id=new_job_id(), version=jobs[-1].version + number)
            mailbox.put(changes.JobEvent(job, orjson.dumps(job)))
        event = await reader.next()
        assert event.name == "snapshot"
        assert [job["id"] for job in event.data["jobs"]] == [str(job.id) for job in reversed(jobs)]
        assert mailbox._latest == {}


async def test_pruned_jobs_leave_open_pages(endpoint: Any) -> None:
    """Readers hear until when jobs are gone and which ones of these are kept; who was away gets a snapshot."""
    old = [await endpoint.ended() for _ in range(3)]
    live = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    async with reading(endpoint) as reader:
        before = await reader.next()
        assert len(before.data["jobs"]) == 4
        assert await endpoint.parts.jobs.prune(timedelta(0)) == 2
        while (event := await reader.next()).name != "pruned":
            pass
        assert event.data["kept"] == []  # of those until then; the newest of its kind ended later
        assert event.data["version"] == event.id > before.id
        gone = [
            job["id"]
            for job in before.data["jobs"]
            if job["completed_at"] is not None and job["completed_at"] <= event.data["ended_until"]
        ]
        assert gone == [str(old[1].id), str(old[0].id)]
    async with reading(endpoint, headers={"Last-Event-ID": str(before.id)}) as back:
        snapshot = await back.next()
        assert snapshot.name == "snapshot"
        assert [job["id"] for job in snapshot.data["jobs"]] == [str(live.id), str(old[2].id)]


async def test_a_pruning_names_what_it_keeps(endpoint: Any) -> None:
    """The newest job of a kind stays, however old; and losing the notification costs a few seconds only (rule 7)."""
    kept = await endpoint.ended(job_type=JobType.MATCH_PRODUCTS)
    for _ in range(2):
        await endpoint.ended()
    async with reading(endpoint) as reader:
        await reader.next()
        async with endpoint.parts.database.acquire() as connection:  # as another daemon, of which nothing is heard
            assert await store.prune(connection, timedelta(0)) == 1
        while (event := await reader.next()).name != "pruned":
            pass
        assert event.data["kept"] == [str(kept.id)]


async def test_a_reader_who_missed_very_much_gets_a_snapshot(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To send everything anew costs less than every change."""
    monkeypatch.setattr(changes, "MOST_CHANGES", 2)
    with endpoint.parts.hub.subscribe() as heard:
        last = [await endpoint.ended() for _ in range(4)][-1]
        async with asyncio.timeout(10):
            while all(event.job.version != last.version for event in await heard.take()):
                pass
    async with reading(endpoint, headers={"Last-Event-ID": "1"}) as reader:
        assert (await reader.next()).name == "snapshot"


async def test_nothing_falls_between_the_snapshot_and_the_changes(endpoint: Any) -> None:
    """Whenever a reader comes, snapshot and events together lead to each job's last state."""
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    pages = 40

    async def follow() -> list[int]:
        async with reading(endpoint) as reader:
            snapshot = await reader.next()
            seen = [one["processed"] for one in snapshot.data["jobs"]]
            while seen[-1] < pages:
                seen.append((await reader.next()).data["processed"])
            return seen

    readers = []
    async with asyncio.TaskGroup() as group:
        for _ in range(pages):
            readers.append(group.create_task(follow()))
            await endpoint.progress(job, token, Counters(created=1))
    for reader in readers:
        seen = reader.result()
        assert seen == sorted(seen)
        assert seen[-1] == pages


async def test_many_readers_are_told_less_often_but_the_latest(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after a silence comes at once; of what follows soon, a reader gets the last state."""
    monkeypatch.setattr(sse, "AT_ONCE", 0)
    monkeypatch.setattr(sse, "TELLINGS", 1)  # one reader: a second
    async with reading(endpoint) as reader:
        await reader.next()
        job = await endpoint.submit()
        began = time.monotonic()
        await reader.until(job.id, "PENDING")
        assert time.monotonic() - began < 0.9
        token = await endpoint.claim(job)
        for _ in range(5):
            await endpoint.progress(job, token, Counters(created=1))
            await asyncio.sleep(0.05)
        told = [(await reader.next()).data["created"]]
        while told[-1] < 5:
            told.append((await reader.next()).data["created"])
    assert len(told) <= 2


async def test_silence_is_broken_by_a_comment(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that proxies keep the connection and readers know that it lives."""
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.02)
    async with reading(endpoint) as reader:
        await reader.next()
        assert (await reader.next()).name == "comment"


async def test_too_many_readers_are_sent_away(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, when the limit is reached, and room again when one has gone."""
    monkeypatch.setattr(sse, "MOST_STREAMS", 1)
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.02)
    async with reading(endpoint) as reader:
        await reader.next()
        await endpoint.get("/api/events", 503)
        assert (await endpoint.get("/status"))["subscribers"] == 1
    async with asyncio.timeout(10):
        while (await endpoint.get("/status"))["subscribers"]:
            pass


async def test_a_reader_that_has_gone_takes_up_no_place(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are places may go and come back at once: nobody waits for the next keep-alive."""
    monkeypatch.setattr(sse, "MOST_STREAMS", 3)
    came_back = 0
    async with asyncio.timeout(sse.KEEP_ALIVE - 5):
        while came_back < 3:
            responses = [await endpoint.client.get("/api/events") for _ in range(3)]
            came_back += all(response.status == 200 for response in responses)
            for response in responses:
                response.close()


async def test_without_the_database_a_reader_is_told_to_come_back(endpoint: Any) -> None:
    """503 before the stream begins."""
    endpoint.parts.database.pool.terminate()
    await endpoint.get("/api/events", 503)


async def test_closing_the_endpoint_ends_all_streams_at_once(open_endpoint: Any, monkeypatch: Any) -> None:
    """Readers get an orderly end, also when there are many, and one that reads nothing is cut off."""
    async with aiohttp.ClientSession() as outside:
        async with open_endpoint() as endpoint:
            responses = [await outside.get(f"{endpoint.url}api/events") for _ in range(20)]
            readers = [Reader(response) for response in responses]
            for reader in readers:
                await reader.next()
            stuck = await _connect_and_never_read(endpoint)
            async with asyncio.timeout(10):
                while len(endpoint.parts.hub._subscriptions) < 22:  # with the metrics' own
                    await asyncio.sleep(0.005)
            began = time.monotonic()
        assert time.monotonic() - began < 3
        for response in responses:
            assert await response.content.read() == b""
        stuck.close()


async def test_a_reader_that_takes_nothing_is_dropped_and_holds_up_nobody(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on getting events at once; its mailbox does not grow."""
    monkeypatch.setattr(sse, "WRITE_TIMEOUT", 0.5)
    stuck = await _connect_and_never_read(endpoint)
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    payload = "x" * 200_000
    async with reading(endpoint) as reader:
        await reader.next()
        pages, subscribers = 0, 2
        async with asyncio.timeout(60):
            while subscribers > 1:
                pages += 1
                await endpoint.progress(job, token, Counters(created=1), filling=f"{pages} {payload}")
                while (await reader.next()).data["processed"] < pages:
                    pass
                subscribers = (await endpoint.get("/status"))["subscribers"]
    assert pages > 5
    stuck.close()


@pytest.mark.timeout(60)
async def test_two_hundred_readers_hear_within_milliseconds(endpoint: Any) -> None:
    """Every reader gets each event; the spread over all readers is small."""
    job = await endpoint.submit()
    token = await endpoint.claim(job)
    pages, readers = 10, 200
    sent: list[float] = []
    delays: list[float] = []
    ready = asyncio.Semaphore(0)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(endpoint.url, connector=connector) as session:

        async def follow() -> None:
            async with session.get("/api/events") as response:
                reader = Reader(response)
                await reader.next()
                ready.release()
                processed = 0
                while processed < pages:
                    event = await reader.next()
                    processed = event.data["processed"]
                    if processed:
                        delays.append(time.perf_counter() - sent[processed - 1])

        async with asyncio.TaskGroup() as group:
            for _ in range(readers):
                group.create_task(follow())
            for _ in range(readers):
                await ready.acquire()
            for page in range(pages):
                sent.append(0.0)
                await endpoint.progress(job, token, Counters(created=1))
                sent[-1] = time.perf_counter()
                async with asyncio.timeout(10):
                    while len(delays) < readers * (page + 1):
                        await asyncio.sleep(0.01)
    assert len(delays) == readers * pages
    delays.sort()
    # To reach are 20 ms and 100 ms for p99; here all readers share the endpoint's process, on a busy machine perhaps.
    assert delays[len(delays) // 2] < 0.2, f"median {delays[len(delays) // 2] * 1000:.1f} ms"


async def _connect_and_never_read(endpoint: Any) -> asyncio.StreamWriter:
    host, port = endpoint.url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await writer.drain()
    return writer
