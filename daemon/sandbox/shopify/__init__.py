"""A local Shopify: the part of the Admin API that dongbo uses, over a shop that tests can change."""

from daemon.sandbox.shopify.bulk import BulkTrouble
from daemon.sandbox.shopify.bulk_downloads import DownloadTrouble
from daemon.sandbox.shopify.idempotency import IdempotencyProblem
from daemon.sandbox.shopify.product_csv import catalogue_from_csv
from daemon.sandbox.shopify.sandbox import API_VERSION, AnsweredRequest, RequestLog, ShopifySandbox
from daemon.sandbox.shopify.state import ShopChange
from daemon.sandbox.shopify.webhooks import WebhookSubscription
from daemon.sandbox.shopify.writes import AppliedWrite

__all__ = [
    "API_VERSION",
    "AnsweredRequest",
    "AppliedWrite",
    "BulkTrouble",
    "DownloadTrouble",
    "IdempotencyProblem",
    "RequestLog",
    "ShopChange",
    "ShopifySandbox",
    "WebhookSubscription",
    "catalogue_from_csv",
]
