"""The present stock and prices: locations, stock levels, prices, and whether a product has changed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from daemon.errors import CursorRefused, SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import number_text
from daemon.sources.decode import Moment, UnfitRowError, check_amount
from daemon.sources.meter import BeforeSend, CallMeter, at_once
from daemon.sources.shopify import operations
from daemon.sources.shopify.endpoint import GraphqlEndpoint, nodes_of, whole_page
from daemon.sources.shopify.errors import AnswerFailed
from daemon.sources.shopify.levels import cut_short, read_levels
from daemon.sources.shopify.models import ItemStock, Location, PricePair, Quantities, Reading, gid, gid_number
from daemon.sources.shopify.operations import GraphqlOperation
from daemon.sources.shopify.partial import FEW, Unreadable
from daemon.sources.shopify.shape import MAX_PAGE, PageShape

T = TypeVar("T")

LOCATION_COST = 0.08  # points, of each of a page of locations
ITEM_COST = 12.0  # points, of an inventory item with a few of its levels
LEVEL_COST = 0.2  # points, of each of a page of an inventory item's levels


class StockReader:
    """Reads the present state of stock and prices.

    What is read decides what is written: the reading names each row that can't be read, and what it belongs to
    is left alone. Where most of many can't be read, it is the answer that is unreadable, which is an error.
    """

    def __init__(self, endpoint: GraphqlEndpoint) -> None:
        self._endpoint = endpoint
        self._stock_pages = PageShape(100, levels=4)
        self._level_pages = PageShape(MAX_PAGE)
        self._location_pages = PageShape(MAX_PAGE)
        self._pages_by_ids: dict[str, PageShape] = {}  # of what is read by ids, by the operation's name

    async def locations(self, *, meter: CallMeter | None = None) -> list[Location]:
        """All locations by id, deactivated ones too, without those of other apps' fulfilment services.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        found: list[Location] = []
        cursor: str | None = None

        def read(data: dict[str, Any]) -> tuple[list[Location], str | None]:
            nodes, following = whole_page(data["locations"])
            return [_location(node) for node in nodes], following

        while True:
            (places, following), _cost = await self._endpoint.shaped(
                operations.LOCATIONS,
                {"after": cursor},
                self._location_pages,
                meter or CallMeter(),
                read=read,
                row_cost=LOCATION_COST,
            )
            found += places
            if following is None:
                return found
            if following == cursor:
                raise SourceUnavailable(
                    _("Reading the locations of {source} stopped: its pages repeat.").format(
                        source=self._endpoint.source
                    )
                )
            cursor = following

    async def stock_levels(self, item_ids: Sequence[int], *, meter: CallMeter) -> Reading[ItemStock]:
        """The present stock of these inventory items, in as many calls as it takes.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """

        ids = [gid("InventoryItem", number) for number in dict.fromkeys(item_ids)]
        nodes = await self._endpoint.nodes(
            operations.STOCK_LEVELS,
            ids,
            self._stock_pages,
            meter,
            cut_short=lambda data: cut_short(nodes_of(data)),
            row_cost=ITEM_COST,
        )
        reading: Reading[ItemStock] = Reading()
        for node in nodes:
            try:
                row = _whole(node)
                reading.found[_id(row)] = ItemStock(_boolean(row["tracked"]), await self._all_levels(row, meter))
            except (KeyError, TypeError, UnfitRowError) as error:
                reading.unread[self._asked_for(operations.STOCK_LEVELS, node)] = _said(error)
        return self._plausible(operations.STOCK_LEVELS, reading)

    async def present_prices(
        self, variant_ids: Sequence[int], *, meter: CallMeter, before_send: BeforeSend = at_once
    ) -> Reading[PricePair]:
        """The present price and compare-at price of these variants, in as many calls as it takes, for a point each.

        `before_send` is awaited before each attempt.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        ids = [gid("ProductVariant", number) for number in variant_ids]
        return await self._each(
            operations.PRESENT_PRICES, ids, meter, cost=1.0, read=read_price_pair, before_send=before_send
        )

    async def product_versions(
        self, product_ids: Sequence[int], *, meter: CallMeter, before_send: BeforeSend = at_once
    ) -> Reading[datetime]:
        """When each of these products was last changed, by Shopify's clock; a change of a variant's price is one.

        A point for each product. `before_send` is awaited before each attempt.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        ids = [gid("Product", number) for number in product_ids]
        return await self._each(
            operations.PRODUCT_VERSIONS, ids, meter, cost=1.0, read=_updated_at, before_send=before_send
        )

    async def _each(
        self,
        operation: GraphqlOperation,
        ids: Sequence[str],
        meter: CallMeter,
        *,
        cost: float,
        read: Callable[[dict[str, Any]], T],
        before_send: BeforeSend = at_once,
    ) -> Reading[T]:
        """What `read` makes of each of these that exists; `cost` is that of one, in points."""
        reading: Reading[T] = Reading()
        pages = self._pages_by_ids.setdefault(operation.name, PageShape(MAX_PAGE))
        for node in await self._endpoint.nodes(
            operation, list(dict.fromkeys(ids)), pages, meter, row_cost=cost, before_send=before_send
        ):
            try:
                row = _whole(node)
                reading.found[_id(row)] = read(row)
            except (KeyError, TypeError, UnfitRowError) as error:
                reading.unread[self._asked_for(operation, node)] = _said(error)
        return self._plausible(operation, reading)

    def _asked_for(self, operation: GraphqlOperation, node: Any) -> int:
        """The id of a row that can't be read.

        Raises:
            SourceUnavailable: it is not known which one it is.
        """
        row = node.row if isinstance(node, Unreadable) else node
        number = gid_number(row.get("id")) if isinstance(row, dict) else None
        if number is None:
            raise self._endpoint.unreadable(operation)
        return number

    def _plausible(self, operation: GraphqlOperation, reading: Reading[T]) -> Reading[T]:
        """A reading, unless so much of it is missing that the answers can't be relied on: raises SourceUnavailable."""
        if len(reading.unread) > max(FEW, len(reading.found)):
            said = next(iter(reading.unread.values()))
            raise SourceUnavailable(
                _("{source} could not answer {name} for {n} of {all}: {said}").format(
                    source=self._endpoint.source,
                    name=operation.name,
                    n=number_text(len(reading.unread)),
                    all=number_text(len(reading.unread) + len(reading.found)),
                    said=said,
                )
            )
        return reading

    async def _all_levels(self, item: dict[str, Any], meter: CallMeter) -> dict[int, Quantities]:
        async def more(identifier: str, cursor: str) -> list[Any]:
            return await self._levels_behind(identifier, cursor, meter)

        return await read_levels(item, more)

    async def _levels_behind(self, item: str, cursor: str, meter: CallMeter) -> list[Any]:
        def read(data: dict[str, Any]) -> tuple[list[Any], str | None]:
            return whole_page(data["inventoryItem"]["inventoryLevels"])

        what = _("stock levels of inventory item {item}").format(item=gid_number(item))
        return await behind(
            self._endpoint,
            operations.MORE_LEVELS,
            item,
            cursor,
            self._level_pages,
            meter,
            read=read,
            what=what,
            row_cost=LEVEL_COST,
        )


