"""Which customer of Nhanh.vn a customer of Shopify is: by phone numbers that belong to one customer on either side.

The fields of Shopify's customer are taken in the order of their weight: the phone, the phone of the default address,
numbers in the note. What people decide (`daemon.sync.matching.customer_decisions`) holds against all of that.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.jobs.phases import JobPhase, Tell, tell_nobody
from daemon.mirror.keys import MOST_ROWS
from daemon.sync.matching import common_keys, conflicts
from daemon.sync.matching.customer_decisions import DECISIONS
from daemon.sync.matching.customer_keys import PhoneOrigin, Side
from daemon.sync.matching.outcome import SAMPLE, WHOLE_TABLES, MatchOutcome
from daemon.sync.matching.related_customers import RelatedCustomers, related_to
from daemon.sync.matching.writing import MappingWrites, begin_round

CREATE_TABLES = """
-- The numbers of customers that are there; tier is the weight of the field, from 1.
CREATE TEMPORARY TABLE IF NOT EXISTS match_phones (
    side text, customer_id bigint, phone text, tier integer
) ON COMMIT DELETE ROWS;
-- The mappings that hold, as the steps leave them; id is NULL of those that are new.
CREATE TEMPORARY TABLE IF NOT EXISTS match_customers (
    id bigint, nhanh_id bigint, shopify_id bigint, source text, phone text
) ON COMMIT DELETE ROWS;
-- Decisions of people that were retired while a customer of them was gone.
CREATE TEMPORARY TABLE IF NOT EXISTS returning_customers (LIKE match_customers) ON COMMIT DELETE ROWS;
-- Who may be whom: pairs that share a number which, up to that tier, belongs to nobody else on either side.
CREATE TEMPORARY TABLE IF NOT EXISTS match_pairs (
    nhanh_id bigint, shopify_id bigint, phone text, tier integer
) ON COMMIT DELETE ROWS;
-- What becomes of mappings that were there; those without an id in match_customers are changes, too.
CREATE TEMPORARY TABLE IF NOT EXISTS customer_changes (
    kind text, mapping_id bigint, nhanh_id bigint, shopify_id bigint, source text, phone text, reason text
) ON COMMIT DELETE ROWS;
"""

TIERS = " ".join(f"WHEN '{origin}' THEN {tier}" for tier, origin in enumerate(PhoneOrigin, start=1))

COPY_PHONES = """
INSERT INTO pg_temp.match_phones
SELECT known.side, known.customer_id, known.phone, CASE known.origin {tiers} END
FROM dongbo.customer_phones AS known JOIN dongbo.{side}_customers AS customer
    ON customer.store = $1 AND customer.id = known.customer_id AND customer.deleted_at IS NULL
