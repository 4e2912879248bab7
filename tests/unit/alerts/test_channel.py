"""What a channel wants to be told."""

import pytest

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.ids import StoreName
from tests.support.alarms import AWAY, channel, condition

BAD = condition(severity=ConditionSeverity.BAD)
WARN = condition()


def undelivered(name: str) -> Condition:
    """That another channel, or this one, is dead."""
    return condition(ConditionName.ALERT_UNDELIVERED, store=None, subject=name)


@pytest.mark.parametrize(
    ("keys", "found", "wanted"),
    [
        ({}, WARN, True),
        ({"severity": "bad"}, WARN, False),
        ({"severity": "bad"}, BAD, True),
        ({"stores": ["main"]}, WARN, True),
        ({"stores": ["other"]}, WARN, False),
        ({"stores": ["other"]}, AWAY, True),
        ({"conditions": ["late", "failing"]}, WARN, True),
        ({"conditions": ["failing"]}, WARN, False),
        ({"severity": "bad"}, undelivered("mail"), True),
        ({}, undelivered("heartbeat"), True),
        ({}, undelivered("phone"), False),
        ({"conditions": ["failing"]}, undelivered("mail"), False),
    ],
)
def test_it_wants_what_it_is_configured_for(keys: dict[str, object], found: Condition, wanted: bool) -> None:
    """What is about the daemon concerns all stores, a dead channel all others; nothing gets through a dead one."""
    assert channel("json://127.0.0.1", "phone", **keys).wants(found) is wanted


def test_its_address_does_not_show() -> None:
    """Neither in a traceback nor in a log."""
    assert "secret" not in repr(channel("tgram://123456:secret/5", stores=[StoreName("main")]))
