"""A sandbox's shop beside commands that are run from the outside: in a thread, or with a daemon as processes."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from tests.support.cli_processes import start, stop

PATIENCE = 20.0  # seconds


@contextmanager
def sandbox_in_a_thread(settings: SandboxSettings) -> Iterator[Sandbox]:
    """A sandbox in a thread of its own, since the commands block the test's."""
    started: Future[Sandbox] = Future()
    ended = asyncio.Event()

    async def serve() -> None:
        async with running_sandbox(settings) as running:
            started.set_result(running)
            await ended.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    yield started.result(timeout=PATIENCE)
    loop.call_soon_threadsafe(ended.set)
    thread.join(PATIENCE)
    loop.close()


@contextmanager
def commanded_daemon(directory: Path, database_url: str, products: int, customers: int, tables: str) -> Iterator[Path]:
    """The configuration of a running daemon on a shop of that size; `tables`: what it has besides its one store."""
    sandbox, shop = start(
        "sandbox", "--products", str(products), "--customers", str(customers), "--seed", "5", "--no-limits"
    )
    environment = {
        "TEST_DATABASE": database_url,
        "TEST_NHANH": shop["nhanh"]["access_token"],
        "TEST_KEY": shop["nhanh"]["secret_key"],
        "TEST_SHOPIFY": shop["shopify"]["access_token"],
    }
    path = directory / "dongbo.toml"
    path.write_text(
        f"""
[database]
url = {{ env = "TEST_DATABASE" }}
[status]
listen = "unix:{directory}/s.sock"
[stores.main.nhanh]
app_id = {shop["nhanh"]["app_id"]}
business_id = {shop["nhanh"]["business_id"]}
access_token = {{ env = "TEST_NHANH" }}
secret_key = {{ env = "TEST_KEY" }}
base_url = "{shop["nhanh"]["base_url"]}"
[stores.main.shopify]
shop = "sandbox"
access_token = {{ env = "TEST_SHOPIFY" }}
base_url = "{shop["shopify"]["base_url"]}"
{tables}
"""
    )
    daemon, _ = start("run", "--config", str(path), **environment)
    try:
        yield path
    finally:
        stop(daemon, signal.SIGTERM)
        stop(sandbox, signal.SIGINT)
