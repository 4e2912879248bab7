"""A dead man's switch is called while all is well, and only then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from daemon.alerts import heartbeat as module
from daemon.alerts.heartbeat import Heartbeat, Switch
from tests.support.receivers import Receiver, receiving

SOON = timedelta(seconds=0.05)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Whoever the switch belongs to."""
    async with receiving() as running:
        yield running


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call comes at once, and one that failed is tried again soon."""
    monkeypatch.setattr(module, "SETTLING", 0.0)
    monkeypatch.setattr(module, "RETRY_INTERVAL", SOON)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that the part changes by itself."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_it_is_called_again_and_again(receiver: Receiver) -> None:
    """From the moment that one is configured, in a running daemon, too."""
    beat = Heartbeat(lambda: None)
    async with beat:
        assert beat.reports() == []
        beat.use(Switch(SecretStr(receiver.heartbeat_url()), SOON))
        await receiver.wait_for(calls=3)
        await until(lambda: beat.called_at is not None)
        assert beat.reports()[0].works is True
        assert beat.called_at is not None
        assert datetime.now(UTC) - beat.called_at < timedelta(seconds=10)


async def test_it_is_not_called_while_something_is_in_the_way(receiver: Receiver) -> None:
    """And says why; it goes on as soon as that is gone."""
    why: list[str] = ["the database does not answer"]
    beat = Heartbeat(lambda: why[0] if why else None)
    beat.use(Switch(SecretStr(receiver.heartbeat_url()), SOON))
    with capture_logs() as logs:
        async with beat:
            await until(lambda: beat.held_back is not None)
            assert beat.held_back == "the database does not answer"
            assert receiver.calls == 0
            why.clear()
            await receiver.wait_for(calls=1)
            assert beat.held_back is None
    assert [line["event"] for line in logs] == ["heartbeat_held_back", "heartbeat_goes_on"]


async def test_one_that_does_not_answer_is_reported_without_its_address(receiver: Receiver) -> None:
    """Whoever knows it can keep the switch from going off."""
    receiver.status = 404
    beat = Heartbeat(lambda: None)
    beat.use(Switch(SecretStr(receiver.heartbeat_url("secret-of-a-check")), SOON))
    with capture_logs() as logs:
        async with beat:
            await receiver.wait_for(calls=3)
            await until(lambda: beat.reports()[0].works is False)
            (report,) = beat.reports()
            assert report.problem == "it answers with HTTP 404"
            assert report.failing_since is not None
            beat.use(Switch(SecretStr("http://127.0.0.1:1/secret-of-a-check"), SOON))
            await until(lambda: beat.reports()[0].works is False)
            assert "127.0.0.1" in (beat.reports()[0].problem or "")
            receiver.status = 200
            beat.use(Switch(SecretStr(receiver.heartbeat_url()), SOON))
            await until(lambda: beat.reports()[0].works is True)
    assert [line["event"] for line in logs] == ["heartbeat_failed", "heartbeat_failed", "heartbeat_works_again"]
    assert "secret-of" not in repr((logs, beat.reports()))
