"""The JSON API of approvals, steps, pushes, mappings and explanations."""

import asyncio
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.api.pushes import PushResult
from daemon.jobs.model import Counters, JobStatus
from daemon.jobs.types import JobType
from daemon.sync import pushes

VARIANTS = {1001: "AO-01", 1002: "AO-02", 1003: "AO-02", 1004: None}
PRODUCTS = {77: "AO-01", 78: "AO-02"}


@pytest.fixture
async def shop(endpoint: Any) -> Any:
    """An endpoint whose mirror knows some variants and products."""
    for number, sku in VARIANTS.items():
        await endpoint.execute(
            "INSERT INTO dongbo.shopify_variants (store, id, product_id, sku, sku_key, title, price, document, digest) "
            "VALUES ('main', $1, 5, $2, lower($2), 'Đỏ', 1, '{}', '')",
            number,
            sku,
        )
    for number, code in PRODUCTS.items():
        await endpoint.execute(
            "INSERT INTO dongbo.nhanh_products (store, id, code, sku_key, name, document, digest) "
            "VALUES ('main', $1, $2, lower($2), 'Áo', '{}', '')",
            number,
            code,
        )
    return endpoint


async def test_a_waiting_job_is_approved_once(endpoint: Any) -> None:
    """202 with the job, which is pending again; a second approval, or a rejection, is a conflict."""
    job = await endpoint.asking()
    approved = await endpoint.call("POST", f"/api/jobs/{job.id}/approve", 202)
    assert (approved["id"], approved["status"], approved["error"]) == (str(job.id), "PENDING", None)
    for action in ("approve", "reject"):
        problem = await endpoint.call("POST", f"/api/jobs/{job.id}/{action}", 409)
        assert problem["type"] == "urn:dongbo:problem:invalid-transition"
        assert "is PENDING: there is nothing to approve or reject" in problem["detail"]


async def test_a_waiting_job_is_rejected(endpoint: Any) -> None:
    """200 with the job, which has ended and says why."""
    job = await endpoint.asking()
    rejected = await endpoint.call("POST", f"/api/jobs/{job.id}/reject", 200)
    assert rejected["status"] == "CANCELLED"
    assert rejected["completed_at"] is not None
    assert "Rejected by a person" in rejected["error"]


async def test_approving_beside_a_live_job_names_that(endpoint: Any) -> None:
    """One live job per store and type holds for approvals, too."""
    job = await endpoint.asking()
    live = await endpoint.submit(JobType.SYNC_PRODUCTS)
    problem = await endpoint.call("POST", f"/api/jobs/{job.id}/approve", 409)
    assert problem["job_id"] == str(live.id)


async def test_what_is_not_there_can_not_be_decided(endpoint: Any) -> None:
    """404, as for every other action."""
    for job_id in ("x", "%00", str(uuid4())):
        for action in ("approve", "reject"):
            await endpoint.call("POST", f"/api/jobs/{job_id}/{action}", 404)
        await endpoint.get(f"/api/jobs/{job_id}/pushes", 404)


async def test_places_that_are_left_out_are_in_status_and_metrics(endpoint: Any) -> None:
    """Those that the last sync has found, as long as the configuration names them; nothing is claimed before one."""
    assert (await _metrics(endpoint))["dongbo_places_left_out"] == {}
    for closed, hidden, told in (([31, 99], [3], (1, 1)), ([], [], (0, 0))):
        job = await endpoint.submit(JobType.SYNC_PRODUCTS)
        token = await endpoint.claim(job)
        await endpoint.progress(job, token, Counters(), closed_locations=closed, hidden_depots=hidden)
        await endpoint.finish(job, token, JobStatus.FAILED, "Nothing was pushed.")
        found = (await _metrics(endpoint))["dongbo_places_left_out"]
        assert found == {("location", "main"): told[0], ("depot", "main"): told[1]}
        left_out = (await endpoint.get("/status"))["left_out"]
        assert left_out == ([{"store": "main", "locations": [31], "depots": [3]}] if closed else [])


