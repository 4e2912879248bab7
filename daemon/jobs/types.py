"""What is known of each type of job before one runs: one row a type.

How its parameters are read, and what runs it, stands with its task in `daemon/tasks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal


class JobType(StrEnum):
    """Every operation that the daemon can carry out. The values are stored and shown to people."""

    PULL_NHANH_PRODUCTS = "PULL_NHANH_PRODUCTS"
    PULL_NHANH_INVENTORY = "PULL_NHANH_INVENTORY"
    PULL_NHANH_CUSTOMERS = "PULL_NHANH_CUSTOMERS"
    PULL_SHOPIFY_PRODUCTS = "PULL_SHOPIFY_PRODUCTS"
    PULL_SHOPIFY_CUSTOMERS = "PULL_SHOPIFY_CUSTOMERS"
    MATCH_PRODUCTS = "MATCH_PRODUCTS"
    MATCH_CUSTOMERS = "MATCH_CUSTOMERS"
    SYNC_PRODUCTS = "SYNC_PRODUCTS"
    SYNC_CUSTOMERS = "SYNC_CUSTOMERS"
    SYNC_CHANGED_PRODUCTS = "SYNC_CHANGED_PRODUCTS"  # what webhooks have told of
    SYNC_CHANGED_CUSTOMERS = "SYNC_CHANGED_CUSTOMERS"
    PRODUCT_CHAIN = "PRODUCT_CHAIN"  # the steps of a product schedule, each a job of its own
    PREPARE_SALE = "PREPARE_SALE"  # reads and notes the prices of campaigns that will start soon
    APPLY_SALE = "APPLY_SALE"
    REVERT_SALE = "REVERT_SALE"
    BACKUP_DATABASE = "BACKUP_DATABASE"
    NOOP = "NOOP"  # what `dongbo doctor` follows through all stations


class PullMethod(StrEnum):
    """How all rows of a list come from Shopify."""

    AUTO = "auto"  # whichever is estimated to be faster
    PAGES = "pages"
    BULK = "bulk"  # one bulk operation, whose file is downloaded


SyncSection = Literal["product_sync", "customer_sync"]
Narrowing = Literal["filters", "query"]
Naming = Literal["ids", "skus", "variants", "customers", "retry_of"]

SALES_FIRST = 10  # a sale never waits behind a pull
ITEMS_FIRST = 5  # somebody waits for a few items, which take a moment
CUSTOMERS_FIRST = 3  # a customer's total can wait for these, but not for a pull


class Source(StrEnum):
    """The system on the other side that a job talks to; its table in a store's configuration has the same name."""

    NHANH = "nhanh"
    SHOPIFY = "shopify"


