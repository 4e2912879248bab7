"""What the jobs' table says right now; `/status` and `/metrics` show it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from asyncpg import PostgresError

from daemon.api.pushes import PushKind, PushResult
from daemon.api.sales import CampaignState
from daemon.conditions.facts import DatabaseFacts
from daemon.database.connection_errors import reason
from daemon.database.pool import Connection, is_connection_error
from daemon.errors import DatabaseError
from daemon.ids import StoreName
from daemon.jobs import facets, listing, store
from daemon.jobs.model import Job, JobStatus
from daemon.sales import campaigns
from daemon.status.background import Background, SharedReading
from daemon.status.parts import StatusParts
from daemon.sync import pushes

log = structlog.get_logger()

SURVEY_TIMEOUT = 2.0  # seconds
MOST_RUNNING = 500


@dataclass(frozen=True, slots=True)
class Survey:
    """Small queries on one connection. `now` is the time by which a sale may be overdue."""

    now: datetime
    facts: DatabaseFacts
    running: Sequence[Job]
    last_completed: Sequence[tuple[StoreName, str, datetime]]  # store, type, when
    counts: Sequence[tuple[str, str, int]]  # type, status, number of jobs
    open_pushes: Sequence[tuple[StoreName, int]]
    settled_pushes: Mapping[tuple[StoreName, PushKind, PushResult], int]  # since the daemon started
    sales: Sequence[tuple[StoreName, CampaignState, int]]


class Surveyor:
    """Takes surveys, one at a time."""

    def __init__(self, parts: StatusParts, background: Background) -> None:
        self._parts = parts
        self._settled: Counter[tuple[StoreName, PushKind, PushResult]] = Counter()
        self._settled_to = parts.started_at
        self._last: Survey | None = None
        self._reading = SharedReading(background, "status-survey", self._survey, SURVEY_TIMEOUT)

    async def survey(self) -> Survey | None:
        """The survey; None while the database is away. Where it fails otherwise or is not ready in SURVEY_TIMEOUT
        seconds, the one before, which says of when it is; None where there was none."""
        try:
            self._last = await self._reading.get()
        except TimeoutError:
            log.debug("survey_late", seconds=SURVEY_TIMEOUT)
            return self._last
        except Exception as error:
            is_away = isinstance(error, DatabaseError) or is_connection_error(error)
            if not is_away and not isinstance(error, PostgresError):
                raise
            log.debug("survey_failed", error=str(error))
            if is_away:
                self._parts.conditions.lose_database(reason(error))
                return None
            return self._last
        return self._last

    async def _survey(self) -> Survey:
        async with self._parts.database.acquire() as connection:
            self._settled_to, settled = await pushes.count_settled(connection, self._settled_to)
            self._settled.update(settled)
            return Survey(
                now=self._parts.sales.clock(),
                facts=await self._parts.conditions.observe(connection),
                running=await _running(connection),
                last_completed=await store.last_completed(connection),
                counts=await facets.count_by_status(connection),
                open_pushes=await pushes.count_open(connection),
                settled_pushes=dict(self._settled),
                sales=await campaigns.count_by_state(connection),
            )


async def _running(connection: Connection) -> Sequence[Job]:
    filters = listing.JobFilters(status=JobStatus.RUNNING)
    return (await listing.find(connection, filters, limit=MOST_RUNNING)).jobs
