"""Looks at everything again and again, remembers since when what holds, and answers whether the shop is right."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from asyncpg import PostgresError

from daemon.api.conditions import Condition, StreamReport, Verdict
from daemon.api.status import Storage
from daemon.conditions import memory
from daemon.conditions.detectors import detect
from daemon.conditions.facts import ChannelReport, DatabaseFacts, Facts, Outage, Remembered, SlowFacts, StoreFacts
from daemon.conditions.reading import read_database, read_slowly
from daemon.conditions.reports import report
from daemon.conditions.scene import LASTING, Scene, SourceTrouble
from daemon.conditions.verdicts import judge
from daemon.database.clock import DatabaseClock, SharedClock
from daemon.database.connection_errors import is_connection_error, is_of_database, reason
from daemon.database.locks import find_blockage
from daemon.database.pool import Connection, Database
from daemon.database.usage import Blockage, DiskSpace
from daemon.errors import DatabaseError, DongboError
from daemon.ids import StoreName
from daemon.lifecycle import Part
from daemon.schedules.model import ScheduleSpec
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport
from daemon.sources.health import SourceReport

log = structlog.get_logger()

LOOK_INTERVAL: Final = 15.0  # seconds between two looks
OUTAGE_INTERVAL: Final = 3.0  # while the database is away
LOOK_TIMEOUT: Final = 10.0  # seconds
EXAMINE_TIMEOUT: Final = 5.0  # seconds
ASK_INTERVAL: Final = 60.0  # seconds between two questions to a source that gave no answer


@dataclass(frozen=True)
class Surroundings:
    """What the rest of the daemon knows, looked up at each look.

    Args:
        zone: the shop's.
        disk: that has the embedded data; None: the database is elsewhere.
        kept_secrets: the stores' sources for which a new secret takes effect with a restart only.
        ask: makes a small call to a store's source, only to see whether it answers. Raises DongboError where not.
    """

    stores: Callable[[], Sequence[StoreFacts]]
    schedules: Callable[[], Sequence[ScheduleSpec]]
    sources: Callable[[], Sequence[SourceReport]]
    credentials: Callable[[], Sequence[CredentialReport]]
    clocks: Callable[[], Sequence[ClockReport]]
    sale_clock_problem: Callable[[], str | None]
    zone: Callable[[], ZoneInfo]
    disk: Callable[[], DiskSpace | None]
    ask: Callable[[StoreName, str], Awaitable[object]]
    kept_secrets: Callable[[], Collection[tuple[StoreName, str]]] = frozenset
    channels: Callable[[], Sequence[ChannelReport]] = list


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is right and wrong at a moment, in the language that was spoken. `streams`: None while nothing is known."""

    verdicts: Sequence[Verdict]
    conditions: Sequence[Condition]
    streams: Sequence[StreamReport] | None


