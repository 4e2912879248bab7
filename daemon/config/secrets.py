"""Secrets: read from where the configuration says they are kept, and from then on masked in the log."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from daemon.config.address import check_alert_url, check_database_url, check_heartbeat_url
from daemon.config.encrypted_credentials import decrypt, encrypted_path, is_encrypted
from daemon.config.exposure import exposure_of
from daemon.config.fields import REFERENCE_FORMS, SecretRef
from daemon.config.settings import Settings, StoreSettings
from daemon.config.shopify_names import check_access_token, check_client_secret
from daemon.errors import ConfigError
from daemon.ids import StoreName
from daemon.kept import kept_for_same
from daemon.logging import register_secret

LARGEST_SECRET = 64 * 1024  # bytes
SHORTEST_STATUS_TOKEN = 16  # characters
DATABASE_KEYS = ("url", "listen_url", "read_url")  # of [database]: addresses, which may hold passwords
PASSWORD_OPTIONS = ("password", "sslpassword")  # of a database URL, after the ?


@dataclass(frozen=True, slots=True)
class StoreSecrets:
    """The credentials of one store; None where the store lacks the source, or the configuration the optional key."""

    nhanh_access_token: SecretStr | None = None
    nhanh_secret_key: SecretStr | None = None
    shopify_access_token: SecretStr | None = None
    shopify_client_secret: SecretStr | None = None
    nhanh_webhook_token: SecretStr | None = None
    shopify_webhook_secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class ResolvedSecrets:
    """All secrets of a configuration. Compares equal while none has changed; never shows them."""

    database_url: SecretStr | None  # None: the embedded server
    status_token: SecretStr | None
    stores: Mapping[StoreName, StoreSecrets]
    status_tokens: Mapping[str, SecretStr] = field(default_factory=dict)  # by the names of those who have them
    alert_urls: Mapping[str, SecretStr] = field(default_factory=dict)  # by the names of the channels
    heartbeat_url: SecretStr | None = None
    # The same database past a pooler, and a replica of it; None where `database_url` serves for all.
    database_listen_url: SecretStr | None = None
    database_read_url: SecretStr | None = None
    # What others could find out, a sentence each with what to do about it.
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def changed_databases(self, other: "ResolvedSecrets") -> list[str]:
        """The keys of addresses of the database that are not those of `other`; a daemon keeps those of its start."""
        return [
            f"database.{key}"
            for key in DATABASE_KEYS
            if getattr(self, f"database_{key}") != getattr(other, f"database_{key}")
        ]


def revealed(secret: SecretStr | None) -> str | None:
    """What is kept, for whoever has to show it to a server."""
    return secret.get_secret_value() if secret is not None else None


def resolve_secrets(
    settings: Settings, environ: Mapping[str, str] = os.environ, *, config: Path | None = None
) -> ResolvedSecrets:
    """Read all secrets, and register them with the log.

    Args:
        settings: says where they are kept.
        environ: holds the `env` ones and `CREDENTIALS_DIRECTORY` (systemd.exec(5), "CREDENTIALS").
        config: the file that the settings come from: where it holds a password itself, others must not read it.

    Raises `ConfigError` with one line for each secret that can't be read: its key, and what is missing.
    """
    resolved, problems = inspect_secrets(settings, environ, config=config)
    if problems:
        raise ConfigError(*problems)
    return resolved


def inspect_secrets(
    settings: Settings, environ: Mapping[str, str] = os.environ, *, config: Path | None = None
) -> tuple[ResolvedSecrets, tuple[str, ...]]:
    """As `resolve_secrets`, but reports what can't be read beside what can: None stands in its place."""
    reader = _Reader(environ, config)
    resolved = ResolvedSecrets(
        database_url=_database_url("url", settings, reader),
        database_listen_url=_database_url("listen_url", settings, reader),
        database_read_url=_database_url("read_url", settings, reader),
        status_token=_status_token(settings, reader),
        stores={name: _store_secrets(name, store, reader) for name, store in settings.stores.items()},
        status_tokens=_status_tokens(settings, reader),
        alert_urls=_alert_urls(settings, reader),
        heartbeat_url=_heartbeat_url(settings, reader),
    )
    return replace(resolved, warnings=tuple(reader.warnings)), tuple(reader.problems)


def read_status_token(settings: Settings, environ: Mapping[str, str] = os.environ) -> SecretStr | None:
    """The endpoint's token without a name alone: whoever runs a command need not be able to read the other secrets.

    Raises `ConfigError` where it can't be read.
    """
    reader = _Reader(environ)
    token = _status_token(settings, reader)
    if reader.problems:
        raise ConfigError(*reader.problems)
    return token


