"""The tree of all commands."""

from typing import Annotated

import typer

from daemon.cli.commands.check import check
from daemon.cli.commands.config import app as config_commands
from daemon.cli.commands.demo import demo
from daemon.cli.commands.explain import explain
from daemon.cli.commands.pull import app as pull_commands
from daemon.cli.commands.run import run
from daemon.cli.commands.sandbox import sandbox
from daemon.cli.commands.schedules import app as schedules_commands
from daemon.cli.commands.status import status
from daemon.cli.commands.sync import match_app, sync_app
from daemon.cli.connect.commands import commands as connect_commands
from daemon.cli.doctor.command import doctor
from daemon.cli.jobs.commands import app as jobs_commands
from daemon.cli.mapping.commands import app as map_commands
from daemon.cli.options import ConfigOption, JsonOption
from daemon.cli.sales.commands import app as sale_commands

app = typer.Typer(
    name="dongbo",
    help="Keeps a Nhanh.vn point of sale and a Shopify store in step, and shows every background job live.",
    no_args_is_help=True,
    rich_markup_mode=None,  # a help screen in colour would take twice as long to start
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from daemon import __version__

        typer.echo(f"dongbo {__version__}")
        raise typer.Exit


@app.callback()
def main(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the command hold for it."""


app.command("run")(run)
app.command("check")(check)
app.add_typer(connect_commands, name="connect")
app.add_typer(config_commands, name="config")
app.add_typer(pull_commands, name="pull")
app.add_typer(match_app, name="match")
app.add_typer(map_commands, name="map")
app.add_typer(sync_app, name="sync")
app.add_typer(sale_commands, name="sale")
app.add_typer(jobs_commands, name="jobs")
app.add_typer(schedules_commands, name="schedules")
app.command("status")(status)
app.command("explain")(explain)
app.command("doctor")(doctor)
app.command("sandbox")(sandbox)
app.command("demo")(demo)
