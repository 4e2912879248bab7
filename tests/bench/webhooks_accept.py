"""A burst of webhooks: how long each takes to be stored and answered, whether one is lost, and how the page fares.

The store pushes nothing, so that no job reads what they tell of: this is about taking them in.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import orjson
from daemon_process import Bench, free_port, running_daemon, state_directory
from figures import Bound, Figure, say
from webhook_sender import REPEATED

RATE = 1_000  # a second
SECONDS = 10
ANSWER_TARGET = 50.0  # milliseconds, of 99 in 100
LOOK_PAUSE = 0.1  # seconds between two looks at the page and the status
SHOPIFY_URL = "http://127.0.0.1:1"  # where nobody is
SENDER = Path(__file__).with_name("webhook_sender.py")

ROWS = "SELECT count(*) FROM dongbo.webhook_events"
COUNTED = "SELECT sum(received)::bigint AS received, sum(repeated)::bigint AS repeated FROM dongbo.webhook_topics"


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """As many webhooks a second as a large shop's stocktaking brings."""
    seconds = 3 if quick else SECONDS
    port, token, secret = free_port(), "bench" * 5, "shpss_bench"
    async with state_directory() as state:
        (state / "token").write_text(token)
        (state / "secret").write_text(secret)
        sections = (
            f'[webhooks]\nlisten = "127.0.0.1:{port}"\n'
            f'[stores.main.nhanh.webhook_token]\nfile = "{state / "token"}"\n'
            f'[stores.main.shopify.webhook_secret]\nfile = "{state / "secret"}"\n'
        )
        async with running_daemon(state, shopify_url=SHOPIFY_URL, more_config=sections) as bench:
            say(f"webhooks_accept: {RATE} a second for {seconds} s")
            looks: dict[str, list[float]] = {"/": [], "/status": []}
            async with looking(bench, looks):
                sent = await _send(port, seconds, token, secret)
            rows = await bench.connection.fetchval(ROWS)
            counted = await bench.connection.fetchrow(COUNTED)
    latencies = sent["latencies"]
    answers = {"answers": sent["statuses"], "rate": RATE, "seconds": seconds}
    yield Figure("answer_p99", _p99(latencies), "ms", Bound.LESS_THAN, ANSWER_TARGET, detail=answers)
    yield Figure("answer_p50", sorted(latencies)[len(latencies) // 2], "ms")
    # Every delivery is a row or a known repeat, and each was answered with 200.
    accounted = rows + counted["repeated"]
    lost = len(latencies) - accounted
    detail = {"rows": rows, "repeated": counted["repeated"], "sent_twice": len(latencies) // (2 * REPEATED)}
    yield Figure("lost", lost, "deliveries", Bound.AT_MOST, 0, detail=detail)
    yield Figure("refused", len(latencies) - sent["statuses"].get("200", 0), "deliveries", Bound.AT_MOST, 0)
    for path, times in looks.items():
        yield Figure(f"{path.strip('/') or 'page'}_p99", _p99(times), "ms", detail={"looks": len(times)})


@asynccontextmanager
async def looking(bench: Bench, looks: dict[str, list[float]]) -> AsyncIterator[None]:
    """Meanwhile somebody asks for the page and the status, again and again; `looks`: milliseconds, by path."""
    is_over = asyncio.Event()

    async def look() -> None:
        while not is_over.is_set():
            for path, times in looks.items():
                began = time.perf_counter()
                async with bench.session.get(bench.address.rstrip("/") + path) as answer:
                    answer.raise_for_status()
                    await answer.read()
                times.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(LOOK_PAUSE)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look(), name="looks")
        yield
        is_over.set()


async def _send(port: int, seconds: int, token: str, secret: str) -> dict[str, object]:
    arguments = ("127.0.0.1", str(port), str(RATE), str(seconds), token, secret)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SENDER), *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found: dict[str, object] = orjson.loads(output)
    return found


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]
