"""Pausing all writing to a store: who asks, what is answered, and what everybody sees of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.ids import StoreName
from daemon.jobs import actions, pauses
from daemon.jobs.actions import ActionKind, SubjectKind, Way


async def test_a_store_is_paused_and_resumed(endpoint: Any) -> None:
    """The answer and the status say so, and who did it is kept."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    body = {"until": until.isoformat(), "reason": "stock-taking"}
    made = await endpoint.call("POST", "/api/stores/main/pause", 200, json=body)
    assert (made["store"], made["paused"], made["reason"]) == ("main", True, "stock-taking")
    assert datetime.fromisoformat(made["until"]) == until
    found = await endpoint.get("/status")
    (condition,) = (one for one in found["conditions"] if one["name"] == "store_paused")
    assert (condition["store"], condition["since"], condition["cause"]) == ("main", made["since"], "stock-taking")
    assert condition["text"].startswith("Nothing is written to Shopify: the store is paused until ")
    again = await endpoint.call("POST", "/api/stores/main/pause", 200, json={})
    assert (again["since"], again["until"], again["reason"]) == (made["since"], None, None)
    assert await endpoint.call("POST", "/api/stores/main/resume", 200) == {
        "store": "main", "paused": False, "since": None, "until": None, "reason": None, "who": None
    }  # fmt: skip
    assert "store_paused" not in [one["name"] for one in (await endpoint.get("/status"))["conditions"]]
    async with endpoint.parts.database.acquire() as connection:
        noted = await actions.list_of(connection, StoreName("main"), SubjectKind.STORE, "main")
        assert await pauses.active(connection, StoreName("main")) is None
    assert [(one.way, one.kind) for one in noted] == [
        (Way.API, ActionKind.RESUME_STORE),
        (Way.API, ActionKind.PAUSE_STORE),
        (Way.API, ActionKind.PAUSE_STORE),
    ]


async def test_a_pause_that_makes_no_sense_is_refused(endpoint: Any) -> None:
    """A store that is not there, an end that has passed, and a time without a zone."""
    for act in ("pause", "resume"):
        await endpoint.call("POST", f"/api/stores/nowhere/{act}", 404, json={} if act == "pause" else None)
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    problem = await endpoint.call("POST", "/api/stores/main/pause", 409, json={"until": past})
    assert "in the past" in problem["detail"]
    await endpoint.call("POST", "/api/stores/main/pause", 422, json={"until": "2027-01-28T20:00:00"})
