"""The configuration: what it may say (`settings`), how it is read (`loading`), where its secrets are (`secrets`)."""

from daemon.config.address import ListenAddress, TcpAddress, UnixAddress
from daemon.config.alerts import HEARTBEAT, AlertSettings, HeartbeatSettings
from daemon.config.changes import Changes, changed_parts
from daemon.config.fields import SecretRef
from daemon.config.loading import DEMO_CONFIG, EXAMPLE_CONFIG, json_schema, load_settings, parse_settings
from daemon.config.renewal import KeptSecrets, SecretRenewal
from daemon.config.rules import RangeSettings, RuleConditions, RuleSettings
from daemon.config.sales import SaleSelection, SaleSettings, SaleTargets, read_skus
from daemon.config.scopes import needed_scopes
from daemon.config.secrets import (
    ResolvedSecrets,
    StoreSecrets,
    inspect_secrets,
    read_status_token,
    renewed_secrets,
    resolve_secrets,
    revealed,
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
from daemon.config.webhooks import WebhookSettings

__all__ = [
    "DEMO_CONFIG",
    "EXAMPLE_CONFIG",
    "HEARTBEAT",
    "AlertSettings",
    "Changes",
    "CronSchedule",
    "CustomerSyncSettings",
    "DatabaseSettings",
    "HeartbeatSettings",
    "JobParams",
    "JobSettings",
    "KeptSecrets",
    "ListenAddress",
    "LogSettings",
    "NhanhSettings",
    "ProductSchedule",
    "ProductSyncSettings",
    "RangeSettings",
    "ResolvedSecrets",
    "RuleConditions",
    "RuleSettings",
    "SaleSelection",
    "SaleSettings",
    "SaleTargets",
    "Schedule",
    "SecretRef",
    "SecretRenewal",
    "Settings",
    "ShopifySettings",
    "StatusSettings",
    "StoreSecrets",
    "StoreSettings",
    "TcpAddress",
    "UnixAddress",
    "WebhookSettings",
    "changed_parts",
    "inspect_secrets",
    "json_schema",
    "load_settings",
    "needed_scopes",
    "parse_settings",
    "read_skus",
    "read_status_token",
    "renewed_secrets",
    "resolve_secrets",
    "revealed",
    "secret_files_version",
    "state_directory",
    "with_base_urls",
]
