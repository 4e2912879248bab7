"""Takes away what was installed as a service; its data, configuration and credentials only on demand."""

from pathlib import Path

from daemon.cli.installation.credential_files import DROP_IN
from daemon.cli.installation.places import UNITS, Service, installed_services
from daemon.cli.service.host import Deed, Host
from daemon.cli.service.install import LINK
from daemon.cli.service.program import COMPLETIONS
from daemon.cli.service.unit_files import LISTEN_DROP_IN
from daemon.errors import ServiceError
from daemon.i18n import gettext as _


def check_that_it_is_installed(service: Service, host: Host) -> None:
    """Raise ServiceError where there is nothing to take away."""
    if not any(host.path(path).exists() for path in (service.unit, *what_is_kept(service, host))):
        raise ServiceError(
            _("{name} is not installed: there is no {path}").format(name=service.name, path=service.unit)
        )


def what_is_kept(service: Service, host: Host) -> list[Path]:
    """What stays unless it is purged, as far as it is there: data, configuration and credentials, its user."""
    private = Path("/var/lib/private") / service.user  # a dynamic user's, to which the state directory is a link
    folder = [service.config.parent] if _has_folder_of_its_own(service, host) else [service.config, service.credentials]
    user = Path("/etc/sysusers.d", f"{service.user}.conf")
    return [path for path in (private, service.state, *folder, user) if _is_there(host, path)]


def uninstall(service: Service, host: Host, *, purges: bool) -> list[str]:
    """Stop a service and take it away. What is left to do.

    Raises:
        ServiceError: something can't be removed, or systemd does not do what it is told.
    """
    others = [other for other in installed_services(host.root) if other != service]
    kept = what_is_kept(service, host)
    if host.path(service.unit).exists():
        host.run("systemctl", "disable", "--quiet", "--now", f"{service.name}.service")
    _remove_units(service, host, others_of_template=any(other.kind == service.kind for other in others))
    if not others:
        _remove_program(host)
    host.run("systemctl", "daemon-reload")
    if purges:
        for path in kept:
            host.remove(path)
        return _user_left(service, kept)
    for path in kept:
        host.note(Deed.KEPT, path)
    return [_("delete what was kept, if nobody needs it: `--purge` does")] if kept else []


def _remove_units(service: Service, host: Host, *, others_of_template: bool) -> None:
    for of, name in (("service", DROP_IN), ("socket", LISTEN_DROP_IN)):
        path = service.drop_in(of, name)
        host.remove(path)
        host.remove_if_empty(path.parent)
    mask = UNITS / f"{service.name}.socket"
    if host.path(mask).is_symlink():
        host.remove(mask)
    if not others_of_template:
        host.remove(service.unit)
        host.remove(service.socket_unit)


def _remove_program(host: Host) -> None:
    """The link and what completes commands; a program that somebody else has put there stays."""
    if host.path(LINK).is_symlink():
        host.remove(LINK)
    for path in COMPLETIONS.values():
        host.remove(path)


def _has_folder_of_its_own(service: Service, host: Host) -> bool:
    """Whether all of the folder of its configuration is its own."""
    if service.instance is not None:
        return True
    return not any(other.instance is not None for other in installed_services(host.root))


def _is_there(host: Host, path: Path) -> bool:
    there = host.path(path)
    return there.exists() or there.is_symlink()


def _user_left(service: Service, removed: list[Path]) -> list[str]:
    if Path("/etc/sysusers.d", f"{service.user}.conf") not in removed:
        return []
    return [_("remove its user, if nothing else belongs to it: `userdel {user}`").format(user=service.user)]
