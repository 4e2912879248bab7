"""Stock levels out of an answer: what each location that stocks an inventory item has of it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, get_args

from daemon.i18n import gettext as _
from daemon.sources.decode import UnfitRowError
from daemon.sources.shopify.endpoint import has_more, whole_page
from daemon.sources.shopify.models import Quantities, QuantityName, gid_number

MoreLevels = Callable[[str, str], Awaitable[list[Any]]]

NAMES: tuple[QuantityName, ...] = get_args(QuantityName)

_INT32 = range(-(2**31), 2**31)  # GraphQL specification, "Int"


def cut_short(items: Iterable[Any]) -> int:
    """How many of these inventory items, as they came, have more levels than came with them."""
    return sum(has_more(item["inventoryLevels"]) for item in items if _has_levels(item))


async def read_levels(item: dict[str, Any], more_levels: MoreLevels) -> dict[int, Quantities]:
    """Where an inventory item is stocked, and how much of it; what it had at other places is left out.

    `more_levels` fetches the levels behind an item's (global id, cursor).

    Raises:
        UnfitRowError: a level can't be read, or some are missing.
    """
    if not _has_levels(item):
        raise UnfitRowError(_("The field inventoryItem.inventoryLevels is missing."))
    nodes = item["inventoryLevels"]["nodes"]
    try:
        _nodes, following = whole_page(item["inventoryLevels"])
    except ValueError as error:
        raise UnfitRowError(
            _("The stock levels are incomplete, or can't be read: {error}.").format(error=error)
        ) from error
    if following is not None:
        nodes = [*nodes, *await more_levels(item["id"], following)]
    return dict(_level(node) for node in nodes if is_active(node))


def is_active(level: Any) -> bool:
    """Whether the item is stocked at the location of a level.

    Raises:
        UnfitRowError: it does not say.
    """
    active = level.get("isActive") if isinstance(level, dict) else None
    if not isinstance(active, bool):
        raise UnfitRowError(_("A stock level does not say whether it is active."))
    return active


def quantities_of(level: Any) -> Quantities:
    """What the location of a level has.

    Raises:
        UnfitRowError: that can't be read.
    """
    try:
        found = {entry["name"]: entry["quantity"] for entry in level["quantities"]}
        available, on_hand = (found[name] for name in NAMES)
    except (KeyError, TypeError) as error:
        raise UnfitRowError(_("A stock level lacks what is available or on hand.")) from error
    return Quantities(_whole("available", available), _whole("on_hand", on_hand))


def _whole(name: QuantityName, quantity: Any) -> int:
    if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity not in _INT32:
        raise UnfitRowError(
            _("The quantity {name} of a stock level is not a whole number: {quantity!r}.").format(
                name=name, quantity=str(quantity)[:100]
            )
        )
    return quantity


def _level(node: Any) -> tuple[int, Quantities]:
    location = node.get("location") if isinstance(node, dict) else None
    number = gid_number(location.get("id")) if isinstance(location, dict) else None
    if number is None:
        raise UnfitRowError(_("A stock level does not name its location."))
    return number, quantities_of(node)


def _has_levels(item: Any) -> bool:
    connection = item.get("inventoryLevels") if isinstance(item, dict) else None
    return isinstance(connection, dict) and isinstance(connection.get("nodes"), list)
