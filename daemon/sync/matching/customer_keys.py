"""The phone numbers of the mirrored customers, kept up to date in `dongbo.customer_phones`.

Reading a number takes some 50 µs of Python, so only customers that have changed are read: beside the numbers stands
from which state of the customer, and by which rules, they were read.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, NamedTuple, assert_never

from asyncpg import Record

from daemon.database.copying import NewRows, copy_new
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror import text_upkeep
from daemon.sync.matching.phones import RULES, phone_numbers, phones_in_note

PAGE = 1_000  # customers
# Seconds of reading after which the event loop has its turn: who stores a page waits for it at each step.
SLICE = 0.0003


class Side(StrEnum):
    """Whose customers."""

    NHANH = "nhanh"
    SHOPIFY = "shopify"


class PhoneOrigin(StrEnum):
    """In which field of a customer a number stands; the most trustworthy comes first."""

    PHONE = "phone"
    ADDRESS = "address"
    NOTE = "note"


class CustomerPhones(NamedTuple):
    """A customer's numbers, {E.164: the best field it stands in}, and the state that they were read from."""

    customer_id: int
    state: bytes
    phones: dict[str, PhoneOrigin]
    is_known: bool  # with those of another state


# What is known is looked up customer by customer: a page must read a page's rows, not hash all states again.
LIST_CHANGED = """
SELECT id, digest || $3 AS state, {fields}, known.state IS NOT NULL AS is_known
FROM dongbo.{side}_customers AS customer LEFT JOIN LATERAL (
    SELECT state FROM dongbo.customer_phone_states
    WHERE store = $1 AND side = '{side}' AND customer_id = customer.id LIMIT 1
) AS known ON true
WHERE store = $1 AND deleted_at IS NULL AND id > $2 {of_these}AND digest || $3 IS DISTINCT FROM known.state
ORDER BY id LIMIT $4
"""
FIELDS = {
    Side.NHANH: "mobile AS phone, NULL AS address_phone, NULL AS note",
    Side.SHOPIFY: "phone, address_phone, note",
}

OF_THESE = "AND id = ANY ($5) "

COUNT_CHANGED = """
SELECT count(*) FROM dongbo.{side}_customers AS customer
LEFT JOIN dongbo.customer_phone_states AS known
    ON known.store = $1 AND known.side = '{side}' AND known.customer_id = customer.id
WHERE customer.store = $1 AND customer.deleted_at IS NULL AND known.state IS DISTINCT FROM customer.digest || $2
"""

STATE_COLUMNS = ("store", "side", "customer_id", "state")
PHONE_COLUMNS = ("store", "side", "customer_id", "phone", "origin")

# Comes first: a customer's state is what holds up somebody else who stores the same customer's numbers.
WRITE_STATES = """
WITH written AS (
    INSERT INTO dongbo.customer_phone_states (store, side, customer_id, state)
    SELECT $1, $2, * FROM unnest($3::bigint[], $4::bytea[])
    ON CONFLICT (store, side, customer_id) DO UPDATE SET state = excluded.state
    RETURNING customer_id, xmax <> 0 AS was_known
)
SELECT array_agg(customer_id) FILTER (WHERE was_known) FROM written
"""

# NOT IN, which is hashed whatever the planner believes: a join with the page is planned by nested loops.
DELETE_PHONES = """
DELETE FROM dongbo.customer_phones
WHERE store = $1 AND side = $2 AND customer_id = ANY ($3)
  AND (customer_id, phone) NOT IN (SELECT * FROM unnest($4::bigint[], $5::text[]))
"""

WRITE_PHONES = """
INSERT INTO dongbo.customer_phones AS known (store, side, customer_id, phone, origin)
SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::text[])
ON CONFLICT (store, side, customer_id, phone) DO UPDATE SET origin = excluded.origin
WHERE known.origin <> excluded.origin
"""

# In one statement, which sees a customer's state and numbers as they were stored together.
FORGET_DELETED = """
WITH gone AS (
    DELETE FROM dongbo.customer_phone_states AS known
    WHERE store = $1 AND side = '{side}' AND NOT EXISTS (
        SELECT FROM dongbo.{side}_customers AS customer
        WHERE customer.store = $1 AND customer.id = known.customer_id AND customer.deleted_at IS NULL
    )
    RETURNING customer_id
)
DELETE FROM dongbo.customer_phones
WHERE store = $1 AND side = '{side}' AND customer_id IN (SELECT customer_id FROM gone)
"""


