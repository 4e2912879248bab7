"""One look: the facts of a moment, and what follows from them before anything is put into words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from daemon.api.conditions import ConditionName
from daemon.conditions.facts import ConditionKey, DatabaseFacts, Facts, StreamFacts
from daemon.conditions.streams import Standing, other_troubles, standings
from daemon.ids import StoreName
from daemon.jobs.pauses import StorePause

# What nothing but the daemon's own memory dates: kept in the database, so that a restart changes nothing.
LASTING: Final = frozenset(
    {
        ConditionName.SOURCE_UNREACHABLE,
        ConditionName.CREDENTIAL_REFUSED,
        ConditionName.SCOPES_MISSING,
        ConditionName.LOCATION_CLOSED,
        ConditionName.DEPOT_HIDDEN,
        ConditionName.SALE_DECISION,
        ConditionName.CLOCKS_APART,
        ConditionName.DAEMON_CLOCK_OFF,
        ConditionName.DATABASE_READ_ONLY,
        ConditionName.DATABASE_LOCKED,
        ConditionName.ALERT_UNDELIVERED,
        ConditionName.DISK_FILLING,
        ConditionName.NOTIFICATIONS_PILING_UP,
        ConditionName.WEBHOOKS_REFUSED,
        ConditionName.NOTHING_PULLED,
        ConditionName.NOTHING_PUSHED,
    }
)

NOTHING_KNOWN: Final = DatabaseFacts(
    read_at=datetime.min.replace(tzinfo=UTC),
    streams={},
    schedules={},
    questions=(),
    open_sales=(),
    drifted={},
    left_out=(),
    place_names={},
)


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """Why a source of a store gives nothing: it does not answer, or refuses the credential."""

    name: ConditionName
    store: StoreName
    source: str
    since: datetime
    reason: str


@dataclass(frozen=True)  # without slots, for what is derived once and then asked for each of a thousand stores
class Scene:
    """What is to be judged. `streams` is empty while the database is away: nothing is known of them then.

    `other_troubles` are of jobs that are no stream.
    """

    facts: Facts
    source_troubles: Sequence[SourceTrouble]
    streams: Sequence[Standing]
    other_troubles: Sequence[StreamFacts] = ()

    @classmethod
    def of(cls, facts: Facts) -> "Scene":
        """What follows from the facts."""
        troubles = _source_troubles(facts)
        without: dict[StoreName, set[str]] = {}
        for trouble in troubles:
            without.setdefault(trouble.store, set()).add(trouble.source)
        if facts.database is None or facts.outage is not None:
            return cls(facts, troubles, ())
        streams = standings(facts, facts.database, without)
        return cls(facts, troubles, streams, other_troubles(facts.stores, facts.database, without))

    @cached_property
    def store_names(self) -> frozenset[StoreName]:
        """Those of the configuration."""
        return frozenset(store.name for store in self.facts.stores)

    def streams_of(self, store: StoreName) -> Sequence[Standing]:
        """How the streams of a store stand."""
        return self._streams_by_store.get(store, ())

    @cached_property
    def _streams_by_store(self) -> Mapping[StoreName, Sequence[Standing]]:
        found: dict[StoreName, list[Standing]] = {}
        for stream in self.streams:
            found.setdefault(stream.key.store, []).append(stream)
        return found

    def pause_of(self, store: StoreName) -> StorePause | None:
        """The pause of a store that goes on now; None where there is none."""
        now = self.facts.now
        return next(
            (
                pause
                for pause in self.database.pauses
                if pause.store == store and (pause.until is None or now < pause.until)
            ),
            None,
        )

    @property
    def is_known(self) -> bool:
        """Whether the database answers."""
        return self.facts.database is not None and self.facts.outage is None

    @property
    def database(self) -> DatabaseFacts:
        """What the database says now; nothing while it is away."""
        return self.facts.database if self.facts.database is not None and self.is_known else NOTHING_KNOWN

    def since(self, key: ConditionKey, seen: datetime) -> datetime:
        """Since when a condition holds that was seen then: since earlier, if it is remembered."""
        known = self.facts.remembered.get(str(key))
        return min(known.since, seen) if known is not None else seen


def _source_troubles(facts: Facts) -> list[SourceTrouble]:
    """What has not been tried since the daemon started is still as it was when it stopped, as far as anybody knows."""
    found = []
    for report in facts.sources:
        about = (report.store, ConditionName.SOURCE_UNREACHABLE, report.source)
        found.append(_trouble(facts, *about, report.is_reachable, report.since, report.reason))
    for credential in facts.credentials:
        about = (credential.store, ConditionName.CREDENTIAL_REFUSED, credential.source)
        said = next(iter(credential.problems), None)
        found.append(_trouble(facts, *about, credential.works, credential.refused_since, said))
    return [trouble for trouble in found if trouble is not None]


def _trouble(
    facts: Facts,
    store: StoreName,
    name: ConditionName,
    source: str,
    is_well: bool | None,  # None: not tried yet
    since: datetime | None,
    reason: str | None,
) -> SourceTrouble | None:
    known = facts.remembered.get(str(ConditionKey(store, name, source)))
    if is_well is False and since is not None:
        began = min(since, known.since) if known is not None else since
        return SourceTrouble(name, store, source, began, reason or "")
    if is_well is None and known is not None:
        return SourceTrouble(name, store, source, known.since, known.cause or "")
    return None
