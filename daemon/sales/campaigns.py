"""All SQL on `dongbo.sale_campaigns` and `dongbo.sale_events`: states move by compare-and-set, each move is noted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from daemon.api.sales import CampaignState, SaleEvent
from daemon.config import SaleSettings
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import stored
from daemon.ids import CampaignId, SaleName, StoreName, new_job_id
from daemon.sales.model import REOPENINGS, TRANSITIONS, Campaign

COLUMNS = ", ".join(Campaign.__slots__).replace(
    "notice,", "nullif(concat_ws(' ', notice, price_notice), '') AS notice,"
)
HAS_ENDED = "state IN ('COMPLETED', 'CANCELLED', 'FAILED')"

INSERT = f"""
WITH campaign AS (
    INSERT INTO dongbo.sale_campaigns
        (id, store, name, origin, state, definition, in_file, starts_at, ends_at, notice)
    VALUES ($1, $2, $3, $4, 'DRAFT', $5, CASE WHEN $4 = 'file' THEN $5::jsonb END, $6, $7, $8)
    ON CONFLICT (store, name) WHERE NOT ({HAS_ENDED}) DO NOTHING
    RETURNING *
), event AS (
    INSERT INTO dongbo.sale_events (campaign_id, state, detail) SELECT id, state, $9 FROM campaign
)
SELECT {COLUMNS} FROM campaign
"""

GET = f"SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE id = $1"

LOCK = f"SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE id = $1 FOR UPDATE"

# One that is open comes before those of its name that have ended, then the newest.
FIND = f"""
SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE name = $1 AND ($2::text IS NULL OR store = $2)
ORDER BY {HAS_ENDED}, created_at DESC LIMIT 2
"""

LIST = f"""
SELECT {COLUMNS} FROM dongbo.sale_campaigns
WHERE ($1::text IS NULL OR store = $1) AND ($2::text IS NULL OR state = $2)
  AND ($3::boolean IS FALSE OR NOT {HAS_ENDED})
ORDER BY created_at DESC LIMIT $4
"""

LIST_OPEN = (
    f"SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE store = ANY ($1) AND NOT {HAS_ENDED} ORDER BY created_at"
)

LIST_OPEN_OF_EACH = f"""
SELECT campaign.* FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place) CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE store = wanted.name AND NOT {HAS_ENDED}
    ORDER BY created_at DESC LIMIT $2
) AS campaign
ORDER BY wanted.place, campaign.created_at DESC
"""

LIST_IN_STATES = f"""
SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE store = $1 AND state = ANY ($2) ORDER BY starts_at, created_at
"""

LATEST_OF_NAME = f"""
SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE store = $1 AND name = $2 ORDER BY created_at DESC LIMIT 1
"""

MOVE = f"""
WITH campaign AS (
    UPDATE dongbo.sale_campaigns
    SET state = $3, notice = CASE WHEN $7 THEN notice ELSE $4 END, changed_at = clock_timestamp(),
        price_notice = CASE WHEN $3 IN ('APPLYING', 'ACTIVE', 'REVERTING') THEN price_notice END,
        started_at = CASE WHEN $3 = 'APPLYING' THEN coalesce(started_at, $5) ELSE started_at END,
        ended_at = CASE WHEN $3 = 'REVERTING' THEN coalesce(ended_at, $5) ELSE ended_at END,
        closed_at = CASE WHEN $3 IN ('COMPLETED', 'CANCELLED', 'FAILED') THEN $5 END,
        verify_at = CASE WHEN $3 = 'REVERTING' THEN NULL
            WHEN EXISTS (SELECT FROM dongbo.sale_writes AS write WHERE write.campaign_id = $1 AND write.in_doubt)
                THEN coalesce(clock_timestamp() + $8::interval, verify_at) END
    WHERE id = $1 AND state = ANY ($2)
    RETURNING *
), event AS (
    INSERT INTO dongbo.sale_events (campaign_id, state, detail) SELECT id, state, $6 FROM campaign
)
SELECT {COLUMNS} FROM campaign
"""

SET_NOTICE = """
WITH campaign AS (
    UPDATE dongbo.sale_campaigns SET notice = $2, changed_at = clock_timestamp()
    WHERE id = $1 AND notice IS DISTINCT FROM $2
    RETURNING *
)
INSERT INTO dongbo.sale_events (campaign_id, state, detail) SELECT id, state, $2 FROM campaign WHERE $2 IS NOT NULL
"""

# Whoever stores what was pulled has locked variants by then, and a sale's job locks its campaign first: neither waits
# for the other.
LOCK_IF_FREE = f"SELECT {COLUMNS} FROM dongbo.sale_campaigns WHERE id = $1 FOR UPDATE SKIP LOCKED"

SET_PRICE_NOTICE = """
WITH campaign AS (
    UPDATE dongbo.sale_campaigns SET price_notice = $2, changed_at = clock_timestamp()
    WHERE id = $1 AND price_notice IS DISTINCT FROM $2
    RETURNING *
)
INSERT INTO dongbo.sale_events (campaign_id, state, detail) SELECT id, state, $2 FROM campaign WHERE $2 IS NOT NULL
"""

SET_VERIFY = """
UPDATE dongbo.sale_campaigns SET verify_at = clock_timestamp() + $2::interval WHERE id = $1
"""

LIST_TO_VERIFY = f"""
SELECT {COLUMNS} FROM dongbo.sale_campaigns
WHERE store = ANY ($1) AND verify_at <= clock_timestamp() AND state IN ('COMPLETED', 'CANCELLED', 'NEEDS_ATTENTION')
ORDER BY verify_at
"""

SET_RECALLED = "UPDATE dongbo.sale_campaigns SET recalled_at = clock_timestamp() WHERE id = $1"

# Taken back because they had begun before their time, or ended by a clock at an end that is still to come.
LIST_RECALLED = f"""
SELECT {COLUMNS} FROM dongbo.sale_campaigns
WHERE store = ANY ($1) AND {HAS_ENDED} AND (recalled_at IS NOT NULL
    OR state <> 'CANCELLED' AND NOT is_cancelled AND ends_at > $2 AND coalesce(ended_at, closed_at) >= ends_at)
