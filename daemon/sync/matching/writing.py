"""How what matching has decided is written: in batches, each in a transaction of its own.

To decide about a large shop takes seconds, and to write what was decided as long again. Nobody is to wait for that who
maps a single row meanwhile: deciding takes no lock, and a batch holds that of `Decisions` for a moment. So a person, or
the matching of a few rows, may come between. A change that no longer fits then is left, and the shop is decided about
once more. What frees a row is written before what takes one, and no part of a decision depends on another part's having
been written: a run that ends between two batches leaves mappings that the next one completes.

All SQL on `dongbo.match_batches` and `dongbo.match_rounds`.
"""

from dataclasses import dataclass

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.model import Counters
from daemon.sync.matching.decisions import Decisions
from daemon.sync.matching.outcome import WHOLE_TABLES

BATCH = 8_000  # changes: a tenth of a second or two

CREATE_TABLES = """
-- All that was decided, in the order in which it is written.
CREATE TEMPORARY TABLE IF NOT EXISTS match_decided (
    place bigint, kind text, mapping_id bigint, shopify_id bigint, nhanh_id bigint, source text, phone text,
    reason text, counts text
) ON COMMIT DELETE ROWS;
-- What of it is being written.
CREATE TEMPORARY TABLE IF NOT EXISTS match_batch (
    kind text, mapping_id bigint, shopify_id bigint, nhanh_id bigint, source text, phone text, reason text, counts text
) ON COMMIT DELETE ROWS;
"""

# What frees a row comes before what takes one. A row of Shopify that is there counts once, with its last change: as
# created where it was only matched, else as updated.
GATHER = """
WITH store AS (SELECT $1::text AS name)
INSERT INTO pg_temp.match_decided
SELECT row_number() OVER (ORDER BY rank, shopify_id, mapping_id) - 1,
    kind, mapping_id, shopify_id, nhanh_id, source, phone, reason, CASE
        WHEN NOT is_there OR 1 <> row_number() OVER (
            PARTITION BY shopify_id, is_there ORDER BY rank DESC, mapping_id DESC
        ) THEN NULL
        WHEN bool_and(kind = 'matched') OVER (PARTITION BY shopify_id, is_there) THEN 'created'
        ELSE 'updated'
    END
FROM (
    SELECT *, array_position(ARRAY['retired', 'moved', 'restored', 'matched'], kind) AS rank FROM ({changes}) AS made
) AS change
"""

COUNT = """
SELECT count(*) FILTER (WHERE counts = 'created') AS created, count(*) FILTER (WHERE counts = 'updated') AS updated
FROM pg_temp.match_decided
"""

FORGET_DRAFTS = """
DELETE FROM dongbo.match_batches AS batch USING dongbo.background_jobs AS job
WHERE job.id = batch.job_id
  AND (job.id = $1 AND batch.subject = $2 OR job.status IN ('COMPLETED', 'FAILED', 'CANCELLED'))
"""

DRAFT = """
INSERT INTO dongbo.match_batches
    (job_id, subject, number, kinds, mapping_ids, shopify_ids, nhanh_ids, sources, phones, reasons, counts)
SELECT $1, $2, place / $3, array_agg(kind ORDER BY place), array_agg(mapping_id ORDER BY place),
    array_agg(shopify_id ORDER BY place), array_agg(nhanh_id ORDER BY place), array_agg(source ORDER BY place),
    array_agg(phone ORDER BY place), array_agg(reason ORDER BY place), array_agg(counts ORDER BY place)
FROM pg_temp.match_decided GROUP BY place / $3
"""

# Of what was before in the same transaction.
EMPTY_DECIDED = "DELETE FROM pg_temp.match_decided"
EMPTY_BATCH = "DELETE FROM pg_temp.match_batch"

TAKE_DRAFT = """
WITH taken AS (
    DELETE FROM dongbo.match_batches WHERE job_id = $1 AND subject = $2 AND number = (
        SELECT min(number) FROM dongbo.match_batches WHERE job_id = $1 AND subject = $2
    )
    RETURNING *
)
INSERT INTO pg_temp.match_batch
SELECT change.* FROM taken CROSS JOIN LATERAL
    unnest(kinds, mapping_ids, shopify_ids, nhanh_ids, sources, phones, reasons, counts) AS change
"""

TAKE_ALL = """
INSERT INTO pg_temp.match_batch
SELECT kind, mapping_id, shopify_id, nhanh_id, source, phone, reason, counts FROM pg_temp.match_decided
"""

COUNT_BATCH = "SELECT count(*) FROM pg_temp.match_batch"

# Each says of the changes that still fitted how the rows of Shopify count.
WRITTEN = """
SELECT count(*) AS written, count(*) FILTER (WHERE counts = 'created') AS created,
    count(*) FILTER (WHERE counts = 'updated') AS updated
FROM written
"""

# A decision of a person that matching retires comes back when what it names is back.
RETIRE = """
WITH written AS (
    UPDATE dongbo.{table} AS mapping
    SET retired_at = now(), changed_at = now(), retired_reason = change.reason, returns = mapping.source = 'manual'
    FROM pg_temp.match_batch AS change
    WHERE change.kind = 'retired' AND mapping.id = change.mapping_id AND mapping.retired_at IS NULL
    RETURNING change.counts
)
"""

