"""What jobs, their outcomes and their triggers are called towards people, in the language that is spoken."""

from collections.abc import Mapping
from typing import Final

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.model import AttemptResult, JobOutcome, JobTrigger
from daemon.jobs.types import JobType

JOB_NAMES: Final[Mapping[JobType, str]] = {
    JobType.PULL_NHANH_PRODUCTS: mark("Products of Nhanh.vn"),
    JobType.PULL_NHANH_INVENTORY: mark("Stock at Nhanh.vn"),
    JobType.PULL_NHANH_CUSTOMERS: mark("Customers of Nhanh.vn"),
    JobType.PULL_SHOPIFY_PRODUCTS: mark("Products of Shopify"),
    JobType.PULL_SHOPIFY_CUSTOMERS: mark("Customers of Shopify"),
    JobType.MATCH_PRODUCTS: mark("Matching of products"),
    JobType.MATCH_CUSTOMERS: mark("Matching of customers"),
    JobType.SYNC_PRODUCTS: mark("Push to Shopify"),
    JobType.SYNC_CUSTOMERS: mark("Customer totals to Shopify"),
    JobType.SYNC_CHANGED_PRODUCTS: mark("Changed products to Shopify"),
    JobType.SYNC_CHANGED_CUSTOMERS: mark("Changed customers to Shopify"),
    JobType.PRODUCT_CHAIN: mark("Product chain"),
    JobType.PREPARE_SALE: mark("Preparation of sales"),
    JobType.APPLY_SALE: mark("Start of sales"),
    JobType.REVERT_SALE: mark("End of sales"),
    JobType.BACKUP_DATABASE: mark("Backup of the database"),
    JobType.NOOP: mark("Test job"),
}

OUTCOME_NAMES: Final[Mapping[JobOutcome, str]] = {
    JobOutcome.PENDING: mark("waiting"),
    JobOutcome.RETRYING: mark("trying again"),
    JobOutcome.RUNNING: mark("running"),
    JobOutcome.AWAITING_APPROVAL: mark("waiting for approval"),
    JobOutcome.COMPLETED: mark("completed"),
    JobOutcome.COMPLETED_WITH_FAILURES: mark("completed with failures"),
    JobOutcome.REPAIRED: mark("repaired since"),
    JobOutcome.FAILED: mark("failed"),
    JobOutcome.CANCELLED: mark("cancelled"),
    JobOutcome.SUPERSEDED: mark("superseded"),
}

ATTEMPT_RESULT_NAMES: Final[Mapping[AttemptResult, str]] = {
    AttemptResult.RUNNING: mark("runs"),
    AttemptResult.COMPLETED: mark("completed"),
    AttemptResult.FAILED: mark("failed"),
    AttemptResult.RETRIED: mark("failed, to be tried again"),
    AttemptResult.RELEASED: mark("given back, because the daemon stopped"),
    AttemptResult.CANCELLED: mark("cancelled"),
    AttemptResult.ASKED: mark("asked for approval"),
    AttemptResult.LOST: mark("lost: the daemon or its connection was gone"),
}

TRIGGER_NAMES: Final[Mapping[JobTrigger, str]] = {
    JobTrigger.SCHEDULE: mark("by schedule"),
    JobTrigger.API: mark("by hand"),
    JobTrigger.CLI: mark("in the terminal"),
    JobTrigger.WEBHOOK: mark("by webhook"),
    JobTrigger.RETRY: mark("retried"),
}


def job_name(job_type: JobType) -> str:
    """What a type of job is called."""
    return _(JOB_NAMES[job_type])


def outcome_name(outcome: JobOutcome) -> str:
    """What an outcome is called."""
    return _(OUTCOME_NAMES[outcome])


def attempt_result_name(result: AttemptResult) -> str:
    """How a run of a job ended."""
    return _(ATTEMPT_RESULT_NAMES[result])


def trigger_name(trigger: JobTrigger) -> str:
    """What made a job, as it is said beside its name."""
    return _(TRIGGER_NAMES[trigger])
