"""What the jobs' table says right now; `/status` and `/metrics` show it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from asyncpg import PostgresError

from daemon.api.pushes import PushKind, PushResult
from daemon.api.sales import CampaignState, ItemState
from daemon.api.status import LeftOut
from daemon.database.pool import Connection, is_connection_error
from daemon.errors import DatabaseError
from daemon.ids import CampaignId, StoreName
from daemon.jobs import facets, listing, store
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sales import campaigns, items
from daemon.sales.model import Campaign
from daemon.status.background import Background, SharedReading
from daemon.status.parts import StatusParts
from daemon.sync import pushes

log = structlog.get_logger()

SURVEY_TIMEOUT = 2.0  # seconds
MOST_RUNNING = 500
MOST_SALES = 500


@dataclass(frozen=True, slots=True)
class Survey:
    """Small queries on one connection. `now` is the time by which a sale may be overdue."""

    now: datetime
    running: Sequence[Job]
    waiting: Sequence[Job]  # for a person's approval
    last_completed: Sequence[tuple[StoreName, str, datetime]]  # store, type, when
    counts: Sequence[tuple[str, str, int]]  # type, status, number of jobs
    open_pushes: Sequence[tuple[StoreName, int]]
    settled_pushes: Mapping[tuple[StoreName, PushKind, PushResult], int]  # since the daemon started
    open_sales: Sequence[Campaign]
    sales: Sequence[tuple[StoreName, CampaignState, int]]
    drifted: Mapping[CampaignId, int]  # variants of open campaigns with a price that somebody else has set
    left_out: Sequence[LeftOut]  # of the stores of which a product sync has looked at the places


class Surveyor:
    """Takes surveys, one at a time."""

    def __init__(self, parts: StatusParts, background: Background) -> None:
        self._parts = parts
        self._settled: Counter[tuple[StoreName, PushKind, PushResult]] = Counter()
        self._settled_to = parts.started_at
        self._reading = SharedReading(background, "status-survey", self._survey, SURVEY_TIMEOUT)

    async def survey(self) -> Survey | None:
        """The survey; None while the database is away or does not answer in SURVEY_TIMEOUT seconds."""
        try:
            return await self._reading.get()
        except (DatabaseError, PostgresError, TimeoutError) as error:
            log.debug("survey_failed", error=str(error))
            return None
        except Exception as error:
            if not is_connection_error(error):
                raise
            return None

    async def _survey(self) -> Survey:
        async with self._parts.database.acquire() as connection:
            self._settled_to, settled = await pushes.count_settled(connection, self._settled_to)
            self._settled.update(settled)
            open_sales = await campaigns.list_campaigns(connection, only_open=True, limit=MOST_SALES)
            return Survey(
                now=self._parts.sales.clock(),
                running=await _list(connection, JobStatus.RUNNING),
                waiting=await _that_ask(connection),
                last_completed=await store.last_completed(connection),
                counts=await facets.count_by_status(connection),
                open_pushes=await pushes.count_open(connection),
                settled_pushes=dict(self._settled),
                open_sales=open_sales,
                sales=await campaigns.count_by_state(connection),
                drifted=await _count_drifted(connection, open_sales),
                left_out=await self._left_out(connection),
            )

    async def _left_out(self, connection: Connection) -> list[LeftOut]:
        """What the configuration no longer names is nobody's concern."""
        syncs = {name: sync for name in self._parts.stores() if (sync := self._parts.product_sync(name)) is not None}
        said = await store.latest_said(connection, syncs.keys(), JobType.SYNC_PRODUCTS, "closed_locations")
        found = []
        for name, metadata in sorted(said.items()):
            depots_of = syncs[name].depots_of
            depots = {depot for group in depots_of.values() for depot in group}
            found.append(
                LeftOut(
                    name,
                    locations=[number for number in metadata["closed_locations"] if number in depots_of],
                    depots=[number for number in metadata.get("hidden_depots", ()) if number in depots],
                )
            )
        return found


async def _list(connection: Connection, status: JobStatus) -> Sequence[Job]:
    return (await listing.find(connection, listing.JobFilters(status=status), limit=MOST_RUNNING)).jobs


async def _that_ask(connection: Connection) -> list[Job]:
    """The jobs that wait for approval, without those that only wait along with such a step of theirs."""
    waiting = await _list(connection, JobStatus.AWAITING_APPROVAL)
    along = {job.parent_id for job in waiting}
    return [job for job in waiting if job.id not in along]


async def _count_drifted(connection: Connection, sales: Sequence[Campaign]) -> dict[CampaignId, int]:
    """Those on sale with another price in the mirror, and those that wait for a person's decision."""
    begun = [sale.id for sale in sales if sale.started_at is not None]
    counts = await items.count_each_by_state(connection, begun)
    return {
        number: await items.count_drifting(connection, number) + counts[number].get(ItemState.DRIFTED, 0)
        for number in begun
    }
