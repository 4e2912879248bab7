"""By which settings syncs went through, and what has changed since: that may be why the next one has to ask.

All SQL on `dongbo.synced_settings`. No secret is a setting here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from daemon.api.approvals import ChangedSetting
from daemon.config import ProductSyncSettings, RuleSettings
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.types import JobType
from daemon.money import Currency

GET = "SELECT settings, synced_at FROM dongbo.synced_settings WHERE store = $1 AND type = $2"

RECORD = """
INSERT INTO dongbo.synced_settings (store, type, settings) VALUES ($1, $2, $3)
ON CONFLICT (store, type) DO UPDATE SET settings = excluded.settings, synced_at = excluded.synced_at
"""

SyncedSettings = Mapping[str, str]  # {key of the configuration within the store's table: value as text}


# What a setting was before it existed.
DEFAULTS: SyncedSettings = {
    f"product_sync.{name}": str(field.default)
    for name, field in ProductSyncSettings.model_fields.items()
    if isinstance(field.default, str | int | float)
}


@dataclass(frozen=True, slots=True)
class SettingChanges:
    """What has changed since a sync went through; `since` is None where none has yet."""

    since: datetime | None
    changed: Sequence[ChangedSetting]


def settings_of(settings: ProductSyncSettings, nhanh: str, shopify: str, currency: Currency) -> dict[str, str]:
    """What decides what a product sync pushes; `nhanh` and `shopify` name the accounts."""
    plain = settings.model_dump(mode="json", exclude={"locations", "reserve", "shares", "rules"}, exclude_none=True)
    return {
        "nhanh": nhanh,
        "nhanh.currency": str(currency),
        "shopify": shopify,
        **{f"product_sync.{name}": str(value) for name, value in plain.items()},
        **{
            f"product_sync.locations.{location}": ", ".join(map(str, depots))
            for location, depots in settings.locations.items()
        },
        **({"product_sync.reserve": str(settings.reserve)} if settings.reserve else {}),
        **{f"product_sync.shares.{location}": str(share) for location, share in settings.shares.items()},
        **_rules(settings.rules),
    }


def _rules(rules: Sequence[RuleSettings]) -> dict[str, str]:
    """Each rule by its name, and their order, which decides as well."""
    if not rules:
        return {}
    said = {
        f"rules.{rule.name}": rule.model_dump_json(exclude={"name"}, exclude_none=True, by_alias=True) for rule in rules
    }
    return {"rules": ", ".join(rule.name for rule in rules), **said}


async def record(connection: Connection, store: StoreName, job_type: JobType, settings: SyncedSettings) -> None:
    """Note by which settings a sync went through."""
    await connection.execute(RECORD, store, job_type, orjson.dumps(settings).decode())


async def changes(
    connection: Connection, store: StoreName, job_type: JobType, settings: SyncedSettings
) -> SettingChanges:
    """What these settings say otherwise than those by which a sync went through last."""
    row = await connection.fetchrow(GET, store, job_type)
    if row is None:
        return SettingChanges(None, ())
    before = orjson.loads(row["settings"])
    before |= {key: value for key, value in DEFAULTS.items() if key not in before and key in settings}
    changed = [
        ChangedSetting(key, before.get(key), settings.get(key))
        for key in sorted(before.keys() | settings.keys())
        if before.get(key) != settings.get(key)
    ]
    return SettingChanges(row["synced_at"], changed)
