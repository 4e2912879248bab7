"""Matching 200,000 customers of Nhanh.vn with 200,000 of Shopify: first, and again with nothing changed.

5 % share a number with another customer of their side, so that nobody knows who is who, and 5 % are at one side only.
Numbers are written as people write them. The reference is one bare hash join of the numbers, on the same server in the
same round.
"""

from collections.abc import AsyncIterator

import asyncpg
import orjson
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, of_seconds, say
from held_up import LOCK_MAPPINGS, HeldUp, longest_pause, moving, of_held_up, watched
from matching import hash_join, seconds

CUSTOMERS = 200_000  # of each side
AMBIGUOUS = CUSTOMERS // 40  # customers of Shopify
MAPPED = CUSTOMERS - CUSTOMERS // 20 - 2 * AMBIGUOUS
TARGET = 10.0  # seconds
HELD_UP = 1.0  # seconds
PAUSE = 2.0  # seconds without a sign of progress
FILL_TIMEOUT = 600.0  # seconds

# Of 40 at Nhanh.vn, two have one number; of 20 at Shopify, one has a number that nobody at Nhanh.vn has.
PERSON = "CASE WHEN n % 40 = 21 THEN n - 1 ELSE n END"

# A mobile number in use, without its leading 0.
NUMBER = "'9' || substr('0134678', ({person}) % 7 + 1, 1) || lpad((({person})::bigint * 7919 % 10000000)::text, 7, '0')"

PUT_BUYERS = f"""
INSERT INTO dongbo.nhanh_customers (store, id, type, name, mobile, code, email, document, digest)
SELECT 'main', 20000000 + n, 1, 'Nguyễn Thị Hồng ' || n, CASE n % 10
        WHEN 0 THEN '0' || substr(number, 1, 3) || '.' || substr(number, 4, 3) || '.' || substr(number, 7)
        WHEN 1 THEN '84' || number
        ELSE '0' || number
    END, 'KH' || n, 'hong' || n || '@example.vn',
    jsonb_build_object('name', 'Nguyễn Thị Hồng ' || n, 'note', repeat(md5(n::text), 12)), decode(md5(n::text), 'hex')
FROM (SELECT n, {NUMBER.format(person=PERSON)} AS number FROM generate_series(1, {CUSTOMERS}) AS n) AS row
"""

# One of three has no phone of its own, but one in the address, as it was typed.
PUT_CUSTOMERS = f"""
INSERT INTO dongbo.shopify_customers (store, id, display_name, email, phone, address_phone, tags, document, digest)
SELECT 'main', 7000000000000 + n, 'Hồng Nguyễn ' || n, 'hong' || n || '@example.vn',
    CASE WHEN n % 3 > 0 THEN '+84' || number END,
    CASE n % 6 WHEN 0 THEN '0' || number
        WHEN 3 THEN '+84 ' || substr(number, 1, 2) || ' ' || substr(number, 3, 3) || ' ' || substr(number, 6) END,
    '{{}}', jsonb_build_object('note', repeat(md5(n::text), 12)), decode(md5(n::text), 'hex')
FROM (
    SELECT n, {NUMBER.format(person="CASE WHEN n % 20 = 5 THEN n + 300000 ELSE n END")} AS number
    FROM generate_series(1, {CUSTOMERS}) AS n
) AS row
"""

EMPTY = """
TRUNCATE dongbo.customer_mappings, dongbo.match_conflicts, dongbo.customer_phones, dongbo.customer_phone_states,
    dongbo.customer_texts, dongbo.customer_texts_due
"""

HASH_JOIN = """
SELECT count(*) FROM dongbo.customer_phones AS nhanh
JOIN dongbo.customer_phones AS shopify ON shopify.phone = nhanh.phone AND shopify.side = 'shopify'
WHERE nhanh.store = 'main' AND shopify.store = 'main' AND nhanh.side = 'nhanh'
"""

PLACES = "SELECT md5(string_agg(concat_ws(' ', ctid, xmin), ',' ORDER BY id)) FROM dongbo.customer_mappings"

WORKS = {
    "decision": LOCK_MAPPINGS.format(table="customer_mappings"),
    "customer_row": """
        UPDATE dongbo.shopify_customers SET changed_at = now() WHERE store = 'main' AND id = 7000000000007
    """,
}


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Rounds of first match and match again; a single one with `quick`."""
    joins: list[float] = []
    firsts: list[float] = []
    agains: list[float] = []
    pauses: list[float] = []
    held: list[HeldUp] = []
    async with state_directory() as state, running_daemon(state, shopify_url="http://127.0.0.1:1") as bench:
        say(f"match_customers: writing {2 * CUSTOMERS:,} customers")
        for statement in (PUT_BUYERS, PUT_CUSTOMERS, "ANALYZE"):
            await bench.connection.execute(statement, timeout=FILL_TIMEOUT)
        for number in range(1 if quick else 3):
            await bench.connection.execute(EMPTY)
            await bench.connection.execute("CHECKPOINT")
            first, pause, held_up = await _watched_match(bench)
            places = await bench.connection.fetchval(PLACES)
            again = await bench.completed("MATCH_CUSTOMERS")
            check(first, again)
            assert await bench.connection.fetchval(PLACES) == places, "the second run has rewritten mappings"
            joins.append(await hash_join(bench.connection, HASH_JOIN))
            firsts.append(seconds(first))
            agains.append(seconds(again))
            pauses.append(pause)
            held.append(held_up)
            say(
                f"match_customers: round {number + 1}: join {joins[-1]:.2f}, first {firsts[-1]:.2f}, "
                f"again {agains[-1]:.2f} s, pause {pause:.2f} s, {held_up}"
            )
    yield of_seconds("match_customers", firsts, joins, TARGET)
    yield of_seconds("match_customers_again", agains, joins, TARGET)
    yield of_held_up("match_customers_holds_up", held, HELD_UP)
    yield Figure("match_customers_silent", max(pauses), "s without progress", Bound.AT_MOST, PAUSE, values=pauses)


async def _watched_match(bench: Bench) -> tuple[asyncpg.Record, float, HeldUp]:
    """A match with its longest time without progress, and how it held others up."""
    async with watched(bench, WORKS) as held_up:
        job_id = await bench.submit("MATCH_CUSTOMERS")
        async with moving(bench, job_id) as moved:
            job = await bench.ended(job_id)
    if job["status"] != "COMPLETED":
        raise RuntimeError(f"MATCH_CUSTOMERS ended {job['status']}: {job['error']}")
    return job, longest_pause(moved), held_up


def check(first: asyncpg.Record, again: asyncpg.Record) -> None:
    """What must come out: who has a number of one's own on both sides is mapped."""
    metadata = orjson.loads(first["metadata"])
    assert (first["created"], first["processed"]) == (MAPPED, CUSTOMERS), dict(first)
    assert metadata["ambiguous"] == AMBIGUOUS, metadata
    assert (again["skipped"], again["successful"]) == (CUSTOMERS, 0), dict(again)
