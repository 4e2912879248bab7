"""Access scopes as Shopify writes them: read from its answers, compared, and written for its Dev Dashboard."""

from collections.abc import Iterable
from typing import Any


def read_scopes(text: Any) -> frozenset[str]:
    """The scopes in an answer, separated by commas; by older APIs, by spaces.

    Raises:
        ValueError: this is not text.
    """
    if not isinstance(text, str):
        raise ValueError("no text")
    return frozenset(text.replace(",", " ").split())


def missing_scopes(needed: Iterable[str], granted: Iterable[str]) -> list[str]:
    """Which of the needed scopes are missing, in order; a scope for writing includes the one for reading."""
    held = frozenset(granted)
    return [scope for scope in dict.fromkeys(needed) if not {scope, scope.replace("read_", "write_")} & held]


def write_scopes(scopes: Iterable[str]) -> str:
    """The list as the field Scopes of an app's version accepts it, without scopes for reading what another of them
    allows to write."""
    wanted = frozenset(scopes)
    return ",".join(sorted(scope for scope in wanted if scope.replace("read_", "write_") not in wanted - {scope}))
