"""Installs dongbo as a service, and renews what an older version has installed."""

import os
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.cli.installation import systemd
from daemon.cli.installation.credential_files import DROP_IN, drop_in_text, write_credential
from daemon.cli.installation.places import CONFIGURATIONS, UNITS, Service
from daemon.cli.options import find_config
from daemon.cli.service.first_configuration import TOKEN, choose_listen, first_configuration, page_of
from daemon.cli.service.host import Deed, Host
from daemon.cli.service.program import COMPLETIONS, completion
from daemon.cli.service.unit_files import (
    LISTEN_DROP_IN,
    dynamic_users_have_names,
    listening_on,
    service_unit,
    socket_unit,
    sysusers,
)
from daemon.config import Settings, TcpAddress, inspect_secrets, parse_settings
from daemon.config.address import parse_listen
from daemon.config.encrypted_credentials import encrypted_path, is_encrypted
from daemon.errors import ConfigError, ServiceError
from daemon.i18n import gettext as _

LINK = Path("/usr/local/bin/dongbo")
TOKEN_BYTES = 32
OWN_MARK = "dongbo install-service"  # stands in every unit that this installs


class UserKind(StrEnum):
    """As whom a service runs."""

    AUTO = "auto"  # as a dynamic user where those have names
    DYNAMIC = "dynamic"  # unless there is a user of this name
    SYSUSERS = "sysusers"  # as one that systemd-sysusers makes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed.

    Args:
        service: which one.
        program: the path of `dongbo`.
        user: as whom it runs.
        listen: where a new one listens; None: where nobody else does.
        starts: whether it is started, or restarted, at once.
    """

    service: Service
    program: Path
    user: UserKind = UserKind.AUTO
    listen: str | None = None
    starts: bool = False


def install(wanted: Wanted, host: Host) -> list[str]:
    """Install a service, or renew it; its configuration, its credentials and local drop-ins stay. What is left to do.

    Raises:
        ServiceError: something can't be written, or systemd does not do what it is told.
        ConfigError: a credential can't be written.
    """
    service = wanted.service
    _check_listen(wanted, host)
    systemd_version = systemd.version() if host.is_this_one else systemd.OLDEST
    replaced = _keep_foreign_unit(service, host)
    host.write(service.unit, service_unit(service, wanted.program, systemd_version=systemd_version))
    if _needs_a_user(wanted.user, host):
        _make_user(service, host)
    text = _configure(wanted, host)
    _close_credentials(service, host)
    host.write(service.drop_in("service", DROP_IN), drop_in_text(service, host.root))
    settings = _settings(text, service)
    moves = settings is not None and _write_socket(service, settings, host)
    host.link(LINK, wanted.program)
    for shell, path in COMPLETIONS.items():
        host.write(path, completion(wanted.program, shell))
    _tell_systemd(wanted, host, moves=moves)
    return [*replaced, *_left_to_do(wanted, text, settings, host, moves=moves)]


def _check_listen(wanted: Wanted, host: Host) -> None:
    """Raise ServiceError where another address is asked for than that of a configuration that is there and stays."""
    path = host.path(wanted.service.config)
    if wanted.listen is None or not path.exists():
        return
    address = parse_listen(choose_listen(wanted.listen, wanted.service, host.root))
    settings = _settings(_read(path), wanted.service)
    if settings is None or settings.status.address != address:
        raise ServiceError(
            _("--listen is for a new service: change [status] listen in {path}, and run this again without it").format(
                path=wanted.service.config
            )
        )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(_("{path} can't be read: {error}").format(path=path, error=error)) from None


def _keep_foreign_unit(service: Service, host: Host) -> list[str]:
    """Keep a copy of a unit that a person has installed, for what they may have added to it. What is left to do."""
    try:
        text = host.path(service.unit).read_text("utf-8")
    except FileNotFoundError:
        return []
    if OWN_MARK in text:
        return []
    copy = service.unit.with_name(f"{service.unit.name}.before")
    host.write(copy, text)
    return [
        _("move what you have added to the old unit, {path}, into `systemctl edit {name}`").format(
            path=copy, name=service.name
        )
    ]


def _needs_a_user(kind: UserKind, host: Host) -> bool:
    match kind:
        case UserKind.AUTO:
            return not dynamic_users_have_names(host.root)
        case UserKind.DYNAMIC:
            return False
        case UserKind.SYSUSERS:
            return True


def _make_user(service: Service, host: Host) -> None:
    path = Path("/etc/sysusers.d", f"{service.user}.conf")
    host.write(path, sysusers(service))
    host.run("systemd-sysusers", str(path))


def _configure(wanted: Wanted, host: Host) -> str:
    """The configuration: the one that is there, else a first one with a token of its own."""
    service = wanted.service
    path = host.path(service.config)
    if path.exists():
        host.note(Deed.KEPT, service.config)
        return _read(path)
    text = first_configuration(choose_listen(wanted.listen, service, host.root))
    _make_token(service, host)  # first: a configuration that is there is complete
    host.write(service.config, text)
    return text


def _make_token(service: Service, host: Host) -> None:
    plain = service.credentials / TOKEN
    for path in (plain, encrypted_path(plain)):
        if host.path(path).exists():
            host.note(Deed.KEPT, path)
            return
    if host.pretends:
        host.note(Deed.WRITTEN, plain)
        return
    try:
        host.path(service.config.parent).mkdir(mode=0o755, parents=True, exist_ok=True)
        written = write_credential(host.path(plain), secrets.token_urlsafe(TOKEN_BYTES), may_encrypt=host.is_this_one)
    except OSError as error:
        raise ServiceError(_("{path} can't be written: {error}").format(path=plain, error=error.strerror)) from None
    host.note(Deed.WRITTEN, plain.with_name(written.name))


def _close_credentials(service: Service, host: Host) -> None:
    """Only root reads credentials; what a person has put there may be open to others."""
    folder = host.path(service.credentials)
    if not folder.is_dir():
        return
    host.close(service.credentials, mode=0o700)
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink():
            host.close(service.credentials / path.name, mode=0o600)


def _settings(text: str, service: Service) -> Settings | None:
    """None where the configuration is wrong, which is left to a person."""
    try:
        return parse_settings(text, source=str(service.config))
    except ConfigError:
        return None


def _write_socket(service: Service, settings: Settings, host: Host) -> bool:
    """The unit that holds the port while the daemon restarts. Returns whether it is new, or at another address.

    A Unix socket lies in a folder that goes with the daemon, which opens it itself: then the unit is masked.
    """
    noted = len(host.changes)
    own, address = UNITS / f"{service.name}.socket", settings.status.address
    is_masked = host.path(own).is_symlink()
    if isinstance(address, TcpAddress) and address.port != 0:
        if is_masked:
            host.remove(own)
        host.write(service.socket_unit, socket_unit(service))
        host.write(service.drop_in("socket", LISTEN_DROP_IN), listening_on(address))
    else:
        if not is_masked:
            host.remove(own)
        host.link(own, Path(os.devnull))
    return any(change.deed is not Deed.KEPT for change in host.changes[noted:])


def _tell_systemd(wanted: Wanted, host: Host, *, moves: bool) -> None:
    unit = f"{wanted.service.name}.service"
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--quiet", unit)
    if wanted.starts:
        if moves and host.is_this_one and systemd.is_active(unit):
            host.run("systemctl", "stop", unit)  # the socket outlives a restart, and would stay where it is
        host.run("systemctl", "restart", unit)


def _left_to_do(wanted: Wanted, text: str, settings: Settings | None, host: Host, *, moves: bool) -> Iterator[str]:
    service = wanted.service
    option = _config_option(service)
    if settings is None:
        yield _("correct the configuration: `dongbo check{option}` says what is wrong with {path}").format(
            option=option, path=service.config
        )
        return
    environment = {"CREDENTIALS_DIRECTORY": str(host.path(service.credentials))}
    for problem in () if host.pretends else inspect_secrets(settings, environment)[1]:
        yield _("provide a secret that the configuration names: {problem}. A credential is a file in {folder}").format(
            problem=problem, folder=service.credentials
        )
    if not settings.stores:
        yield _("connect both sides: `dongbo connect shopify{option}`, then `dongbo connect nhanh{option}`").format(
            option=option
        )
    if not wanted.starts:
        yield _how_to_start(service, host, moves=moves)
    address, shown = settings.status.address, _how_to_see_the_token(service, tomllib.loads(text))
    if isinstance(address, TcpAddress) and shown is not None:
        yield _("open the page at {address}; it asks for the token, which `{command}` shows").format(
            address=page_of(address), command=shown
        )


def _how_to_start(service: Service, host: Host, *, moves: bool) -> str:
    if not (host.is_this_one and systemd.is_active(f"{service.name}.service")):
        return _("start it: `systemctl start {name}`").format(name=service.name)
    command = "systemctl stop {name} && systemctl start {name}" if moves else "systemctl restart {name}"
    return _("restart it, so that it runs with all of this: `{command}`").format(
        command=command.format(name=service.name)
    )


def _how_to_see_the_token(service: Service, document: Mapping[str, object]) -> str | None:
    """A command for root; None where the token is not a credential of this service."""
    match document:
        case {"status": {"token": {"credential": str(name)}}}:
            path = service.credentials / name
        case _:
            return None
    if is_encrypted(encrypted_path(path)):
        return f"systemd-creds decrypt --name={name} {encrypted_path(path)} -"
    return f"cat {path}"


def _config_option(service: Service) -> str:
    """` --config …`, unless commands that are run here find the file by themselves."""
    try:
        found = find_config(None)
    except ConfigError:
        found = CONFIGURATIONS
    is_default = found == service.config or (service.instance is None and found == CONFIGURATIONS)
    return "" if is_default else f" --config {service.config}"
