"""Secrets: read from where the configuration says they are kept, and from then on masked in the log."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from daemon.config.address import check_database_url
from daemon.config.exposure import exposure_of
from daemon.config.fields import REFERENCE_FORMS, SecretRef
from daemon.config.settings import Settings, StoreSettings
from daemon.config.shopify_names import check_access_token, check_client_secret
from daemon.errors import ConfigError
from daemon.ids import StoreName
from daemon.logging import register_secret

LARGEST_SECRET = 64 * 1024  # bytes
SHORTEST_STATUS_TOKEN = 16  # characters
PASSWORD_OPTIONS = ("password", "sslpassword")  # of a database URL, after the ?


@dataclass(frozen=True, slots=True)
class StoreSecrets:
    """The credentials of one store; None where the store lacks the source, or the configuration the optional key."""

    nhanh_access_token: SecretStr | None = None
    nhanh_secret_key: SecretStr | None = None
    shopify_access_token: SecretStr | None = None
    shopify_client_secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class ResolvedSecrets:
    """All secrets of a configuration. Compares equal while none has changed; never shows them."""

    database_url: SecretStr | None  # None: the embedded server
    status_token: SecretStr | None
    stores: Mapping[StoreName, StoreSecrets]
    # What others could find out, a sentence each with what to do about it.
    warnings: tuple[str, ...] = field(default=(), compare=False)


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
        database_url=_database_url(settings, reader),
        status_token=_status_token(settings, reader),
        stores={name: _store_secrets(name, store, reader) for name, store in settings.stores.items()},
    )
    return replace(resolved, warnings=tuple(reader.warnings)), tuple(reader.problems)


def renewed_secrets(
    settings: Settings,
    known: ResolvedSecrets,
    environ: Mapping[str, str] = os.environ,
    *,
    config: Path | None = None,
) -> tuple[ResolvedSecrets, tuple[str, ...]]:
    """The secrets as they are now, and a line for each that can't be read: its store keeps those that are known."""
    reader = _Reader(environ, config)
    database_url, status_token = _database_url(settings, reader), _status_token(settings, reader)
    problems, warnings = list(reader.problems), list(reader.warnings)
    stores = {}
    for name, store in settings.stores.items():
        of_store = _Reader(environ)
        found = _store_secrets(name, store, of_store)
        stores[name] = known.stores[name] if of_store.problems and name in known.stores else found
        problems += of_store.problems
        warnings += of_store.warnings
    resolved = ResolvedSecrets(
        known.database_url if reader.problems else database_url,
        known.status_token if reader.problems else status_token,
        stores,
        tuple(warnings),
    )
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


def _references(settings: Settings) -> Iterator[object]:
    yield settings.database.url
    yield settings.status.token
    for store in settings.stores.values():
        for source in (store.nhanh, store.shopify):
            if source is not None:
                yield from (value for _, value in source)


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
        self._environ = environ
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
                if name not in self._environ:
                    raise ValueError(f"environment variable {name} is not set")
                return _checked(self._environ[name], f"environment variable {name}")
            case SecretRef(credential=str(name)):
                directory = self._environ.get("CREDENTIALS_DIRECTORY")
                if not directory:
                    raise ValueError(
                        f"credential {name} is for systemd, which did not start this; use env or file here"
                    )
                return self._from_file(
                    key, Path(directory, name), f"credential {name}", "add LoadCredential= to the systemd unit"
                )
            case SecretRef(file=str(name)):
                return self._from_file(key, Path(name), f"file {name}", "create it")
            case _:
                raise AssertionError("the model lets no reference without a place pass")

    def _from_file(self, key: str, path: Path, what: str, advice: str) -> str:
        value = _read_file(path, what, advice)
        self.warn_of_others(key, path)
        return value

    def warn_of_others(self, key: str, path: Path) -> None:
        """Note a warning where others can read the file that holds the secret of this key."""
        if (exposure := exposure_of(path)) is not None:
            self.warnings.append(f"{key}: {exposure}")


def _database_url(settings: Settings, reader: _Reader) -> SecretStr | None:
    url = settings.database.url
    secret = reader.read("database.url", url) if isinstance(url, SecretRef) else url
    if secret is None:
        return None
    try:
        parts = urlsplit(check_database_url(secret.get_secret_value()))
    except ValueError as error:
        reader.problems.append(f"database.url: {error}")
        return None
    passwords = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name in PASSWORD_OPTIONS)]
    for password in filter(None, passwords):
        register_secret(password)
        register_secret(unquote(password))
    if any(passwords) and not isinstance(url, SecretRef):
        reader.warnings.append(
            f"database.url: its password stands in the configuration file: say where the whole URL is kept, as "
            f"{REFERENCE_FORMS}, or leave the password out of it and to PGPASSFILE"
        )
        if reader.config is not None:
            reader.warn_of_others("database.url", reader.config)
    return secret


def _status_token(settings: Settings, reader: _Reader) -> SecretStr | None:
    token = reader.read("status.token", settings.status.token)
    if token is not None and len(token) < SHORTEST_STATUS_TOKEN:
        reader.warnings.append(
            f"status.token: under {SHORTEST_STATUS_TOKEN} characters, so it can be guessed: openssl rand -hex 32"
        )
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
    )


def _read_file(path: Path, what: str, advice: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET + 1)
    except FileNotFoundError:
        raise ValueError(f"{what} does not exist: {advice}") from None
    except OSError as error:
        raise ValueError(f"{what} can't be read: {error.strerror}") from None
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
