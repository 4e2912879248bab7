"""How a reload ended, for whoever asked for it by a signal, which brings no answer: a file in the runtime directory."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger()

FILE_NAME = "reload.json"


class ReloadOutcome(msgspec.Struct, frozen=True):
    """How the last reload of a daemon ended.

    Args:
        id: another one after each reload.
        problems: why the file was refused, a line each; nothing has changed then.
        failure: what kept it from being finished, such as a database that is away; empty where nothing did.
        is_in_force: whether the new configuration is, perhaps but for its campaigns, if there was a failure.
        restart_required: keys of the configuration that only a restart applies.
        kept: credentials and variables whose new values, if they have any, only a restart takes over.
    """

    id: str
    problems: tuple[str, ...] = ()
    failure: str = ""
    is_in_force: bool = False
    restart_required: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def tell_outcome(outcome: ReloadOutcome, environ: Mapping[str, str] = os.environ) -> None:
    """Leave the outcome in `$RUNTIME_DIRECTORY`, as systemd sets it; without one nobody waits for it."""
    directory = _directory(environ)
    if directory is None:
        return
    new = directory / f"{FILE_NAME}.new"
    try:
        new.write_bytes(msgspec.json.encode(outcome))
        new.replace(directory / FILE_NAME)
    except OSError as error:
        log.warning("reload_outcome_lost", error=str(error))


def read_outcome(directory: Path) -> ReloadOutcome | None:
    """The outcome that a daemon has left in its runtime directory; None where it has not reloaded yet."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=ReloadOutcome)
    return None


def _directory(environ: Mapping[str, str]) -> Path | None:
    first = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(first) if first else None