async def test_waiting_jobs_are_in_status_list_stream_and_metrics(endpoint: Any) -> None:
    """A person who looks anywhere sees that a decision is due."""
    job = await endpoint.asking()
    (waiting,) = (await endpoint.get("/status"))["awaiting_approval"]
    assert (waiting["id"], waiting["type"], waiting["reason"]) == (str(job.id), "SYNC_PRODUCTS", job.error)
    listed = await endpoint.get("/api/jobs", params={"status": "AWAITING_APPROVAL"})
    assert [one["id"] for one in listed["jobs"]] == [str(job.id)]
    for _ in range(101):  # more than the snapshot's newest
        await endpoint.ended()
    async with endpoint.client.get("/api/events") as response:
        async with asyncio.timeout(10):
            while not (line := await response.content.readline()).startswith(b"data:"):
                pass
    assert str(job.id) in line.decode()
    assert (await _metrics(endpoint))["dongbo_waiting_approvals"] == {("main", "SYNC_PRODUCTS"): 1}


async def test_steps_are_listed_by_their_parent(endpoint: Any) -> None:
    """And each says whose step it is."""
    chain, step = await endpoint.ended(job_type=JobType.PRODUCT_CHAIN), await endpoint.ended()
    await endpoint.execute("UPDATE dongbo.background_jobs SET parent_id = $1 WHERE id = $2", chain.id, step.id)
    found = (await endpoint.get("/api/jobs", params={"parent": str(chain.id)}))["jobs"]
    assert [(job["id"], job["parent_id"]) for job in found] == [(str(step.id), str(chain.id))]
    assert (await endpoint.get("/api/jobs", params={"parent": str(step.id)}))["jobs"] == []
    await endpoint.get("/api/jobs?parent=x", 400)


async def test_pushes_of_a_job_are_paged(endpoint: Any) -> None:
    """Oldest first, with old and new value, reason and result."""
    job = await endpoint.submit(JobType.SYNC_PRODUCTS)
    for number in range(5):
        await endpoint.push(job, str(number), str(number + 1), "Nhanh.vn has more")
    first = await endpoint.get(f"/api/jobs/{job.id}/pushes", params={"limit": 3})
    second = await endpoint.get(f"/api/jobs/{job.id}/pushes", params={"limit": 3, "cursor": first["next_cursor"]})
    assert [push["old_value"] for push in first["pushes"] + second["pushes"]] == list("01234")
    assert second["next_cursor"] is None
    push = first["pushes"][0]
    assert (push["kind"], push["owner_id"], push["location_id"], push["result"]) == ("stock", 1001, 31, "applied")
    assert push["settled_at"] is not None
    for cursor in ("x", "_" * 11):
        await endpoint.get(f"/api/jobs/{job.id}/pushes?cursor={cursor}", 400)


