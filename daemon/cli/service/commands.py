"""`dongbo install-service` and `dongbo uninstall-service` on the command line."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from daemon.cli.confirmation import confirm
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.installation import systemd
from daemon.cli.installation.places import INSTANCE_PATTERN, Service
from daemon.cli.render import output
from daemon.cli.service.host import Deed, Host
from daemon.cli.service.install import UserKind, Wanted, install
from daemon.cli.service.program import check_that_a_service_reaches, own_program
from daemon.cli.service.uninstall import check_that_it_is_installed, uninstall, what_is_kept
from daemon.errors import ServiceError
from daemon.i18n import gettext as _
from daemon.i18n import mark

DONE: Final = {
    Deed.WRITTEN: mark("wrote    {subject}"),
    Deed.KEPT: mark("kept     {subject}"),
    Deed.CLOSED: mark("closed   {subject} to other users"),
    Deed.REMOVED: mark("removed  {subject}"),
    Deed.RUN: mark("ran      {subject}"),
}
WOULD_BE_DONE: Final = {
    Deed.WRITTEN: mark("would write    {subject}"),
    Deed.KEPT: mark("would keep     {subject}"),
    Deed.CLOSED: mark("would close    {subject} to other users"),
    Deed.REMOVED: mark("would remove   {subject}"),
    Deed.RUN: mark("would run      {subject}"),
}

install_app = Commands()
uninstall_app = Commands()

InstanceOption = Annotated[
    str | None,
    typer.Option("--instance", metavar="NAME", help="One of several services on this machine, by a name of its own."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
RootOption = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Work on the files of a system below this folder, without its systemd."),
]


@install_app.command(cls=LocalCommand)
def install_service(
    context: CommandContext,
    instance: InstanceOption = None,
    user: Annotated[
        UserKind,
        typer.Option(help="As whom it runs: a dynamic user, or one that is made; auto takes what works here."),
    ] = UserKind.AUTO,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where a new service listens; else at the first free port.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Start it at once; restart it if it runs.")] = False,
    dry_run: DryRunOption = False,
    root: RootOption = Path("/"),
) -> None:
    """Install dongbo as a service of systemd, or renew it.

    Run it again after an upgrade: configuration, credentials and changes by `systemctl edit` stay as they are.
    """
    host, service = _host(root, pretends=dry_run), _service(instance)
    program = own_program()
    if host.is_this_one:
        check_that_a_service_reaches(program)
    to_do = install(Wanted(service, program, user, listen, now), host)
    _report(host, to_do, as_json=context.as_json)


@uninstall_app.command(cls=LocalCommand)
def uninstall_service(
    context: CommandContext,
    instance: InstanceOption = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete its data, configuration and credentials, too; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: DryRunOption = False,
    root: RootOption = Path("/"),
) -> None:
    """Stop the service of systemd and take it away.

    Data, configuration and credentials stay, unless they are purged.
    """
    host, service = _host(root, pretends=dry_run), _service(instance)
    check_that_it_is_installed(service, host)
    if purge and not dry_run:
        _confirm_purge(what_is_kept(service, host), yes=yes)
    to_do = uninstall(service, host, purges=purge)
    _report(host, to_do, as_json=context.as_json)


def _host(root: Path, *, pretends: bool) -> Host:
    host = Host(root.resolve(), pretends=pretends)
    if not host.is_this_one:
        return host
    if not systemd.is_running():
        raise ServiceError(_("systemd does not run this machine, so there are no services; see `--root`"))
    if os.geteuid() != 0:
        raise ServiceError(_("only root may do this: run it with sudo"))
    return host


def _service(instance: str | None) -> Service:
    if instance is not None and not re.fullmatch(INSTANCE_PATTERN, instance):
        raise typer.BadParameter(
            _("a name has up to 20 of a-z and 0-9, begins with a letter, and is not `credentials`"),
            param_hint="--instance",
        )
    return Service(instance)


def _confirm_purge(paths: Sequence[Path], *, yes: bool) -> None:
    listed = ", ".join(map(str, paths))
    confirm(
        _("Delete {paths} for good, with all data and backups in them?").format(paths=listed),
        yes=yes,
        why=_("--purge deletes data"),
    )


def _report(host: Host, to_do: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        changes = [asdict(change) for change in host.changes]
        output.write_json({"dry_run": host.pretends, "changes": changes, "to_do": list(to_do)})
        return
    texts = WOULD_BE_DONE if host.pretends else DONE
    for change in host.changes:
        output.write_text(_(texts[change.deed]).format(subject=change.subject))
    sys.stdout.flush()  # what is left to do comes last, also where both go to one file
    for line in to_do:
        output.tell(_("To do: {what}").format(what=line))
