"""`dongbo demo`: the daemon with its own database, on a sandbox shop on this machine, all in one process."""

import asyncio
import errno
import os
import signal
import socket
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TextIO, cast

import typer

from daemon import app as daemon_app
from daemon.checks.webhooks import read_plan
from daemon.cli.client.daemon import DaemonClient, connect
from daemon.cli.client.target import target_of
from daemon.cli.commands.run import what_happens
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.event_loop import run_in_loop
from daemon.cli.jobs import following
from daemon.cli.jobs.progress import open_view
from daemon.cli.render import output
from daemon.config import DEMO_CONFIG, Settings, load_settings, resolve_secrets, state_directory
from daemon.database.state_lock import state_lock
from daemon.errors import DongboError, ListenError, StateDirectoryError
from daemon.ids import JobId, StoreName
from daemon.jobs.types import JobType, Source
from daemon.logging import configure_logging
from daemon.sandbox.server import VERIFY_TOKEN, Sandbox, SandboxSettings, running_sandbox
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.stores import StoreFactory
from daemon.webhooks.subscriptions import carry_out, webhook_address

STORE = StoreName("demo")
FIRST_PORT = 8765
PORTS_TRIED = 100
PULLS = (
    JobType.PULL_NHANH_INVENTORY,
    JobType.PULL_NHANH_PRODUCTS,
    JobType.PULL_SHOPIFY_PRODUCTS,
    JobType.PULL_NHANH_CUSTOMERS,
    JobType.PULL_SHOPIFY_CUSTOMERS,
)
# Large enough to watch the progress and to meet the rate limits, small enough to finish within a minute.
# Tokens live two minutes instead of a day, so that the demo goes through what shops go through.
SHOP = SandboxSettings(
    products=1_200, customers=8_000, churn_per_second=1.0, token_lifetime=120.0, permanent_token=False
)

app = Commands()


@app.command(cls=LocalCommand)
def demo(
    context: CommandContext,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Where the demo keeps its data; by default its own directory among dongbo's."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open the job page if there is a display.")
    ] = True,
) -> None:
    """Try dongbo on a sandbox shop, all on this machine.

    Nothing needs to be configured. Ctrl-C ends it; the next start finds the data again.
    """
    configure_logging("error", "console", stream=cast("TextIO", output.CurrentStderr()))
    directory = state or state_directory() / "demo"
    with suppress(KeyboardInterrupt):  # before the daemon itself handles it; ending the demo is not a failure
        run_in_loop(run_demo(directory.absolute(), opens_browser=browser, as_json=context.as_json))


async def run_demo(state: Path, *, opens_browser: bool, as_json: bool) -> None:
    """Run until SIGTERM or SIGINT.

    Raises StateDirectoryError, EmbeddedDataInUse where the same demo runs already, and what the daemon raises.
    """
    with state_lock(state):  # another demo's configuration must not be overwritten
        pass
    os.environ["STATE_DIRECTORY"] = str(state)  # where the daemon puts its database
    async with running_sandbox(SHOP) as sandbox:
        path = write_configuration(state, sandbox, _free_port(), _bound(0))
        settings = load_settings(path)
        _admit(settings, sandbox)
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        guide = asyncio.create_task(
            _guide(ready, sandbox, settings, path, opens_browser=opens_browser, as_json=as_json), name="demo-guide"
        )
        try:
            await daemon_app.run(settings, config_path=path, on_ready=ready.set_result)
        finally:
            guide.cancel()
            await asyncio.wait([guide])
            if not guide.cancelled():
                guide.result()


def write_configuration(state: Path, sandbox: Sandbox, port: int, webhooks_port: int) -> Path:
    """The demo's configuration with the sandbox's addresses and tokens, as a file that other commands can read, too.

    Args:
        state: where it is written to.
        sandbox: the two shops.
        port: of the status endpoint.
        webhooks_port: of the listener for webhooks.

    Raises StateDirectoryError where it can't be written.
    """
    secrets = {
        "DONGBO_DEMO_NHANH_TOKEN": sandbox.nhanh.token,
        "DONGBO_DEMO_NHANH_SECRET_KEY": sandbox.nhanh.secret_key,
        "DONGBO_DEMO_NHANH_WEBHOOK_TOKEN": VERIFY_TOKEN,
        "DONGBO_DEMO_SHOPIFY_SECRET": sandbox.shopify.app.client_secret,
    }
    text = DEMO_CONFIG.read_text("utf-8")
    path = state / "dongbo.toml"
    try:
        for name, secret in secrets.items():
            file = state / f"{name.lower()}.txt"
            file.touch(0o600)
            file.write_text(secret, "utf-8")
            text = _replace(text, f'{{ env = "{name}" }}', f"{{ file = {_toml_text(str(file))} }}")
        text = _replace(text, '{ "68000000000" = [1] }', _locations(sandbox))
        text = _replace(text, '"http://127.0.0.1:8766"', f'"{sandbox.nhanh_url}"')
        text = _replace(text, '"http://127.0.0.1:8767"', f'"{sandbox.shopify_url}"')
        text = _replace(text, f'"127.0.0.1:{FIRST_PORT}"', f'"127.0.0.1:{port}"')
        text = text.replace("127.0.0.1:8768", f"127.0.0.1:{webhooks_port}")
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StateDirectoryError(
            f"the demo can't write to {state} ({error.strerror}): name another with --state"
        ) from None
    return path