async def behind(
    endpoint: GraphqlEndpoint,
    operation: GraphqlOperation,
    owner: str,
    cursor: str,
    shape: PageShape,
    meter: CallMeter,
    *,
    read: Callable[[dict[str, Any]], tuple[list[Any], str | None]],
    what: str,
    cut_short: Callable[[dict[str, Any]], int] | None = None,
    row_cost: float | None = None,
) -> list[Any]:
    """The rest of a list that belongs to a row, whole, starting after a cursor.

    Args:
        endpoint: where to ask.
        operation: asks for a page of it, by the owner's `id`.
        owner: the global id of the row that it belongs to.
        cursor: after what was there.
        shape: of its pages.
        meter: counts the calls.
        read: takes the nodes, and the cursor of the next page, out of the data of an answer.
        what: the list in words.
        cut_short: as of `GraphqlEndpoint.shaped`.
        row_cost: as of `GraphqlEndpoint.shaped`.

    Raises:
        UnfitRowError: Shopify does not give all of it, such as for an owner that was deleted meanwhile: what is known
            of that stays until the next pull.
        SourceRefused, RateLimited, SourceUnavailable: after the retries.
    """
    found: list[Any] = []
    following: str | None = cursor
    while following is not None:
        variables = {"id": owner, "after": following}
        try:
            (nodes, then), _cost = await endpoint.shaped(
                operation, variables, shape, meter, read=_unless_gone(read), cut_short=cut_short, row_cost=row_cost
            )
        except (_GoneError, AnswerFailed, CursorRefused) as error:
            raise UnfitRowError(
                _("The {what} could not be read whole: {error}").format(what=what, error=error)
            ) from error
        if then == following:
            raise SourceUnavailable(
                _("Reading the {what} of {source} stopped: its pages repeat.").format(what=what, source=endpoint.source)
            )
        found += nodes
        following = then
    return found


