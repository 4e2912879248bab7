"""Anything a caller may log, as plain values: JSON can hold them, no secret is in them, and nothing raises."""

import traceback
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from typing import Any

from daemon.errors import DongboError
from daemon.logging.redaction import MASK, names_a_secret, redact

DEEPEST = 6
LONGEST_COLLECTION = 100
LONGEST_TEXT = 10_000  # characters, enough for any honest traceback
LARGEST_INTEGER = 2**64 - 1  # what orjson writes
SMALLEST_INTEGER = -(2**63)
MOST_FRAMES = 20
LONGEST_CHAIN = 5


def to_plain(value: object, depth: int = 0) -> Any:
    """The value as None, bool, int, float, str, list or dict, with secrets masked and size bounded."""
    match value:
        case None | bool():
            return value
        case Enum():
            return to_plain(value.value, depth)
        case int():
            return int(value) if SMALLEST_INTEGER <= value <= LARGEST_INTEGER else _to_text(value)
        case float():
            return float(value)
        case str():
            return _clean(value)
        case date() | time():
            return value.isoformat()
        case BaseException() if not isinstance(value, DongboError):  # whose text often makes no sense without the class
            return f"{type(value).__name__}: {_to_text(value)}"
        case _ if depth >= DEEPEST:
            return "…"
        case dict():
            return plain_event(dict(list(value.items())[:LONGEST_COLLECTION]), depth)
        case list() | tuple() | set() | frozenset():
            return [to_plain(element, depth + 1) for element in list(value)[:LONGEST_COLLECTION]]
        case _:
            return _to_text(value)


def plain_event(event: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """All keys and values of an event, plain."""
    return {_key(key): _under_key(key, value, depth) for key, value in event.items()}


def describe_exception(error: BaseException, depth: int = 0) -> dict[str, Any]:
    """An exception with its causes as an object, compact: where it was raised, without source lines and variables."""
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), limit=-MOST_FRAMES, lookup_lines=False
    )
    described: dict[str, Any] = {
        "type": type(error).__qualname__,
        "message": _to_text(error),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if depth < LONGEST_CHAIN:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            described["cause"] = describe_exception(cause, depth + 1)
        if isinstance(error, BaseExceptionGroup):
            described["exceptions"] = [describe_exception(one, depth + 1) for one in error.exceptions[:LONGEST_CHAIN]]
    return described


def format_exception(error: BaseException) -> str:
    """An exception as Python prints it."""
    return "".join(traceback.TracebackException.from_exception(error, limit=-MOST_FRAMES).format()).rstrip()


def _under_key(key: object, value: object, depth: int) -> Any:
    is_shown = value is None or isinstance(value, bool) or not isinstance(key, str) or not names_a_secret(key)
    return to_plain(value, depth + 1) if is_shown else MASK


def _key(key: object) -> str:
    return _clean(key) if isinstance(key, str) else _to_text(key)


def _to_text(value: object) -> str:
    """What `str` makes of the value, or its class where that fails."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - somebody's __str__ or __repr__; the log must go on
        text = f"<{type(value).__name__} that can't be shown>"
    return _clean(text)


def _clean(text: str) -> str:
    """Masked first, so that cutting leaves no part of a secret; lone surrogates can't be written as UTF-8."""
    text = redact(str(text)).encode("utf-8", "backslashreplace").decode()
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"