def _admit(settings: Settings, sandbox: Sandbox) -> None:
    """Let the sandbox accept the app and the business of the demo's configuration."""
    nhanh = settings.stores[STORE].nhanh
    if nhanh is None:
        raise AssertionError("the demo's store has no Nhanh.vn")
    sandbox.nhanh.app_id, sandbox.nhanh.business_id = nhanh.app_id, nhanh.business_id


async def _guide(
    ready: asyncio.Future[str],
    sandbox: Sandbox,
    settings: Settings,
    path: Path,
    *,
    opens_browser: bool,
    as_json: bool,
) -> None:
    """Says what there is to see, makes sure that there is something at once, and shows the jobs."""
    address = await ready
    # A closed terminal hangs up: that ends a demo, whereas a daemon would read its configuration again.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, os.kill, os.getpid(), signal.SIGTERM)
    if as_json:
        output.write_json_line({"address": address, "config": str(path)})
    else:
        output.say(_welcome(settings, address, path))
    if opens_browser:
        await asyncio.to_thread(_open_browser, address)
    async with connect(target_of(settings, path, None)) as client:
        pulls = await _pull_everything(client)
        with open_view(sys.stderr, zone=settings.timezone, summarise=True) as view:
            await following.follow_until_ended(client, pulls, view)
            await _set_up_webhooks(sandbox, settings, path)  # while everything is read, they would say nothing new
            await following.watch(client, view, remark=lambda _text: None)  # the daemon goes when the demo ends


async def _set_up_webhooks(sandbox: Sandbox, settings: Settings, path: Path) -> None:
    """As `dongbo webhooks install` does at Shopify, and somebody at open.nhanh.vn."""
    shopify = settings.stores[STORE].shopify
    if settings.webhooks is None or settings.webhooks.url is None or shopify is None:
        raise AssertionError("the demo's configuration has no webhooks")
    url, secrets, meter = settings.webhooks.url, resolve_secrets(settings, os.environ, config=path), CallMeter()
    sandbox.nhanh.webhooks.enable(webhook_address(url, Source.NHANH, STORE), VERIFY_TOKEN)
    async with open_session() as session:
        client = StoreFactory(session, LimiterRegistry()).shopify(STORE, shopify, secrets.stores[STORE])
        plan = await read_plan(client, settings, STORE, url, meter)
        await carry_out(plan, client.webhooks, meter)


async def _pull_everything(client: DaemonClient) -> list[JobId]:
    """In full: the sandbox begins anew with every demo, while the database remembers the last one."""
    pulls: list[JobId] = []
    for job_type in PULLS:
        try:
            job = await client.submit(job_type, STORE, {"full": True, "restart": True, "allow_deletions": True})
            pulls.append(JobId(job.id))
        except DongboError as error:  # a schedule will fire by itself within a minute or two
            output.say(f"dongbo: {job_type} was not run at once: {error}")
    return pulls


def _welcome(settings: Settings, address: str, path: Path) -> str:
    page, *fires = what_happens(settings, address)
    fires_text = "\n".join(fires)
    return f"""
A shop with {SHOP.products:,} products and {SHOP.customers:,} customers runs on this machine,
and the daemon keeps it in step.

{page}

All pulls run once now; after that everything runs by its schedules; next:
{fires_text}

In another terminal:
  export DONGBO_CONFIG={path}
  dongbo jobs watch
  dongbo map list --state ambiguous
  dongbo sale list
  dongbo doctor

Ctrl-C ends everything; the next `dongbo demo` finds its data again.
"""


def _locations(sandbox: Sandbox) -> str:
    """Which depots the sandbox's locations stand for."""
    locations = (f'"{location.id}" = [{location.depot_id}]' for location in sandbox.shopify.locations.values())
    return f"{{ {', '.join(locations)} }}"


def _free_port() -> int:
    """The first port from the usual one on that nobody uses."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        try:
            return _bound(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    last = FIRST_PORT + PORTS_TRIED - 1
    raise ListenError(f"all ports from {FIRST_PORT} to {last} are in use: stop what uses them")


def _bound(port: int) -> int:
    """A port that could be bound just now; 0 stands for any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])


def _open_browser(address: str) -> None:
    """Open the page where there is a display. A browser in this very terminal is not wanted."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
        return
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if type(browser) is not webbrowser.GenericBrowser:  # what text browsers are registered as
        browser.open(address)


def _replace(text: str, old: str, new: str) -> str:
    if old not in text:
        raise AssertionError(f"the demo's configuration lacks {old}")
    return text.replace(old, new)


def _toml_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
