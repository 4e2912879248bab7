"""`dongbo reload`: a reload that waits for its end and tells how it went, which a signal does not."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.installation import systemd
from daemon.cli.installation.places import Service
from daemon.cli.render import output
from daemon.errors import ConfigError, DatabaseUnavailable, ServiceError
from daemon.i18n import gettext as _
from daemon.reload_outcome import ReloadOutcome, read_outcome

PATIENCE: Final = 60.0  # seconds for a reload, which may wait for the database
INTERVAL: Final = 0.05  # seconds between two looks at its outcome

app = Commands()


@dataclass(frozen=True, slots=True)
class Reload:
    """A reload that has been asked for: the outcome that was there before, and where the new one will be."""

    before: ReloadOutcome | None
    directory: Path

    def outcome(self) -> ReloadOutcome | None:
        """How it ended; None while it has not."""
        found = read_outcome(self.directory)
        return found if found != self.before else None


@app.command(cls=LocalCommand)
def reload(
    context: CommandContext,
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="NAME", help="One of several services on this machine.")
    ] = None,
) -> None:
    """Make the service read its configuration again; say how it went.

    Its unit runs this, too, as ExecReload=.
    """
    main_pid = os.environ.get("MAINPID", "")
    outcome = _by_signal(int(main_pid)) if main_pid.isdecimal() else _by_systemd(Service(instance))
    if context.as_json:
        said = {key: value for key, value in msgspec.structs.asdict(outcome).items() if key != "id"}
        output.write_json(said)
    _raise_what_failed(outcome)
    if not context.as_json:
        _write(outcome)


def _raise_what_failed(outcome: ReloadOutcome) -> None:
    old_stays = _("Nothing has changed: the old configuration stays in force.")
    if outcome.problems:
        raise ConfigError(*outcome.problems, old_stays)
    if not outcome.failure:
        return
    in_force = _("The new configuration is in force, but for its sales: reload again once the cause is fixed.")
    trouble = _("The reload could not be finished: {reason}").format(reason=outcome.failure)
    raise DatabaseUnavailable(f"{trouble}\n{in_force if outcome.is_in_force else old_stays}")


def _by_signal(pid: int) -> ReloadOutcome:
    """For systemd, which says to whom; what is awaited is the daemon's answer."""
    directory = Path(os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0])
    asked = Reload(read_outcome(directory), directory)
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise ServiceError(_("The daemon can't be told: {error}").format(error=error.strerror)) from None
    until = time.monotonic() + PATIENCE
    while (outcome := asked.outcome()) is None:
        if time.monotonic() > until:
            raise ServiceError(
                _("The daemon has not said within {n} s how the reload ended: see its log").format(n=round(PATIENCE))
            )
        time.sleep(INTERVAL)
    return outcome


def _by_systemd(service: Service) -> ReloadOutcome:
    """For a person: the unit knows whom to tell, and this command waits within it."""
    directory = service.runtime
    asked = Reload(read_outcome(directory), directory)
    try:
        systemd.run("systemctl", "reload", service.name)
    except ServiceError:
        if (refused := asked.outcome()) is None:
            raise
        return refused
    outcome = asked.outcome()
    if outcome is None:
        raise ServiceError(
            _("The reload has left no outcome in {directory}: see `journalctl -u {name}`").format(
                directory=directory, name=service.name
            )
        )
    return outcome


def _write(outcome: ReloadOutcome) -> None:
    output.write_text(_("The configuration has been taken over."))
    if outcome.restart_required:
        output.write_text(_("Only a restart applies: {keys}").format(keys=", ".join(outcome.restart_required)))
    if outcome.kept:
        output.write_text(
            _("Secrets that a reload does not renew here: {names}. If one has changed, restart the service").format(
                names=", ".join(outcome.kept)
            )
        )
