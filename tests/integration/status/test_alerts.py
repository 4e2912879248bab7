"""Who is told what is not right, over the API, and whether it gets through."""

from typing import Any

from pydantic import SecretStr

from daemon.alerts import store
from daemon.alerts.heartbeat import Switch
from daemon.alerts.telling import LEASE
from tests.support.alarms import NOON, channel, condition
from tests.support.endpoint import Endpoint
from tests.support.receivers import receiving


async def test_channels_are_listed_with_what_they_were_told(endpoint: Endpoint) -> None:
    """Without anything of an address but the kind of service; newest first, page by page."""
    endpoint.parts.alerts.use([channel("tgram://123456:secret/5", quiet_hours="22:00-07:00", stores=["main"])])
    async with endpoint.parts.database.acquire() as connection:
        await store.claim(connection, "phone", [condition()], LEASE)
        await store.release(connection, "phone", [condition().id], "error=403")
        await store.record_told(connection, "phone", [condition(subject="SYNC_PRODUCTS")], NOON)
    found = await endpoint.get("/api/alerts")
    (shown,) = found["channels"]
    assert (shown["name"], shown["service"], shown["works"]) == ("phone", "tgram", None)
    assert (shown["quiet_hours"], shown["stores"]) == ("22:00-07:00", ["main"])
    assert "secret" not in str(found)
    told, untold = found["alerts"]
    assert (told["condition"], told["problem"], told["closed_at"]) == ("late:main:SYNC_PRODUCTS", None, None)
    assert told["told_at"].startswith("2026-11-29T05:00:00")
    assert (untold["told_at"], untold["problem"]) == (None, "error=403")
    first = await endpoint.get("/api/alerts?limit=1")
    (second,) = (await endpoint.get(f"/api/alerts?limit=1&cursor={first['next_cursor']}"))["alerts"]
    assert second["id"] == untold["id"]
    assert found["heartbeat"] is None


async def test_a_test_says_what_the_services_answer(endpoint: Endpoint) -> None:
    """By one channel, or by all."""
    async with receiving() as well, receiving() as ill:
        ill.status = 401
        endpoint.parts.alerts.use([channel(well.alert_url(), "well"), channel(ill.alert_url("a-secret-path"), "ill")])
        (sent,) = await outcomes(endpoint, {"channel": "well"})
        assert (sent["channel"], sent["service"], sent["went"]) == ("well", "json", True)
        assert well.titles == ["dongbo: a test"]
        both = await outcomes(endpoint, {"channel": None})
        assert [one["went"] for one in both] == [True, False]
        assert "error=401" in both[1]["answer"]
        assert "a-secret-path" not in both[1]["answer"]
        problem = await endpoint.call("POST", "/api/alerts/test", 422, json={"channel": "unknown"})
        assert "well, ill" in problem["detail"]


async def outcomes(endpoint: Endpoint, body: dict[str, str | None]) -> Any:
    """What came of a test."""
    return (await endpoint.call("POST", "/api/alerts/test", 200, json=body))["tests"]


async def test_the_heartbeat_is_shown(endpoint: Endpoint) -> None:
    """With why it is not called."""
    endpoint.parts.heartbeat.use(Switch(SecretStr("http://127.0.0.1:1/secret"), every=NOON - NOON))
    endpoint.parts.heartbeat.held_back = "worker: does not run"
    shown = (await endpoint.get("/api/alerts"))["heartbeat"]
    assert shown == {
        "called_at": None,
        "held_back": "worker: does not run",
        "works": None,
        "failing_since": None,
        "problem": None,
    }
