"""`dongbo schedules`: look at schedules, run, pause and resume them."""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption
from daemon.cli.render import values

if TYPE_CHECKING:
    from daemon.cli.client.daemon import DaemonClient
    from daemon.cli.client.target import Target

app = typer.Typer(help="Look at schedules, run, pause and resume them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name in the configuration.")]


@app.command("list")
def list_schedules(config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List the schedules with their next and last fires."""
    from daemon.cli.commands import status_output
    from daemon.cli.context import talk
    from daemon.cli.render import output

    async def ask(client: "DaemonClient", target: "Target") -> None:
        found = await client.schedules()
        if as_json:
            output.write_json({"schedules": found})
        elif found:
            status_output.write_schedules(found, target.zone)
        else:
            output.say("The daemon has no schedules.")

    talk(config, url, ask)


@app.command("run")
def run_schedule(
    name: NameArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a schedule's job now, also of a paused one.

    Its timetable stays as it is.
    """
    from daemon.cli.context import talk
    from daemon.cli.jobs.tables import show_requested

    async def ask(client: "DaemonClient", target: "Target") -> bool:
        return await show_requested(client, target, lambda: client.run_schedule(name), wait=wait, as_json=as_json)

    if not talk(config, url, ask):
        raise typer.Exit(1)


@app.command()
def pause(name: NameArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Let a schedule fire no more, also after a restart."""
    from daemon.cli.context import talk
    from daemon.cli.render import output

    async def ask(client: "DaemonClient", _target: "Target") -> None:
        schedule = await client.pause_schedule(name)
        if as_json:
            output.write_json(schedule)
        else:
            output.write_text(f"{name} is paused until `dongbo schedules resume {name}`")

    talk(config, url, ask)


@app.command()
def resume(name: NameArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Let a paused schedule fire again.

    What it missed is not made up.
    """
    from daemon.cli.context import talk
    from daemon.cli.render import output

    async def ask(client: "DaemonClient", target: "Target") -> None:
        schedule = await client.resume_schedule(name)
        if as_json:
            output.write_json(schedule)
        else:
            output.write_text(f"{name} fires next at {values.moment(schedule['next_fire'], target.zone)}")

    talk(config, url, ask)