def renewed_secrets(
    settings: Settings,
    known: ResolvedSecrets,
    environ: Mapping[str, str] = os.environ,
    *,
    config: Path | None = None,
) -> tuple[ResolvedSecrets, tuple[str, ...]]:
    """The secrets as they are now, and a line for each that can't be read: its store or person keeps what is known."""
    reader = _Reader(environ, config)
    database_url, status_token = _database_url("url", settings, reader), _status_token(settings, reader)
    listen_url, read_url = _database_url("listen_url", settings, reader), _database_url("read_url", settings, reader)
    problems, warnings = list(reader.problems), list(reader.warnings)
    stores = {}
    for name, store in settings.stores.items():
        of_store = _Reader(environ)
        found = _store_secrets(name, store, of_store)
        stores[name] = known.stores[name] if of_store.problems and name in known.stores else found
        problems += of_store.problems
        warnings += of_store.warnings
    besides = _Reader(environ)
    tokens = {**known.status_tokens, **_status_tokens(settings, besides)}
    alert_urls = {**known.alert_urls, **_alert_urls(settings, besides)}
    heartbeat_url = _heartbeat_url(settings, besides)
    resolved = ResolvedSecrets(
        known.database_url if reader.problems else database_url,
        known.status_token if reader.problems else status_token,
        stores,
        status_tokens={entry.name: tokens[entry.name] for entry in settings.status.tokens if entry.name in tokens},
        alert_urls={alert.name: alert_urls[alert.name] for alert in settings.alerts if alert.name in alert_urls},
        heartbeat_url=heartbeat_url or known.heartbeat_url,
        database_listen_url=known.database_listen_url if reader.problems else listen_url,
        database_read_url=known.database_read_url if reader.problems else read_url,
        warnings=tuple(warnings + besides.warnings),
    )
    problems += besides.problems
    return resolved, tuple(problems)


def secret_files_version(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[object, ...]:
    """What changes when a file changes in which a secret is kept, or another takes its place. Reads none of them."""
    return tuple(_version(path) for path in _files(settings, environ))


def _files(settings: Settings, environ: Mapping[str, str]) -> Iterator[Path]:
    for reference in _references(settings):
        match reference:
            case SecretRef(file=str(name)):
                yield Path(name)
            case SecretRef(credential=str(name)) if directory := environ.get("CREDENTIALS_DIRECTORY"):
                yield Path(directory, name)


@kept_for_same
def _references(settings: Settings) -> Sequence[SecretRef]:
    places: list[object] = [getattr(settings.database, key) for key in DATABASE_KEYS]
    places += [settings.status.token, *(entry.token for entry in settings.status.tokens)]
    places += [alert.url for alert in settings.alerts]
    if settings.heartbeat is not None:
        places.append(settings.heartbeat.url)
    for store in settings.stores.values():
        for source in (store.nhanh, store.shopify):
            if source is not None:
                places += [value for _, value in source]
    return [place for place in places if isinstance(place, SecretRef)]


def _version(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return str(path), error.errno
    # The time of the last change of owner or mode, too: a file may become readable.
    return str(path), found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


class _Reader:
    """Reads secrets one by one and gathers what goes wrong, so that a person sees all of it at once."""

    def __init__(self, environ: Mapping[str, str], config: Path | None = None) -> None:
        self.environ = environ
        self.config = config
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def read(
        self, key: str, reference: SecretRef | None, check: Callable[[str], str] = lambda value: value
    ) -> SecretStr | None:
        """The secret of the configuration key `key`; None, with a problem noted, when it can't be read or `check`
        refuses it."""
        if reference is None:
            return None
        try:
            value = self._value(key, reference)
            register_secret(value)
            return SecretStr(check(value))
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return None

    def _value(self, key: str, reference: SecretRef) -> str:
        match reference:
            case SecretRef(env=str(name)):
                if name not in self.environ:
                    raise ValueError(f"environment variable {name} is not set")
                return _checked(self.environ[name], f"environment variable {name}")
            case SecretRef(credential=str(name)):
                directory = self.environ.get("CREDENTIALS_DIRECTORY")
                if not directory:
                    raise ValueError(
                        f"credential {name} is for systemd, which did not start this; use env or file here"
                    )
                return self._credential(key, name, Path(directory, name))
            case SecretRef(file=str(name)):
                return self._from_file(key, Path(name), f"file {name}", "create it")
            case _:
                raise AssertionError("the model lets no reference without a place pass")

    def _credential(self, key: str, name: str, path: Path) -> str:
        """The daemon gets it from systemd in plain; a command finds it as it lies on disk, perhaps encrypted."""
        if is_encrypted(encrypted := encrypted_path(path)):
            return _as_text(decrypt(name, encrypted), f"credential {name}")
        advice = "add LoadCredential= to the systemd unit; `dongbo connect` and `dongbo install-service` do so"
        return self._from_file(key, path, f"credential {name}", advice)

    def _from_file(self, key: str, path: Path, what: str, advice: str) -> str:
        value = _read_file(path, what, advice)
        self.warn_of_others(key, path)
        return value

    def warn_of_others(self, key: str, path: Path) -> None:
        """Note a warning where others can read the file that holds the secret of this key."""
        if (exposure := exposure_of(path)) is not None:
            self.warnings.append(f"{key}: {exposure}")


def _database_url(name: str, settings: Settings, reader: _Reader) -> SecretStr | None:
    """The address that has this name in [database]."""
    key, url = f"database.{name}", getattr(settings.database, name)
    secret = reader.read(key, url) if isinstance(url, SecretRef) else url
    if secret is None:
        return None
    try:
        parts = urlsplit(check_database_url(secret.get_secret_value()))
    except ValueError as error:
        reader.problems.append(f"{key}: {error}")
        return None
    passwords = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name in PASSWORD_OPTIONS)]
    for password in filter(None, passwords):
        register_secret(password)
        register_secret(unquote(password))
    if any(passwords) and not isinstance(url, SecretRef):
        reader.warnings.append(
            f"{key}: its password stands in the configuration file: say where the whole URL is kept, as "
            f"{REFERENCE_FORMS}, or leave the password out of it and to PGPASSFILE"
        )
        if reader.config is not None:
            reader.warn_of_others(key, reader.config)
    return secret


