"""One look: the facts of a moment, and what follows from them before anything is put into words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from daemon.api.conditions import ConditionName
from daemon.conditions.facts import ConditionKey, DatabaseFacts, Facts, Remembered
from daemon.conditions.streams import Standing, standings
from daemon.ids import StoreName

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
        ConditionName.NOTHING_PULLED,
        ConditionName.NOTHING_PUSHED,
    }
)

NOTHING_KNOWN: Final = DatabaseFacts(
    read_at=datetime.min.replace(tzinfo=UTC),
    clock_offset=0.0,
    streams={},
    schedules={},
    questions=(),
    open_sales=(),
    drifted={},
    left_out=(),
    mapped={},
    remembered={},
)


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """Why a source of a store gives nothing: it does not answer, or refuses the credential."""

    name: ConditionName
    store: StoreName
    source: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be judged. `streams` is empty while the database is away: nothing is known of them then."""

    facts: Facts
    source_troubles: Sequence[SourceTrouble]
    streams: Sequence[Standing]

    @classmethod
    def of(cls, facts: Facts) -> "Scene":
        """What follows from the facts."""
        troubles = _source_troubles(facts)
        without: dict[StoreName, set[str]] = {}
        for trouble in troubles:
            without.setdefault(trouble.store, set()).add(trouble.source)
        if facts.database is None or facts.outage is not None:
            return cls(facts, troubles, ())
        return cls(facts, troubles, standings(facts, facts.database, without))

    def streams_of(self, store: StoreName) -> Sequence[Standing]:
        """How the streams of a store stand."""
        return [stream for stream in self.streams if stream.key.store == store]

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
        known = _remembered(self.facts).get(key)
        return min(known.since, seen) if known is not None else seen


def _source_troubles(facts: Facts) -> list[SourceTrouble]:
    """What has not been tried since the daemon started is still as it was when it stopped, as far as anybody knows."""
    troubles = []
    for report in facts.sources:
        name, known = ConditionName.SOURCE_UNREACHABLE, None
        if report.is_reachable is None:
            known = _remembered(facts).get(ConditionKey(report.store, name, report.source))
        elif report.is_reachable is False and report.since is not None:
            known = Remembered(report.since, report.reason)
        if known is not None:
            troubles.append(SourceTrouble(name, report.store, report.source, known.since, known.cause or ""))
    for credential in facts.credentials:
        name, known = ConditionName.CREDENTIAL_REFUSED, None
        if credential.works is None:
            known = _remembered(facts).get(ConditionKey(credential.store, name, credential.source))
        elif credential.refused_since is not None:
            known = Remembered(credential.refused_since, next(iter(credential.problems), ""))
        if known is not None:
            troubles.append(SourceTrouble(name, credential.store, credential.source, known.since, known.cause or ""))
    return [_dated(trouble, facts) for trouble in troubles]


def _dated(trouble: SourceTrouble, facts: Facts) -> SourceTrouble:
    known = _remembered(facts).get(ConditionKey(trouble.store, trouble.name, trouble.source))
    if known is None or known.since >= trouble.since:
        return trouble
    return SourceTrouble(trouble.name, trouble.store, trouble.source, known.since, trouble.reason)


def _remembered(facts: Facts) -> Mapping[ConditionKey, Remembered]:
    return facts.database.remembered if facts.database is not None else {}
