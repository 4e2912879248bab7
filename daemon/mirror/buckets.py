"""All SQL on `dongbo.source_buckets` and `dongbo.source_points`: how processes share Shopify's buckets of points."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from daemon.database.pool import Connection, Database
from daemon.mirror.claims import CALLING_SECONDS, FORGOTTEN_SECONDS, Claims
from daemon.sources.points import OtherPoints, ToldPoints

LOCK_SPACE = 0x706F696E  # "poin"
WAITING_SECONDS = 3.0  # since it last asked, during which a process counts as waiting: it asks again every second

# Whoever waits for a call of a lower rank goes first, and then whoever has waited longer.
OTHERS = f"""
SELECT bucket.free, bucket.process = $2 AS is_ours,
    greatest(extract(epoch FROM clock_timestamp() - bucket.as_of), 0)::double precision AS age, other.*
FROM (
    SELECT count(*) AS processes, coalesce(sum(held), 0)::double precision AS held,
        (coalesce(sum(wanted) FILTER (
            WHERE age < {WAITING_SECONDS} AND (rank, since) < ($3::smallint, clock_timestamp() - $4::interval)
        ), 0))::double precision AS ahead
    FROM (
        SELECT *, extract(epoch FROM clock_timestamp() - as_of) AS age FROM dongbo.source_points
        WHERE account = $1 AND process <> $2
    ) AS process
    WHERE abs(age) < {CALLING_SECONDS}
) AS other
LEFT JOIN dongbo.source_buckets AS bucket ON bucket.account = $1
"""

TELL = """
WITH told AS (
    INSERT INTO dongbo.source_points (account, process, held, wanted, rank, since)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() - $6::interval)
    ON CONFLICT (account, process) DO UPDATE SET held = excluded.held, wanted = excluded.wanted, rank = excluded.rank,
        since = excluded.since, as_of = clock_timestamp()
)
INSERT INTO dongbo.source_buckets (account, process, free) VALUES ($1, $2, $7)
ON CONFLICT (account) DO UPDATE SET process = excluded.process, free = excluded.free, as_of = clock_timestamp()
"""

PRUNE_POINTS = "DELETE FROM dongbo.source_points WHERE as_of < clock_timestamp() - $1::interval"
PRUNE_BUCKETS = "DELETE FROM dongbo.source_buckets WHERE as_of < clock_timestamp() - $1::interval"  # they are full


class SharedBuckets:
    """The claims of this process among those of all that work with the same database."""

    def __init__(self, database: Database) -> None:
        self._claims = Claims(database, uuid4(), LOCK_SPACE)

    async def claim(self, account: str, rank: int, waited: float, decide: Callable[[OtherPoints], ToldPoints]) -> bool:
        """Let `decide` settle what this process claims of a bucket, while no other process claims any of it.

        Args:
            account: whose bucket it is.
            rank: of the call that the points are for: those of a lower one go first.
            waited: for how many seconds that call has waited.
            decide: answers with what all are to know.

        False: the database is away, or too busy to answer; a call is not refused for that.
        """

        async def make(connection: Connection) -> None:
            since = timedelta(seconds=waited)
            others = await connection.fetchrow(OTHERS, account, self._claims.process, rank, since)
            told = decide(
                OtherPoints(
                    free=others["free"],
                    age=others["age"] or 0.0,
                    is_ours=bool(others["is_ours"]),
                    held=others["held"],
                    ahead=others["ahead"],
                    processes=others["processes"],
                )
            )
            await connection.execute(
                TELL, account, self._claims.process, told.held, told.wanted, rank, since, told.free
            )

        return await self._claims.make(account, account, make)


async def prune(connection: Connection) -> None:
    """Forget processes that are gone, and buckets that nobody draws on."""
    for statement in (PRUNE_POINTS, PRUNE_BUCKETS):
        await connection.execute(statement, timedelta(seconds=FORGOTTEN_SECONDS))
