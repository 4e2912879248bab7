"""Delivers a message to a channel, or says why that is not possible; the channel's secrets never show."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import orjson
from pydantic import SecretStr

from daemon.i18n import gettext as _
from daemon.logging.redaction import Redactor, redact

DEADLINE: Final = 25.0  # seconds for one message, with the start of the program that sends it
LONGEST_ANSWER: Final = 400  # characters
PROGRAM: Final = str(Path(__file__).with_name("_apprise.py"))

# What of a URL may be shown, since it is of use to whoever reads an error: a host, for no token looks like one.
HOST: Final = re.compile(r"localhost|(\d{1,3}\.){3}\d{1,3}|([a-z0-9-]+\.)+[a-z]{2,24}")


class MessageKind(StrEnum):
    """What a message is about, as Apprise knows it: services show it by a colour or a sign."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """What a person gets, in plain text."""

    title: str
    body: str
    kind: MessageKind


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What came of a message: whether it went out, and what the service or the network said, without secrets."""

    went: bool
    answer: str


def is_installed() -> bool:
    """Whether Apprise is there, which is an extra."""
    return find_spec("apprise") is not None


def not_installed() -> str:
    """What to do where it is not."""
    return _("Apprise, which sends alerts, is not installed: pip install 'dongbo[alerts]'")


def service_of(url: SecretStr) -> str:
    """What kind of service a URL is of, such as `tgram`: all of it that may be shown."""
    return url.get_secret_value().partition("://")[0].lower()


async def deliver(url: SecretStr, message: Message) -> DeliveryOutcome:
    """Send a message. Never raises: that it does not go out is an outcome."""
    wanted = {"title": redact(message.title), "body": redact(message.body), "kind": message.kind}
    return await _ask(url, wanted)


async def try_out(url: SecretStr) -> DeliveryOutcome:
    """Whether a message could be sent by this URL, as far as that shows without sending one. Never raises."""
    outcome = await _ask(url, {})
    if outcome.went:
        return outcome
    return DeliveryOutcome(False, outcome.answer or _("Apprise does not understand its URL"))


async def _ask(url: SecretStr, wanted: dict[str, Any]) -> DeliveryOutcome:
    """Let the program do it, and end it whatever happens here."""
    if not is_installed():
        return DeliveryOutcome(False, not_installed())
    try:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-P", PROGRAM, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
    except OSError as error:
        return DeliveryOutcome(False, _("can't start the program that sends it: {error}").format(error=error.strerror))
    try:
        async with asyncio.timeout(DEADLINE):
            document = orjson.dumps({"url": url.get_secret_value(), **wanted})
            output, _nothing = await program.communicate(document)
    except TimeoutError:
        return DeliveryOutcome(False, _("no answer within {n:g} s").format(n=DEADLINE))
    finally:
        await _end(program)
    return _read(output, url, program.returncode)


async def _end(program: Process) -> None:
    if program.returncode is None:
        program.kill()
        await program.wait()


def _read(output: bytes, url: SecretStr, code: int | None) -> DeliveryOutcome:
    try:
        said = orjson.loads(output)
    except orjson.JSONDecodeError:
        return DeliveryOutcome(False, _("the program that sends it ended with exit code {code}").format(code=code))
    answer = " ".join(mask(said["answer"], url).split())
    return DeliveryOutcome(said["ok"], answer if len(answer) <= LONGEST_ANSWER else f"{answer[: LONGEST_ANSWER - 1]}…")


def mask(text: str, url: SecretStr) -> str:
    """Without anything of the URL but its kind and host: which of the rest is secret differs by service."""
    redactor = Redactor()
    for piece in _pieces(url.get_secret_value()):
        redactor.register(piece)
    return redact(redactor.redact(text))


def _pieces(url: str) -> Iterator[str]:
    yield url
    _kind, _separator, rest = url.partition("://")
    yield from re.split(r"[/?]", rest)  # a token may have colons
    for piece in re.split(r"[/@:?&=,;#]+", rest):
        if not HOST.fullmatch(piece):
            yield piece
            yield unquote(piece)
