"""The configuration: what it may say (`settings`), how it is read (`loading`), where its secrets are (`secrets`)."""

from daemon.config.address import ListenAddress, TcpAddress, UnixAddress
from daemon.config.changes import Changes, changed_parts
from daemon.config.fields import SecretRef
from daemon.config.loading import DEMO_CONFIG, json_schema, load_settings, parse_settings
from daemon.config.sales import SaleSelection, SaleSettings, SaleTargets, read_skus
from daemon.config.scopes import needed_scopes
from daemon.config.secrets import (
    ResolvedSecrets,
    StoreSecrets,
    inspect_secrets,
    renewed_secrets,
    resolve_secrets,
    secret_files_version,
)
from daemon.config.settings import (
    CronSchedule,
    CustomerSyncSettings,
    DatabaseSettings,
    JobParams,
    JobSettings,
    LogSettings,
    NhanhSettings,
    ProductSchedule,
    ProductSyncSettings,
    Schedule,
    Settings,
    ShopifySettings,
    StatusSettings,
    StoreSettings,
    with_base_urls,
)
from daemon.config.state import state_directory

__all__ = [
    "DEMO_CONFIG",
    "Changes",
    "CronSchedule",
    "CustomerSyncSettings",
    "DatabaseSettings",
    "JobParams",
    "JobSettings",
    "ListenAddress",
    "LogSettings",
    "NhanhSettings",
    "ProductSchedule",
    "ProductSyncSettings",
    "ResolvedSecrets",
    "SaleSelection",
    "SaleSettings",
    "SaleTargets",
    "Schedule",
    "SecretRef",
    "Settings",
    "ShopifySettings",
    "StatusSettings",
    "StoreSecrets",
    "StoreSettings",
    "TcpAddress",
    "UnixAddress",
    "changed_parts",
    "inspect_secrets",
    "json_schema",
    "load_settings",
    "needed_scopes",
    "parse_settings",
    "read_skus",
    "renewed_secrets",
    "resolve_secrets",
    "secret_files_version",
    "state_directory",
    "with_base_urls",
]
