"""Whom to tell what is not right: the channels of `[[alerts]]`, and the dead man's switch of `[heartbeat]`."""

from datetime import datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from daemon.api.conditions import ConditionName
from daemon.config.fields import NAME_PATTERN, QUIET_HOURS_PATTERN, SecretRef, Section
from daemon.i18n import Language
from daemon.ids import StoreName

HEARTBEAT = "heartbeat"  # what the switch is called among the channels


class AlertSettings(Section):
    """A channel by which people are told what is not right."""

    name: str = Field(pattern=NAME_PATTERN, description="Its name, unique in the file.")
    url: SecretRef = Field(description="Where its Apprise URL is kept, such as tgram://TOKEN/CHAT.")
    stores: tuple[Annotated[StoreName, Field(pattern=NAME_PATTERN)], ...] = Field(
        default=(), strict=False, description="Only what is about these stores, or about the daemon as a whole."
    )
    severity: Literal["warn", "bad"] = Field(default="warn", description="The least that is told.")
    conditions: tuple[Annotated[ConditionName, Field(strict=False)], ...] = Field(
        default=(), strict=False, description="Only these conditions; without it, all."
    )
    after_minutes: int = Field(
        default=5, ge=0, le=10_080, description="How long a condition must hold, or be over, before it is told."
    )
    quiet_hours: str | None = Field(
        default=None,
        pattern=QUIET_HOURS_PATTERN,
        description="By the shop's clock; what still holds at their end is told then.",
        examples=["22:00-07:00"],
    )
    bad_in_quiet_hours: bool = Field(default=True, description="Whether what is bad is told in quiet hours, too.")
    language: Annotated[Language, Field(strict=False)] | None = Field(
        default=None, description="Of its messages; without it, that of the file."
    )

    @field_validator("name")
    @classmethod
    def _refuse_the_name_of_the_switch(cls, name: str) -> str:
        if name == HEARTBEAT:
            raise ValueError(f'"{name}" means the [heartbeat]: choose another name')
        return name

    @field_validator("quiet_hours")
    @classmethod
    def _refuse_hours_without_length(cls, quiet_hours: str | None) -> str | None:
        if quiet_hours is not None and len(set(quiet_hours.split("-"))) == 1:
            raise ValueError("begins and ends at the same time: leave it out, or say another end")
        return quiet_hours

    @property
    def after(self) -> timedelta:
        """How long a condition must hold, or be over, before it is told."""
        return timedelta(minutes=self.after_minutes)

    def is_quiet(self, now: datetime, zone: ZoneInfo) -> bool:
        """Whether a moment lies in the quiet hours by the clock of a zone."""
        if self.quiet_hours is None:
            return False
        begin, end = map(time.fromisoformat, self.quiet_hours.split("-"))
        clock = now.astimezone(zone).time()
        return begin <= clock < end if begin < end else clock >= begin or clock < end


class HeartbeatSettings(Section):
    """A dead man's switch: who is called while all is well, and raises the alarm when the calls end."""

    url: SecretRef = Field(description="Where the http or https address is kept that is called.")
    every_minutes: int = Field(default=5, ge=1, le=1440, description="How often.")
