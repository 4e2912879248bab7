"""`dongbo status`: the daemon at a glance."""

from typing import TYPE_CHECKING

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption

if TYPE_CHECKING:
    from daemon.cli.client.daemon import DaemonClient
    from daemon.cli.client.target import Target


def status(config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show what the daemon does, and whether it is well.

    The exit code is 1 unless it is ready.
    """
    from daemon.cli.commands import status_output
    from daemon.cli.context import talk
    from daemon.cli.render import output

    async def ask(client: "DaemonClient", target: "Target") -> bool:
        found = await client.status()
        if as_json:
            output.write_json(found)
        else:
            status_output.write_status(found, target)
        return found["ready"]

    if not talk(config, url, ask):
        raise typer.Exit(1)
