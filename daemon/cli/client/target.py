"""Where the daemon of a configuration answers, and with which token."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path

from pydantic import SecretStr

from daemon.cli.installation.places import service_environment, service_of
from daemon.cli.options import find_config
from daemon.cli.render import output
from daemon.config import Settings, TcpAddress, UnixAddress, load_settings, read_status_token
from daemon.errors import ConfigError
from daemon.i18n import configure as speak

TOKEN_VARIABLE = "DONGBO_TOKEN"  # noqa: S105 - a name
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listening there is the daemon's matter


@dataclass(frozen=True, slots=True)
class DaemonTarget:
    """A daemon to talk to. `settings` is None where only a URL is known."""

    base_url: str
    socket: str | None = None  # the path of a Unix socket; then `base_url` only fills the Host header
    token: SecretStr | None = None
    config: Path | None = None
    settings: Settings | None = None
    passed_over: Path | None = None  # a configuration that could not be used, and need not be

    @property
    def name(self) -> str:
        """What to call the address in messages."""
        return f"unix:{self.socket}" if self.socket else self.base_url

    @property
    def zone(self) -> tzinfo:
        """The shop's time zone; where it is not known, the one that a configuration has by default."""
        return (self.settings or Settings()).timezone

    @property
    def config_option(self) -> str:
        """` --config …` for a command to copy, where there is a file."""
        return f" --config {self.config}" if self.config else ""

    @property
    def start_command(self) -> str:
        """What starts the daemon: systemd, where it is installed as a service."""
        service = service_of(self.config) if self.config is not None else None
        return f"systemctl start {service.name}" if service is not None else f"dongbo run{self.config_option}"

    def refused_token(self) -> str:
        """What a person can do about a refused token."""
        if self.token is None and self.passed_over is not None:
            return (
                f"the daemon at {self.name} requires a token, and {self.passed_over}, which may name it, was skipped: "
                f"set ${TOKEN_VARIABLE}, or fix the file"
            )
        if self.token is None and self.settings is not None and self.settings.status.tokens:
            return f"the daemon at {self.name} wants to know who asks: set ${TOKEN_VARIABLE} to your token"
        if self.token is None:
            absent = (
                "no configuration is read" if self.settings is None else "[status] token is not in the configuration"
            )
            return (
                f"the daemon at {self.name} requires a token, and {absent}: "
                f"name the daemon's own file with --config, or set ${TOKEN_VARIABLE}"
            )
        return (
            f"the daemon at {self.name} refuses the token: [status] token in {self.config or 'the configuration'} "
            f"(or ${TOKEN_VARIABLE}) is none of those that it accepts"
        )


def find_target(config: Path | None, url: str | None, environ: Mapping[str, str] = os.environ) -> DaemonTarget:
    """The daemon that a command is about: the one at `url`, else the one that the configuration describes.

    With a URL, a configuration that can't be used is skipped with a remark. Raises ConfigError where there is no
    URL and the configuration is missing or wrong.
    """
    if url is not None:
        return _at_url(url, config, environ)
    path = find_config(config, environ)
    settings = load_settings(path)
    speak(settings.language)
    return target_of(settings, path, _given_token(environ) or _configured_token(settings, path, environ))


def target_of(settings: Settings, path: Path | None, token: SecretStr | None) -> DaemonTarget:
    """The daemon that these settings describe."""
    match settings.status.address:
        case UnixAddress(path=socket):
            return DaemonTarget("http://localhost", socket, token, path, settings)
        case TcpAddress(port=0):
            raise ConfigError("[status] listen has port 0, so the daemon's port is not known: name it with --url")
        case TcpAddress(host=host, port=port):
            host = ANY_ADDRESS.get(host, host)
            return DaemonTarget(f"http://{f'[{host}]' if ':' in host else host}:{port}", None, token, path, settings)


def _at_url(url: str, config: Path | None, environ: Mapping[str, str]) -> DaemonTarget:
    """The daemon at a URL; the configuration, where there is one, adds what it knows of it."""
    if url.startswith("unix:"):
        target = DaemonTarget("http://localhost", url.removeprefix("unix:"), _given_token(environ))
    else:
        address = url if url.startswith(("http://", "https://")) else f"http://{url}"
        target = DaemonTarget(address.rstrip("/"), None, _given_token(environ))
    try:
        path = find_config(config, environ)
    except ConfigError:  # there is none, and none was named
        return target
    try:
        settings = load_settings(path)
        token = target.token or _configured_token(settings, path, environ)
    except ConfigError as error:
        first, *others = error.problems
        more = f" (and {len(others)} more: dongbo check --config {path})" if others else ""
        output.say(f"dongbo: {path} is skipped, since --url says where the daemon is: {first}{more}")
        return replace(target, passed_over=path)
    speak(settings.language)
    return replace(target, token=token, config=path, settings=settings)


def _given_token(environ: Mapping[str, str]) -> SecretStr | None:
    return SecretStr(environ[TOKEN_VARIABLE]) if environ.get(TOKEN_VARIABLE) else None


def _configured_token(settings: Settings, path: Path, environ: Mapping[str, str]) -> SecretStr | None:
    """The token alone: the other secrets are the daemon's, and whoever runs a command need not be able to read them."""
    try:
        return read_status_token(settings, service_environment(path, environ, as_started=True))
    except ConfigError as error:
        raise ConfigError(*(f"{problem}; or set ${TOKEN_VARIABLE}" for problem in error.problems)) from None
