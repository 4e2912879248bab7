"""The process: opens what the daemon needs, starts its parts, drains on SIGTERM, reloads on SIGHUP.

The status endpoint opens first, and tells what is waited for until the database is there. The parts are a list, started
in order and stopped in the opposite one. A part that crashes ends the process loudly instead of leaving it half alive.
What a part does while the database is away is its own affair: each carries on by itself.
"""

import asyncio
import faulthandler
import gc
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import structlog

from daemon import __version__
from daemon.activation import passed_sockets
from daemon.bootstrap import Daemon, check_schedules, job_policy, make_sales, make_schedules
from daemon.checks.credentials import check_all
from daemon.config import (
    ResolvedSecrets,
    SaleSettings,
    Settings,
    resolve_secrets,
    revealed,
    secret_files_version,
    state_directory,
)
from daemon.config.address import ListenAddress
from daemon.credentials import report
from daemon.database.connection_errors import may_pass, reason
from daemon.database.embedded import Supervisor, embedded_server
from daemon.database.migrate import migrate, program_version
from daemon.database.pool import Database, unopened_database
from daemon.database.postgres_data import data_directory
from daemon.database.replica import MOST_CONNECTIONS as MOST_TO_REPLICA
from daemon.errors import ConfigError, DatabaseReadOnly, DatabaseUnavailable
from daemon.i18n import configure as speak
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.log_lines import JobLog
from daemon.jobs.queue.driver import install
from daemon.lifecycle import Part
from daemon.logging.faults import Fault
from daemon.mirror.buckets import SharedBuckets
from daemon.mirror.text_upkeep import TextUpkeep
from daemon.mirror.windows import SharedWindows
from daemon.notify import Notifier
from daemon.open_files import OWN_FILES, raise_limit
from daemon.pruning import Pruner
from daemon.reload_outcome import ReloadOutcome, tell_outcome
from daemon.reloading import Configuration, Reloader, SecretsWatch, warn_of_exposed, warn_of_zones
from daemon.roles import ALL_ROLES, DaemonRole, in_order
from daemon.sales.file import reconcile
from daemon.sources.http import CONNECTIONS, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.status.access import access_rules
from daemon.status.parts import MOST_CONNECTIONS, StatusParts
from daemon.status.server import serving
from daemon.stores import StoreFactory
from daemon.tasks import TaskRegistry, params_schemas
from daemon.tasks.item_reader import ItemReader
from daemon.tasks.registry import clock_reports
from daemon.watchdog import Watchdog
from daemon.webhooks.listener import listening_for_webhooks
from daemon.webhooks.visitors import MOST_VISITORS

log = structlog.get_logger()

QUEUE_START_TIMEOUT = 20.0  # seconds until the daemon counts as ready even without its queue
CONNECT_DEADLINE = (
    10.0  # seconds until systemd hears that the daemon has started, even if only to wait for its database
)
REACH_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between attempts to reach the database
LONGEST_REACH_PAUSE = 2.0
LAST_WORDS = 3.0  # seconds, for all parts together, to end once the jobs have stopped
CUT_OFF_INTERVAL = 1.0  # seconds
FEWEST_CONNECTIONS = 64  # of the endpoint, whatever the limit of open files


