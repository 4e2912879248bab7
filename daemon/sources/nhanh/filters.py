"""Filters of Nhanh pulls: their canonical form, which travels with a job, and what they are called in the API."""

from collections.abc import Mapping

from daemon.errors import InvalidFilter
from daemon.sources import filters as read

# Nhanh documentation, "Product status": 1 new, 2 selling, 3 stopped (hidden unless asked for), 4 out of stock.
ALL_STATUSES = range(1, 5)
CUSTOMER_TYPES = range(1, 4)  # Nhanh documentation: 1 retail, 2 wholesale, 3 agent

_CUSTOMER: dict[str, read.Reader] = {
    "type": read.choice(CUSTOMER_TYPES),
    "last_bought_from": read.day,
    "last_bought_to": read.day,
    "updated_from": read.moment,
    "updated_to": read.moment,
    "ids": read.numbers(most=read.MAX_IDS),
}
_PRODUCT: dict[str, read.Reader] = {
    "status": read.numbers(ALL_STATUSES),
    "updated_from": read.moment,
    "updated_to": read.moment,
    "ids": read.numbers(most=read.MAX_IDS),
    "category_ids": read.numbers(),
    "brand_ids": read.numbers(),
    "name": read.text,
}
_INVENTORY: dict[str, read.Reader] = {
    "updated_from": read.moment,
    "updated_to": read.moment,
    "ids": read.numbers(most=read.MAX_IDS),
    "brand_ids": read.numbers(),
    "name": read.text,
}
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


def normalise_customer_filters(filters: Mapping[str, object]) -> dict[str, object]:
    """Filters of a customer pull in canonical JSON form: equal pulls have equal filters.

    `type` (1 retail, 2 wholesale, 3 agent), `last_bought_from` and `last_bought_to` (dates), `updated_from` and
    `updated_to` (times with a zone, or Unix seconds), `ids` (at most 100).

    Raises:
        InvalidFilter: an unknown filter or an unfit value, in a plain sentence.
    """
    return _in_order(read.normalise(filters, _CUSTOMER, of="customers of Nhanh"))


def normalise_product_filters(filters: Mapping[str, object]) -> dict[str, object]:
    """Filters of a product pull in canonical JSON form: equal pulls have equal filters.

    `status` (1 new, 2 selling, 3 stopped, 4 out of stock), `updated_from`, `updated_to`, `ids` (at most 100),
    `category_ids`, `brand_ids`, `name` (name, code or barcode).

    Raises:
        InvalidFilter: an unknown filter or an unfit value, in a plain sentence.
    """
    return _in_order(read.normalise(filters, _PRODUCT, of="products of Nhanh"))


def normalise_inventory_filters(filters: Mapping[str, object]) -> dict[str, object]:
    """Filters of a stock pull in canonical JSON form.

    `updated_from`, `updated_to`, `ids` (at most 100), `brand_ids`, `name`. Not by depot: an answer of some depots only
    looks as if the others held nothing.

    Raises:
        InvalidFilter: an unknown filter or an unfit value, in a plain sentence.
    """
    return _in_order(read.normalise(filters, _INVENTORY, of="stock of Nhanh"))


def to_api(canonical: Mapping[str, object]) -> dict[str, object]:
    """Canonical filters as the API wants them: its names, and times as Unix seconds."""
    return {
        _API_NAMES[name]: read.unix_seconds(str(value)) if name in _MOMENTS else value
        for name, value in canonical.items()
    }


def _in_order(filters: dict[str, object]) -> dict[str, object]:
    for start, end in (("last_bought_from", "last_bought_to"), ("updated_from", "updated_to")):
        if start in filters and end in filters and str(filters[start]) > str(filters[end]):
            raise InvalidFilter(f"The filter {start} ({filters[start]}) lies behind {end} ({filters[end]}).")
    return filters
