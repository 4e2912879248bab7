"""A person is told once of whatever lasts, and once that it is over, whatever happens to the daemons."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from daemon.alerts import delivery, store
from daemon.alerts.telling import LEASE
from daemon.api.conditions import ConditionName, ConditionSeverity
from daemon.database.pool import Database, open_database, unopened_database
from daemon.i18n import Language
from tests.support.alarms import AWAY, NOON, Shop, Teller, Watcher, channel, condition
from tests.support.receivers import Receiver, receiving, taking_mail


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A web service that a channel leads to."""
    async with receiving() as running:
        yield running


@pytest.fixture
def shop(database: Database) -> Shop:
    """At noon, on a database that answers."""
    return Shop(database)


async def test_it_is_told_once_and_once_that_it_is_over(shop: Shop, receiver: Receiver) -> None:
    """With what is wrong, since when, why, and what to do; a restart in between tells nothing."""
    phone = channel(receiver.alert_url())
    teller = Teller(shop, Watcher(shop, condition()), phone)
    for _ in range(2):
        await teller.look()
    (told,) = receiver.received
    assert told["title"] == "main: PULL_NHANH_INVENTORY is not right"
    assert told["type"] == "warning"
    assert told["message"].splitlines() == [
        "main: PULL_NHANH_INVENTORY is not right",
        "Since 11:00 (60 minutes)",
        "Cause: it broke",
        "What to do: Mend it.",
        "",
        "main: Stock is late",
    ]

    restarted = Teller(shop, Watcher(shop, condition()), phone)
    await restarted.look()
    assert len(receiver.received) == 1

    restarted.sees()
    await shop.later(minutes=6)
    for _ in range(2):
        await restarted.look()
    (_, over) = receiver.received
    assert over["title"] == "main: over: PULL_NHANH_INVENTORY is not right"
    assert over["type"] == "success"
    assert "\nFrom 11:00 to " in over["message"]


async def test_what_begins_together_is_told_together(shop: Shop, receiver: Receiver) -> None:
    """One message, bad things first; so is what ends together."""
    bad = condition(ConditionName.FAILING, subject="SYNC_PRODUCTS", severity=ConditionSeverity.BAD)
    teller = Teller(shop, Watcher(shop, condition(), bad), channel(receiver.alert_url()))
    await teller.look()
    (told,) = receiver.received
    assert told["title"] == "main: 2 things are not right"
    assert told["type"] == "failure"
    assert told["message"].index("SYNC_PRODUCTS") < told["message"].index("PULL_NHANH_INVENTORY")
    teller.sees()
    await shop.later(minutes=6)
    await teller.look()
    assert receiver.titles[1:] == ["main: 2 things are over"]


async def test_what_has_only_just_shown_waits_for_what_comes_with_it(shop: Shop, receiver: Receiver) -> None:
    """A daemon that starts tells nothing in its first seconds, however long it has held."""
    teller = Teller(shop, Watcher(shop), channel(receiver.alert_url()))
    teller.watcher.holds = [condition()]
    await teller.look()
    assert receiver.received == []
    await shop.later(seconds=21)
    await teller.look()
    assert len(receiver.received) == 1


async def test_what_comes_and_goes_is_told_once(shop: Shop, receiver: Receiver) -> None:
    """Neither what has not lasted, nor that it is over before that has lasted, too."""
    teller = Teller(shop, Watcher(shop), channel(receiver.alert_url(), after_minutes=5))
    teller.sees(condition(since=shop.now))
    await shop.later(minutes=4)
    await teller.look()
    assert receiver.received == []
    await shop.later(minutes=2)
    await teller.look()
    assert len(receiver.received) == 1
    for _ in range(3):
        teller.sees()
        await shop.later(minutes=4)
        await teller.look()
        teller.sees(condition(since=shop.now))
        await shop.later(minutes=4)
        await teller.look()
    assert len(receiver.received) == 1