ORDER BY created_at
"""

# Times that a wrong clock set are in the future.
SET_REPLANNED = """
UPDATE dongbo.sale_campaigns
SET recalled_at = NULL, started_at = least(started_at, $2), ended_at = least(ended_at, $2),
    closed_at = least(closed_at, $2)
WHERE id = $1
"""

SET_TIMES = """
UPDATE dongbo.sale_campaigns
SET starts_at = $2, ends_at = $3, changed_at = clock_timestamp(),
    definition = (definition - 'starts' - 'ends')
        || jsonb_strip_nulls(jsonb_build_object('starts', $4::text, 'ends', $5::text))
WHERE id = $1
"""

SET_DEFINITION = """
UPDATE dongbo.sale_campaigns
SET definition = $2, starts_at = $3, ends_at = $4, prepared_at = NULL, changed_at = clock_timestamp() WHERE id = $1
"""

SET_IN_FILE = "UPDATE dongbo.sale_campaigns SET in_file = $2 WHERE id = $1"

FORGET_IN_FILE = "UPDATE dongbo.sale_campaigns SET in_file = NULL WHERE id = $1"

LATEST_IN_FILE = """
SELECT id, in_file, closed_at FROM dongbo.sale_campaigns WHERE store = $1 AND name = $2 AND in_file IS NOT NULL
ORDER BY created_at DESC LIMIT 1
"""

DATABASE_TIME = "SELECT clock_timestamp()"

SET_CANCELLED = "UPDATE dongbo.sale_campaigns SET is_cancelled = true, changed_at = clock_timestamp() WHERE id = $1"

# That newcomers were looked for and not found does not change a campaign.
SET_PREPARED = """
UPDATE dongbo.sale_campaigns
SET prepared_at = $2, variants = $3,
    changed_at = CASE WHEN variants = $3 THEN changed_at ELSE clock_timestamp() END