WHERE known.store = $1 AND known.side = '{side}' {of_these}
"""

COPY_MAPPINGS = """
INSERT INTO pg_temp.match_customers
SELECT id, nhanh_id, shopify_id, source, phone FROM dongbo.customer_mappings
WHERE store = $1 AND retired_at IS NULL {of_these}
"""

COPY_RETURNING = """
INSERT INTO pg_temp.returning_customers
SELECT id, nhanh_id, shopify_id, source, phone FROM dongbo.customer_mappings WHERE store = $1 AND returns {of_these}
"""

# Of some customers only: those are related to nobody else, so that a mapping of one is a mapping of two of them.
PHONES_OF_THESE = "AND known.customer_id = ANY ($2)"
MAPPINGS_OF_THESE = "AND shopify_id = ANY ($2)"

COUNT_CUSTOMERS = "SELECT count(*) FROM dongbo.shopify_customers WHERE store = $1 AND deleted_at IS NULL"

RETIRE_GONE = """
WITH gone AS (
    SELECT mapping.id, CASE
        WHEN shopify.id IS NULL THEN format('customer %s was deleted at Shopify', mapping.shopify_id)
        ELSE format('customer %s was deleted at Nhanh.vn', mapping.nhanh_id)
    END AS reason
    FROM pg_temp.match_customers AS mapping
    LEFT JOIN dongbo.nhanh_customers AS nhanh
        ON nhanh.store = $1 AND nhanh.id = mapping.nhanh_id AND nhanh.deleted_at IS NULL
    LEFT JOIN dongbo.shopify_customers AS shopify
        ON shopify.store = $1 AND shopify.id = mapping.shopify_id AND shopify.deleted_at IS NULL
    WHERE shopify.id IS NULL OR nhanh.id IS NULL AND mapping.nhanh_id IS NOT NULL
), retired AS (
    DELETE FROM pg_temp.match_customers AS mapping USING gone WHERE mapping.id = gone.id
    RETURNING mapping.*, gone.reason
)
INSERT INTO pg_temp.customer_changes
SELECT 'retired', id, nhanh_id, shopify_id, source, phone, reason FROM retired
"""

RESTORE = """
WITH restored AS (
    INSERT INTO pg_temp.match_customers
    SELECT DISTINCT ON (back.shopify_id) back.*
    FROM pg_temp.returning_customers AS back
    JOIN dongbo.shopify_customers AS shopify
        ON shopify.store = $1 AND shopify.id = back.shopify_id AND shopify.deleted_at IS NULL
    LEFT JOIN dongbo.nhanh_customers AS nhanh
        ON nhanh.store = $1 AND nhanh.id = back.nhanh_id AND nhanh.deleted_at IS NULL
    WHERE (back.nhanh_id IS NULL OR nhanh.id IS NOT NULL) AND NOT EXISTS (
        SELECT FROM pg_temp.match_customers AS mapping
        WHERE mapping.shopify_id = back.shopify_id AND mapping.source = 'manual'
    )
    ORDER BY back.shopify_id, back.id DESC
    RETURNING *
)
INSERT INTO pg_temp.customer_changes
SELECT 'restored', id, nhanh_id, shopify_id, source, phone, 'what was gone is back' FROM restored
"""

RETIRE_OVERRULED = """
WITH decided AS (
    SELECT shopify_id, nhanh_id FROM pg_temp.match_customers WHERE source = 'manual'
), retired AS (
    DELETE FROM pg_temp.match_customers AS mapping
    WHERE source <> 'manual' AND (
        shopify_id IN (SELECT shopify_id FROM decided)
        OR nhanh_id IN (SELECT nhanh_id FROM decided WHERE nhanh_id IS NOT NULL)
    )
    RETURNING *
)
INSERT INTO pg_temp.customer_changes
SELECT 'retired', id, nhanh_id, shopify_id, source, phone, CASE
    WHEN shopify_id IN (SELECT shopify_id FROM decided)
    THEN format('what a person has decided about customer %s holds again', shopify_id)
    ELSE format('a person has given customer %s of Nhanh.vn to another one', nhanh_id)
END
FROM retired
"""

HAS_DECIDED = "SELECT EXISTS (SELECT FROM pg_temp.match_customers WHERE source = 'manual')"

# About these customers a person has decided: they take part no further, on neither side.
LEAVE_OUT_DECIDED = """
DELETE FROM pg_temp.match_phones AS known USING pg_temp.match_customers AS mapping
WHERE mapping.source = 'manual' AND (
    known.side = 'shopify' AND known.customer_id = mapping.shopify_id
    OR known.side = 'nhanh' AND known.customer_id = mapping.nhanh_id
)
"""

RETIRE_DISAGREEING = """
WITH agreeing AS (
    SELECT mapping.id FROM pg_temp.match_customers AS mapping
    JOIN pg_temp.match_phones AS nhanh
        ON nhanh.side = 'nhanh' AND nhanh.customer_id = mapping.nhanh_id AND nhanh.phone = mapping.phone
    JOIN pg_temp.match_phones AS shopify
        ON shopify.side = 'shopify' AND shopify.customer_id = mapping.shopify_id AND shopify.phone = mapping.phone
), retired AS (
    DELETE FROM pg_temp.match_customers AS mapping
    WHERE source <> 'manual' AND NOT EXISTS (SELECT FROM agreeing WHERE agreeing.id = mapping.id)
    RETURNING *
)
INSERT INTO pg_temp.customer_changes
SELECT 'retired', id, nhanh_id, shopify_id, source, phone,
    'the two customers no longer share the phone number by which they were matched'
