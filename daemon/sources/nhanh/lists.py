"""The lists of Nhanh.vn that pulls read: one record a list, and how its filters are called in the API.

The canonical form of the filters travels with a job.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from daemon.i18n import mark
from daemon.sources import filters as read
from daemon.sources.decode import RowDecoder
from daemon.sources.filters import Filter, Filters
from daemon.sources.nhanh.models import CustomerHead, NhanhCustomer, NhanhInventory, NhanhProduct
from daemon.sources.page import UnreadRow

T = TypeVar("T", bound=msgspec.Struct)

Heads = Callable[[bytes, Sequence[msgspec.Raw]], list[UnreadRow] | None]

# Nhanh documentation, "Product status": 1 new, 2 selling, 3 stopped (hidden unless asked for), 4 out of stock.
ALL_STATUSES = range(1, 5)
CUSTOMER_TYPES = range(1, 4)  # Nhanh documentation: 1 retail, 2 wholesale, 3 agent

_UPDATED: dict[str, Filter] = {
    "updated_from": read.moment(mark("Changed at this time or later.")),
    "updated_to": read.moment(mark("Changed at this time or earlier.")),
    "ids": read.numbers(mark("Those with these ids."), most=read.MAX_IDS),
}
_BRANDS = read.numbers(mark("Of these brands, by id."))
_NAME = read.text(mark("With this in their name, code or barcode."))


def heads_of(kind: type[UnreadRow]) -> Heads:
    """What `NhanhList.heads` does, for rows of this kind."""
    decode = msgspec.json.Decoder(list[kind], strict=False).decode  # type: ignore[valid-type]

    def heads(answer: bytes, rows: Sequence[msgspec.Raw]) -> list[UnreadRow] | None:
        if not rows:
            return []
        try:
            found: list[UnreadRow] = decode(answer)
        except (msgspec.DecodeError, RecursionError):
            return None
        for head, row in zip(found, rows, strict=True):
            head.document = bytes(row)
        return found

    return heads


@dataclass(frozen=True, slots=True)
class NhanhList(Generic[T]):
    """A list whose rows have ids, by which it can be sorted and asked for.

    Args:
        action: where it is in the API.
        decoder: of its rows.
        filters: those that a pull may have.
        heads: reads of all rows of an answer, given as a whole and one by one, only which they are; None where a row
            does not tell. None for a list of which more than that must be read of each row.
        sort: what the API calls the id in a request.
        unless_asked: filters of the API where no other value is asked for.
    """

    action: str
    decoder: RowDecoder[T]
    filters: Filters
    heads: Heads | None = None
    sort: str = "id"
    unless_asked: Mapping[str, object] = field(default_factory=dict)

    def narrowed(self, filters: Mapping[str, object]) -> dict[str, object]:
        """What to send for these filters; raises InvalidFilter."""
        return {**self.unless_asked, **to_api(self.filters.normalise(filters))}


CUSTOMERS = NhanhList(
    "customer/list",
    RowDecoder(NhanhCustomer),
    Filters(
        mark("customers of Nhanh"),
        {
            "type": read.choice(mark("1 retail, 2 wholesale, 3 agent."), CUSTOMER_TYPES),
            "last_bought_from": read.day(mark("Last bought on this day or later.")),
            "last_bought_to": read.day(mark("Last bought on this day or earlier.")),
            **_UPDATED,
        },
        spans=(("last_bought_from", "last_bought_to"), ("updated_from", "updated_to")),
    ),
    heads=heads_of(CustomerHead),
)
# With the stock of each depot.
PRODUCTS = NhanhList(
    "product/list",
    RowDecoder(NhanhProduct),
    Filters(
        mark("products of Nhanh"),
        {
            "status": read.numbers(mark("1 new, 2 selling, 3 stopped, 4 out of stock."), ALL_STATUSES),
            **_UPDATED,
            "category_ids": read.numbers(mark("Of these categories, by id.")),
            "brand_ids": _BRANDS,
            "name": _NAME,
        },
        spans=(("updated_from", "updated_to"),),
    ),
    unless_asked={"status": list(ALL_STATUSES)},
)
# Not by depot: an answer for only some depots looks as if the others held nothing.
INVENTORY = NhanhList(
    "product/inventory",
    RowDecoder(NhanhInventory, id_field="productId"),
    Filters(
        mark("stock of Nhanh"),
        {**_UPDATED, "brand_ids": _BRANDS, "name": _NAME},
        spans=(("updated_from", "updated_to"),),
    ),
    sort="productId",
    unless_asked={"status": list(ALL_STATUSES)},
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
