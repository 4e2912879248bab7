"""All SQL on `dongbo.schedule_fires` and `dongbo.schedule_states`, on a connection that the caller owns.

The primary key of a fire is (store, schedule, fire_time): of any number of daemons one inserts it, and with it, in the
same transaction, the job. A fire that no row tells of has not happened, whatever the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, ScheduleName, StoreName, WorkerName
from daemon.schedules.model import DueFire, FireOutcome, FireRecord, FireResult, ScheduleSpec

# Waits for a concurrent claim of the same fire to commit or to roll back, so exactly one succeeds. In order: two who
# claim the same fires never wait for each other.
CLAIM = """
INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, outcome, worker)
SELECT store, schedule, fire_time, $4, $5
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS due (store, schedule, fire_time)
WHERE NOT EXISTS (
    SELECT FROM dongbo.schedule_states AS state
    WHERE state.store = due.store AND state.schedule = due.schedule AND state.paused
)
ORDER BY store, schedule, fire_time
ON CONFLICT (store, schedule, fire_time) DO NOTHING
RETURNING store, schedule
"""

RECORD_OUTCOMES = """
UPDATE dongbo.schedule_fires AS fire SET outcome = claimed.outcome, job_id = claimed.job_id, detail = claimed.detail
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::uuid[], $6::text[])
    AS claimed (store, schedule, fire_time, outcome, job_id, detail)
WHERE fire.store = claimed.store AND fire.schedule = claimed.schedule AND fire.fire_time = claimed.fire_time
"""

# A fire before the present expression was known, or set down for a clock that ran ahead, is none to make up.
REMEMBER_SCHEDULES = """
INSERT INTO dongbo.schedule_states AS state (store, schedule, timetable, known_since)
SELECT store, schedule, timetable, $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS spec (store, schedule, timetable)
ORDER BY store, schedule
ON CONFLICT (store, schedule) DO UPDATE
SET timetable = excluded.timetable, known_since = excluded.known_since,
    resumed_at = CASE WHEN state.resumed_at IS NOT NULL THEN least(state.resumed_at, excluded.known_since) END
WHERE state.timetable IS DISTINCT FROM excluded.timetable
   OR greatest(state.known_since, state.resumed_at) > excluded.known_since + interval '1 minute'
