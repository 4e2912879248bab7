"""The JSON API of questions: what waits for the answer, and who has decided."""

import csv
import io
from typing import Any
from uuid import uuid4

import pytest

from daemon.api.approvals import ChangedSetting
from daemon.api.pushes import PushKind
from daemon.sync.products.approvals import HeldChange, RiskyChange
from daemon.sync.products.question import Example, PlanQuestion

LOCATION = 31
QUESTION = PlanQuestion(
    zeroed=98,
    max_zeroed=50,
    zero_examples=[Example("AO-01", "50", "0", LOCATION)],
    depots=[1, 2],
    changed_settings=[ChangedSetting("product_sync.locations.31", "1", "1, 2")],
)


def zeroed(variant_id: int, old: int, sku: str | None = None) -> HeldChange:
    """A stock that would be set to zero."""
    change = RiskyChange(PushKind.STOCK, variant_id, LOCATION, "0")
    return HeldChange(change, str(old), True, sku, "Nhanh.vn 77 has 0 available in depot 1")


def repriced(variant_id: int, old: str, new: str) -> HeldChange:
    """A price that would change, unasked by itself."""
    return HeldChange(RiskyChange(PushKind.PRICE, variant_id, 0, new), old, False, f"AO-{variant_id}", "new price")


CHANGES = [
    *(zeroed(number, number, "=1+1" if number == 98 else f"AO-{number}") for number in range(1, 99)),
    *(repriced(number, "100", str(100 + number)) for number in range(1, 21)),
]


@pytest.fixture
async def asked(endpoint: Any) -> Any:
    """A question about 98 stocks, with 20 prices that wait along."""
    return await endpoint.asking(question=QUESTION, changes=CHANGES)


