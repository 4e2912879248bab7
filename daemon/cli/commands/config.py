"""`dongbo config`: about the configuration file's format."""

from daemon.cli.context import Commands, LocalCommand
from daemon.cli.render import output
from daemon.config import json_schema

app = Commands()


@app.callback()
def config() -> None:  # makes it a group, though it has only one command so far
    """The configuration file's format."""


@app.command(cls=LocalCommand)
def schema() -> None:
    """Write the JSON schema of the configuration file.

    Editors complete and check TOML with it.
    """
    output.write_json(json_schema())
