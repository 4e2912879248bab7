"""The command line as data: what the README must list."""

from dataclasses import dataclass
from typing import Any

import typer

from daemon.cli.application import LazyGroup, app, load
from daemon.cli.exits import INTERRUPTED
from daemon.errors import ExitCode

EXIT_CODES: dict[int, str] = {**{code.value: code.name for code in ExitCode}, INTERRUPTED: "INTERRUPTED"}


@dataclass(frozen=True, slots=True)
class CommandReference:
    """One command.

    Args:
        path: as it is typed after `dongbo`, such as `jobs list`; empty for `dongbo` itself.
        summary: its one-line help.
        arguments: such as `JOB_ID`.
        options: all spellings, such as `--config`, `-c`.
    """

    path: str
    summary: str
    arguments: tuple[str, ...]
    options: tuple[str, ...]


def command_reference() -> list[CommandReference]:
    """All commands, without groups, in the order of the help screens."""
    return list(_walk((), typer.main.get_command(app)))


def _walk(path: tuple[str, ...], command: Any) -> list[CommandReference]:
    """typer's own types have changed between releases: only what all of them have is used."""
    children = getattr(command, "commands", None)
    if isinstance(command, LazyGroup):
        children = {name: load(name) for name in command.commands}
    found = [] if children and path else [_describe(path, command)]
    for name, child in (children or {}).items():
        found += _walk((*path, name), child)
    return found


def _describe(path: tuple[str, ...], command: Any) -> CommandReference:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return CommandReference(
        " ".join(path),
        (command.help or "").strip().split("\n")[0],
        tuple(parameter.metavar or parameter.name.upper() for parameter in arguments),
        tuple(spelling for parameter in options for spelling in (*parameter.opts, *parameter.secondary_opts)),
    )
