"""The consent that a command needs from a person before it does what can't be undone."""

import sys

import typer

from daemon.cli.render import output


def confirm(question: str, *, yes: bool, why: str) -> None:
    """Ask the person at the terminal, unless they have said yes already.

    Args:
        why: what makes consent necessary, for whoever runs the command without a terminal.

    Raises:
        typer.BadParameter: there is no terminal to ask at.
        typer.Exit: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{why}, and there is no terminal to ask at: add --yes", param_hint="--yes")
    if not typer.confirm(question, err=True):
        output.say("Nothing was changed.")
        raise typer.Exit(1)
