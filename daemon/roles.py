"""What a daemon may do in a fleet: one that is not told does everything."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from daemon.errors import ConfigError


class DaemonRole(StrEnum):
    """A share of the work. Each may be with any number of daemons on one database."""

    WORKER = "worker"  # takes jobs, those that webhooks ask for among them
    SCHEDULES = "schedules"  # fires schedules, starts and ends sales, prunes
    STATUS = "status"  # is there for others: the page, the API, the listener for webhooks


ALL_ROLES: Final = frozenset(DaemonRole)


def parse_roles(text: str) -> frozenset[DaemonRole]:
    """The roles of a list such as "worker,status". Raises ConfigError for a word that is none, and for no role."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in ALL_ROLES]
    if unknown or not words:
        said = f"{', '.join(unknown)} is no role of a daemon" if unknown else "it names no role"
        known = ", ".join(DaemonRole)
        raise ConfigError(
            f"--roles, or $DONGBO_ROLES: {said}: write one or several of {known}, with commas between them"
        )
    return frozenset(map(DaemonRole, words))


def in_order(roles: Collection[DaemonRole]) -> list[DaemonRole]:
    """The roles as they are listed everywhere."""
    return [role for role in DaemonRole if role in roles]