FROM retired
"""

# The same number in one field of more than a few customers is the shop's own, or a default of somebody's form: neither
# there nor in a lesser field does it identify anybody. It may stand in many notes and still be one person's phone.
FIND_COMMON = """
INSERT INTO pg_temp.found_common
WITH common AS MATERIALIZED (
    SELECT DISTINCT phone FROM (
        SELECT phone FROM pg_temp.match_phones GROUP BY phone, side, tier HAVING count(*) > $1
    ) AS field
), field AS (
    SELECT phone, side, tier, count(*) AS amount FROM pg_temp.match_phones
    WHERE phone IN (SELECT phone FROM common) GROUP BY phone, side, tier
)
SELECT 'phone', phone, max(amount) FILTER (WHERE side = 'nhanh'), max(amount) FILTER (WHERE side = 'shopify')
FROM field GROUP BY phone HAVING count(DISTINCT side) = 2
"""

FORGET_COMMON = """
DELETE FROM pg_temp.match_phones AS known USING (
    SELECT phone, min(tier) AS tier FROM (
        SELECT phone, tier FROM pg_temp.match_phones WHERE phone IN (SELECT key FROM pg_temp.found_common)
        GROUP BY phone, side, tier HAVING count(*) > $1
    ) AS field GROUP BY phone
) AS common
WHERE known.phone = common.phone AND known.side = 'shopify' AND known.tier >= common.tier
"""

RETIRE_COMMON = """
WITH retired AS (
    DELETE FROM pg_temp.match_customers AS mapping USING pg_temp.found_common AS common
    WHERE common.key = mapping.phone AND NOT EXISTS (
        SELECT FROM pg_temp.match_phones AS known
        WHERE known.side = 'shopify' AND known.customer_id = mapping.shopify_id AND known.phone = mapping.phone
    )
    RETURNING mapping.*, common.nhanh_rows, common.shopify_rows
)
INSERT INTO pg_temp.customer_changes
SELECT 'retired', id, nhanh_id, shopify_id, source, phone, format(
    '%s customers of Nhanh.vn and %s of Shopify have the phone number, so it identifies none of them',
    nhanh_rows, shopify_rows
)
FROM retired
"""

# Whether a number belongs to one customer of Shopify depends on how many fields are looked at: it does from the first
# one on in which it stands, if there it is nobody else's.
FIND_PAIRS = """
INSERT INTO pg_temp.match_pairs
SELECT nhanh.customer_id, shopify.customer_id, phone, shopify.tier
FROM (
    SELECT phone, min(customer_id) AS customer_id FROM pg_temp.match_phones
    WHERE side = 'nhanh' GROUP BY phone HAVING count(*) = 1
) AS nhanh
JOIN (
    SELECT DISTINCT ON (phone) phone, tier, count(*) AS amount, min(customer_id) AS customer_id
    FROM pg_temp.match_phones WHERE side = 'shopify' GROUP BY phone, tier ORDER BY phone, tier
) AS shopify USING (phone)
WHERE shopify.amount = 1
"""

# A pair of an earlier tier goes on to count: a customer who could be two by phone is not settled by a note.
MATCH = """
WITH free AS (
    SELECT DISTINCT ON (nhanh_id, shopify_id) nhanh_id, shopify_id, tier, phone FROM pg_temp.match_pairs AS pair
    WHERE tier <= $2
      AND NOT EXISTS (SELECT FROM pg_temp.match_customers AS mapping WHERE mapping.nhanh_id = pair.nhanh_id)
      AND NOT EXISTS (SELECT FROM pg_temp.match_customers AS mapping WHERE mapping.shopify_id = pair.shopify_id)
    ORDER BY nhanh_id, shopify_id, tier, phone
), counted AS (
    SELECT *, count(*) OVER (PARTITION BY nhanh_id) AS customers, count(*) OVER (PARTITION BY shopify_id) AS partners
    FROM free
)
INSERT INTO pg_temp.match_customers
SELECT NULL, nhanh_id, shopify_id, ($1::text[])[tier], phone FROM counted WHERE customers = 1 AND partners = 1
"""

# Somebody waits, and on either side there is a customer that no other number has settled.
FIND_SHARED_PHONES = """
INSERT INTO pg_temp.found_conflicts
WITH shared AS MATERIALIZED (
    SELECT DISTINCT phone FROM (
        SELECT phone FROM pg_temp.match_phones GROUP BY phone, side HAVING count(*) > 1
    ) AS known
), known AS MATERIALIZED (
    SELECT side, customer_id, phone FROM pg_temp.match_phones WHERE phone IN (SELECT phone FROM shared)
)
SELECT 'phone', phone, nhanh.ids, shopify.ids, shopify.waiting
FROM (
    SELECT known.phone, array_agg(known.customer_id ORDER BY known.customer_id) AS ids,
        bool_or(mapping.phone IS NULL OR mapping.phone = known.phone) AS is_open,
        bool_or(mapping.phone IS NULL) AS is_waiting
    FROM known LEFT JOIN pg_temp.match_customers AS mapping ON mapping.nhanh_id = known.customer_id
    WHERE known.side = 'nhanh' GROUP BY known.phone
) AS nhanh
JOIN (
    SELECT known.phone, array_agg(known.customer_id ORDER BY known.customer_id) AS ids,
        bool_or(mapping.phone IS NULL OR mapping.phone = known.phone) AS is_open,
        coalesce(
            array_agg(known.customer_id ORDER BY known.customer_id) FILTER (WHERE mapping.phone IS NULL), '{}'
        ) AS waiting
    FROM known LEFT JOIN pg_temp.match_customers AS mapping ON mapping.shopify_id = known.customer_id
    WHERE known.side = 'shopify' GROUP BY known.phone
) AS shopify USING (phone)
WHERE nhanh.is_open AND shopify.is_open AND (nhanh.is_waiting OR shopify.waiting <> '{}')
"""

# Numbers that belong to one customer on either side, of which one has others that lead to somebody else.
FIND_FORKED_PHONES = """
INSERT INTO pg_temp.found_conflicts
WITH free AS (
    SELECT nhanh_id, shopify_id, phone FROM pg_temp.match_pairs AS pair
    WHERE NOT EXISTS (SELECT FROM pg_temp.match_customers AS mapping WHERE mapping.nhanh_id = pair.nhanh_id)
      AND NOT EXISTS (SELECT FROM pg_temp.match_customers AS mapping WHERE mapping.shopify_id = pair.shopify_id)
), of_nhanh AS (
    SELECT nhanh_id, array_agg(DISTINCT shopify_id ORDER BY shopify_id) AS partners FROM free GROUP BY nhanh_id
), of_shopify AS (
    SELECT shopify_id, array_agg(DISTINCT nhanh_id ORDER BY nhanh_id) AS partners FROM free GROUP BY shopify_id
)
SELECT 'phone', phone, of_shopify.partners, of_nhanh.partners, of_nhanh.partners
FROM free JOIN of_nhanh USING (nhanh_id) JOIN of_shopify USING (shopify_id)
WHERE NOT EXISTS (SELECT FROM pg_temp.found_conflicts AS found WHERE found.key = free.phone)
"""

# For writing: the changes, and whether the customer of Shopify is there.
CHANGES = """
SELECT kind, mapping_id, shopify_id, nhanh_id, source, phone, reason, EXISTS (
    SELECT FROM dongbo.shopify_customers AS customer
    WHERE customer.store = (SELECT name FROM store) AND customer.id = change.shopify_id AND customer.deleted_at IS NULL
) AS is_there
FROM pg_temp.customer_changes AS change
UNION ALL
SELECT 'matched', NULL, shopify_id, nhanh_id, source, phone, NULL, true FROM pg_temp.match_customers WHERE id IS NULL
"""

FIGURES = """
SELECT (SELECT count(*) FROM pg_temp.match_customers WHERE nhanh_id IS NOT NULL) AS mapped,
    (SELECT count(*) FROM pg_temp.match_customers WHERE nhanh_id IS NULL) AS excluded,
    (SELECT count(*) FROM pg_temp.customer_changes WHERE kind = 'retired') AS retired,
    (SELECT count(*) FROM pg_temp.customer_changes WHERE kind = 'restored') AS restored
