"""What the pulls of a source have in common: asking for what changed, and counting."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from daemon.sources.meter import CallMeter
from daemon.sources.shopify.models import Count

# Nhanh.vn: its documentation contradicts itself on what moves a time, so the last minutes are asked for again.
OVERLAP = timedelta(minutes=15)
# Nhanh.vn can't be asked for the newest row. Where its clock and the times of its rows differ by less than this, no
# change is lost; a row that changed last longer ago than this is not read in every pull.
DOUBT = timedelta(hours=1)
# Shopify's lists that are searched by the time of change come out of an index that lags behind its data by seconds to
# minutes. Shopify documents no bound: this is our choice, and a change that takes longer waits for the next full pull.
SEARCH_LAG = timedelta(minutes=5)


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
