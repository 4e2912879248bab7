"""Access scopes as Shopify writes them: read from its answers, compared, and written for its Dev Dashboard."""

from collections.abc import Iterable
from typing import Any


def read_scopes(text: Any) -> frozenset[str]:
    """The scopes of an answer, which separates them by commas; of older APIs by blanks.

    Raises:
        ValueError: this is no text.
    """
    if not isinstance(text, str):
        raise ValueError("no text")
    return frozenset(text.replace(",", " ").split())


def missing_scopes(needed: Iterable[str], granted: Iterable[str]) -> list[str]:
    """Which of the needed ones are lacking, in their order: who may write a thing may read it."""
    held = frozenset(granted)
    return [scope for scope in dict.fromkeys(needed) if not {scope, scope.replace("read_", "write_")} & held]


def write_scopes(scopes: Iterable[str]) -> str:
    """The list as the field Scopes of an app's version takes it; what is only read of a thing that is written, too, is
    left out."""
    wanted = frozenset(scopes)
    return ",".join(sorted(scope for scope in wanted if scope.replace("read_", "write_") not in wanted - {scope}))
