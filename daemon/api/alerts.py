"""Who is told what is not right: the channels, what they have been told, and tests of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from annotated_types import Len

from daemon.api.conditions import ConditionName, ConditionSeverity
from daemon.api.fields import STORABLE, STRICT
from daemon.i18n import Language
from daemon.ids import StoreName


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """A channel of the configuration.

    Args:
        service: the kind of its URL, such as `tgram`; the rest of that is secret.
        stores, conditions: what it is told of alone; empty: all.
        severity: the least that it is told.
        quiet_hours: such as 22:00-07:00, in the shop's time zone.
        works: whether its last message went out; null: none has been tried since the daemon started.
        failing_since, problem: since when messages do not go out, and why the last one did not.
    """

    name: str
    service: str
    stores: Sequence[StoreName]
    severity: ConditionSeverity
    conditions: Sequence[ConditionName]
    after_minutes: int
    quiet_hours: str | None
    bad_in_quiet_hours: bool
    language: Language
    works: bool | None
    failing_since: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class HeartbeatState:
    """The dead man's switch.

    Args:
        called_at: when its address last heard that all is well; null: not since the daemon started.
        held_back: why it is not called now; null: all is well.
        works, failing_since, problem: as of a channel.
    """

    called_at: datetime | None
    held_back: str | None
    works: bool | None
    failing_since: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class SentAlert:
    """What a channel has been told, or is to be told, of a condition.

    Args:
        text: what is or was wrong, in the channel's language.
        since: when the condition began.
        told_at: when the channel was told; null: no message about it has gone out.
        problem: why the last message about it did not go out.
        closed_at: when its end was told, or it ended untold; null: it holds.
    """

    id: int
    channel: str
    condition: str
    store: StoreName | None
    severity: ConditionSeverity
    text: str
    since: datetime
    told_at: datetime | None
    problem: str | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class AlertList:
    """The channels, the heartbeat where one is configured, and what was told, newest first."""

    channels: Sequence[AlertChannel]
    heartbeat: HeartbeatState | None
    alerts: Sequence[SentAlert]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class AlertTestBody:
    """Which channel to test; null: all of them."""

    __pydantic_config__: ClassVar[Any] = STRICT

    channel: Annotated[str, Len(1, 63), STORABLE] | None


@dataclass(frozen=True, slots=True)
class AlertTest:
    """What came of a test message: whether it went out, and what the service or the network said."""

    channel: str
    service: str
    went: bool
    answer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AlertTests:
    """Of each channel that was tested."""

    tests: Sequence[AlertTest]
