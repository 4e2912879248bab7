"""`dongbo config`: about the configuration file's format."""

import typer

from daemon.cli.options import ConfigOption, JsonOption
from daemon.cli.render import output

app = typer.Typer(help="The configuration file's format.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """The configuration file's format."""


@app.command()
def schema(_config: ConfigOption = None, _json: JsonOption = False) -> None:
    """Write the JSON schema of the configuration file.

    Editors complete and check TOML with it.
    """
    from daemon.config import json_schema

    output.write_json(json_schema())