async def test_two_daemons_tell_it_once(shop: Shop, receiver: Receiver, database_url: str) -> None:
    """At the same moment; and while one of them sees it still, it is not over."""
    phone = channel(receiver.alert_url())
    async with open_database(database_url) as another:
        first = Teller(shop, Watcher(shop, condition()), phone)
        second = Teller(shop, Watcher(shop, condition()), phone, database=another)
        await asyncio.gather(first.look(), second.look())
        assert len(receiver.received) == 1
        second.sees()
        await shop.later(minutes=6)
        await first.look()
        await second.look()
        assert len(receiver.received) == 1
        first.sees()
        await shop.later(minutes=6)
        await asyncio.gather(first.look(), second.look())
        assert receiver.titles[1:] == ["main: over: PULL_NHANH_INVENTORY is not right"]


async def test_a_daemon_that_dies_before_it_records_tells_it_once_more(
    shop: Shop, receiver: Receiver, database_url: str
) -> None:
    """Its claim keeps others from it, until that lapses."""
    phone = channel(receiver.alert_url())
    async with open_database(database_url) as doomed:

        async def die() -> None:
            doomed.pool.terminate()

        receiver.on_receipt = die
        await Teller(shop, Watcher(shop, condition()), phone, database=doomed).look()
    assert len(receiver.received) == 1
    receiver.on_receipt = None
    survivor = Teller(shop, Watcher(shop, condition()), phone)
    await survivor.look()
    assert len(receiver.received) == 1
    await shop.later(seconds=LEASE.total_seconds() + 1)
    for _ in range(2):
        await survivor.look()
    assert len(receiver.received) == 2


async def test_a_daemon_that_loses_the_database_while_it_tells_remembers(shop: Shop, receiver: Receiver) -> None:
    """It records it as soon as it can, and nobody tells it again."""
    phone = channel(receiver.alert_url())
    teller = Teller(shop, Watcher(shop, condition()), phone)
    async with unopened_database("postgresql://nobody@127.0.0.1:1/none") as away:

        async def lose() -> None:
            teller.alerts._database = away

        receiver.on_receipt = lose
        await teller.look()
        await teller.look()
    teller.alerts._database = shop.database
    await shop.later(seconds=LEASE.total_seconds() + 1)
    await teller.look()
    await Teller(shop, Watcher(shop, condition()), phone).look()
    assert len(receiver.received) == 1


async def test_that_the_database_is_away_is_told(shop: Shop, receiver: Receiver) -> None:
    """From memory, once; recorded when it is back, so that its end is told, and by one daemon."""
    phone = channel(receiver.alert_url())
    teller = Teller(shop, Watcher(shop, condition()), phone)
    await teller.look()
    shop.is_known = False
    teller.sees(AWAY)  # of everything else nothing is known
    for _ in range(2):
        await teller.look()
    assert receiver.titles == ["main: PULL_NHANH_INVENTORY is not right", "dongbo: database_away is not right"]
    shop.is_known = True
    teller.sees(condition())
    await teller.look()
    await shop.later(minutes=6)
    other = Teller(shop, Watcher(shop, condition()), phone)
    await asyncio.gather(teller.look(), other.look())
    assert receiver.titles[2:] == ["dongbo: over: database_away is not right"]


async def test_quiet_hours_hold_back_what_is_not_bad(shop: Shop, receiver: Receiver) -> None:
    """Until their end, and then only what still holds; what is bad comes through where it may."""
    phone = channel(receiver.alert_url("phone"), "phone", quiet_hours="22:00-07:00")
    asleep = channel(receiver.alert_url("asleep"), "asleep", quiet_hours="22:00-07:00", bad_in_quiet_hours=False)
    bad = condition(ConditionName.SALE_OVERDUE, subject="tet/start", severity=ConditionSeverity.BAD)
    passing, lasting = condition(subject="PULL_NHANH_PRODUCTS"), condition()
    teller = Teller(shop, Watcher(shop), phone, asleep)
    await shop.later(hours=11)  # 23:00
    teller.sees(bad, passing, lasting)
    await teller.look()
    assert receiver.titles == ["main: tet/start is not right"]
    teller.sees(bad, lasting)
    await shop.later(hours=8)  # 07:00
    teller.alerts._looking_since = NOON
    await teller.look()
    assert sorted(receiver.titles[1:]) == ["main: 2 things are not right", "main: PULL_NHANH_INVENTORY is not right"]
    assert not any("PULL_NHANH_PRODUCTS" in body["message"] for body in receiver.received)


