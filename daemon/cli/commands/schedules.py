"""`dongbo schedules`: list, run, pause and resume schedules."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated

import typer
from rich.text import Text

from daemon.api.schedules import Schedule
from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs.request import show_requested
from daemon.cli.options import FollowOption
from daemon.cli.render import output, values
from daemon.i18n import gettext as _

app = Commands()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name in the configuration.")]


@app.command("list")
async def list_schedules(context: CommandContext) -> None:
    """List the schedules with their next and last fires."""
    async with context.daemon() as client:
        found = await client.schedules()
    if context.as_json:
        output.write_json({"schedules": found})
    elif found:
        write_schedules(found, context.zone)
    else:
        output.say(_("The daemon has no schedules."))


@app.command("run")
async def run_schedule(context: CommandContext, name: NameArgument, wait: FollowOption = False) -> None:
    """Submit a schedule's job now, even if it is paused.

    Its timetable does not change.
    """
    async with context.daemon() as client:
        await show_requested(context, client, lambda: client.run_schedule(name), wait=wait)


@app.command()
async def pause(context: CommandContext, name: NameArgument) -> None:
    """Stop a schedule from firing, even after a restart."""
    async with context.daemon() as client:
        schedule = await client.pause_schedule(name)
    if context.as_json:
        output.write_json(schedule)
    else:
        output.write_text(_("{name} is paused until `dongbo schedules resume {name}`").format(name=name))


@app.command()
async def resume(context: CommandContext, name: NameArgument) -> None:
    """Let a paused schedule fire again.

    What it missed is not made up.
    """
    async with context.daemon() as client:
        schedule = await client.resume_schedule(name)
    if context.as_json:
        output.write_json(schedule)
    else:
        when = values.moment(schedule.next_fire, context.zone)
        output.write_text(_("{name} fires next at {time}").format(name=name, time=when))


def write_schedules(schedules: Sequence[Schedule], zone: tzinfo) -> None:
    """Schedules as a table; times in the shop's zone."""
    columns = (_("schedule"), _("job"), _("store"), "cron", _("next fire"), _("last fire"), _("outcome"))
    output.write_table(columns, [_row(schedule, zone) for schedule in schedules])


def _next_fire(schedule: Schedule, zone: tzinfo) -> Text:
    if schedule.paused:
        return Text(_("paused"), style="yellow")
    return Text(values.moment(schedule.next_fire, zone))


def _outcome(schedule: Schedule) -> str:
    return " ".join(filter(None, [schedule.last_outcome, output.plain(schedule.last_detail or "")])) or "-"


def _row(schedule: Schedule, zone: tzinfo) -> list[Text]:
    return [
        Text(schedule.name),
        Text(schedule.type),
        Text(schedule.store),
        Text(schedule.cron or "preset"),
        _next_fire(schedule, zone),
        Text(values.moment(schedule.last_fire, zone)),
        Text(_outcome(schedule), style="red" if schedule.last_outcome == "failed" else ""),
    ]
