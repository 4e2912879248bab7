"""Filters of Shopify pulls: their canonical form, and the search query made of them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from daemon.errors import InvalidFilter
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sources import filters as read
from daemon.sources.filters import Filters, Schema

PRODUCT_STATUSES = ("active", "draft", "archived")
MAX_QUERY = 2000  # characters
QUERY_SCHEMA: Schema = {
    "type": ["string", "null"],
    "maxLength": MAX_QUERY,
    "description": mark("Only rows that this search finds, in Shopify's syntax; quotes and parentheses must match."),
}
PRODUCT_FILTERS = Filters(
    mark("products of Shopify"), {"status": read.words(mark("With one of these statuses."), PRODUCT_STATUSES)}
)


def normalise_query(query: object) -> str | None:
    """A search query in Shopify's syntax, trimmed; None if there is none.

    Raises:
        InvalidFilter: it is not text, too long, or its quotes or parentheses don't match, so that it could not be
            combined with anything.
    """
    if query is None:
        return None
    if not isinstance(query, str):
        raise InvalidFilter(_("The query must be text in Shopify's search syntax."))
    trimmed = query.strip()
    if len(trimmed) > MAX_QUERY or "\0" in trimmed:
        raise InvalidFilter(
            _("The query is longer than {n} characters or contains a NUL character.").format(n=MAX_QUERY)
        )
    if not _is_balanced(trimmed):
        raise InvalidFilter(_("The quotes or parentheses of the query don't match."))
    return trimmed or None


def search_query(
    query: str | None = None, *, filters: Mapping[str, object] | None = None, updated_from: datetime | None = None
) -> str | None:
    """One search query that means all of the parts at once; None if there are none.

    `filters` as `PRODUCT_FILTERS` takes them; `updated_from` is aware.
    """
    parts = [f"({asked})"] if (asked := normalise_query(query)) else []
    statuses = PRODUCT_FILTERS.normalise(filters or {}).get("status")
    if isinstance(statuses, list):
        alternatives = [f"status:{status}" for status in statuses]
        parts.append(alternatives[0] if len(alternatives) == 1 else f"({' OR '.join(alternatives)})")
    if updated_from is not None:
        # Shopify documentation, "Search syntax": a time is quoted, because of its colons.
        parts.append(f"updated_at:>='{updated_from.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'")
    if len(parts) == 1 and asked:
        return asked
    return " AND ".join(parts) or None


def quoted(term: str) -> str:
    """The term as one value of a search, whatever is in it (Shopify documentation, "Search syntax")."""
    escaped = term.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_balanced(query: str) -> bool:
    depth, in_quotes, escaped = 0, False, False
    for character in query:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            in_quotes = not in_quotes
        elif not in_quotes and character in "()":
            depth += 1 if character == "(" else -1
            if depth < 0:
                return False
    return depth == 0 and not in_quotes and not escaped