async def test_the_end_waits_for_the_morning_too(shop: Shop, receiver: Receiver) -> None:
    """Nobody is woken up because something is right again."""
    teller = Teller(shop, Watcher(shop, condition()), channel(receiver.alert_url(), quiet_hours="22:00-07:00"))
    await teller.look()
    teller.sees()
    await shop.later(hours=11)
    await teller.look()
    assert len(receiver.received) == 1
    await shop.later(hours=8)
    await teller.look()
    assert len(receiver.received) == 2


async def test_what_can_t_be_delivered_goes_out_by_the_others(shop: Shop, receiver: Receiver) -> None:
    """It is reported with the service's answer, without the channel's secrets, and tried again."""
    async with receiving() as broken:
        broken.status = 403
        secret = "AAxx-secret-of-a-bot"
        dead = channel(broken.alert_url(f"bot{secret}/send"), "dead")
        teller = Teller(shop, Watcher(shop, condition()), dead, channel(receiver.alert_url(), severity="bad"))
        with capture_logs() as logs:
            await teller.look()
            await teller.look()
        (report, other) = teller.alerts.reports()
        assert (report.works, report.failing_since) == (False, NOON)
        assert "error=403" in (report.problem or "")
        assert "said by the service" in (report.problem or "")
        assert other.works is None
        assert secret not in repr((report, logs, teller.alerts.channels))
        assert [line["event"] for line in logs] == ["channel_failed"]
        async with shop.database.acquire() as connection:
            (untold,) = await store.list_open(connection, ["dead"])
        assert (untold.told_at, untold.problem) == (None, report.problem)

        undelivered = condition(ConditionName.ALERT_UNDELIVERED, store=None, subject="dead")
        teller.sees(condition(), undelivered)
        broken.status = 200
        _be_patient_no_more(teller, "dead")
        await teller.look()
        assert receiver.titles == ["dongbo: dead is not right"]
        assert broken.titles == ["main: PULL_NHANH_INVENTORY is not right"]
        assert [each.works for each in teller.alerts.reports()] == [True, True]


async def test_what_could_not_be_told_while_it_held_is_told_when_it_is_over(shop: Shop, receiver: Receiver) -> None:
    """Else nobody would ever hear of an outage that had the channel with it."""
    receiver.status = 503
    teller = Teller(shop, Watcher(shop, condition()), channel(receiver.alert_url()))
    await teller.look()
    receiver.status = 200
    receiver.received.clear()
    teller.sees(condition(ConditionName.ALERT_UNDELIVERED, store=None, subject="phone"))
    _be_patient_no_more(teller, "phone")
    await teller.look()
    assert receiver.received == []  # that will show whether the channel works
    await shop.later(minutes=6)
    await teller.look()
    assert receiver.titles == ["main: over: PULL_NHANH_INVENTORY is not right"]
    assert teller.alerts.reports()[0].works is True


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_dead_channel_that_has_nothing_to_tell_is_tried_again(
    shop: Shop, receiver: Receiver, is_restarted: bool
) -> None:
    """Else it would count as dead, and hold back the heartbeat, until somebody tries it by hand."""
    phone = channel(receiver.alert_url())
    teller = Teller(shop, Watcher(shop), phone)
    if not is_restarted:
        receiver.status = 503
        await teller.alerts.test()
        _be_patient_no_more(teller, "phone")
    teller.sees(condition(ConditionName.ALERT_UNDELIVERED, store=None, subject="phone"))
    await teller.look()
    assert teller.alerts.reports()[0].works is is_restarted
    receiver.status = 200
    if not is_restarted:
        receiver.received.clear()
        await teller.look()
        assert receiver.received == []  # it waits
        _be_patient_no_more(teller, "phone")
    for _ in range(2):
        await teller.look()
    assert receiver.titles == ["dongbo: over: phone is not right"]
    assert receiver.received[0]["type"] == "success"
    assert teller.alerts.reports()[0].works is True


