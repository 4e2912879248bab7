"""What the pulls of a source have in common: asking for what changed, and counting."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from daemon.sources.meter import CallMeter
from daemon.sources.shopify.models import Count


def changed_since(filters: Mapping[str, Any], since: datetime | None) -> dict[str, Any]:
    """Filters of Nhanh narrowed to what has changed since a time; a later bound that was asked for stays."""
    if since is None:
        return dict(filters)
    asked = filters.get("updated_from")
    bound = max(since, datetime.fromisoformat(asked)) if asked else since
    return {**filters, "updated_from": bound}


async def uncounted(_since: datetime | None, _meter: CallMeter) -> int | None:
    """Nhanh documents no count."""
    return None


def exact_total(count: Count) -> int | None:
    """A total to promise: only an exact one."""
    return count.count if count.exact else None