async def count_changed(connection: Connection, store: StoreName, *, with_notes: bool) -> int:
    """How many customers of both sides are to be read."""
    count = 0
    for side in Side:
        count += await connection.fetchval(COUNT_CHANGED.format(side=side), store, _rules(side, with_notes=with_notes))
    return count


async def changed_pages(
    borrow: Callable[[], AbstractAsyncContextManager[Connection]],
    store: StoreName,
    *,
    with_notes: bool,
    among: Mapping[Side, Collection[int]] | None = None,
) -> AsyncGenerator[tuple[Side, list[CustomerPhones]], None]:
    """The customers whose numbers are not those of their present state, with their numbers, PAGE at a time.

    Borrows a connection for each page, and holds none while it reads numbers or waits for the page to be stored.
    `among` names some customers of each side; None: all of them.
    """
    for side in Side:
        of_these = OF_THESE if among is not None else ""
        statement = LIST_CHANGED.format(side=side, fields=FIELDS[side], of_these=of_these)
        these = [list(among.get(side, ()))] if among is not None else []
        rules, after = _rules(side, with_notes=with_notes), 0
        while True:
            async with borrow() as connection:
                customers = await connection.fetch(statement, store, after, rules, PAGE, *these)
            if not customers:
                break
            yield side, await _read(customers, with_notes=with_notes)
            after = customers[-1]["id"]


async def store_phones(
    connection: Connection, store: StoreName, side: Side, customers: Sequence[CustomerPhones]
) -> None:
    """Let these customers have just these numbers, and be found, soon, by what they are called now."""
    phones = [(each.customer_id, phone, origin) for each in customers for phone, origin in each.phones.items()]
    states = [(each.customer_id, each.state) for each in customers]
    if any(each.is_known for each in customers) or not await copy_new(
        connection,
        NewRows("customer_phone_states", STATE_COLUMNS, [(store, side, *state) for state in states]),
        NewRows("customer_phones", PHONE_COLUMNS, [(store, side, *phone) for phone in phones]),
    ):
        await _replace(connection, store, side, states, phones)
    owners = [each.customer_id for each in customers]
    for start in range(0, len(owners), PAGE):
        await text_upkeep.add_due(connection, store, side, owners[start : start + PAGE])


async def _replace(
    connection: Connection,
    store: StoreName,
    side: Side,
    states: Sequence[tuple[int, bytes]],
    phones: Sequence[tuple[int, str, PhoneOrigin]],
) -> None:
    known = await connection.fetchval(WRITE_STATES, store, side, *_columns(states, 2))
    customers, numbers, origins = _columns(phones, 3)
    if known:  # nobody else can have a number that is no longer theirs
        await connection.execute(DELETE_PHONES, store, side, known, customers, numbers)
    await connection.execute(WRITE_PHONES, store, side, customers, numbers, origins)


def _columns(rows: Sequence[tuple[Any, ...]], number: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(number)]


async def forget_deleted(connection: Connection, store: StoreName) -> None:
    """Drop the numbers of customers that are gone."""
    for side in Side:
        await connection.execute(FORGET_DELETED.format(side=side), store)


async def _read(customers: Sequence[Record], *, with_notes: bool) -> list[CustomerPhones]:
    """Read the numbers out of customers' fields, giving way to the event loop again and again."""
    found = []
    began = time.perf_counter()
    for customer in customers:
        phones = _phones(customer, with_notes=with_notes)
        found.append(CustomerPhones(customer["id"], customer["state"], phones, customer["is_known"]))
        if time.perf_counter() - began > SLICE:
            await asyncio.sleep(0)
            began = time.perf_counter()
    return found


def _rules(side: Side, *, with_notes: bool) -> bytes:
    """What besides the customer decides which numbers are found."""
    match side:
        case Side.NHANH:
            return RULES.encode()
        case Side.SHOPIFY:
            return f"{RULES}/{'notes' if with_notes else 'fields'}".encode()
        case _:
            assert_never(side)


def _phones(customer: Record, *, with_notes: bool) -> dict[str, PhoneOrigin]:
    found = dict.fromkeys(phone_numbers(customer["phone"]), PhoneOrigin.PHONE)
    if address_phone := customer["address_phone"]:
        found = dict.fromkeys(phone_numbers(address_phone), PhoneOrigin.ADDRESS) | found
    if with_notes and (note := customer["note"]):
        found = dict.fromkeys(phones_in_note(note), PhoneOrigin.NOTE) | found
    return found