def _be_patient_no_more(teller: Teller, name: str) -> None:
    """Let a channel be tried again at once."""
    teller.alerts._lines[name]._retry_at = 0.0


async def test_a_channel_that_hangs_holds_up_no_other(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message ends at the deadline, and nothing of it is left running."""
    monkeypatch.setattr(delivery, "DEADLINE", 15.0)
    async with receiving() as slow:
        never = asyncio.Event()

        async def hang() -> None:
            await never.wait()

        slow.on_receipt = hang
        hanging, phone = channel(slow.alert_url(), "hanging"), channel(receiver.alert_url())
        teller = Teller(shop, Watcher(shop, condition()), hanging, phone)
        looking = asyncio.create_task(teller.look(), name="look")
        try:
            await receiver.wait_for(messages=1)
            assert not looking.done()
            await looking
        finally:
            never.set()
        assert teller.alerts.reports()[0].works is False


async def test_a_url_that_means_nothing_is_known_before_anything_is_wrong(shop: Shop) -> None:
    """Else it would be found out by whoever waits for an alarm in vain."""
    teller = Teller(shop, Watcher(shop), channel("tgrm://123456:token/5"))
    await teller.look()
    (report,) = teller.alerts.reports()
    assert report.works is False
    assert report.problem
    assert "token" not in report.problem


async def test_without_the_extra_it_says_how_to_get_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon goes on; that nobody is told is a condition like any other."""
    monkeypatch.setattr(delivery, "is_installed", lambda: False)
    teller = Teller(shop, Watcher(shop, condition()), channel("json://127.0.0.1:1"))
    await teller.look()
    assert "pip install 'dongbo[alerts]'" in (teller.alerts.reports()[0].problem or "")


async def test_a_renewed_url_is_used_at_once(shop: Shop, receiver: Receiver) -> None:
    """And what could not be told by the old one is told by it; a channel that stays keeps its state."""
    teller = Teller(shop, Watcher(shop, condition()), channel("json://127.0.0.1:1/"))
    await teller.look()
    assert teller.alerts.reports()[0].works is False
    teller.alerts.use([channel("json://127.0.0.1:1/")])
    assert teller.alerts.reports()[0].works is False
    teller.alerts.use([channel(receiver.alert_url())])
    await teller.look()
    assert len(receiver.received) == 1


async def test_each_channel_has_its_language(shop: Shop) -> None:
    """A mail to one, in Vietnamese."""
    async with taking_mail() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=dongbo@example.com&to=shop@example.com"
        teller = Teller(shop, Watcher(shop, condition()), channel(url, language=Language.VIETNAMESE))
        await teller.look()
        (mail,) = mailbox.mails
        assert mail["To"] == "shop@example.com"
        assert "PULL_NHANH_INVENTORY is not right" in mail["Subject"]
        texts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
        assert any("60 phút" in text.decode() for text in texts if isinstance(text, bytes))


async def test_what_was_told_is_pruned(shop: Shop, receiver: Receiver) -> None:
    """What is over, after its time; and what a channel that is gone has left open."""
    teller = Teller(shop, Watcher(shop, condition(), condition(subject="SYNC_PRODUCTS")), channel(receiver.alert_url()))
    await teller.look()
    teller.sees(condition())
    await shop.later(minutes=6)
    await teller.look()
    async with shop.database.acquire() as connection:
        await store.prune(connection, timedelta(days=90))
        assert len(await store.list_recent(connection, before=None, limit=10)) == 2
        await connection.execute("UPDATE dongbo.alerts SET closed_at = closed_at - interval '91 days'")
        await store.prune(connection, timedelta(days=90))
        (left,) = await store.list_recent(connection, before=None, limit=10)
        assert left.closed_at is None
        await connection.execute("UPDATE dongbo.alerts SET seen_at = seen_at - interval '91 days'")
        await store.prune(connection, timedelta(days=90))
        (left,) = await store.list_recent(connection, before=None, limit=10)
        assert left.closed_at is not None