class _GoneError(SourceRefused):
    """The owner of a list no longer exists."""


def _unless_gone(
    read: Callable[[dict[str, Any]], tuple[list[Any], str | None]],
) -> Callable[[dict[str, Any]], tuple[list[Any], str | None]]:
    """`read`, but an owner that is gone twice is believed to be gone."""
    absences = 0

    def look(data: dict[str, Any]) -> tuple[list[Any], str | None]:
        nonlocal absences
        if all(owner is None for owner in data.values()):
            absences += 1
            if absences > 1:
                raise _GoneError(_("it no longer exists."))
        return read(data)

    return look


def _whole(node: Any) -> dict[str, Any]:
    """A row that Shopify has given whole; raises UnfitRowError."""
    if isinstance(node, Unreadable):
        raise UnfitRowError(node.reason)
    if not isinstance(node, dict):
        raise UnfitRowError(_("This is not a row."))
    return node


def _said(error: Exception) -> str:
    if isinstance(error, UnfitRowError):
        return str(error)
    return _("A field of it can't be read: {error}.").format(error=error)


def read_price_pair(variant: dict[str, Any]) -> PricePair:
    """The price and the compare-at price of a variant.

    Raises:
        KeyError, TypeError, UnfitRowError: they can't be read.
    """
    price, compare_at = _amount("price", variant["price"]), variant["compareAtPrice"]
    return PricePair(price, None if compare_at is None else _amount("compareAtPrice", compare_at))


def _amount(name: str, value: Any) -> Decimal:
    try:
        amount = check_amount(name, msgspec.convert(value, Decimal, strict=False))
    except msgspec.ValidationError as error:
        raise UnfitRowError(
            _("The field {name} is not a number: {value!r}.").format(name=name, value=str(value)[:100])
        ) from error
    return amount or Decimal(0)


def _location(node: dict[str, Any]) -> Location:
    return Location(
        id=_id(node),
        name=str(node["name"]),
        is_active=_boolean(node["isActive"]),
        is_fulfillment_service=node.get("isFulfillmentService") is True,
    )


def _updated_at(node: dict[str, Any]) -> datetime:
    try:
        return msgspec.convert(node["updatedAt"], Moment)
    except msgspec.ValidationError as error:
        raise UnfitRowError(_("The field updatedAt is not a valid time.")) from error


def _id(node: dict[str, Any]) -> int:
    number = gid_number(node["id"])
    if number is None:
        raise UnfitRowError(_("The field id is not a Shopify id."))
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitRowError(_("Neither true nor false: {value!r}.").format(value=str(value)[:100]))
    return value
