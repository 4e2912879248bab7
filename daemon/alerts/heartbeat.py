"""A dead man's switch: an address is called while all is well, and whoever it belongs to raises the alarm when the
calls end. So a dead machine is noticed, too, and one whose alarms don't get out.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import structlog
from pydantic import SecretStr

from daemon.alerts.delivery import mask
from daemon.api.conditions import ConditionName, ConditionSeverity
from daemon.conditions.facts import ChannelReport
from daemon.conditions.watch import Judgement
from daemon.config import HEARTBEAT, ResolvedSecrets, Settings
from daemon.errors import SourceRefused
from daemon.i18n import gettext as _
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault
from daemon.sources.http import open_session
from daemon.sources.proxy import proxy_for

log = structlog.get_logger()

RETRY_INTERVAL: Final = timedelta(seconds=30)  # after a call that failed or was held back
SETTLING: Final = 10.0  # seconds after the start, in which a daemon is seldom ready: nothing to tell of
TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=10)


@dataclass(frozen=True, slots=True)
class Switch:
    """What to call, and how often."""

    url: SecretStr = field(repr=False)
    every: timedelta


def make_switch(settings: Settings, secrets: ResolvedSecrets) -> Switch | None:
    """The configured one, if there is one."""
    if settings.heartbeat is None or secrets.heartbeat_url is None:
        return None
    return Switch(secrets.heartbeat_url, timedelta(minutes=settings.heartbeat.every_minutes))


def obstacle(parts: Mapping[str, Health], judgement: Judgement, channels: Sequence[ChannelReport]) -> str | None:
    """Why the calls must end; None while all is well.

    They end while the daemon is not ready; while alerts get through by no channel; and, where there is no channel,
    while something bad holds: whatever nobody would be told otherwise.
    """
    if judgement.streams is None:
        is_away = any(each.name is ConditionName.DATABASE_AWAY for each in judgement.conditions)
        return _("the database does not answer") if is_away else _("the daemon is starting")
    for name, health in parts.items():
        if not health.is_ok:
            return f"{name}: {health.detail}"
    if channels:
        return _("no alert gets through") if all(each.works is False for each in channels) else None
    return next((each.text for each in judgement.conditions if each.severity is ConditionSeverity.BAD), None)


class Heartbeat(Part):
    """Calls the switch's address.

    Args:
        find_obstacle: why it must not be called at this moment; None: all is well.
        clock: this machine's, aware UTC.
    """

    name = "heartbeat"

    def __init__(
        self, find_obstacle: Callable[[], str | None], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._find_obstacle = find_obstacle
        self._clock = clock
        self._switch: Switch | None = None
        self._changed = asyncio.Event()
        self._withheld = Fault(log, "heartbeat_held_back", over="heartbeat_goes_on")
        self._failing = Fault(
            log, "heartbeat_failed", over="heartbeat_works_again", next_step="it is tried again every 30 s"
        )
        self._report = ChannelReport(HEARTBEAT)
        self.called_at: datetime | None = None  # when it was told last that all is well
        self.held_back: str | None = None  # why it is not called now

    def use(self, switch: Switch | None) -> None:
        """Call this one from now on; None: no one."""
        if switch != self._switch:
            self._switch = switch
            self._report, self.held_back = ChannelReport(HEARTBEAT), None
            self._changed.set()

    def reports(self) -> Sequence[ChannelReport]:
        """Whether the calls arrive; nothing where none is configured."""
        return [self._report] if self._switch is not None else []

    async def _run(self) -> None:
        await asyncio.sleep(SETTLING)
        async with open_session() as session:
            while True:
                self._changed.clear()
                wait = await self._beat(session, self._switch) if self._switch is not None else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait.total_seconds() if wait is not None else None):
                        await self._changed.wait()

    async def _beat(self, session: aiohttp.ClientSession, switch: Switch) -> timedelta:
        """Call, unless something is in the way; how long to wait then."""
        obstacle = self._find_obstacle()
        self.held_back = obstacle
        if obstacle is not None:
            self._withheld.happened(obstacle)
            return min(RETRY_INTERVAL, switch.every)
        self._withheld.passed()
        problem = await self._call(session, switch.url)
        if switch != self._switch:
            return timedelta(0)  # it has been replaced meanwhile
        return self._note(problem, switch)

    def _note(self, problem: str | None, switch: Switch) -> timedelta:
        if problem is None:
            self._failing.passed()
            self.called_at = self._clock()
            self._report = ChannelReport(HEARTBEAT, works=True)
            return switch.every
        self._failing.happened(problem)
        since = self._report.failing_since or self._clock()
        self._report = ChannelReport(HEARTBEAT, works=False, failing_since=since, problem=problem)
        return min(RETRY_INTERVAL, switch.every)

    @staticmethod
    async def _call(session: aiohttp.ClientSession, url: SecretStr) -> str | None:
        """What went wrong; None: the call has arrived."""
        address = url.get_secret_value()
        try:
            proxy = proxy_for(address)
            async with session.get(
                address,
                timeout=TIMEOUT,
                allow_redirects=False,
                proxy=proxy.url if proxy is not None else None,
                proxy_headers=proxy.headers if proxy is not None else None,
            ) as response:
                if 200 <= response.status < 300:
                    return None
                return _("it answers with HTTP {status}").format(status=response.status)
        except TimeoutError:
            return _("no answer within {n:g} s").format(n=TIMEOUT.total)
        except (aiohttp.ClientError, SourceRefused, OSError) as error:
            return mask(str(error) or type(error).__name__, url)
