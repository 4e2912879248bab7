"""Options that many commands share, and where the configuration file is."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import typer

from daemon.errors import ConfigError

DEFAULT_CONFIGS = (Path("config/dongbo.toml"), Path("/etc/dongbo/dongbo.toml"))

R = TypeVar("R")


def _or_global(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """What is given after the command, else before it: `dongbo --json status` and `dongbo status --json`."""
    return value or context.find_root().params.get(parameter.name or "")


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        callback=_or_global,
        help="Configuration file; else $DONGBO_CONFIG, ./config/dongbo.toml or /etc/dongbo/dongbo.toml.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", callback=_or_global, help="Write JSON to standard output instead of text.")
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="The daemon's address, such as http://127.0.0.1:8765; else as configured."
    ),
]
StoreOption = Annotated[str | None, typer.Option("--store", help="The store; may be left out if only one is possible.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit code 1 unless it completes.")]
FollowOption = Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")]


def one_of(known: Sequence[str]) -> Callable[[str | None], str | None]:
    """A callback for an option that takes one of these words, however they are capitalised."""

    def check(value: str | None) -> str | None:
        if value is None:
            return None
        for word in known:
            if word.lower() == value.lower():
                return word
        raise typer.BadParameter(f"one of {', '.join(known)}")

    return check


class OptionRecord(Generic[R]):
    """A dataclass whose fields are options. typer reads its constructor as it reads the function of a command."""

    def __init__(self, record: Callable[..., R]) -> None:
        reader = typer.Typer(add_completion=False)
        reader.command()(record)
        command = typer.main.get_command(reader)
        self.parameters = command.params
        self._make: Callable[..., R] = command.callback  # type: ignore[assignment]  # it is what was registered

    def read(self, given: Mapping[str, Any]) -> R:
        """The record, from all that was given to a command; the command may have fewer of these options."""
        names = [parameter.name for parameter in self.parameters if parameter.name in given]
        return self._make(**{name: given[name] for name in names if name is not None})


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """What every command takes; `url` only those that talk to a running daemon."""

    config: ConfigOption = None
    url: UrlOption = None
    as_json: JsonOption = False


def find_config(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file to read: the one given, else the first of the usual places that has one.

    Raises ConfigError where there is none.
    """
    path = given or (Path(environ["DONGBO_CONFIG"]) if environ.get("DONGBO_CONFIG") else None)
    if path is not None:
        return path
    for candidate in DEFAULT_CONFIGS:
        if candidate.exists():
            return candidate
    raise ConfigError(
        f"no configuration file: there is none at {' or '.join(map(str, DEFAULT_CONFIGS))}; name yours with --config "
        f"or $DONGBO_CONFIG, or try `dongbo demo`, which needs none"
    )