WHERE id = $1
"""

NOTE = """
INSERT INTO dongbo.sale_events (campaign_id, state, detail)
SELECT id, state, $2 FROM dongbo.sale_campaigns WHERE id = $1
"""

NOTE_ONCE = """
INSERT INTO dongbo.sale_events (campaign_id, state, detail)
SELECT id, state, $2 FROM dongbo.sale_campaigns AS campaign WHERE id = $1 AND NOT EXISTS (
    SELECT FROM dongbo.sale_events AS event WHERE event.campaign_id = campaign.id AND event.detail = $2
)
"""

LIST_EVENTS = "SELECT state, detail, at FROM dongbo.sale_events WHERE campaign_id = $1 ORDER BY id"

COUNT_BY_STATE = "SELECT store, state, count(*) AS campaigns FROM dongbo.sale_campaigns GROUP BY store, state"

# One without an end stays for ever: if the file still names it, it would begin again.
PRUNE = f"""
DELETE FROM dongbo.sale_campaigns
WHERE {HAS_ENDED} AND ends_at IS NOT NULL AND closed_at < clock_timestamp() - $1::interval
"""


@dataclass(frozen=True, slots=True)
class InFile:
    """What the configuration file said of a campaign when it was last looked at, and when that campaign ended."""

    campaign_id: CampaignId
    definition: SaleSettings
    closed_at: datetime | None


async def insert(
    connection: Connection, definition: SaleSettings, origin: str, notice: str | None = None
) -> Campaign | None:
    """Create a DRAFT from a definition with times in UTC; None if the store has an open campaign of this name."""
    row = await connection.fetchrow(
        INSERT,
        new_job_id(),  # ids that sort by age
        definition.store,
        definition.name,
        origin,
        _encoded(definition),
        definition.starts,
        definition.ends,
        notice,
        _("created ({origin})").format(origin=origin),
    )
    return _campaign(row) if row else None


async def get(connection: Connection, campaign_id: CampaignId) -> Campaign | None:
    """One campaign."""
    row = await connection.fetchrow(GET, campaign_id)
    return _campaign(row) if row else None


async def lock(connection: Connection, campaign_id: CampaignId) -> Campaign | None:
    """One campaign, which nobody else moves or changes until the transaction ends."""
    row = await connection.fetchrow(LOCK, campaign_id)
    return _campaign(row) if row else None


async def lock_if_free(connection: Connection, campaign_id: CampaignId) -> Campaign | None:
    """One campaign, locked as by `lock`; None also where somebody else has it locked."""
    row = await connection.fetchrow(LOCK_IF_FREE, campaign_id)
    return _campaign(row) if row else None


async def find(connection: Connection, name: SaleName, store: StoreName | None) -> list[Campaign]:
    """The open campaign of a name, else the last one; two, if stores share the name and none is given."""
    found = [_campaign(row) for row in await connection.fetch(FIND, name, store)]
    if len(found) == 2 and (found[0].store == found[1].store or found[1].state.has_ended):
        return found[:1]
    return found


async def list_campaigns(
    connection: Connection,
    *,
    store: StoreName | None = None,
    state: CampaignState | None = None,
    only_open: bool = False,
    limit: int = 100,
) -> list[Campaign]:
    """Campaigns, newest first."""
    return [_campaign(row) for row in await connection.fetch(LIST, store, state, only_open, limit)]


async def list_open(connection: Connection, stores: Sequence[StoreName]) -> list[Campaign]:
    """Campaigns of these stores that have not ended."""
    return [_campaign(row) for row in await connection.fetch(LIST_OPEN, stores)]


async def list_open_of_each(connection: Connection, stores: Sequence[StoreName], limit: int) -> list[Campaign]:
    """The newest campaigns of each of these stores that have not ended, at most so many of a store."""
    return [_campaign(row) for row in await connection.fetch(LIST_OPEN_OF_EACH, stores, limit)]


async def list_in_states(connection: Connection, store: StoreName, states: Sequence[CampaignState]) -> list[Campaign]:
    """Campaigns of a store in one of these states, by their start."""
    return [_campaign(row) for row in await connection.fetch(LIST_IN_STATES, store, states)]


async def latest(connection: Connection, store: StoreName, name: SaleName) -> Campaign | None:
    """The newest campaign of a name, ended or not."""
    row = await connection.fetchrow(LATEST_OF_NAME, store, name)
    return _campaign(row) if row else None


async def move(
    connection: Connection,
    campaign_id: CampaignId,
    states: Sequence[CampaignState],
    to: CampaignState,
    now: datetime,
    *,
    detail: str | None = None,
    notice: str | None = None,
    keeps_notice: bool = False,
    verify_after: timedelta | None = None,
) -> Campaign | None:
    """Move a campaign that is in one of `states`; None if it is in another state by now.

    `detail` goes into its history, `notice` is shown until it moves on; `keeps_notice` keeps the present one.
    `verify_after`: how long after this move it is verified once more, if a call may be carried out late. Raises
    ValueError for a move that the states do not have.
    """
    for state in states:
        if to not in TRANSITIONS[state] and to not in REOPENINGS.get(state, ()):
            raise ValueError(f"a campaign does not go from {state} to {to}")
    row = await connection.fetchrow(
        MOVE, campaign_id, states, to, notice, now, detail or notice, keeps_notice, verify_after
    )
    return _campaign(row) if row else None


async def set_notice(connection: Connection, campaign_id: CampaignId, notice: str | None) -> bool:
    """Show a notice with a campaign, or none; whether that changes it."""
    tag: str = await connection.execute(SET_NOTICE, campaign_id, notice)
    return not tag.endswith(" 0")


async def set_price_notice(connection: Connection, campaign_id: CampaignId, notice: str | None) -> bool:
    """Show what a person should know about a campaign's prices, or nothing; whether that changes it."""
    tag: str = await connection.execute(SET_PRICE_NOTICE, campaign_id, notice)
    return not tag.endswith(" 0")


async def set_verify(connection: Connection, campaign_id: CampaignId, after: timedelta | None) -> None:
    """Verify a campaign that is over once more after this time; None: never again."""
    await connection.execute(SET_VERIFY, campaign_id, after)


async def list_to_verify(connection: Connection, stores: Sequence[StoreName]) -> list[Campaign]:
    """Campaigns of these stores that are over and due to be verified once more."""
    return [_campaign(row) for row in await connection.fetch(LIST_TO_VERIFY, stores)]


async def set_recalled(connection: Connection, campaign_id: CampaignId) -> None:
    """Note that a campaign is taken back because it started too early."""
    await connection.execute(SET_RECALLED, campaign_id)


async def set_replanned(connection: Connection, campaign_id: CampaignId, now: datetime) -> None:
    """Note that a campaign that a wrong clock started or ended was planned again; it ended no later than now."""
    await connection.execute(SET_REPLANNED, campaign_id, now)


async def list_recalled(connection: Connection, stores: Sequence[StoreName], now: datetime) -> list[Campaign]:
    """Campaigns of these stores that a wrong clock started or ended too early: they are to be planned again.

    `now`: by a clock that is right, with some tolerance; a later end has not come yet.
    """
    return [_campaign(row) for row in await connection.fetch(LIST_RECALLED, stores, now)]


async def note(connection: Connection, campaign_id: CampaignId, detail: str) -> None:
    """Add to a campaign's history."""
    await connection.execute(NOTE, campaign_id, detail)


async def note_once(connection: Connection, campaign_id: CampaignId, detail: str) -> None:
    """Add to a campaign's history what is not in it yet."""
    await connection.execute(NOTE_ONCE, campaign_id, detail)


async def set_times(
    connection: Connection, campaign_id: CampaignId, starts_at: datetime | None, ends_at: datetime | None
) -> None:
    """Plan a campaign for other times; its items are to be moved with it."""
    texts = [moment.isoformat() if moment else None for moment in (starts_at, ends_at)]
    await connection.execute(SET_TIMES, campaign_id, starts_at, ends_at, *texts)


async def set_definition(connection: Connection, campaign_id: CampaignId, definition: SaleSettings) -> None:
    """Replace the definition of a campaign that has not started."""
    await connection.execute(SET_DEFINITION, campaign_id, _encoded(definition), definition.starts, definition.ends)


async def set_in_file(connection: Connection, campaign_id: CampaignId, definition: SaleSettings) -> None:
    """Note what the configuration file says of a campaign and was taken over."""
    await connection.execute(SET_IN_FILE, campaign_id, _encoded(definition))


async def forget_in_file(connection: Connection, campaign_id: CampaignId) -> None:
    """Let the file name a campaign again as if it had never been in it."""
    await connection.execute(FORGET_IN_FILE, campaign_id)


async def latest_in_file(connection: Connection, store: StoreName, name: SaleName) -> InFile | None:
    """What the file said of the newest campaign of a name that came from it."""
    row = await connection.fetchrow(LATEST_IN_FILE, store, name)
    if row is None:
        return None
    return InFile(row["id"], SaleSettings.model_validate(orjson.loads(row["in_file"])), row["closed_at"])


async def database_time(connection: Connection) -> datetime:
    """The database's clock: what is read after this is not older than it says."""
    now: datetime = await connection.fetchval(DATABASE_TIME)
    return now


async def set_cancelled(connection: Connection, campaign_id: CampaignId) -> None:
    """Note that a person cancelled a running campaign."""
    await connection.execute(SET_CANCELLED, campaign_id)


async def set_prepared(connection: Connection, campaign_id: CampaignId, at: datetime | None, variants: int) -> None:
    """Note for how many variants a campaign is planned, and when targets and prices were read for it."""
    await connection.execute(SET_PREPARED, campaign_id, at, variants)


async def list_events(connection: Connection, campaign_id: CampaignId) -> list[SaleEvent]:
    """What happened to a campaign, oldest first."""
    rows = await connection.fetch(LIST_EVENTS, campaign_id)
    return [SaleEvent(CampaignState(row["state"]), stored(row["detail"]), row["at"]) for row in rows]


async def count_by_state(connection: Connection) -> list[tuple[StoreName, CampaignState, int]]:
    """How many campaigns there are."""
    rows = await connection.fetch(COUNT_BY_STATE)
    return [(StoreName(row["store"]), CampaignState(row["state"]), row["campaigns"]) for row in rows]


async def prune(connection: Connection, older_than: timedelta) -> int:
    """Delete campaigns that ended longer ago, with their journals; how many."""
    tag: str = await connection.execute(PRUNE, older_than)
    return int(tag.rpartition(" ")[2])


def _encoded(definition: SaleSettings) -> str:
    return orjson.dumps(definition.to_json()).decode()


def _campaign(row: Record) -> Campaign:
    columns: dict[str, Any] = dict(row)
    columns["id"] = CampaignId(UUID(int=columns["id"].int))
    columns["state"] = CampaignState(columns["state"])
    columns["definition"] = SaleSettings.model_validate(orjson.loads(columns["definition"]))
    return Campaign(**columns)
