"""What `/status` says of the pool; apart from it, so that a reader of the record needs no driver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How many connections there are: open, idle, at most, lent out."""

    size: int
    idle: int
    max: int
    in_use: int
