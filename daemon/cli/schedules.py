"""`dongbo schedules`: look at schedules, run, pause and resume them."""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.cli.client import DaemonClient
    from daemon.cli.target import Target

app = typer.Typer(help="Look at schedules, run, pause and resume them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name in the configuration.")]


@app.command("list")
def list_schedules(config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List the schedules with their next and last fires."""
    from daemon.cli import output, status_output
    from daemon.cli.talking import talk

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
    name: NameArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Submit a schedule's job now; its timetable stays as it is."""
    _change(name, "run", config, url, as_json=as_json)


@app.command()
def pause(name: NameArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Let a schedule fire no more, also after a restart of the daemon."""
    _change(name, "pause", config, url, as_json=as_json)


@app.command()
def resume(name: NameArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Let a paused schedule fire again."""
    _change(name, "resume", config, url, as_json=as_json)


def _change(name: str, action: str, config: "Path | None", url: str | None, *, as_json: bool) -> None:
    from daemon.cli import output, status_output
    from daemon.cli.talking import talk

    async def ask(client: "DaemonClient", target: "Target") -> None:
        answer = await client.change_schedule(name, action)
        if as_json:
            output.write_json(answer)
        else:
            output.write_text(status_output.schedule_outcome(name, action, answer, target.zone))

    talk(config, url, ask)
