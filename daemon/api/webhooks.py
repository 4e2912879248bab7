"""Webhooks of Nhanh.vn and Shopify: what has come, what waits for a job, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN, STORE_PATTERN, Limit
from daemon.jobs.types import Source


class Concern(StrEnum):
    """Which kind of job takes an event: jobs of the one know nothing of the other."""

    PRODUCTS = "products"
    CUSTOMERS = "customers"


class Subject(StrEnum):
    """What kind of thing an event is about. The values are stored."""

    NHANH_PRODUCT = "nhanh_product"
    NHANH_CUSTOMER = "nhanh_customer"
    SHOPIFY_PRODUCT = "shopify_product"
    SHOPIFY_ITEM = "shopify_item"  # an inventory item: what has stock at locations
    SHOPIFY_CUSTOMER = "shopify_customer"
    BULK_OPERATION = "bulk_operation"
    APP = "app"
    NOTHING = "nothing"  # a test, or a topic that is not understood

    @property
    def concern(self) -> Concern | None:
        """Which jobs take events about it; None: no job does."""
        return CONCERNS.get(self)


CONCERNS: Final[Mapping[Subject, Concern]] = {
    Subject.NHANH_PRODUCT: Concern.PRODUCTS,
    Subject.SHOPIFY_PRODUCT: Concern.PRODUCTS,
    Subject.SHOPIFY_ITEM: Concern.PRODUCTS,
    Subject.NHANH_CUSTOMER: Concern.CUSTOMERS,
    Subject.SHOPIFY_CUSTOMER: Concern.CUSTOMERS,
}


class EventState(StrEnum):
    """Where an event stands. The values are stored."""

    WAITING = "WAITING"
    TAKEN = "TAKEN"  # by a job
    DONE = "DONE"
    FAILED = "FAILED"
    NOTED = "NOTED"  # it needs no job

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is done about it."""
        return self not in (EventState.WAITING, EventState.TAKEN)


@dataclass(frozen=True, slots=True)
class WebhookTopicReport:
    """How often a topic has come, repeats included.

    Args:
        is_understood: whether anything is done because of it.
    """

    topic: str
    received: int
    repeated: int
    last_received_at: datetime
    is_understood: bool


@dataclass(frozen=True, slots=True)
class WebhookStreamReport:
    """The webhooks of one side of a store. Counters are of all times.

    Args:
        listened_until: deliveries were accepted until then; null: never.
        last_event_at, last_topic: what came last.
        received: deliveries, repeats among them.
        unknown: deliveries of topics that are not understood.
        refused: deliveries with a wrong signature, or none.
        turned_away: rightly signed ones that could not be stored, and were to be sent again.
        caught_up_at: when a pull was last asked for, to make up for what was missed.
    """

    store: str
    source: Source
    listened_until: datetime | None
    last_event_at: datetime | None
    last_topic: str | None
    received: int
    repeated: int
    unknown: int
    refused: int
    last_refused_at: datetime | None
    turned_away: int
    caught_up_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingWebhooks:
    """What waits for jobs of one kind; `events` is 10,000 where there are more."""

    store: str
    concern: Concern
    events: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class WebhookTopics:
    """What has come of each topic of one side of a store."""

    store: str
    source: Source
    topics: Sequence[WebhookTopicReport]


@dataclass(frozen=True, slots=True)
class WebhookEventReport:
    """What one delivery says of one kind of thing.

    Args:
        event_id: Shopify's id of the delivery; null of Nhanh.vn, which gives none.
        subject_ids: the first of what it names, as its source numbers them; `names` says how many there are.
        triggered_at: when it happened, by the source's clock, where that is known.
        job_id: the job that has taken it; jobs are pruned, so it may be gone.
        attempts: how many jobs have taken it.
        outcome: what came of it, in the language of the configuration.
    """

    id: int
    store: str
    source: Source
    event_id: str | None
    topic: str
    subject: Subject
    subject_ids: Sequence[int]
    names: int
    triggered_at: datetime | None
    received_at: datetime
    state: EventState
    job_id: UUID | None
    attempts: int
    outcome: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How the streams stand, what waits, and events, newest first."""

    streams: Sequence[WebhookStreamReport]
    topics: Sequence[WebhookTopics]
    waiting: Sequence[WaitingWebhooks]
    events: Sequence[WebhookEventReport]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class WebhooksQuery:
    """Which events to list; the rest is of all stores, or of this one."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str | None = field(default=None, metadata={"pattern": STORE_PATTERN})
    state: EventState | None = None
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )
