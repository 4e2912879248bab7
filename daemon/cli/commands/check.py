"""`dongbo check`: is the configuration right, when does what fire, and, with `--live`, does all of it answer?"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.alerts.delivery import is_installed, not_installed
from daemon.api.findings import Finding, any_failed, failed, ok, warning
from daemon.bootstrap import check_schedules, make_sales, make_schedules
from daemon.cli.checks.database import check_database, database_directory
from daemon.cli.checks.findings import to_json, write_findings
from daemon.cli.checks.rules import check_rules
from daemon.cli.checks.stores import check_stores
from daemon.cli.client.daemon import connect
from daemon.cli.client.target import find_target
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.installation.places import service_environment
from daemon.cli.render import output
from daemon.config import (
    SaleSettings,
    Settings,
    ShopifySettings,
    StoreSettings,
    inspect_secrets,
    load_settings,
    resolve_secrets,
)
from daemon.errors import ConfigError, DongboError
from daemon.i18n import configure as speak
from daemon.i18n import gettext as _
from daemon.jobs.types import JobType
from daemon.logging import configure_logging
from daemon.schedules.interval import make_timetable
from daemon.schedules.model import ScheduleSpec, Timetable
from daemon.schedules.overlaps import find_overlaps
from daemon.sync.products.quantity_words import StockPolicy, policy_of
from daemon.sync.products.rule_words import describe_rule
from daemon.tasks import read_params

FIRES_SHOWN = 5

app = Commands()


@app.command(cls=LocalCommand)
async def check(
    context: CommandContext,
    live: Annotated[
        bool, typer.Option("--live", help="Try the database and the credentials of all stores, too.")
    ] = False,
) -> None:
    """Check the configuration; show when what fires."""
    path = context.find_config()
    try:
        settings = load_settings(path)
        speak(settings.language)
        schedules = make_schedules(settings)
        check_schedules(schedules)
        fires = _next_fires(settings)
        sales = _sales(make_sales(settings, path.parent), settings)
    except ConfigError as error:
        if context.as_json:
            output.write_json({"config": str(path), "ok": False, "problems": error.problems})
        raise
    # The daemon may run with other variables and credentials, so what is wrong with those of here is not a fault yet.
    secrets, absent = inspect_secrets(settings, service_environment(path), config=path)
    for problem in absent:
        output.say(f"dongbo: {problem} (as seen from here; the daemon does not start like this)")
    warnings = [*secrets.warnings, *_overlaps(schedules), *settings.zone_warnings(), *_oversellers(settings)]
    if settings.alerts and not is_installed():
        warnings.append(not_installed())
    for text in warnings:
        output.say(f"dongbo: {text}")
    findings = await _try_live(settings, path) if live else []
    is_well = not any_failed(findings)
    if context.as_json:
        report = {"config": str(path), "ok": is_well, "problems": [], "stores": _stores(settings)}
        report |= {"schedules": fires, "sales": sales, "warnings": warnings}
        output.write_json(report | ({"live": to_json(findings)} if live else {}))
    else:
        _write(path, settings, fires, sales)
        if findings:
            output.write_text("")
            write_findings(findings)
    if not is_well:
        raise typer.Exit(1)


def _stores(settings: Settings) -> list[dict[str, Any]]:
    """How each store signs in to its sources, what its stock and its rules come to."""
    return [
        {
            "name": name,
            "nhanh": f"app {store.nhanh.app_id}, business {store.nhanh.business_id}, by access token"
            if store.nhanh is not None
            else None,
            "shopify": f"{store.shopify.shop}, by {_way_in(store.shopify)}" if store.shopify is not None else None,
            "stock": _(policy.offered) if (policy := _policy(store)) is not None else None,
            "rules": {rule.name: describe_rule(rule) for rule in store.rules},
        }
        for name, store in settings.stores.items()
    ]


def _oversellers(settings: Settings) -> list[str]:
    """What can be sold twice, by store."""
    return [
        f"[stores.{name}.product_sync]: {_(risk)}"
        for name, store in settings.stores.items()
        if (policy := _policy(store)) is not None and (risk := policy.risk) is not None
    ]


def _policy(store: StoreSettings) -> StockPolicy | None:
    """What the stock of a store comes to; None where none is pushed."""
    return policy_of(store.product_sync) if store.product_sync is not None and store.product_sync.locations else None


def _way_in(shopify: ShopifySettings) -> str:
    if shopify.client_id is not None:
        return f"client id {shopify.client_id} and its secret (tokens of a day)"
    return "permanent access token (of an app made in the admin before 2026)"


def _next_fires(settings: Settings) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        {
            "name": schedule.name,
            "store": schedule.store,
            "job": schedule.job,
            "cron": schedule.expression,
            "timezone": str(zone),
            "next": [fire.astimezone(zone).isoformat() for fire in _fires(timetable, now)],
        }
        for schedule in settings.schedules
        for zone in (settings.zone_of(schedule),)
        for timetable in (make_timetable(schedule.expression, zone),)
    ]


def _overlaps(schedules: Sequence[ScheduleSpec]) -> list[str]:
    """Schedules that ask for the very same work in the same minute."""
    works = [(spec, read_params(JobType(spec.job_type), spec.params)) for spec in schedules]
    return [
        f"schedules {first.name} and {second.name} both ask for {first.job_type} of {first.store}, with the same "
        f"params, on {minute:%a %Y-%m-%d %H:%M}: the second finds the job live and does nothing; move or remove one"
        for first, second, minute in find_overlaps(works, datetime.now(UTC))
    ]


def _sales(made: Sequence[SaleSettings], settings: Settings) -> list[dict[str, Any]]:
    """When each campaign starts and ends, by the shop's clock."""
    times = {
        sale.name: {
            edge: moment.astimezone(settings.timezone).isoformat() if moment is not None else None
            for edge, moment in (("starts", sale.starts), ("ends", sale.ends))
        }
        for sale in made
    }
    return [{"name": sale.name, "store": sale.store, **times[sale.name]} for sale in made]


def _fires(timetable: Timetable, after: datetime, most: int = FIRES_SHOWN) -> Iterator[datetime]:
    for _turn in range(most):
        fire = timetable.next_fire(after)
        if fire is None:
            return
        yield fire
        after = fire


def _write(path: Path, settings: Settings, fires: list[dict[str, Any]], sales: list[dict[str, Any]]) -> None:
    counts = {"store": len(settings.stores), "schedule": len(settings.schedules)} | (
        {"sale": len(sales)} if sales else {}
    )
    counted = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
    output.write_text(f"{path} is valid: {counted}")
    for store in _stores(settings):
        output.write_text(f"\nstore {store['name']}")
        if store["nhanh"] is not None:
            output.write_text(f"  Nhanh.vn  {store['nhanh']}")
        if store["shopify"] is not None:
            output.write_text(f"  Shopify   {store['shopify']}")
        if store["stock"] is not None:
            label = _("Stock")
            output.write_text(f"  {label:<9} {store['stock']}")
        for name, words in store["rules"].items():
            said = _("rule “{name}”").format(name=name)
            output.write_text(f"  {said}: {words}")
    for schedule in fires:
        when = f"{schedule['cron']} ({schedule['timezone']})" if schedule["cron"] else "only when a person starts it"
        output.write_text(f"\n{schedule['name']}: {schedule['job']} of {schedule['store']}, {when}")
        for fire in schedule["next"]:
            output.write_text(f"  {datetime.fromisoformat(fire):%a %Y-%m-%d %H:%M}")
    for sale in sales:
        starts, ends = (
            f"{datetime.fromisoformat(sale[edge]):%a %Y-%m-%d %H:%M:%S}" if sale[edge] else other
            for edge, other in (("starts", "at once"), ("ends", "when a person ends it"))
        )
        output.write_text(f"\nsale {sale['name']} of {sale['store']} ({settings.timezone})")
        output.write_text(f"  starts {starts}\n  ends   {ends}")


async def _try_live(settings: Settings, config: Path) -> list[Finding]:
    """Everything that can be tried without a daemon. `config` is the file that the settings come from."""
    configure_logging("error", "console")  # what goes wrong becomes a finding
    try:
        secrets = resolve_secrets(settings, service_environment(config), config=config)
    except ConfigError as error:
        return await _ask_daemon(config) or [failed("secrets", problem) for problem in error.problems]
    exposed = [
        warning("secrets", text, "make it readable for its owner only, and renew the secret if others use this machine")
        for text in secrets.warnings
    ]
    directory = database_directory(config)
    return [
        *exposed,
        *await check_database(secrets, directory),
        *await check_rules(settings, secrets, directory),
        *await check_stores(settings, secrets),
    ]


async def _ask_daemon(config: Path) -> list[Finding]:
    """What the daemon that runs with this file finds, which has the secrets; nothing where none can be asked."""
    try:
        async with connect(find_target(config, None)) as client:
            status = await client.status()
            findings = [
                ok(
                    "daemon",
                    _("asked at {address}, since not all secrets can be read here").format(address=client.target.name),
                )
            ]
            findings += [
                ok(check.name, check.detail) if check.ok else failed(check.name, check.detail)
                for check in status.checks
            ]
            return [*findings, *await client.check_credentials()]
    except DongboError:
        return []
