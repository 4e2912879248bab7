"""What a delivery names: from its body to rows of the inbox. Whatever it holds, this neither fails nor takes long.

Sources: apidocs.nhanh.vn, "Webhooks": "Sản phẩm", "Tồn kho", "Đơn hàng"; shopify.dev, "Webhooks": the bodies are the
resources of the REST Admin API. Only ids and a few figures are kept of what is understood, and no personal data.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.inbox.events import Arrival
from daemon.inbox.topics import TOPICS, EventState, Subject, Topic
from daemon.jobs.types import Source

MOST_IDS = 1_000  # in a row of the inbox; a delivery that names more of them becomes several rows
LARGEST_ID = 2**63 - 1  # bigint
LONGEST_TOPIC = 100  # characters
LONGEST_EVENT_ID = 200
LONGEST_BODY = 4_096  # characters that are kept of what is not understood
LONGEST_TEXT = 255  # characters of a text in a hint, as long as Shopify's own may be
MOST_VARIANTS = 250  # in a hint
MOST_TAGS = 250  # Shopify's limit
NO_TOPIC = "unreadable"
VARIANT_FIGURES = ("sku", "barcode", "price", "compare_at_price", "inventory_item_id")
VERIFY_TOKEN = re.compile(rb'("webhooksVerifyToken"\s*:\s*")(?:[^"\\]|\\.)*')  # whole, or cut off
PRODUCT_TEXTS = ("title", "vendor", "product_type", "tags", "status")


class UnreadableDelivery(ValueError):
    """A body is not a JSON object."""


@dataclass(frozen=True, slots=True)
class DeliveryHeaders:
    """What the headers of a delivery of Shopify say.

    Args:
        event_id: of the delivery, the same when it is repeated; None where there is none.
        triggered_at: when it happened, by Shopify's clock.
    """

    topic: str
    event_id: str | None
    triggered_at: datetime | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "DeliveryHeaders":
        """Read the headers, whatever they hold."""
        topic = _text(headers.get("X-Shopify-Topic"), LONGEST_TOPIC)
        event_id = _text(headers.get("X-Shopify-Webhook-Id"), LONGEST_EVENT_ID)
        return cls(topic or NO_TOPIC, event_id or None, _time(headers.get("X-Shopify-Triggered-At")))


@dataclass(frozen=True, slots=True)
class NhanhDelivery:
    """A delivery of Nhanh.vn, as far as it can be read: of which business, and what of it."""

    topic: str
    business_id: int | None
    data: object
    body: bytes

    @classmethod
    def of(cls, body: bytes) -> "NhanhDelivery":
        """Read the body, whatever it holds."""
        try:
            document = _object(body)
        except UnreadableDelivery:
            return cls(NO_TOPIC, None, None, body)
        topic = _text(document.get("event"), LONGEST_TOPIC) or NO_TOPIC
        return cls(topic, _id(document.get("businessId")), _unpacked(document.get("data")), body)

    def arrivals(self, store: StoreName) -> list[Arrival]:
        """What it says, as rows of a store's inbox."""
        topic = TOPICS.get((Source.NHANH, self.topic))
        if topic is None:
            return [_not_understood(store, Source.NHANH, self.topic, None, None, self.body)]
        hint = _nhanh_hint(topic, self.data)
        rows = [
            _arrival(store, topic, subject, ids, hint=hint)
            for subject in topic.subjects
            for ids in _portions(NHANH_IDS[subject](self.data))
        ]
        return _one_delivery(rows)


def read_shopify(store: StoreName, envelope: DeliveryHeaders, body: bytes) -> list[Arrival]:
    """What a delivery of Shopify says, as rows of a store's inbox. Raises UnreadableDelivery where it is not JSON."""
    document = _object(body)
    topic = TOPICS.get((Source.SHOPIFY, envelope.topic))
    if topic is None:
        return [_not_understood(store, Source.SHOPIFY, envelope.topic, envelope.event_id, envelope.triggered_at, body)]
    [subject] = topic.subjects
    [ids] = _portions(SHOPIFY_IDS[subject](document), most=None)
    return [
        _arrival(
            store,
            topic,
            subject,
            ids,
            hint=_shopify_hint(topic, subject, document),
            event_id=envelope.event_id,
            triggered_at=envelope.triggered_at,
        )
    ]


