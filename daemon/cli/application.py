"""The tree of all commands: which there are, a line on each, and where to find it."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import daemon
from daemon.cli.options import ConfigOption, JsonOption
from daemon.errors import MissingExtra


@dataclass(frozen=True, slots=True)
class Listed:
    """A command or a group of commands in the list.

    Args:
        summary: its line there; of a single command it is the first line of the docstring, too.
        app: the Typer app that has it, as `module:name`.
        extra: of the distribution, without which its module can't be imported.
    """

    summary: str
    app: str
    extra: str | None = None


COMMANDS = {
    "run": Listed("Run the daemon until SIGTERM or Ctrl-C.", "daemon.cli.commands.run:app"),
    "reload": Listed(
        "Make the service read its configuration again; say how it went.", "daemon.cli.commands.reload:app"
    ),
    "check": Listed("Check the configuration; show when what fires.", "daemon.cli.commands.check:app"),
    "status": Listed("Show whether the shop is right, and what the daemon is doing.", "daemon.cli.commands.status:app"),
    "explain": Listed("Explain why Shopify has the stock and prices that it has.", "daemon.cli.commands.explain:app"),
    "items": Listed("Find items of Shopify and Nhanh.vn; of a single one, show all.", "daemon.cli.commands.items:app"),
    "doctor": Listed("Find out why a job does not show.", "daemon.cli.doctor.command:app"),
    "sandbox": Listed(
        "Run a sandbox Nhanh.vn and Shopify for one shop on this machine.",
        "daemon.cli.commands.sandbox:app",
        extra="sandbox",
    ),
    "demo": Listed(
        "Try dongbo on a sandbox shop, all on this machine.", "daemon.cli.commands.demo:app", extra="sandbox"
    ),
    "connect": Listed("Get, try out and save the credentials of a store.", "daemon.cli.connect.commands:app"),
    "database": Listed("Back up, restore, upgrade and open the database.", "daemon.cli.database.commands:app"),
    "install-service": Listed(
        "Install dongbo as a service of systemd, or renew it.", "daemon.cli.service.commands:install_app"
    ),
    "uninstall-service": Listed(
        "Stop the service of systemd and take it away.", "daemon.cli.service.commands:uninstall_app"
    ),
    "config": Listed("The configuration file's format.", "daemon.cli.commands.config:app"),
    "pull": Listed("Pull from a source now, and follow it if you like.", "daemon.cli.commands.pull:app"),
    "match": Listed("Match what belongs together on both sides.", "daemon.cli.commands.sync:match_app"),
    "map": Listed("See and decide which product each variant is.", "daemon.cli.mapping.commands:app"),
    "sync": Listed("Push to Shopify what differs from Nhanh.vn.", "daemon.cli.commands.sync:sync_app"),
    "sale": Listed("Create, show, start and end sale campaigns.", "daemon.cli.sales.commands:app"),
    "jobs": Listed("List, follow, approve, cancel, retry and prune jobs.", "daemon.cli.jobs.commands:app"),
    "alerts": Listed("See who is told what is not right; send a test.", "daemon.cli.commands.alerts:app"),
    "webhooks": Listed(
        "Subscribe to webhooks at Shopify; see and try what arrives.", "daemon.cli.webhooks.commands:app"
    ),
    "schedules": Listed("List, run, pause and resume schedules.", "daemon.cli.commands.schedules:app"),
}


class LazyGroup(TyperGroup):
    """Knows a command by its line in the list, and imports its module when it is run or asked for help.

    This is the one place where the command line is lazy: every module imports what it needs at its top.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, listed in COMMANDS.items():
            self.add_command(TyperCommand(name, help=listed.summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the arguments name, imported, and the arguments that are left for it."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None and listed is not None else None, rest


def load(name: str) -> Any:
    """A command or a group of the list, for which its module is imported. What is returned is typer's own type.

    Raises MissingExtra where what the command needs was not installed along.
    """
    listed = COMMANDS[name]
    try:
        command = typer.main.get_command(resolve_name(listed.app))
    except ModuleNotFoundError as error:
        if listed.extra is None or error.name is None or error.name.partition(".")[0] == "daemon":
            raise
        raise MissingExtra(
            f"`dongbo {name}` needs the extra {listed.extra}: install it with pip install 'dongbo[{listed.extra}]', "
            f"in a checkout pip install '.[{listed.extra}]'"
        ) from error
    command.help = command.help or listed.summary
    return command


app = typer.Typer(
    name="dongbo",
    cls=LazyGroup,
    help="Keeps a Nhanh.vn point of sale and a Shopify store in step, and shows every background job live.",
    no_args_is_help=True,
    rich_markup_mode=None,  # a help screen in colour would take twice as long to start
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dongbo {daemon.__version__}")
        raise typer.Exit


@app.callback()
def main(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options given before the command apply to it."""
