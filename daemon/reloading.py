"""Takes over a changed configuration file on SIGHUP, and changed secrets whenever their files change."""

import asyncio
import itertools
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from daemon.bootstrap import Daemon, check_schedules, job_policy, make_sales, make_schedules
from daemon.config import (
    KeptSecrets,
    ResolvedSecrets,
    SaleSettings,
    Settings,
    changed_parts,
    load_settings,
    renewed_secrets,
    resolve_secrets,
    secret_files_version,
)
from daemon.database.connection_errors import is_of_database, reason
from daemon.errors import ConfigError
from daemon.i18n import configure as speak
from daemon.ids import StoreName
from daemon.lifecycle import Part
from daemon.logging import configure_logging
from daemon.notify import Notifier
from daemon.reload_outcome import ReloadOutcome, tell_outcome
from daemon.sales import campaigns
from daemon.sales.file import reconcile
from daemon.status.access import access_rules

log = structlog.get_logger()

AGAIN = "reload again once the cause is fixed"
SECRETS_INTERVAL = 5.0  # seconds between two looks at their files; Nhanh.vn ends an old token in 15 minutes


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What is in force after a reload.

    Args:
        restart_required: keys that only a restart applies.
        kept: the secrets whose new values, if they have any, only a restart takes over.
        failure: why the campaigns of the file could not be taken over; empty where they were.
    """

    restart_required: tuple[str, ...] = ()
    kept: KeptSecrets = field(default_factory=KeptSecrets)
    failure: str = ""


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

    async def reload(self) -> TakenOver:
        """Take over the file. All of it is checked before the first change.

        Raises ConfigError where something in it is refused, and what the database raises: then nothing has changed.
        """
        async with self._changing:
            if self._path is None:
                log.warning("reload_ignored", reason="the daemon was started without a configuration file")
                return TakenOver()
            return await self._take_over(self._path)

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
                self._daemon.use_webhooks(self.settings, secrets)
                self._daemon.credential_watch.look()
                log.info("secrets_renewed", stores=renewed)
            self._use_tokens(old, secrets)
            self._use_alerts(old, secrets)
            if kept := secrets.changed_databases(old):
                log.warning("restart_required", keys=kept)
            return problems

    def _use_tokens(self, old: ResolvedSecrets, new: ResolvedSecrets) -> None:
        """Whoever shows a token that has been replaced is a stranger from now on, and so are the sessions of it."""
        if (new.status_token, new.status_tokens) == (old.status_token, old.status_tokens):
            return
        self._daemon.access.use(access_rules(self.settings, new))
        renewed = [name for name, token in new.status_tokens.items() if token != old.status_tokens.get(name)]
        log.info("status_tokens_renewed", names=renewed, unnamed=new.status_token != old.status_token)

    def _use_alerts(self, old: ResolvedSecrets, new: ResolvedSecrets) -> None:
        """What could not be told by an old address is told by the new one."""
        if (new.alert_urls, new.heartbeat_url) != (old.alert_urls, old.heartbeat_url):
            self._daemon.use_alerts(self.settings, new)
            log.info("alert_urls_renewed")

    async def _take_over(self, path: Path) -> TakenOver:
        daemon, old, old_secrets = self._daemon, self.settings, self._secrets
        new = await asyncio.to_thread(load_settings, path)
        if old.stores and not new.stores:
            # Most likely an editor has emptied the file and not yet written it.
            raise ConfigError(f"{path}: no stores are left in it; to run without any, restart the daemon")
        secrets = await asyncio.to_thread(resolve_secrets, new, config=path)
        rules = access_rules(new, secrets)
        daemon.access.check(rules)
        schedules = make_schedules(new)
        check_schedules(schedules)
        sales = await asyncio.to_thread(make_sales, new, path.parent)
        await self._warn_of_abandoned(old.stores.keys() - new.stores.keys())
        # From here on nothing can be refused: renewed secrets are put into the credentials of running jobs.
        stores = daemon.factory.make(new, secrets)
        speak(new.language)
        configure_logging(new.log.level, new.log.format, zone=new.timezone)
        warn_of_exposed(secrets.warnings)
        warn_of_zones(new)
        daemon.use_stores(stores, job_policy(new))
        daemon.use_alerts(new, secrets)
        daemon.use_webhooks(new, secrets)
        daemon.zone = new.timezone
        daemon.access.use(rules)
        daemon.settings, self._secrets = new, secrets
        daemon.credential_watch.look()
        applied = await daemon.scheduler.apply(schedules)
        failure = await self._take_over_sales(sorted(stores), sales)
        changes = changed_parts(old, new)
        log.info(
            "reloaded",
            added=applied.added,
            changed=applied.changed,
            removed=applied.removed,
            unchanged=len(applied.unchanged),
            stores_changed=sorted(changes.stores_changed),
        )
        restart_required = dict.fromkeys([*changes.restart_required, *secrets.changed_databases(old_secrets)])
        if restart_required:
            log.warning("restart_required", keys=list(restart_required))
        return TakenOver(tuple(restart_required), self._look_for_kept_secrets(), failure)

    async def _take_over_sales(self, stores: Sequence[StoreName], sales: Sequence[SaleSettings]) -> str:
        """Why the campaigns could not be brought in line with the file; empty where they were."""
        daemon = self._daemon
        try:
            await reconcile(daemon.database, daemon.sales, stores, sales)
        except Exception as error:
            if not is_of_database(error):
                raise
            log.error("reload_incomplete", lacks="sales", error=reason(error), next_step=AGAIN)
            return reason(error)
        daemon.sale_clock.look()
        return ""

    def _look_for_kept_secrets(self) -> KeptSecrets:
        """Whether they have changed can't be seen from here, so this is said with every reload."""
        self._daemon.renewal.look()
        kept = self._daemon.renewal.kept(self.settings)
        if kept:
            log.info(
                "secrets_kept",
                credentials=kept.credentials,
                variables=kept.variables,
                next_step="if one of these has changed, `systemctl restart dongbo`: a reload does not renew them here",
            )
        return kept

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
        self._numbers = itertools.count(1)

    async def _run(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            self._service.reloading()
            try:
                outcome = await self._reload(f"{os.getpid()}-{next(self._numbers)}")
                await asyncio.to_thread(tell_outcome, outcome)
            finally:
                self._service.ready()

    async def _reload(self, number: str) -> ReloadOutcome:
        try:
            taken_over = await self._configuration.reload()
        except ConfigError as error:
            log.error("reload_refused", problems=error.problems, next_step="the old configuration stays in force")
            return ReloadOutcome(number, problems=error.problems)
        except Exception as error:
            if not is_of_database(error):
                raise
            log.error("reload_failed", error=reason(error), next_step=AGAIN)
            return ReloadOutcome(number, failure=reason(error))
        kept = taken_over.kept
        return ReloadOutcome(
            number,
            failure=taken_over.failure,
            is_in_force=True,
            restart_required=taken_over.restart_required,
            kept=(*kept.credentials, *kept.variables),
        )


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
