"""Stock levels out of an answer: what is available of an inventory item at each location that stocks it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from daemon.i18n import gettext as _
from daemon.sources.decode import UnfitRowError
from daemon.sources.shopify.endpoint import has_more, whole_page
from daemon.sources.shopify.models import gid_number

MoreLevels = Callable[[str, str], Awaitable[list[Any]]]

_INT32 = range(-(2**31), 2**31)  # GraphQL specification, "Int"


def cut_short(items: Iterable[Any]) -> int:
    """How many of these inventory items, as they came, have more levels than came with them."""
    return sum(has_more(item["inventoryLevels"]) for item in items if _has_levels(item))


async def read_levels(item: dict[str, Any], more_levels: MoreLevels) -> dict[int, int]:
    """Where an inventory item is stocked, and what is available there; what it had at other places is left out.

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


def quantity_of(level: Any) -> int:
    """What is available at the location of a level.

    Raises:
        UnfitRowError: that can't be read.
    """
    try:
        (available,) = level["quantities"]
        quantity = available["quantity"]
    except (KeyError, TypeError, ValueError) as error:
        raise UnfitRowError(_("A stock level has no available quantity.")) from error
    if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity not in _INT32:
        raise UnfitRowError(
            _("The available quantity of a stock level is not a whole number: {quantity!r}.").format(
                quantity=str(quantity)[:100]
            )
        )
    return quantity


def _level(node: Any) -> tuple[int, int]:
    location = node.get("location") if isinstance(node, dict) else None
    number = gid_number(location.get("id")) if isinstance(location, dict) else None
    if number is None:
        raise UnfitRowError(_("A stock level does not name its location."))
    return number, quantity_of(node)


def _has_levels(item: Any) -> bool:
    connection = item.get("inventoryLevels") if isinstance(item, dict) else None
    return isinstance(connection, dict) and isinstance(connection.get("nodes"), list)
