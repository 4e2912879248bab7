"""The process: opens the pool, wires the parts, drains on SIGTERM, reloads on SIGHUP.

Everything long-lived is a task of one TaskGroup, so that a part that crashes ends the process loudly instead of
leaving it half alive. What a part does when the database is away is its own affair: each goes on by itself.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from asyncpg import InterfaceError, PostgresError

from daemon import __version__
from daemon.config import (
    ResolvedSecrets,
    Settings,
    changed_parts,
    load_settings,
    renewed_secrets,
    resolve_secrets,
    secret_files_version,
    state_directory,
)
from daemon.credentials import report
from daemon.database.embedded import EmbeddedServer, embedded_server
from daemon.database.migrate import migrate
from daemon.database.pool import is_connection_error, open_database
from daemon.errors import ConfigError, DatabaseError
from daemon.ids import StoreName
from daemon.jobs import queue
from daemon.jobs.context import StopReason
from daemon.logging import configure_logging
from daemon.mirror import windows
from daemon.mirror.windows import SharedWindows
from daemon.notify import Notifier
from daemon.open_files import OWN_FILES, raise_limit
from daemon.sales import campaigns
from daemon.sales.file import reconcile
from daemon.schedules import fires
from daemon.sources.http import CONNECTIONS, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.status.parts import MOST_CONNECTIONS, StatusParts
from daemon.status.server import serving
from daemon.sync import pushes
from daemon.tasks import TaskRegistry, params_schemas
from daemon.tasks.registry import clock_reports
from daemon.wiring import Parts, StoreFactory, check_schedules, job_policy, make_sales, make_schedules

log = structlog.get_logger()

PRUNE_INTERVAL = 3600.0  # seconds
SALES_KEPT = timedelta(days=400)  # the proof of last year's sale is there when this year's is planned
QUEUE_START_TIMEOUT = 20.0  # seconds until the daemon counts as ready even without its queue
WATCHDOG_PING_TIMEOUT = 5.0  # seconds
CUT_OFF_INTERVAL = 1.0  # seconds
FEWEST_CONNECTIONS = 64  # of the endpoint, whatever the limit of open files
SECRETS_INTERVAL = (
    5.0  # seconds between two looks at the files of the secrets; Nhanh.vn ends an old token in 15 minutes
)


class Application:
    """One running daemon. `config_path` is read again on SIGHUP; None: there is nothing to reload."""

    _secrets: ResolvedSecrets
    _secret_files: tuple[object, ...]

    def __init__(self, settings: Settings, config_path: Path | None, on_ready: Callable[[str], None] | None) -> None:
        self._settings = settings
        self._config_path = config_path
        self._on_ready = on_ready
        self._service = Notifier()
        self._stop = asyncio.Event()
        self._cut_off = asyncio.Event()
        self._reload = asyncio.Event()
        self._changing = asyncio.Lock()  # a reload and renewed secrets are taken over one after the other
        self._starting: asyncio.Task[None] | None = None  # what a stop ends at once, as nothing runs yet

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
        check_schedules(make_schedules(self._settings))
        sales = make_sales(self._settings, self._directory)
        self._secret_files = secret_files_version(self._settings)  # before they are read: no change may be missed
        secrets = resolve_secrets(self._settings, config=self._config_path)
        _warn_of_exposed(secrets.warnings)
        _warn_of_zones(self._settings)
        most_connections = _most_connections(raise_limit(_files_needed(self._settings)), self._settings)
        async with AsyncExitStack() as stack:
            server = None
            if secrets.database_url is None:
                server = await stack.enter_async_context(embedded_server(state_directory()))
            dsn = server.dsn if server is not None else secrets.database_url.get_secret_value()  # type: ignore[union-attr]
            database = await stack.enter_async_context(
                open_database(
                    dsn,
                    max_connections=self._settings.database.max_connections,
                    statement_timeout=self._settings.database.statement_timeout_seconds,
                )
            )
            schema_version = await migrate(database, then=[queue.install])
            session = await stack.enter_async_context(open_session())
            factory = StoreFactory(session, LimiterRegistry(ledger=SharedWindows(database)))
            stores = factory.make(self._settings, secrets)
            token = secrets.status_token.get_secret_value() if secrets.status_token else None
            daemon = Parts(self._settings, database, TaskRegistry(stores, job_policy(self._settings)), factory)
            await reconcile(database, daemon.sales, sorted(stores), sales)
            self._starting = None
            self._secrets = secrets
            await self._run_parts(daemon, server, schema_version, token, most_connections)

    @property
    def _directory(self) -> Path | None:
        """Where relative paths in the configuration file start."""
        return self._config_path.parent if self._config_path is not None else None

    async def _run_parts(
        self,
        daemon: Parts,
        server: EmbeddedServer | None,
        schema_version: int,
        token: str | None,
        most_connections: int,
    ) -> None:
        schedules = make_schedules(self._settings)
        status = StatusParts(
            database=daemon.database,
            jobs=daemon.jobs,
            hub=daemon.hub,
            scheduler=daemon.scheduler,
            queue=daemon.queue,
            sales=daemon.sales,
            sale_clock=daemon.sale_clock,
            version=__version__,
            started_at=datetime.now(UTC),
            stores=lambda: sorted(daemon.registry.stores),
            job_types=params_schemas(),
            product_sync=lambda name: daemon.registry.stores[name].product_sync_settings,
            shop_of=self._shop_of,
            credentials=lambda: report(daemon.registry.stores, datetime.now(UTC)),
            zone=self._settings.timezone,
            token=token,
            allowed_hosts=list(self._settings.status.allowed_hosts),
            schema_version=schema_version,
            clocks=lambda: clock_reports(daemon.registry.stores),
            most_connections=most_connections,
        )
        async with serving(status, self._settings.status.address) as address, asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(daemon.notifier.run(), name="job-notifier"),
                tasks.create_task(daemon.hub.run(), name="event-hub"),
                tasks.create_task(daemon.runner.watch_cancellations(daemon.hub), name="cancellations"),
                tasks.create_task(self._prune(daemon), name="pruning"),
                tasks.create_task(self._reload_on_request(daemon), name="reload"),
                tasks.create_task(self._watch_secrets(daemon), name="secrets"),
                tasks.create_task(daemon.credential_watch.run(), name="credentials"),
                tasks.create_task(self._feed_watchdog(daemon), name="watchdog"),
            ]
            if server is not None:
                background.append(tasks.create_task(server.supervise(), name="embedded-postgres"))
            running_queue = tasks.create_task(daemon.queue.run(), name="job-queue")
            async with daemon.scheduler, daemon.sale_clock:
                await daemon.scheduler.apply(schedules)
                await self._become_ready(daemon, address)
                await self._stop.wait()
                self._service.stopping()
                log.info("stopping", running_jobs=len(daemon.runner.active))
                daemon.queue.stop()
                daemon.runner.stop_all(StopReason.SHUTDOWN)
            await self._drain(daemon, running_queue)
            for task in background:
                task.cancel()
        log.info("stopped")

    async def _become_ready(self, daemon: Parts, address: str) -> None:
        await daemon.database.ping()
        await self._wait_for_queue(daemon)
        if self._stop.is_set():
            return
        # What is there by now stays: a full collection that walks all of it would hold the loop up for 100 ms and more.
        gc.freeze()
        self._service.ready()
        self._service.status(f"Job page: {address}")
        log.info("ready", address=address, stores=len(daemon.registry.stores), schedules=len(self._settings.schedules))
        if self._on_ready is not None:
            self._on_ready(address)

    async def _wait_for_queue(self, daemon: Parts) -> None:
        started = asyncio.create_task(self._parts_running(daemon), name="queue-start")
        stop = asyncio.create_task(self._stop.wait(), name="stop-while-starting")
        try:
            await asyncio.wait({started, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (started, stop):
                task.cancel()
            await asyncio.gather(started, stop, return_exceptions=True)

    @staticmethod
    async def _parts_running(daemon: Parts) -> None:
        """Until jobs are taken and changes are heard of, but not for ever: what is said of both is in /readyz."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUEUE_START_TIMEOUT):
                await daemon.queue.wait_running(QUEUE_START_TIMEOUT)
                await daemon.hub.wait_listening()

    async def _drain(self, daemon: Parts, running_queue: asyncio.Task[None]) -> None:
        """Wait for the runs to stop at a checkpoint; after the grace time, or at a second signal, cut them off.

        What is cut off goes on from its last checkpoint with the next start.
        """
        cut_off = asyncio.create_task(self._cut_off.wait(), name="cut-off")
        try:
            await asyncio.wait(
                {running_queue, cut_off},
                timeout=self._settings.jobs.stop_grace_seconds,
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

    async def _reload_on_request(self, daemon: Parts) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._service.reloading()
            try:
                async with self._changing:
                    await self._apply_file(daemon)
            except ConfigError as error:
                log.error("reload_refused", problems=error.problems, next_step="the old configuration stays in force")
            except (DatabaseError, PostgresError, OSError) as error:
                log.error("reload_failed", error=str(error), next_step="send SIGHUP again when the cause is mended")
            finally:
                self._service.ready()

    async def _apply_file(self, daemon: Parts) -> None:
        """Take over the configuration file: all of it is checked before the first change."""
        if self._config_path is None:
            log.warning("reload_ignored", reason="the daemon was started without a configuration file")
            return
        new = await asyncio.to_thread(load_settings, self._config_path)
        if self._settings.stores and not new.stores:
            # Most likely an editor has emptied the file and not yet written it.
            raise ConfigError(f"{self._config_path}: no store is left in it; to run without any, restart the daemon")
        secrets = await asyncio.to_thread(resolve_secrets, new, config=self._config_path)
        schedules = make_schedules(new)
        check_schedules(schedules)
        sales = await asyncio.to_thread(make_sales, new, self._directory)
        # From here on nothing is refused any more: renewed secrets are put into the credentials of running jobs.
        stores = daemon.factory.make(new, secrets)
        registry = TaskRegistry(stores, job_policy(new))
        changes = changed_parts(self._settings, new)
        configure_logging(new.log.level, new.log.format, zone=new.timezone)
        _warn_of_exposed(secrets.warnings)
        _warn_of_zones(new)
        await self._warn_of_abandoned(daemon, self._settings.stores.keys() - new.stores.keys())
        daemon.use_registry(registry)
        daemon.zone = new.timezone
        await reconcile(daemon.database, daemon.sales, sorted(stores), sales)
        daemon.sale_clock.look()
        applied = await daemon.scheduler.apply(schedules)
        self._settings, self._secrets = new, secrets
        daemon.credential_watch.look()
        log.info(
            "reloaded",
            added=applied.added,
            changed=applied.changed,
            removed=applied.removed,
            unchanged=len(applied.unchanged),
            stores_changed=sorted(changes.stores_changed),
        )
        if changes.restart_required:
            log.warning("restart_required", keys=changes.restart_required)

    async def _watch_secrets(self, daemon: Parts) -> None:
        """Take over secrets whose files change: nobody should have to think of a signal within fifteen minutes."""
        seen, told = self._secret_files, tuple[str, ...]()
        while True:
            version = await asyncio.to_thread(secret_files_version, self._settings)
            if version != seen or told:
                async with self._changing:
                    problems = await self._take_over_secrets(daemon)
                if problems and problems != told:
                    log.error("secrets_refused", problems=problems, next_step="the old ones stay in force")
                seen, told = version, problems
            await asyncio.sleep(SECRETS_INTERVAL)

    async def _take_over_secrets(self, daemon: Parts) -> tuple[str, ...]:
        """Let the stores sign in with the secrets as they are now; what could not be read, a line each."""
        old = self._secrets
        secrets, problems = await asyncio.to_thread(renewed_secrets, self._settings, old, config=self._config_path)
        self._secrets = secrets
        _warn_of_exposed(warning for warning in secrets.warnings if warning not in old.warnings)
        renewed = sorted(name for name in secrets.stores if secrets.stores[name] != old.stores.get(name))
        if renewed:
            stores = daemon.factory.make(self._settings, secrets)
            daemon.use_registry(TaskRegistry(stores, job_policy(self._settings)))
            daemon.credential_watch.look()
            log.info("secrets_renewed", stores=renewed)
        others = {"database.url": "database_url", "status.token": "status_token"}
        changed = [key for key, field in others.items() if getattr(secrets, field) != getattr(old, field)]
        if changed:
            log.warning("restart_required", keys=changed)
        return problems

    def _shop_of(self, name: StoreName) -> str | None:
        shopify = self._settings.stores[name].shopify if name in self._settings.stores else None
        return shopify.shop if shopify is not None else None

    async def _warn_of_abandoned(self, daemon: Parts, stores: Collection[StoreName]) -> None:
        """A store that is taken out of the file takes the way to end its sales along."""
        async with daemon.database.acquire() as connection:
            for campaign in await campaigns.list_open(connection, sorted(stores)):
                log.error(
                    "sale_abandoned",
                    sale=campaign.name,
                    store=campaign.store,
                    state=str(campaign.state),
                    next_step="no daemon starts or ends it unless the store comes back into a configuration",
                )

    async def _prune(self, daemon: Parts) -> None:
        while True:
            retention = timedelta(days=self._settings.jobs.retention_days)
            try:
                await daemon.jobs.prune(retention)
                async with daemon.database.acquire() as connection:
                    await fires.prune_fires(connection, datetime.now(UTC) - retention)
                    await pushes.prune(connection, retention)
                    await campaigns.prune(connection, SALES_KEPT)
                    await windows.prune(connection)
            except (DatabaseError, PostgresError, InterfaceError, OSError) as error:
                log.warning("pruning_failed", error=str(error), next_step="tried again later")
            await asyncio.sleep(PRUNE_INTERVAL)

    async def _feed_watchdog(self, daemon: Parts) -> None:
        """Tell systemd that all is well, after a check that fails when the pool hangs or the scheduler is gone.

        A database that answers with an error is no reason to be restarted: the parts wait for it by themselves.
        """
        interval = self._service.watchdog_interval()
        if interval is None:
            return
        while True:
            try:
                async with asyncio.timeout(WATCHDOG_PING_TIMEOUT):
                    await daemon.database.ping()
            except TimeoutError:
                log.error("watchdog_check_failed", reason="the connection pool does not answer")
            except Exception as error:
                if not is_connection_error(error):
                    raise
                log.warning("watchdog_database_away", error=str(error))
                self._service.watchdog()
            else:
                if daemon.scheduler.is_running:
                    self._service.watchdog()
            await asyncio.sleep(interval / 2)


async def run(settings: Settings, *, config_path: Path | None, on_ready: Callable[[str], None] | None = None) -> None:
    """Run the daemon until it is told to stop; `on_ready` is called with the job page's address."""
    began = time.monotonic()
    log.info("starting", version=__version__)

    def ready(address: str) -> None:
        log.debug("ready_after", seconds=round(time.monotonic() - began, 3))
        if on_ready is not None:
            on_ready(address)

    await Application(settings, config_path, ready).run()


def _files_needed(settings: Settings) -> int:
    """Open files under full load: twice the endpoint's connections, since many are accepted before any is refused."""
    return 2 * MOST_CONNECTIONS + _files_besides(settings)


def _files_besides(settings: Settings) -> int:
    return settings.database.max_connections + CONNECTIONS + OWN_FILES


def _most_connections(files: int, settings: Settings) -> int:
    """The endpoint's connections that the limit of open files leaves room for."""
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, (files - _files_besides(settings)) // 2))


def _warn_of_exposed(warnings: Iterable[str]) -> None:
    for warning in warnings:
        log.warning("secret_exposed", detail=warning)


def _warn_of_zones(settings: Settings) -> None:
    for doubt in settings.zone_warnings():
        log.warning("timezone_doubtful", detail=doubt)