class Application:
    """One running daemon.

    Args:
        config_path: read again on SIGHUP; None: there is nothing to reload.
        on_ready: called with the address of the endpoint.
        roles: what it does of the fleet's work.
        listen: where its endpoint listens; None: as configured.
    """

    def __init__(
        self,
        settings: Settings,
        config_path: Path | None,
        on_ready: Callable[[str], None] | None,
        *,
        roles: frozenset[DaemonRole] = ALL_ROLES,
        listen: ListenAddress | None = None,
    ) -> None:
        self._settings = settings  # those of the start; a reload replaces `Daemon.settings`
        self._roles = roles
        self._listen = listen or settings.status.address
        self._config_path = config_path
        self._on_ready = on_ready
        self._service = Notifier()
        self._passed = passed_sockets()
        self._stop = asyncio.Event()
        self._cut_off = asyncio.Event()
        self._reload = asyncio.Event()
        self._running: dict[Part, asyncio.Task[None]] = {}  # with what waits for each
        self._crashes: list[Exception] = []
        self._starting: asyncio.Task[None] | None = None  # what a stop ends at once, since no job runs yet
        self._obstacle: str | None = None  # what the database is waited for

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises DongboError where something needed is missing that does not come, and an ExceptionGroup with what a part
        has crashed with.
        """
        self._starting = asyncio.current_task()
        self._handle_signals()
        try:
            await self._run()
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
        if self._crashes:
            raise ExceptionGroup("parts of the daemon have crashed", self._crashes)
        log.info("stopped")

    async def _run(self) -> None:
        settings, directory = self._settings, self._config_path.parent if self._config_path is not None else None
        speak(settings.language)
        check_schedules(make_schedules(settings))
        sales = make_sales(settings, directory)
        secrets_version = secret_files_version(settings)  # before they are read: no change may be missed
        secrets = resolve_secrets(settings, config=self._config_path)
        _check_roles(self._roles, secrets)
        warn_of_exposed(secrets.warnings)
        warn_of_zones(settings)
        most_connections = _most_connections(raise_limit(_files_needed(settings)), settings)
        async with AsyncExitStack() as stack:
            database, supervisors = await self._make_database(stack, secrets)
            session = await stack.enter_async_context(open_session())
            factory = StoreFactory(
                session, LimiterRegistry(ledger=SharedWindows(database), bucket_ledger=SharedBuckets(database))
            )
            registry = TaskRegistry(factory.make(settings, secrets), job_policy(settings))
            access = access_rules(settings, secrets)
            daemon = Daemon(settings, database, registry, factory, access, _data(secrets), self._roles)
            daemon.use_alerts(settings, secrets)
            daemon.use_webhooks(settings, secrets)
            configuration = Configuration(daemon, secrets, self._config_path)
            at_once = [
                Watchdog(self._service, self._ended_parts),
                *supervisors,
                daemon.alerts,
                daemon.heartbeat,
            ]
            on_the_database = [
                *_parts_of_roles(daemon),
                # These change the others: they stop before any of them does.
                Reloader(configuration, self._reload, self._service),
                SecretsWatch(configuration, secrets_version),
            ]
            self._obstacle = _("the daemon is starting")
            status = _status_parts(daemon, lambda: self._obstacle, most_connections)
            async with (
                serving(status, self._listen, self._passed) as address,
                _open_to_webhooks(daemon),
                self._running_parts(daemon) as start,
            ):
                daemon.membership.address = address
                start(at_once)
                await self._prepare_database(daemon, sales)
                self._obstacle = self._starting = None
                start(on_the_database)
                await daemon.scheduler.apply(make_schedules(daemon.settings))
                await self._become_ready(daemon, address)
                await self._stop.wait()

    async def _make_database(
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
            unopened_database(
                dsn,
                listen_dsn=revealed(secrets.database_listen_url),
                read_dsn=revealed(secrets.database_read_url),
                max_connections=self._settings.database.max_connections,
                statement_timeout=self._settings.database.statement_timeout_seconds,
            )
        )
        return database, supervisors

    async def _prepare_database(self, daemon: Daemon, sales: Sequence[SaleSettings]) -> None:
        """Reach the database, however long that takes, and bring it up to date. Raises where it can't be used."""
        waiting = Fault(log, "database_awaited", over="database_reached", next_step="the daemon tries again by itself")
        began, pauses = time.monotonic(), iter(REACH_PAUSES)
        while True:
            try:
                await daemon.database.reach()
                self._obstacle = _("the database is being brought up to date")
                async with self._service.taking_long(_("The database is brought up to date.")):
                    await migrate(daemon.database, then=[install])
                    await reconcile(daemon.database, daemon.sales, sorted(daemon.registry.stores), sales)
            except Exception as error:
                if not isinstance(error, DatabaseUnavailable | DatabaseReadOnly) and not may_pass(error):
                    raise
                self._obstacle = reason(error)
                daemon.conditions.lose_database(self._obstacle)  # which nothing looks at yet, but alerts tell of it
                waiting.happened(self._obstacle)
            else:
                waiting.passed()
                return
            if time.monotonic() - began > CONNECT_DEADLINE:
                # The page is up and tells what is waited for: to be started again would help nobody.
                self._service.ready()
                self._service.status(_("Waits for the database: {reason}").format(reason=self._obstacle))
            await asyncio.sleep(next(pauses, LONGEST_REACH_PAUSE))

    @asynccontextmanager
    async def _running_parts(self, daemon: Daemon) -> AsyncIterator[Callable[[Sequence[Part]], None]]:
        """Yields what starts parts. At the end all of them are stopped in order."""
        async with asyncio.TaskGroup() as tasks:

            def start(parts: Sequence[Part]) -> None:
                for part in parts:
                    part.start()
                    self._running[part] = tasks.create_task(self._watch(part), name=f"wait-{part.name}")

            try:
                yield start
            finally:
                await self._stop_parts(daemon)

    def _ended_parts(self) -> list[str]:
        """The names of parts that ended before anybody asked them to."""
        return [] if self._stop.is_set() else [part.name for part in self._running if not part.is_running]

    async def _watch(self, part: Part) -> None:
        """Wait until a part has ended. One that crashes stops the daemon, and nothing is lost over it."""
        try:
            await part.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others stop in order
            log.error("part_crashed", part=part.name, error=repr(error), next_step="the daemon stops: start it again")
            self._crashes.append(error)
            self._begin_to_stop()

    async def _stop_parts(self, daemon: Daemon) -> None:
        """Stop in the opposite order of the start; the jobs come to a checkpoint first."""
        self._service.stopping()
        log.info("stopping", running_jobs=len(daemon.runner.active))
        deadline = time.monotonic() + daemon.settings.jobs.stop_grace_seconds
        daemon.queue.stop()  # first of all: its jobs reach their next checkpoint while others end
        for part, ended in reversed(self._running.items()):
            part.stop()
            await self._wait_until(deadline, ended)
            if part is daemon.queue:
                if not ended.done():
                    log.warning("runs_cut_off", jobs=[str(job_id) for job_id in daemon.runner.active])
                deadline = time.monotonic() + LAST_WORDS
            await self._cut_off_part(daemon.database, ended)

    async def _wait_until(self, deadline: float, ended: asyncio.Task[None]) -> None:
        """Wait for the end of a part until the deadline, or until a second signal wants no more waiting."""
        cut_off = asyncio.create_task(self._cut_off.wait(), name="cut-off")
        try:
            await asyncio.wait(
                {ended, cut_off},
                timeout=max(deadline - time.monotonic(), 0.0),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            cut_off.cancel()

    @staticmethod
    async def _cut_off_part(database: Database, ended: asyncio.Task[None]) -> None:
        """End a part that has not ended in its time; what it was about continues after the next start.

        More than once: cancelled in its loop, PgQueuer still waits for its runs before it ends. And without the
        database: one that does not answer is waited for by whatever has to take something back.
        """
        while not ended.done():
            ended.cancel()
            await asyncio.wait({ended}, timeout=CUT_OFF_INTERVAL)
            if not ended.done():
                database.terminate()

    async def _become_ready(self, daemon: Daemon, address: str) -> None:
        await self._wait_for_queue(daemon)
        if self._stop.is_set():
            return
        # What exists by now stays: a full collection that walks all of it would hold up the loop for 100 ms and more.
        gc.freeze()
        self._service.ready()
        self._service.status(f"Job page: {address}" if DaemonRole.STATUS in daemon.roles else f"Probes: {address}")
        log.info(
            "ready",
            address=address,
            roles=in_order(daemon.roles),
            stores=len(daemon.registry.stores),
            schedules=len(daemon.settings.schedules),
        )
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
                if DaemonRole.WORKER in daemon.roles:
                    await daemon.queue.wait_taking(QUEUE_START_TIMEOUT)
                await daemon.hub.wait_listening()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._request_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._request_reload)

    def _request_reload(self) -> None:
        self._reload.set()
        if self._obstacle is not None:
            # How long that takes nobody knows: who asks for a reload would wait for its end in vain.
            later = _("the daemon is still starting ({obstacle}), and reads the file again once it has started")
            tell_outcome(ReloadOutcome(str(uuid4()), failure=later.format(obstacle=self._obstacle)))

    def _request_stop(self, number: signal.Signals) -> None:
        log.info("signal_received", signal=signal.Signals(number).name)
        if self._stop.is_set():
            self._cut_off.set()
        self._begin_to_stop()

    def _begin_to_stop(self) -> None:
        self._stop.set()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None


