"""Tells each channel once of each condition that lasts, and once that it is over.

What has been told is in the database, so that neither a restart nor a second daemon tells it again; while the database
is away it is kept in mind, and recorded when that is back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import structlog
from asyncpg import PostgresError

from daemon.alerts import messages, store
from daemon.alerts.channel import Channel, undelivered_key
from daemon.alerts.delivery import DEADLINE, DeliveryOutcome
from daemon.alerts.line import Line
from daemon.alerts.store import Told
from daemon.api.conditions import Condition, ConditionSeverity
from daemon.conditions.facts import ChannelReport
from daemon.conditions.watch import Conditions, Judgement
from daemon.database.connection_errors import reason
from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import DongboError
from daemon.i18n import Language, spoken
from daemon.lifecycle import Part

log = structlog.get_logger()

T = TypeVar("T")

LOOK_INTERVAL: Final = 10.0  # seconds
GATHERED_FOR: Final = timedelta(seconds=20)  # what begins together is told together
SEEN_EVERY: Final = timedelta(seconds=20)
LEASE: Final = timedelta(seconds=DEADLINE + 15)  # how long a claim lasts, should its daemon die
DATABASE_TIMEOUT: Final = 5.0  # seconds: an alarm that the database is away must not wait for it


@dataclass(frozen=True, slots=True)
class Look:
    """What holds at a moment, in each language that is wanted, and what has been told of it.

    Args:
        told: by which channel; None: the database can't say it now.
        gathered: conditions that have been seen for long enough for others to have joined them.
    """

    now: datetime
    judgements: Mapping[Language, Judgement]
    told: Sequence[Told] | None
    gathered: Collection[str]

    @property
    def present(self) -> Collection[str]:
        """The ids of all that holds."""
        return {each.id for judgement in self.judgements.values() for each in judgement.conditions}

    def find(self, channel: Channel, condition: str) -> Condition | None:
        """The condition of this id in the language of a channel, if it holds."""
        conditions = self.judgements[channel.language].conditions
        return next((each for each in conditions if each.id == condition), None)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test message."""

    channel: Channel
    outcome: DeliveryOutcome
    seconds: float


