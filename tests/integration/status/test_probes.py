"""What monitoring sees: alive, ready, status, metrics, and the description of the API."""

import asyncio
import re
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from daemon.database.migrate import RECORD, program_version
from daemon.database.pool import open_database
from daemon.jobs.model import Counters, JobStatus
from daemon.jobs.types import JobType
from daemon.lifecycle import Health
from daemon.roles import DaemonRole
from daemon.status.handlers.page import page_files
from daemon.status.metric_rows import METRICS
from daemon.status.routes import OPERATIONS
from tests.support.fleet import join


async def _readyz(endpoint: Any, query: str = "") -> tuple[int, str]:
    async with endpoint.client.get(f"/readyz{query}") as response:
        return response.status, await response.text()


async def test_a_working_daemon_is_ready(endpoint: Any) -> None:
    """/readyz says ok; ?verbose lists each check; /healthz is the same."""
    assert await _readyz(endpoint) == (200, "ok\n")
    status, text = await _readyz(endpoint, "?verbose")
    assert status == 200
    for name in ("database", "schema", "listener", "scheduler", "sale_clock", "worker"):
        assert f"[+] {name}: " in text
    async with endpoint.client.get("/healthz?verbose&surplus=1") as response:
        assert response.status == 200
    answer = await endpoint.get("/readyz", headers={"Accept": "application/json"})
    assert answer["ready"] is True
    assert len(answer["checks"]) == 6


async def test_each_part_that_fails_is_named(endpoint: Any) -> None:
    """/readyz is 503 with the reason while a part does not work, and well again afterwards."""
    endpoint.worker.health = Health(False, "takes no jobs")
    status, text = await _readyz(endpoint)
    assert status == 503
    assert text.startswith("[-] worker: ")
    assert "database" not in text
    endpoint.worker.health = Health(True, "takes jobs")
    endpoint.parts.hub._listening.clear()
    assert (await _readyz(endpoint))[1].startswith("[-] listener: ")
    endpoint.parts.hub._listening.set()
    endpoint.sale_clock.health = Health(False, "it stands still")
    assert (await _readyz(endpoint))[1] == "[-] sale_clock: it stands still\nnot ready\n"
    endpoint.sale_clock.health = Health(True, "starts and ends sales")
    endpoint.parts.scheduler.stop()
    await endpoint.parts.scheduler.wait()
    assert (await _readyz(endpoint))[1].startswith("[-] scheduler: ")
    endpoint.parts.scheduler.start()
    assert await _readyz(endpoint) == (200, "ok\n")


async def test_another_schema_is_not_ready(open_endpoint: Any) -> None:
    """The text says what to do."""
    async with open_endpoint(schema_version=99) as endpoint:
        status, text = await _readyz(endpoint)
    assert status == 503
    assert "works with 99: restart the daemon to migrate it" in text


async def test_an_older_program_on_a_schema_that_has_only_expanded_is_ready(open_endpoint: Any) -> None:
    """The check says that it is older; once the schema demands a newer program, it fails and says so."""
    newest = program_version()
    async with open_endpoint() as endpoint:
        await endpoint.execute(RECORD, newest + 1, "expands", "", newest)
        status, text = await _readyz(endpoint, "?verbose")
        assert status == 200
        assert f"[+] schema: version {newest + 1}, with which this older program of version {newest} works" in text
        await endpoint.execute(RECORD, newest + 2, "contracts", "", newest + 1)
        status, text = await _readyz(endpoint)
    assert status == 503
    assert f"[-] schema: version {newest + 2}, but this program works with {newest}: install a newer dongbo" in text


async def test_a_hanging_database_fails_the_check_in_time_and_checks_do_not_pile_up(
    open_endpoint: Any, database_url: str
) -> None:
    """Any number of probes take one place in the queue for a connection, and are answered in about two seconds."""
    async with open_database(database_url, max_connections=4) as small, open_endpoint(on=small) as endpoint:
        async with AsyncExitStack() as stack:
            for _ in range(3):  # the hub has the fourth
                await stack.enter_async_context(small.acquire())
            began = asyncio.get_running_loop().time()
            answers = await asyncio.gather(*(_readyz(endpoint) for _ in range(30)))
            assert asyncio.get_running_loop().time() - began < 3.5
            assert all(status == 503 and "database: no answer within 2 s" in text for status, text in answers)
            waiting = [task for task in asyncio.all_tasks() if task.get_name() == "status-database-check"]
            assert len(waiting) == 1
            assert (await endpoint.get("/status"))["ready"] is False
            async with endpoint.client.get("/livez") as response:
                assert await response.text() == "ok\n"
        async with asyncio.timeout(10):
            while (await _readyz(endpoint))[0] != 200:
                pass


