"""What types of jobs do and what their parameters are called, in the language that is spoken: for forms."""

from collections.abc import Mapping
from typing import Any, Final

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.types import JobType

DESCRIPTIONS: Final[Mapping[JobType, str]] = {
    JobType.PULL_NHANH_PRODUCTS: mark("Reads what changed in the products of Nhanh.vn, with their prices and stock."),
    JobType.PULL_NHANH_INVENTORY: mark("Reads the stock at Nhanh.vn that changed."),
    JobType.PULL_NHANH_CUSTOMERS: mark("Reads what changed in the customers of Nhanh.vn."),
    JobType.PULL_SHOPIFY_PRODUCTS: mark(
        "Reads what changed in the products of Shopify, with their variants, prices and stock."
    ),
    JobType.PULL_SHOPIFY_CUSTOMERS: mark("Reads what changed in the customers of Shopify."),
    JobType.MATCH_PRODUCTS: mark("Finds which product of Nhanh.vn each variant of Shopify is, by SKU and barcode."),
    JobType.MATCH_CUSTOMERS: mark("Finds which customer of Nhanh.vn each customer of Shopify is, by phone number."),
    JobType.SYNC_PRODUCTS: mark("Sets at Shopify the stock and prices that differ from Nhanh.vn, as last read."),
    JobType.SYNC_CUSTOMERS: mark("Sets at Shopify the totals and tiers of customers that differ from Nhanh.vn."),
    JobType.SYNC_CHANGED_PRODUCTS: mark("Reads the products that webhooks have told of, and pushes what differs."),
    JobType.SYNC_CHANGED_CUSTOMERS: mark("Reads the customers that webhooks have told of, and pushes what differs."),
    JobType.PRODUCT_CHAIN: mark("Reads stock and products on both sides, matches them and pushes what differs."),
    JobType.PREPARE_SALE: mark("Reads and notes the prices for sales that start soon."),
    JobType.APPLY_SALE: mark("Sets the prices of sales that have begun."),
    JobType.REVERT_SALE: mark("Restores the prices of sales that have ended."),
    JobType.BACKUP_DATABASE: mark("Backs up the whole database, of all stores, and deletes the oldest backups."),
    JobType.NOOP: mark("Does nothing: shows that jobs run at all."),
}

TITLES: Final[Mapping[str, str]] = {
    "full": mark("Read everything"),
    "restart": mark("Begin anew"),
    "allow_deletions": mark("Believe all deletions"),
    "filters": mark("Filters"),
    "query": mark("Search at Shopify"),
    "method": mark("Method"),
    "dry_run": mark("Only report"),
    "skus": mark("Only these SKUs"),
    "variants": mark("Only these variants"),
    "customers": mark("Phone numbers"),
    "pull_products": mark("Products, too"),
    "status": mark("Status"),
    "type": mark("Type"),
    "ids": mark("Ids"),
    "name": mark("Name"),
    "category_ids": mark("Categories"),
    "brand_ids": mark("Brands"),
    "last_bought_from": mark("Last bought from"),
    "last_bought_to": mark("Last bought until"),
    "updated_from": mark("Changed from"),
    "updated_to": mark("Changed until"),
}


def description_of(job_type: JobType) -> str:
    """What a job of this type does, in a sentence."""
    return _(DESCRIPTIONS[job_type])


def params_in_words(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema of params with titles, and all that it says to people in the language that is spoken."""
    said = dict(schema)
    if "description" in said:
        said["description"] = _(said["description"])
    if "properties" in said:
        said["properties"] = {
            name: {"title": _(TITLES[name]), **params_in_words(inner)} for name, inner in said["properties"].items()
        }
    if "anyOf" in said:
        said["anyOf"] = [params_in_words(form) for form in said["anyOf"]]
    return said
