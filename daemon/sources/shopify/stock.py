"""What there is and what it costs at present: locations, stock levels, prices, and whether a product has changed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from daemon.errors import SourceUnavailable
from daemon.sources.decode import Moment, UnfitRowError, check_amount
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import operations
from daemon.sources.shopify.endpoint import GraphqlEndpoint, nodes_of
from daemon.sources.shopify.levels import cut_short, read_levels
from daemon.sources.shopify.models import ItemStock, Location, VariantPrice, gid, gid_number
from daemon.sources.shopify.operations import Operation
from daemon.sources.shopify.shape import MAX_PAGE, PageShape

T = TypeVar("T")


class StockReader:
    """Reads the present state of stock and prices.

    An answer that can't be read is an error here and no dead letter: what is asked for decides what is written.
    """

    def __init__(self, endpoint: GraphqlEndpoint) -> None:
        self._endpoint = endpoint
        self._stock_pages = PageShape(100, levels=4)

    async def locations(self, *, meter: CallMeter | None = None) -> list[Location]:
        """All locations by id, deactivated ones too, without those of other apps' fulfilment services.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        found: list[Location] = []
        cursor: str | None = None
        while True:
            variables = {"first": MAX_PAGE, "after": cursor}
            data = await self._endpoint.query(operations.LOCATIONS, variables, meter or CallMeter(), estimate=20)
            nodes, following = self._endpoint.connection(operations.LOCATIONS, data.get("locations"))
            try:
                found += [_location(node) for node in nodes]
            except (KeyError, TypeError, UnfitRowError) as error:
                raise self._endpoint.unreadable(operations.LOCATIONS) from error
            if following is None:
                return found
            if following == cursor:
                raise SourceUnavailable(f"Reading the locations of {self._endpoint.source} goes round in a circle.")
            cursor = following

    async def stock_levels(self, item_ids: Sequence[int], *, meter: CallMeter) -> dict[int, ItemStock]:
        """The present stock of these inventory items, in as many calls as it takes; those that are gone are absent.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """

        def lacking(data: dict[str, Any]) -> int:
            return cut_short(nodes_of(data))

        found: dict[int, ItemStock] = {}
        left = [gid("InventoryItem", number) for number in dict.fromkeys(item_ids)]
        while left:
            data, asked = await self._endpoint.shaped(
                operations.STOCK_LEVELS, {}, self._stock_pages, meter, ids=left, cut_short=lacking
            )
            for node in self._endpoint.existing(operations.STOCK_LEVELS, data):
                try:
                    found[_id(node)] = ItemStock(_boolean(node["tracked"]), await self._all_levels(node, meter))
                except (KeyError, TypeError, UnfitRowError) as error:
                    raise self._endpoint.unreadable(operations.STOCK_LEVELS) from error
            left = left[asked:]
        return found

    async def variant_prices(self, variant_ids: Sequence[int], *, meter: CallMeter) -> dict[int, VariantPrice]:
        """The present prices of these variants, in as many calls as it takes; those that are gone are absent.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """

        def read(node: dict[str, Any]) -> VariantPrice:
            return read_price(node, _id(node["product"]))

        ids = [gid("ProductVariant", number) for number in variant_ids]
        # A variant and its product cost a point each.
        return await self._each(operations.VARIANT_PRICES, ids, meter, cost=2.0, read=read)

    async def present_prices(
        self, variant_ids: Sequence[int], *, meter: CallMeter
    ) -> dict[int, tuple[Decimal, Decimal | None]]:
        """Price and compare-at price of these variants at present, for half the points of `variant_prices`.

        In as many calls as it takes; variants that are gone are absent.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        ids = [gid("ProductVariant", number) for number in variant_ids]
        return await self._each(operations.PRESENT_PRICES, ids, meter, cost=1.0, read=read_amounts)

    async def product_versions(self, product_ids: Sequence[int], *, meter: CallMeter) -> dict[int, datetime]:
        """When each of these products was last changed, by Shopify's clock; a change of a variant's price is one.

        A point for each product; those that are gone are absent.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        ids = [gid("Product", number) for number in product_ids]
        return await self._each(operations.PRODUCT_VERSIONS, ids, meter, cost=1.0, read=_updated_at)

    async def _each(
        self,
        operation: Operation,
        ids: Sequence[str],
        meter: CallMeter,
        *,
        cost: float,
        read: Callable[[dict[str, Any]], T],
    ) -> dict[int, T]:
        """What `read` makes of each of these that exists; `cost` is that of one, in points."""
        found: dict[int, T] = {}
        ids = list(dict.fromkeys(ids))
        for start in range(0, len(ids), MAX_PAGE):
            portion = ids[start : start + MAX_PAGE]
            label, estimate = f"{operation.name}:{len(portion)}", cost * len(portion)
            data = await self._endpoint.query(operation, {"ids": portion}, meter, label=label, estimate=estimate)
            for node in self._endpoint.existing(operation, data):
                try:
                    found[_id(node)] = read(node)
                except (KeyError, TypeError, UnfitRowError) as error:
                    raise self._endpoint.unreadable(operation) from error
        return found

    async def _all_levels(self, item: dict[str, Any], meter: CallMeter) -> dict[int, int]:
        async def more(identifier: str, cursor: str) -> list[Any]:
            return await self._levels_behind(identifier, cursor, meter)

        return await read_levels(item, more)

    async def _levels_behind(self, item: str, cursor: str, meter: CallMeter) -> list[Any]:
        found: list[Any] = []
        following: str | None = cursor
        while following is not None:
            data = await self._endpoint.query(
                operations.MORE_LEVELS, {"id": item, "after": following}, meter, estimate=40
            )
            connection = (data.get("inventoryItem") or {}).get("inventoryLevels")
            if connection is None:  # deleted in the meantime: what is known of it stands until the next pull
                return found
            nodes, then = self._endpoint.connection(operations.MORE_LEVELS, connection)
            if then == following:
                raise SourceUnavailable(f"Reading the stock levels of {item} goes round in a circle.")
            found += nodes
            following = then
        return found


def read_price(variant: dict[str, Any], product_id: int) -> VariantPrice:
    """The prices of a variant, which belongs to the product of this id.

    Raises:
        KeyError, TypeError, UnfitRowError: they can't be read.
    """
    return VariantPrice(product_id, *read_amounts(variant))


def read_amounts(variant: dict[str, Any]) -> tuple[Decimal, Decimal | None]:
    """The price and the compare-at price of a variant.

    Raises:
        KeyError, TypeError, UnfitRowError: they can't be read.
    """
    price, compare_at = _amount("price", variant["price"]), variant["compareAtPrice"]
    return price, None if compare_at is None else _amount("compareAtPrice", compare_at)


def _amount(name: str, value: Any) -> Decimal:
    try:
        amount = check_amount(name, msgspec.convert(value, Decimal, strict=False))
    except msgspec.ValidationError as error:
        raise UnfitRowError(f"The field {name} is not a number: {str(value)[:100]!r}.") from error
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
        raise UnfitRowError("The field updatedAt is no time.") from error


def _id(node: dict[str, Any]) -> int:
    number = gid_number(node["id"])
    if number is None:
        raise UnfitRowError("The field id is no id of Shopify's.")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitRowError(f"Neither true nor false: {str(value)[:100]!r}.")
    return value
