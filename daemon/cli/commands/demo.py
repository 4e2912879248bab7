"""`dongbo demo`: the daemon with a database of its own, on a sandbox shop of this machine."""

from pathlib import Path
from typing import Annotated, TextIO, cast

import typer

from daemon.cli.options import ConfigOption, JsonOption


def demo(
    state: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where the demo keeps its data; else a directory of its own among dongbo's."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open the job page where there is a display.")
    ] = True,
    _config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try dongbo on a sandbox shop, all on this machine.

    Nothing needs to be configured. Ctrl-C ends it; a second start finds the data again.
    """
    from contextlib import suppress

    from daemon.cli.commands.demo_daemon import run_demo
    from daemon.cli.event_loop import run_in_loop
    from daemon.cli.render.output import CurrentStderr
    from daemon.config import state_directory
    from daemon.logging import configure_logging

    configure_logging("error", "console", stream=cast("TextIO", CurrentStderr()))
    directory = state or state_directory() / "demo"
    with suppress(KeyboardInterrupt):  # before the daemon itself listens to it; to end the demo is no failure
        run_in_loop(run_demo(directory.absolute(), opens_browser=browser, as_json=as_json))
