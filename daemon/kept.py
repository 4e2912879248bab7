"""Results that are kept as long as they hold."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def kept_for_same(derive: Callable[[T], R]) -> Callable[[T], R]:
    """A function of something that nobody changes, which derives its result anew only for another object.

    For what follows from the configuration and is asked for at every look: a thousand stores take milliseconds.
    """
    kept: tuple[T, R] | None = None

    @wraps(derive)
    def answer(source: T) -> R:
        nonlocal kept
        last = kept
        if last is None or last[0] is not source:
            last = kept = (source, derive(source))
        return last[1]

    return answer
