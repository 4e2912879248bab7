"""Examples of requests and answers, for whoever reads the description; a test holds them to its schemas."""

from collections.abc import Mapping
from typing import Any

JOB: Mapping[str, Any] = {
    "id": "0199c3b0-5d3c-7000-8000-000000000001",
    "store": "main",
    "type": "PULL_NHANH_CUSTOMERS",
    "status": "RUNNING",
    "trigger": "api",
    "schedule": None,
    "fire_time": None,
    "params": {"filters": {"type": 2}},
    "total": None,
    "processed": 1200,
    "successful": 40,
    "created": 10,
    "updated": 30,
    "skipped": 1159,
    "failed": 1,
    "metadata": {"filters": {"type": 2}, "pages": 12, "rows_per_second": 310.5},
    "checkpoint": {"after": "eyJpZCI6MTIwMH0"},
    "attempt": 1,
    "max_attempts": 5,
    "not_before": None,
    "worker": "shop-1",
    "cancel_requested": False,
    "error": None,
    "version": 4711,
    "created_at": "2026-10-01T02:00:00+00:00",
    "started_at": "2026-10-01T02:00:00.250000+00:00",
    "updated_at": "2026-10-01T02:00:04.100000+00:00",
    "completed_at": None,
    "parent_id": None,
    "eta_seconds": None,
}
PROBLEM: Mapping[str, Any] = {
    "type": "urn:dongbo:problem:live-job-exists",
    "title": "Live job exists",
    "status": 409,
    "detail": "This is already under way, as job 0199c3b0-5d3c-7000-8000-000000000001",
    "instance": "/api/jobs",
    "job_id": "0199c3b0-5d3c-7000-8000-000000000001",
}
SALE: Mapping[str, Any] = {
    "name": "tet-2027",
    "store": "main",
    "percent": 20,
    "round_to": 1000,
    "starts": "2027-01-28T20:00:00",
    "ends": "2027-02-05T20:00:00",
    "targets": {"tags": ["tet"], "skus": ["AO-1"]},
    "draft": True,
}
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "AlertTestBody": {"examples": [{"channel": "telegram"}, {"channel": None}]},
    "CheckBody": {"examples": [{"store": "main"}]},
    "DecideBody": {"examples": [{"asked_runs": 3}, {}]},
    "Job": {"examples": [JOB]},
    "JobSnapshot": {"examples": [{"version": 4711, "jobs": [JOB]}]},
    "JobsPruned": {"examples": [{"version": 4712, "ended_until": "2026-07-01T02:00:00+00:00", "kept": []}]},
    "Problem": {"examples": [PROBLEM]},
    "LoginBody": {"examples": [{"token": "0f3c…"}]},
    "PauseBody": {"examples": [{"until": "2026-11-29T20:00:00+07:00", "reason": "stock-taking"}, {}]},
    "PruneBody": {"examples": [{"older_than_days": 90}]},
    "RemoveBody": {"examples": [{"store": "main", "variant_ids": [1001]}]},
    "RemoveCustomersBody": {"examples": [{"store": "main", "shopify_ids": [2001]}]},
    "ResolveBody": {"examples": [{"store": "main", "variants": ["sku:AO-1", "1001"], "products": ["AO-1"]}]},
    "ResumeBody": {"examples": [{"decision": "restore", "variants": [1001]}, {}]},
    "RetryBody": {"examples": [{"failed": True}, {}]},
    "SaleBody": {"examples": [SALE]},
    "SetCustomersBody": {
        "examples": [{"store": "main", "entries": [{"shopify_id": 2001, "nhanh_id": 7}], "note": "she told us"}]
    },
    "SetBody": {
        "examples": [{"store": "main", "mappings": [{"variant_id": 1001, "nhanh_id": 1}], "note": "asked the shop"}]
    },
}
"""By the names of the schemas."""

LIVE = "ok\n"
NOT_READY = "[-] database: the connection was refused\nnot ready\n"
METRICS = (
    "# HELP dongbo_jobs Jobs by status and type\n"
    "# TYPE dongbo_jobs gauge\n"
    'dongbo_jobs{status="COMPLETED",type="PULL_NHANH_CUSTOMERS"} 12.0\n'
)
EVENTS = 'retry: 1000\n\nid: 4711\nevent: snapshot\ndata: {"version":4711,"jobs":[]}\n\n: still here\n\n'
