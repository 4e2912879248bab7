"""A local Nhanh.vn that behaves as the Open API v3.0 is documented to behave."""

from daemon.sandbox.nhanh.records import NhanhCustomerRecord, NhanhProductRecord, customer_id, product_id
from daemon.sandbox.nhanh.sandbox import APP_ID, BUSINESS_ID, SECRET_KEY, TOKEN, LoggedRequest, NhanhSandbox
from daemon.sandbox.nhanh.shop import BusinessChange, ChangeKind

__all__ = [
    "APP_ID",
    "BUSINESS_ID",
    "SECRET_KEY",
    "TOKEN",
    "BusinessChange",
    "ChangeKind",
    "LoggedRequest",
    "NhanhCustomerRecord",
    "NhanhProductRecord",
    "NhanhSandbox",
    "customer_id",
    "product_id",
]
