"""The daemon's JSON answers, as far as the command line reads them."""

from typing import Any, TypedDict


class JobDocument(TypedDict):
    """A job as the endpoint shows it: the columns of `dongbo.background_jobs`. Times are ISO 8601."""

    id: str
    parent_id: str | None
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


class PruningPlanDocument(TypedDict):
    """How many jobs pruning deletes, and how many it keeps for what reason: each counts once."""

    prunable: int
    unended: int
    recent: int
    newest: int
    needed: int


class PushDocument(TypedDict):
    """A value that was pushed to Shopify, or was to be."""

    id: int
    job_id: str
    kind: str
    owner_id: int
    location_id: int | None
    name: str | None
    old_value: str | None
    new_value: str | None
    reason: str
    result: str
    detail: str | None
    intended_at: str
    settled_at: str | None


class ScheduleDocument(TypedDict):
    """A schedule and where it stands."""

    name: str
    store: str
    cron: str
    timezone: str
    type: str
    next_fire: str | None
    last_fire: str | None
    last_outcome: str | None
    last_job_id: str | None
    last_detail: str | None
    paused: bool


class CheckDocument(TypedDict):
    """One condition of being ready."""

    name: str
    ok: bool
    detail: str


class RunningDocument(TypedDict):
    """A running job in short."""

    id: str
    store: str
    type: str
    processed: int
    total: int | None
    failed: int
    eta_seconds: float | None
    waits_for: str | None
    waiting_since: str | None


class WaitingDocument(TypedDict):
    """A job that waits for a person's approval."""

    id: str
    store: str
    type: str
    reason: str
    since: str


class FreshnessDocument(TypedDict):
    """How old the data of a stream is."""

    store: str
    type: str
    last_completed: str
    age_seconds: float


class LeftOutDocument(TypedDict):
    """The locations and depots of a store that its last product sync had to leave out."""

    store: str
    locations: list[int]
    depots: list[int]


class PoolDocument(TypedDict):
    """Connections of the daemon's pool."""

    size: int
    idle: int
    max: int
    in_use: int


class CredentialDocument(TypedDict):
    """How a store signs in at a source; `problems` are sentences."""

    store: str
    source: str
    kind: str
    works: bool | None
    expires_at: str | None
    refused_since: str | None
    missing_scopes: list[str] | None
    api_version: str | None
    api_supported_until: str | None
    problems: list[str]


class ClockDocument(TypedDict):
    """By how much a source's clock is ahead of the daemon's machine's."""

    store: str
    source: str
    offset_seconds: float
    measured_at: str


class StatusDocument(TypedDict):
    """The daemon at a glance. What is read from its database is None while that is away."""

    version: str
    pid: int
    worker: str | None
    started_at: str
    now: str
    uptime_seconds: float
    timezone: str
    ready: bool
    checks: list[CheckDocument]
    running: list[RunningDocument] | None
    awaiting_approval: list[WaitingDocument] | None
    schedules: list[ScheduleDocument]
    freshness: list[FreshnessDocument] | None
    left_out: list[LeftOutDocument] | None
    credentials: list[CredentialDocument]
    clocks: list[ClockDocument]
    pool: PoolDocument
    notification_lag_seconds: float | None
    subscribers: int
    stores: list[str]
