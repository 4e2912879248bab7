"""Where a secret is kept, and how it gets there."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daemon.cli.installation import systemd
from daemon.cli.installation.credential_files import make_directory, write_credential, write_drop_in, write_secret
from daemon.cli.installation.places import Service, service_of
from daemon.config import SecretRef
from daemon.config.encrypted_credentials import encrypted_path, is_encrypted
from daemon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Stored:
    """The outcome of storing a secret.

    Args:
        place: where it is kept now, in words; None: it could not be kept.
        to_do: what a person has yet to do, a line each.
        taken_over: whether a running daemon finds it by itself.
    """

    place: str | None
    to_do: tuple[str, ...] = ()
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """A place for one secret: what the configuration says of it, and its file where it has one."""

    reference: SecretRef
    path: Path | None  # None: a variable of the daemon's environment
    service: Service | None = None  # the installed one that it is for

    @property
    def toml(self) -> dict[str, str]:
        """The reference as the configuration has it."""
        return self.reference.model_dump(exclude_none=True)

    def describe(self) -> str:
        """The place in words."""
        match self.reference:
            case SecretRef(file=str(name)):
                return f"the file {name}"
            case SecretRef(credential=str(name)):
                return f"the systemd credential {name} (in {self.path})"
            case _:
                return f"the environment variable {self.reference.env}"

    def check(self) -> None:
        """Raise ConfigError unless a secret could be written there: better before a code is used up than after."""
        if self.path is None:
            return
        try:
            make_directory(self.path.parent)
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=".dongbo-")
            os.close(descriptor)
            Path(name).unlink()
        except OSError as error:
            raise ConfigError(
                f"{self.path.parent}: nothing can be written there ({error.strerror}); run this as the user whom it"
                " belongs to, or name another place with --keep-in"
            ) from None

    def store(self, secret: str) -> Stored:
        """Keep the secret there. Raises ConfigError where it can't be written."""
        if self.path is None:
            name = self.reference.env
            return Stored(None, (f"set {name} in the daemon's environment, and restart it",))
        try:
            if self.reference.credential is None:
                write_secret(self.path, secret.encode() + b"\n")
                return Stored(str(self.path), taken_over=True)
            return self._store_credential(self.reference.credential, self.path, secret)
        except OSError as error:
            raise ConfigError(f"{self.path}: can't be written ({error.strerror})") from None

    def _store_credential(self, name: str, path: Path, secret: str) -> Stored:
        was_there = path.exists() or encrypted_path(path).exists()
        target = write_credential(path, secret)
        kind = "LoadCredentialEncrypted" if is_encrypted(target) else "LoadCredential"
        kept = f"{target} (encrypted)" if is_encrypted(target) else str(target)
        service = self.service.name if self.service is not None else "dongbo"
        restart = f"systemctl daemon-reload && systemctl restart {service}"
        if self.service is not None:
            if not write_drop_in(self.service) or systemd.reload_units():
                restart = f"systemctl restart {service}"
        elif not was_there:
            return Stored(kept, (f"`systemctl edit dongbo`, and below [Service]: {kind}={name}:{target}", restart))
        return Stored(kept, (restart,))


def choose_place(
    wanted: str | None,
    configured: object,
    *,
    name: str,
    config: Path,
    environ: Mapping[str, str] = os.environ,
) -> SecretPlace:
    """Where to keep a secret: as `wanted`, else where the configuration says, else under systemd a credential, else a
    file beside the configuration.

    A variable that the configuration names and that is not set here does not hold the secret yet, as in the example.

    Args:
        wanted: `file`, `file:/path`, `credential:NAME`, `env:NAME` or None.
        configured: the configuration's reference, if any.
        name: of the file or credential, such as `main-shopify-client-secret`.
        config: the configuration file.
        environ: where variables are looked for.

    Raises:
        ConfigError: `wanted` is none of these.
    """
    directory, service = config.absolute().parent, service_of(config)
    if wanted is not None:
        return _place(_wanted(wanted, directory / "secrets" / name), directory, service)
    reference = _valid(configured)
    if reference is not None and (reference.env is None or reference.env in environ):
        return _place(reference, directory, service)
    if service is not None:
        return _place(SecretRef(credential=name), directory, service)
    return _place(SecretRef(file=str(directory / "secrets" / name)), directory, service)


def _place(reference: SecretRef, directory: Path, service: Service | None) -> SecretPlace:
    match reference:
        case SecretRef(file=str(name)):
            return SecretPlace(reference, Path(name))
        case SecretRef(credential=str(name)):
            return SecretPlace(reference, directory / "credentials" / name, service)
        case _:
            return SecretPlace(reference, None)


def _wanted(text: str, default: Path) -> SecretRef:
    kind, _, name = text.partition(":")
    forms = "file, file:/path, credential:NAME or env:NAME"
    try:
        if kind == "file":
            return SecretRef(file=str(Path(name).absolute()) if name else str(default))
        if kind in ("credential", "env") and name:
            return SecretRef.model_validate({kind: name})
    except ValidationError:
        pass
    raise ConfigError(f'--keep-in "{text}" is not a place: write {forms}')


def _valid(configured: object) -> SecretRef | None:
    try:
        return SecretRef.model_validate(configured)
    except ValidationError:
        return None
