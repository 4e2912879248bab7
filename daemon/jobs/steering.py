"""What people may do, to what, how they may ask for it, and what they may ask for."""

from enum import StrEnum


class Way(StrEnum):
    """How a person's request came."""

    PAGE = "page"
    API = "api"
    CLI = "cli"


class Role(StrEnum):
    """What a token, or a user of a proxy, may ask for: whoever may operate may read, too."""

    READ = "read"  # everything, customers' data among it, but what changes anything
    OPERATE = "operate"

    def may(self, needed: "Role") -> bool:
        """Whether this role is enough for what needs the other one."""
        return self is Role.OPERATE or needed is Role.READ


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
    PAUSE_STORE = "pause_store"
    RESUME_STORE = "resume_store"
    DECIDE_SALE = "decide_sale"  # about prices that somebody else has set


class SubjectKind(StrEnum):
    """What it was done to."""

    JOB = "job"
    SCHEDULE = "schedule"
    APPROVAL = "approval"
    VARIANT = "variant"
    CUSTOMER = "customer"
    SALE = "sale"
    STORE = "store"
