"""The mutations that set stock and activate items at locations."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from daemon.sandbox.shopify.common_fields import OWN_APP, Resolver
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.inventory_fields import StockedItem, StockLevel, quantity_of
from daemon.sandbox.shopify.mutation import check_size, journal, with_key
from daemon.sandbox.shopify.records import LevelRecord, Variant
from daemon.sandbox.shopify.state import ShopState
from daemon.sandbox.shopify.values import Path, gid, parse_gid, user_error, written_time

MAX_QUANTITY = 1_000_000_000
REASONS = (  # Shopify's guide to quantities and states, "Set inventory quantities"
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "reservation_deleted",
    "reservation_updated",
    "restock",
    "safety_stock",
    "shrinkage",
)
IMMUTABLE = "The specified inventory item is not allowed to be adjusted via API."
NEGATIVE = "The quantity can't be negative."
TOO_HIGH = "The total quantity can't be higher than 1,000,000,000."

_URI = re.compile(r"(?!gid:)[A-Za-z][A-Za-z0-9+.-]*:\S+|gid://[^/\s]+/[^/\s]+/\S+")
# Shopify's schema: "Valid URI with scheme and content. For GID format, all components must be present."


@dataclass(frozen=True, slots=True)
class _Row:
    """One quantity to set, with the records it names as far as they exist."""

    index: int
    name: str  # of the quantity: available or on_hand
    item_id: int
    location_id: int
    variant: Variant | None
    level: LevelRecord | None  # None: not active there
    location_exists: bool  # and is open
    quantity: int
    expected: int | None  # None overwrites

    @property
    def present(self) -> int:
        """What is there, whether the item is active at the location or not."""
        level = self.level or (self.variant and self.variant.inactive_level_at(self.location_id))
        return quantity_of(level, self.name) if level else 0

    def path(self, field: str) -> Path:
        return ["input", "quantities", self.index, field]


def _set_quantities(info: Info, key: str, arguments: dict[str, Any]) -> Payload:
    """All of the quantities, or none and an error for each that doesn't fit."""
    asked = arguments["input"]
    check_size("quantities", asked["quantities"])
    if any("changeFromQuantity" not in row for row in asked["quantities"]):
        raise GraphQLError(
            "InventoryQuantityInput must include the following argument: changeFromQuantity.",
            extensions={"code": "INVALID_FIELD_ARGUMENTS"},
        )
    rows = [_row(info.context.state, index, asked["name"], row) for index, row in enumerate(asked["quantities"])]
    errors = [*_header_errors(asked), *_duplicate_errors(rows)]
    for row in rows:
        errors += _row_errors(row, info.context.state)
    if errors:
        return {"userErrors": errors}
    changes = [change for row in rows for change in _apply(info, key, row)]
    return {"inventoryAdjustmentGroup": _group(info, asked, changes) if changes else None, "userErrors": []}


def _row(state: ShopState, index: int, name: str, row: Mapping[str, Any]) -> _Row:
    item_kind, item_id = parse_gid(row["inventoryItemId"])
    location_kind, location_id = parse_gid(row["locationId"])
    variant = state.inventory_items.get(item_id) if item_kind == "InventoryItem" else None
    return _Row(
        index,
        name,
        item_id,
        location_id,
        variant,
        variant.level_at(location_id) if variant else None,
        location_kind == "Location" and _is_open(state, location_id),
        row["quantity"],
        row["changeFromQuantity"],
    )