def _status_token(settings: Settings, reader: _Reader) -> SecretStr | None:
    token = reader.read("status.token", settings.status.token)
    if token is not None and len(token) < SHORTEST_STATUS_TOKEN:
        reader.warnings.append(
            f"status.token: under {SHORTEST_STATUS_TOKEN} characters, so it can be guessed: openssl rand -hex 32"
        )
    return token


def _status_tokens(settings: Settings, reader: _Reader) -> dict[str, SecretStr]:
    """The tokens by name; one that another has as well is refused, since nobody could be told by it."""
    unnamed = _Reader(reader.environ).read("status.token", settings.status.token)  # what is wrong with it is told of it
    keys = {unnamed.get_secret_value(): "status.token"} if unnamed is not None else {}
    found = {}
    for position, entry in enumerate(settings.status.tokens):
        key = f"status.tokens[{position}].token"
        token = reader.read(key, entry.token, _check_length)
        if token is None:
            continue
        other = keys.setdefault(token.get_secret_value(), key)
        if other == key:
            found[entry.name] = token
        else:
            reader.problems.append(f"{key}: is the same as {other}: give {entry.name} a token of their own")
    return found


def _check_length(token: str) -> str:
    if len(token) < SHORTEST_STATUS_TOKEN:
        raise ValueError(f"has under {SHORTEST_STATUS_TOKEN} characters, so it can be guessed: openssl rand -hex 32")
    return token


def _store_secrets(name: StoreName, store: StoreSettings, reader: _Reader) -> StoreSecrets:
    nhanh, shopify = store.nhanh, store.shopify
    return StoreSecrets(
        nhanh_access_token=reader.read(f"stores.{name}.nhanh.access_token", nhanh.access_token if nhanh else None),
        nhanh_secret_key=reader.read(f"stores.{name}.nhanh.secret_key", nhanh.secret_key if nhanh else None),
        shopify_access_token=reader.read(
            f"stores.{name}.shopify.access_token", shopify.access_token if shopify else None, check_access_token
        ),
        shopify_client_secret=reader.read(
            f"stores.{name}.shopify.client_secret", shopify.client_secret if shopify else None, check_client_secret
        ),
        nhanh_webhook_token=reader.read(
            f"stores.{name}.nhanh.webhook_token", nhanh.webhook_token if nhanh else None, _check_webhook_token
        ),
        shopify_webhook_secret=reader.read(
            f"stores.{name}.shopify.webhook_secret", shopify.webhook_secret if shopify else None, check_client_secret
        ),
    )


def _check_webhook_token(token: str) -> str:
    """The token unchanged. Source: apidocs.nhanh.vn, "Khởi tạo app": 16 to 128 characters, letters and digits."""
    if not (token.isascii() and token.isprintable() and " " not in token and 16 <= len(token) <= 128):
        raise ValueError("Nhanh.vn takes a webhooks verify token of 16 to 128 letters and digits: openssl rand -hex 32")
    return token


def _alert_urls(settings: Settings, reader: _Reader) -> dict[str, SecretStr]:
    """By the names of the channels; without those that can't be read."""
    found = {
        alert.name: reader.read(f"alerts[{place}].url", alert.url, check_alert_url)
        for place, alert in enumerate(settings.alerts)
    }
    return {name: url for name, url in found.items() if url is not None}


def _heartbeat_url(settings: Settings, reader: _Reader) -> SecretStr | None:
    reference = settings.heartbeat.url if settings.heartbeat is not None else None
    return reader.read("heartbeat.url", reference, check_heartbeat_url)


def _read_file(path: Path, what: str, advice: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET + 1)
    except FileNotFoundError:
        raise ValueError(f"{what} does not exist: {advice}") from None
    except PermissionError:
        raise ValueError(f"{what} can't be read by this user: run this as root, or as the daemon's user") from None
    except OSError as error:
        raise ValueError(f"{what} can't be read: {error.strerror}") from None
    return _as_text(content, what)


def _as_text(content: bytes, what: str) -> str:
    if len(content) > LARGEST_SECRET:
        raise ValueError(f"{what} is too large for a secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not text") from None
    return _checked(text, what)


def _checked(value: str, what: str) -> str:
    """The value without the newline that editors leave at the end of a file."""
    value = value.strip()
    if not value:
        raise ValueError(f"{what} is empty")
    if not value.isprintable():
        raise ValueError(f"{what} holds more than one line, or unprintable characters")
    return value
