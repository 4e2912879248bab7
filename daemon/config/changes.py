"""What a reload has to touch: the difference between two configurations."""

from collections.abc import Iterator
from dataclasses import dataclass

from daemon.config.fields import SecretRef, Section
from daemon.config.settings import Settings
from daemon.ids import StoreName

ACCESS_KEYS = ("token", "tokens", "user_header", "trusted_proxies", "operators")
APPLIED_BY_RELOAD = frozenset(
    {
        *("timezone", "language", "stores", "schedules", "sales", "alerts", "heartbeat"),
        *("backup.directory", "backup.keep", "log.level", "log.format", "webhooks.url"),
        *(f"status.{key}" for key in ACCESS_KEYS),
    }
)


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between two configurations; empty sets where there is none."""

    stores_changed: frozenset[StoreName]  # added, removed, or with other settings
    restart_required: tuple[str, ...]  # keys, such as "database.url", that only a restart applies


def changed_parts(old: Settings, new: Settings) -> Changes:
    """Compare two configurations by the names of their stores, and by keys."""
    return Changes(
        stores_changed=frozenset(
            name for name in old.stores.keys() | new.stores.keys() if old.stores.get(name) != new.stores.get(name)
        ),
        restart_required=tuple(key for key in _changed_keys(old, new) if key not in APPLIED_BY_RELOAD),
    )


def _changed_keys(old: Section, new: Section, prefix: str = "") -> Iterator[str]:
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, Section) and type(before) is type(after) and not isinstance(before, SecretRef):
            yield from _changed_keys(before, after, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
