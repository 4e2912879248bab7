"""When a dead man's switch must go off."""

from collections.abc import Sequence

import pytest

from daemon.alerts.heartbeat import obstacle
from daemon.api.conditions import Condition, ConditionSeverity, StreamReport
from daemon.conditions.facts import ChannelReport
from daemon.conditions.watch import Judgement
from daemon.lifecycle import Health
from tests.support.alarms import AWAY, condition

WELL = {"listener": Health(True, "listens"), "scheduler": Health(True, "runs")}
DEAD, ALIVE, UNTRIED = ChannelReport("a", works=False), ChannelReport("b", works=True), ChannelReport("c")


def judged(*conditions: Condition, streams: Sequence[StreamReport] | None = ()) -> Judgement:
    """What holds."""
    return Judgement([], conditions, streams)


BAD, WARN = condition(severity=ConditionSeverity.BAD), condition()


@pytest.mark.parametrize(
    ("parts", "judgement", "channels", "why"),
    [
        (WELL, judged(), (), None),
        (WELL, judged(AWAY, streams=None), (ALIVE,), "the database does not answer"),
        (WELL, judged(streams=None), (ALIVE,), "the daemon is starting"),
        ({**WELL, "listener": Health(False, "is deaf")}, judged(), (ALIVE,), "listener: is deaf"),
        (WELL, judged(BAD), (ALIVE,), None),
        (WELL, judged(BAD), (DEAD, ALIVE), None),
        (WELL, judged(), (DEAD, UNTRIED), None),
        (WELL, judged(), (DEAD,), "no alert gets through"),
        (WELL, judged(BAD), (), BAD.text),
        (WELL, judged(WARN), (), None),
    ],
)
def test_it_is_called_while_somebody_would_hear_of_what_is_wrong(
    parts: dict[str, Health], judgement: Judgement, channels: Sequence[ChannelReport], why: str | None
) -> None:
    """It is for what alerts can't tell: that nothing works, that they don't arrive, that there are none."""
    assert obstacle(parts, judgement, channels) == why