async def test_pushes_are_counted_once_each(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kind and result since the daemon started; those that are open are a gauge."""
    monkeypatch.setattr(pushes, "SETTLING", pushes.SETTLING * 0)
    job = await endpoint.submit(JobType.SYNC_PRODUCTS)
    for result in (PushResult.APPLIED, PushResult.APPLIED, PushResult.REFUSED, PushResult.INTENDED):
        await endpoint.push(job, "1", "2", "because", result)
    for _ in range(2):
        found = await _metrics(endpoint)
        assert found["dongbo_pushes"] == {("stock", "applied", "main"): 2, ("stock", "refused", "main"): 1}
        assert found["dongbo_open_pushes"] == {("main",): 1}
    await endpoint.push(job, "2", "3", "because")
    assert (await _metrics(endpoint))["dongbo_pushes"][("stock", "applied", "main")] == 3


async def test_mappings_are_listed_page_by_page(shop: Any) -> None:
    """By state and search."""
    await shop.execute(
        "INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source) VALUES ('main', 1001, 77, 'sku')"
    )
    first = await shop.get("/api/mappings", params={"store": "main", "limit": 3})
    second = await shop.get("/api/mappings", params={"store": "main", "limit": 3, "cursor": first["next_cursor"]})
    assert [one["variant_id"] for one in first["mappings"] + second["mappings"]] == list(VARIANTS)
    assert second["next_cursor"] is None
    mapped = (await shop.get("/api/mappings", params={"store": "main", "state": "mapped"}))["mappings"]
    assert [(one["variant_id"], one["nhanh_id"], one["nhanh_code"]) for one in mapped] == [(1001, 77, "AO-01")]
    found = (await shop.get("/api/mappings", params={"store": "main", "search": "ao-02"}))["mappings"]
    assert [one["variant_id"] for one in found] == [1002, 1003]
    await shop.get("/api/mappings?store=other", 404)
    for query in ("", "?store=main&state=wrong", "?store=main&cursor=x", "?store=main&limit=501", "?store=main&x=1"):
        await shop.get(f"/api/mappings{query}", 400)


async def test_decisions_are_noted_and_taken_back(shop: Any) -> None:
    """A person's word, with a note; null says that there is no counterpart."""
    entries = [{"variant_id": 1002, "nhanh_id": 78}, {"variant_id": 1004, "nhanh_id": None}]
    body = {"store": "main", "mappings": entries, "note": "đã kiểm tra"}
    outcome = await shop.call("POST", "/api/mappings", 200, json=body)
    assert (outcome["written"], outcome["unchanged"]) == (2, 0)
    assert (await shop.call("POST", "/api/mappings", 200, json=body))["unchanged"] == 2
    listed = (await shop.get("/api/mappings", params={"store": "main"}))["mappings"]
    assert {one["variant_id"]: (one["state"], one["note"]) for one in listed if one["note"]} == {
        1002: ("mapped", "đã kiểm tra"),
        1004: ("excluded", "đã kiểm tra"),
    }
    removed = {"store": "main", "variant_ids": [1002, 1003]}
    assert await shop.call("POST", "/api/mappings/remove", 200, json=removed) == {"removed": 1}


async def test_one_wrong_decision_spoils_all_and_each_is_named(shop: Any) -> None:
    """422 with one error for each wrong entry; nothing is written."""
    entries = [
        {"variant_id": 1001, "nhanh_id": 77},
        {"variant_id": 9, "nhanh_id": 77},
        {"variant_id": 1002, "nhanh_id": 8},
    ]
    problem = await shop.call("POST", "/api/mappings", 422, json={"store": "main", "mappings": entries})
    assert problem["type"] == "urn:dongbo:problem:invalid-mapping"
    assert [error["detail"].split(":")[0] for error in problem["errors"]] == ["variant 9", "product 8"]
    assert (await shop.get("/api/mappings", params={"store": "main", "state": "mapped"}))["mappings"] == []


async def test_bad_requests_about_mappings_are_the_clients_fault(shop: Any) -> None:
    """Unknown stores, too many at once, wrong types."""
    entry = {"variant_id": 1, "nhanh_id": 1}
    for path, body in (
        ("/api/mappings", {"store": "elsewhere", "mappings": [entry]}),
        ("/api/mappings", {"store": "main", "mappings": []}),
        ("/api/mappings", {"store": "main", "mappings": [entry] * 501}),
        ("/api/mappings", {"store": "main", "mappings": [{"variant_id": 1}]}),
        ("/api/mappings", {"store": "main", "mappings": [{"variant_id": "1", "nhanh_id": 1}]}),
        ("/api/mappings", {"store": "main", "mappings": [{"variant_id": 2**63, "nhanh_id": 1}]}),
        ("/api/mappings", {"store": "main", "mappings": [{"variant_id": 0, "nhanh_id": 1}]}),
        ("/api/mappings", {"store": "main", "mappings": [entry], "note": "\0"}),
        ("/api/mappings/remove", {"store": "main", "variant_ids": []}),
        ("/api/mappings/remove", {"store": "x", "variant_ids": [1]}),
        ("/api/mappings/resolve", {"store": "x"}),
        ("/api/mappings/resolve", {"store": "main", "variants": ["\0"]}),
    ):
        await shop.call("POST", path, 422, json=body)


async def test_texts_are_resolved_with_the_present_mapping(shop: Any) -> None:
    """In the order of the request; a text may stand for none, one or several."""
    await shop.execute(
        "INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source) VALUES ('main', 1001, 77, 'sku')"
    )
    body = {"store": "main", "variants": ["ao-02", "1001", "none", "ao-02"], "products": ["id:78", "AO-01", "9"]}
    resolved = await shop.call("POST", "/api/mappings/resolve", 200, json=body)
    meant = [[choice["variant_id"] for choice in one["choices"]] for one in resolved["variants"]]
    assert meant == [[1002, 1003], [1001], [], [1002, 1003]]
    assert (resolved["variants"][1]["choices"][0]["state"], resolved["variants"][1]["choices"][0]["nhanh_id"]) == (
        "mapped",
        77,
    )
    assert [[choice["nhanh_id"] for choice in one["choices"]] for one in resolved["products"]] == [[78], [77], []]


async def test_an_sku_is_explained(shop: Any) -> None:
    """By SKU or by variant id; the verdicts are in the shop's zone."""
    explanation = await shop.get("/api/explain", params={"store": "main", "sku": " ao-01"})
    assert [variant["variant_id"] for variant in explanation["variants"]] == [1001]
    values = explanation["variants"][0]["values"]
    assert [(value["kind"], value["location_id"]) for value in values] == [
        ("stock", 31),
        ("stock", 32),
        ("price", None),
        ("compare_at_price", None),
    ]
    assert all("Not pushed: unmatched" in value["verdict"] for value in values)
    for text in (
        "gid://shopify/ProductVariant/1001",
        "https://admin.shopify.com/store/my-shop/products/1/variants/1001",
    ):
        found = await shop.get("/api/explain", params={"store": "main", "sku": text})
        assert [variant["variant_id"] for variant in found["variants"]] == [1001]
    by_id = await shop.get("/api/explain", params={"store": "main", "variant_id": "1004"})
    assert [variant["sku"] for variant in by_id["variants"]] == [None]
    assert (await shop.get("/api/explain", params={"store": "main", "sku": "nothing"}))["variants"] == []
    await shop.get("/api/explain?store=other&sku=x", 404)
    for query in ("store=main", "store=main&sku=", "store=main&sku=x&variant_id=1", "store=main&variant_id=0", "sku=x"):
        await shop.get(f"/api/explain?{query}", 400)


async def test_these_answers_are_what_the_description_says(shop: Any) -> None:
    """Each JSON answer is valid against the schema of its operation; what must be given is marked."""
    description = await shop.get("/openapi.json")
    job = await shop.asking()
    await shop.push(job, None, "3", "because")
    entries = [{"variant_id": 1001, "nhanh_id": 77}]

    def check(method: str, path: str, answer: object) -> None:
        content = description["paths"][path][method]["responses"]["200"]["content"]
        schema = next(iter(content.values()))["schema"] | {"components": description["components"]}
        jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)

    check("get", "/api/jobs/{id}/pushes", await shop.get(f"/api/jobs/{job.id}/pushes"))
    check("get", "/status", await shop.get("/status"))
    body = {"store": "main", "mappings": entries}
    check("post", "/api/mappings", await shop.call("POST", "/api/mappings", 200, json=body))
    check("get", "/api/mappings", await shop.get("/api/mappings?store=main"))
    check("get", "/api/explain", await shop.get("/api/explain?store=main&sku=ao-01"))
    texts = {"store": "main", "variants": ["1001"], "products": ["77"]}
    check("post", "/api/mappings/resolve", await shop.call("POST", "/api/mappings/resolve", 200, json=texts))
    removal = {"store": "main", "variant_ids": [1001]}
    check("post", "/api/mappings/remove", await shop.call("POST", "/api/mappings/remove", 200, json=removal))
    check("post", "/api/jobs/{id}/reject", await shop.call("POST", f"/api/jobs/{job.id}/reject", 200))
    parameters = description["paths"]["/api/explain"]["get"]["parameters"]
    assert {one["name"]: one["required"] for one in parameters} == {"store": True, "sku": False, "variant_id": False}


async def test_a_waiting_job_can_be_cancelled_and_then_retried(endpoint: Any) -> None:
    """As any other that has not ended."""
    job = await endpoint.asking()
    await endpoint.call("POST", f"/api/jobs/{job.id}/cancel", 202)
    assert (await endpoint.parts.jobs.get(job.id)).status is JobStatus.CANCELLED
    await endpoint.call("POST", f"/api/jobs/{job.id}/retry", 202)


async def _metrics(endpoint: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric and by the values of the labels, in the alphabetical order of the labels' names."""
    async with endpoint.client.get("/metrics") as response:
        text = await response.text()
    return {
        family.name: {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }
