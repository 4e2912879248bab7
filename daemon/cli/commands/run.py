"""`dongbo run`: the daemon itself."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from daemon import app as daemon_app
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.event_loop import run_in_loop
from daemon.cli.render import output
from daemon.config import Settings, load_settings
from daemon.config.address import ListenAddress
from daemon.config.settings import StatusSettings
from daemon.errors import ConfigError
from daemon.logging import configure_logging
from daemon.roles import ALL_ROLES, DaemonRole, in_order, parse_roles
from daemon.schedules.interval import make_timetable

app = Commands()

RolesOption = Annotated[
    str | None,
    typer.Option(
        envvar="DONGBO_ROLES",
        show_envvar=False,
        metavar="ROLES",
        help="What it does of a fleet's work, such as worker,schedules; else $DONGBO_ROLES, or all.",
    ),
]
ListenOption = Annotated[
    str | None,
    typer.Option(
        envvar="DONGBO_LISTEN",
        show_envvar=False,
        metavar="ADDRESS",
        help="Where its endpoint listens, as [status] listen; else $DONGBO_LISTEN, or as configured.",
    ),
]


@app.command(cls=LocalCommand)
def run(context: CommandContext, roles: RolesOption = None, listen: ListenOption = None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    SIGHUP makes it read the configuration again.
    """
    taken = parse_roles(roles) if roles is not None else ALL_ROLES
    path = context.find_config().absolute()  # a reload must find it from any directory
    settings = load_settings(path)
    address = listen_address(settings.status, listen) if listen is not None else None
    configure_logging(settings.log.level, settings.log.format, zone=settings.timezone)

    def announce(address: str) -> None:
        if context.as_json:
            output.write_json_line({"address": address, "config": str(path)})
        elif sys.stderr.isatty():
            for line in what_happens(settings, address, taken):
                output.say(line)

    run_in_loop(daemon_app.run(settings, config_path=path, on_ready=announce, roles=taken, listen=address))


def listen_address(status: StatusSettings, listen: str) -> ListenAddress:
    """The address in place of the configured one, by the same rules. Raises ConfigError."""
    try:
        return StatusSettings.model_validate({**dict(status), "listen": listen}).address
    except ValidationError as error:
        problems = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
        raise ConfigError(f"--listen, or $DONGBO_LISTEN: {'; '.join(problems)}") from None


def what_happens(settings: Settings, address: str, roles: frozenset[DaemonRole] = ALL_ROLES) -> list[str]:
    """Where the job page is and what fires when, in words."""
    now = datetime.now(UTC)
    lines = [f"Job page: {address}" if DaemonRole.STATUS in roles else f"Probes and metrics alone: {address}"]
    if roles != ALL_ROLES:
        lines.append(f"  Roles: {', '.join(in_order(roles))}; others of the fleet do the rest.")
    if DaemonRole.SCHEDULES not in roles:
        return lines
    for schedule in settings.schedules:
        zone = settings.zone_of(schedule)
        fire = make_timetable(schedule.expression, zone).next_fire(now)
        when = f"{fire.astimezone(zone):%a %d %b %H:%M}" if fire else "never"
        lines.append(f"  {when}  {schedule.name}: {schedule.job} of {schedule.store}")
    if not settings.schedules:
        lines.append("  No schedules: jobs run when you ask for them, such as with `dongbo pull`.")
    return lines