async def test_freshness_is_of_the_last_whole_success_of_each_stream(endpoint: Any) -> None:
    """Whatever failed, or was a dry run or of some rows only, does not make a stream fresh."""
    whole = {}
    for job_type in (JobType.SYNC_PRODUCTS, JobType.MATCH_PRODUCTS, JobType.PULL_NHANH_CUSTOMERS):
        await endpoint.ended(job_type=job_type)
        whole[str(job_type)] = (await endpoint.ended(job_type=job_type)).completed_at
        await endpoint.ended(JobStatus.FAILED, job_type)
    partial: list[tuple[JobType, dict[str, Any]]] = [
        (JobType.SYNC_PRODUCTS, {"dry_run": True}),
        (JobType.PULL_NHANH_CUSTOMERS, {"filters": {"type": 1}}),
    ]
    for job_type, params in partial:
        job = await endpoint.submit(job_type, **params)
        await endpoint.finish(job, await endpoint.claim(job), JobStatus.COMPLETED)
    await endpoint.ended(JobStatus.FAILED, JobType.PULL_NHANH_PRODUCTS)
    fresh = (await endpoint.get("/status"))["freshness"]
    assert {one["type"]: datetime.fromisoformat(one["last_completed"]) for one in fresh} == whole


async def test_status_tells_of_everything_at_a_glance(endpoint: Any) -> None:
    """Version, checks, running jobs, schedules, freshness, pool."""
    await endpoint.ended()
    running = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    waiting = {"for": "the rate limit", "since": "2026-11-01T10:00:00+00:00"}
    token = await endpoint.claim(running)
    await endpoint.progress(running, token, Counters(created=7), rows_per_second=3.5, waiting=waiting)
    status = await endpoint.get("/status")
    assert status["version"] == "9.9.9"
    assert status["running"][0]["waits_for"] == "the rate limit"
    assert datetime.fromisoformat(status["running"][0]["waiting_since"]).isoformat() == waiting["since"]
    assert status["worker"] == "worker-1"
    assert status["timezone"] == "Asia/Ho_Chi_Minh"
    assert status["ready"] is True
    assert [(job["id"], job["processed"]) for job in status["running"]] == [(str(running.id), 7)]
    assert [(one["store"], one["type"]) for one in status["freshness"]] == [("main", "PULL_NHANH_CUSTOMERS")]
    assert 0 <= status["freshness"][0]["age_seconds"] < 60
    assert {"name", "next_fire", "last_fire", "last_outcome"} <= status["schedules"][0].keys()
    assert status["pool"]["max"] >= status["pool"]["in_use"]
    assert status["stores"] == ["main"]


async def test_status_and_metrics_answer_without_the_database(endpoint: Any) -> None:
    """What the process knows by itself is told; the rest is null or left out."""
    endpoint.parts.database.pool.terminate()
    status = await endpoint.get("/status")
    assert (status["ready"], status["running"], status["freshness"], status["streams"]) == (False, None, None, None)
    (away,) = [each for each in status["conditions"] if each["name"] == "database_away"]
    assert (away["severity"], away["store"]) == ("bad", None)
    assert status["verdicts"][0]["tone"] == "bad"
    assert (await endpoint.get("/status"))["conditions"][0]["since"] == away["since"]
    families = await _scrape(endpoint)
    assert families["dongbo_ready"] == {(): 0}
    assert families["dongbo_check"][("database",)] == 0
    assert "process_cpu_seconds" in families
    assert "dongbo_jobs" not in families
    assert families["dongbo_condition"][("database_away", "database_away", "bad", "")] == 1
    assert not families["dongbo_stream_failed_rows"]


