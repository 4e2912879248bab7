"""One customer for people: both sides, who is who and why, and what was pushed."""

from datetime import tzinfo
from uuid import UUID

from asyncpg import Record

from daemon.api.customers import Customer, CustomerMapping, CustomerPush, NhanhSide, ShopifySide
from daemon.api.pushes import PushKind
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.actions import SubjectKind
from daemon.money import amount_text_or_none
from daemon.sync import pushes
from daemon.sync.customers import who
from daemon.sync.customers.who import TONES, Evidence, why
from daemon.sync.deeds import list_deeds
from daemon.sync.pushes import RecordedPush
from daemon.tone import Tone

KINDS = (PushKind.METAFIELD, PushKind.TAGS)
SHOWN_PUSHES = 10  # of each value

SHOPIFY = """
SELECT id, display_name, email, phone, address_phone, note, tags, amount_spent, currency, changed_at, deleted_at
FROM dongbo.shopify_customers WHERE store = $1 AND id = $2
"""

NHANH = """
SELECT id, name, mobile, email, code, total_amount, changed_at, deleted_at, ARRAY(
    SELECT phone FROM dongbo.customer_phones AS known
    WHERE known.store = $1 AND known.side = 'nhanh' AND known.customer_id = customer.id ORDER BY phone
) AS numbers
FROM dongbo.nhanh_customers AS customer WHERE store = $1 AND id = $2
"""


async def write_customer(connection: Connection, store: StoreName, shopify_id: int, zone: tzinfo) -> Customer | None:
    """The customer of Shopify with this id; None where none is mirrored. Times in sentences are in `zone`."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        customer = await connection.fetchrow(SHOPIFY, store, shopify_id)
        if customer is None:
            return None
        one = (await who.gather(connection, store, [shopify_id]))[shopify_id]
        nhanh_id = one.live["nhanh_id"] if one.live is not None else None
        buyer = await connection.fetchrow(NHANH, store, nhanh_id) if nhanh_id is not None else None
        choices = await who.choices(connection, store, one) if one.live is None else []
        deeds = await list_deeds(connection, store, SubjectKind.CUSTOMER, shopify_id)
        pushed = await pushes.list_of_owners(connection, store, [shopify_id], KINDS, limit=SHOWN_PUSHES)
    text = why(one, zone)
    mapping = one.live
    return Customer(
        store=store,
        tone=TONES[one.state] if customer["deleted_at"] is None else Tone.OFF,
        text=text,
        shopify=_shopify(customer, one),
        nhanh=_nhanh(buyer) if buyer is not None else None,
        mapping=CustomerMapping(
            state=one.state,
            source=mapping["source"] if mapping is not None else None,
            nhanh_id=nhanh_id,
            phone=mapping["phone"] if mapping is not None else None,
            since=mapping["changed_at"] if mapping is not None else None,
            note=mapping["note"] if mapping is not None else None,
            candidates=choices,
            text=text,
        ),
        pushes=[_push(push) for push in pushed],
        actions=deeds,
    )


def _shopify(customer: Record, one: Evidence) -> ShopifySide:
    return ShopifySide(
        id=customer["id"],
        name=customer["display_name"],
        email=customer["email"],
        phone=customer["phone"],
        address_phone=customer["address_phone"],
        note=customer["note"],
        tags=customer["tags"],
        amount_spent=amount_text_or_none(customer["amount_spent"]),
        currency=customer["currency"],
        numbers=one.phones,
        changed_at=customer["changed_at"],
        deleted_at=customer["deleted_at"],
    )


def _nhanh(buyer: Record) -> NhanhSide:
    return NhanhSide(
        id=buyer["id"],
        name=buyer["name"],
        mobile=buyer["mobile"],
        email=buyer["email"],
        code=buyer["code"],
        total_amount=amount_text_or_none(buyer["total_amount"]),
        numbers=buyer["numbers"],
        changed_at=buyer["changed_at"],
        deleted_at=buyer["deleted_at"],
    )


def _push(recorded: RecordedPush) -> CustomerPush:
    return CustomerPush(
        id=recorded.id,
        kind=recorded.push.kind,
        job_id=UUID(int=recorded.job_id.int),
        name=recorded.push.name,
        old_value=recorded.push.old_value,
        new_value=recorded.push.new_value,
        reason=recorded.push.reason,
        result=recorded.result,
        detail=recorded.detail,
        intended_at=recorded.intended_at,
        settled_at=recorded.settled_at,
    )
