"""What people may do, to what, and how they may ask for it."""

from enum import StrEnum


class Way(StrEnum):
    """How a person's request came."""

    PAGE = "page"
    API = "api"
    CLI = "cli"


class ActionKind(StrEnum):
    """What a person did."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    RETRY = "retry"
    RETRY_ROWS = "retry_rows"
    RUN_AGAIN = "run_again"
    APPROVE = "approve"
    REJECT = "reject"
    RUN_SCHEDULE = "run_schedule"
    PAUSE = "pause"
    RESUME = "resume"
    MAP = "map"
    EXCLUDE = "exclude"
    UNMAP = "unmap"  # take a decision back
    CREATE_SALE = "create_sale"
    START_SALE = "start_sale"
    END_SALE = "end_sale"
    CANCEL_SALE = "cancel_sale"
    DECIDE_SALE = "decide_sale"  # about prices that somebody else has set


class SubjectKind(StrEnum):
    """What it was done to."""

    JOB = "job"
    SCHEDULE = "schedule"
    APPROVAL = "approval"
    VARIANT = "variant"
    CUSTOMER = "customer"
    SALE = "sale"