async def test_status_says_whether_the_shop_is_right(endpoint: Any) -> None:
    """A verdict a store, what is wrong, and how fresh each stream is; in the metrics, too."""
    await endpoint.ended()
    failed = await endpoint.ended(JobStatus.FAILED, JobType.PULL_NHANH_PRODUCTS)
    status = await endpoint.get("/status")
    assert status["language"] == "en"
    assert [verdict["store"] for verdict in status["verdicts"]] == ["main"]
    conditions = {each["id"]: each for each in status["conditions"]}
    failing = conditions["failing:main:PULL_NHANH_PRODUCTS"]
    assert (failing["cause"], failing["job_id"], failing["needs_person"]) == ("it broke", str(failed.id), True)
    streams = {each["type"]: each for each in status["streams"]}
    customers = streams["PULL_NHANH_CUSTOMERS"]
    assert (customers["state"], customers["tone"], customers["name"]) == ("unscheduled", "off", "Customers of Nhanh.vn")
    assert streams["PULL_NHANH_PRODUCTS"]["state"] == "failing"
    assert streams["SYNC_PRODUCTS"]["state"] == "never"
    families = await _scrape(endpoint)
    assert families["dongbo_condition"][("failing:main:PULL_NHANH_PRODUCTS", "failing", "bad", "main")] == 1
    complete_to = families["dongbo_stream_complete_to_timestamp_seconds"][("main", "PULL_NHANH_CUSTOMERS")]
    assert complete_to == datetime.fromisoformat(customers["complete_to"]).timestamp()


async def test_sentences_are_in_the_language_of_the_request(endpoint: Any) -> None:
    """The same condition, by the same id; not the same words."""
    english = await endpoint.get("/status", headers={"Accept-Language": "en"})
    vietnamese = await endpoint.get("/status", headers={"Accept-Language": "vi"})
    assert [each["id"] for each in english["conditions"]] == [each["id"] for each in vietnamese["conditions"]]
    assert english["verdicts"][0]["text"] == "Nothing pulled yet"
    assert english["language"] == vietnamese["language"] == "en"


async def test_the_daemon_tries_its_own_credentials(endpoint: Any) -> None:
    """Whoever asks has not got them. Nothing answers at the addresses of this store, and that is a finding."""
    found = await endpoint.call("POST", "/api/checks/credentials", 200)
    levels = {(each["subject"], each["level"]) for each in found["findings"]}
    assert ("main shopify", "failed") in levels
    assert all("not-used" not in str(each) for each in found["findings"])


async def test_metrics_follow_the_jobs(endpoint: Any) -> None:
    """Gauges of the table, counters of rows since the start, and every metric is in METRICS."""
    await endpoint.ended()
    job = await endpoint.submit(JobType.PULL_NHANH_PRODUCTS)
    token = await endpoint.claim(job)
    with endpoint.parts.hub.subscribe() as events:
        for counted in (Counters(created=3, failed=1), Counters(updated=5, skipped=2)):
            await endpoint.progress(job, token, counted)
        while max(event.job.processed for event in await events.take()) < 11:
            pass
    families = await _scrape(endpoint)
    products = ("main", "PULL_NHANH_PRODUCTS")
    rows = families["dongbo_job_rows"]
    assert [rows[(outcome, *products)] for outcome in ("created", "updated", "skipped", "failed")] == [3, 5, 2, 1]
    assert families["dongbo_jobs"][("RUNNING", "PULL_NHANH_PRODUCTS")] == 1
    assert families["dongbo_jobs"][("COMPLETED", "PULL_NHANH_CUSTOMERS")] == 1
    assert families["dongbo_running_job_processed_rows"][products] == 11
    assert families["dongbo_last_success_timestamp_seconds"][("main", "PULL_NHANH_CUSTOMERS")] > 1.7e9
    assert families["dongbo_schedule_next_fire_timestamp_seconds"][("other", "main")] > 1.7e9
    assert families["dongbo_build_info"].popitem()[0][1] == "9.9.9"
    ours = {name for name in families if name.startswith("dongbo_")}
    assert ours <= {metric.name.removesuffix("_total") for metric in METRICS}