async def only_approval(endpoint: Any, **query: str) -> Any:
    """The one question that there is."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    (found,) = (await endpoint.get(f"/api/approvals?{text}"))["approvals"]
    return found


async def all_changes(endpoint: Any, number: int, kind: str | None = None, limit: int = 50) -> list[Any]:
    """Every change of a question, page by page."""
    found: list[Any] = []
    cursor = None
    while True:
        query = f"limit={limit}{f'&kind={kind}' if kind else ''}{f'&cursor={cursor}' if cursor else ''}"
        page = await endpoint.get(f"/api/approvals/{number}/changes?{query}")
        assert len(page["changes"]) <= limit
        found += page["changes"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_a_question_says_why_and_what_to_look_at(endpoint: Any, asked: Any) -> None:
    """Since when, by how many runs, which job; in words and figures."""
    question = await only_approval(endpoint, state="open")
    assert question["question"].startswith("This sync would set 98 items to zero that Shopify has in stock (more than")
    assert "such as AO-01 (50 → 0 at 31)" in question["question"]
    assert question["look_at"] == [
        "whether the stock of these items is right there, and whether the access token can still see all depots (1, 2)"
    ]
    assert (question["state"], question["asked_runs"], question["job_id"]) == ("open", 1, str(asked.id))
    assert question["counts"] == {"price": 20, "stock": 98}
    assert question["asked_changes"] == 98
    assert question["changed_settings"] == [{"key": "product_sync.locations.31", "before": "1", "after": "1, 2"}]
    assert (question["ended_at"], question["decided_at"], question["decided_way"]) == (None, None, None)
    assert await endpoint.get(f"/api/approvals/{question['id']}") == question
    assert (await endpoint.get("/api/approvals?state=decided"))["approvals"] == []
    assert (await endpoint.get("/api/approvals?store=other"))["approvals"] == []
    assert await only_approval(endpoint, job=str(asked.id), state="open") == question
    for query in (f"job={asked.id}&state=decided", f"job={asked.id}&store=other", f"job={uuid4()}"):
        assert (await endpoint.get(f"/api/approvals?{query}"))["approvals"] == []


async def test_all_changes_are_reachable_the_largest_first(endpoint: Any, asked: Any) -> None:
    """All 118, of which 20 are prices: what is asked about first, then by size; of one kind, too."""
    number = (await only_approval(endpoint))["id"]
    found = await all_changes(endpoint, number)
    assert len(found) == 118
    assert [change["is_asked"] for change in found] == [True] * 98 + [False] * 20
    assert [int(change["old"]) for change in found[:98]] == list(range(98, 0, -1)), "all shares are 1, so by amount"
    prices = await all_changes(endpoint, number, "price", limit=7)
    assert [change["share"] for change in prices] == [round(rise / 100, 2) for rise in range(20, 0, -1)]
    assert prices == found[98:]
    assert found[1]["location_id"] == LOCATION
    assert prices[0]["location_id"] is None


async def test_changes_come_as_csv(endpoint: Any, asked: Any) -> None:
    """All of them in one file, which no spreadsheet computes."""
    number = (await only_approval(endpoint))["id"]
    async with endpoint.client.get(f"/api/approvals/{number}/changes.csv") as answer:
        text = (await answer.read()).decode("utf-8-sig")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="approval-{number}.csv"'
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 118
    assert (rows[0]["sku"], rows[0]["old"], rows[0]["new"], rows[0]["share"]) == ("'=1+1", "98", "0", "1.0000")


async def test_a_decision_leaves_its_trace(endpoint: Any, asked: Any) -> None:
    """Who approved, when, by which way, and for which job; the changes stay; it is noted among the actions."""
    question = await only_approval(endpoint)
    approved = await endpoint.call("POST", f"/api/approvals/{question['id']}/approve", 202, json={"asked_runs": 1})
    assert (approved["state"], approved["decided_job_id"]) == ("approved", str(asked.id))
    assert approved["decided_at"] is not None
    assert approved["decided_way"] == "api"
    assert (await endpoint.parts.jobs.get(asked.id)).status == "PENDING"
    assert await only_approval(endpoint, state="decided") == approved
    assert (await endpoint.get("/api/approvals?state=open"))["approvals"] == []
    assert len(await all_changes(endpoint, question["id"])) == 118
    async with endpoint.parts.database.acquire() as connection:
        action = await connection.fetchrow("SELECT * FROM dongbo.steering_actions WHERE subject_kind = 'approval'")
    assert (action["kind"], action["subject"], action["job_id"]) == ("approve", str(question["id"]), asked.id)
    assert '"asked_changes": 98' in action["detail"]
    problem = await endpoint.call("POST", f"/api/approvals/{question['id']}/reject", 409, json={})
    assert problem["type"] == "urn:dongbo:problem:invalid-transition"


async def test_a_rejected_question_is_kept(endpoint: Any, asked: Any) -> None:
    """Nothing of it is done, and the next run asks another question."""
    question = await only_approval(endpoint)
    rejected = await endpoint.call("POST", f"/api/approvals/{question['id']}/reject", 200, json={})
    assert (rejected["state"], rejected["decided_job_id"]) == ("rejected", None)
    await endpoint.asking(question=QUESTION, changes=CHANGES)
    another = await only_approval(endpoint, state="open")
    assert another["id"] > question["id"]
    assert another["asked_runs"] == 1


async def test_the_routes_of_the_job_decide_the_same_question(endpoint: Any, asked: Any) -> None:
    """Whoever approves the job has answered the question."""
    question = await only_approval(endpoint)
    await endpoint.call("POST", f"/api/jobs/{asked.id}/approve", 202)
    assert (await endpoint.get(f"/api/approvals/{question['id']}"))["state"] == "approved"


async def test_nobody_approves_what_they_have_not_seen(endpoint: Any, asked: Any) -> None:
    """Asked anew about a change more, the decision about what was shown before is refused, and says what is new; asked
    anew about the same or less, it holds."""
    question = await only_approval(endpoint)
    address = f"/api/approvals/{question['id']}/approve"
    await endpoint.asking(question=QUESTION, changes=[*CHANGES[1:], zeroed(200, 7, "AO-200")])
    again = await only_approval(endpoint)
    assert (again["id"], again["since"], again["asked_runs"]) == (question["id"], question["since"], 2)
    assert again["job_id"] != question["job_id"]
    assert len(await all_changes(endpoint, question["id"])) == 118
    problem = await endpoint.call("POST", address, 409, json={"asked_runs": 1})
    assert problem["type"] == "urn:dongbo:problem:asked-anew"
    assert "1 change that you have not seen: AO-200 (7 → 0)" in problem["detail"]
    await endpoint.asking(question=QUESTION, changes=CHANGES[1:])
    assert (await endpoint.call("POST", address, 202, json={"asked_runs": 2}))["asked_runs"] == 3


async def test_questions_of_before_say_what_they_said(endpoint: Any) -> None:
    """One that has only its sentence is shown with it."""
    await endpoint.asking(reason="It would zero 30 items.")
    question = await only_approval(endpoint)
    assert (question["question"], question["look_at"], question["counts"]) == ("It would zero 30 items.", [], {})
    async with endpoint.client.get(f"/api/approvals/{question['id']}/changes.csv") as answer:
        assert (await answer.text("utf-8-sig")).count("\r\n") == 1, "the line of column names"


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "99999999999999999999", "12345"])
async def test_what_is_no_question_is_not_found(endpoint: Any, number: str) -> None:
    """404 for whatever has no such id."""
    for path in ("", "/changes", "/changes.csv"):
        await endpoint.get(f"/api/approvals/{number}{path}", 404)
    for action in ("approve", "reject"):
        await endpoint.call("POST", f"/api/approvals/{number}/{action}", 404, json={})
