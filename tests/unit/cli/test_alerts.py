"""What `dongbo alerts` prints: who is told, what they were told, and what did not go."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from daemon.api.alerts import AlertChannel, AlertList, HeartbeatState, SentAlert
from daemon.api.conditions import ConditionSeverity
from daemon.cli.commands import alerts
from daemon.i18n import Language
from daemon.ids import StoreName

NOON = datetime(2026, 11, 29, 5, 0, tzinfo=UTC)
CHANNEL = AlertChannel(
    name="phone",
    service="tgram",
    stores=(),
    severity=ConditionSeverity.WARN,
    conditions=(),
    after_minutes=5,
    quiet_hours="22:00-07:00",
    bad_in_quiet_hours=True,
    language=Language.VIETNAMESE,
    works=False,
    failing_since=NOON,
    problem="error=401",
)


def alert(number: int, told_at: datetime | None, closed_at: datetime | None, problem: str | None) -> SentAlert:
    """What a channel was told, or not."""
    return SentAlert(
        id=number,
        channel="phone",
        condition="late:main:SYNC_PRODUCTS",
        store=StoreName("main"),
        severity=ConditionSeverity.WARN,
        text="Push: 40 minutes late",
        since=NOON,
        told_at=told_at,
        problem=problem,
        closed_at=closed_at,
    )


def test_the_list_says_what_works_and_what_did_not_go(capsys: pytest.CaptureFixture[str]) -> None:
    """By the shop's clock; of what did not go, why."""
    heartbeat = HeartbeatState(NOON, "worker: does not run", True, None, None)
    found = AlertList([CHANNEL], heartbeat, [alert(2, None, None, "error=401"), alert(1, NOON, NOON, None)], None)
    alerts._write(found, ZoneInfo("Asia/Ho_Chi_Minh"))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "phone tgram warn 5 min 22:00-07:00 vi fails since 2026-11-29 12:00:00: error=401" in lines
    assert "heartbeat: called last at 2026-11-29 12:00:00; not called now: worker: does not run" in lines
    assert "phone main Push: 40 minutes late 2026-11-29 12:00:00 error=401 -" in lines
    assert "phone main Push: 40 minutes late 2026-11-29 12:00:00 2026-11-29 12:00:00 2026-11-29 12:00:00" in lines
