"""Questions to the person at the terminal, and answers from files for scripts."""

import getpass
import sys
from pathlib import Path

import typer

from daemon.cli.render import output
from daemon.errors import ConfigError

LARGEST_SECRET = 64 * 1024  # bytes


def is_interactive() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty()


def ask(question: str, *, option: str, default: str | None = None) -> str:
    """An answer in a line; an empty one is the default.

    Raises:
        ConfigError: there is nobody to ask: `option` says the same.
    """
    if not is_interactive():
        if default is not None:
            return default
        raise ConfigError(f"{question}? There is no terminal to ask on: use {option}")
    *above, last = question.rsplit("\n", 1)
    if above:
        output.tell(above[0])
    shown = f"{last} [{default}]: " if default else f"{last}: "
    while True:
        sys.stderr.write(output.plain(shown))
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise typer.Abort
        if answer := line.strip() or default:
            return answer


def ask_secret(question: str, file: Path | None) -> str:
    """A secret, from a file (`-` is standard input), or typed without being shown.

    Raises:
        ConfigError: it can't be read, or there is nobody to ask.
    """
    if file is not None:
        return _read_secret(file)
    if not is_interactive():
        raise ConfigError(f"{question}? There is no terminal to ask on: use --secret-file")
    while True:
        try:
            answer = getpass.getpass(f"{output.plain(question)} (not shown): ").strip()
        except EOFError:
            raise typer.Abort from None
        if answer:
            return answer


def confirm(question: str, *, yes: bool) -> None:
    """Continue, or end the command with nothing done."""
    if yes:
        return
    if not is_interactive():
        raise ConfigError(f"{question} There is no terminal to ask on: use --yes")
    if ask(f"{question}\nYes or no (y/n)", option="--yes", default="y").lower() not in ("y", "yes", "có", "c"):
        output.say("Nothing was stored.")
        raise typer.Exit(1)


def _read_secret(file: Path) -> str:
    try:
        content = sys.stdin.read(LARGEST_SECRET) if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--secret-file {file}: can't be read: {error}") from None
    secret = content.strip()
    if not secret or not secret.isprintable() or len(secret) > LARGEST_SECRET:
        raise ConfigError(f"--secret-file {file}: it must hold one line with the secret")
    return secret
