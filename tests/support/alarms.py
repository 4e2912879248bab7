"""Alerts on a real database and real receivers; what holds, and what time it is, a test says."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from daemon.alerts.channel import Channel
from daemon.alerts.telling import GATHERED_FOR, Alerts
from daemon.api.conditions import Condition, ConditionName, ConditionSeverity, Verdict
from daemon.conditions.facts import ConditionKey
from daemon.conditions.watch import Judgement
from daemon.config import AlertSettings
from daemon.database.pool import Database
from daemon.i18n import Language
from daemon.ids import StoreName
from daemon.tone import Tone

STORE = StoreName("main")
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOON = datetime(2026, 11, 29, 5, 0, tzinfo=UTC)  # at the shop


def channel(url: str, name: str = "phone", language: Language = Language.ENGLISH, **keys: Any) -> Channel:
    """A channel of these keys."""
    settings = AlertSettings.model_validate({"name": name, "url": {"env": "UNUSED"}, **keys})
    return Channel(settings, SecretStr(url), language, ZONE)


def condition(
    name: ConditionName = ConditionName.LATE,
    *,
    store: StoreName | None = STORE,
    subject: str = "PULL_NHANH_INVENTORY",
    since: datetime = NOON - timedelta(hours=1),
    severity: ConditionSeverity = ConditionSeverity.WARN,
    **changes: Any,
) -> Condition:
    """Something that is not right, for an hour by default."""
    found = Condition(
        id=str(ConditionKey(store, name, subject)),
        name=name,
        store=store,
        severity=severity,
        text=f"{subject or name} is not right",
        cause="it broke",
        next_step="Mend it.",
        since=since,
        stream=None,
        job_id=None,
        schedule=None,
        approval_id=None,
        sale=None,
        needs_person=False,
    )
    return replace(found, **changes)


AWAY = condition(ConditionName.DATABASE_AWAY, store=None, subject="", severity=ConditionSeverity.BAD)


class Shop:
    """What all daemons see, in place of their own look at it, and the time by all clocks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOON
        self.is_known = True  # whether the database answers

    async def later(self, **span: float) -> None:
        """Let time pass, by the database's clock too."""
        passed = timedelta(**span)
        self.now += passed
        async with self.database.acquire() as connection:
            await connection.execute(
                "UPDATE dongbo.alerts SET seen_at = seen_at - $1::interval, "
                "claimed_until = claimed_until - $1::interval",
                passed,
            )


class Watcher:
    """A daemon's look at the shop. `holds` is what it sees."""

    def __init__(self, shop: Shop, *holds: Condition) -> None:
        self._shop = shop
        self.holds: Sequence[Condition] = holds

    def current(self) -> Judgement:
        """As `Conditions` has it."""
        verdict = Verdict(STORE, Tone.WARN, "Stock is late", "main")
        return Judgement([verdict], list(self.holds), [] if self._shop.is_known else None)


class Teller:
    """The alerts of one daemon that has run for long."""

    def __init__(self, shop: Shop, watcher: Watcher, *channels: Channel, database: Database | None = None) -> None:
        self.watcher = watcher
        self.alerts = Alerts(database or shop.database, watcher, lambda: shop.now)  # type: ignore[arg-type]
        self.alerts.use(channels)
        self.alerts._looking_since = shop.now - timedelta(days=1)
        self._see(*watcher.holds)

    def sees(self, *conditions: Condition) -> None:
        """These hold from now on, and have been gathered."""
        self.watcher.holds = conditions
        self._see(*conditions)

    async def look(self) -> None:
        """One look, until all channels have been told."""
        async with asyncio.TaskGroup() as tasks:
            await self.alerts._look(tasks)

    def _see(self, *conditions: Condition) -> None:
        seen = {each.id: self.alerts._clock() - GATHERED_FOR for each in conditions}
        self.alerts._first_seen = seen | self.alerts._first_seen