class Conditions(Part):
    """The one place that says whether the shop is right.

    Args:
        clock: tells the present time; None: the database's.
    """

    name = "conditions"

    def __init__(
        self,
        database: Database,
        surroundings: Surroundings,
        clock: SharedClock | None = None,
    ) -> None:
        self._database = database
        self._surroundings = surroundings
        self._clock = clock or DatabaseClock()
        self._started_at = self._clock()
        self._known: DatabaseFacts | None = None  # as it was read last
        self._slow: SlowFacts | None = None
        self._outage: Outage | None = None
        self._blockage: Blockage | None = None
        self._seen: Mapping[str, Remembered] = {}  # what holds now and nothing else dates
        self._told: Mapping[str, Condition] = {}  # what the log knows of
        self._source_troubles: Sequence[SourceTrouble] = ()  # as of the last judgement
        self._asked_at: dict[tuple[StoreName, str], float] = {}
        self._asking: set[tuple[StoreName, str]] = set()

    def current(self) -> Judgement:
        """What holds as of the last observation, judged by the present time, in the language that is spoken."""
        scene = self._scene()
        self._source_troubles = scene.source_troubles
        conditions = detect(scene)
        self._seen = {
            each.id: Remembered(each.store, each.since, each.cause) for each in conditions if each.name in LASTING
        }
        bearing = _by_store(scene.store_names, conditions)
        return Judgement(
            [judge(store, scene, bearing[store.name]) for store in scene.facts.stores],
            conditions,
            [report(stream, scene) for stream in scene.streams] if scene.is_known else None,
        )

    def storage(self) -> Storage:
        """What is known of where the data is."""
        disk = self._surroundings.disk()
        usage = self._slow.storage if self._slow is not None and self._outage is None else None
        oldest = usage.oldest if usage is not None else None
        return Storage(
            database_bytes=usage.size if usage is not None else None,
            disk_free_bytes=disk.free if disk is not None else None,
            disk_bytes=disk.size if disk is not None else None,
            oldest_transaction_seconds=None if usage is None else 0.0 if oldest is None else round(oldest.seconds, 1),
            notification_queue_share=usage.notification_queue if usage is not None else None,
        )

    async def observe(self, connection: Connection) -> DatabaseFacts:
        """Read anew what the database knows. Raises what the database raises."""
        around = self._surroundings
        if self._slow is None:
            self._slow = await read_slowly(connection, around.stores())
        self._known = await read_database(connection, around.stores(), around.schedules(), self._clock)
        self._outage = None
        return self._known

    def lose_database(self, why: str) -> None:
        """Note that the database can't be read now."""
        self._outage = Outage(self._outage.since if self._outage is not None else self._clock(), why)

    async def look(self) -> None:
        """Observe, and keep in the database since when what holds. Raises what the database raises."""
        async with self._database.acquire() as connection:
            self._blockage = await find_blockage(connection)
            await self._clock.look(connection)
            slow = self._slow = await read_slowly(connection, self._surroundings.stores())
            await self.observe(connection)
            judgement = self.current()
            if not slow.is_read_only:
                await self._remember(connection, slow)
        if slow.is_read_only:
            await self._database.renew()  # the next look is over a connection that may be better
        self._tell(judgement.conditions)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as questions:
            while True:
                await self._try_to_look()
                self._ask_sources(questions)
                await asyncio.sleep(LOOK_INTERVAL if self._outage is None else OUTAGE_INTERVAL)

    async def _try_to_look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self.look()
            return
        except TimeoutError:
            log.debug("look_took_too_long", seconds=LOOK_TIMEOUT)  # what is known gets old, and says so
            await self._examine()
        except Exception as error:
            if isinstance(error, DatabaseError) or is_connection_error(error):
                self.lose_database(reason(error))
            elif isinstance(error, PostgresError):  # it answers: a lock, or a statement that took too long
                log.debug("look_failed", error=str(error))
                await self._examine()
            else:
                raise
        self._tell(self.current().conditions)

    async def _examine(self) -> None:
        """See why a look has failed: for a lock that somebody holds, or because the database says nothing at all."""
        try:
            async with asyncio.timeout(EXAMINE_TIMEOUT), self._database.acquire() as connection:
                self._blockage = await find_blockage(connection)
        except Exception as error:
            if not is_of_database(error):
                raise
            self.lose_database(reason(error))

    async def _remember(self, connection: Connection, slow: SlowFacts) -> None:
        """Of stores that this configuration does not have, others keep the memory."""
        stores = {None, *(store.name for store in self._surroundings.stores())}
        known = slow.remembered
        past = [number for number, each in known.items() if each.store in stores and number not in self._seen]
        if past:
            await memory.forget(connection, past)
        changed = {number: each for number, each in self._seen.items() if known.get(number) != each}
        if changed:
            await memory.remember(connection, changed)
        self._slow = replace(slow, remembered=self._seen)

    def _tell(self, conditions: Sequence[Condition]) -> None:
        """Log what has begun and what has ended."""
        present = {each.id: each for each in conditions}
        for begun in (present[number] for number in present.keys() - self._told.keys()):
            log.warning(
                "condition_began",
                condition=begun.id,
                store=begun.store,
                text=begun.text,
                since=begun.since,
                cause=begun.cause,
                next_step=begun.next_step,
            )
        for ended in (self._told[number] for number in self._told.keys() - present.keys()):
            log.info("condition_ended", condition=ended.id, store=ended.store, text=ended.text, since=ended.since)
        self._told = present

    def _ask_sources(self, questions: asyncio.TaskGroup) -> None:
        """See whether sources answer again that gave nothing when they were called last, be it before a restart."""
        now = asyncio.get_running_loop().time()
        for trouble in self._source_troubles:
            key = (trouble.store, trouble.source)
            # One question at a time: where a source is silent, one takes longer than the interval.
            is_due = key not in self._asked_at or now - self._asked_at[key] >= ASK_INTERVAL
            if is_due and key not in self._asking:
                self._asked_at[key] = now
                self._asking.add(key)
                questions.create_task(self._ask(*key), name=f"ask-{trouble.store}-{trouble.source}")

    async def _ask(self, store: StoreName, source: str) -> None:
        try:
            await self._surroundings.ask(store, source)
        except DongboError as error:
            log.debug("source_asked", store=store, source=source, answer=str(error))
        finally:
            self._asking.discard((store, source))

    def _scene(self) -> Scene:
        around, slow = self._surroundings, self._slow or SlowFacts()
        return Scene.of(
            Facts(
                now=self._clock(),
                zone=around.zone(),
                started_at=self._started_at,
                stores=around.stores(),
                schedules=around.schedules(),
                sources=around.sources(),
                credentials=around.credentials(),
                clocks=around.clocks(),
                sale_clock_problem=around.sale_clock_problem(),
                database=self._known,
                outage=self._outage,
                remembered={**self._seen, **slow.remembered},
                slow=slow,
                channels=around.channels(),
                disk=around.disk(),
                refused_space=self._database.refused_space,
                blockage=self._blockage,
                kept_secrets=around.kept_secrets(),
            )
        )


def _by_store(
    stores: Collection[StoreName], conditions: Sequence[Condition]
) -> Mapping[StoreName, Sequence[Condition]]:
    """The conditions that bear on each store, in their order: its own, and those of everything."""
    found: dict[StoreName, list[Condition]] = {store: [] for store in stores}
    for condition in conditions:
        if condition.store is None:
            for of_store in found.values():
                of_store.append(condition)
        elif condition.store in found:
            found[StoreName(condition.store)].append(condition)
    return found
