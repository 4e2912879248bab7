"""`dongbo doctor`: "why don't I see my job?". All that it checks, in the order in which a person would."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import typer

from daemon.api.findings import Finding, any_failed, failed, ok, warning
from daemon.api.status import Status
from daemon.cli.checks.database import check_database, database_directory
from daemon.cli.checks.findings import to_json, write_findings
from daemon.cli.checks.stores import check_stores
from daemon.cli.client.daemon import DaemonClient, connect
from daemon.cli.client.target import DaemonTarget
from daemon.cli.context import CommandContext, Commands
from daemon.cli.doctor import health_checks
from daemon.cli.doctor.probe import follow_a_job
from daemon.cli.installation.places import service_environment
from daemon.cli.render import output
from daemon.cli.render.values import duration
from daemon.config import ResolvedSecrets, Settings, resolve_secrets
from daemon.config.settings import DatabaseSettings
from daemon.database.connection_errors import describe, next_step, reason
from daemon.database.postgres_socket import running_server_dsn
from daemon.errors import ConfigError, DaemonUnreachable, DongboError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.logging import configure_logging

CONNECT_TIMEOUT = 5.0  # seconds
SLOW_NOTIFICATION = 1.0  # seconds
APPLICATION_NAME = "dongbo-doctor"
LOOK_AT_LOG = mark("see the daemon's log: journalctl -u dongbo, or where it was started")

app = Commands()


@app.command()
async def doctor(
    context: CommandContext,
    credentials: Annotated[
        bool, typer.Option("--credentials/--no-credentials", help="Whether to try the credentials of all stores, too.")
    ] = True,
) -> None:
    """Find out why a job does not show.

    A job that does nothing is followed through all stations that a real one passes; then all parts are checked.
    """
    target = context.target
    configure_logging("error", "console")  # what goes wrong becomes a finding
    findings = await diagnose(target, tries_credentials=credentials)
    is_well = not any_failed(findings)
    if context.as_json:
        output.write_json({"ok": is_well, "findings": to_json(findings)})
    else:
        write_findings(findings)
    if not is_well:
        raise typer.Exit(1)


async def diagnose(target: DaemonTarget, *, tries_credentials: bool) -> list[Finding]:
    """Everything that can be found out about the daemon at `target`, or without it."""
    findings: list[Finding] = []
    async with connect(target) as client:
        status = await _ask_daemon(client, findings)
        async with _own_connection(target, findings, daemon_runs=status is not None) as connection:
            if status is not None:
                findings += await _examine_daemon(client, status, connection, tries_credentials=tries_credentials)
            elif connection is not None:
                jobs = await health_checks.jobs_in_database(connection)
                findings += health_checks.judge_jobs(jobs, datetime.now(UTC), target.zone)
                findings += health_checks.judge_waiting(jobs, target.zone)
            if connection is not None:
                findings += await health_checks.check_clock(connection, target)
    if tries_credentials and target.settings is not None and status is None:
        findings += await _try_credentials(target.settings, service_environment(target.config))
    return findings


async def _ask_daemon(client: DaemonClient, findings: list[Finding]) -> Status | None:
    try:
        status = await client.status()
    except DaemonUnreachable as error:
        advice = _("no job runs without it; what follows was found without it")
        findings.append(failed("daemon", str(error), advice))
        return None
    except DongboError as error:
        findings.append(failed("daemon", str(error), _(LOOK_AT_LOG)))
        return None
    up = duration(status.uptime_seconds)
    findings.append(
        ok(
            "daemon",
            _("dongbo {version}, process {pid}, up {up}").format(version=status.version, pid=status.pid, up=up),
        )
    )
    return status


async def _examine_daemon(
    client: DaemonClient, status: Status, connection: asyncpg.Connection | None, *, tries_credentials: bool
) -> list[Finding]:
    zone = client.target.zone
    findings = _judge_readiness(status)
    try:
        findings += await _follow(client, status, connection)
        findings += health_checks.judge_schedules(status)
        findings += health_checks.judge_conditions(status, zone)
        findings += health_checks.judge_storage(status.storage)
        findings += health_checks.judge_streams(status)
        findings += health_checks.judge_remarks(status)
        findings += health_checks.judge_jobs(await health_checks.jobs_of_daemon(client), datetime.now(UTC), zone)
        if tries_credentials:  # those that the daemon works with: this shell has not got them
            findings += await client.check_credentials()
    except DongboError as error:  # it went away, or its database did, while it was being checked
        findings.append(failed("daemon", str(error), _(LOOK_AT_LOG)))
    if connection is not None:
        findings += await health_checks.check_pool(connection, status)
    return findings


def _judge_readiness(status: Status) -> list[Finding]:
    findings = [
        ok(check.name, check.detail) if check.ok else failed(check.name, check.detail, _(LOOK_AT_LOG))
        for check in status.checks
    ]
    lag = status.notification_lag_seconds
    if lag is None:
        detail = _("not measured in the last few seconds: a notification was lost, or the daemon has just started")
        findings.append(
            warning("notification lag", detail, _("run the doctor again; if this persists, look at the listener"))
        )
        return findings
    detail = _("{n:.1f} ms from NOTIFY to the daemon's listener").format(n=lag * 1000)
    if lag > SLOW_NOTIFICATION:
        findings.append(warning("notification lag", detail, _("this machine or the database is overloaded")))
    else:
        findings.append(ok("notification lag", detail))
    return findings


async def _follow(client: DaemonClient, status: Status, connection: asyncpg.Connection | None) -> list[Finding]:
    if not status.stores:
        advice = _("add a table [stores.main.nhanh] or [stores.main.shopify]")
        return [warning("job submitted", _("no store is configured, so no job can run"), advice)]
    return await follow_a_job(client, status.stores[0], connection)


@asynccontextmanager
async def _own_connection(
    target: DaemonTarget, findings: list[Finding], *, daemon_runs: bool
) -> AsyncIterator[asyncpg.Connection | None]:
    """A connection to the daemon's database that is not the daemon's; None, and a finding, where there can be none."""
    dsn = await _find_database(target, findings, daemon_runs=daemon_runs)
    connection = None
    if dsn is not None:
        try:
            # Not the pool's, which belongs to one process: this must be another connection.
            connection = await asyncpg.connect(
                dsn, timeout=CONNECT_TIMEOUT, command_timeout=30, server_settings={"application_name": APPLICATION_NAME}
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            detail = _("no connection to {database} from here: {error}").format(
                database=describe(dsn), error=reason(error)
            )
            findings.append((warning if daemon_runs else failed)("own connection", detail, next_step(error)))
    try:
        yield connection
    finally:
        if connection is not None:
            await connection.close(timeout=CONNECT_TIMEOUT)


async def _find_database(target: DaemonTarget, findings: list[Finding], *, daemon_runs: bool) -> str | None:
    settings = target.settings
    if settings is None:
        advice = _("name the daemon's configuration with --config")
        findings.append(warning("own connection", _("without a configuration the database is unknown"), advice))
        return None
    try:
        secrets = resolve_secrets(
            settings.model_copy(update={"stores": {}, "status": _without_tokens(settings)}),
            service_environment(target.config, as_started=True),
        )
        if secrets.database_url is not None:
            return secrets.database_url.get_secret_value()
        directory = database_directory(target.config)
        dsn = await running_server_dsn(directory)
    except DongboError as error:
        advice = _("run the doctor as the daemon's user and with its environment")
        findings.append(warning("own connection", str(error), advice))
        return None
    if dsn is None and daemon_runs:
        detail = _("the daemon's embedded database is not under {directory}").format(directory=directory)
        findings.append(warning("own connection", detail, _("set $STATE_DIRECTORY as the daemon has it")))
    elif dsn is None:
        findings += await check_database(ResolvedSecrets(None, None, {}), directory)
    return dsn


def _without_tokens(settings: Settings) -> object:
    return settings.status.model_copy(update={"token": None, "tokens": ()})


async def _try_credentials(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """With what this shell can read, where no daemon runs that has them: store by store, so that one credential that
    can't be read does not hide the others."""
    findings: list[Finding] = []
    for name, store in settings.stores.items():
        alone = settings.model_copy(
            update={
                "stores": {StoreName(name): store},
                "database": DatabaseSettings(),
                "status": _without_tokens(settings),
            }
        )
        try:
            secrets = resolve_secrets(alone, environ)
        except ConfigError as error:
            findings += [failed("secrets", problem) for problem in error.problems]
            continue
        findings += await check_stores(alone, secrets)
    return findings
