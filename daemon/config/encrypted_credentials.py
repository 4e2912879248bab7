"""Credentials that lie on disk encrypted, so that only systemd on this machine can read them: systemd-creds(1)."""

import shutil
import subprocess
from pathlib import Path

SUFFIX = ".cred"  # of a file that is named after its credential
# The kinds of keys (of the host, of a TPM, of both) by which encrypted credentials begin: systemd-creds(1), examples.
MARKS = (b"Whxqht+dQJax1aZeCGLxm", b"DHzAexF2RZGcSwvqCLwg", b"k6iUCUh0RJCQyvL8k8q1U")
TIMEOUT = 20.0  # seconds; a TPM takes its time


def encrypted_path(path: Path) -> Path:
    """Where the encrypted form of a credential lies, beside its plain one."""
    return path.with_name(f"{path.name}{SUFFIX}")


def is_encrypted(path: Path) -> bool:
    """Whether a file is what systemd-creds makes."""
    try:
        return path.read_bytes().startswith(MARKS)
    except OSError:
        return False


def encrypt(name: str, secret: str) -> bytes | None:
    """The secret in a form that only this machine's systemd can read; None where systemd-creds is missing or can't."""
    try:
        return _systemd_creds("encrypt", name, "-", secret.encode()) or None
    except (OSError, subprocess.SubprocessError):
        return None


def decrypt(name: str, path: Path) -> bytes:
    """The secret in an encrypted file. Raises ValueError where systemd-creds can't read it, or not for this user."""
    try:
        return _systemd_creds("decrypt", name, str(path))
    except (OSError, subprocess.SubprocessError):
        raise ValueError(f"{path} can't be decrypted here: run this as root, on the machine that made it") from None


def _systemd_creds(verb: str, name: str, source: str, given: bytes = b"") -> bytes:
    program = shutil.which("systemd-creds")
    if program is None:
        raise FileNotFoundError("systemd-creds")
    done = subprocess.run(  # noqa: S603 - a secret goes by standard input and output, which no process list shows
        [program, verb, f"--name={name}", source, "-"], input=given, capture_output=True, timeout=TIMEOUT, check=True
    )
    return done.stdout
