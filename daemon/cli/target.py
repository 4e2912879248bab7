"""Where the daemon of a configuration answers, and with which token."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from pydantic import SecretStr

from daemon.cli.options import find_config
from daemon.config import Settings, TcpAddress, UnixAddress, load_settings, resolve_secrets
from daemon.config.settings import DatabaseSettings
from daemon.errors import ConfigError

TOKEN_VARIABLE = "DONGBO_TOKEN"  # noqa: S105 - a name
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listening there is the daemon's matter


@dataclass(frozen=True, slots=True)
class Target:
    """A daemon to talk to. `settings` is None where only a URL is known."""

    base_url: str
    socket: str | None = None  # the path of a Unix socket; then `base_url` only fills the Host header
    token: SecretStr | None = None
    config: Path | None = None
    settings: Settings | None = None

    @property
    def name(self) -> str:
        """What to call the address in front of people."""
        return f"unix:{self.socket}" if self.socket else self.base_url

    @property
    def zone(self) -> tzinfo:
        """The shop's time zone; UTC where it is not known."""
        return self.settings.timezone if self.settings else UTC

    @property
    def config_option(self) -> str:
        """` --config …` for a command to copy, where there is a file."""
        return f" --config {self.config}" if self.config else ""

    def refused_token(self) -> str:
        """What a person can do about a refused token."""
        if self.token is None:
            return (
                f"the daemon at {self.name} wants a token, and [status] token is not in the configuration: "
                f"name the daemon's own file with --config, or set ${TOKEN_VARIABLE}"
            )
        return (
            f"the daemon at {self.name} refuses the token: [status] token in {self.config or 'the configuration'} "
            f"(or ${TOKEN_VARIABLE}) is not the one that it was started with"
        )


def find_target(config: Path | None, url: str | None, environ: Mapping[str, str] = os.environ) -> Target:
    """The daemon that a command is about: the one at `url`, else the one that the configuration describes.

    Raises ConfigError where there is neither, or the configuration is wrong.
    """
    try:
        path = find_config(config, environ)
    except ConfigError:
        if url is None:
            raise
        return _at_url(url, None, None, _given_token(environ))
    settings = load_settings(path)
    token = _given_token(environ) or _configured_token(settings, environ)
    if url is not None:
        return _at_url(url, path, settings, token)
    return target_of(settings, path, token)


def target_of(settings: Settings, path: Path | None, token: SecretStr | None) -> Target:
    """The daemon that these settings describe."""
    match settings.status.address:
        case UnixAddress(path=socket):
            return Target("http://localhost", socket, token, path, settings)
        case TcpAddress(port=0):
            raise ConfigError("[status] listen has port 0, so the daemon's port is not known: name it with --url")
        case TcpAddress(host=host, port=port):
            host = ANY_ADDRESS.get(host, host)
            return Target(f"http://{f'[{host}]' if ':' in host else host}:{port}", None, token, path, settings)


def _at_url(url: str, path: Path | None, settings: Settings | None, token: SecretStr | None) -> Target:
    if url.startswith("unix:"):
        return Target("http://localhost", url.removeprefix("unix:"), token, path, settings)
    if not url.startswith(("http://", "https://")):
        url = f"http://{url}"
    return Target(url.rstrip("/"), None, token, path, settings)


def _given_token(environ: Mapping[str, str]) -> SecretStr | None:
    return SecretStr(environ[TOKEN_VARIABLE]) if environ.get(TOKEN_VARIABLE) else None


def _configured_token(settings: Settings, environ: Mapping[str, str]) -> SecretStr | None:
    """The token alone: the other secrets are the daemon's, and need not be readable for a person with a command."""
    only_status = settings.model_copy(update={"stores": {}, "database": DatabaseSettings()})
    try:
        return resolve_secrets(only_status, environ).status_token
    except ConfigError as error:
        raise ConfigError(*(f"{problem}; or set ${TOKEN_VARIABLE}" for problem in error.problems)) from None
