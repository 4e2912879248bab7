"""A channel of `[[alerts]]`: how it is reached, and what it wants to be told when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.conditions.facts import ConditionKey
from daemon.config import AlertSettings, ResolvedSecrets, Settings
from daemon.i18n import Language

ABSENT_FOR: Final = timedelta(seconds=90)  # at least: every daemon looks several times in it


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to a person. `zone` is the shop's, whose clock says when it is quiet."""

    settings: AlertSettings
    url: SecretStr = field(repr=False)
    language: Language
    zone: ZoneInfo

    @property
    def name(self) -> str:
        """Unique among the channels."""
        return self.settings.name

    @property
    def over_after(self) -> timedelta:
        """How long a condition must be gone before it counts as over: as long as it must hold, so that one that comes
        and goes is told once."""
        return max(self.settings.after, ABSENT_FOR)

    def wants(self, condition: Condition) -> bool:
        """Whether it is to be told of this at all. That another channel is dead concerns each, and never that one."""
        settings = self.settings
        if condition.name is ConditionName.ALERT_UNDELIVERED:
            is_severe_enough = condition.id != undelivered_key(self.name)
        else:
            is_severe_enough = settings.severity == "warn" or condition.severity is ConditionSeverity.BAD
        return (
            is_severe_enough
            and (not settings.stores or condition.store is None or condition.store in settings.stores)
            and (not settings.conditions or condition.name in settings.conditions)
        )

    def may_be_told(self, severity: ConditionSeverity, now: datetime) -> bool:
        """Whether it is not too quiet for this now."""
        if severity is ConditionSeverity.BAD and self.settings.bad_in_quiet_hours:
            return True
        return not self.settings.is_quiet(now, self.zone)


def undelivered_key(channel: str) -> str:
    """The id of the condition that a channel does not get through."""
    return str(ConditionKey(None, ConditionName.ALERT_UNDELIVERED, channel))


def make_channels(settings: Settings, secrets: ResolvedSecrets) -> Sequence[Channel]:
    """The configured channels, in the order of the file."""
    return [
        Channel(alert, secrets.alert_urls[alert.name], alert.language or settings.language, settings.timezone)
        for alert in settings.alerts
    ]
