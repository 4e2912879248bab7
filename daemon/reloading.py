"""Takes over a changed configuration file on SIGHUP, and changed secrets whenever their files change."""

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path

import structlog
from asyncpg import PostgresError

from daemon.bootstrap import Daemon, check_schedules, job_policy, make_sales, make_schedules
from daemon.config import (
    ResolvedSecrets,
    Settings,
    changed_parts,
    load_settings,
    renewed_secrets,
    resolve_secrets,
    secret_files_version,
)
from daemon.errors import ConfigError, DatabaseError
from daemon.i18n import configure as speak
from daemon.ids import StoreName
from daemon.lifecycle import Part
from daemon.logging import configure_logging
from daemon.notify import Notifier
from daemon.sales import campaigns
from daemon.sales.file import reconcile

log = structlog.get_logger()

SECRETS_INTERVAL = 5.0  # seconds between two looks at their files; Nhanh.vn ends an old token in 15 minutes


class Configuration:
    """The daemon's configuration and how it is replaced: a file and renewed secrets are taken over one at a time.

    `path` is the file that the settings come from; None: there is nothing to reload.
    """

    def __init__(self, daemon: Daemon, secrets: ResolvedSecrets, path: Path | None) -> None:
        self._daemon = daemon
        self._secrets = secrets
        self._path = path
        self._changing = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._daemon.settings

    async def reload(self) -> None:
        """Take over the file. All of it is checked before the first change.

        Raises ConfigError where something in it is refused, and what the database raises.
        """
        async with self._changing:
            if self._path is None:
                log.warning("reload_ignored", reason="the daemon was started without a configuration file")
            else:
                await self._take_over(self._path)

    async def renew_secrets(self) -> tuple[str, ...]:
        """Let the stores sign in with the secrets as they are now; returns what could not be read, a line each."""
        async with self._changing:
            old = self._secrets
            secrets, problems = await asyncio.to_thread(renewed_secrets, self.settings, old, config=self._path)
            self._secrets = secrets
            warn_of_exposed(warning for warning in secrets.warnings if warning not in old.warnings)
            renewed = sorted(name for name in secrets.stores if secrets.stores[name] != old.stores.get(name))
            if renewed:
                stores = self._daemon.factory.make(self.settings, secrets)
                self._daemon.use_stores(stores, job_policy(self.settings))
                self._daemon.credential_watch.look()
                log.info("secrets_renewed", stores=renewed)
            others = {"database.url": "database_url", "status.token": "status_token"}
            changed = [key for key, field in others.items() if getattr(secrets, field) != getattr(old, field)]
            if changed:
                log.warning("restart_required", keys=changed)
            return problems

    async def _take_over(self, path: Path) -> None:
        daemon, old = self._daemon, self.settings
        new = await asyncio.to_thread(load_settings, path)
        if old.stores and not new.stores:
            # Most likely an editor has emptied the file and not yet written it.
            raise ConfigError(f"{path}: no stores are left in it; to run without any, restart the daemon")
        secrets = await asyncio.to_thread(resolve_secrets, new, config=path)
        schedules = make_schedules(new)
        check_schedules(schedules)
        sales = await asyncio.to_thread(make_sales, new, path.parent)
        # From here on nothing can be refused: renewed secrets are put into the credentials of running jobs.
        stores = daemon.factory.make(new, secrets)
        speak(new.language)
        configure_logging(new.log.level, new.log.format, zone=new.timezone)
        warn_of_exposed(secrets.warnings)
        warn_of_zones(new)
        await self._warn_of_abandoned(old.stores.keys() - new.stores.keys())
        daemon.use_stores(stores, job_policy(new))
        daemon.zone = new.timezone
        await reconcile(daemon.database, daemon.sales, sorted(stores), sales)
        daemon.sale_clock.look()
        applied = await daemon.scheduler.apply(schedules)
        daemon.settings, self._secrets = new, secrets
        daemon.credential_watch.look()
        changes = changed_parts(old, new)
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

    async def _warn_of_abandoned(self, stores: Collection[StoreName]) -> None:
        """A store that is taken out of the file takes with it the only way to end its sales."""
        async with self._daemon.database.acquire() as connection:
            for campaign in await campaigns.list_open(connection, sorted(stores)):
                log.error(
                    "sale_abandoned",
                    sale=campaign.name,
                    store=campaign.store,
                    state=str(campaign.state),
                    next_step="no daemon starts or ends it unless the store comes back into a configuration",
                )


class Reloader(Part):
    """Reloads the configuration file whenever `requested` is set."""

    name = "reload"

    def __init__(self, configuration: Configuration, requested: asyncio.Event, service: Notifier) -> None:
        self._configuration = configuration
        self._requested = requested
        self._service = service

    async def _run(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            self._service.reloading()
            try:
                await self._configuration.reload()
            except ConfigError as error:
                log.error("reload_refused", problems=error.problems, next_step="the old configuration stays in force")
            except (DatabaseError, PostgresError, OSError) as error:
                log.error("reload_failed", error=str(error), next_step="send SIGHUP again once the cause is fixed")
            finally:
                self._service.ready()


class SecretsWatch(Part):
    """Takes over secrets whose files change: nobody should have to remember to send a signal within fifteen minutes.

    `version`: of the files, from before the secrets in force were read, so that no change is missed.
    """

    name = "secrets"

    def __init__(self, configuration: Configuration, version: tuple[object, ...]) -> None:
        self._configuration = configuration
        self._version = version

    async def _run(self) -> None:
        seen, reported = self._version, tuple[str, ...]()
        while True:
            version = await asyncio.to_thread(secret_files_version, self._configuration.settings)
            if version != seen or reported:
                problems = await self._configuration.renew_secrets()
                if problems and problems != reported:
                    log.error("secrets_refused", problems=problems, next_step="the old ones stay in force")
                seen, reported = version, problems
            await asyncio.sleep(SECRETS_INTERVAL)


def warn_of_exposed(warnings: Iterable[str]) -> None:
    """Log what others could learn about the secrets."""
    for warning in warnings:
        log.warning("secret_exposed", detail=warning)


def warn_of_zones(settings: Settings) -> None:
    """Log which time zones may not be the shop's own."""
    for doubt in settings.zone_warnings():
        log.warning("timezone_doubtful", detail=doubt)
