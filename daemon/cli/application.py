"""The tree of all commands."""

from typing import Annotated

import typer

from daemon.cli import check, config, demo, doctor, jobs, pull, run, sandbox, schedules, status
from daemon.cli.options import ConfigOption, JsonOption

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


app.command("run")(run.run)
app.command("check")(check.check)
app.add_typer(config.app, name="config")
app.add_typer(pull.app, name="pull")
app.add_typer(jobs.app, name="jobs")
app.add_typer(schedules.app, name="schedules")
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("sandbox")(sandbox.sandbox)
app.command("demo")(demo.demo)