"""

SAMPLE_CHANGES = """
SELECT kind, change.shopify_id, shopify.display_name AS shopify_name, change.nhanh_id, nhanh.name AS nhanh_name,
    change.phone, change.source, change.reason
FROM (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY place) AS number FROM pg_temp.match_decided
) AS change
LEFT JOIN dongbo.shopify_customers AS shopify ON shopify.store = $1 AND shopify.id = change.shopify_id
LEFT JOIN dongbo.nhanh_customers AS nhanh ON nhanh.store = $1 AND nhanh.id = change.nhanh_id
WHERE number <= $2 ORDER BY kind, number
"""


async def count_customers(connection: Connection, store: StoreName) -> int:
    """How many customers of Shopify take part."""
    count: int = await connection.fetchval(COUNT_CUSTOMERS, store)
    return count


async def decide(connection: Connection, store: StoreName, tell: Tell, *, with_sample: bool) -> MatchOutcome:
    """Decide about all customers of a store by the numbers that were read, in the caller's transaction.

    Nothing is written but temporary tables, and no lock is taken. `tell` hears what is done at the moment.
    """
    tell(JobPhase.READING_ROWS)
    await _gather(connection, store, None)
    total = await count_customers(connection, store)
    tell(JobPhase.SETTLING_MAPPINGS)
    await _match(connection, store, tell)
    tell(JobPhase.COUNTING)
    return await _outcome(connection, store, total, with_sample=with_sample)


async def write_findings(connection: Connection, store: StoreName, keys: Sequence[str] | None = None) -> None:
    """Write the conflicts and common numbers that were found; `keys`: those that it is about; None: all."""
    await conflicts.write(connection, store, ["phone"], keys)
    await common_keys.write(connection, store, ["phone"], keys)


async def match_some(connection: Connection, store: StoreName, shopify_ids: Iterable[int]) -> bool:
    """Match these customers of Shopify, in the caller's transaction, with the result that matching all would have for
    them: along with whom they depend on. False, and nothing is done, where these are too many: then match all."""
    await DECISIONS.lock(connection, store)
    related = await related_to(connection, store, shopify_ids)
    if related is None:
        return False
    await _gather(connection, store, related)
    await _match(connection, store)
    await WRITES.gather(connection, store)
    await begin_round(connection, store, DECISIONS)
    await write_findings(connection, store, sorted(related.phones))
    await WRITES.write_at_once(connection, store)
    return True


async def _gather(connection: Connection, store: StoreName, related: RelatedCustomers | None) -> None:
    """Copy what matching looks at; None: of all customers."""
    await connection.execute(WHOLE_TABLES)
    await connection.execute(CREATE_TABLES)
    for side in Side:
        of_these = PHONES_OF_THESE if related is not None else ""
        statement = COPY_PHONES.format(side=side, tiers=TIERS, of_these=of_these)
        await connection.execute(statement, store, *([related.of(side)] if related is not None else []))
    these = [related.of(Side.SHOPIFY)] if related is not None else []
    for copying in (COPY_MAPPINGS, COPY_RETURNING):
        await connection.execute(copying.format(of_these=MAPPINGS_OF_THESE if these else ""), store, *these)
    await connection.execute("ANALYZE match_phones, match_customers")


async def _match(connection: Connection, store: StoreName, tell: Tell = tell_nobody) -> None:
    """Decide about all that was gathered."""
    origins = list(PhoneOrigin)
    await connection.execute(RETIRE_GONE, store)
    await connection.execute(RETIRE_DISAGREEING)
    await connection.execute(RESTORE, store)
    await connection.execute(RETIRE_OVERRULED)
    await _set_common_aside(connection)
    if await connection.fetchval(HAS_DECIDED):
        await connection.execute(LEAVE_OUT_DECIDED)
    tell(JobPhase.COMPARING_KEYS, 0, len(origins))
    await connection.execute(FIND_PAIRS)
    await connection.execute("ANALYZE match_pairs")
    for tier, _origin in enumerate(origins, start=1):
        tell(JobPhase.COMPARING_KEYS, tier, len(origins))
        await connection.execute(MATCH, origins, tier)
    await connection.execute("ANALYZE match_customers")
    await conflicts.create_table(connection)
    await connection.execute(FIND_SHARED_PHONES)
    await connection.execute(FIND_FORKED_PHONES)


async def _set_common_aside(connection: Connection) -> None:
    """Forget numbers that identify nobody, and retire what rests on them."""
    await common_keys.create_table(connection)
    await connection.execute(FIND_COMMON, MOST_ROWS)
    if (await common_keys.count(connection))["common_keys"]:
        await connection.execute(FORGET_COMMON, MOST_ROWS)
        await connection.execute(RETIRE_COMMON)


async def _outcome(connection: Connection, store: StoreName, total: int, *, with_sample: bool) -> MatchOutcome:
    changed = await WRITES.gather(connection, store)
    counters = changed + Counters(skipped=total - changed.processed)
    figures = dict(await connection.fetchrow(FIGURES)) | await conflicts.count(connection)
    figures |= await common_keys.count(connection)
    figures["unmatched"] = total - figures["mapped"] - figures["excluded"] - figures["ambiguous"]
    sample: dict[str, list[dict[str, Any]]] = {}
    if with_sample:
        for row in await connection.fetch(SAMPLE_CHANGES, store, SAMPLE):
            columns = dict(row)
            sample.setdefault(columns.pop("kind"), []).append(columns)
        sample["ambiguous"] = await conflicts.sample(connection, SAMPLE)
        sample["common_keys"] = await common_keys.sample(connection, SAMPLE)
    return MatchOutcome(counters, figures, {kind: rows for kind, rows in sample.items() if rows})


WRITES = MappingWrites(DECISIONS, CHANGES, told=("phone", "phone"))
