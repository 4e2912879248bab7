"""The process: opens what the daemon needs, starts its parts, drains on SIGTERM, reloads on SIGHUP.

The parts are a list, started in order and stopped in the opposite one. A part that crashes ends the process loudly
instead of leaving it half alive. What a part does while the database is away is its own affair: each carries on by
itself.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from daemon import __version__
from daemon.bootstrap import Daemon, check_schedules, job_policy, make_sales, make_schedules
from daemon.checks.credentials import check_all
from daemon.config import ResolvedSecrets, Settings, resolve_secrets, secret_files_version, state_directory
from daemon.credentials import report
from daemon.database.embedded import Supervisor, embedded_server
from daemon.database.migrate import migrate
from daemon.database.pool import Database, open_database
from daemon.i18n import configure as speak
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.log_lines import JobLog
from daemon.jobs.queue.driver import install
from daemon.lifecycle import Part
from daemon.mirror.windows import SharedWindows
from daemon.notify import Notifier
from daemon.open_files import OWN_FILES, raise_limit
from daemon.pruning import Pruner
from daemon.reloading import Configuration, Reloader, SecretsWatch, warn_of_exposed, warn_of_zones
from daemon.sales.file import reconcile
from daemon.sources.http import CONNECTIONS, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.status.parts import MOST_CONNECTIONS, StatusParts
from daemon.status.server import serving
from daemon.stores import StoreFactory
from daemon.tasks import TaskRegistry, params_schemas
from daemon.tasks.item_reader import ItemReader
from daemon.tasks.registry import clock_reports
from daemon.watchdog import Watchdog

log = structlog.get_logger()

QUEUE_START_TIMEOUT = 20.0  # seconds until the daemon counts as ready even without its queue
CUT_OFF_INTERVAL = 1.0  # seconds
FEWEST_CONNECTIONS = 64  # of the endpoint, whatever the limit of open files


class Application:
    """One running daemon. `config_path` is read again on SIGHUP; None: there is nothing to reload."""

    def __init__(self, settings: Settings, config_path: Path | None, on_ready: Callable[[str], None] | None) -> None:
        self._settings = settings  # those of the start; a reload replaces `Daemon.settings`
        self._config_path = config_path
        self._on_ready = on_ready
        self._service = Notifier()
        self._stop = asyncio.Event()
        self._cut_off = asyncio.Event()
        self._reload = asyncio.Event()
        self._crashes: list[Exception] = []
        self._starting: asyncio.Task[None] | None = None  # what a stop ends at once, since nothing runs yet

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises DongboError where something needed is missing."""
        self._starting = asyncio.current_task()
        self._handle_signals()
        try:
            await self._run()
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
            log.info("stopped", while_starting=True)

    async def _run(self) -> None:
        settings, directory = self._settings, self._config_path.parent if self._config_path is not None else None
        speak(settings.language)
        check_schedules(make_schedules(settings))
        sales = make_sales(settings, directory)
        secrets_version = secret_files_version(settings)  # before they are read: no change may be missed
        secrets = resolve_secrets(settings, config=self._config_path)
        warn_of_exposed(secrets.warnings)
        warn_of_zones(settings)
        most_connections = _most_connections(raise_limit(_files_needed(settings)), settings)
        async with AsyncExitStack() as stack:
            database, supervisors = await self._open_database(stack, secrets)
            async with self._service.taking_long(_("The database is brought up to date.")):
                schema_version = await migrate(database, then=[install])
            session = await stack.enter_async_context(open_session())
            factory = StoreFactory(session, LimiterRegistry(ledger=SharedWindows(database)))
            stores = factory.make(settings, secrets)
            daemon = Daemon(settings, database, TaskRegistry(stores, job_policy(settings)), factory)
            await reconcile(database, daemon.sales, sorted(stores), sales)
            configuration = Configuration(daemon, secrets, self._config_path)
            parts = [
                *supervisors,
                JobLog(database),
                daemon.notifier,
                daemon.hub,
                daemon.cancellation_watch,
                Pruner(daemon),
                daemon.credential_watch,
                daemon.conditions,
                Watchdog(self._service, database, daemon.scheduler),
                daemon.queue,
                daemon.scheduler,
                daemon.sale_clock,
                # These change the others: they stop before any of them does.
                Reloader(configuration, self._reload, self._service),
                SecretsWatch(configuration, secrets_version),
            ]
            status = _status_parts(daemon, secrets, schema_version, most_connections)
            self._starting = None
            async with serving(status, settings.status.address) as address:
                await self._run_parts(parts, daemon, address)
            log.info("stopped")

    async def _open_database(
        self, stack: AsyncExitStack, secrets: ResolvedSecrets
    ) -> tuple[Database, Sequence[Supervisor]]:
        """The pool, on the embedded server where no other is configured; with what keeps that server up."""
        supervisors = []
        if secrets.database_url is not None:
            dsn = secrets.database_url.get_secret_value()
        else:
            server = await stack.enter_async_context(embedded_server(state_directory()))
            supervisors.append(Supervisor(server))
            dsn = server.dsn
        database = await stack.enter_async_context(
            open_database(
                dsn,
                max_connections=self._settings.database.max_connections,
                statement_timeout=self._settings.database.statement_timeout_seconds,
            )
        )
        return database, supervisors

    async def _run_parts(self, parts: Sequence[Part], daemon: Daemon, address: str) -> None:
        """Run the parts until a stop is asked for or one of them crashes, and stop all of them in order.

        Raises an ExceptionGroup with what a part has crashed with.
        """
        running: dict[Part, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            try:
                for part in parts:
                    part.start()
                    running[part] = tasks.create_task(self._watch(part), name=f"wait-{part.name}")
                await daemon.scheduler.apply(make_schedules(daemon.settings))
                await self._become_ready(daemon, address)
                await self._stop.wait()
            finally:
                await self._stop_parts(running, daemon)
        if self._crashes:
            raise ExceptionGroup("parts of the daemon have crashed", self._crashes)

    async def _watch(self, part: Part) -> None:
        """Wait until a part has ended. One that crashes stops the daemon, and nothing is lost over it."""
        try:
            await part.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others stop in order
            log.error("part_crashed", part=part.name, error=repr(error), next_step="the daemon stops: start it again")
            self._crashes.append(error)
            self._stop.set()

    async def _stop_parts(self, running: dict[Part, asyncio.Task[None]], daemon: Daemon) -> None:
        """Stop in the opposite order of the start; the jobs come to a checkpoint first."""
        self._service.stopping()
        log.info("stopping", running_jobs=len(daemon.runner.active))
        daemon.queue.stop()  # first of all: its jobs reach their next checkpoint while others end
        for part, ended in reversed(running.items()):
            part.stop()
            if part is daemon.queue:
                await self._drain(daemon, ended)
            await asyncio.wait({ended})

    async def _become_ready(self, daemon: Daemon, address: str) -> None:
        await daemon.database.ping()
        await self._wait_for_queue(daemon)
        if self._stop.is_set():
            return
        # What exists by now stays: a full collection that walks all of it would hold up the loop for 100 ms and more.
        gc.freeze()
        self._service.ready()
        self._service.status(f"Job page: {address}")
        log.info("ready", address=address, stores=len(daemon.registry.stores), schedules=len(daemon.settings.schedules))
        if self._on_ready is not None:
            self._on_ready(address)

    async def _wait_for_queue(self, daemon: Daemon) -> None:
        started = asyncio.create_task(self._jobs_can_run(daemon), name="queue-start")
        stop = asyncio.create_task(self._stop.wait(), name="stop-while-starting")
        try:
            await asyncio.wait({started, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (started, stop):
                task.cancel()
            await asyncio.gather(started, stop, return_exceptions=True)

    @staticmethod
    async def _jobs_can_run(daemon: Daemon) -> None:
        """Wait until jobs are taken and changes are heard, but not forever: /readyz shows the state of both."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUEUE_START_TIMEOUT):
                await daemon.queue.wait_taking(QUEUE_START_TIMEOUT)
                await daemon.hub.wait_listening()

    async def _drain(self, daemon: Daemon, running_queue: asyncio.Task[None]) -> None:
        """Wait for the runs to stop at a checkpoint; after the grace time, or at a second signal, cut them off.

        What is cut off continues from its last checkpoint after the next start.
        """
        cut_off = asyncio.create_task(self._cut_off.wait(), name="cut-off")
        try:
            await asyncio.wait(
                {running_queue, cut_off},
                timeout=daemon.settings.jobs.stop_grace_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            cut_off.cancel()
        if not running_queue.done():
            log.warning("runs_cut_off", jobs=[str(job_id) for job_id in daemon.runner.active])
            # More than once: cancelled in its loop, PgQueuer still waits for its runs before it ends.
            while not running_queue.done():
                running_queue.cancel()
                await asyncio.wait({running_queue}, timeout=CUT_OFF_INTERVAL)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._request_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _request_stop(self, number: signal.Signals) -> None:
        log.info("signal_received", signal=signal.Signals(number).name)
        if self._stop.is_set():
            self._cut_off.set()
        self._stop.set()
        if self._starting is not None:
            self._starting.cancel()


async def run(settings: Settings, *, config_path: Path | None, on_ready: Callable[[str], None] | None = None) -> None:
    """Run the daemon until it is asked to stop; `on_ready` is called with the job page's address."""
    began = time.monotonic()
    log.info("starting", version=__version__)

    def ready(address: str) -> None:
        log.debug("ready_after", seconds=round(time.monotonic() - began, 3))
        if on_ready is not None:
            on_ready(address)

    await Application(settings, config_path, ready).run()


def _status_parts(daemon: Daemon, secrets: ResolvedSecrets, schema_version: int, most_connections: int) -> StatusParts:
    registry = daemon.registry

    def shop_of(name: StoreName) -> str | None:
        store = daemon.settings.stores.get(name)
        return store.shopify.shop if store is not None and store.shopify is not None else None

    return StatusParts(
        database=daemon.database,
        jobs=daemon.jobs,
        hub=daemon.hub,
        scheduler=daemon.scheduler,
        queue=daemon.queue,
        sales=daemon.sales,
        sale_clock=daemon.sale_clock,
        version=__version__,
        started_at=datetime.now(UTC),
        stores=lambda: sorted(registry.stores),
        job_types=params_schemas(),
        stores_for=registry.stores_for,
        product_sync=lambda name: registry.stores[name].product_sync_settings,
        shop_of=shop_of,
        item_reader=ItemReader(daemon.database, registry.store),
        credentials=lambda: report(registry.stores, datetime.now(UTC)),
        zone=daemon.settings.timezone,
        token=secrets.status_token.get_secret_value() if secrets.status_token else None,
        allowed_hosts=list(daemon.settings.status.allowed_hosts),
        schema_version=schema_version,
        clocks=lambda: clock_reports(registry.stores),
        conditions=daemon.conditions,
        check_credentials=lambda: check_all(registry.stores, daemon.settings),
        most_connections=most_connections,
    )


def _files_needed(settings: Settings) -> int:
    """Open files under full load: twice the endpoint's connections, since many are accepted before any is refused."""
    return 2 * MOST_CONNECTIONS + _files_besides(settings)


def _files_besides(settings: Settings) -> int:
    return settings.database.max_connections + CONNECTIONS + OWN_FILES


def _most_connections(files: int, settings: Settings) -> int:
    """The endpoint's connections that the limit of open files leaves room for."""
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, (files - _files_besides(settings)) // 2))
