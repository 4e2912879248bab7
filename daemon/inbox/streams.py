"""All SQL on `dongbo.webhook_streams`: the webhooks of one side of a store, and whether somebody listens for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.types import Source

MOST_STREAMS = 2_000


@dataclass(frozen=True, slots=True)
class StreamId:
    """The webhooks of one side of a store."""

    store: StoreName
    source: Source


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """Deliveries that were not accepted since this was last noted.

    Args:
        refused: with a wrong signature, or none.
        turned_away: rightly signed ones that could not be stored.
    """

    refused: int = 0
    turned_away: int = 0


@dataclass(frozen=True, slots=True)
class WebhookStream:
    """What is known of a stream. Times are aware UTC, by the database's clock.

    Args:
        listened_until: deliveries were accepted until then; None: never.
        refused, turned_away: as in `Unaccepted`, of all times.
        caught_up_at: when a pull was last asked for, to make up for what was missed.
    """

    id: StreamId
    listened_until: datetime | None
    refused: int
    last_refused_at: datetime | None
    turned_away: int
    last_turned_away_at: datetime | None
    caught_up_at: datetime | None


LISTENED = """
INSERT INTO dongbo.webhook_streams AS known
    (store, source, listened_until, refused, last_refused_at, turned_away, last_turned_away_at)
SELECT store, source, clock_timestamp(), refused, CASE WHEN refused > 0 THEN clock_timestamp() END,
    turned_away, CASE WHEN turned_away > 0 THEN clock_timestamp() END
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS stream (store, source, refused, turned_away)
ORDER BY store, source
ON CONFLICT (store, source) DO UPDATE SET
    listened_until = excluded.listened_until,
    refused = known.refused + excluded.refused,
    last_refused_at = coalesce(excluded.last_refused_at, known.last_refused_at),
    turned_away = known.turned_away + excluded.turned_away,
    last_turned_away_at = coalesce(excluded.last_turned_away_at, known.last_turned_away_at)
"""

LIST = """
SELECT store, source, listened_until, refused, last_refused_at, turned_away, last_turned_away_at, caught_up_at
FROM dongbo.webhook_streams ORDER BY store, source LIMIT $1
"""

# Of several daemons one claims it. A stream that nobody has listened to before has missed nothing that it was promised.
CLAIM_CATCH_UP = """
UPDATE dongbo.webhook_streams SET caught_up_at = clock_timestamp()
WHERE (store, source) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND listened_until IS NOT NULL
  AND coalesce(caught_up_at, '-infinity') < clock_timestamp() - $3::interval
  AND (
    listened_until < clock_timestamp() - $3::interval
    OR last_turned_away_at > coalesce(caught_up_at, '-infinity')
  )
RETURNING store, source
"""


async def listened(connection: Connection, unaccepted: Mapping[StreamId, Unaccepted]) -> None:
    """Note that these streams have been listened to until now, and what was not accepted of them meanwhile."""
    await connection.execute(
        LISTENED,
        [stream.store for stream in unaccepted],
        [stream.source for stream in unaccepted],
        [counts.refused for counts in unaccepted.values()],
        [counts.turned_away for counts in unaccepted.values()],
    )


async def list_streams(connection: Connection) -> list[WebhookStream]:
    """All streams that have ever been listened to, by store and source."""
    return [
        WebhookStream(
            StreamId(StoreName(row["store"]), Source(row["source"])),
            row["listened_until"],
            row["refused"],
            row["last_refused_at"],
            row["turned_away"],
            row["last_turned_away_at"],
            row["caught_up_at"],
        )
        for row in await connection.fetch(LIST, MOST_STREAMS)
    ]


async def claim_catch_up(connection: Connection, streams: Sequence[StreamId], longest_gap: timedelta) -> set[StreamId]:
    """Which of these have missed something that nobody has made up for yet; the caller does, in this transaction.

    They have where nobody listened for longer than `longest_gap`, or something was turned away; what is turned away
    soon after that has been made up for waits until as long afterwards.
    """
    rows = await connection.fetch(
        CLAIM_CATCH_UP, [stream.store for stream in streams], [stream.source for stream in streams], longest_gap
    )
    return {StreamId(StoreName(row["store"]), Source(row["source"])) for row in rows}
