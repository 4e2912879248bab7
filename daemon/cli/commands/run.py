"""`dongbo run`: the daemon itself."""

import sys
from datetime import UTC, datetime

from daemon import app as daemon_app
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.event_loop import run_in_loop
from daemon.cli.render import output
from daemon.config import Settings, load_settings
from daemon.logging import configure_logging
from daemon.schedules.interval import make_timetable

app = Commands()


@app.command(cls=LocalCommand)
def run(context: CommandContext) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    SIGHUP makes it read the configuration again.
    """
    path = context.find_config().absolute()  # a reload must find it from any directory
    settings = load_settings(path)
    configure_logging(settings.log.level, settings.log.format, zone=settings.timezone)

    def announce(address: str) -> None:
        if context.as_json:
            output.write_json_line({"address": address, "config": str(path)})
        elif sys.stderr.isatty():
            for line in what_happens(settings, address):
                output.say(line)

    run_in_loop(daemon_app.run(settings, config_path=path, on_ready=announce))


def what_happens(settings: Settings, address: str) -> list[str]:
    """Where the job page is and what fires when, in words."""
    now = datetime.now(UTC)
    lines = [f"Job page: {address}"]
    for schedule in settings.schedules:
        zone = settings.zone_of(schedule)
        fire = make_timetable(schedule.expression, zone).next_fire(now)
        when = f"{fire.astimezone(zone):%a %d %b %H:%M}" if fire else "never"
        lines.append(f"  {when}  {schedule.name}: {schedule.job} of {schedule.store}")
    if not settings.schedules:
        lines.append("  No schedules: jobs run when you ask for them, such as with `dongbo pull`.")
    return lines
