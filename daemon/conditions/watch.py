"""Looks at everything again and again, remembers since when what holds, and answers whether the shop is right."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from asyncpg import PostgresError

from daemon.api.conditions import Condition, StreamReport, Verdict
from daemon.conditions import memory
from daemon.conditions.detectors import detect
from daemon.conditions.facts import DatabaseFacts, Facts, Outage, Remembered, SlowFacts, StoreFacts
from daemon.conditions.reading import read_database, read_slowly
from daemon.conditions.reports import report
from daemon.conditions.scene import LASTING, Scene
from daemon.conditions.verdicts import judge
from daemon.database.connection_errors import reason
from daemon.database.pool import Connection, Database, is_connection_error
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
ASK_INTERVAL: Final = 60.0  # seconds between two questions to a source that gave no answer


@dataclass(frozen=True)
class Surroundings:
    """What the rest of the daemon knows, looked up at each look.

    Args:
        zone: the shop's.
        ask: makes a small call to a store's source, only to see whether it answers. Raises DongboError where not.
    """

    stores: Callable[[], Sequence[StoreFacts]]
    schedules: Callable[[], Sequence[ScheduleSpec]]
    sources: Callable[[], Sequence[SourceReport]]
    credentials: Callable[[], Sequence[CredentialReport]]
    clocks: Callable[[], Sequence[ClockReport]]
    sale_clock_problem: Callable[[], str | None]
    zone: Callable[[], ZoneInfo]
    ask: Callable[[StoreName, str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is right and wrong at a moment, in the language that was spoken. `streams`: None while nothing is known."""

    verdicts: Sequence[Verdict]
    conditions: Sequence[Condition]
    streams: Sequence[StreamReport] | None


class Conditions(Part):
    """The one place that says whether the shop is right.

    Args:
        clock: this machine's, aware UTC.
    """

    name = "conditions"

    def __init__(
        self,
        database: Database,
        surroundings: Surroundings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._surroundings = surroundings
        self._clock = clock
        self._started_at = clock()
        self._known: DatabaseFacts | None = None  # as it was read last
        self._slow: SlowFacts | None = None
        self._outage: Outage | None = None
        self._seen: Mapping[str, Remembered] = {}  # what holds now and nothing else dates
        self._told: Mapping[str, Condition] = {}  # what the log knows of
        self._asked_at: dict[tuple[StoreName, str], float] = {}

    def current(self) -> Judgement:
        """What holds as of the last observation, judged by the present time, in the language that is spoken."""
        scene = self._scene()
        conditions = detect(scene)
        self._seen = {
            each.id: Remembered(each.store, each.since, each.cause) for each in conditions if each.name in LASTING
        }
        return Judgement(
            [judge(store, scene, conditions) for store in scene.facts.stores],
            conditions,
            [report(stream, scene) for stream in scene.streams] if scene.is_known else None,
        )

    async def observe(self, connection: Connection) -> DatabaseFacts:
        """Read anew what the database knows. Raises what the database raises."""
        around = self._surroundings
        if self._slow is None:
            self._slow = await read_slowly(connection, around.stores(), self._clock)
        self._known = await read_database(connection, around.stores(), around.schedules(), self._clock)
        self._outage = None
        return self._known

    def lose_database(self, why: str) -> None:
        """Note that the database can't be read now."""
        self._outage = Outage(self._outage.since if self._outage is not None else self._clock(), why)

    async def look(self) -> None:
        """Observe, and keep in the database since when what holds. Raises what the database raises."""
        async with self._database.acquire() as connection:
            slow = self._slow = await read_slowly(connection, self._surroundings.stores(), self._clock)
            await self.observe(connection)
            judgement = self.current()
            await self._remember(connection, slow)
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
        except TimeoutError:
            log.debug("look_took_too_long", seconds=LOOK_TIMEOUT)  # what is known gets old, and says so
        except Exception as error:
            if isinstance(error, DatabaseError) or is_connection_error(error):
                self.lose_database(reason(error))
            elif isinstance(error, PostgresError):  # it answers: a lock, or a statement that took too long
                log.debug("look_failed", error=str(error))
            else:
                raise
        if self._outage is not None or self._known is None:
            self._tell(self.current().conditions)

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
        for trouble in self._scene().source_troubles:
            key = (trouble.store, trouble.source)
            if key not in self._asked_at or now - self._asked_at[key] >= ASK_INTERVAL:
                self._asked_at[key] = now
                questions.create_task(self._ask(*key), name=f"ask-{trouble.store}-{trouble.source}")

    async def _ask(self, store: StoreName, source: str) -> None:
        try:
            await self._surroundings.ask(store, source)
        except DongboError as error:
            log.debug("source_asked", store=store, source=source, answer=str(error))

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
            )
        )