async def run(
    settings: Settings,
    *,
    config_path: Path | None,
    on_ready: Callable[[str], None] | None = None,
    roles: frozenset[DaemonRole] = ALL_ROLES,
    listen: ListenAddress | None = None,
) -> None:
    """Run the daemon until it is asked to stop; arguments as those of `Application`."""
    faulthandler.enable()  # systemd ends a hung daemon by SIGABRT: the stacks of all threads go to the log
    began = time.monotonic()
    log.info("starting", version=__version__)

    def ready(address: str) -> None:
        log.debug("ready_after", seconds=round(time.monotonic() - began, 3))
        if on_ready is not None:
            on_ready(address)

    await Application(settings, config_path, ready, roles=roles, listen=listen).run()


def _check_roles(roles: frozenset[DaemonRole], secrets: ResolvedSecrets) -> None:
    """The embedded database belongs to one daemon: nobody else could do what that leaves undone."""
    if roles != ALL_ROLES and secrets.database_url is None:
        raise ConfigError(
            "--roles, or $DONGBO_ROLES: to share the work among daemons takes a database that all of them reach: write"
            " its address in [database] url, or leave the roles out"
        )


def _parts_of_roles(daemon: Daemon) -> Iterator[Part]:
    """What works on the database, in the order in which it is started."""
    roles = daemon.roles
    if DaemonRole.STATUS in roles and daemon.settings.webhooks is not None:
        yield daemon.inbox_writer
        yield daemon.webhook_watch
    yield JobLog(daemon.database)
    if DaemonRole.STATUS in roles and daemon.database.replica is not None:
        yield daemon.database.replica
    yield daemon.notifier
    yield daemon.hub
    if DaemonRole.WORKER in roles:
        yield daemon.cancellation_watch
        yield TextUpkeep(daemon.database)
    if DaemonRole.SCHEDULES in roles:
        yield Pruner(daemon)
    yield daemon.credential_watch
    yield daemon.conditions
    yield daemon.membership  # before the queue: a daemon whose jobs come to an end is still there
    if DaemonRole.WORKER in roles:
        yield daemon.queue
    yield daemon.scheduler
    if DaemonRole.SCHEDULES in roles:
        yield daemon.sale_clock
    if DaemonRole.WORKER in roles:
        yield daemon.dispatcher