class Alerts(Part):
    """The channels of the configuration, each told by itself: one that hangs holds up no other.

    Args:
        clock: the present time, aware UTC, by the clock that dates conditions.
    """

    name = "alerts"

    def __init__(
        self,
        database: Database,
        conditions: Conditions,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._conditions = conditions
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._first_seen: dict[str, datetime] = {}  # conditions that hold, since when this daemon knows of them
        self._looking_since: datetime | None = None  # without interruption
        self._last_told: Sequence[Told] = ()  # as it was read last
        # What has been told since that was read, by channel and condition; with the time where that is to be recorded.
        self._told_since: dict[tuple[str, str], tuple[Condition, datetime | None]] = {}

    def use(self, channels: Sequence[Channel]) -> None:
        """Tell these from now on; one that has not changed goes on as it was."""
        known = self._lines
        self._lines = {
            each.name: known[each.name] if each.name in known and known[each.name].channel == each else Line(each)
            for each in channels
        }

    @property
    def channels(self) -> Sequence[Channel]:
        """Those in use."""
        return [line.channel for line in self._lines.values()]

    def reports(self) -> Sequence[ChannelReport]:
        """Whether messages get through, by channel."""
        return [line.report for line in self._lines.values()]

    async def test(self, name: str | None = None) -> Sequence[Trial]:
        """Send a test message by one channel, or by all at once. An unknown name is a KeyError."""
        lines = [self._lines[name]] if name is not None else list(self._lines.values())
        return await asyncio.gather(*(self._try(line) for line in lines))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                if self._lines:
                    await self._look(tasks)
                else:
                    self._looking_since = None
                await asyncio.sleep(LOOK_INTERVAL)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        """See what holds, and let each channel be told that is not just being told something."""
        look = await self._see()
        for name, line in self._lines.items():
            if not line.is_busy:
                line.is_busy = True
                tasks.create_task(self._serve(line, look), name=f"alert-{name}")

    async def _see(self) -> Look:
        now = self._clock()
        self._looking_since = self._looking_since or now
        judgements = {each.language: self._judge(each.language) for each in self.channels}
        ids = {each.id for judgement in judgements.values() for each in judgement.conditions}
        self._first_seen = {each: self._first_seen.get(each, now) for each in ids}
        is_known = all(judgement.streams is not None for judgement in judgements.values())
        told = await self._attempt(lambda connection: self._catch_up(connection, ids)) if is_known else None
        if told is not None:
            self._last_told = told
        gathered = {each for each, seen in self._first_seen.items() if now - seen >= GATHERED_FOR}
        return Look(now, judgements, told, gathered)

    def _judge(self, language: Language) -> Judgement:
        with spoken(language):
            return self._conditions.current()

    async def _catch_up(self, connection: Connection, present: Collection[str]) -> Sequence[Told]:
        """Record what was told meanwhile and what holds still; what has been told by now."""
        told_since = dict(self._told_since)
        for key, (condition, at) in told_since.items():
            if at is not None:
                await store.record_told(connection, key[0], [condition], at)
                self._told_since[key] = (condition, None)
        known = await store.list_open(connection, self._lines.keys())
        for key in told_since:
            self._told_since.pop(key, None)
        seen = [each.id for each in known if each.condition in present and each.unseen >= SEEN_EVERY]
        if seen:
            await store.see(connection, seen)
        return known

    async def _serve(self, line: Line, look: Look) -> None:
        """Tell one channel whatever it is to know."""
        try:
            with spoken(line.channel.language):
                if not line.is_waiting and await line.try_out(look.now):
                    for tell in (self._tell_beginning, self._tell_end, self._tell_return):
                        if not line.is_waiting:  # what has just failed is not tried again with another message
                            await tell(line, look)
        finally:
            line.is_busy = False

    async def _tell_beginning(self, line: Line, look: Look) -> None:
        channel = line.channel
        judgement = look.judgements[channel.language]
        due = self._due(channel, judgement.conditions, look)
        if not any(each.id in look.gathered for each in due):
            return
        claimed = None
        if look.told is not None:
            claimed = await self._attempt(lambda connection: store.claim(connection, channel.name, due, LEASE))
        telling = [each for each in due if claimed is None or each.id in claimed]
        if not telling:
            return  # another daemon does
        outcome = await line.send(
            messages.of_beginning(telling, judgement.verdicts, look.now, channel.zone), self._clock()
        )
        if outcome.went:
            log.info("alert_sent", channel=channel.name, conditions=[each.id for each in telling])
            await self._record_told(channel, telling)
        elif claimed is not None:
            ids = [each.id for each in telling]
            await self._attempt(lambda connection: store.release(connection, channel.name, ids, outcome.answer))

    def _due(self, channel: Channel, conditions: Sequence[Condition], look: Look) -> list[Condition]:
        """What the channel is to know by now, and does not."""
        known = self._last_told if look.told is None else look.told
        told = {each.condition for each in known if each.channel == channel.name and each.told_at is not None}
        told.update(name for of, name in self._told_since if of == channel.name)
        return [
            each
            for each in conditions
            if each.id not in told
            and channel.wants(each)
            and look.now - each.since >= channel.settings.after
            and channel.may_be_told(each.severity, look.now)
        ]

    async def _record_told(self, channel: Channel, told: Sequence[Condition]) -> None:
        """Now, or once the database is back."""
        at = self._clock()
        self._told_since |= {(channel.name, each.id): (each, at) for each in told}
        if await self._attempt(lambda connection: _did(store.record_told(connection, channel.name, told, at))):
            self._told_since |= {(channel.name, each.id): (each, None) for each in told}

    async def _tell_end(self, line: Line, look: Look) -> None:
        channel, present = line.channel, look.present
        if look.told is None or self._looking_since is None or look.now - self._looking_since < channel.over_after:
            return  # a daemon that has only just begun to look has not seen everything that holds
        over = [
            each
            for each in look.told
            if each.channel == channel.name
            and each.condition not in present
            and each.unseen >= channel.over_after
            and channel.may_be_told(each.severity, look.now)
        ]
        untold = [each.id for each in over if not each.is_owed]
        if untold:
            await self._attempt(lambda connection: store.close(connection, untold))
        ids = [each.id for each in over if each.is_owed]
        if not ids:
            return
        claimed = await self._attempt(lambda connection: store.claim_ended(connection, ids, LEASE, channel.over_after))
        ending = [each for each in over if claimed is not None and each.id in claimed]
        if not ending:
            return
        verdicts = look.judgements[channel.language].verdicts
        outcome = await line.send(messages.of_end(ending, verdicts, look.now, channel.zone), self._clock())
        if outcome.went:
            log.info("alert_ended", channel=channel.name, conditions=[each.condition for each in ending])
            await self._attempt(lambda connection: store.close(connection, [each.id for each in ending]))
        else:
            conditions = [each.condition for each in ending]
            await self._attempt(lambda connection: store.release(connection, channel.name, conditions, outcome.answer))

    async def _tell_return(self, line: Line, look: Look) -> None:
        """Find out whether a channel that is said to be dead works, where there is nothing else to tell by it.

        Also in hours that are quiet for lesser things: as long as it counts as dead, the heartbeat may be held back.
        """
        channel = line.channel
        undelivered = look.find(channel, undelivered_key(channel.name))
        if (
            undelivered is None
            or line.report.works
            or not channel.may_be_told(ConditionSeverity.BAD, look.now)
            or look.told is None
            or any(each.channel == channel.name and each.told_at is None and each.is_owed for each in look.told)
        ):
            return
        await line.send(messages.of_return(undelivered, look.now, channel.zone), self._clock())

    async def _try(self, line: Line) -> Trial:
        with spoken(line.channel.language):
            message = messages.of_test(line.channel.name)
        began = time.perf_counter()
        outcome = await line.send(message, self._clock())
        return Trial(line.channel, outcome, time.perf_counter() - began)

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]]) -> T | None:
        """What the database says; None where it can't say it now."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT), self._database.acquire() as connection:
                return await work(connection)
        except Exception as error:
            if not (isinstance(error, DongboError | PostgresError) or is_connection_error(error)):
                raise
            log.debug("alerts_unrecorded", reason=reason(error))
            return None


async def _did(work: Awaitable[None]) -> bool:
    await work
    return True
