"""The command line `dongbo`.

Every command has `--json`; data goes to standard output, everything else to standard error. A command's module is
imported when the command is asked for (`application.LazyGroup`), so `dongbo --help` loads none of them.
"""

from daemon.cli.application import app
from daemon.cli.exits import run_guarded

__all__ = ["app", "main"]


def main() -> None:
    """The console script: run the command line and exit with the code of its outcome."""
    raise SystemExit(run_guarded(lambda: app(prog_name="dongbo")))