def _header_errors(asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if asked["name"] not in ("available", "on_hand"):
        message = "The quantity name must be either 'available' or 'on_hand'."
        yield user_error(["input", "name"], message, "INVALID_NAME")
    if asked["reason"] not in REASONS:
        message = f"The specified reason is invalid. Valid values are: {', '.join(REASONS)}."
        yield user_error(["input", "reason"], message, "INVALID_REASON")
    uri = asked.get("referenceDocumentUri")
    if uri is not None and not _URI.fullmatch(uri):
        message = "The specified reference document is invalid."
        yield user_error(["input", "referenceDocumentUri"], message, "INVALID_REFERENCE_DOCUMENT")


def _duplicate_errors(rows: list[_Row]) -> Iterator[dict[str, Any]]:
    pairs = Counter((row.item_id, row.location_id) for row in rows)
    for row in rows:
        if pairs[row.item_id, row.location_id] > 1:
            yield user_error(
                row.path("locationId"),
                "The combination of inventoryItemId and locationId must be unique.",
                "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR",
            )


def _is_open(state: ShopState, location_id: int) -> bool:
    return location_id in state.locations and state.locations[location_id].is_active


def _row_errors(row: _Row, state: ShopState) -> Iterator[dict[str, Any]]:
    if row.variant is None:
        message = "The specified inventory item could not be found."
        yield user_error(row.path("inventoryItemId"), message, "INVALID_INVENTORY_ITEM")
    if not row.location_exists:
        yield user_error(row.path("locationId"), "The specified location could not be found.", "INVALID_LOCATION")
    if row.quantity < 0:  # stricter than Shopify, which has been seen to take a negative `available`
        yield user_error(row.path("quantity"), NEGATIVE, "INVALID_QUANTITY_NEGATIVE")
    if row.quantity > MAX_QUANTITY:
        yield user_error(row.path("quantity"), TOO_HIGH, "INVALID_QUANTITY_TOO_HIGH")
    if row.variant is None or not row.location_exists:
        return
    if row.variant.requires_components or row.item_id in state.immutable:
        path = row.path("inventoryItemId") if state.names_immutable else ["input", "quantities"]
        yield user_error(path, IMMUTABLE, "NON_MUTABLE_INVENTORY_ITEM")
    elif row.expected is not None and row.expected != row.present:
        message = "The changeFromQuantity argument no longer matches the persisted quantity."
        yield user_error(row.path("changeFromQuantity"), message, "CHANGE_FROM_QUANTITY_STALE")


def _apply(info: Info, key: str, row: _Row) -> Iterator[dict[str, Any]]:
    """Set a quantity that fits; the changes of it are the answer's, none where it was there already.

    Shopify, changelog of 2026-10: "quantities can be adjusted at any location". Nothing says that this activates the
    item there, and callers have seen that it does not, and that a repetition with a new key adds.
    """
    variant, level, state = row.variant, row.level, info.context.state
    if variant is None:
        return
    before, after = row.present, row.quantity
    if level is None and state.adds_unconnected:
        after += before
    journal(info, key, ("stock", row.item_id, row.location_id), before, after)
    if before == after:
        return
    if level is None:
        state.set_unconnected(variant.id, row.location_id, after)
    elif row.name == "on_hand":
        state.change_on_hand(variant.id, after, row.location_id)
    else:
        state.change_stock(variant.id, after, row.location_id)
    for name in ("available", "on_hand"):
        yield {
            "name": name,
            "delta": after - before,
            "quantityAfterChange": None,  # null in the mutation's answer, as recorded from the real API
            "item": StockedItem(variant),
            "location": info.context.state.locations[row.location_id],
        }


def _group(info: Info, asked: Mapping[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": gid("InventoryAdjustmentGroup", 40_000_000_000 + info.context.state.revision),
        "app": OWN_APP,
        "createdAt": written_time(info.context.now()),
        "reason": asked["reason"],
        "referenceDocumentUri": asked.get("referenceDocumentUri"),
        "changes": changes,
    }


def _changes(group: Mapping[str, Any], _: Info, **arguments: Any) -> list[dict[str, Any]]:
    items, locations = arguments.get("inventoryItemIds"), arguments.get("locationIds")
    names = arguments.get("quantityNames")
    return [
        change
        for change in group["changes"]
        if (items is None or gid("InventoryItem", change["item"].variant.inventory_item_id) in items)
        and (locations is None or gid("Location", change["location"].id) in locations)
        and (names is None or change["name"] in names)
    ]


def _activate(info: Info, key: str, arguments: dict[str, Any]) -> Payload:
    """Stock an item at a location; without a quantity, with what it had there before (since 2026-04)."""
    state = info.context.state
    item_kind, item_id = parse_gid(arguments["inventoryItemId"])
    location_kind, location_id = parse_gid(arguments["locationId"])
    variant = state.inventory_items.get(item_id) if item_kind == "InventoryItem" else None
    if variant is None:
        return _refused(["inventoryItemId"], "The specified inventory item could not be found.")
    if location_kind != "Location" or not _is_open(state, location_id):
        return _refused(["locationId"], "The specified location could not be found.")
    argument, quantity = _initial_quantity(arguments)
    if quantity is not None and not 0 <= quantity <= MAX_QUANTITY:
        return _refused([argument], NEGATIVE if quantity < 0 else TOO_HIGH)
    level = variant.level_at(location_id)
    if level is not None and quantity is not None:
        name = "available" if argument == "available" else "an on_hand"
        return _refused(
            [argument], f"Not allowed to set {name} quantity when the item is already active at the location."
        )
    return {"inventoryLevel": _stocked(info, key, variant, location_id, quantity), "userErrors": []}


def _initial_quantity(arguments: Mapping[str, Any]) -> tuple[str, int | None]:
    for argument in ("available", "onHand"):
        if arguments.get(argument) is not None:
            return argument, arguments[argument]
    return "available", None


def _refused(field: Path, message: str) -> Payload:
    return {"userErrors": [user_error(field, message)]}


def _toggle(_: object, info: Info, **arguments: Any) -> Payload:
    """Stock an item at several locations, each by itself; nobody asks the sandbox to stop stocking."""
    state = info.context.state
    asked = arguments["inventoryItemUpdates"]
    check_size("inventoryItemUpdates", asked)
    item_kind, item_id = parse_gid(arguments["inventoryItemId"])
    variant = state.inventory_items.get(item_id) if item_kind == "InventoryItem" else None
    if variant is None:
        message = "The inventory item was not found."
        return {"userErrors": [user_error(["inventoryItemId"], message, "INVENTORY_ITEM_NOT_FOUND")]}
    levels, errors = [], []
    for index, update in enumerate(asked):
        path: Path = ["inventoryItemUpdates", index, "locationId"]
        kind, location_id = parse_gid(update["locationId"])
        if kind != "Location" or not _is_open(state, location_id):
            errors.append(user_error(path, "The location was not found.", "LOCATION_NOT_FOUND"))
        elif not update["activate"]:
            message = "The sandbox does not deactivate items by this mutation."
            errors.append(user_error(path, message, "GENERIC_ERROR"))
        else:
            levels.append(_stocked(info, None, variant, location_id))
    return {"inventoryItem": StockedItem(variant), "inventoryLevels": levels, "userErrors": errors}


def _stocked(
    info: Info, key: str | None, variant: Variant, location_id: int, quantity: int | None = None
) -> StockLevel:
    level = variant.level_at(location_id)
    before = level.available if level else None
    if level is None:
        level = info.context.state.start_stocking(variant.id, location_id, quantity)
    journal(info, key, ("activate", variant.inventory_item_id, location_id), before, level.available)
    return StockLevel(variant, level)


INVENTORY_MUTATIONS: dict[str, Resolver] = {
    # Shopify's schema documents the key as required since 2026-04 for these two.
    "inventoryActivate": with_key(_activate),
    "inventoryBulkToggleActivation": _toggle,  # no key is documented for it
    "inventorySetQuantities": with_key(_set_quantities),
}

ADJUSTMENT_GROUP: dict[str, Resolver] = {"changes": _changes}
