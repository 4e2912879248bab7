"""What a person reads is short, and says what to do."""

from datetime import timedelta

from daemon.alerts import messages
from daemon.alerts.delivery import MessageKind
from daemon.api.conditions import ConditionName, ConditionSeverity, Verdict
from daemon.ids import StoreName
from daemon.tone import Tone
from tests.support.alarms import AWAY, NOON, STORE, ZONE, condition

OTHER = StoreName("second")


def test_many_conditions_make_one_short_message() -> None:
    """The worst come first; of the rest it says how many there are."""
    many = [condition(subject=f"job-{number}", cause="x" * 500) for number in range(50)]
    bad = condition(ConditionName.FAILING, subject="sync", severity=ConditionSeverity.BAD)
    message = messages.of_beginning([*many, bad], [], NOON, ZONE)
    assert message.title == "main: 51 things are not right"
    assert message.kind is MessageKind.FAILURE
    assert message.body.startswith("main: sync is not right\n")
    assert message.body.endswith("and 43 more: see `dongbo status`")
    assert message.body.count("What to do:") == messages.MOST_TOLD
    assert "x" * (messages.LONGEST_CAUSE - 1) + "…" in message.body


def test_it_is_about_the_stores_that_it_names() -> None:
    """Those of others have no place in it; what is about the daemon is told in its name."""
    verdicts = [Verdict(STORE, Tone.WARN, "Stock is late", ""), Verdict(OTHER, Tone.OK, "Shopify matches", "")]
    alone = messages.of_beginning([condition()], verdicts, NOON, ZONE)
    assert "Stock is late" in alone.body
    assert "Shopify matches" not in alone.body
    both = messages.of_beginning([condition(), condition(store=OTHER)], verdicts, NOON, ZONE)
    assert both.title == "main and second: 2 things are not right"
    assert both.body.endswith("main: Stock is late\nsecond: Shopify matches")
    assert messages.of_beginning([AWAY], verdicts, NOON, ZONE).title == "dongbo: database_away is not right"


def test_it_says_since_when_by_the_shop_s_clock() -> None:
    """A day ago is yesterday there."""
    body = messages.of_beginning([condition(since=NOON - timedelta(hours=20))], [], NOON, ZONE).body
    assert "Since yesterday 16:00 (20 hours)" in body
