"""Sends one message through Apprise, and exits. A script, run by file name with a JSON object on its standard input:

    {"url": an Apprise URL, "title": …, "body": plain text, "kind": "info" | "success" | "warning" | "failure"}

Without a title and body it only says whether Apprise understands the URL. It writes {"ok": …, "answer": …} to its
standard output: whether the message went out, and what the service said. Nothing is masked in that: the URL's secrets
may stand in it.

It is a program of its own, because Apprise and its plugins block, log URLs, may hang for as long as a server likes, and
take 40 MB of memory: nothing of that is the daemon's. It imports nothing else of the project.
"""

import json
import logging
import signal
import sys
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, OverflowMode

DEADLINE = 30  # seconds, after which it ends in any case: the daemon waits for less
DETAILS = ("Response Details:", "Socket Exception:", "SMTP Exception:", "I/O Exception:")  # how Apprise begins them


class Said(logging.Handler):
    """What Apprise logs, which is all that it says of an answer."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines.append((record.levelno, record.getMessage()))

    def answer(self, *, failed: bool) -> str:
        """Of a failure what went wrong, and what the service answered; else what was done."""
        if not failed:
            return " ".join(text for level, text in self._lines if level == logging.INFO)
        wrong = [text for level, text in self._lines if level >= logging.WARNING]
        details = [text for level, text in self._lines if level == logging.DEBUG and text.startswith(DETAILS)]
        return " ".join(dict.fromkeys((*wrong, *details)))


def main() -> None:
    """Send what standard input says."""
    signal.alarm(DEADLINE)
    wanted: dict[str, Any] = json.load(sys.stdin)
    said = Said()
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(said)
    went = send(wanted)
    json.dump({"ok": went, "answer": said.answer(failed=not went)}, sys.stdout)


def send(wanted: dict[str, Any]) -> bool:
    """Whether it went out; of no message, whether it could."""
    asset = AppriseAsset(app_id="dongbo", app_desc="dongbo", app_url="", secure_logging=True)
    service = Apprise.instantiate(wanted["url"], asset=asset)
    if not isinstance(service, NotifyBase) or "body" not in wanted:
        return isinstance(service, NotifyBase)
    if "overflow=" not in wanted["url"]:
        service.overflow_mode = OverflowMode.SPLIT  # rather in two messages than cut off, or refused by the service
    channel = Apprise(asset=asset)
    channel.add(service)
    told = channel.notify(
        title=wanted["title"], body=wanted["body"], notify_type=wanted["kind"], body_format=NotifyFormat.TEXT
    )
    return bool(told)


if __name__ == "__main__":
    main()
