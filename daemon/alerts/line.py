"""A channel at work: whether messages get through by it, and when the next attempt is worth it."""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from daemon.alerts.channel import Channel
from daemon.alerts.delivery import DeliveryOutcome, Message, deliver, try_out
from daemon.conditions.facts import ChannelReport
from daemon.logging.faults import Fault

log = structlog.get_logger()

FIRST_WAIT: Final = 10.0  # seconds after a failed attempt; doubles
LONGEST_WAIT: Final = 300.0
MOST_DOUBLINGS: Final = 8  # more would lead beyond it, and after some days beyond what a float holds
NEXT_STEP: Final = "it is tried again, at last every 5 minutes; `dongbo alerts test` tries it at once"


class Line:
    """One channel, with what became of its last messages."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.is_busy = False  # a task is about to send something by it
        self.report = ChannelReport(channel.name)
        self._is_tried_out = False
        self._failures = 0  # in a row
        self._retry_at = 0.0  # by the loop's clock
        self._fault = Fault(log, "channel_failed", over="channel_works_again", next_step=NEXT_STEP)

    @property
    def is_waiting(self) -> bool:
        """Whether an attempt failed too short a while ago for another one."""
        return asyncio.get_running_loop().time() < self._retry_at

    async def try_out(self, now: datetime) -> bool:
        """Whether messages can be sent by its URL at all; found out once, before there is anything to tell."""
        if not self._is_tried_out:
            outcome = await try_out(self.channel.url)
            if not outcome.went:
                self._note_failure(outcome, now)
            self._is_tried_out = outcome.went
        return self._is_tried_out

    async def send(self, message: Message, now: datetime) -> DeliveryOutcome:
        """Send a message, and keep what came of it."""
        outcome = await deliver(self.channel.url, message)
        if outcome.went:
            self._note_success()
        else:
            self._note_failure(outcome, now)
        return outcome

    def _note_success(self) -> None:
        self._fault.passed(channel=self.channel.name)
        self.report = ChannelReport(self.channel.name, works=True)
        self._is_tried_out, self._failures, self._retry_at = True, 0, 0.0

    def _note_failure(self, outcome: DeliveryOutcome, now: datetime) -> None:
        self._fault.happened(outcome.answer, channel=self.channel.name)
        wait = min(FIRST_WAIT * 2 ** min(self._failures, MOST_DOUBLINGS), LONGEST_WAIT)
        self._failures += 1
        self._retry_at = asyncio.get_running_loop().time() + wait
        since = self.report.failing_since or now
        self.report = ChannelReport(self.channel.name, works=False, failing_since=since, problem=outcome.answer)
