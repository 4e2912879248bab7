"""The files in which secrets are kept: never readable by others, never half written; and how a service gets them."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.cli.installation.places import Service, below
from daemon.config.encrypted_credentials import SUFFIX, encrypt, encrypted_path, is_encrypted
from daemon.config.fields import CREDENTIAL_PATTERN
from daemon.errors import ConfigError
from daemon.i18n import gettext as _

DROP_IN = "credentials.conf"
CREDENTIAL = re.compile(CREDENTIAL_PATTERN)  # what an editor leaves behind has other names


def write_credential(path: Path, secret: str, *, may_encrypt: bool = True) -> Path:
    """Keep a secret as a systemd credential, encrypted where this machine can. Returns where it lies.

    One that is there already keeps its file and its form, which a unit may name.

    Args:
        path: of its plain form; it is named after the credential.
        secret: the secret.
        may_encrypt: False for a machine that is not this one.

    Raises:
        ConfigError: its file is encrypted, and the new secret can't be.
        OSError: it can't be written.
    """
    encrypted = encrypted_path(path)
    present = next((one for one in (encrypted, path) if one.exists()), None)
    wants_encryption = may_encrypt and (present is None or is_encrypted(present))
    content = encrypt(path.name, secret) if wants_encryption else None
    if present is not None and is_encrypted(present) and content is None:
        raise ConfigError(
            _("{path}: systemd-creds can't encrypt the new secret; run this as root").format(path=present)
        )
    target = present or (path if content is None else encrypted)
    write_secret(target, content or secret.encode() + b"\n")
    return target


def write_drop_in(service: Service, root: Path = Path("/")) -> bool:
    """Let a service get all credentials that lie in its folder. Returns whether that changed anything.

    Raises:
        OSError: it can't be written.
    """
    path = below(root, service.drop_in("service", DROP_IN))
    text = drop_in_text(service, root)
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace_file(path, text.encode(), mode=0o644, like=path.parent)
    return True


def drop_in_text(service: Service, root: Path = Path("/")) -> str:
    """What the drop-in says: a line for each credential."""
    lines = (f"{key}={name}:{service.credentials / file}" for key, name, file in _credentials(service, root))
    return "\n".join(
        [
            f"# Kept by `dongbo install-service` and `dongbo connect`: all files in {service.credentials}.",
            "[Service]",
            *lines,
            "",
        ]
    )


def _credentials(service: Service, root: Path) -> Iterator[tuple[str, str, str]]:
    """For each credential the key of the unit, its name and its file; an encrypted one counts before a plain one."""
    folder = below(root, service.credentials)
    files = {path.name for path in folder.iterdir() if CREDENTIAL.fullmatch(path.name)} if folder.is_dir() else set()
    for file in sorted(files):
        if file.endswith(SUFFIX):
            yield "LoadCredentialEncrypted", file.removesuffix(SUFFIX), file
        elif f"{file}{SUFFIX}" not in files:
            yield "LoadCredential", file, file


def write_secret(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner alone; an existing one keeps its owner, and its group's right
    to read it, which the daemon may live on."""
    path = path.resolve()
    make_directory(path.parent)
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


def make_directory(directory: Path) -> None:
    """Make a folder for secrets, which only its owner can enter; it gets the owner of the one that it is in."""
    if directory.exists():
        return
    directory.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        owner = directory.parent.stat()
        os.chown(directory, owner.st_uid, owner.st_gid)