async def test_the_fleet_is_told(open_endpoint: Any) -> None:
    """Each daemon that lives or is gone without a word, in /status and in the metrics."""
    async with open_endpoint(member=lambda: "web1") as endpoint:
        database = endpoint.parts.database
        assert (await endpoint.get("/status"))["fleet"] == []
        await join(database, "web1", {DaemonRole.STATUS, DaemonRole.SCHEDULES})
        await join(database, "worker-1", {DaemonRole.WORKER}, clock_offset=12.5)
        await join(database, "web9", silent=timedelta(minutes=2))
        await endpoint.claim(await endpoint.submit())
        status = await endpoint.get("/status")
        assert status["roles"] == ["worker", "schedules", "status"]
        told = {each["name"]: each for each in status["fleet"]}
        assert [(name, each["is_live"], each["is_self"]) for name, each in told.items()] == [
            ("web1", True, True),
            ("web9", False, False),
            ("worker-1", True, False),
        ]
        assert told["web1"]["roles"] == ["schedules", "status"]
        assert (told["worker-1"]["running_jobs"], len(told["worker-1"]["lanes"])) == (1, 1)
        assert {each["id"] for each in status["conditions"]} >= {"daemon_gone:web9", "daemon_clock_off:worker-1"}
        families = await _scrape(endpoint)
        assert families["dongbo_fleet_daemons"] == {("worker",): 1, ("schedules",): 1, ("status",): 1}
        assert families["dongbo_daemon_info"][("web9", "web9", "false", "worker,schedules,status", "9.9.9")] == 1
        assert families["dongbo_daemon_running_jobs"][("worker-1",)] == 1
        assert families["dongbo_daemon_clock_offset_seconds"] == {("web1",): 0.0, ("worker-1",): 12.5}


async def test_without_the_role_of_it_the_endpoint_is_for_probes_alone(open_endpoint: Any) -> None:
    """And looks only at what its roles need."""
    async with open_endpoint(roles=frozenset({DaemonRole.WORKER})) as endpoint:
        status, text = await _readyz(endpoint, "?verbose")
        checks = re.findall(r"^\[\+\] (\w+):", text, re.MULTILINE)
        assert (status, checks) == (200, ["database", "schema", "listener", "worker"])
        for path in ("/livez", "/metrics", "/healthz"):
            async with endpoint.client.get(path) as response:
                assert response.status == 200
        for path in ("/", "/status", "/api/jobs", "/openapi.json"):
            problem = await endpoint.get(path, 404)
            assert problem["detail"] == (
                "This daemon answers probes and metrics alone: its roles are worker. Ask one with the role status."
            )


async def _scrape(endpoint: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric and by the values of the labels, in the alphabetical order of the labels' names."""
    async with endpoint.client.get("/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        text = await response.text()
    return {
        family.name: {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


async def test_every_address_carries_the_headers_that_protect_the_page(endpoint: Any) -> None:
    """No script but ours, no framing, no sniffing, no referrer, and no name of the server's software."""
    for path in sorted({operation.path for operation in OPERATIONS if operation.method == "GET"}):
        own = path.format_map(defaultdict(lambda: "x", folder="views", file="now.js"))
        async with endpoint.client.head(own) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["Server"] == "dongbo"
            is_static = path == "/" or path.startswith("/page/")
            assert response.headers["Cache-Control"] == ("no-cache" if is_static else "no-store"), path


async def test_the_page_is_not_sent_twice(endpoint: Any) -> None:
    """A browser that has the present version gets 304; there are no files but the page's."""
    async with endpoint.client.get("/page/page.js") as response:
        assert response.content_type == "text/javascript"
        tag = response.headers["ETag"]
    async with endpoint.client.get("/page/page.js", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    for name in ("nothing.js", "..%2Fserver.py", "%2Fetc%2Fpasswd", "__init__.py", "views"):
        await endpoint.get(f"/page/{name}", 404)
        await endpoint.get(f"/page/views/{name}", 404)


async def test_the_page_is_sent_packed_to_whoever_unpacks_it(endpoint: Any) -> None:
    """The same file in less; each coding has a tag of its own, so that no cache mixes them up."""
    packed, plain = [
        await endpoint.client.get("/page/page.css", headers={"Accept-Encoding": coding})
        for coding in ("br, gzip", "identity")
    ]
    assert (packed.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding")) == ("gzip", None)
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2
    assert await packed.read() == await plain.read() == page_files()["page.css"]
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
