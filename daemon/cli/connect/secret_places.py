"""Where a secret is kept, and how it gets there: never readable by others, never half written."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daemon.config import SecretRef
from daemon.errors import ConfigError

UNIT = Path("/etc/systemd/system/dongbo.service")
# The kinds of keys (of the host, of a TPM, of both) by which encrypted credentials begin: systemd-creds(1), examples.
ENCRYPTED = (b"Whxqht+dQJax1aZeCGLxm", b"DHzAexF2RZGcSwvqCLwg", b"k6iUCUh0RJCQyvL8k8q1U")
SYSTEMD_CREDS_TIMEOUT = 20.0  # seconds


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
            _make_directory(self.path.parent)
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
                _write(self.path, secret.encode() + b"\n")
                return Stored(str(self.path), taken_over=True)
            return self._store_credential(self.reference.credential, self.path, secret)
        except OSError as error:
            raise ConfigError(f"{self.path}: can't be written ({error.strerror})") from None

    def _store_credential(self, name: str, path: Path, secret: str) -> Stored:
        """A credential that is there already keeps its file and its form, which the unit names."""
        restart = "systemctl daemon-reload && systemctl restart dongbo"
        encrypted_path = path.with_name(f"{path.name}.cred")
        present = next((one for one in (encrypted_path, path) if one.exists()), None)
        encrypted = _encrypted(name, secret) if present is None or _is_encrypted(present) else None
        if present is not None:
            if _is_encrypted(present) and encrypted is None:
                raise ConfigError(f"{present}: systemd-creds can't encrypt the new secret; run this as root")
            _write(present, encrypted or secret.encode() + b"\n")
            return Stored(f"{present} (encrypted)" if encrypted else str(present), (restart,))
        kind, target = ("LoadCredentialEncrypted", encrypted_path) if encrypted else ("LoadCredential", path)
        _write(target, encrypted or secret.encode() + b"\n")
        edit = f"`systemctl edit dongbo`, and below [Service]: {kind}={name}:{target}"
        return Stored(f"{target} (encrypted)" if encrypted else str(target), (edit, restart))


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
    directory = config.absolute().parent
    if wanted is not None:
        return _place(_wanted(wanted, directory / "secrets" / name), directory)
    reference = _valid(configured)
    if reference is not None and (reference.env is None or reference.env in environ):
        return _place(reference, directory)
    if directory == Path("/etc/dongbo") and UNIT.exists():
        return _place(SecretRef(credential=name), directory)
    return _place(SecretRef(file=str(directory / "secrets" / name)), directory)


def _place(reference: SecretRef, directory: Path) -> SecretPlace:
    match reference:
        case SecretRef(file=str(name)):
            return SecretPlace(reference, Path(name))
        case SecretRef(credential=str(name)):
            return SecretPlace(reference, directory / "credentials" / name)
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


def _is_encrypted(path: Path) -> bool:
    """Whether a file is what systemd-creds makes."""
    try:
        return path.read_bytes().startswith(ENCRYPTED)
    except OSError:
        return False


def _encrypted(name: str, secret: str) -> bytes | None:
    """The secret so that only this machine's systemd can read it; None where systemd-creds is missing or can't."""
    program = shutil.which("systemd-creds")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the secret goes by standard input, which no process list shows
            [program, "encrypt", f"--name={name}", "-", "-"],
            input=secret.encode(),
            capture_output=True,
            timeout=SYSTEMD_CREDS_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout or None


def _write(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner alone; an existing one keeps its owner, and its group's right
    to read it, which the daemon may live on."""
    path = path.resolve()
    _make_directory(path.parent)
    may_group_read = path.stat().st_mode & 0o040 if path.exists() else 0
    replace_file(path, content, mode=0o600 | may_group_read, like=path if path.exists() else path.parent)


def replace_file(path: Path, content: bytes, *, mode: int, like: Path) -> None:
    """Write a new file, and put it in the place of the old one once it is on disk; it gets the owner of `like`."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        if os.geteuid() == 0:
            owner = like.stat()
            os.chown(temporary, owner.st_uid, owner.st_gid)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_directory(directory: Path) -> None:
    if directory.exists():
        return
    directory.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        owner = directory.parent.stat()
        os.chown(directory, owner.st_uid, owner.st_gid)