def _data(secrets: ResolvedSecrets) -> Path | None:
    """The directory of the embedded database; None where another is configured."""
    return data_directory(state_directory()) if secrets.database_url is None else None


@asynccontextmanager
async def _open_to_webhooks(daemon: Daemon) -> AsyncIterator[None]:
    """Where the configuration says so, webhooks are listened for; until the database is there they are turned away."""
    if daemon.settings.webhooks is None or DaemonRole.STATUS not in daemon.roles:
        yield
        return
    async with listening_for_webhooks(daemon.intake, daemon.settings.webhooks):
        yield


def _status_parts(daemon: Daemon, obstacle: Callable[[], str | None], most_connections: int) -> StatusParts:
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
        access=daemon.access,
        allowed_hosts=list(daemon.settings.status.allowed_hosts),
        schema_version=program_version(),
        obstacle=obstacle,
        clocks=lambda: clock_reports(registry.stores),
        conditions=daemon.conditions,
        alerts=daemon.alerts,
        heartbeat=daemon.heartbeat,
        check_credentials=lambda: check_all(registry.stores, daemon.settings),
        most_connections=most_connections,
        webhook_counts=daemon.intake.counts,
        roles=daemon.roles,
        member=lambda: daemon.membership.member,
    )


def _files_needed(settings: Settings) -> int:
    """Open files under full load: twice the endpoint's connections, since many are accepted before any is refused."""
    return 2 * MOST_CONNECTIONS + _files_besides(settings)


def _files_besides(settings: Settings) -> int:
    visitors = MOST_VISITORS if settings.webhooks is not None else 0
    replica = MOST_TO_REPLICA if settings.database.read_url is not None else 0
    return settings.database.max_connections + replica + CONNECTIONS + visitors + OWN_FILES


def _most_connections(files: int, settings: Settings) -> int:
    """The endpoint's connections that the limit of open files leaves room for."""
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, (files - _files_besides(settings)) // 2))
