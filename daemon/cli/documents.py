"""The daemon's JSON answers, as far as the command line reads them."""

from typing import Any, TypedDict


class JobDocument(TypedDict):
    """A job as the endpoint shows it: the columns of `dongbo.background_jobs`. Times are ISO 8601."""

    id: str
    store: str
    type: str
    status: str
    trigger: str
    schedule: str | None
    fire_time: str | None
    params: dict[str, Any]
    total: int | None
    processed: int
    successful: int
    created: int
    updated: int
    skipped: int
    failed: int
    metadata: dict[str, Any]
    attempt: int
    max_attempts: int
    not_before: str | None
    worker: str | None
    cancel_requested: bool
    error: str | None
    version: int
    created_at: str
    started_at: str | None
    updated_at: str
    completed_at: str | None
    eta_seconds: float | None


class FailureDocument(TypedDict):
    """A row that a job could not store."""

    id: int
    source_id: str | None
    reason: str
    created_at: str
    resolved_at: str | None