"""

FORGET_TIMETABLES = """
UPDATE dongbo.schedule_states AS state SET timetable = NULL
FROM unnest($1::text[], $2::text[]) AS spec (store, schedule)
WHERE state.store = spec.store AND state.schedule = spec.schedule
"""

# As a rule the fire that is asked about is the last one, and the look-up after OR does not run. It is not an EXISTS,
# which the planner would turn into a scan of the whole table.
READ_SITUATIONS = """
SELECT coalesce(state.paused, false) AS paused, greatest(state.known_since, state.resumed_at) AS since,
    coalesce(last.fire_time = spec.due OR (
        SELECT true FROM dongbo.schedule_fires AS fire
        WHERE fire.store = spec.store AND fire.schedule = spec.schedule AND fire.fire_time = spec.due
    ), false) AS recorded,
    last.*
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS spec (store, schedule, due, place)
LEFT JOIN dongbo.schedule_states AS state ON state.store = spec.store AND state.schedule = spec.schedule
LEFT JOIN LATERAL (
    SELECT * FROM dongbo.schedule_fires AS fire
    WHERE fire.store = spec.store AND fire.schedule = spec.schedule
    ORDER BY fire.fire_time DESC LIMIT 1
) AS last ON true
ORDER BY place
"""

LIST_FIRES = """
SELECT * FROM dongbo.schedule_fires
WHERE store = $1 AND schedule = $2 AND ($3::timestamptz IS NULL OR fire_time < $3)
ORDER BY fire_time DESC LIMIT $4
"""

PAUSE_SCHEDULE = """
INSERT INTO dongbo.schedule_states AS state (store, schedule, paused, paused_at, known_since)
VALUES ($1, $2, true, $3, $3)
ON CONFLICT (store, schedule) DO UPDATE SET paused = true, paused_at = $3 WHERE NOT state.paused
"""

RESUME_SCHEDULE = """
UPDATE dongbo.schedule_states SET paused = false, paused_at = NULL, resumed_at = $3
WHERE store = $1 AND schedule = $2 AND paused
"""

LIST_MEMORIES = """
SELECT store, schedule, greatest(known_since, resumed_at) AS since, CASE WHEN paused THEN paused_at END AS paused_at
FROM unnest($1::text[], $2::text[]) AS spec (store, schedule)
JOIN dongbo.schedule_states AS state USING (store, schedule)
"""

# The last fire of a schedule stays, however old: without it a yearly schedule would seem to have been missed.
PRUNE_FIRES = """
DELETE FROM dongbo.schedule_fires AS fire
WHERE fired_at < clock_timestamp() - $1::interval AND EXISTS (
    SELECT FROM dongbo.schedule_fires AS later
    WHERE later.store = fire.store AND later.schedule = fire.schedule AND later.fire_time > fire.fire_time
)
"""


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """What the database knows of a schedule.

    Args:
        paused: whether a person has paused it.
        since: fires up to this time are not made up; None if the schedule is not remembered yet.
        recorded: whether the fire that was asked about is recorded, by whichever daemon.
        last: the fire with the latest fire time.
    """

    paused: bool
    since: datetime | None
    recorded: bool
    last: FireRecord | None


@dataclass(frozen=True, slots=True)
class ScheduleMemory:
    """Since when a schedule has its present timetable and has not been paused; and since when it is, if it is."""

    since: datetime
    paused_at: datetime | None


async def claim(connection: Connection, due: Sequence[DueFire], worker: WorkerName) -> list[DueFire]:
    """Take fires, each of another schedule, for this daemon; to be called in the transaction that submits the jobs.

    Those that another daemon has, or of which the schedule is paused, are not among those returned. The rows say
    "submitted" until `record_outcomes`.
    """
    times = [each.time for each in due]
    names = _names([each.spec for each in due])
    rows = await connection.fetch(CLAIM, *names, times, FireResult.SUBMITTED.value, worker)
    claimed = {(row["store"], row["schedule"]) for row in rows}
    return [each for each in due if (each.spec.store, each.spec.name) in claimed]


async def record_outcomes(connection: Connection, fires: Sequence[tuple[DueFire, FireOutcome]]) -> None:
    """Write down what claimed fires came to, in the transaction of the claim."""
    outcomes = [outcome for _, outcome in fires]
    await connection.execute(
        RECORD_OUTCOMES,
        *_names([due.spec for due, _ in fires]),
        [due.time for due, _ in fires],
        [outcome.result.value for outcome in outcomes],
        [outcome.job_id for outcome in outcomes],
        [outcome.detail for outcome in outcomes],
    )


async def remember(connection: Connection, specs: Sequence[ScheduleSpec], now: datetime) -> None:
    """Note from when on these schedules are known with their present timetables; keeps what is noted already."""
    keys = [spec.timetable_key for spec in specs]
    await connection.execute(REMEMBER_SCHEDULES, *_names(specs), keys, now)


async def forget(connection: Connection, specs: Sequence[ScheduleSpec]) -> None:
    """Note that these schedules are no longer configured: one that comes back has missed nothing. Pauses stay."""
    await connection.execute(FORGET_TIMETABLES, *_names(specs))


async def read_situations(
    connection: Connection, specs: Sequence[ScheduleSpec], due: Sequence[datetime | None]
) -> list[ScheduleRecord]:
    """What is known of each schedule and of its fire at the time `due`, in the order of `specs`, by one statement."""
    return [_situation(row) for row in await connection.fetch(READ_SITUATIONS, *_names(specs), due)]


async def list_memories(connection: Connection, specs: Sequence[ScheduleSpec]) -> dict[ScheduleName, ScheduleMemory]:
    """Of those of the schedules that are remembered, by name."""
    rows = await connection.fetch(LIST_MEMORIES, *_names(specs))
    return {ScheduleName(row["schedule"]): ScheduleMemory(row["since"], row["paused_at"]) for row in rows}


async def list_fires(
    connection: Connection, spec: ScheduleSpec, *, before: datetime | None, limit: int
) -> list[FireRecord]:
    """Fires of a schedule, latest fire time first; `before` is the fire time at the end of the page before."""
    rows = await connection.fetch(LIST_FIRES, spec.store, spec.name, before, limit)
    return [_fire_record(row) for row in rows]


async def pause(connection: Connection, store: StoreName, schedule: ScheduleName, now: datetime) -> None:
    """Keep a schedule from firing on all daemons until `resume`; no effect on one that is paused."""
    await connection.execute(PAUSE_SCHEDULE, store, schedule, now)


async def resume(connection: Connection, store: StoreName, schedule: ScheduleName, now: datetime) -> None:
    """Let a schedule fire again; what it missed while paused is not made up. No effect on one that is not paused."""
    await connection.execute(RESUME_SCHEDULE, store, schedule, now)


async def prune_fires(connection: Connection, older_than: timedelta) -> int:
    """Delete fires recorded so long ago, except the last of each schedule; returns how many."""
    return int((await connection.execute(PRUNE_FIRES, older_than)).split()[-1])


def _names(specs: Sequence[ScheduleSpec]) -> tuple[list[StoreName], list[ScheduleName]]:
    return [spec.store for spec in specs], [spec.name for spec in specs]


def _situation(row: Record) -> ScheduleRecord:
    last = None if row["fire_time"] is None else _fire_record(row)
    return ScheduleRecord(row["paused"], row["since"], row["recorded"], last)


def _fire_record(row: Record) -> FireRecord:
    return FireRecord(
        store=row["store"],
        schedule=row["schedule"],
        fire_time=row["fire_time"],
        # asyncpg's own kind of UUID is unknown to JSON encoders
        job_id=None if row["job_id"] is None else JobId(UUID(int=row["job_id"].int)),
        outcome=FireResult(row["outcome"]),
        detail=row["detail"],
        worker=row["worker"],
        fired_at=row["fired_at"],
    )
