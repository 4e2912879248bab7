"""Webhooks that tell only what is known already: most are echoes of what this program has just pushed.

What an event says is compared with the mirror, which has noted the push. Where both agree nothing has to be read, and
no job comes of it. An event that is late, or repeated, may agree with an old mirror: it adds nothing to that, and the
event of the change that the mirror lacks comes by itself.

A level's event tells only what is available there. Goods that are sent with an order leave that as it is, so where what
is on hand is synced, each of these events is news.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, assert_never

from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.inbox import events
from daemon.inbox.events import TakenEvent
from daemon.inbox.topics import EventState, Subject
from daemon.mirror import levels
from daemon.mirror import shopify as mirror
from daemon.mirror.shopify import CUSTOMERS, PRODUCTS, MirroredProduct, VariantFigures
from daemon.sources.shopify.models import QuantityName

MOST_VARIANTS = 250  # that a hint holds: of a product with more it does not tell all


async def settle(
    connection: Connection, store: StoreName, told: Sequence[TakenEvent], quantity: QuantityName
) -> list[TakenEvent]:
    """Settle those of these events that tell nothing new, in the caller's transaction; the others.

    `quantity`: which one of Shopify's the store syncs.
    """
    known: set[int] = set()
    subjects = set(Subject) if quantity == "available" else set(Subject) - {Subject.SHOPIFY_ITEM}
    for subject in subjects:
        about = [event for event in told if event.subject is subject and event.hint is not None]
        if about:
            known |= {event.id for event in await _known(connection, store, subject, about)}
    if known:
        outcome = (EventState.NOTED, _("It says what is known already, such as what has just been pushed."))
        await events.settle(connection, dict.fromkeys(known, outcome))
    return [event for event in told if event.id not in known]


async def _known(
    connection: Connection, store: StoreName, subject: Subject, told: Sequence[TakenEvent]
) -> list[TakenEvent]:
    """Those of these events, all about the same kind of thing, that agree with the mirror."""
    ids = sorted({number for event in told for number in event.subject_ids})
    match subject:
        case Subject.SHOPIFY_ITEM:
            available = await levels.list_available(connection, store, ids)
            return [event for event in told if _is_known_level(event, available)]
        case Subject.SHOPIFY_PRODUCT:
            whole = await mirror.list_whole(connection, PRODUCTS, store, ids)
            newer = [event for event in told if not _is_older(event, whole)]
            products = await mirror.list_figures(connection, store, ids) if newer else {}
            return [event for event in told if _is_older(event, whole) or _is_known_product(event, products)]
        case Subject.SHOPIFY_CUSTOMER:
            whole = await mirror.list_whole(connection, CUSTOMERS, store, ids)
            return [event for event in told if _is_older(event, whole)]
        case Subject.NHANH_PRODUCT | Subject.NHANH_CUSTOMER | Subject.BULK_OPERATION | Subject.APP | Subject.NOTHING:
            return []
        case _:
            assert_never(subject)


def _is_known_level(event: TakenEvent, available: Mapping[tuple[int, int], int]) -> bool:
    hint = event.hint or {}
    known = available.get((event.subject_ids[0], hint.get("location_id", 0))) if event.subject_ids else None
    return known is not None and known == hint.get("available")


def _is_older(event: TakenEvent, whole: Mapping[int, datetime | None]) -> bool:
    """Whether the mirror has what it is about as it was then, or later."""
    said = (event.hint or {}).get("updated_at")
    if not isinstance(said, str):
        return False
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        return False
    versions = [whole.get(number) for number in event.subject_ids]
    return time.tzinfo is not None and all(version is not None and time <= version for version in versions)


def _is_known_product(event: TakenEvent, products: Mapping[int, MirroredProduct]) -> bool:
    hint = event.hint or {}
    variants = hint.get("variants")
    if len(event.subject_ids) != 1 or not isinstance(variants, list) or len(variants) >= MOST_VARIANTS:
        return False
    known = products.get(event.subject_ids[0])
    try:
        told = MirroredProduct(
            title=hint["title"],
            vendor=hint["vendor"],
            product_type=hint["product_type"],
            tags=frozenset(filter(None, map(str.strip, hint["tags"].split(",")))),
            status=str(hint["status"]).upper(),
            variants={row[0]: _figures(row) for row in variants},
        )
    except (KeyError, AttributeError, TypeError, IndexError, ValueError, InvalidOperation):
        return False
    return known == told


def _figures(row: Sequence[Any]) -> VariantFigures:
    _id, sku, barcode, price, compare_at_price, item_id = row
    return VariantFigures(sku or "", barcode or "", Decimal(price), _amount(compare_at_price), item_id)


def _amount(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