BOTH = (Source.NHANH, Source.SHOPIFY)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One type of job.

    Args:
        lane: shared by the jobs of a store that draw on the same rate limit.
        is_for_all: whether it is about what all stores have in common, and so is their lane.
        sources: the store must be connected to them.
        section: the table of the store without which the job has nothing to go by.
        concurrency: how many jobs of a store's lane run at a time over all machines; 0 for no limit.
        priority: jobs of a higher one leave the queue first.
        is_urgent: late as soon as it waits, so a failed run is tried again within seconds.
        scopes: access scopes that it needs at Shopify. Those of SYNC_PRODUCTS depend on what is pushed
            (`daemon.config.scopes`).
        narrowed_by: the parameters of a pull that say which rows it is about.
        named_by: the parameters that name a few items: a job with one of them is about these alone, and has a lane of
            its own, in which it goes before other jobs and beside the one that is about everything.
        retries_rows: whether a job of it can take up the failed rows of another one (`retry_of`) and nothing else.
    """

    lane: str
    sources: tuple[Source, ...]
    section: SyncSection | None = None
    concurrency: int = 1
    priority: int = 0
    is_urgent: bool = False
    scopes: tuple[str, ...] = ()
    narrowed_by: tuple[Narrowing, ...] = ()
    named_by: tuple[Naming, ...] = ()
    retries_rows: bool = False
    is_for_all: bool = False

    @property
    def item_lane(self) -> str:
        """The lane of jobs that are about a few items."""
        return f"{self.lane}-items"

    def is_of_items(self, params: Mapping[str, Any]) -> bool:
        """Whether a job with these parameters is about a few items that they name."""
        return not params.keys().isdisjoint(self.named_by)


# Source of the scopes: shopify.dev, "Access scopes": what the operations of each job touch. Who may write a thing may
# read it. To read a thing in bulk takes the scopes of reading it, and no others.
JOB_TYPES: Mapping[JobType, JobSpec] = {
    JobType.PULL_NHANH_PRODUCTS: JobSpec(
        "nhanh-products", (Source.NHANH,), narrowed_by=("filters",), named_by=("ids",), retries_rows=True
    ),
    JobType.PULL_NHANH_INVENTORY: JobSpec(
        "nhanh-inventory", (Source.NHANH,), narrowed_by=("filters",), named_by=("ids",), retries_rows=True
    ),
    JobType.PULL_NHANH_CUSTOMERS: JobSpec(
        "nhanh-customers", (Source.NHANH,), narrowed_by=("filters",), named_by=("ids",), retries_rows=True
    ),
    JobType.PULL_SHOPIFY_PRODUCTS: JobSpec(
        "shopify-products",
        (Source.SHOPIFY,),
        scopes=("read_products", "read_inventory"),
        narrowed_by=("filters", "query"),
        named_by=("ids",),
        retries_rows=True,
    ),
    JobType.PULL_SHOPIFY_CUSTOMERS: JobSpec(
        "shopify-customers",
        (Source.SHOPIFY,),
        scopes=("read_customers",),
        narrowed_by=("query",),
        named_by=("ids",),
        retries_rows=True,
    ),
    JobType.MATCH_PRODUCTS: JobSpec("match-products", BOTH),
    JobType.MATCH_CUSTOMERS: JobSpec("match-customers", BOTH),
    JobType.SYNC_PRODUCTS: JobSpec(
        "sync-products", BOTH, "product_sync", named_by=("skus", "variants", "retry_of"), retries_rows=True
    ),
    JobType.SYNC_CUSTOMERS: JobSpec(
        "sync-customers",
        BOTH,
        "customer_sync",
        scopes=("write_customers",),
        named_by=("customers", "ids", "retry_of"),
        retries_rows=True,
    ),
    JobType.SYNC_CHANGED_PRODUCTS: JobSpec(
        "changed-products", BOTH, "product_sync", priority=ITEMS_FIRST, is_urgent=True
    ),
    JobType.SYNC_CHANGED_CUSTOMERS: JobSpec(
        "changed-customers",
        BOTH,
        "customer_sync",
        priority=CUSTOMERS_FIRST,
        is_urgent=True,
        scopes=("write_customers",),
    ),
    JobType.PRODUCT_CHAIN: JobSpec("chain", BOTH, "product_sync"),
    JobType.PREPARE_SALE: JobSpec("prepare-sale", (Source.SHOPIFY,), scopes=("read_products",)),
    JobType.APPLY_SALE: JobSpec(
        "apply-sale", (Source.SHOPIFY,), priority=SALES_FIRST, is_urgent=True, scopes=("write_products",)
    ),
    JobType.REVERT_SALE: JobSpec(
        "revert-sale", (Source.SHOPIFY,), priority=SALES_FIRST, is_urgent=True, scopes=("write_products",)
    ),
    JobType.BACKUP_DATABASE: JobSpec("backup", (), is_for_all=True),
    JobType.NOOP: JobSpec("noop", ()),
}

if missing := [job_type for job_type in JobType if job_type not in JOB_TYPES]:
    raise RuntimeError(f"JOB_TYPES has no row for {', '.join(missing)}")
