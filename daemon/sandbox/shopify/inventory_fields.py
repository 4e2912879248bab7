"""Where the fields of inventory items, levels and locations get their values from."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver, count_of, identified, money_of, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.listings import sorted_listing
from daemon.sandbox.shopify.paging import ConnectionPage, bad_request
from daemon.sandbox.shopify.records import LevelRecord, LocationRecord, Variant
from daemon.sandbox.shopify.values import gid, parse_gid, written_time

QUANTITY_NAMES = frozenset(
    {"available", "committed", "damaged", "incoming", "on_hand", "quality_control", "reserved", "safety_stock"}
)
UNIT_GRAMS = {
    "GRAMS": Decimal(1),
    "KILOGRAMS": Decimal(1000),
    "OUNCES": Decimal("28.349523125"),
    "POUNDS": Decimal("453.59237"),
}


@dataclass(frozen=True, slots=True)
class StockedItem:
    """The stock side of a variant."""

    variant: Variant


@dataclass(frozen=True, slots=True)
class StockLevel:
    """A level together with the variant that it is a level of; its id is that of the location."""

    variant: Variant
    level: LevelRecord
    is_active: bool = True

    @property
    def id(self) -> int:
        """The location's number, which tells an item's levels apart."""
        return self.level.location_id


def _levels(item: StockedItem, info: Info, **arguments: Any) -> ConnectionPage[StockLevel]:
    levels = _stock_levels(item, include_inactive=bool(arguments.get("includeInactive")))
    listing = sorted_listing(levels, lambda level: level.id, reverse=bool(arguments.get("reverse")))
    return page_of(info, listing, arguments)


def _level(item: StockedItem, _: Info, **arguments: Any) -> StockLevel | None:
    _kind, number = parse_gid(arguments["locationId"])
    levels = _stock_levels(item, include_inactive=bool(arguments.get("includeInactive")))
    return next((stock for stock in levels if stock.id == number), None)


def _stock_levels(item: StockedItem, *, include_inactive: bool) -> list[StockLevel]:
    levels = [StockLevel(item.variant, level) for level in item.variant.levels]
    if include_inactive:
        levels += [StockLevel(item.variant, level, is_active=False) for level in item.variant.inactive_levels]
    return levels


def _quantities(stock: StockLevel, _: Info, names: Sequence[str]) -> list[dict[str, Any]]:
    unknown = sorted(set(names) - QUANTITY_NAMES)
    if unknown:
        raise bad_request(f"The quantity name '{unknown[0]}' is invalid.")
    return [
        {
            "id": f"{_level_id(stock, 'InventoryQuantity')}&name={name}",
            "name": name,
            "quantity": quantity_of(stock.level, name),
            "updatedAt": written_time(stock.level.updated_at),
        }
        for name in names
    ]


def quantity_of(level: LevelRecord, name: str) -> int:
    """The quantity of a state; those that the shop does not use are 0."""
    match name:
        case "available" | "committed" | "damaged" | "on_hand":
            quantity: int = getattr(level, name)
            return quantity
        case _:
            return 0


def _level_id(stock: StockLevel, kind: str) -> str:
    return f"{gid(kind, stock.level.location_id)}?inventory_item_id={stock.variant.inventory_item_id}"


def _weight(item: StockedItem, _: Info) -> dict[str, Any]:
    unit = item.variant.weight_unit
    weight = {"unit": unit, "value": float(item.variant.grams / UNIT_GRAMS[unit])}
    return {"id": gid("InventoryItemMeasurement", item.variant.inventory_item_id), "weight": weight}


def _same_sku(item: StockedItem, info: Info) -> int:
    skus = [variant.sku for variant in info.context.state.variants.values()]
    return skus.count(item.variant.sku) - 1


INVENTORY_ITEM: dict[str, Resolver] = {
    "createdAt": lambda item, _: written_time(item.variant.created_at),
    "duplicateSkuCount": _same_sku,
    "id": lambda item, _: gid("InventoryItem", item.variant.inventory_item_id),
    "inventoryLevel": _level,
    "inventoryLevels": _levels,
    "legacyResourceId": lambda item, _: str(item.variant.inventory_item_id),
    "locationsCount": lambda item, _: count_of(len(item.variant.levels)),
    "measurement": _weight,
    "requiresShipping": lambda item, _: item.variant.requires_shipping,
    "sku": lambda item, _: item.variant.sku,
    "tracked": lambda item, _: item.variant.tracked,
    "unitCost": lambda item, info: item.variant.unit_cost and money_of(info, item.variant.unit_cost),
    "updatedAt": lambda item, _: written_time(item.variant.updated_at),
    "variant": lambda item, _: item.variant,
}

LEVEL: dict[str, Resolver] = {
    "createdAt": lambda stock, _: written_time(stock.variant.created_at),
    "id": lambda stock, _: _level_id(stock, "InventoryLevel"),
    "isActive": lambda stock, _: stock.is_active,
    "item": lambda stock, _: StockedItem(stock.variant),
    "location": lambda stock, info: info.context.state.locations[stock.level.location_id],
    "quantities": _quantities,
    "updatedAt": lambda stock, _: written_time(stock.level.updated_at),
}


def _location_address(place: LocationRecord, _: Info) -> dict[str, Any]:
    return {"city": place.city, "country": "Vietnam", "countryCode": "VN", "formatted": [place.city, "Vietnam"]}


LOCATION: dict[str, Resolver] = {
    **identified("Location"),
    "address": _location_address,
    "deactivatedAt": lambda place, _: None if place.is_active else written_time(place.updated_at),
    "fulfillsOnlineOrders": lambda place, _: place.is_active,
    "hasActiveInventory": lambda place, _: place.is_active,
    "isPrimary": lambda place, info: place is next(iter(info.context.state.locations.values())),
    "shipsInventory": lambda place, _: place.is_active,
}