def _arrival(
    store: StoreName,
    topic: Topic,
    subject: Subject,
    ids: tuple[int, ...],
    *,
    hint: Mapping[str, Any] | None,
    event_id: str | None = None,
    triggered_at: datetime | None = None,
) -> Arrival:
    is_work = subject.concern is not None and bool(ids)
    return Arrival(
        store,
        topic.source,
        event_id,
        topic.name,
        subject,
        ids,
        hint if is_work else None,
        triggered_at=triggered_at,
        state=EventState.WAITING if is_work else EventState.NOTED,
        outcome=None if is_work else _why_no_job(topic, subject),
    )


def _why_no_job(topic: Topic, subject: Subject) -> str:
    match subject:
        case Subject.APP:
            return _("the app was removed")
        case Subject.BULK_OPERATION:
            return _("whoever waits for the bulk operation asks for its result")
        case Subject.NOTHING if topic.is_test:
            return _("a test of the address")
        case Subject.NOTHING:
            return _("it names nothing that is kept here; the stock is told of by itself")
        case _:
            return _("it names nothing")


def _not_understood(
    store: StoreName, source: Source, topic: str, event_id: str | None, triggered_at: datetime | None, body: bytes
) -> Arrival:
    is_json = topic != NO_TOPIC
    return Arrival(
        store,
        source,
        event_id,
        topic,
        Subject.NOTHING,
        body=_kept(body),
        triggered_at=triggered_at,
        state=EventState.NOTED,
        outcome=_("nothing here depends on it") if is_json else _("it can't be read"),
    )


def _kept(body: bytes) -> str:
    """The beginning of a body, without the secret that one of Nhanh.vn may hold."""
    told = VERIFY_TOKEN.sub(rb"\1***", body)
    return _clean(told[: 4 * LONGEST_BODY].decode(errors="replace"))[:LONGEST_BODY]


def _one_delivery(rows: list[Arrival]) -> list[Arrival]:
    """Without rows that name nothing where others do; only the first counts as a delivery."""
    telling = [row for row in rows if row.state is EventState.WAITING] or rows[:1]
    return [row if place == 0 else _further(row) for place, row in enumerate(telling)]


def _further(row: Arrival) -> Arrival:
    return Arrival(
        row.store, row.source, row.event_id, row.topic, row.subject, row.subject_ids, row.hint, is_first=False
    )


def _nhanh_products(data: object) -> Iterator[object]:
    """The ids of whatever products a delivery of Nhanh.vn names: itself, its children, the rows of an order."""
    match data:
        case {"products": list(products)}:  # an order
            yield from _with_parts(products)
            yield from _ids_in(_rows(data, "gifts"))
        case {"id": product_id}:
            yield product_id
            yield from _ids_in(_rows(data, "childs"))
        case list(rows):  # of stock, or ids alone
            yield from (row.get("id") if isinstance(row, dict) else row for row in rows)
        case _:
            pass


def _with_parts(products: list[Any]) -> Iterator[object]:
    """The ids of products, and of what goes along with each: the components of a combo, gifts."""
    for product in products:
        yield from _ids_in([product])
        yield from _ids_in(_rows(product, "combos"))
        yield from _ids_in(_rows(product, "gifts"))


def _ids_in(rows: list[Any]) -> Iterator[object]:
    return (row.get("id") for row in rows if isinstance(row, dict))


def _rows(owner: object, key: str) -> list[Any]:
    rows = owner.get(key) if isinstance(owner, dict) else None
    return rows if isinstance(rows, list) else []


def _nhanh_customer(data: object) -> Iterator[object]:
    """The id of the customer of an order."""
    match data:
        case {"shippingAddress": {"id": customer_id}} | {"customer": {"id": customer_id}}:
            yield customer_id
        case _:
            pass


def _shopify_id(document: Mapping[str, Any]) -> Iterator[object]:
    yield document.get("id")


def _shopify_item(document: Mapping[str, Any]) -> Iterator[object]:
    yield document.get("inventory_item_id")


