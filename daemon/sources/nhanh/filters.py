"""Filters of Nhanh pulls: their canonical form, which travels with a job, and their names in the API."""

from collections.abc import Mapping

from daemon.sources import filters as read
from daemon.sources.filters import Filter, Filters

# Nhanh documentation, "Product status": 1 new, 2 selling, 3 stopped (hidden unless asked for), 4 out of stock.
ALL_STATUSES = range(1, 5)
CUSTOMER_TYPES = range(1, 4)  # Nhanh documentation: 1 retail, 2 wholesale, 3 agent

_UPDATED: dict[str, Filter] = {
    "updated_from": read.moment("Changed at this time or later."),
    "updated_to": read.moment("Changed at this time or earlier."),
    "ids": read.numbers("Those with these ids.", most=read.MAX_IDS),
}
_BRANDS = read.numbers("Of these brands, by id.")
_NAME = read.text("With this in their name, code or barcode.")

CUSTOMER_FILTERS = Filters(
    "customers of Nhanh",
    {
        "type": read.choice("1 retail, 2 wholesale, 3 agent.", CUSTOMER_TYPES),
        "last_bought_from": read.day("Last bought on this day or later."),
        "last_bought_to": read.day("Last bought on this day or earlier."),
        **_UPDATED,
    },
    spans=(("last_bought_from", "last_bought_to"), ("updated_from", "updated_to")),
)
PRODUCT_FILTERS = Filters(
    "products of Nhanh",
    {
        "status": read.numbers("1 new, 2 selling, 3 stopped, 4 out of stock.", ALL_STATUSES),
        **_UPDATED,
        "category_ids": read.numbers("Of these categories, by id."),
        "brand_ids": _BRANDS,
        "name": _NAME,
    },
    spans=(("updated_from", "updated_to"),),
)
# Not by depot: an answer for only some depots looks as if the others held nothing.
INVENTORY_FILTERS = Filters(
    "stock of Nhanh",
    {**_UPDATED, "brand_ids": _BRANDS, "name": _NAME},
    spans=(("updated_from", "updated_to"),),
)

_API_NAMES = {
    "type": "type",
    "last_bought_from": "lastBoughtDateFrom",
    "last_bought_to": "lastBoughtDateTo",
    "updated_from": "updatedAtFrom",
    "updated_to": "updatedAtTo",
    "ids": "ids",
    "status": "status",
    "category_ids": "categoryIds",
    "brand_ids": "brandIds",
    "name": "name",
}
_MOMENTS = {"updated_from", "updated_to"}


def to_api(canonical: Mapping[str, object]) -> dict[str, object]:
    """Canonical filters as the API wants them: its names, and times as Unix seconds."""
    return {
        _API_NAMES[name]: read.unix_seconds(str(value)) if name in _MOMENTS else value
        for name, value in canonical.items()
    }