MOVE = """
WITH written AS (
    UPDATE dongbo.{table} AS mapping
    SET {subject} = change.shopify_id, changed_at = now(), note = concat_ws('; ', mapping.note, change.reason)
    FROM pg_temp.match_batch AS change
    WHERE change.kind = 'moved' AND mapping.id = change.mapping_id AND mapping.retired_at IS NULL AND NOT EXISTS (
        SELECT FROM dongbo.{table} AS other
        WHERE other.store = $1 AND other.{subject} = change.shopify_id AND other.retired_at IS NULL
    )
    RETURNING change.counts
)
"""

RESTORE = """
WITH written AS (
    UPDATE dongbo.{table} AS mapping
    SET retired_at = NULL, changed_at = now(), retired_reason = NULL, returns = false
    FROM pg_temp.match_batch AS change
    WHERE change.kind = 'restored' AND mapping.id = change.mapping_id AND mapping.returns AND NOT EXISTS (
        SELECT FROM dongbo.{table} AS other
        WHERE other.store = $1 AND other.{subject} = change.shopify_id AND other.retired_at IS NULL
    )
    RETURNING change.counts
)
"""

MATCH = """
WITH made AS (
    INSERT INTO dongbo.{table} (store, {subject}, nhanh_id, source, {told})
    SELECT $1, shopify_id, nhanh_id, source, {from_change} FROM pg_temp.match_batch AS change
    WHERE kind = 'matched' AND NOT EXISTS (
        SELECT FROM dongbo.{table} AS other
        WHERE other.store = $1 AND other.{subject} = change.shopify_id AND other.retired_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM dongbo.{table} AS other
        WHERE other.store = $1 AND other.nhanh_id = change.nhanh_id AND other.retired_at IS NULL
    )
    ORDER BY shopify_id
    RETURNING {subject} AS shopify_id
), written AS (
    SELECT change.counts FROM made JOIN pg_temp.match_batch AS change USING (shopify_id) WHERE change.kind = 'matched'
)
"""

FIND_ROUND = "SELECT number FROM dongbo.match_rounds WHERE store = $1 AND subject = $2"

NEXT_ROUND = """
INSERT INTO dongbo.match_rounds AS known (store, subject, number) VALUES ($1, $2, 1)
ON CONFLICT (store, subject) DO UPDATE SET number = known.number + 1
"""


@dataclass(frozen=True, slots=True)
class MappingWrites:
    """How the changes of one table of mappings are written.

    Args:
        decisions: whose lock is held meanwhile.
        changes: SELECTs what the caller's transaction has decided, out of its temporary tables: kind, mapping_id,
            shopify_id, nhanh_id, source, phone, reason, and is_there, whether the row of Shopify counts. They may ask
            `store` for its name.
        told: the column that keeps what a new mapping rests on, and from which of the change's.
    """

    decisions: Decisions
    changes: str
    told: tuple[str, str]

    async def gather(self, connection: Connection, store: StoreName) -> Counters:
        """Put what was decided in order, until the end of the caller's transaction; as how many rows of Shopify it
        counts."""
        await connection.execute(CREATE_TABLES)
        await connection.execute(EMPTY_DECIDED)
        await connection.execute(GATHER.format(changes=self.changes), store)
        row = await connection.fetchrow(COUNT)
        return Counters(created=row["created"], updated=row["updated"])

    async def draft(self, connection: Connection, job_id: JobId) -> None:
        """Keep what was gathered for `write_next`, in place of what the job has not written yet."""
        await connection.execute(FORGET_DRAFTS, job_id, self.decisions.kind)
        await connection.execute(DRAFT, job_id, self.decisions.kind, BATCH)

    async def write_next(self, connection: Connection, store: StoreName, job_id: JobId) -> "Written | None":
        """Write the next batch of a job in the caller's transaction, and forget it; None where there is none."""
        await connection.execute(CREATE_TABLES)
        await connection.execute(EMPTY_BATCH)
        await connection.execute(TAKE_DRAFT, job_id, self.decisions.kind)
        if not await connection.fetchval(COUNT_BATCH):
            return None
        await connection.execute(WHOLE_TABLES)
        await self.decisions.lock(connection, store)
        return await self._write(connection, store)

    async def write_at_once(self, connection: Connection, store: StoreName) -> None:
        """Write all that was gathered, in the caller's transaction, which holds the lock of `decisions`."""
        await connection.execute(TAKE_ALL)
        await self._write(connection, store)

    async def _write(self, connection: Connection, store: StoreName) -> "Written":
        changes: int = await connection.fetchval(COUNT_BATCH)
        counted, written = Counters(), 0
        names = {"table": self.decisions.table, "subject": self.decisions.subject}
        told, from_change = self.told
        for statement in (RETIRE, MOVE, RESTORE, MATCH):
            sql = (statement + WRITTEN).format(**names, told=told, from_change=from_change)
            row = await connection.fetchrow(sql, *([store] if statement is not RETIRE else []))
            counted += Counters(created=row["created"], updated=row["updated"])
            written += row["written"]
        return Written(counted, changes - written)


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a batch: as how many rows of Shopify it counts, and how many changes no longer fitted."""

    counters: Counters
    left: int


async def round_number(connection: Connection, store: StoreName, decisions: Decisions) -> int:
    """How many times the findings of matching have been written."""
    return await connection.fetchval(FIND_ROUND, store, decisions.kind) or 0


async def begin_round(connection: Connection, store: StoreName, decisions: Decisions) -> None:
    """Note that findings are written in the caller's transaction, which holds the lock of `decisions`."""
    await connection.execute(NEXT_ROUND, store, decisions.kind)