def _shopify_customers(document: Mapping[str, Any]) -> Iterator[object]:
    """The customer; of two that were merged, both."""
    yield document.get("id")
    yield _id_of_gid(document.get("admin_graphql_api_customer_kept_id"))
    yield _id_of_gid(document.get("admin_graphql_api_customer_deleted_id"))


def _bulk_operation(document: Mapping[str, Any]) -> Iterator[object]:
    yield _id_of_gid(document.get("admin_graphql_api_id"))


def _nothing(_data: object) -> Iterator[object]:
    return iter(())


NHANH_IDS: Mapping[Subject, Callable[[object], Iterator[object]]] = {
    Subject.NHANH_PRODUCT: _nhanh_products,
    Subject.NHANH_CUSTOMER: _nhanh_customer,
    Subject.APP: _nothing,
    Subject.NOTHING: _nothing,
}
SHOPIFY_IDS: Mapping[Subject, Callable[[Mapping[str, Any]], Iterator[object]]] = {
    Subject.SHOPIFY_PRODUCT: _shopify_id,
    Subject.SHOPIFY_ITEM: _shopify_item,
    Subject.SHOPIFY_CUSTOMER: _shopify_customers,
    Subject.BULK_OPERATION: _bulk_operation,
    Subject.APP: _nothing,
    Subject.NOTHING: _nothing,
}


def _nhanh_hint(topic: Topic, data: object) -> Mapping[str, Any] | None:
    if topic.subjects != (Subject.NHANH_PRODUCT,) or not isinstance(data, dict):
        return None
    updated_at = _id(data.get("updatedAt"))
    return None if updated_at is None else {"updatedAt": updated_at}


def _shopify_hint(topic: Topic, subject: Subject, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if topic.is_gone:
        return None
    hint: dict[str, Any] = {"updated_at": _plain(document.get("updated_at"))}
    match subject:
        case Subject.SHOPIFY_ITEM:
            hint |= {key: _plain(document.get(key)) for key in ("location_id", "available")}
        case Subject.SHOPIFY_PRODUCT:
            hint["variants"] = [
                [_id(variant.get("id")), *(_plain(variant.get(key)) for key in VARIANT_FIGURES)]
                for variant in _rows(document, "variants")[:MOST_VARIANTS]
                if isinstance(variant, dict)
            ]
            hint |= {key: _plain(document.get(key), LONGEST_TEXT * MOST_TAGS) for key in PRODUCT_TEXTS}
        case _:
            pass
    return hint


def _portions(found: Iterator[object], most: int | None = MOST_IDS) -> list[tuple[int, ...]]:
    """The ids among these, each once, in portions; one empty portion where there are none."""
    ids = tuple(dict.fromkeys(number for each in found if (number := _id(each)) is not None))
    size = most or len(ids) or 1
    return [ids[start : start + size] for start in range(0, len(ids), size)] or [()]


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableDelivery("the body is not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableDelivery("the body is not a JSON object")
    return document


def _unpacked(data: object) -> object:
    """The documentation calls `data` a JSON string, and shows it as it would be without being one."""
    if not isinstance(data, str):
        return data
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _id(value: object) -> int | None:
    """A positive number that fits into the inbox, however it is written; None for anything else."""
    match value:
        case bool():
            return None
        case int():
            number = value
        case float() if value.is_integer() and abs(value) < 2**53:
            number = int(value)
        case str() if len(value) < 20 and value.isascii() and value.isdigit():
            number = int(value)
        case _:
            return None
    return number if 0 < number <= LARGEST_ID else None


def _id_of_gid(value: object) -> int | None:
    """The number at the end of gid://shopify/Customer/1."""
    return _id(value.rpartition("/")[2]) if isinstance(value, str) and len(value) <= LONGEST_TEXT else None


def _plain(value: object, longest: int = LONGEST_TEXT) -> int | float | str | None:
    """A figure or a text that can be kept; None for anything else."""
    match value:
        case bool():
            return None
        case int() | float():
            return value
        case str():
            return _text(value, longest)
        case _:
            return None


def _text(value: object, longest: int) -> str:
    return _clean(value)[:longest] if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """PostgreSQL keeps no NUL in a text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _time(value: object) -> datetime | None:
    """A time with its zone, as Shopify writes it: 2026-10-03T05:11:57.123456789Z."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
